/* Measures what the core can do at most in double precision: independent fused multiply-adds, nothing else. */
#include "fma_peak.h"

#include <time.h>

double process_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Twelve chains: more than latency (4 cycles) times throughput (2 per cycle) asks for. */
#define CHAINS 12
#define PROBE(name, isa, type, fma, all)                                                                               \
    __attribute__((target(isa))) static double name(long rounds) {                                                     \
        type chain[CHAINS];                                                                                            \
        const type factor = all(0.999999), term = all(1e-7);                                                           \
        for (int i = 0; i < CHAINS; i++)                                                                               \
            chain[i] = all(1.0 + 1e-3 * i);                                                                            \
        for (long round = 0; round < rounds; round++) {                                                                \
            for (int i = 0; i < CHAINS; i++)                                                                           \
                chain[i] = fma(chain[i], factor, term);                                                                \
        }                                                                                                              \
        double sum = 0.0;                                                                                              \
        for (int i = 0; i < CHAINS; i++)                                                                               \
            sum += chain[i][0];                                                                                        \
        return sum;                                                                                                    \
    }
#define ADD_OF_PRODUCT(x, y, z) _mm_add_pd(_mm_mul_pd(x, y), z)
PROBE(probe_avx512, "avx512f,prefer-vector-width=512", __m512d, _mm512_fmadd_pd, _mm512_set1_pd)
PROBE(probe_avx2, "avx2,fma", __m256d, _mm256_fmadd_pd, _mm256_set1_pd)
PROBE(probe_baseline, "sse2", __m128d, ADD_OF_PRODUCT, _mm_set1_pd)

double fma_peak(const char *isa, long rounds) {
    const int wide = isa[3] == '5', none = isa[0] == 'b';
    double (*probe)(long) = none ? probe_baseline : wide ? probe_avx512 : probe_avx2;
    volatile double sink;
    const double start = process_seconds();
    sink = probe(rounds);
    (void)sink;
    return (double)rounds * CHAINS * 2 * (none ? 2 : wide ? 8 : 4) / (process_seconds() - start);
}
#else
double fma_peak(const char *isa, long rounds) {
    (void)isa, (void)rounds;
    return 0.0;
}
#endif
