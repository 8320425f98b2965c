/* Derivatives of the terms by the entries of the table: which ones they look up, and what these get. */
#ifndef NB_SIMD_ENTRIES_H
#define NB_SIMD_ENTRIES_H

#include "simd_slopes.h"

NB_INLINE vd slope_index(const nb_slope_row *row, const line_lanes *line, int i) {
    if (row->row.direction[0] != NULL) return line_value(&row->row, line, i, 1);
    return line_value(&row->row, line, i, 0);
}

/* Where the structure factors of a vector of terms stand in the table, and 2/F, which makes of a term its derivative by
 * F; 0 where F is. Returns the lanes that are in the table; the others have default_F. */
NB_INLINE vi entries(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, vi *at,
                     vd *per_term) {
    vd place[3];
    vi inside = vi_all(-1);
    for (int k = 0; k < 3; k++) {
        const vd nearest = vd_round(slope_index(row, lines + k, i));
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
        h[k] = slope_index(row, lines + k, i);
    const nb_stencil stencil = stencil_at(model, h);
    for (int k = 0; k < 3; k++)
        lagrange_weights(stencil.offset[k], weights[k]);
    for (int lane = 0; lane < LANES; lane++)
        f_cell[lane] = stencil_sum(model->table, &stencil, weights, lane);
    const vd f = vd_load(f_cell);
    *per_term = vd_select(f == vd_all(0.0), vd_all(0.0), vd_all(2.0) / f);
    return stencil;
}

/* What the nodes around the indices of one lane get from its term; `part`: weight x term x 2/F. */
NB_INLINE void pull_nodes(const nb_stencil *stencil, double weights[3][4][LANES], int lane, double part,
                          double *table) {
    double *node = table + stencil->start[lane];
    const v4 last = {weights[2][0][lane], weights[2][1][lane], weights[2][2][lane], weights[2][3][lane]};
    for (int n = 0; n < 4; n++) {
        for (int m = 0; m < 4; m++)
            *(v4 *)(node + n * stencil->stride[0] + m * stencil->stride[1]) +=
                part * weights[0][n][lane] * weights[1][m][lane] * last;
    }
}

/* What the structure factors get from the terms of one orientation, pixel after pixel, so that the length of the
 * vectors does not show. */
static void pull_table(const nb_model *model, const nb_slope_row *row, const nb_line hkl[3], int lookup,
                       const double *terms, const nb_gradient *g) {
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    for (int i = 0; i < row->row.n; i += LANES) {
        double weights[3][4][LANES] __attribute__((aligned(64)));
        nb_stencil stencil = {.fits = vi_all(0)};
        vi at;
        vd per_term, of_nodes = vd_all(0.0);
        if (lookup == INTERPOLATED) stencil = stencils(model, row, lines, i, weights, &of_nodes);
        const vi inside = entries(model, row, lines, i, &at, &per_term);
        const vd strength = vd_load(row->weight + i) * vd_load(terms + i);
        const vd parts = strength * vd_select(stencil.fits, of_nodes, per_term);
        for (int lane = 0; lane < LANES; lane++) {
            if (stencil.fits[lane]) {
                if (g->f_table != NULL) pull_nodes(&stencil, weights, lane, parts[lane], g->f_table);
            } else if (!inside[lane]) {
                *g->default_F += parts[lane];
            } else if (g->f_table != NULL) {
                g->f_table[at[lane]] += parts[lane];
            }
        }
    }
}

#endif
