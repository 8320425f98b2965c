#ifndef FMA_PEAK_H
#define FMA_PEAK_H

/* CPU time of the process [s]. */
double process_seconds(void);

/* Floating point operations per second of fused multiply-adds (two each) by "avx512" or "avx2", of products and sums by
 * "baseline". 0 where it cannot be measured. */
double fma_peak(const char *isa, long rounds);

#endif
