/* Which kernels exist here, what they cover, and the call that picks one. */
#include "simd.h"
#include "background.h"
#include "channels.h"
#include "diffuse.h"
#include "lattice.h"

#include <math.h>
#include <stddef.h>

typedef int render_function(const nb_scene *scene, int mixed, int64_t pixel_begin, int64_t pixel_end, double *out,
                            const nb_channels *channels, const volatile int *cancel);

typedef void background_function(const nb_background *background, int64_t n_pixels, const int64_t *pixels,
                                 int64_t first, double *photons, int64_t *beyond);

typedef void solid_angle_function(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers,
                                  int32_t n_sub, double *sum);

static const struct {
    const char *name;
    render_function *render; /* NULL: not in this build, or not by this table */
    background_function *background;
    solid_angle_function *solid_angles;
    nb_diffuse_sums *diffuse;
} KERNELS[NB_N_KERNELS] = {
    [NB_KERNEL_SCALAR] = {"scalar", NULL, NULL, nb_solid_angles_anywhere, NULL},
    [NB_KERNEL_FAST] = {"fast", NULL, NULL, NULL, NULL},
#ifdef NB_HAVE_SIMD
    [NB_KERNEL_SIMD_BASELINE] = {"simd-baseline", nb_simd_render_baseline, NULL, nb_solid_angles_anywhere, NULL},
#else
    [NB_KERNEL_SIMD_BASELINE] = {"simd-baseline", NULL, NULL, NULL, NULL},
#endif
#ifdef NB_HAVE_X86_SIMD
    [NB_KERNEL_SIMD_AVX2] = {"simd-avx2", nb_simd_render_avx2, nb_simd_background_avx2, nb_solid_angles_avx2,
                             nb_simd_diffuse_avx2},
    [NB_KERNEL_SIMD_AVX512] = {"simd-avx512", nb_simd_render_avx512, nb_simd_background_avx512, nb_solid_angles_avx512,
                               nb_simd_diffuse_avx512},
#else
    [NB_KERNEL_SIMD_AVX2] = {"simd-avx2", NULL, NULL, NULL, NULL},
    [NB_KERNEL_SIMD_AVX512] = {"simd-avx512", NULL, NULL, NULL, NULL},
#endif
};

/* Name of a kernel; NULL past the last one. */
const char *nb_kernel_name(nb_kernel kernel) {
    return kernel >= 0 && kernel < NB_N_KERNELS ? KERNELS[kernel].name : NULL;
}

/* The variant for the widest vectors that this machine has; 0 if there is none. */
static nb_kernel widest(void) {
    for (nb_kernel kernel = NB_KERNEL_SIMD_AVX512; kernel > NB_KERNEL_SCALAR; kernel--) {
        if (nb_kernel_available(kernel)) return kernel;
    }
    return NB_KERNEL_SCALAR;
}

