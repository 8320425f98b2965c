/* The gradient of the sum for blocks of pixels of one detector row; adjoint.c has the sum and its chain rule.
 *
 * On a row an index is h = (A + B along) inverse + g with A = v . base, B = v . fast, g = -v . incident, v =
 * axis/lambda, so that an orientation needs three sums an axis over the row: those of weight x slope times inverse,
 * along x inverse and 1. What goes through inverse = 1/airpath is collected per pixel. On a curved detector it is four
 * sums, with the components of the direction and 1, and all that goes through the direction is collected per pixel.
 * Sums over a row go through the same SUM_LANES lanes for every instruction set, so that AVX2 and AVX-512 give the same
 * bits.
 */
#ifndef NB_SIMD_ADJOINT_H
#define NB_SIMD_ADJOINT_H

#include "simd_curved.h"
#include "simd_matrix.h"
#include "simd_rows.h"

/* A block, and what is collected for its pixels at one point (layer and sub-pixel). */
typedef struct {
    nb_block block;
    ALIGNED double along_inverse[ROW];
    ALIGNED double cotangent[ROW]; /* 0 in the padding */
    ALIGNED double weight[ROW];    /* as in nb_slope_row */
    ALIGNED double weighted[ROW];  /* ... times the weight of a domain */
    ALIGNED double radial[ROW];
    ALIGNED double toward[3][ROW];
    ALIGNED double logarithmic[ROW]; /* derivative by log(1/airpath) through solid angle and, flat, polarization */
    ALIGNED double by_capture[ROW];
    ALIGNED double tilt[ROW];  /* derivative by the polarization, of a source, on a curved detector */
    ALIGNED double terms[ROW]; /* of one orientation, where the table's gradient is wanted */
    ALIGNED double moment[6][ROW];
    ALIGNED double slope[3][ROW];
    nb_gradient gradient; /* complete */
    nb_pull_sums *sums;
    double by_base[3], by_fast[3];        /* of the point: position = base + along fast */
    double by_incident[3], by_wavenumber; /* of the source */
    int64_t polarized_by;                 /* source of the polarizer, over blocks; -1 for none */
    nb_polarizer polarizer;
    double by_matrix[3][3]; /* of the polarizer */
} nb_pull;

static void add_scaled(double factor, const double x[3], double sum[3]) {
    for (int i = 0; i < 3; i++)
        sum[i] += factor * x[i];
}

/* What the sums of the slopes of one orientation mean for its axes, the point and the source. */
static void spread(const nb_scene *scene, nb_pull *pull, const nb_pass *pass, int64_t at, double sums[3][4]) {
    for (int k = 0; k < 3; k++) {
        const double *axis = scene->orientations + 9 * at + 3 * k;
        double by_vector[3];
        for (int i = 0; i < 3; i++) {
            const double of_position =
                scene->curved ? sums[k][i] : sums[k][0] * pull->block.base[i] + sums[k][1] * scene->fast[i];
            by_vector[i] = of_position - sums[k][3] * pass->incident[i];
        }
        if (pull->gradient.orientations != NULL)
            add_scaled(pass->inverse_wavelength, by_vector, pull->gradient.orientations + 9 * at + 3 * k);
        pull->by_wavenumber += dot(axis, by_vector);
        add_scaled(-sums[k][3] * pass->inverse_wavelength, axis, pull->by_incident);
        if (scene->curved) continue;
        add_scaled(sums[k][0] * pass->inverse_wavelength, axis, pull->by_base);
        add_scaled(sums[k][1] * pass->inverse_wavelength, axis, pull->by_fast);
    }
}

