/* What the vector kernel keeps of a scene for the evaluation of one term. */
#ifndef NB_SIMD_MODEL_H
#define NB_SIMD_MODEL_H

#include "nanobragg.h"

/* Ways to evaluate the squared lattice factor. */
enum { SQUARE_ANY, SQUARE_SMALL, SPHERE, GAUSSIAN, SPOT, N_LATTICES };

/* Ways to find the structure factor: constant, all indices of a block inside the table, each its own way. */
enum { CONSTANT, INSIDE, MIXED, N_LOOKUPS };

/* Largest number of cells for which (sin(pi N f)/sin(pi f))^2 is evaluated as a polynomial in sin^2(pi f). */
#define SMALL_CELLS 8

typedef struct {
    int lattice;
    double n[3];
    double polynomial[3][4], parity[3]; /* SQUARE_SMALL: p(s)^2 (1 - parity s) */
    double gram[6];                     /* others: quadratic form of the offsets: 00, 11, 22, 01, 02, 12 */
    double peak;                        /* others: largest value of the squared lattice factor */
    const double *table;
    double first[3], last[3]; /* indices in the table */
    double stride[2];
    double outside; /* F of indices outside the table */
} nb_model;

/* A quantity that is linear in the direction of the scattered ray: (a + b along) / airpath + constant on a row of a
 * flat detector, vector . direction + constant in general. */
typedef struct {
    double a, b, vector[3], constant;
} nb_line;

/* The pixels of a block, one value each, padded to NB_SIMD_PAD. */
typedef struct {
    const double *along;        /* coordinate along the fast axis [m] */
    const double *inverse;      /* 1/airpath [1/m] */
    const double *direction[3]; /* curved detectors only */
    int n;
} nb_row;

typedef void nb_term(const nb_model *model, const nb_row *row, const nb_line hkl[3], double *sum);

void nb_model_make(const nb_scene *scene, nb_model *model);

#endif
