/* Vectors of doubles for the instruction set that the file is compiled for.
 *
 * Every operation acts lane by lane and is correctly rounded, so AVX2 and AVX-512 give the same bits. Without hardware
 * FMA, vd_fma rounds twice.
 */
#ifndef NB_SIMD_VECTOR_H
#define NB_SIMD_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define LANES 8
#elif defined(__AVX2__) && defined(__FMA__)
#define LANES 4
#else
#define LANES 2
#endif

#if LANES > 2
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define NB_INLINE static inline __attribute__((always_inline))

/* Vectors that go through the operations together, so that each step has several independent ones to hide its latency
 * behind. */
#define GROUP 4

/* Rows of the adjoint are padded to this many pixels and summed in as many lanes, whatever the instruction set. */
#define SUM_LANES 16

/* Vectors of the adjoint that go through the operations together: on the widest, the three axes do, and what is to be
 * kept for each of them then stays in registers. */
#define SLOPE_GROUP (LANES == 8 ? 1 : GROUP)

/* Rows are padded to this many pixels: a group of the widest vectors. */
#define NB_SIMD_PAD 32

typedef double vd __attribute__((vector_size(8 * LANES), may_alias));
typedef int64_t vi __attribute__((vector_size(8 * LANES), may_alias));

/* Adding and subtracting it rounds to the nearest whole number, up to 2^51; between the two, the low bits of the sum
 * are that number. */
#define MAGIC 6755399441055744.0
#define MAGIC_BITS INT64_C(0x4338000000000000)

NB_INLINE vd vd_load(const double *p) {
    return *(const vd *)p;
}

NB_INLINE void vd_store(double *p, vd x) {
    *(vd *)p = x;
}

NB_INLINE vd vd_all(double x) {
#if LANES == 8
    return (vd){x, x, x, x, x, x, x, x};
#elif LANES == 4
    return (vd){x, x, x, x};
#else
    return (vd){x, x};
#endif
}

/* Copies n values; `past_cache`: without reading what was there before, for what is too large to be found in the cache
 * later. Ends with copied_rows. */
static inline void copy_row(double *to, const double *from, int n, int past_cache) {
    int i = 0;
#if LANES > 2
    if (past_cache && n > 2) {
        if ((uintptr_t)to % 16 != 0) to[0] = from[0], i = 1;
        for (; i + 2 <= n; i += 2)
            _mm_stream_pd(to + i, _mm_loadu_pd(from + i));
    }
#endif
    (void)past_cache;
    memcpy(to + i, from + i, (size_t)(n - i) * sizeof *to);
}

static inline void copied_rows(void) {
#if LANES > 2
    _mm_sfence();
#endif
}

/* 0, 1, 2, ... */
NB_INLINE vd vd_count(void) {
#if LANES == 8
    return (vd){0, 1, 2, 3, 4, 5, 6, 7};
#elif LANES == 4
    return (vd){0, 1, 2, 3};
#else
    return (vd){0, 1};
#endif
}

NB_INLINE vi vi_all(int64_t x) {
#if LANES == 8
    return (vi){x, x, x, x, x, x, x, x};
#elif LANES == 4
    return (vi){x, x, x, x};
#else
    return (vi){x, x};
#endif
}

/* x y + z */
NB_INLINE vd vd_fma(vd x, vd y, vd z) {
#if LANES == 8
    return (vd)_mm512_fmadd_pd((__m512d)x, (__m512d)y, (__m512d)z);
#elif LANES == 4
    return (vd)_mm256_fmadd_pd((__m256d)x, (__m256d)y, (__m256d)z);
#elif defined(__aarch64__)
    return (vd)vfmaq_f64((float64x2_t)z, (float64x2_t)x, (float64x2_t)y);
#else
    return x * y + z;
#endif
}

/* z - x y */
NB_INLINE vd vd_fnma(vd x, vd y, vd z) {
    return vd_fma(-x, y, z);
}

NB_INLINE vd vd_sqrt(vd x) {
#if LANES == 8
    return (vd)_mm512_sqrt_pd((__m512d)x);
#elif LANES == 4
    return (vd)_mm256_sqrt_pd((__m256d)x);
#else
    return (vd){sqrt(x[0]), sqrt(x[1])};
#endif
}

/* Lanes of x where the mask is all ones, of y where it is 0. */
NB_INLINE vd vd_select(vi mask, vd x, vd y) {
    return (vd)((mask & (vi)x) | (~mask & (vi)y));
}

