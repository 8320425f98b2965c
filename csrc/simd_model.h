/* What the vector kernel keeps of a scene for the evaluation of one term. */
#ifndef NB_SIMD_MODEL_H
#define NB_SIMD_MODEL_H

#include "nanobragg.h"
#include "pixel.h"

/* Ways to evaluate the squared lattice factor: those of SQUARE, and the nb_shape of the others. */
enum { SQUARE_ANY = NB_SQUARE, SQUARE_SMALL = NB_N_SHAPES, SQUARE_MIXED, N_LATTICES };
#define IS_SQUARE(lattice) ((int)(lattice) == SQUARE_ANY || (int)(lattice) >= SQUARE_SMALL)

/* Ways to find the structure factor: constant, all indices of a block inside the table, each its own way, each its own
 * way and interpolated where the table goes far enough. */
enum { CONSTANT, INSIDE, MIXED, INTERPOLATED, N_LOOKUPS };

/* Largest number of cells for which (sin(pi N f)/sin(pi f))^2 is evaluated as a polynomial in sin^2(pi f). */
#define SMALL_CELLS 8

/* Largest number of cells for which mixed precision is used where it is allowed. */
#define MIXED_CELLS 200

/* NB_SINCG_NOISE of mixed precision, for 5e-7 in place of 5.8e-11. */
#define MIXED_NOISE 0x1p-31

/* Most groups of neighboring orientations that are tested together. */
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
    int skewed;                         /* others: whether the last three of them may differ from 0 */
    double peak;                        /* others: largest value of the squared lattice factor */
    double noise;    /* where F_latt of the original is left to the scalar kernel: SQUARE: below this offset over index;
                        ROUND: below this value of the form; 0: nowhere */
    double noisy[3]; /* SQUARE: 1 for axes that have such offsets, else 0 */
    double longest;  /* SQUARE: not below the length of any of their cell edges [m] */
    int n_groups;    /* 0: no pixel can be skipped with profit */
    double reach[3]; /* shapes that end: largest offset of each index at which the lattice factor is not 0 */
    const nb_group *groups;   /* apart, for the terms copy the rest */
    const double *table;      /* of the source that is looked at */
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

/* For terms whose lattice factor is rounding noise in the original's formula: where they are, so that the scalar kernel
 * can evaluate them. */
typedef struct {
    const nb_scene *scene;
    const int64_t *pixels; /* of the block */
    int n;                 /* pixels without the padding */
    int renormalized;      /* whether the scalar kernel went on with a normalized direction after a polarization */
    const double *only;    /* ... per pixel; NULL: everywhere */
    nb_pass_index pass;
    const double *cell; /* (3, 3) of the orientation */
    double scale;       /* SQUARE: times which the sines are taken, a power of two (noise_scale) */
} nb_noise;

typedef void nb_term(const nb_model *model, const nb_row *row, const nb_line hkl[3], const nb_noise *noise,
                     double *sum);

void nb_model_make(const nb_scene *scene, int mixed, nb_group groups[MAX_GROUPS], nb_model *model);

#endif
