/* Derivatives of the terms by the entries of the table: which ones they look up, and what these get. */
#ifndef NB_SIMD_ENTRIES_H
#define NB_SIMD_ENTRIES_H

#include "simd_slopes.h"

/* Where the structure factors of a vector of terms stand in the table, and 2/F, which makes of a term its derivative by
 * F; 0 where F is. Returns the lanes that are in the table; the others have default_F. */
NB_INLINE vi entries(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, vi *at,
                     vd *per_term) {
    vd place[3];
    vi inside = vi_all(-1);
    for (int k = 0; k < 3; k++) {
        const vd nearest = vd_round(line_value(&row->row, lines + k, i, 0));
        place[k] = vd_clamp(nearest, vd_all(model->first[k]), vd_all(model->last[k]));
        inside &= place[k] == nearest;
    }
    *at = table_index(model, place);
    const vd f_cell = vd_select(inside, vd_gather(model->table, *at), vd_all(model->outside));
    *per_term = vd_select(f_cell == vd_all(0.0), vd_all(0.0), vd_all(2.0) / f_cell);
    return inside;
}

/* The nodes between which the structure factors of a vector of terms are interpolated, with their weights, and 2/F. */
NB_INLINE nb_stencil stencils(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i,
                              double weights[3][4][LANES], vd *per_term) {
    double f_cell[LANES] __attribute__((aligned(64)));
    vd h[3];
    for (int k = 0; k < 3; k++)
        h[k] = line_value(&row->row, lines + k, i, 0);
    const nb_stencil stencil = stencil_at(model, h);
    for (int k = 0; k < 3; k++)
        lagrange_weights(stencil.offset[k], weights[k]);
    for (int lane = 0; lane < LANES; lane++)
        f_cell[lane] = stencil_sum(model->table, &stencil, weights, lane);
    const vd f = vd_load(f_cell);
    *per_term = vd_select(f == vd_all(0.0), vd_all(0.0), vd_all(2.0) / f);
    return stencil;
}

/* What the nodes get from the terms of a vector; returns the lanes that have any. */
static vi pull_nodes(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i,
                     const double *terms, double *table) {
    double weights[3][4][LANES] __attribute__((aligned(64)));
    vd per_term;
    const nb_stencil stencil = stencils(model, row, lines, i, weights, &per_term);
    const vd parts = vd_load(row->weight + i) * vd_load(terms + i) * per_term;
    for (int lane = 0; table != NULL && lane < LANES; lane++) {
        if (!stencil.fits[lane]) continue;
        double *node = table + stencil.start[lane];
        const v4 last = {weights[2][0][lane], weights[2][1][lane], weights[2][2][lane], weights[2][3][lane]};
        for (int n = 0; n < 4; n++) {
            for (int m = 0; m < 4; m++) {
                const double part = parts[lane] * weights[0][n][lane] * weights[1][m][lane];
                *(v4 *)(node + n * stencil.stride[0] + m * stencil.stride[1]) += part * last;
            }
        }
    }
    return stencil.fits;
}

/* What the structure factors get from the terms of one orientation. */
static void pull_table(const nb_model *model, const nb_slope_row *row, const nb_line hkl[3], int lookup,
                       const double *terms, const nb_gradient *g) {
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    for (int i = 0; i < row->row.n; i += LANES) {
        vi at, served = vi_all(0);
        vd per_term;
        if (lookup == INTERPOLATED) served = pull_nodes(model, row, lines, i, terms, g->f_table);
        const vi inside = entries(model, row, lines, i, &at, &per_term);
        const vd parts = vd_load(row->weight + i) * vd_load(terms + i) * per_term;
        for (int lane = 0; lane < LANES; lane++) {
            if (served[lane]) continue;
            if (!inside[lane])
                *g->default_F += parts[lane];
            else if (g->f_table != NULL)
                g->f_table[at[lane]] += parts[lane];
        }
    }
}

#endif
