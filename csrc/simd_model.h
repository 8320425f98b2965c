/* What the vector kernel keeps of a scene for the evaluation of one term. */
#ifndef NB_SIMD_MODEL_H
#define NB_SIMD_MODEL_H

#include "nanobragg.h"

/* Ways to evaluate the squared lattice factor. */
enum { SQUARE_ANY, SQUARE_SMALL, SQUARE_MIXED, SPHERE, GAUSSIAN, SPOT, N_LATTICES };

/* Ways to find the structure factor: constant, all indices of a block inside the table, each its own way, each its own
 * way and interpolated where the table goes far enough. */
enum { CONSTANT, INSIDE, MIXED, INTERPOLATED, N_LOOKUPS };

/* Largest number of cells for which (sin(pi N f)/sin(pi f))^2 is evaluated as a polynomial in sin^2(pi f). */
#define SMALL_CELLS 8

/* Largest number of cells for which mixed precision is used where it is allowed. */
#define MIXED_CELLS 200

/* Beyond this exponent of the squared lattice factor a GAUSSIAN is exactly 0: 3e-109 of its peak, which no image in
 * single precision shows. */
#define GAUSSIAN_END 250.0

/* Most groups of neighbouring orientations that are tested together. */
#define MAX_GROUPS 64

/* Orientations [begin, end): for a scattering vector S, their indices lie within radius |S| of those of the center. */
typedef struct {
    int64_t begin, end;
    double center[9], radius[3];
} nb_group;

typedef struct {
    int lattice;
    double n[3];
    double polynomial[3][4], parity[3]; /* SQUARE_SMALL: p(s)^2 (1 - parity s) */
    double gram[6];                     /* others: quadratic form of the offsets: 00, 11, 22, 01, 02, 12 */
    double peak;                        /* others: largest value of the squared lattice factor */
    int n_groups;                       /* 0: no pixel can be skipped with profit */
    double reach[3]; /* GAUSSIAN, SPOT: largest offset of each index at which the lattice factor is not 0 */
    nb_group groups[MAX_GROUPS];
    const double *table;
    double first[3], last[3]; /* indices in the table */
    double stride[2], origin; /* indices (h, k, l) are at stride[0] h + stride[1] k + l - origin in the table */
    double outside;           /* F of indices outside the table */
    int interpolate;          /* whether the table is large enough for it */
    double stencil_first[3], stencil_last[3]; /* whole parts of the indices around which it is */
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

void nb_model_make(const nb_scene *scene, int mixed, nb_model *model);

#endif
