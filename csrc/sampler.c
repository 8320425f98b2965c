/* Uniform, normal and Poisson deviates for the pixels of an image, each a function of seed, purpose, panel, frame,
 * pixel and number of the draw alone.
 */
#include "imaging.h"
#include "philox.h"

#include <math.h>
#include <stddef.h>

#define BLOCK 256 /* pixels that are encrypted together */

/* Two uniform deviates of one pixel: block number `block` of its stream. */
static void uniform_pair(const nb_stream *stream, uint32_t pixel, uint32_t block, double pair[2]) {
    uint32_t x[4] = {pixel, stream->panel, stream->frame, block};
    nb_philox_block(x, stream->seed, stream->purpose);
    pair[0] = nb_philox_unit(x[0], x[1]);
    pair[1] = nb_philox_unit(x[2], x[3]);
}

/* The same for n <= BLOCK pixels in a row; a loop over pixels inside the rounds, which compilers turn into vectors. */
static void uniform_pairs(const nb_stream *stream, uint32_t first, int n, uint32_t block, double *one, double *two) {
    uint32_t a[BLOCK], b[BLOCK], c[BLOCK], d[BLOCK], k0 = stream->seed, k1 = stream->purpose;
    for (int i = 0; i < BLOCK; i++) {
        a[i] = first + (uint32_t)i, b[i] = stream->panel;
        c[i] = stream->frame, d[i] = block;
    }
    for (int round = 0; round < NB_PHILOX_ROUNDS; round++) {
        for (int i = 0; i < BLOCK; i++) {
            const uint64_t p0 = (uint64_t)NB_PHILOX_M0 * a[i], p1 = (uint64_t)NB_PHILOX_M1 * c[i];
            a[i] = (uint32_t)(p1 >> 32) ^ b[i] ^ k0, c[i] = (uint32_t)(p0 >> 32) ^ d[i] ^ k1;
            b[i] = (uint32_t)p1, d[i] = (uint32_t)p0;
        }
        k0 += NB_PHILOX_W0, k1 += NB_PHILOX_W1;
    }
    for (int i = 0; i < n; i++)
        one[i] = nb_philox_unit(a[i], b[i]);
    for (int i = 0; i < n; i++)
        two[i] = nb_philox_unit(c[i], d[i]);
}

static double polynomial(const double *coefficient, double x) {
    double sum = coefficient[7];
    for (int i = 6; i >= 0; i--)
        sum = sum * x + coefficient[i];
    return sum;
}

/* The normal deviate below which a fraction p lies.
 *
 * Given:     p, within 0 and 1, both excluded
 * Returned:  to 1e-15
 * Reference: Wichura, Appl. Statist. 37 (1988) 477, algorithm AS 241.
 */
double nb_normal_quantile(double p) {
    static const double A[8] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double B[8] = {1.0,
                                4.2313330701600911252e1,
                                6.8718700749205790830e2,
                                5.3941960214247511077e3,
                                2.1213794301586595867e4,
                                3.9307895800092710610e4,
                                2.8729085735721942674e4,
                                5.2264952788528545610e3};
    static const double C[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double D[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double E[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double F[8] = {1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    const double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        const double r = 0.180625 - q * q;
        return q * polynomial(A, r) / polynomial(B, r);
    }
    double r = sqrt(-log(q < 0.0 ? p : 1.0 - p)), size;
    if (r <= 5.0) {
        r -= 1.6;
        size = polynomial(C, r) / polynomial(D, r);
    } else {
        r -= 5.0;
        size = polynomial(E, r) / polynomial(F, r);
    }
    return q < 0.0 ? -size : size;
}

/* k ln(k/m) + m - k without the loss of digits near k = m.
 *
 * Reference: Loader, "Fast and accurate computation of binomial probabilities" (2000), the deviance part D0; the series
 * of the logarithm to 2^-53 within |v| < 0.1.
 */
static double deviance(double k, double m) {
    const double v = (k - m) / (k + m);
    if (fabs(v) >= 0.1) return k * log(k / m) + m - k;
    const double w = v * v;
    const double even =
        1.0 / 3 + w * (1.0 / 5 + w * (1.0 / 7 + w * (1.0 / 9 + w * (1.0 / 11 + w * (1.0 / 13 + w * (1.0 / 15))))));
    return (k - m) * v + 2.0 * k * v * w * even;
}

/* Error of Stirling's formula: ln k! - (k + 1/2) ln k + k - ln(2 pi)/2, for k >= 1. */
static double stirling_error(double k) {
    static const double small[16] = {
        0.0,
        0.0810614667953272582196702,
        0.0413406959554092940938221,
        0.02767792568499833914878929,
        0.02079067210376509311152277,
        0.01664469118982119216319487,
        0.01387612882307074799874573,
        0.01189670994589177009505572,
        0.010411265261972096497478567,
        0.009255462182712732917728637,
        0.008330563433362871256469318,
        0.007573675487951840794972024,
        0.006942840107209529865664152,
        0.006408994188004207068439631,
        0.005951370112758847735624416,
        0.005554733551962801371038690,
    };
    if (k < 16.0) return small[(int)k];
    const double x = 1.0 / (k * k);
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 * x) * x) * x) * x) / k;
}