/* The terms of one orientation, with `factor` in the weights of the row and in the sum, and what the table gets. */
static void pull_orientation(nb_slope_term *const terms[N_LOOKUPS], const nb_model *model, nb_pull *pull,
                             const nb_slope_row *row, const nb_line hkl[3], int lookup, double factor) {
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    nb_entry_sums *sums = &pull->sums->entries;
    const int table = pull->sums->table, few = table && sums->wanted != NULL;
    const int first = few ? next_wanted(model, row, lines, 0, lookup, sums) : table ? 0 : row->row.n;
    if (first == row->row.n && factor == 1.0) {
        terms[lookup](model, row, hkl);
        return;
    }
    evaluate_apart(terms[lookup], model, row, hkl, factor, pull->terms);
    if (few)
        pull_wanted(model, row, lines, first, lookup, pull->terms, sums);
    else if (table)
        pull_whole_table(model, row, lines, lookup, pull->terms, sums);
}

/* The orientations [begin, end) for the pixels of a row, all or some of the block's. */
static void pull_orientations(const nb_scene *scene, const nb_model *model, nb_pull *pull, const nb_pass *pass,
                              int64_t begin, int64_t end, const nb_slope_row *row) {
    nb_slope_term *const *terms = SLOPES[model->lattice][scene->curved != 0];
    for (int64_t at = begin; at < end; at++) {
        nb_line hkl[3];
        double sums[3][4];
        hkl_lines(scene, &pull->block, pass, scene->orientations + 9 * at, hkl);
        const int lookup = slope_lookup(scene, model, &pull->block, hkl, pass->reach);
        if (lookup == CONSTANT && model->outside == 0.0) continue;
        if (scene->domain_weight != NULL) {
            const double factor = scene->domain_weight[at % scene->n_domains];
            const nb_slope_row weighted = row_weighted(row, factor, pull->weighted);
            pull_orientation(terms, model, pull, &weighted, hkl, lookup, factor);
        } else {
            pull_orientation(terms, model, pull, row, hkl, lookup, 1.0);
        }
        if (scene->curved)
            sum_slopes(row, 1, sums);
        else
            sum_slopes(row, 0, sums);
        spread(scene, pull, pass, at, sums);
    }
}

/* The same without the pixels where every term is exactly 0. */
static void pull_groups(const nb_scene *scene, const nb_model *model, nb_pull *pull, const nb_pass *pass,
                        const nb_slope_row *whole) {
    nb_sparse sparse;
    for (int g = 0; g < model->n_groups; g++) {
        const nb_group *group = model->groups + g;
        sparse.n = find_kept(scene, model, &pull->block, pass, group, sparse.kept);
        if (sparse.n == 0) continue;
        if (2 * sparse.n > pull->block.n) {
            pull_orientations(scene, model, pull, pass, group->begin, group->end, whole);
            continue;
        }
        const nb_slope_row row = sparse_take(&sparse, whole, n_moments(model));
        pull_orientations(scene, model, pull, pass, group->begin, group->end, &row);
        sparse_give(&sparse, whole, n_moments(model));
    }
}

/* The derivatives of the loss by each term of a pass. */
static void weigh_terms(const nb_scene *scene, nb_pull *pull, double weight) {
    const nb_block *block = &pull->block;
    const int some = scene->d_min > 0.0, polarized = scene->polarized, sensor = scene->has_sensor, n = block->row.n;
    const vd strength = vd_all(pull->sums->scale * weight);
    for (int i = 0; i < n; i += LANES) {
        vd w = strength * vd_load(pull->cotangent + i) * geometric(block, sensor, i);
        if (polarized) w = w * vd_load(block->polarization + i);
        if (some) w = vd_select(vd_load(block->kept + i) != vd_all(0.0), w, vd_all(0.0));
        vd_store(pull->weight + i, w);
    }
}

/* The terms of a pass, and what their slopes mean. */
static void pull_terms(const nb_scene *scene, const nb_model *model, nb_pull *pull, int64_t source) {
    nb_block *block = &pull->block;
    const nb_pass pass = pass_of(scene, block, source);
    nb_slope_row row = {.row = block->row,
                        .along_inverse = pull->along_inverse,
                        .weight = pull->weight,
                        .sum = block->pass_sum,
                        .radial = pull->radial};
    for (int k = 0; k < 6; k++)
        row.moment[k] = pull->moment[k];
    for (int k = 0; k < 3; k++)
        row.slope[k] = pull->slope[k], row.toward[k] = pull->toward[k];
    if (model->n_groups > 0)
        pull_groups(scene, model, pull, &pass, &row);
    else
        pull_orientations(scene, model, pull, &pass, 0, scene->n_phi * scene->n_domains, &row);
}