/* Whether a kernel is in this build and this machine can run it. */
int nb_kernel_available(nb_kernel kernel) {
    if (kernel == NB_KERNEL_SCALAR) return 1;
    if (kernel == NB_KERNEL_FAST) return widest() != NB_KERNEL_SCALAR;
    if (kernel < 0 || kernel >= NB_N_KERNELS || KERNELS[kernel].render == NULL) return 0;
#ifdef NB_HAVE_X86_SIMD
    /* what x86-64-v3 and -v4 stand for and the kernel uses */
    if (kernel == NB_KERNEL_SIMD_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (kernel == NB_KERNEL_SIMD_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi2");
#endif
    return 1;
}

/* Why the vector kernels leave a scene to the scalar one.
 *
 * Given:    a scene that passed nb_scene_validate
 * Returned: a phrase, or NULL where they cover the scene
 */
const char *nb_simd_obstacle(const nb_scene *scene) {
    if (scene->capture_mode == NB_CUMULATIVE || scene->polar_mode == NB_CUMULATIVE ||
        scene->omega_mode == NB_CUMULATIVE)
        return "factors multiplied into the running sum after every term depend on the order of the terms";
    if (scene->shape != NB_SQUARE && !(scene->fudge > 0.0)) return "fudge is not positive";
    for (int i = 0; scene->shape == NB_SQUARE && i < 3; i++) {
        if (scene->n_cells[i] != floor(scene->n_cells[i]) || scene->n_cells[i] > 1e6)
            return "a cell count is no whole number up to a million";
    }
    return NULL;
}

/* Which lattice factors the vector kernels leave to the scalar one, term by term (NB_SINCG_NOISE, NB_SINC3_NOISE).
 *
 * Given:    a scene that passed nb_scene_validate
 * Returned: a phrase, empty where there are none
 */
const char *nb_simd_exception(const nb_scene *scene) {
    if (scene->shape == NB_ROUND && (scene->quirks & NB_SINC3_CANCELLATION))
        return "lattice factors at the centers of spots (rounding noise of the original: SINC3_CANCELLATION)";
    for (int i = 0; scene->shape == NB_SQUARE && (scene->quirks & NB_SINCG_ROUNDOFF) && i < 3; i++) {
        if (nb_sincg_noisy(scene->n_cells[i]))
            return "lattice factors at whole indices (rounding noise of the original: SINCG_ROUNDOFF)";
    }
    return "";
}

/* Expected photons of the pixels [pixel_begin, pixel_end), as nb_render, by the kernel of one's choice.
 *
 * Returned: NB_ERR_KERNEL for a kernel that is not available, or that does not cover the scene; else as nb_render
 */
int nb_render_with(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end, double *out,
                   const volatile int *cancel) {
    return nb_render_channels(scene, kernel, pixel_begin, pixel_end, out, NULL, cancel);
}

/* The same with channels. */
int nb_render_channels(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end, double *out,
                       const nb_channels *channels, const volatile int *cancel) {
    static const volatile int never = 0;
    if (!nb_kernel_available(kernel)) return NB_ERR_KERNEL;
    if (scene == NULL || (out == NULL && pixel_begin < pixel_end)) return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (cancel == NULL) cancel = &never;
    if (kernel == NB_KERNEL_SCALAR && channels == NULL) return nb_render(scene, pixel_begin, pixel_end, out, cancel);
    if (kernel == NB_KERNEL_SCALAR) {
        for (int64_t position = pixel_begin; position < pixel_end; position++) {
            int status = nb_pixel_channels(scene, position, channels, cancel, out + (position - pixel_begin));
            if (status != NB_OK) return status;
        }
        return NB_OK;
    }
    if (nb_simd_obstacle(scene) != NULL) return NB_ERR_KERNEL;
    const int mixed = kernel == NB_KERNEL_FAST;
    return KERNELS[mixed ? widest() : kernel].render(scene, mixed, pixel_begin, pixel_end, out, channels, cancel);
}

/* As nb_add_background, by the kernel of one's choice; curved detectors, and kernels without vectors of four numbers,
 * are left to the scalar one.
 *
 * Returned: NB_ERR_KERNEL for a kernel that is not available; else as nb_add_background
 */
int nb_add_background_with(const nb_background *background, nb_kernel kernel, int64_t n_pixels, const int64_t *pixels,
                           int64_t first, double *photons, int64_t *beyond) {
    if (!nb_kernel_available(kernel)) return NB_ERR_KERNEL;
    background_function *vectors = KERNELS[kernel == NB_KERNEL_FAST ? widest() : kernel].background;
    if (vectors == NULL || (background != NULL && background->curved))
        return nb_add_background(background, n_pixels, pixels, first, photons, beyond);
    const int status = nb_background_check(background, n_pixels, first, photons, beyond);
    if (status != NB_OK) return status;
    vectors(background, n_pixels, pixels, first, photons, beyond);
    return NB_OK;
}

/* Sum of the solid angles of sub-pixels.
 *
 * Given:
 *   scene     one that passed nb_scene_validate
 *   pixel_begin, pixel_end   positions in scene->pixels
 *   n_layers  layers summed over, 1: the front plane alone
 *   n_sub     sub-pixels summed over, along each axis and from the corner of the pixel; up to scene->oversample
 * Given and returned:
 *   sum       the sum so far [sr]
 * Reference: docs/model.md, Solid angle.
 */
int nb_solid_angles(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers, int32_t n_sub,
                    double *sum) {
    return nb_solid_angles_with(scene, widest(), pixel_begin, pixel_end, n_layers, n_sub, sum);
}

/* The same by the instructions of a kernel; every one gives the same bits.
 *
 * Returned: NB_ERR_KERNEL for a kernel that is not available
 */
int nb_solid_angles_with(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                         int32_t n_layers, int32_t n_sub, double *sum) {
    if (!nb_kernel_available(kernel)) return NB_ERR_KERNEL;
    if (scene == NULL || sum == NULL) return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (n_layers > scene->n_layers || n_sub > scene->oversample) return NB_ERR_TOO_LARGE;
    KERNELS[kernel == NB_KERNEL_FAST ? widest() : kernel].solid_angles(scene, pixel_begin, pixel_end, n_layers, n_sub,
                                                                       sum);
    return NB_OK;
}

static nb_diffuse_sums *diffuse_sums(nb_kernel kernel) {
    nb_diffuse_sums *sums = KERNELS[kernel == NB_KERNEL_FAST ? widest() : kernel].diffuse;
    return sums == NULL ? nb_diffuse_stencil : sums;
}

/* Add the diffuse scattering to pixels, see imaging.h.
 *
 * Returned: NB_ERR_KERNEL for a kernel that is not available
 * Reference: docs/diffuse.md; Wall, Clarage & Phillips, Structure 5 (1997) 1599.
 */
int nb_add_diffuse(const nb_scene *scene, const nb_diffuse *diffuse, nb_kernel kernel, int64_t pixel_begin,
                   int64_t pixel_end, double *photons, const volatile int *cancel) {
    static const volatile int never = 0;
    if (!nb_kernel_available(kernel)) return NB_ERR_KERNEL;
    const int status = nb_diffuse_check(diffuse);
    if (status != NB_OK) return status;
    if (scene == NULL) return NB_ERR_NULL_ARGUMENT;
    if (scene->n_phi != 1) return NB_ERR_TOO_LARGE;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (photons == NULL && pixel_begin < pixel_end) return NB_ERR_NULL_ARGUMENT;
    return nb_add_diffuse_by(scene, diffuse, diffuse_sums(kernel), pixel_begin, pixel_end, photons,
                             cancel == NULL ? &never : cancel);
}

/* The sum over reflections of diffuse scattering alone, see imaging.h. */
int nb_diffuse_at(const nb_diffuse *diffuse, nb_kernel kernel, int64_t n, const double *hkl, double *out) {
    if (!nb_kernel_available(kernel)) return NB_ERR_KERNEL;
    const int status = nb_diffuse_check(diffuse);
    if (status != NB_OK) return status;
    if (diffuse->is_map) return NB_ERR_TOO_LARGE;
    if (n > 0 && (hkl == NULL || out == NULL)) return NB_ERR_NULL_ARGUMENT;
    nb_diffuse_at_by(diffuse, diffuse_sums(kernel), n, hkl, out);
    return NB_OK;
}
