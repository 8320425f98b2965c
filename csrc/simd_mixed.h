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

/* scale sin(pi x) from x in units of 2^-32. */
NB_INLINE void sinpi_mixed(const vj fraction[GROUP / 2], float scale, vf out[GROUP / 2]) {
    /* sin(pi x)/x as a function of x^2. Largest relative error 5.3e-9 before rounding. */
    static const float P[5] = {3.14159263690F, -5.16770968480F, 2.55006972641F, -0.598242126841F, 0.0775603877265F};
    vf x[GROUP / 2], sqr[GROUP / 2];
    for (int v = 0; v < GROUP / 2; v++) {
        x[v] = __builtin_convertvector(fraction[v], vf) * vf_all(0x1p-32F);
        sqr[v] = x[v] * x[v];
        out[v] = vf_all(scale * P[4]);
    }
    for (int term = 3; term >= 0; term--) {
        for (int v = 0; v < GROUP / 2; v++)
            out[v] = vf_fma(out[v], sqr[v], vf_all(scale * P[term]));
    }
    for (int v = 0; v < GROUP / 2; v++)
        out[v] = x[v] * out[v];
}

/* (prod sin(pi N f)/sin(pi f))^2 from the indices; `scale` and `apart` as for grating_sqr. */
NB_INLINE void grating_sqr_mixed(const double n[3], const vd h[3][GROUP], double scale, vd out[GROUP], vi *apart) {
    /* its unit of the last place is 2^-32: the low half of the sum is the fraction */
    const vd shift = vd_all(1572864.0);
    vf above[3][GROUP / 2], below[3][GROUP / 2];
    for (int k = 0; k < 3; k++) {
        vj fraction[GROUP / 2], product[GROUP / 2];
        for (int v = 0; v < GROUP / 2; v++) {
            /* never 0: a shift by 2^-32 at most */
            fraction[v] = low_halves(h[k][2 * v] + shift, h[k][2 * v + 1] + shift) | 1;
            product[v] = (vj)((vu)fraction[v] * (uint32_t)n[k]);
        }
        sinpi_mixed(fraction, (float)scale, below[k]);
        sinpi_mixed(product, (float)scale, above[k]);
        for (int v = 0; v < GROUP / 2; v++)
            *apart &= (vi)below[k][v];
    }
    for (int v = 0; v < GROUP / 2; v++) {
        vf ratio = (above[0][v] * above[1][v] * above[2][v]) / (below[0][v] * below[1][v] * below[2][v]);
        ratio = ratio * ratio;
        out[2 * v] = widen(ratio, 0);
        out[2 * v + 1] = widen(ratio, 1);
    }
}

#endif
