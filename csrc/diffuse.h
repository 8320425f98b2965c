/* What the scalar and the vector version of diffuse scattering have in common. */
#ifndef NB_DIFFUSE_H
#define NB_DIFFUSE_H

#include "imaging.h"

#define NB_DIFFUSE_BLOCK 128 /* points that are evaluated together */

/* Of the arrays that vectors are loaded from. */
#if defined(__GNUC__)
#define NB_ALIGNED __attribute__((aligned(64)))
#else
#define NB_ALIGNED
#endif

/* The sum over the reflections near n points with the indices hkl, into out. The vector versions work on whole vectors:
 * hkl and out are aligned and padded, and hkl holds numbers there. */
typedef void nb_diffuse_sums(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);

void nb_diffuse_stencil(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);
void nb_simd_diffuse_avx2(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);
void nb_simd_diffuse_avx512(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);

int nb_diffuse_check(const nb_scene *scene, const nb_diffuse *diffuse);
NB_WARN_UNUSED int nb_add_diffuse_by(const nb_scene *scene, const nb_diffuse *diffuse, nb_diffuse_sums *sums,
                                     int64_t pixel_begin, int64_t pixel_end, double *photons,
                                     const volatile int *cancel);

#endif