/* Whether a density is at most the Poisson probability of k; k >= 0. */
static int below_probability(double density, double k, double mean) {
    static const double two_pi = 6.28318530717958647692;
    if (k == 0.0) return log(density) <= -mean;
    return log(density * sqrt(two_pi * k)) <= -stirling_error(k) - deviance(k, mean);
}

#define INVERSION_BELOW 18.0
#define N_RECIPROCALS 128
#define NORMAL_FROM 1e15 /* where a double holds no single photon any more */

/* Poisson deviate of a mean below INVERSION_BELOW: the first k whose cumulative probability reaches u. */
static double by_inversion(double mean, double u) {
    static const double reciprocal[24] = {0.0,      1.0,      1.0 / 2,  1.0 / 3,  1.0 / 4,  1.0 / 5,
                                          1.0 / 6,  1.0 / 7,  1.0 / 8,  1.0 / 9,  1.0 / 10, 1.0 / 11,
                                          1.0 / 12, 1.0 / 13, 1.0 / 14, 1.0 / 15, 1.0 / 16, 1.0 / 17,
                                          1.0 / 18, 1.0 / 19, 1.0 / 20, 1.0 / 21, 1.0 / 22, 1.0 / 23};
    double term = exp(-mean), sum = term;
    int k = 0;
    while (u > sum && k < N_RECIPROCALS) { /* beyond 127 the probability is below 2^-52 */
        k++;
        term *= k < 24 ? mean * reciprocal[k] : mean / (double)k;
        sum += term;
    }
    return (double)k;
}

/* Poisson deviate by transformed rejection; the first pair of uniform deviates is at hand.
 *
 * Reference: Hoermann, Insurance: Mathematics and Economics 12 (1993) 39, algorithm PTRS; exact for means from 10.
 */
static double by_rejection(const nb_stream *stream, uint32_t pixel, double mean, double first, double second) {
    const double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    const double quick = 0.9277 - 3.6224 / (b - 2.0);
    double pair[2] = {first, second};
    for (uint32_t block = 1;; block++) {
        const double u = pair[0] - 0.5, v = pair[1], us = 0.5 - fabs(u);
        const double k = floor((2.0 * a / us + b) * u + mean + 0.445);
        if (us >= 0.07 && v <= quick) return k;
        if (k >= 0.0 && (us >= 0.013 || v <= us)) {
            const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
            if (below_probability(v * inverse_alpha / (a / (us * us) + b), k, mean)) return k;
        }
        uniform_pair(stream, pixel, block, pair);
    }
}

NB_WARN_UNUSED int nb_sample_uniform(const nb_stream *stream, uint32_t first, int64_t n, double *out) {
    if (stream == NULL || (out == NULL && n > 0)) return NB_ERR_NULL_ARGUMENT;
    double one[BLOCK], two[BLOCK];
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int length = n - begin < BLOCK ? (int)(n - begin) : BLOCK;
        uniform_pairs(stream, first + (uint32_t)begin, length, stream->draw, one, two);
        for (int i = 0; i < length; i++)
            out[begin + i] = one[i];
    }
    return NB_OK;
}

NB_WARN_UNUSED int nb_sample_normal(const nb_stream *stream, uint32_t first, int64_t n, double *out) {
    const int status = nb_sample_uniform(stream, first, n, out);
    for (int64_t i = 0; status == NB_OK && i < n; i++)
        out[i] = nb_normal_quantile(out[i]);
    return status;
}

/* One Poisson deviate for each pixel.
 *
 * Given:
 *   stream  seed, purpose, panel, frame; `draw` counts from 0 by itself
 *   first   number of the first pixel
 *   mean    (n) >= 0; NaN and negative means give 0
 * Returned:
 *   out     (n) whole numbers; may be `mean`
 * Note: exact for means below 1e15, beyond which neighboring counts have one float64; there a rounded normal deviate.
 */
NB_WARN_UNUSED int nb_sample_poisson(const nb_stream *stream, uint32_t first, int64_t n, const double *mean,
                                     double *out) {
    if (stream == NULL || ((out == NULL || mean == NULL) && n > 0)) return NB_ERR_NULL_ARGUMENT;
    double one[BLOCK], two[BLOCK];
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int length = n - begin < BLOCK ? (int)(n - begin) : BLOCK;
        const uint32_t pixel = first + (uint32_t)begin;
        uniform_pairs(stream, pixel, length, 0, one, two);
        for (int i = 0; i < length; i++) {
            const double m = mean[begin + i];
            double count = 0.0;
            if (m >= NORMAL_FROM)
                count = floor(m + sqrt(m) * nb_normal_quantile(one[i]) + 0.5);
            else if (m >= INVERSION_BELOW)
                count = by_rejection(stream, pixel + (uint32_t)i, m, one[i], two[i]);
            else if (m > 0.0)
                count = by_inversion(m, one[i]);
            out[begin + i] = count;
        }
    }
    return NB_OK;
}