/* What the size of the blocks and fudge get from the terms of a pass of a crystal that is not square. */
static void pull_spot(const nb_scene *scene, const nb_model *model, nb_pull *pull) {
    const int moments = n_moments(model);
    row_sum terms = ROW_SUM_ZERO,
            sums[6] = {ROW_SUM_ZERO, ROW_SUM_ZERO, ROW_SUM_ZERO, ROW_SUM_ZERO, ROW_SUM_ZERO, ROW_SUM_ZERO};
    for (int i = 0; i < pull->block.row.n; i += SUM_LANES) {
        for (int v = 0; v < SUM_LANES / LANES; v++) {
            const int at = i + v * LANES;
            terms.lanes[v] = vd_fma(vd_load(pull->weight + at), vd_load(pull->block.pass_sum + at), terms.lanes[v]);
            for (int k = 0; k < moments; k++)
                sums[k].lanes[v] = sums[k].lanes[v] + vd_load(pull->moment[k] + at);
        }
    }
    const double all = row_total(&terms);
    double moment[6] = {0.0};
    for (int k = 0; k < moments; k++) {
        moment[k] = row_total(sums + k);
        *pull->gradient.fudge += moment_share(model, k) * moment[k] / scene->fudge;
    }
    if (scene->has_block_matrix) pull_matrix(scene, all, moment, pull->gradient.block_matrix);
    for (int k = 0; !scene->has_block_matrix && k < 3; k++)
        pull->gradient.n_cells[k] += (2.0 * all + moment[k]) / scene->n_cells[k];
}

/* What the directions of a curved detector get through the polarization, and, returned, its matrix. */
static void pull_tilt(nb_pull *pull, const nb_polarizer *polarizer, double matrix[3][3]) {
    const nb_row *row = &pull->block.row;
    row_sum sums[6];
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < row->n; i += SUM_LANES) {
        for (int v = 0; v < SUM_LANES / LANES; v++) {
            const int at = i + v * LANES;
            const vd tilt = vd_load(pull->tilt + at);
            vd direction[3], toward[3], products[6];
            direction_at(row, at, direction);
            for (int k = 0; k < 3; k++)
                toward[k] = vd_load(pull->toward[k] + at);
            polarization_slopes(polarizer, direction, tilt, toward);
            for (int k = 0; k < 3; k++)
                vd_store(pull->toward[k] + at, toward[k]);
            direction_products(direction, vd_all(0.5) * tilt, products);
            for (int c = 0; c < 6; c++)
                sums[c].lanes[v] = sums[c].lanes[v] + products[c];
        }
    }
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            matrix[i][k] = row_total(sums + SYMMETRIC[i][k]);
    }
}

/* What a source gets through its polarizer, from all blocks since it was taken. */
static void give_polarizer(const nb_scene *scene, nb_pull *pull) {
    const nb_gradient *g = &pull->gradient;
    double by_incident[3] = {0.0, 0.0, 0.0};
    if (pull->polarized_by < 0) return;
    nb_pull_polarizer(scene, &pull->polarizer, pull->by_matrix, by_incident, g);
    if (g->incident != NULL) add_scaled(1.0, by_incident, g->incident + 3 * pull->polarized_by);
}

static void take_polarizer(const nb_scene *scene, nb_pull *pull, int64_t source) {
    if (pull->polarized_by == source) return;
    give_polarizer(scene, pull);
    nb_polarizer_make(scene, scene->incident + 3 * source, &pull->polarizer);
    memset(pull->by_matrix, 0, sizeof pull->by_matrix);
    pull->polarized_by = source;
}

