/* What gradients and tangents share: the rows of pixels that they go through, and the points of these. */
#ifndef NB_SIMD_ROWS_H
#define NB_SIMD_ROWS_H

#include "adjoint.h"
#include "simd_entries.h"
#include "simd_orientations.h"

/* Values of the pixels of a block. Rows that are read together must not lie a power of two apart: the first cache could
 * not hold them all. */
#define ROW (BLOCK + SUM_LANES)

/* The terms of one orientation on their own, added times `factor` to the sum of the row as well. */
static void evaluate_apart(nb_slope_term *term, const nb_model *model, const nb_slope_row *row, const nb_line hkl[3],
                           double factor, double *terms) {
    nb_slope_row apart = *row;
    apart.sum = terms;
    fill(terms, row->row.n, 0.0);
    term(model, &apart, hkl);
    for (int i = 0; i < row->row.n; i += LANES)
        vd_store(row->sum + i, vd_fma(vd_all(factor), vd_load(terms + i), vd_load(row->sum + i)));
}

/* A row whose weights are `factor` times those of another, kept in `weighted`. */
static nb_slope_row row_weighted(const nb_slope_row *row, double factor, double *weighted) {
    nb_slope_row other = *row;
    other.weight = weighted;
    for (int i = 0; i < row->row.n; i += LANES)
        vd_store(weighted + i, vd_all(factor) * vd_load(row->weight + i));
    return other;
}

static int slope_lookup(const nb_scene *scene, const nb_model *model, const nb_block *block, const nb_line hkl[3],
                        double reach) {
    const int lookup = model->table == NULL ? CONSTANT
                       : scene->curved      ? MIXED
                                            : choose_lookup(model, block, hkl, reach);
    return lookup != CONSTANT && model->interpolate ? INTERPOLATED : lookup;
}

/* Some of the pixels of a row, side by side. */
typedef struct {
    ALIGNED double along[ROW], inverse[ROW], along_inverse[ROW], weight[ROW], sum[ROW], radial[ROW];
    ALIGNED double moment[6][ROW];
    int kept[BLOCK + 1], n; /* which, and how many */
} nb_sparse;

static nb_slope_row sparse_take(nb_sparse *sparse, const nb_slope_row *whole, int moments) {
    nb_slope_row row = *whole;
    row.row = (nb_row){
        sparse->along, sparse->inverse, {NULL, NULL, NULL}, (sparse->n + SUM_LANES - 1) / SUM_LANES * SUM_LANES};
    row.along_inverse = sparse->along_inverse, row.weight = sparse->weight;
    row.sum = sparse->sum, row.radial = sparse->radial;
    for (int k = 0; k < moments; k++)
        row.moment[k] = sparse->moment[k];
    for (int i = 0; i < row.row.n; i++) {
        const int from = sparse->kept[i < sparse->n ? i : sparse->n - 1];
        sparse->along[i] = whole->row.along[from], sparse->inverse[i] = whole->row.inverse[from];
        sparse->along_inverse[i] = whole->along_inverse[from];
        sparse->weight[i] = i < sparse->n ? whole->weight[from] : 0.0;
        sparse->sum[i] = whole->sum[from], sparse->radial[i] = whole->radial[from];
        for (int k = 0; k < moments; k++)
            sparse->moment[k][i] = whole->moment[k][from];
    }
    return row;
}

static void sparse_give(const nb_sparse *sparse, const nb_slope_row *whole, int moments) {
    for (int i = 0; i < sparse->n; i++) {
        const int to = sparse->kept[i];
        whole->sum[to] = sparse->sum[i], whole->radial[to] = sparse->radial[i];
        for (int k = 0; k < moments; k++)
            whole->moment[k][to] = sparse->moment[k][i];
    }
}

/* Capture fraction x solid angle of a vector; sensor: whether there is the first of these. */
NB_INLINE vd geometric(const nb_block *block, const int sensor, int i) {
    vd factor = vd_load(block->solid_angle + i);
    if (sensor) factor = factor * vd_load(block->capture + i);
    return factor;
}

/* The derivative of the capture fraction by the absorption along the normal, times the cosine of the ray with that. */
NB_INLINE vd capture_slope(double absorption, double layer, vd cosine) {
    const vd front = vd_exp(vd_all(-layer * absorption) / cosine);
    const vd back = vd_exp(vd_all(-(layer + 1.0) * absorption) / cosine);
    return vd_fnma(vd_all(layer), front, vd_all(layer + 1.0) * back);
}

static nb_pass pass_of(const nb_scene *scene, const nb_block *block, int64_t source) {
    const double *incident = scene->incident + 3 * source;
    const double extent = largest(block->base) + fabs(block->along[block->n - 1]) * largest(scene->fast);
    return (nb_pass){incident, 1.0 / scene->wavelength[source], 3.0 * (extent * block->inverse_sum + largest(incident)),
                     NULL, NULL};
}

/* The points of a sub-pixel and layer, with their solid angles and capture fractions. */
static void find_point(const nb_scene *scene, nb_block *block, int32_t layer, int32_t sub_slow, int32_t sub_fast,
                       double *along_inverse) {
    place(scene, block, layer, sub_slow, sub_fast);
    solid_angles(scene, block);
    if (scene->has_sensor) capture_fractions(scene, block, layer);
    for (int i = 0; i < block->row.n; i += LANES)
        vd_store(along_inverse + i, vd_load(block->along + i) * vd_load(block->inverse + i));
}

/* The pixels of the block that begins at `begin`: as many of a row as fit. */
static void next_block(const nb_scene *scene, int64_t begin, int64_t end, nb_block *block) {
    const int64_t most = end - begin < BLOCK ? end - begin : BLOCK;
    block->row = (nb_row){.along = block->along, .inverse = block->inverse};
    for (int k = 0; scene->curved && k < 3; k++)
        block->row.direction[k] = block->direction[k];
    block->interpolate = 0;
    block->pixels = scene->pixels + begin;
    block->slow = scene->pixels[begin] / scene->n_fast;
    block->n = count_before(block->pixels, (int)most, (block->slow + 1) * scene->n_fast);
}

#endif
