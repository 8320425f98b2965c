/* The spot shapes that are functions of one squared distance r^2 from the nearest reciprocal lattice point: all but
 * SQUARE. Their forms for vectors are in simd_spots.h. */
#ifndef NB_SPOTS_H
#define NB_SPOTS_H

#include "nanobragg.h"

/* What is known of a shape beside its form. With y = times fudge r^2/width, the vector kernels' forms are functions of
 * y. */
typedef struct {
    double height; /* largest F_latt over Na Nb Nc */
    double times, width;
    double end; /* y beyond which the form is exactly 0 in the vector kernels; 0: nowhere */
    int skewed; /* whether GAUSS_TOPHAT_WIDTH is about its r^2 */
} nb_spot;

/* By nb_shape. The Gaussian ends at 3e-109 of its peak, which no image in single precision shows. */
static const nb_spot NB_SPOTS[NB_N_SHAPES] = {
    [NB_ROUND] = {NB_ROUND_SCALE, 1.0, 1.0, 0.0, 0},
    [NB_GAUSS] = {1.0, 2.0, NB_GAUSS_WIDTH, 250.0, 1}, /* y: the exponent of the square */
    [NB_TOPHAT] = {1.0, 1.0, NB_TOPHAT_CUT, 1.0, 1}};

double nb_sinc3(double x);
double nb_sinc3_literal(double x);
void nb_block_vector(const nb_scene *scene, const double offset[3], double v[3]);
double nb_block_cells(const nb_scene *scene);
void nb_block_minors(const nb_scene *scene, double minors[9]);
double nb_block_factor(const nb_scene *scene, const double offset[3]);
double nb_spot_radius_sqr(const nb_scene *scene, const double offset[3]);
double nb_spot_form(const nb_scene *scene, double r_sqr);
double nb_spot_rate(const nb_scene *scene, double r_sqr, double form);

#endif