/* What the factor of a pass gets: the weight of its source, background, polarization, solid angle, capture fraction;
 * and the structure factor that all reflections share. */
static void pull_factors(const nb_scene *scene, nb_pull *pull, int64_t source) {
    const nb_block *block = &pull->block;
    const nb_gradient *g = &pull->gradient;
    const double weight = scene->weight[source], power = scene->point_pixel ? 2.0 : 3.0;
    const double share = scene->background * pull->sums->share;
    const int some = scene->d_min > 0.0, polarized = scene->polarized, curved = scene->curved;
    const int sensor = scene->has_sensor, n = block->row.n;
    const vd behind = vd_all(share), strength = vd_all(pull->sums->scale * weight);
    const vd of_angle = vd_all(power), of_both = vd_all(power + 2.0);
    row_sum terms = ROW_SUM_ZERO, background = ROW_SUM_ZERO;
    row_sum tilts[3] = {ROW_SUM_ZERO, ROW_SUM_ZERO, ROW_SUM_ZERO};
    for (int i = 0; i < n; i += SUM_LANES) {
        for (int v = 0; v < SUM_LANES / LANES; v++) {
            const int at = i + v * LANES;
            const vd cotangent = vd_load(pull->cotangent + at), factor = geometric(block, sensor, at);
            vd sum = vd_load(block->pass_sum + at);
            if (some) sum = vd_select(vd_load(block->kept + at) != vd_all(0.0), sum, vd_all(0.0));
            const vd photons = cotangent * (sum + behind), tilt = strength * photons * factor;
            vd polarization = vd_all(1.0), logarithmic = vd_load(pull->logarithmic + at);
            if (polarized && curved) {
                polarization = vd_load(block->polarization + at);
                logarithmic = vd_fma(tilt, of_angle * polarization, logarithmic);
                vd_store(pull->tilt + at, tilt);
            } else if (polarized) {
                const vd inverse = vd_load(block->inverse + at), along = vd_load(block->along + at);
                polarization = vd_load(block->polarization + at);
                const vd part = tilt * inverse * inverse;
                tilts[0].lanes[v] = tilts[0].lanes[v] + part;
                tilts[1].lanes[v] = vd_fma(part, along, tilts[1].lanes[v]);
                tilts[2].lanes[v] = vd_fma(part * along, along, tilts[2].lanes[v]);
                /* the polarization is (1 + D.M.D)/2, the solid angle goes with inverse^power */
                logarithmic = vd_fma(tilt, vd_fma(of_both, polarization, vd_all(-1.0)), logarithmic);
            } else {
                logarithmic = vd_fma(tilt, of_angle, logarithmic);
            }
            vd_store(pull->logarithmic + at, logarithmic);
            if (sensor) {
                const vd before = vd_load(pull->by_capture + at);
                const vd solid_angle = strength * photons * vd_load(block->solid_angle + at);
                vd_store(pull->by_capture + at, vd_fma(solid_angle, polarization, before));
            }
            const vd unit = cotangent * polarization * factor;
            terms.lanes[v] = vd_fma(unit, sum, terms.lanes[v]);
            background.lanes[v] = background.lanes[v] + unit;
        }
    }
    const double spots = row_total(&terms), even = row_total(&background), photons = spots + share * even;
    const double energy = pull->sums->scale * weight * photons;
    pull->sums->intensity += weight * photons;
    pull->sums->background += weight * pull->sums->share * even;
    if (scene->f_table == NULL && scene->default_F != 0.0)
        *g->default_F += 2.0 * pull->sums->scale * weight * spots / scene->default_F;
    *g->pixel_area += energy / scene->pixel_area;
    if (!scene->point_pixel) *g->close_distance += energy / scene->close_distance;
    if (g->weight != NULL) g->weight[source] += pull->sums->scale * photons;
    if (!scene->polarized) return;

    double matrix[3][3], by_base[3], by_fast[3];
    const double *base = block->base, *fast = scene->fast;
    const double t[3] = {row_total(tilts), row_total(tilts + 1), row_total(tilts + 2)};
    take_polarizer(scene, pull, source);
    if (curved) pull_tilt(pull, &pull->polarizer, matrix);
    for (int i = 0; !curved && i < 3; i++) {
        by_base[i] = t[0] * base[i] + t[1] * fast[i];
        by_fast[i] = t[1] * base[i] + t[2] * fast[i];
        for (int k = 0; k < 3; k++)
            matrix[i][k] = 0.5 * (t[0] * base[i] * base[k] + t[1] * (base[i] * fast[k] + fast[i] * base[k]) +
                                  t[2] * fast[i] * fast[k]);
    }
    for (int i = 0; i < 3; i++) {
        if (!curved) pull->by_base[i] += dot(pull->polarizer.matrix[i], by_base);
        if (!curved) pull->by_fast[i] += dot(pull->polarizer.matrix[i], by_fast);
        add_scaled(1.0, matrix[i], pull->by_matrix[i]);
    }
}

