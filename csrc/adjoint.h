/* The gradient of blocks of pixels, by the reference kernel and by the vector kernels. */
#ifndef NB_ADJOINT_H
#define NB_ADJOINT_H

#include "nanobragg.h"

/* What the scale of the image and the background get from the pixels of a block. */
typedef struct {
    double scale;                 /* photons per unit of I */
    double share;                 /* 1/(n W): n sub-pixels, W the sum of the weights */
    double intensity, background; /* sums of c I and c B */
} nb_pull_sums;

/* As nb_pull_back for checked arguments and a gradient whose small fields are not NULL. */
typedef int nb_pull_function(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, const double *cotangent,
                             const nb_gradient *gradient, nb_pull_sums *sums, const volatile int *cancel);

/* The vector version of a kernel; NULL where it has none. */
nb_pull_function *nb_simd_pull(nb_kernel kernel);

/* Why the vector versions leave a scene and these gradients to the reference one; NULL where they do not. */
const char *nb_simd_adjoint_obstacle(const nb_scene *scene, const nb_gradient *gradient);

#endif