/* x held within [low, high]; low for NaN. */
NB_INLINE vd vd_clamp(vd x, vd low, vd high) {
#if LANES == 8
    return (vd)_mm512_min_pd(_mm512_max_pd((__m512d)x, (__m512d)low), (__m512d)high);
#elif LANES == 4
    return (vd)_mm256_min_pd(_mm256_max_pd((__m256d)x, (__m256d)low), (__m256d)high);
#else
    x = vd_select(x > low, x, low);
    return vd_select(x < high, x, high);
#endif
}

/* x where it is above 0, else 0; 0 for NaN. */
NB_INLINE vd vd_positive(vd x) {
#if LANES == 8
    return (vd)_mm512_max_pd((__m512d)x, _mm512_setzero_pd());
#elif LANES == 4
    return (vd)_mm256_max_pd((__m256d)x, _mm256_setzero_pd());
#else
    return vd_select(x > vd_all(0.0), x, vd_all(0.0));
#endif
}

/* Nearest whole number, for |x| < 2^51; the even one of two. */
NB_INLINE vd vd_round(vd x) {
#if LANES == 8
    return (vd)_mm512_roundscale_pd((__m512d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif LANES == 4
    return (vd)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__aarch64__)
    return (vd)vrndnq_f64((float64x2_t)x);
#else
    return (x + vd_all(MAGIC)) - vd_all(MAGIC);
#endif
}

/* Largest whole number that is not above x, for |x| < 2^51. */
NB_INLINE vd vd_floor(vd x) {
    const vd nearest = vd_round(x);
    return nearest - vd_select(nearest > x, vd_all(1.0), vd_all(0.0));
}

NB_INLINE vd vd_gather(const double *table, vi at) {
#if LANES == 8
    return (vd)_mm512_i64gather_pd((__m512i)at, table, 8);
#elif LANES == 4
    return (vd)_mm256_i64gather_pd(table, (__m256i)at, 8);
#else
    return (vd){table[at[0]], table[at[1]]};
#endif
}

/* x - vd_round(x) */
NB_INLINE vd vd_offset(vd x) {
#if LANES == 8
    return (vd)_mm512_reduce_pd((__m512d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    return x - vd_round(x);
#endif
}

/* The lanes together, by halves. */
NB_INLINE double vd_total(vd x) {
#if LANES == 8
    const __m256d four = _mm512_castpd512_pd256((__m512d)x) + _mm512_extractf64x4_pd((__m512d)x, 1);
    const __m128d two = _mm256_castpd256_pd128(four) + _mm256_extractf128_pd(four, 1);
    return two[0] + two[1];
#elif LANES == 4
    const __m128d two = _mm256_castpd256_pd128((__m256d)x) + _mm256_extractf128_pd((__m256d)x, 1);
    return two[0] + two[1];
#else
    return x[0] + x[1];
#endif
}

/* Whether the bits of the mask are set in every lane of x. */
NB_INLINE int vi_all_have(vi x, int64_t mask) {
#if LANES == 8
    return _mm512_cmpneq_epi64_mask((__m512i)(x & vi_all(mask)), _mm512_set1_epi64(mask)) == 0;
#elif LANES == 4
    return _mm256_testc_si256((__m256i)x, _mm256_set1_epi64x(mask));
#else
    return (x[0] & x[1] & mask) == mask;
#endif
}

/* Whether |x| < limit in any lane. */
NB_INLINE int vd_any_within(vd x, vd limit) {
#if LANES == 8
    return _mm512_cmp_pd_mask(_mm512_abs_pd((__m512d)x), (__m512d)limit, _CMP_LT_OQ) != 0;
#elif LANES == 4
    const __m256d size = _mm256_andnot_pd(_mm256_set1_pd(-0.0), (__m256d)x);
    return _mm256_movemask_pd(_mm256_cmp_pd(size, (__m256d)limit, _CMP_LT_OQ)) != 0;
#else
    return fabs(x[0]) < limit[0] || fabs(x[1]) < limit[1];
#endif
}

/* Whether any lane of a mask is set. */
NB_INLINE int vi_any(vi mask) {
#if LANES == 8
    return _mm512_movepi64_mask((__m512i)mask) != 0;
#elif LANES == 4
    return _mm256_movemask_pd((__m256d)mask) != 0;
#else
    return (mask[0] | mask[1]) != 0;
#endif
}

#endif
