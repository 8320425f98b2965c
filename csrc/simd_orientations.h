/* The sum over phi steps and mosaic domains for a block of pixels, without what is known to be 0. */
#ifndef NB_SIMD_ORIENTATIONS_H
#define NB_SIMD_ORIENTATIONS_H

#include "simd_block.h"
#include "tables.h"

/* The structure factors of a source; NULL: there are none. */
static const double *table_of(const nb_scene *scene, int64_t source) {
    return scene->f_table == NULL ? NULL : scene->f_table + nb_first_entry(scene, source);
}

/* How the structure factor has to be looked up for a block: constant where an index lies outside the table for every
 * pixel, without tests where all lie inside. On a row, the direction runs along an arc, so an index lies between its
 * values at the ends, widened by the sagitta of the arc and by what rounding can do. */
static int choose_lookup(const nb_model *model, const nb_block *block, const nb_line hkl[3], double reach) {
    const int last = block->n - 1;
    int inside = 1;
    for (int k = 0; k < 3; k++) {
        const nb_line *line = hkl + k;
        const double h0 = (line->a + line->b * block->along[0]) * block->inverse[0] + line->constant;
        const double h1 = (line->a + line->b * block->along[last]) * block->inverse[last] + line->constant;
        const double length = fabs(line->vector[0]) + fabs(line->vector[1]) + fabs(line->vector[2]);
        const double margin = length * (block->sagitta + 1e-14 * reach) + 1e-9;
        const double low = fmin(h0, h1) - margin, high = fmax(h0, h1) + margin;
        if (high < model->first[k] - 0.5 || low > model->last[k] + 0.5) return CONSTANT;
        if (!(low > model->first[k] - 0.5 && high < model->last[k] + 0.5)) inside = 0;
    }
    return inside ? INSIDE : MIXED;
}

/* What the orientations of a pass share. */
typedef struct {
    const double *incident;
    double inverse_wavelength;
    double reach;               /* for the rounding of indices */
    nb_noise *noise;            /* NULL: the original has none here */
    const volatile int *cancel; /* looked at now and then; NULL: never */
} nb_pass;

static void hkl_lines(const nb_scene *scene, const nb_block *block, const nb_pass *pass, const double cell[9],
                      nb_line hkl[3]) {
    for (int k = 0; k < 3; k++) {
        double vector[3];
        for (int i = 0; i < 3; i++)
            vector[i] = cell[3 * k + i] * pass->inverse_wavelength;
        line_make(scene, block, vector, -dot(vector, pass->incident), hkl + k);
    }
}

/* A term times the weight of its domain. */
static __attribute__((noinline)) void add_weighted(nb_term *term, const nb_model *model, const nb_row *row,
                                                   const nb_line hkl[3], const nb_noise *noise, double weight,
                                                   double *sum) {
    ALIGNED double apart[BLOCK];
    fill(apart, row->n, 0.0);
    term(model, row, hkl, noise, apart);
    for (int i = 0; i < row->n; i += LANES)
        vd_store(sum + i, vd_fma(vd_all(weight), vd_load(apart + i), vd_load(sum + i)));
}

/* F_cell^2 F_latt^2 of the orientations [begin, end) for the pixels of a row, all or some of the block's. */
static void add_orientations(const nb_scene *scene, const nb_model *model, const nb_block *block, const nb_pass *pass,
                             int64_t begin, int64_t end, const nb_row *row, double *sum) {
    nb_term *const *terms = TERMS[model->lattice][scene->curved != 0];
    for (int64_t at = begin; at < end; at++) {
        nb_line hkl[3];
        if (pass->cancel != NULL && (at & 1023) == 0 && *pass->cancel) return; /* the sum is thrown away */
        hkl_lines(scene, block, pass, scene->orientations + 9 * at, hkl);
        int lookup = model->table == NULL ? CONSTANT
                     : scene->curved      ? MIXED
                                          : choose_lookup(model, block, hkl, pass->reach);
        if (lookup == CONSTANT && model->outside == 0.0) continue;
        if (pass->noise != NULL) pass->noise->cell = scene->orientations + 9 * at;
        if (lookup != CONSTANT && block->interpolate) lookup = INTERPOLATED;
        if (scene->domain_weight == NULL)
            terms[lookup](model, row, hkl, pass->noise, sum);
        else
            add_weighted(terms[lookup], model, row, hkl, pass->noise, scene->domain_weight[at % scene->n_domains], sum);
    }
}

