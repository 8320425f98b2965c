/* The tangents of the sum for blocks of pixels of one detector row; adjoint.c has the sum, simd_adjoint.h the row form.
 *
 * An orientation's indices move by (dA + dB along) inverse + dg, nine numbers for each direction, and with the inverse
 * airpath; what goes through that, and through the factor of the pass, is added per pass. On a curved detector they
 * move by dv . direction + dg, twelve numbers, and with the direction.
 */
#ifndef NB_SIMD_TANGENT_H
#define NB_SIMD_TANGENT_H

#include "simd_causes.h"

/* What is left of the rounding of derivatives that are 0, as of one axis by the length of another, is dropped: some
 * units in the last place of the largest of the three axes. Returns the axes that move, one bit each. */
NB_INLINE int drop_rounding(double lines[N_LINES], const int n) {
    int axes = 0;
    for (int c = 0; c < n; c++) {
        const double most = fmax(fabs(lines[c]), fmax(fabs(lines[c + n]), fabs(lines[c + 2 * n])));
        for (int j = 0; j < 3; j++) {
            if (fabs(lines[n * j + c]) <= 1e-15 * most) lines[n * j + c] = 0.0;
            if (lines[n * j + c] != 0.0) axes |= 1 << j;
        }
    }
    return axes;
}

/* How the lines of the indices move in every direction, for one orientation; and which axes do. */
NB_INLINE void move_lines_of(const nb_scene *scene, const nb_push *push, const nb_pass *pass, int64_t at,
                             double lines[NB_TOGETHER][N_LINES], int axes[NB_TOGETHER], const int curved) {
    const double *base = push->block.base, *cell = scene->orientations + 9 * at;
    const int n = line_length(curved);
    for (int k = 0; k < push->directions->n; k++) {
        const nb_motion *motion = push->motion + k;
        const double *moved = push->directions->tangent[k].orientations;
        if (moved != NULL && is_zero(moved + 9 * at, 9)) moved = NULL;
        const int turns = moved != NULL || motion->wavenumber != 0.0;
        for (int j = 0; j < 3; j++) {
            double *line = lines[k] + n * j, vector[3];
            for (int c = 0; c < n; c++)
                line[c] = 0.0;
            if (turns) {
                for (int i = 0; i < 3; i++) {
                    vector[i] = cell[3 * j + i] * motion->wavenumber;
                    if (moved != NULL) vector[i] += moved[9 * at + 3 * j + i] * pass->inverse_wavelength;
                }
                line[0] = curved ? vector[0] : dot(vector, base);
                line[1] = curved ? vector[1] : dot(vector, scene->fast);
                if (curved) line[2] = vector[2];
                line[n - 1] = -dot(vector, pass->incident);
            }
            if (motion->still) continue;
            for (int i = 0; i < 3; i++)
                vector[i] = cell[3 * j + i] * pass->inverse_wavelength;
            if (!curved) line[0] += dot(vector, motion->base), line[1] += dot(vector, motion->fast);
            line[n - 1] -= dot(vector, motion->incident);
        }
        axes[k] = drop_rounding(lines[k], n);
    }
}

static void move_lines(const nb_scene *scene, const nb_push *push, const nb_pass *pass, int64_t at,
                       double lines[NB_TOGETHER][N_LINES], int axes[NB_TOGETHER]) {
    if (scene->curved)
        move_lines_of(scene, push, pass, at, lines, axes, 1);
    else
        move_lines_of(scene, push, pass, at, lines, axes, 0);
}

/* Add the slopes of one orientation along every direction to what `started` says is there. */
NB_INLINE void add_moved(const nb_slope_row *row, int n, double lines[NB_TOGETHER][N_LINES],
                         const int axes[NB_TOGETHER], int started, double (*terms)[ROW], const int curved) {
    const int length = line_length(curved);
    for (int i = 0; i < row->row.n; i += LANES) {
        const vd slope[3] = {vd_load(row->slope[0] + i), vd_load(row->slope[1] + i), vd_load(row->slope[2] + i)};
        vd parts[N_LINES];
        line_parts(&row->row, row->along_inverse, i, slope, parts, curved);
        for (int k = 0; k < n; k++) {
            if (started && axes[k] == 0) continue;
            vd sum = started ? vd_load(terms[k] + i) : vd_all(0.0);
            for (int j = 0; j < 3; j++) {
                for (int c = length * j; axes[k] >> j & 1 && c < length * j + length; c++)
                    sum = vd_fma(parts[c], vd_all(lines[k][c]), sum);
            }
            vd_store(terms[k] + i, sum);
        }
    }
}

