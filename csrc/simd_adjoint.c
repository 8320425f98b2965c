/* Which vector versions of the adjoint exist here, and what they cover. */
#include "adjoint.h"

#include <stddef.h>

#ifdef NB_HAVE_SIMD
nb_pull_function nb_simd_pull_baseline;
nb_push_function nb_simd_push_baseline;
#endif
#ifdef NB_HAVE_X86_SIMD
nb_pull_function nb_simd_pull_avx2, nb_simd_pull_avx512;
nb_push_function nb_simd_push_avx2, nb_simd_push_avx512;
#endif

static const struct {
    nb_pull_function *pull;
    nb_push_function *push;
} VERSIONS[NB_N_KERNELS] = {
#ifdef NB_HAVE_SIMD
    [NB_KERNEL_SIMD_BASELINE] = {nb_simd_pull_baseline, nb_simd_push_baseline},
#endif
#ifdef NB_HAVE_X86_SIMD
    [NB_KERNEL_SIMD_AVX2] = {nb_simd_pull_avx2, nb_simd_push_avx2},
    [NB_KERNEL_SIMD_AVX512] = {nb_simd_pull_avx512, nb_simd_push_avx512},
#endif
};

/* Mixed precision has no derivatives of its own: the widest kernel in double precision has them. */
static nb_kernel in_double(nb_kernel kernel) {
    for (nb_kernel k = NB_KERNEL_SIMD_AVX512; kernel == NB_KERNEL_FAST && k > NB_KERNEL_SCALAR; k--) {
        if (nb_kernel_available(k)) return k;
    }
    return kernel;
}

nb_pull_function *nb_simd_pull(nb_kernel kernel) {
    return VERSIONS[in_double(kernel)].pull;
}

nb_push_function *nb_simd_push(nb_kernel kernel) {
    return VERSIONS[in_double(kernel)].push;
}

const char *nb_simd_adjoint_obstacle(const nb_scene *scene) {
    if (nb_simd_obstacle(scene) != NULL) return nb_simd_obstacle(scene);
    if (scene->pixel_area == 0.0 || scene->close_distance == 0.0) return "the solid angle is 0";
    return NULL;
}
