/* What the scalar and the vector background have in common, and the vector variants, one per instruction set. */
#ifndef NB_BACKGROUND_H
#define NB_BACKGROUND_H

#include "imaging.h"

#include <stddef.h>

/* The interval of a table with an index that holds s, from the step of the index that it lies in. */
static inline int32_t nb_background_interval(const nb_background *b, int32_t step, double s) {
    const int32_t last = (int32_t)b->n_table - 2;
    int32_t at = (int32_t)b->index[step];
    for (int32_t more = 0; more < b->index_steps; more++) {
        const int32_t next = at < last ? at + 1 : last;
        at = s >= b->stol[next] ? next : at;
    }
    return at;
}

/* Whether the arguments of nb_add_background can be worked on. */
static inline int nb_background_check(const nb_background *b, int64_t n_pixels, int64_t first, const double *photons,
                                      const int64_t *beyond) {
    if (b == NULL || beyond == NULL || (n_pixels > 0 && photons == NULL)) return NB_ERR_NULL_ARGUMENT;
    if (first < 0) return NB_ERR_PIXEL_RANGE;
    if (b->n_table < 2 || (b->index != NULL && b->n_index < 1) || b->oversample < 1 || b->n_fast < 1)
        return NB_ERR_BELOW_ONE;
    return NB_OK;
}

/* How many of the pixels, at most n >= 1, lie in the row that begins at `start`; the first one does. */
static inline int64_t nb_background_in_row(const int64_t *pixels, int64_t n, int64_t start, int64_t n_fast) {
    int64_t outside = 0;
    for (int64_t i = 0; i < n; i++)
        outside += (uint64_t)(pixels[i] - start) >= (uint64_t)n_fast;
    if (outside == 0) return n;
    int64_t i = 1;
    while (i < n && (uint64_t)(pixels[i] - start) < (uint64_t)n_fast)
        i++;
    return i;
}

/* The background of a flat detector by the vector kernel of an instruction set. */
#define NB_DECLARE_SIMD_BACKGROUND(isa)                                                                                \
    void nb_simd_background_##isa(const nb_background *b, int64_t n_pixels, const int64_t *pixels, int64_t first,      \
                                  double *photons, int64_t *beyond)
NB_DECLARE_SIMD_BACKGROUND(avx2);
NB_DECLARE_SIMD_BACKGROUND(avx512);

#endif