/* Add the tangents of the interpolated structure factors of a vector of terms, and of those beside them. */
static void move_nodes(const nb_model *model, const nb_slope_row *row, const line_lanes lines[3], int i, double factor,
                       const nb_directions *directions, int64_t first, const double *values, double (*terms)[ROW]) {
    double weights[3][4][LANES] __attribute__((aligned(64))), nodes[LANES] __attribute__((aligned(64)));
    vi at;
    vd between, alone;
    const nb_stencil stencil = stencils(model, row, lines, i, weights, &between);
    const vi inside = entries(model, row, lines, i, &at, &alone);
    const vd rate = vd_all(factor) * vd_load(values + i) * vd_select(stencil.fits, between, alone);
    for (int k = 0; k < directions->n; k++) {
        const nb_gradient *t = directions->tangent + k;
        const double *table = t->f_table == NULL ? NULL : t->f_table + first;
        const vd entry = table == NULL ? vd_all(0.0) : vd_gather(table, at);
        for (int lane = 0; lane < LANES; lane++)
            nodes[lane] = table == NULL ? 0.0 : stencil_sum(table, &stencil, weights, lane);
        const vd moved = vd_select(stencil.fits, vd_load(nodes), vd_select(inside, entry, vd_all(*t->default_F)));
        vd_store(terms[k] + i, vd_fma(rate, moved, vd_load(terms[k] + i)));
    }
}

/* Add the tangents of the structure factors of one orientation's terms, whose domain has the weight `factor`. */
static void move_table(const nb_model *model, const nb_slope_row *row, const nb_line hkl[3], int lookup, double factor,
                       const nb_directions *directions, int64_t first, const double *values, double (*terms)[ROW]) {
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    for (int i = 0; i < row->row.n; i += LANES) {
        vi at;
        vd per_term;
        if (lookup == INTERPOLATED) {
            move_nodes(model, row, lines, i, factor, directions, first, values, terms);
            continue;
        }
        const vi inside = entries(model, row, lines, i, &at, &per_term);
        const vd rate = vd_all(factor) * vd_load(values + i) * per_term;
        for (int k = 0; k < directions->n; k++) {
            const nb_gradient *t = directions->tangent + k;
            const vd entry = t->f_table == NULL ? vd_all(0.0) : vd_gather(t->f_table + first, at);
            const vd moved = vd_select(inside, entry, vd_all(*t->default_F));
            vd_store(terms[k] + i, vd_fma(rate, moved, vd_load(terms[k] + i)));
        }
    }
}

/* The orientations [begin, end) for the pixels of a row; returns whether there is anything in `terms` now. */
static int push_orientations(const nb_scene *scene, const nb_model *model, nb_push *push, const nb_pass *pass,
                             int64_t begin, int64_t end, const nb_slope_row *row, int started, double (*terms)[ROW]) {
    nb_slope_term *const *slopes = SLOPES[model->lattice][scene->curved != 0];
    for (int64_t at = begin; at < end; at++) {
        nb_line hkl[3];
        double lines[NB_TOGETHER][N_LINES];
        int axes[NB_TOGETHER];
        hkl_lines(scene, &push->block, pass, scene->orientations + 9 * at, hkl);
        const int lookup = slope_lookup(scene, model, &push->block, hkl, pass->reach);
        if (lookup == CONSTANT && model->outside == 0.0) continue;
        const double factor = nb_domain_weight(scene, at);
        if (scene->domain_weight != NULL) {
            const nb_slope_row weighted = row_weighted(row, factor, push->weighted);
            evaluate_apart(slopes[lookup], model, &weighted, hkl, factor, push->values);
        } else if (push->directions->table)
            evaluate_apart(slopes[lookup], model, row, hkl, 1.0, push->values);
        else
            slopes[lookup](model, row, hkl);
        move_lines(scene, push, pass, at, lines, axes);
        if (scene->curved)
            add_moved(row, push->directions->n, lines, axes, started, terms, 1);
        else
            add_moved(row, push->directions->n, lines, axes, started, terms, 0);
        if (push->directions->table)
            move_table(model, row, hkl, lookup, factor, push->directions, push->first, push->values, terms);
        started = 1;
    }
    return started;
}

