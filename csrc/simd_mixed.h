/* The squared lattice factor of square crystals in mixed precision, for kernel "fast".
 *
 * The indices are formed in double precision. Their offsets from the nearest integers become 32-bit fixed-point
 * fractions, in which N f mod 1 is an exact integer product; sines and quotients are evaluated in single precision.
 * Error: 4e-10 N in the phase and 5e-7 of the largest lattice factor; N is at most MIXED_CELLS.
 */
#ifndef NB_SIMD_MIXED_H
#define NB_SIMD_MIXED_H

#include "simd_vector.h"

/* Vectors of 32-bit lanes, two per lane of vd. */
typedef float vf __attribute__((vector_size(8 * LANES), may_alias));
typedef int32_t vj __attribute__((vector_size(8 * LANES), may_alias));
typedef uint32_t vu __attribute__((vector_size(8 * LANES), may_alias));

NB_INLINE vf vf_all(float x) {
    return x - (vf){0};
}

NB_INLINE vf vf_fma(vf x, vf y, vf z) {
#if LANES == 8
    return (vf)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z);
#elif LANES == 4
    return (vf)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z);
#else
    return x * y + z;
#endif
}

#if defined(__clang__)
#define SHUFFLE __builtin_shufflevector
#else
#define SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (vj){__VA_ARGS__})
#endif

/* The low halves of the 64-bit lanes of x, then those of y. */
NB_INLINE vj low_halves(vd x, vd y) {
#if LANES == 8
    return SHUFFLE((vj)x, (vj)y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif LANES == 4
    return SHUFFLE((vj)x, (vj)y, 0, 2, 4, 6, 8, 10, 12, 14);
#else
    return SHUFFLE((vj)x, (vj)y, 0, 2, 4, 6);
#endif
}

/* One half of the lanes, widened. */
NB_INLINE vd widen(vf x, const int upper) {
#if LANES == 8
    __m256 half = upper ? _mm512_extractf32x8_ps((__m512)x, 1) : _mm512_castps512_ps256((__m512)x);
    return (vd)_mm512_cvtps_pd(half);
#elif LANES == 4
    __m128 half = upper ? _mm256_extractf128_ps((__m256)x, 1) : _mm256_castps256_ps128((__m256)x);
    return (vd)_mm256_cvtps_pd(half);
#else
    return upper ? (vd){x[2], x[3]} : (vd){x[0], x[1]};
#endif
}

/* (prod sin(pi N f)/sin(pi f))^2 for two vectors of indices. */
NB_INLINE void grating_sqr_mixed(const double n[3], const vd h[2][3], vd out[2]) {
    /* its unit of the last place is 2^-32: the low half of the sum is the fraction */
    const vd scale = vd_all(1572864.0);
    vf x[6], sqr[6], sine[6];
    for (int k = 0; k < 3; k++) {
        vj fraction = low_halves(h[0][k] + scale, h[1][k] + scale) | 1; /* never 0: a shift by 2^-32 at most */
        vj product = (vj)((vu)fraction * (uint32_t)n[k]);
        x[k] = __builtin_convertvector(fraction, vf) * vf_all(0x1p-32F);
        x[3 + k] = __builtin_convertvector(product, vf) * vf_all(0x1p-32F);
    }
    /* sin(pi x)/x as a function of x^2. Largest relative error 5.3e-9 before rounding. */
    static const float P[5] = {3.14159263690F, -5.16770968480F, 2.55006972641F, -0.598242126841F, 0.0775603877265F};
    for (int i = 0; i < 6; i++)
        sqr[i] = x[i] * x[i];
    for (int i = 0; i < 6; i++)
        sine[i] = vf_all(P[4]);
    for (int term = 3; term >= 0; term--) {
        for (int i = 0; i < 6; i++)
            sine[i] = vf_fma(sine[i], sqr[i], vf_all(P[term]));
    }
    for (int i = 0; i < 6; i++)
        sine[i] = x[i] * sine[i];
    vf ratio = (sine[3] * sine[4] * sine[5]) / (sine[0] * sine[1] * sine[2]);
    ratio = ratio * ratio;
    out[0] = widen(ratio, 0);
    out[1] = widen(ratio, 1);
}

#endif
