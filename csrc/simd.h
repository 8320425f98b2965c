/* What is there once per instruction set, behind one table. */
#ifndef NB_SIMD_H
#define NB_SIMD_H

#include "nanobragg.h"

/* As nb_render, for scenes that nb_simd_obstacle does not object to; `mixed`: with lattice factors of square crystals
 * in mixed precision (simd_mixed.h). */
#define NB_DECLARE_SIMD(isa)                                                                                           \
    int nb_simd_render_##isa(const nb_scene *scene, int mixed, int64_t pixel_begin, int64_t pixel_end, double *out,    \
                             const nb_channels *channels, const volatile int *cancel)
NB_DECLARE_SIMD(baseline);
NB_DECLARE_SIMD(avx2);
NB_DECLARE_SIMD(avx512);

/* As nb_solid_angles, of pixels, layers and sub-pixels that are there. */
#define NB_DECLARE_SOLID_ANGLES(isa)                                                                                   \
    void nb_solid_angles_##isa(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers,        \
                               int32_t n_sub, double *sum)
NB_DECLARE_SOLID_ANGLES(anywhere);
NB_DECLARE_SOLID_ANGLES(avx2);
NB_DECLARE_SOLID_ANGLES(avx512);

#endif
