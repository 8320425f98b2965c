/* Which vector versions of the adjoint exist here, and what they cover. */
#include "adjoint.h"

#include <stddef.h>

#ifdef NB_HAVE_SIMD
nb_pull_function nb_simd_pull_baseline;
#endif
#ifdef NB_HAVE_X86_SIMD
nb_pull_function nb_simd_pull_avx2, nb_simd_pull_avx512;
#endif

nb_pull_function *nb_simd_pull(nb_kernel kernel) {
    /* mixed precision has no derivatives of its own: the widest kernel in double precision has them */
    for (nb_kernel k = NB_KERNEL_SIMD_AVX512; kernel == NB_KERNEL_FAST && k > NB_KERNEL_SCALAR; k--) {
        if (nb_kernel_available(k)) kernel = k;
    }
    switch (kernel) {
#ifdef NB_HAVE_SIMD
    case NB_KERNEL_SIMD_BASELINE: return nb_simd_pull_baseline;
#endif
#ifdef NB_HAVE_X86_SIMD
    case NB_KERNEL_SIMD_AVX2: return nb_simd_pull_avx2;
    case NB_KERNEL_SIMD_AVX512: return nb_simd_pull_avx512;
#endif
    default: return NULL;
    }
}

const char *nb_simd_adjoint_obstacle(const nb_scene *scene, const nb_gradient *gradient) {
    if (nb_simd_obstacle(scene) != NULL) return nb_simd_obstacle(scene);
    if (scene->curved) return "the detector is curved";
    if (scene->tricubic && scene->f_table != NULL) return "structure factors are interpolated";
    if (scene->pixel_area == 0.0 || scene->close_distance == 0.0) return "the solid angle is 0";
    if (scene->f_table != NULL && (gradient->f_table != NULL || gradient->default_F != NULL))
        return "the gradient of the structure factors is wanted";
    return NULL;
}