/* The slopes of the only orientation and its lines; what they move is left to add_tangents. */
static void push_alone(const nb_scene *scene, const nb_model *model, nb_push *push, const nb_pass *pass,
                       const nb_slope_row *row, double lines[NB_TOGETHER][N_LINES]) {
    nb_line hkl[3];
    int axes[NB_TOGETHER];
    hkl_lines(scene, &push->block, pass, scene->orientations, hkl);
    const int lookup = slope_lookup(scene, model, &push->block, hkl, pass->reach);
    if (lookup == CONSTANT && model->outside == 0.0) {
        for (int k = 0; k < 3; k++)
            fill(push->slope[k], row->row.n, 0.0);
    } else {
        SLOPES[model->lattice][scene->curved != 0][lookup](model, row, hkl);
    }
    move_lines(scene, push, pass, 0, lines, axes);
}

/* The same without the pixels where every term is exactly 0. */
static void push_groups(const nb_scene *scene, const nb_model *model, nb_push *push, const nb_pass *pass,
                        const nb_slope_row *whole) {
    nb_sparse sparse;
    ALIGNED double terms[NB_TOGETHER][ROW];
    for (int g = 0; g < model->n_groups; g++) {
        const nb_group *group = model->groups + g;
        sparse.n = find_kept(scene, model, &push->block, pass, group, sparse.kept);
        if (sparse.n == 0) continue;
        if (2 * sparse.n > push->block.n) {
            push_orientations(scene, model, push, pass, group->begin, group->end, whole, 1, push->terms);
            continue;
        }
        const nb_slope_row row = sparse_take(&sparse, whole, n_moments(model));
        for (int k = 0; k < push->directions->n; k++)
            fill(terms[k], row.row.n, 0.0);
        push_orientations(scene, model, push, pass, group->begin, group->end, &row, 1, terms);
        sparse_give(&sparse, whole, n_moments(model));
        for (int k = 0; k < push->directions->n; k++) {
            for (int i = 0; i < sparse.n; i++)
                push->terms[k][sparse.kept[i]] += terms[k][i];
        }
    }
}

/* Numbers that fill a cache of the second level. */
#define LARGE (1 << 17)

/* Vectors that are worked on together, so that an effect is read once for all of them. */
#define ABREAST 4

/* The causes that a direction moves, and how. */
typedef struct {
    int n, cause[N_CAUSES];
    double effect[N_CAUSES];
} nb_effects;

static void gather_effects(const nb_scene *scene, const nb_motion *motion, int moments, const double *lines,
                           nb_effects *found) {
    const int curved = scene->curved;
    const int ranges[][2] = {{POSITION, curved ? N_BENT : 3},
                             {SCALE, 3},
                             {POLAR, !scene->polarized ? 0
                                     : curved          ? 6
                                                       : 3},
                             {MOMENT, moments},
                             {ABSORPTION, !scene->has_sensor ? 0
                                          : curved           ? 4
                                                             : 3},
                             {LINES, lines == NULL ? 0 : 3 * line_length(curved)}};
    found->n = 0;
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        for (int c = ranges[r][0]; c < ranges[r][0] + ranges[r][1]; c++) {
            const double effect = c < LINES ? motion->effect[c] : lines[c - LINES];
            found->cause[found->n] = c, found->effect[found->n] = effect;
            found->n += effect != 0.0;
        }
    }
}

/* The tangents of a pass: those that have one of the causes, and those of the lines of its terms, which are given where
 * there is one orientation and in `terms` where there are more. */
NB_INLINE void add_tangents(const nb_scene *scene, const nb_model *model, nb_push *push, int64_t source, int32_t layer,
                            double (*lines)[N_LINES], const int curved) {
    const line_lanes normal = line_lanes_of(scene, &push->block, scene->normal, 0.0);
    const int alone = lines != NULL, started = push->started, n = push->directions->n, moments = n_moments(model);
    nb_effects effects[NB_TOGETHER];
    for (int k = 0; k < n; k++)
        gather_effects(scene, push->motion + k, moments, alone ? lines[k] : NULL, effects + k);
    push->started = 1;
    for (int i = 0; i < push->block.row.n; i += ABREAST * LANES) {
        vd causes[ABREAST][N_CAUSES], weight[ABREAST];
        for (int v = 0; v < ABREAST; v++)
            weight[v] = find_causes(scene, push, scene->weight[source], &normal, layer, moments, alone, i + v * LANES,
                                    causes[v], curved);
        for (int k = 0; k < n; k++) {
            const nb_effects *moved = effects + k;
            double *image = push->image[k] + i;
            vd sum[ABREAST];
            for (int v = 0; v < ABREAST; v++) {
                sum[v] = started ? vd_load(image + v * LANES) : vd_all(0.0);
                if (!alone) sum[v] = vd_fma(weight[v], vd_load(push->terms[k] + i + v * LANES), sum[v]);
            }
            for (int c = 0; c < moved->n; c++) {
                for (int v = 0; v < ABREAST; v++)
                    sum[v] = vd_fma(causes[v][moved->cause[c]], vd_all(moved->effect[c]), sum[v]);
            }
            for (int v = 0; v < ABREAST; v++)
                vd_store(image + v * LANES, sum[v]);
        }
    }
}