/* The pixels for which some orientation of a group can have a lattice factor other than 0; returns their number. */
static int find_kept(const nb_scene *scene, const nb_model *model, const nb_block *block, const nb_pass *pass,
                     const nb_group *group, int *kept) {
    const nb_row row = block->row;
    nb_line lines[3];
    line_lanes hkl[3], s[3];
    hkl_lines(scene, block, pass, group->center, lines);
    for (int k = 0; k < 3; k++) {
        double unit[3] = {0.0, 0.0, 0.0};
        unit[k] = fabs(pass->inverse_wavelength);
        s[k] = line_lanes_of(scene, block, unit, -pass->incident[k] * unit[k]);
        hkl[k] = line_spread(lines + k);
    }
    int n = 0;
    for (int i = 0; i < row.n; i += LANES) {
        vd s_sqr = vd_all(0.0);
        for (int k = 0; k < 3; k++) {
            vd component = line_value(&row, s + k, i, 0);
            s_sqr = vd_fma(component, component, s_sqr);
        }
        vd length = vd_sqrt(s_sqr);
        vi out = vi_all(0);
        for (int k = 0; k < 3; k++) {
            vd h = line_value(&row, hkl + k, i, 0);
            vd f = h - vd_round(h);
            vd limit = vd_fma(vd_all(group->radius[k]), length, vd_all(model->reach[k] + 1e-9));
            out |= f * f > limit * limit;
        }
        if (!vi_any(~out)) continue;
        for (int lane = 0; lane < LANES; lane++) {
            kept[n] = i + lane;
            n += out[lane] == 0;
        }
    }
    while (n > 0 && kept[n - 1] >= block->n)
        n--;
    return n;
}

#define SPARSE_PAD (SPARSE_GROUP * LANES)

/* The same as add_orientations for all, without the pixels where every term is exactly 0. Same bits. */
static void add_groups(const nb_scene *scene, const nb_model *model, nb_block *block, const nb_pass *pass) {
    ALIGNED double along[BLOCK], inverse[BLOCK], sum[BLOCK];
    int kept[BLOCK + 1];
    for (int g = 0; g < model->n_groups; g++) {
        const nb_group *group = model->groups + g;
        if (pass->cancel != NULL && *pass->cancel) return;
        const int n = find_kept(scene, model, block, pass, group, kept);
        if (n == 0) continue;
        if (2 * n > block->n) {
            add_orientations(scene, model, block, pass, group->begin, group->end, &block->row, block->pass_sum);
            continue;
        }
        nb_row row = {along, inverse, {NULL, NULL, NULL}, (n + SPARSE_PAD - 1) / SPARSE_PAD * SPARSE_PAD};
        for (int i = 0; i < row.n; i++) {
            const int from = kept[i < n ? i : n - 1];
            along[i] = block->along[from], inverse[i] = block->inverse[from], sum[i] = block->pass_sum[from];
        }
        add_orientations(scene, model, block, pass, group->begin, group->end, &row, sum);
        for (int i = 0; i < n; i++)
            block->pass_sum[kept[i]] = sum[i];
    }
}

/* Not below |D - k| of any pixel of the block. */
static double longest_difference(const nb_scene *scene, const nb_block *block, const double *incident) {
    const int ends[2] = {0, block->n - 1};
    double most = 0.0;
    if (scene->curved) return 1.0 + nb_norm(incident);
    for (int end = 0; end < 2; end++) {
        const double along = block->along[ends[end]], inverse = block->inverse[ends[end]];
        double sqr = 0.0;
        for (int k = 0; k < 3; k++) {
            const double d = (block->base[k] + along * scene->fast[k]) * inverse - incident[k];
            sqr += d * d;
        }
        most = sqr > most ? sqr : most;
    }
    return sqrt(most) + block->sagitta;
}

/* How many times the sines of a pass are taken so that noisy ones, and few others, or their squares end up below 2. */
static double noise_scale(const nb_scene *scene, const nb_model *model, const nb_block *block, const nb_pass *pass) {
    const double difference = longest_difference(scene, block, pass->incident);
    const double offset = model->noise * model->longest * difference * fabs(pass->inverse_wavelength);
    int exponent;
    if (!(offset < 0.2)) return 1.0;
    frexp((model->lattice == SQUARE_SMALL ? 1.4 : 2.0) / NB_PI / (offset + 1e-9), &exponent);
    return ldexp(1.0, exponent - 1);
}

/* F_cell^2 F_latt^2 summed over phi steps and mosaic domains; noise: NULL where the original has none. */
static void add_all(const nb_scene *scene, const nb_model *model, nb_block *block, const double *incident,
                    double wavelength, nb_noise *noise, const volatile int *cancel) {
    const double extent = largest(block->base) + fabs(block->along[block->n - 1]) * largest(scene->fast);
    const nb_pass pass = {incident, 1.0 / wavelength, 3.0 * (extent * block->inverse_sum + largest(incident)), noise,
                          cancel};
    if (noise != NULL && IS_SQUARE(model->lattice)) noise->scale = noise_scale(scene, model, block, &pass);
    fill(block->pass_sum, block->row.n, 0.0);
    if (model->n_groups > 0)
        add_groups(scene, model, block, &pass);
    else
        add_orientations(scene, model, block, &pass, 0, scene->n_phi * scene->n_domains, &block->row, block->pass_sum);
}

#endif
