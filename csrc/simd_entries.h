/* Derivatives of the terms by the entries of the table: which ones they look up, and what these get. */
#ifndef NB_SIMD_ENTRIES_H
#define NB_SIMD_ENTRIES_H

#include "simd_slopes.h"

NB_INLINE vd slope_index(const nb_slope_row *row, const line_lanes *line, int i) {
    if (row->row.direction[0] != NULL) return line_value(&row->row, line, i, 1);
    return line_value(&row->row, line, i, 0);
}

/* Where the structure factors of a vector of terms stand in the table. Returns the lanes that are in it; the others
 * have default_F. */
NB_INLINE vi places(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, vi *at) {
    vd place[3];
    vi inside = vi_all(-1);
    for (int k = 0; k < 3; k++) {
        const vd nearest = vd_round(slope_index(row, lines + k, i));
        place[k] = vd_clamp(nearest, vd_all(model->first[k]), vd_all(model->last[k]));
        inside &= place[k] == nearest;
    }
    *at = table_index(model, place);
    return inside;
}

/* 2/F, which makes of a term its derivative by F; 0 where F is. */
NB_INLINE vd per_amplitude(vd f_cell) {
    return vd_select(f_cell == vd_all(0.0), vd_all(0.0), vd_all(2.0) / f_cell);
}

/* As places, with the 2/F of these terms. */
NB_INLINE vi entries(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, vi *at,
                     vd *per_term) {
    const vi inside = places(model, row, lines, i, at);
    *per_term = per_amplitude(vd_select(inside, vd_gather(model->table, *at), vd_all(model->outside)));
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
    *per_term = per_amplitude(vd_load(f_cell));
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
 * vectors does not show: where all of them are wanted. */
static void pull_whole_table(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int lookup,
                             const double *terms, const nb_entry_sums *sums) {
    double *table = sums->values == NULL ? NULL : sums->values + sums->first, scratch = 0.0;
    double *outside = sums->default_F == NULL ? &scratch : sums->default_F;
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
                if (table != NULL) pull_nodes(&stencil, weights, lane, parts[lane], table);
            } else if (!inside[lane]) {
                *outside += parts[lane];
            } else if (table != NULL) {
                table[at[lane]] += parts[lane];
            }
        }
    }
}

/* As pull_nodes, for the nodes that are wanted. */
static void pull_wanted_nodes(const nb_stencil *stencil, double weights[3][4][LANES], int lane, double part,
                              nb_entry_sums *sums) {
    for (int n = 0; n < 4; n++) {
        for (int m = 0; m < 4; m++) {
            const int64_t node = stencil->start[lane] + n * stencil->stride[0] + m * stencil->stride[1];
            if (!nb_four_wanted(sums, node)) continue;
            for (int k = 0; k < 4; k++) {
                double *sum = nb_entry_sum(sums, node + k);
                if (sum != NULL) *sum += part * weights[0][n][lane] * weights[1][m][lane] * weights[2][k][lane];
            }
        }
    }
}

/* Lanes whose entries may be wanted (nb_filter_bit). */
NB_INLINE vi may_be_wanted(const nb_entry_sums *sums, vi entry) {
    entry += vi_all(sums->first);
    const vi bit = (entry ^ entry >> 15) & vi_all(NB_FILTER_BITS - 1);
    const vi word = (vi)vd_gather(sums->filter.words, bit >> 6);
    return (vi)((word & vi_all(1) << (bit & vi_all(63))) != vi_all(0));
}

/* Where few entries are wanted: the first vector from the pixel `i` on whose terms depend on any; the end of the row.
 */
static int next_wanted(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, int lookup,
                       nb_entry_sums *sums) {
    for (; i < row->row.n; i += LANES) {
        nb_stencil stencil = {.fits = vi_all(0)};
        vi at;
        const vi inside = places(model, row, lines, i, &at);
        if (lookup == INTERPOLATED) {
            const vd h[3] = {slope_index(row, lines, i), slope_index(row, lines + 1, i),
                             slope_index(row, lines + 2, i)};
            stencil = stencil_at(model, h);
        }
        const vi other = sums->default_F == NULL ? (vi)(inside & may_be_wanted(sums, at)) : vi_all(-1);
        if (!vi_any(stencil.fits | other)) continue;
        for (int lane = 0; lane < LANES; lane++) {
            if (stencil.fits[lane]) {
                if (nb_nodes_wanted(sums, stencil.start[lane], stencil.stride)) return i;
            } else if ((inside[lane] ? nb_entry_sum(sums, at[lane]) : sums->default_F) != NULL) {
                return i;
            }
        }
    }
    return i;
}

/* The same as pull_whole_table where few entries are wanted, from the vector `i` on, which next_wanted has found. */
static void pull_wanted(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, int lookup,
                        const double *terms, nb_entry_sums *sums) {
    for (; i < row->row.n; i = next_wanted(model, row, lines, i + LANES, lookup, sums)) {
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
                pull_wanted_nodes(&stencil, weights, lane, parts[lane], sums);
            } else {
                double *sum = inside[lane] ? nb_entry_sum(sums, at[lane]) : sums->default_F;
                if (sum != NULL) *sum += parts[lane];
            }
        }
    }
}

#endif
