/* Structure factors by tricubic interpolation between the entries of the table. */
#ifndef NB_SIMD_INTERPOLATION_H
#define NB_SIMD_INTERPOLATION_H

#include "simd_model.h"
#include "simd_vector.h"

/* Four neighbouring entries of the table. */
typedef double v4 __attribute__((vector_size(32), aligned(8), may_alias));

/* Weights of the nodes -1, 0, 1, 2 for the cubic through their values at 0 <= x < 1 (nb_lagrange). */
NB_INLINE void lagrange_weights(vd x, double weights[4][LANES]) {
    const vd below = x + vd_all(1.0), above = x - vd_all(1.0), last = x - vd_all(2.0);
    vd_store(weights[0], x * above * last * vd_all(-1.0 / 6.0));
    vd_store(weights[1], below * above * last * vd_all(0.5));
    vd_store(weights[2], below * x * last * vd_all(-0.5));
    vd_store(weights[3], below * x * above * vd_all(1.0 / 6.0));
}

/* Where the entry for the whole numbers hkl is in the table. All sums are exact. */
NB_INLINE vi table_index(const nb_model *model, const vd hkl[3]) {
    vd place = vd_fma(hkl[1], vd_all(model->stride[1]), hkl[2] + vd_all(MAGIC - model->origin));
    place = vd_fma(hkl[0], vd_all(model->stride[0]), place);
    return (vi)place - vi_all(MAGIC_BITS);
}

/* Interpolated structure factors at the indices h of a vector; returns the lanes whose 4 x 4 x 4 nodes lie inside the
 * table (nb_stencil_fits); the others have no meaning. */
NB_INLINE vi interpolated(const nb_model *model, const vd h[3], vd *f_cell) {
    double weights[3][4][LANES] __attribute__((aligned(64))), result[LANES] __attribute__((aligned(64)));
    vd whole[3];
    vi fits = vi_all(-1);
    for (int k = 0; k < 3; k++) {
        const vd floor = vd_floor(h[k]);
        whole[k] = vd_clamp(floor, vd_all(model->stencil_first[k]), vd_all(model->stencil_last[k]));
        fits &= whole[k] == floor;
        lagrange_weights(h[k] - whole[k], weights[k]);
    }
    const int64_t stride[2] = {(int64_t)model->stride[0], (int64_t)model->stride[1]};
    const vi start = table_index(model, whole) - vi_all(stride[0] + stride[1] + 1);
    for (int lane = 0; lane < LANES; lane++) {
        const double *node = model->table + start[lane];
        v4 along_l = {0.0, 0.0, 0.0, 0.0};
        for (int i = 0; i < 4; i++) {
            v4 plane = weights[1][0][lane] * *(const v4 *)(node + i * stride[0]);
            for (int j = 1; j < 4; j++)
                plane += weights[1][j][lane] * *(const v4 *)(node + i * stride[0] + j * stride[1]);
            along_l += weights[0][i][lane] * plane;
        }
        result[lane] = (weights[2][0][lane] * along_l[0] + weights[2][1][lane] * along_l[1]) +
                       (weights[2][2][lane] * along_l[2] + weights[2][3][lane] * along_l[3]);
    }
    *f_cell = vd_load(result);
    return fits;
}

#endif