/* What the positions of the points, base + along fast, and the sensor get on a curved detector. */
static void pull_curved(const nb_scene *scene, nb_pull *pull, double layer) {
    enum { COSINES = N_BENT, ABSORBED = N_BENT + 3, N_SUMS };
    const nb_block *block = &pull->block;
    const nb_bending bending = bending_of(scene, block->base);
    const double absorption = scene->layer_thickness * scene->attenuation;
    double totals[N_SUMS];
    row_sum sums[N_SUMS];
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < block->row.n; i += SUM_LANES) {
        for (int v = 0; v < SUM_LANES / LANES; v++) {
            const int at = i + v * LANES;
            vd toward[3], direction[3], position[3], found[N_SUMS];
            direction_at(&block->row, at, direction);
            for (int k = 0; k < 3; k++)
                toward[k] = vd_load(pull->toward[k] + at), found[COSINES + k] = vd_all(0.0);
            found[ABSORBED] = vd_all(0.0);
            if (scene->has_sensor) {
                const vd normal[3] = {vd_all(scene->normal[0]), vd_all(scene->normal[1]), vd_all(scene->normal[2])};
                const vd cosine = dot_lanes(direction, normal);
                found[ABSORBED] = capture_slope(absorption, layer, cosine) * vd_load(pull->by_capture + at) / cosine;
                const vd by_cosine = -found[ABSORBED] * vd_all(absorption) / cosine;
                for (int k = 0; k < 3; k++) {
                    toward[k] = vd_fma(by_cosine, normal[k], toward[k]);
                    found[COSINES + k] = by_cosine * direction[k];
                }
            }
            position_slopes(block, at, toward, vd_load(pull->logarithmic + at), position);
            bend_slopes(scene, &bending, vd_load(block->along + at), position, found);
            for (int k = 0; k < N_SUMS; k++)
                sums[k].lanes[v] = sums[k].lanes[v] + found[k];
        }
    }
    for (int k = 0; k < N_SUMS; k++)
        totals[k] = row_total(sums + k);
    pull_bent(scene, &bending, totals, pull->by_base, pull->by_fast, &pull->gradient);
    add_scaled(1.0, totals + COSINES, pull->gradient.normal);
    *pull->gradient.layer_thickness += totals[ABSORBED] * scene->attenuation;
    *pull->gradient.attenuation += totals[ABSORBED] * scene->layer_thickness;
}

