/* The gradient of blocks of pixels, by the reference kernel and by the vector kernels. */
#ifndef NB_ADJOINT_H
#define NB_ADJOINT_H

#include "nanobragg.h"
#include "tables.h"

#include <stddef.h>

/* What the scale of the image and the background get from the pixels of a block. */
typedef struct {
    double scale;                 /* photons per unit of I */
    double share;                 /* 1/(n W): n sub-pixels, W the sum of the weights */
    double intensity, background; /* sums of c I and c B */
    int table;             /* whether the gradient of the structure factors in a table is wanted, or default_F's */
    nb_entry_sums entries; /* ... of that table */
} nb_pull_sums;

/* As nb_pull_back for checked arguments and a gradient whose small fields are not NULL. */
typedef int nb_pull_function(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, const double *cotangent,
                             const nb_gradient *gradient, nb_pull_sums *sums, const volatile int *cancel);

/* Weight of the domain of an orientation. */
static inline double nb_domain_weight(const nb_scene *scene, int64_t orientation) {
    return scene->domain_weight == NULL ? 1.0 : scene->domain_weight[orientation % scene->n_domains];
}

/* Directions that share an evaluation; more of them take another sweep. */
#define NB_TOGETHER 16

typedef struct {
    nb_gradient tangent[NB_TOGETHER]; /* as nb_tangent_at gives them */
    int n;
    double scale, share;         /* as in nb_pull_sums */
    double d_scale[NB_TOGETHER]; /* tangents of the scale */
    double d_weight_sum[NB_TOGETHER];
    int table; /* whether the structure factors of a table move */
} nb_directions;

/* As nb_push_forward for checked arguments and few directions. */
typedef int nb_push_function(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end,
                             const nb_directions *directions, double *out, int64_t stride, const volatile int *cancel);

/* The vector versions of a kernel; NULL where it has none. */
nb_pull_function *nb_simd_pull(nb_kernel kernel);
nb_push_function *nb_simd_push(nb_kernel kernel);

/* Why the vector versions leave a scene to the reference one; NULL where they do not. */
const char *nb_simd_adjoint_obstacle(const nb_scene *scene);

#endif
