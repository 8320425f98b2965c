/* Noise and point spread as the program noisify makes them, in its order of operations. */
#include "imaging.h"

#include <math.h>
#include <stddef.h>

#define FIBER_WIDTH 0.652383013252053 /* distance of the fiber's face in units of the FWHM: 1/(2 sqrt(2^(2/3) - 1)) */
#define LOST_SIGMAS 0.1               /* photons that may be lost, in units of sqrt(photons) */
#define FAINTEST 0.01                 /* photons at which the formula for the radius ends (NF_PSF_GAUSS_FAINT) */

/* Counts in place of expected photons.
 *
 * Given:
 *   n            pixels
 *   flicker, calibration  rms of the factors that every pixel receives
 * Given and returned:
 *   rng, state, calibration_state  one shuffle table and one spare deviate serve both streams (NF_CALIB_NOT_STATIC)
 *   photons      (n) expected photons, then counts
 * Returned:
 *   total        sum of the counts
 */
NB_WARN_UNUSED int nb_original_counts(nb_rng *rng, int64_t *state, int64_t *calibration_state, int64_t n,
                                      double flicker, double calibration, float *photons, double *total) {
    if (rng == NULL || state == NULL || calibration_state == NULL || photons == NULL || total == NULL)
        return NB_ERR_NULL_ARGUMENT;
    *total = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double mean = (double)photons[i];
        if (flicker > 0.0) mean = mean * (1.0 + flicker * (double)nb_gaussian(rng, state));
        if (calibration > 0.0) mean = mean * (1.0 + calibration * (double)nb_gaussian(rng, calibration_state));
        photons[i] = nb_poisson(rng, state, (float)mean);
        *total += (double)photons[i];
    }
    return NB_OK;
}

/* Radius at which a pixel may stop spreading its photons: beyond it lies a tenth of the counting error.
 *
 * Given:    kind; width FWHM [pixels]; photons > 0
 * Returned: radius [pixels], at least 1, at most INT32_MAX
 */
int64_t nb_original_psf_radius(nb_psf_kind kind, double width, double photons) {
    double loss = LOST_SIGMAS * sqrt(photons) / photons, radius = 0.0;
    if (kind == NB_PSF_FIBER) radius = 1.0 + ceil(FIBER_WIDTH * width / loss);
    if (kind == NB_PSF_GAUSS) radius = photons > FAINTEST ? 1.0 + ceil(sqrt(-log(loss) / log(16.0)) * width) : 1.0;
    return radius >= (double)INT32_MAX ? INT32_MAX : radius >= 1.0 ? (int64_t)radius : 1;
}

/* Integral of the point spread over the quarter plane below and left of (x, y) [pixels], but for terms that cancel. */
static double corner(nb_psf_kind kind, double width, double x, double y) {
    if (kind == NB_PSF_GAUSS) {
        x = x / width, y = y / width;
        return 0.125 * (erf(2.0 * x * sqrt(log(2.0))) * erf(y * sqrt(log(16.0))) * sqrt(log(16.0) / log(2.0)));
    }
    double g = FIBER_WIDTH * width;
    return atan((x * y) / (g * sqrt(g * g + x * x + y * y))) / 2.0 / NB_PI;
}

/* Fraction of the photons that falls outside a circle. */
static double outside(nb_psf_kind kind, double width, double radius) {
    if (kind == NB_PSF_GAUSS) return exp(-log(16.0) * (radius / width) * (radius / width));
    double g = FIBER_WIDTH * width;
    return g / sqrt(g * g + radius * radius);
}

static int64_t within(int64_t radius, int64_t largest) {
    radius = radius > largest ? largest : radius;
    return radius < 1 ? 1 : radius;
}

/* Spread the photons of every pixel over its neighbors.
 *
 * Given:
 *   kind, width      point spread and its FWHM [pixels]
 *   radius           of the kernel, 1 ... max(n_fast, n_slow)
 *   automatic        every pixel ends at a radius of its own, see nb_original_psf_radius
 *   photons          (n_slow, n_fast); pixels that are not above 0 vanish
 *   kernel           (2 radius + 1, 2 radius + 1) room for the kernel
 * Returned:
 *   spread           (n_slow n_fast + 1), the last element is beyond the image; photons right of the image come out in
 *                    the next row (NF_PSF_WRAP)
 *   lost             photons beyond the radii, which every pixel gets an equal part of
 */
NB_WARN_UNUSED int nb_original_spread(nb_psf_kind kind, double width, int64_t radius, int32_t automatic, int64_t n_fast,
                                      int64_t n_slow, const float *photons, double *kernel, float *spread,
                                      double *lost) {
    if (photons == NULL || kernel == NULL || spread == NULL || lost == NULL) return NB_ERR_NULL_ARGUMENT;
    const int64_t n = n_fast * n_slow, largest = n_fast > n_slow ? n_fast : n_slow, side = 2 * radius + 1;
    if (radius < 1 || radius > largest) return NB_ERR_TOO_LARGE;
    for (int64_t x = -radius; x <= radius; x++)
        for (int64_t y = -radius; y <= radius; y++) {
            double a = (double)x + 0.5, b = (double)x - 0.5, c = (double)y + 0.5, d = (double)y - 0.5;
            kernel[(x + radius) * side + y + radius] = x * x + y * y > radius * radius
                                                           ? 0.0
                                                           : corner(kind, width, a, c) - corner(kind, width, a, d) -
                                                                 corner(kind, width, b, c) + corner(kind, width, b, d);
        }
    for (int64_t i = 0; i <= n; i++)
        spread[i] = 0.0f;
    *lost = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double value = (double)photons[i];
        if (!(value > 0.0)) continue;
        const int64_t fast = i % n_fast, slow = i / n_fast;
        int64_t r = automatic ? within(nb_original_psf_radius(kind, width, value), largest) : radius;
        if (r > radius) r = radius;
        *lost += value * outside(kind, width, (double)r);
        const int64_t x_end = n_fast - fast < r ? n_fast - fast : r, y_end = n_slow - slow < r ? n_slow - slow : r;
        for (int64_t x = fast < r ? -fast : -r; x <= x_end; x++)
            for (int64_t y = slow < r ? -slow : -r; y <= y_end; y++) {
                const double fraction = kernel[(x + radius) * side + y + radius];
                const int64_t target = (slow + y) * n_fast + fast + x;
                if (fraction == 0.0 || x * x + y * y > r * r || target > n) continue;
                spread[target] = (float)((double)spread[target] + value * fraction);
            }
    }
    for (int64_t i = 0; i < n; i++)
        spread[i] = (float)((double)spread[i] + *lost / (double)n);
    return NB_OK;
}