/* The same on a flat detector. */
static void pull_flat(const nb_scene *scene, nb_pull *pull, double layer) {
    const nb_block *block = &pull->block;
    const nb_gradient *g = &pull->gradient;
    const double absorption = scene->layer_thickness * scene->attenuation;
    const line_lanes normal = line_lanes_of(scene, block, scene->normal, 0.0);
    row_sum radial[3] = {ROW_SUM_ZERO, ROW_SUM_ZERO, ROW_SUM_ZERO}, cosines[2] = {ROW_SUM_ZERO, ROW_SUM_ZERO};
    row_sum absorbed = ROW_SUM_ZERO;
    for (int i = 0; i < block->row.n; i += SUM_LANES) {
        for (int v = 0; v < SUM_LANES / LANES; v++) {
            const int at = i + v * LANES;
            const vd inverse = vd_load(block->inverse + at), along = vd_load(block->along + at);
            vd all = vd_fma(vd_load(pull->radial + at), inverse, vd_load(pull->logarithmic + at));
            if (scene->has_sensor) {
                const vd cosine = line_value(&block->row, &normal, at, 0);
                const vd slope = capture_slope(absorption, layer, cosine) * vd_load(pull->by_capture + at) / cosine;
                const vd by_cosine = -slope * vd_all(absorption) / cosine;
                absorbed.lanes[v] = absorbed.lanes[v] + slope;
                cosines[0].lanes[v] = vd_fma(by_cosine, inverse, cosines[0].lanes[v]);
                cosines[1].lanes[v] = vd_fma(by_cosine * inverse, along, cosines[1].lanes[v]);
                all = vd_fma(by_cosine, cosine, all);
            }
            const vd part = all * inverse * inverse;
            radial[0].lanes[v] = radial[0].lanes[v] + part;
            radial[1].lanes[v] = vd_fma(part, along, radial[1].lanes[v]);
            radial[2].lanes[v] = vd_fma(part * along, along, radial[2].lanes[v]);
        }
    }
    /* d inverse = -inverse^3 position . d position */
    const double r[3] = {row_total(radial), row_total(radial + 1), row_total(radial + 2)};
    double *by_base = pull->by_base, *by_fast = pull->by_fast;
    for (int i = 0; i < 3; i++) {
        by_base[i] -= r[0] * block->base[i] + r[1] * scene->fast[i];
        by_fast[i] -= r[1] * block->base[i] + r[2] * scene->fast[i];
    }
    if (scene->has_sensor) {
        const double c[2] = {row_total(cosines), row_total(cosines + 1)}, slope = row_total(&absorbed);
        *g->layer_thickness += slope * scene->attenuation;
        *g->attenuation += slope * scene->layer_thickness;
        add_scaled(c[0], scene->normal, by_base);
        add_scaled(c[1], scene->normal, by_fast);
        add_scaled(c[0], block->base, g->normal);
        add_scaled(c[1], scene->fast, g->normal);
    }
}

/* What the positions of the points get, and through them the frame and the sensor. */
static void pull_positions(const nb_scene *scene, nb_pull *pull, int32_t layer, double along_slow) {
    const nb_gradient *g = &pull->gradient;
    const double depth = (double)layer, *by_base = pull->by_base, *by_fast = pull->by_fast;
    if (scene->curved)
        pull_curved(scene, pull, depth);
    else
        pull_flat(scene, pull, depth);
    /* position = along fast + along_slow slow + depth thickness normal + pix0 */
    g->pixel_size[0] += dot(by_fast, scene->fast) / scene->pixel_size[0];
    g->pixel_size[1] += along_slow * dot(by_base, scene->slow) / scene->pixel_size[1];
    *g->layer_thickness += depth * dot(by_base, scene->normal);
    add_scaled(1.0, by_fast, g->fast);
    add_scaled(along_slow, by_base, g->slow);
    add_scaled(depth * scene->layer_thickness, by_base, g->normal);
    add_scaled(1.0, by_base, g->pix0);
}

