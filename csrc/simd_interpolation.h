/* Structure factors by tricubic interpolation between the entries of the table. */
#ifndef NB_SIMD_INTERPOLATION_H
#define NB_SIMD_INTERPOLATION_H

#include "simd_model.h"
#include "simd_vector.h"

/* Four neighboring entries of the table. */
typedef double v4 __attribute__((vector_size(32), aligned(8), may_alias));

/* Weights of the nodes -1, 0, 1, 2 for the cubic through their values at 0 <= x < 1 (nb_lagrange). */
NB_INLINE void lagrange_weights(vd x, double weights[4][LANES]) {
    const vd below = x + vd_all(1.0), above = x - vd_all(1.0), last = x - vd_all(2.0);
    vd_store(weights[0], x * above * last * vd_all(-1.0 / 6.0));
    vd_store(weights[1], below * above * last * vd_all(0.5));
    vd_store(weights[2], below * x * last * vd_all(-0.5));
    vd_store(weights[3], below * x * above * vd_all(1.0 / 6.0));
}

/* Their derivatives by x. */
NB_INLINE void lagrange_rates(vd x, double rates[4][LANES]) {
    const vd below = x + vd_all(1.0), above = x - vd_all(1.0), last = x - vd_all(2.0);
    vd_store(rates[0], (above * last + x * last + x * above) * vd_all(-1.0 / 6.0));
    vd_store(rates[1], (above * last + below * last + below * above) * vd_all(0.5));
    vd_store(rates[2], (x * last + below * last + below * x) * vd_all(-0.5));
    vd_store(rates[3], (x * above + below * above + below * x) * vd_all(1.0 / 6.0));
}

/* Where the entry for the whole numbers hkl is in the table. All sums are exact. */
NB_INLINE vi table_index(const nb_model *model, const vd hkl[3]) {
    vd place = vd_fma(hkl[1], vd_all(model->stride[1]), hkl[2] + vd_all(MAGIC - model->origin));
    place = vd_fma(hkl[0], vd_all(model->stride[0]), place);
    return (vi)place - vi_all(MAGIC_BITS);
}

/* The 4 x 4 x 4 nodes around the indices of a vector. */
typedef struct {
    vi start, fits; /* place of the first one, and the lanes where all lie inside the table (nb_stencil_fits) */
    vd offset[3];   /* of the index from the node before it */
    int64_t stride[2];
} nb_stencil;

NB_INLINE nb_stencil stencil_at(const nb_model *model, const vd h[3]) {
    nb_stencil stencil = {.fits = vi_all(-1), .stride = {(int64_t)model->stride[0], (int64_t)model->stride[1]}};
    vd whole[3];
    for (int k = 0; k < 3; k++) {
        const vd floor = vd_floor(h[k]);
        whole[k] = vd_clamp(floor, vd_all(model->stencil_first[k]), vd_all(model->stencil_last[k]));
        stencil.fits &= whole[k] == floor;
        stencil.offset[k] = h[k] - whole[k];
    }
    stencil.start = table_index(model, whole) - vi_all(stencil.stride[0] + stencil.stride[1] + 1);
    return stencil;
}

/* The sum of weights x values of a table at the nodes of one lane. */
NB_INLINE double stencil_sum(const double *table, const nb_stencil *stencil, double weights[3][4][LANES], int lane) {
    const double *node = table + stencil->start[lane];
    v4 along_l = {0.0, 0.0, 0.0, 0.0};
    for (int i = 0; i < 4; i++) {
        v4 plane = weights[1][0][lane] * *(const v4 *)(node + i * stencil->stride[0]);
        for (int j = 1; j < 4; j++)
            plane += weights[1][j][lane] * *(const v4 *)(node + i * stencil->stride[0] + j * stencil->stride[1]);
        along_l += weights[0][i][lane] * plane;
    }
    return (weights[2][0][lane] * along_l[0] + weights[2][1][lane] * along_l[1]) +
           (weights[2][2][lane] * along_l[2] + weights[2][3][lane] * along_l[3]);
}

/* Interpolated structure factors at the indices h of a vector; returns the lanes where they have a meaning. */
NB_INLINE vi interpolated(const nb_model *model, const vd h[3], vd *f_cell) {
    double weights[3][4][LANES] __attribute__((aligned(64))), result[LANES] __attribute__((aligned(64)));
    const nb_stencil stencil = stencil_at(model, h);
    for (int k = 0; k < 3; k++)
        lagrange_weights(stencil.offset[k], weights[k]);
    for (int lane = 0; lane < LANES; lane++)
        result[lane] = stencil_sum(model->table, &stencil, weights, lane);
    *f_cell = vd_load(result);
    return stencil.fits;
}

/* The same with the derivatives by the indices. */
NB_INLINE vi interpolated_slopes(const nb_model *model, const vd h[3], vd *f_cell, vd by_h[3]) {
    double weights[3][4][LANES] __attribute__((aligned(64))), rates[3][4][LANES] __attribute__((aligned(64)));
    double result[4][LANES] __attribute__((aligned(64))); /* the value and its derivatives */
    const nb_stencil stencil = stencil_at(model, h);
    for (int k = 0; k < 3; k++) {
        lagrange_weights(stencil.offset[k], weights[k]);
        lagrange_rates(stencil.offset[k], rates[k]);
    }
    for (int lane = 0; lane < LANES; lane++) {
        const double *node = model->table + stencil.start[lane];
        v4 value = {0.0, 0.0, 0.0, 0.0}, by_h0 = value, by_h1 = value;
        v4 last = {weights[2][0][lane], weights[2][1][lane], weights[2][2][lane], weights[2][3][lane]};
        v4 rate = {rates[2][0][lane], rates[2][1][lane], rates[2][2][lane], rates[2][3][lane]};
        for (int i = 0; i < 4; i++) {
            v4 plane = {0.0, 0.0, 0.0, 0.0}, turn = plane;
            for (int j = 0; j < 4; j++) {
                const v4 row = *(const v4 *)(node + i * stencil.stride[0] + j * stencil.stride[1]);
                plane += weights[1][j][lane] * row;
                turn += rates[1][j][lane] * row;
            }
            value += weights[0][i][lane] * plane;
            by_h0 += rates[0][i][lane] * plane;
            by_h1 += weights[0][i][lane] * turn;
        }
        rate *= value, value *= last, by_h0 *= last, by_h1 *= last;
        result[0][lane] = (value[0] + value[1]) + (value[2] + value[3]);
        result[1][lane] = (by_h0[0] + by_h0[1]) + (by_h0[2] + by_h0[3]);
        result[2][lane] = (by_h1[0] + by_h1[1]) + (by_h1[2] + by_h1[3]);
        result[3][lane] = (rate[0] + rate[1]) + (rate[2] + rate[3]);
    }
    *f_cell = vd_load(result[0]);
    for (int k = 0; k < 3; k++)
        by_h[k] = vd_load(result[k + 1]);
    return stencil.fits;
}

#endif