static void clear_terms(nb_push *push) {
    for (int k = 0; k < push->directions->n; k++)
        fill(push->terms[k], push->block.row.n, 0.0);
}

static void push_source(const nb_scene *scene, nb_model *model, nb_push *push, int64_t source, int32_t layer) {
    nb_block *block = &push->block;
    const double wavelength = scene->wavelength[source], *incident = scene->incident + 3 * source;
    const int any = scene->d_min > 0.0 ? keep(scene, block, incident, wavelength) : 1;
    if (scene->polarized) polarizations(scene, block, incident, 0, NULL);
    fill(block->pass_sum, block->row.n, 0.0);
    fill(push->radial, block->row.n, 0.0);
    for (int k = 0; scene->curved && k < 3; k++)
        fill(push->toward[k], block->row.n, 0.0);
    for (int j = 0; j < n_moments(model); j++)
        fill(push->moment[j], block->row.n, 0.0);
    const int64_t n = scene->n_phi * scene->n_domains;
    const int alone = n == 1 && any && model->n_groups == 0 && !push->directions->table && scene->domain_weight == NULL;
    double lines[NB_TOGETHER][N_LINES];
    if (!any || model->n_groups > 0) clear_terms(push);
    move_source(scene, push, source);
    if (any) {
        push->first = nb_first_entry(scene, source);
        if (scene->n_tables > 1) model->table = table_of(scene, source);
        const nb_pass pass = pass_of(scene, block, source);
        nb_slope_row row = {.row = block->row,
                            .along_inverse = push->along_inverse,
                            .weight = push->weight,
                            .sum = block->pass_sum,
                            .radial = push->radial};
        for (int k = 0; k < 6; k++)
            row.moment[k] = push->moment[k];
        for (int k = 0; k < 3; k++)
            row.slope[k] = push->slope[k], row.toward[k] = push->toward[k];
        if (model->n_groups > 0)
            push_groups(scene, model, push, &pass, &row);
        else if (alone)
            push_alone(scene, model, push, &pass, &row, lines);
        else if (!push_orientations(scene, model, push, &pass, 0, n, &row, 0, push->terms))
            clear_terms(push);
    }
    if (scene->curved)
        add_tangents(scene, model, push, source, layer, alone ? lines : NULL, 1);
    else
        add_tangents(scene, model, push, source, layer, alone ? lines : NULL, 0);
}

static int push_block(const nb_scene *scene, nb_model *model, nb_push *push, const volatile int *cancel) {
    nb_block *block = &push->block;
    block->row.n = (block->n + NB_SIMD_PAD - 1) / NB_SIMD_PAD * NB_SIMD_PAD;
    take_indices(scene, block);
    fill(push->weight, block->row.n, 1.0);
    push->started = 0;
    if (scene->d_min > 0.0) fill(block->seen, block->row.n, 0.0);
    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                find_point(scene, block, layer, sub_slow, sub_fast, push->along_inverse);
                move_point(scene, model, push, layer, row_along_slow(scene, block, sub_slow));
                for (int64_t source = 0; source < scene->n_sources; source++) {
                    if (*cancel) return NB_ERR_CANCELLED;
                    push_source(scene, model, push, source, layer);
                }
            }
        }
    }
    return NB_OK;
}

#define NB_SIMD_PUSH_PASTE(isa) nb_simd_push_##isa
#define NB_SIMD_PUSH(isa) NB_SIMD_PUSH_PASTE(isa)

int NB_SIMD_PUSH(NB_SIMD_ISA)(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end,
                              const nb_directions *directions, double *out, int64_t stride,
                              const volatile int *cancel) {
    nb_model model;
    nb_group groups[MAX_GROUPS];
    nb_push push;
    nb_model_make(scene, 0, groups, &model);
    const int past_cache = directions->n * (pixel_end - pixel_begin) > LARGE;
    push.directions = directions;
    push.polarized_by = -1;
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += push.block.n) {
        next_block(scene, begin, pixel_end, &push.block);
        int status = push_block(scene, &model, &push, cancel);
        if (status != NB_OK) return status;
        for (int k = 0; k < directions->n; k++)
            copy_row(out + k * stride + (begin - pixel_begin), push.image[k], push.block.n, past_cache);
    }
    copied_rows();
    return NB_OK;
}

#endif