static void pull_source(const nb_scene *scene, nb_model *model, nb_pull *pull, int64_t source) {
    nb_block *block = &pull->block;
    const nb_gradient *g = &pull->gradient;
    const double wavelength = scene->wavelength[source], *incident = scene->incident + 3 * source;
    const int any = scene->d_min > 0.0 ? keep(scene, block, incident, wavelength) : 1;
    if (scene->polarized) polarizations(scene, block, incident, 0, NULL);
    for (int i = 0; i < 3; i++)
        pull->by_incident[i] = 0.0;
    pull->by_wavenumber = 0.0;
    fill(block->pass_sum, block->row.n, 0.0);
    if (any) {
        for (int k = 0; k < n_moments(model); k++)
            fill(pull->moment[k], block->row.n, 0.0);
        if (scene->n_tables > 1) {
            model->table = table_of(scene, source);
            pull->sums->entries.first = nb_first_entry(scene, source);
        }
        weigh_terms(scene, pull, scene->weight[source]);
        pull_terms(scene, model, pull, source);
        if (scene->shape != NB_SQUARE) pull_spot(scene, model, pull);
    }
    pull_factors(scene, pull, source);
    if (g->incident != NULL) add_scaled(1.0, pull->by_incident, g->incident + 3 * source);
    if (g->wavelength != NULL) g->wavelength[source] -= pull->by_wavenumber / (wavelength * wavelength);
}

static int pull_point(const nb_scene *scene, nb_model *model, nb_pull *pull, int32_t layer, int32_t sub_slow,
                      int32_t sub_fast, const volatile int *cancel) {
    nb_block *block = &pull->block;
    find_point(scene, block, layer, sub_slow, sub_fast, pull->along_inverse);
    fill(pull->radial, block->row.n, 0.0);
    for (int k = 0; scene->curved && k < 3; k++)
        fill(pull->toward[k], block->row.n, 0.0);
    fill(pull->logarithmic, block->row.n, 0.0);
    if (scene->has_sensor) fill(pull->by_capture, block->row.n, 0.0);
    for (int i = 0; i < 3; i++)
        pull->by_base[i] = pull->by_fast[i] = 0.0;
    for (int64_t source = 0; source < scene->n_sources; source++) {
        if (*cancel) return NB_ERR_CANCELLED;
        pull_source(scene, model, pull, source);
    }
    pull_positions(scene, pull, layer, row_along_slow(scene, block, sub_slow));
    return NB_OK;
}

static int pull_block(const nb_scene *scene, nb_model *model, nb_pull *pull, const double *cotangent,
                      const volatile int *cancel) {
    nb_block *block = &pull->block;
    block->row.n = (block->n + NB_SIMD_PAD - 1) / NB_SIMD_PAD * NB_SIMD_PAD;
    take_indices(scene, block);
    memcpy(pull->cotangent, cotangent, (size_t)block->n * sizeof *cotangent);
    memset(pull->cotangent + block->n, 0, (size_t)(block->row.n - block->n) * sizeof *cotangent);
    vi any = vi_all(0);
    for (int i = 0; i < block->row.n; i += LANES)
        any |= vd_load(pull->cotangent + i) != vd_all(0.0);
    if (!vi_any(any)) return NB_OK;
    if (scene->d_min > 0.0) fill(block->seen, block->row.n, 0.0);
    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                int status = pull_point(scene, model, pull, layer, sub_slow, sub_fast, cancel);
                if (status != NB_OK) return status;
            }
        }
    }
    return NB_OK;
}

#define NB_SIMD_PULL_PASTE(isa) nb_simd_pull_##isa
#define NB_SIMD_PULL(isa) NB_SIMD_PULL_PASTE(isa)

int NB_SIMD_PULL(NB_SIMD_ISA)(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, const double *cotangent,
                              const nb_gradient *gradient, nb_pull_sums *sums, const volatile int *cancel) {
    nb_model model;
    nb_group groups[MAX_GROUPS];
    nb_pull pull;
    nb_model_make(scene, 0, groups, &model);
    pull.gradient = *gradient;
    pull.sums = sums;
    pull.polarized_by = -1;
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += pull.block.n) {
        next_block(scene, begin, pixel_end, &pull.block);
        int status = pull_block(scene, &model, &pull, cotangent + (begin - pixel_begin), cancel);
        if (status != NB_OK) return status;
    }
    give_polarizer(scene, &pull);
    return NB_OK;
}

#endif
