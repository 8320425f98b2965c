/* One term of the sum with its derivatives. */
#ifndef NB_SLOPES_H
#define NB_SLOPES_H

#include "nanobragg.h"

/* F_cell^2 F_latt^2 of one evaluation, and what it depends on. */
typedef struct {
    double value;         /* F_cell^2 F_latt^2 */
    double by_hkl[3];     /* its derivatives by the real indices */
    double by_n_cells[3]; /* ... by the numbers of cells (not SQUARE, whose cells are counted) */
    double by_block_matrix[9];
    double by_fudge;
    double by_f_cell; /* ... by the structure factor, which is the sum of weights x entries of the table */
    int64_t entry;    /* its entry, -1: default_F, or the first of the 4 x 4 x 4 that it is interpolated from */
    int interpolated;
    double weights[3][4]; /* of these, along h, k and l */
} nb_slopes;

void nb_evaluate_slopes(const nb_scene *scene, const double *cell, const double scattering[3], nb_slopes *slopes);

#endif
