/* The vector kernel: blocks of pixels of one detector row through all passes and orientations.
 *
 * Compiled once per instruction set; NB_SIMD_ISA is its name. A pixel's value depends neither on its
 * lane nor on the block that it is in: every lane of every block runs the same operations, tests on whole blocks choose
 * between ways that give the same bits, and rows are padded with copies of their last pixel.
 *
 * The sum is that of nanobragg/scene.py, with these rearrangements: the factor of a pass multiplies the sum over its
 * orientations, and h = a.(D - k)/lambda is taken as a linear function of the coordinate along the row over the
 * airpath.
 */
#include "detector.h"
#include "pixel.h"
#include "simd.h"
#include "simd_terms.h"
#include "vector.h"

#include <stddef.h>
#include <string.h>

#define NB_SIMD_PASTE(isa) nb_simd_render_##isa
#define NB_SIMD_NAME(isa) NB_SIMD_PASTE(isa)

/* Pixels per block: long enough that preparing an orientation does not count, short enough for the first cache. */
#define BLOCK 512

#define ALIGNED __attribute__((aligned(64)))

typedef struct {
    ALIGNED double fast[BLOCK]; /* pixel index along the row */
    ALIGNED double along[BLOCK];
    ALIGNED double inverse[BLOCK];
    ALIGNED double direction[3][BLOCK];
    ALIGNED double pass_sum[BLOCK]; /* over the orientations of a pass */
    ALIGNED double sum[BLOCK];      /* I */
    ALIGNED double solid_angle[BLOCK];
    ALIGNED double capture[BLOCK];
    ALIGNED double polarization[BLOCK];
    ALIGNED double kept[BLOCK]; /* 1 where d_min keeps the pass */
    ALIGNED double seen[BLOCK]; /* 1 where d_min kept any pass */
    ALIGNED double background[BLOCK];
    ALIGNED double background_polarization[BLOCK];
    nb_row row;
    const int64_t *pixels;
    int64_t slow;
    int n; /* pixels without the padding */
    double base[3];
    double inverse_sum; /* not below any 1/airpath of the block; NaN if one is */
    double sagitta;     /* how far the directions lie off the chord between those of the first and last pixel */
} nb_block;

static double dot(const double *x, const double *y) {
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
}

static double largest(const double *x) {
    return fmax(fabs(x[0]), fmax(fabs(x[1]), fabs(x[2])));
}

/* The value of one line for the pixels from i. */
NB_INLINE vd line_at(const nb_row *row, const nb_line *line, int i, const int curved) {
    line_lanes lanes = line_spread(line);
    return line_value(row, &lanes, i, curved);
}

/* For whole vectors: n is a multiple of NB_SIMD_PAD. */
static void fill(double *values, int n, double value) {
    for (int i = 0; i < n; i += LANES)
        vd_store(values + i, vd_all(value));
}

static int any_zero(const double *values, int n) {
    vi found = vi_all(0);
    for (int i = 0; i < n; i += LANES)
        found |= vd_load(values + i) == vd_all(0.0);
    return vi_any(found);
}

static void line_make(const nb_scene *scene, const nb_block *block, const double vector[3], double constant,
                      nb_line *line) {
    line->a = dot(vector, block->base);
    line->b = dot(vector, scene->fast);
    for (int k = 0; k < 3; k++)
        line->vector[k] = vector[k];
    line->constant = constant;
}

static void place_curved(const nb_scene *scene, nb_block *block, int32_t layer, int32_t sub_slow, int32_t sub_fast) {
    for (int i = 0; i < block->row.n; i++) {
        double position[3];
        nb_position(scene, (int64_t)block->fast[i], block->slow, sub_fast, sub_slow, layer, position);
        double airpath = nb_norm(position);
        block->inverse[i] = 1.0 / airpath;
        for (int k = 0; k < 3; k++)
            block->direction[k][i] = position[k] / airpath;
    }
}

/* Positions of the points of a sub-pixel and layer. */
static void place(const nb_scene *scene, nb_block *block, int32_t layer, int32_t sub_slow, int32_t sub_fast) {
    const double step = scene->pixel_size / (double)scene->oversample;
    const double along_slow = step * (double)(block->slow * scene->oversample + sub_slow) + step / 2.0;
    const double depth = (double)layer * scene->layer_thickness;
    for (int k = 0; k < 3; k++)
        block->base[k] = along_slow * scene->slow[k] + depth * scene->normal[k] + scene->pix0[k];
    const vd half = vd_all(step / 2.0), sub = vd_all((double)sub_fast), many = vd_all((double)scene->oversample);
    for (int i = 0; i < block->row.n; i += LANES)
        vd_store(block->along + i, vd_all(step) * (vd_load(block->fast + i) * many + sub) + half);
    block->inverse_sum = 0.0;
    if (scene->curved) {
        place_curved(scene, block, layer, sub_slow, sub_fast);
        return;
    }
    vd total = vd_all(0.0);
    for (int i = 0; i < block->row.n; i += LANES) {
        vd along = vd_load(block->along + i), sqr = vd_all(0.0);
        for (int k = 0; k < 3; k++) {
            vd x = vd_fma(along, vd_all(scene->fast[k]), vd_all(block->base[k]));
            sqr = vd_fma(x, x, sqr);
        }
        vd inverse = vd_all(1.0) / vd_sqrt(sqr);
        vd_store(block->inverse + i, inverse);
        total += inverse;
    }
    for (int i = 0; i < LANES; i++)
        block->inverse_sum += total[i];
    double chord_sqr = 0.0;
    for (int k = 0; k < 3; k++) {
        double first = (block->along[0] * scene->fast[k] + block->base[k]) * block->inverse[0];
        double last = (block->along[block->n - 1] * scene->fast[k] + block->base[k]) * block->inverse[block->n - 1];
        chord_sqr += (last - first) * (last - first);
    }
    block->sagitta = chord_sqr < 4.0 ? 1.0 - sqrt(1.0 - chord_sqr / 4.0) : 1.0;
}

static void solid_angles(const nb_scene *scene, nb_block *block) {
    for (int i = 0; i < block->row.n; i += LANES) {
        vd inverse = vd_load(block->inverse + i);
        vd omega = vd_all(scene->pixel_area) * inverse * inverse;
        if (!scene->point_pixel) omega = omega * vd_all(scene->close_distance) * inverse;
        vd_store(block->solid_angle + i, omega);
    }
}

static void capture_fractions(const nb_scene *scene, nb_block *block, int32_t layer) {
    nb_line normal;
    if (!scene->has_sensor) {
        fill(block->capture, block->row.n, 1.0);
        return;
    }
    line_make(scene, block, scene->normal, 0.0, &normal);
    const vd front = vd_all((double)-layer * scene->layer_thickness * scene->attenuation);
    const vd back = vd_all((double)-(layer + 1) * scene->layer_thickness * scene->attenuation);
    for (int i = 0; i < block->row.n; i += LANES) {
        vd cosine = line_at(&block->row, &normal, i, scene->curved);
        vd_store(block->capture + i, vd_exp(front / cosine) - vd_exp(back / cosine));
    }
}

/* Kahn's factor (polarization.c) with K cos 2 psi sin^2 2 theta = K (e^2 - m^2), where e and m are the components of
 * the scattered direction along the electric and magnetic field. Where `open` is given, only lanes where it is set and
 * the factor is still 0 change. */
static void polarizations(const nb_scene *scene, nb_block *block, const double *incident, const double *open) {
    double k[3], magnetic[3], electric[3];
    nb_unit(incident, k);
    nb_cross(scene->polarization_axis, k, magnetic);
    nb_unit(magnetic, magnetic);
    nb_cross(k, magnetic, electric);
    nb_unit(electric, electric);
    const int along_beam = magnetic[0] == 0.0 && magnetic[1] == 0.0 && magnetic[2] == 0.0; /* then psi = 0 */
    nb_line cosine, m, e;
    line_make(scene, block, k, 0.0, &cosine);
    line_make(scene, block, magnetic, 0.0, &m);
    line_make(scene, block, electric, 0.0, &e);
    for (int i = 0; i < block->row.n; i += LANES) {
        vd c = line_at(&block->row, &cosine, i, scene->curved);
        vd factor = vd_fma(c, c, vd_all(1.0));
        if (scene->kahn_factor != 0.0) {
            vd along_m = line_at(&block->row, &m, i, scene->curved);
            vd along_e = line_at(&block->row, &e, i, scene->curved);
            vd part = along_beam ? vd_fnma(c, c, vd_all(1.0)) : vd_fnma(along_m, along_m, along_e * along_e);
            factor = vd_fnma(vd_all(scene->kahn_factor), part, factor);
        }
        factor = vd_all(0.5) * factor;
        if (open != NULL) {
            vd before = vd_load(block->polarization + i);
            vi change = (before == vd_all(0.0)) & (vd_load(open + i) != vd_all(0.0));
            factor = vd_select(change, factor, before);
        }
        vd_store(block->polarization + i, factor);
    }
}

/* Which pixels d_min keeps in a pass; returns whether any. */
static int keep(const nb_scene *scene, nb_block *block, const double *incident, double wavelength) {
    const vd limit = vd_all(1.0 / (scene->d_min * scene->d_min)); /* |S| = 2 stol = 1/d */
    nb_line axis[3];
    for (int k = 0; k < 3; k++) {
        double unit[3] = {0.0, 0.0, 0.0};
        unit[k] = 1.0;
        line_make(scene, block, unit, -incident[k], axis + k);
    }
    vi any = vi_all(0);
    for (int i = 0; i < block->row.n; i += LANES) {
        vd s_sqr = vd_all(0.0);
        for (int k = 0; k < 3; k++) {
            vd s = line_at(&block->row, axis + k, i, scene->curved) / vd_all(wavelength);
            s_sqr = vd_fma(s, s, s_sqr);
        }
        vi mask = ~(s_sqr > limit);
        vd kept = vd_select(mask, vd_all(1.0), vd_all(0.0));
        vd_store(block->kept + i, kept);
        vd_store(block->seen + i, vd_select(mask, kept, vd_load(block->seen + i)));
        any |= mask;
    }
    return vi_any(any);
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

/* F_cell^2 F_latt^2 summed over phi steps and mosaic domains. */
static void orientations(const nb_scene *scene, const nb_model *model, nb_block *block, const double *incident,
                         double wavelength) {
    const double inverse_wavelength = 1.0 / wavelength;
    const double reach =
        3.0 * ((largest(block->base) + fabs(block->along[block->n - 1]) * largest(scene->fast)) * block->inverse_sum +
               largest(incident));
    nb_term *const *terms = TERMS[model->lattice][scene->curved != 0];
    fill(block->pass_sum, block->row.n, 0.0);
    const int64_t n = scene->n_phi * scene->n_domains;
    const double *cell = scene->orientations;
    for (int64_t at = 0; at < n; at++, cell += 9) {
        nb_line hkl[3];
        for (int k = 0; k < 3; k++) {
            double vector[3];
            for (int i = 0; i < 3; i++)
                vector[i] = cell[3 * k + i] * inverse_wavelength;
            line_make(scene, block, vector, -dot(vector, incident), hkl + k);
        }
        int lookup = model->table == NULL ? CONSTANT : scene->curved ? MIXED : choose_lookup(model, block, hkl, reach);
        if (lookup == CONSTANT && model->outside == 0.0) continue;
        terms[lookup](model, &block->row, hkl, block->pass_sum);
    }
}

/* Multiply the sum over the orientations by the factor of the pass and add it where d_min keeps it. */
static void add_pass(const nb_scene *scene, nb_block *block, double weight) {
    for (int i = 0; i < block->row.n; i += LANES) {
        vd g = vd_all(weight);
        if (scene->capture_mode == NB_PER_TERM) g = g * vd_load(block->capture + i);
        if (scene->polar_mode == NB_PER_TERM) g = g * vd_load(block->polarization + i);
        if (scene->omega_mode == NB_PER_TERM) g = g * vd_load(block->solid_angle + i);
        vd before = vd_load(block->sum + i);
        vd after = vd_fma(g, vd_load(block->pass_sum + i), before);
        if (scene->d_min > 0.0) after = vd_select(vd_load(block->kept + i) != vd_all(0.0), after, before);
        vd_store(block->sum + i, after);
    }
}

static void add_background(const nb_scene *scene, nb_block *block, double weight_sum) {
    for (int i = 0; i < block->row.n; i += LANES) {
        vd part = vd_all(1.0);
        if (scene->omega_mode == NB_PER_TERM) part = part * vd_load(block->solid_angle + i);
        if (scene->capture_mode == NB_PER_TERM) part = part * vd_load(block->capture + i);
        if (scene->polar_mode == NB_PER_TERM)
            part = part * (vd_load(block->background_polarization + i) / vd_all(weight_sum));
        vd_store(block->background + i, vd_load(block->background + i) + part);
    }
}

/* All passes of a block. */
static int passes(const nb_scene *scene, const nb_model *model, nb_block *block, int weigh_background,
                  const volatile int *cancel) {
    const int per_term = scene->polar_mode == NB_PER_TERM;
    int polarization_open = scene->polarized; /* CACHED: some pixel still waits for its factor */
    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                const int first = sub_slow == 0 && sub_fast == 0;
                place(scene, block, layer, sub_slow, sub_fast);
                if (scene->omega_mode == NB_PER_TERM || (first && layer == 0)) solid_angles(scene, block);
                if (scene->capture_mode == NB_PER_TERM || (first && layer == scene->n_layers - 1))
                    capture_fractions(scene, block, layer);
                double weight_sum = 0.0;
                if (weigh_background) fill(block->background_polarization, block->row.n, 0.0);
                for (int64_t source = 0; source < scene->n_sources; source++) {
                    if (*cancel) return NB_ERR_CANCELLED;
                    const double *incident = scene->incident + 3 * source;
                    const double weight = scene->weight[source];
                    int any = 1;
                    if (scene->d_min > 0.0) any = keep(scene, block, incident, scene->wavelength[source]);
                    if (scene->polarized && per_term && (any || weigh_background))
                        polarizations(scene, block, incident, NULL);
                    if (scene->polarized && !per_term && any && polarization_open) {
                        polarizations(scene, block, incident, block->kept);
                        polarization_open = 0;
                        polarization_open = any_zero(block->polarization, block->row.n);
                    }
                    if (weigh_background) {
                        weight_sum += weight;
                        for (int i = 0; i < block->row.n; i += LANES) {
                            double *at = block->background_polarization + i;
                            vd_store(at, vd_fma(vd_all(weight), vd_load(block->polarization + i), vd_load(at)));
                        }
                    }
                    if (!any) continue;
                    orientations(scene, model, block, incident, scene->wavelength[source]);
                    add_pass(scene, block, weight);
                }
                if (weigh_background) add_background(scene, block, weight_sum);
            }
        }
    }
    return NB_OK;
}

/* Background, the case that d_min keeps nothing, the cached factors and the scale (nanobragg/scene.py). */
static void finish(const nb_scene *scene, nb_block *block, int weigh_background, double *out) {
    const int zeroed = scene->polarized && (scene->quirks & NB_DMIN_ZEROES_WATER);
    double n = (double)scene->oversample * (double)scene->oversample;
    if (scene->capture_mode != NB_PER_TERM) n = n * (double)scene->n_layers;
    if (scene->d_min > 0.0 && scene->polarized && scene->polar_mode == NB_CACHED && !zeroed) {
        ALIGNED double unseen[BLOCK];
        for (int i = 0; i < block->row.n; i++)
            unseen[i] = block->seen[i] == 0.0;
        if (any_zero(block->seen, block->row.n)) {
            place(scene, block, 0, 0, 0);
            polarizations(scene, block, scene->incident, unseen);
        }
    }
    const vd scale = vd_all(scene->r_e_sqr * scene->fluence / scene->steps);
    ALIGNED double value[BLOCK];
    for (int i = 0; i < block->row.n; i += LANES) {
        vd sum = vd_load(block->sum + i);
        if (weigh_background) sum = vd_fma(vd_all(scene->background / n), vd_load(block->background + i), sum);
        if (zeroed && scene->polar_mode == NB_PER_TERM)
            sum = vd_select(vd_load(block->seen + i) == vd_all(0.0), vd_all(0.0), sum);
        sum = scale * sum;
        if (scene->capture_mode == NB_CACHED) sum = sum * vd_load(block->capture + i);
        if (scene->polar_mode == NB_CACHED) sum = sum * vd_load(block->polarization + i);
        if (scene->omega_mode == NB_CACHED) sum = sum * vd_load(block->solid_angle + i);
        vd_store(value + i, sum);
    }
    memcpy(out, value, (size_t)block->n * sizeof *out);
}

/* Indices along the row; the padding repeats the last one. */
static void take_indices(const nb_scene *scene, nb_block *block) {
    const int64_t row_start = block->slow * scene->n_fast;
    const int64_t first = block->pixels[0] - row_start, last = block->pixels[block->n - 1] - row_start;
    if (last - first == block->n - 1) {
        const vd most = vd_all((double)last);
        for (int i = 0; i < block->row.n; i += LANES) {
            vd index = vd_all((double)(first + i)) + vd_count();
            vd_store(block->fast + i, vd_select(index < most, index, most));
        }
    } else {
        for (int i = 0; i < block->row.n; i++)
            block->fast[i] = (double)(block->pixels[i < block->n ? i : block->n - 1] - row_start);
    }
}

/* How many of the `most` ascending pixels come before `end`; at least the first one does. */
static int count_before(const int64_t *pixels, int most, int64_t end) {
    int low = 1, high = most; /* the answer lies between them */
    if (pixels[most - 1] < end) return most;
    while (low < high) {
        int middle = (low + high) / 2;
        if (pixels[middle] < end)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int render_block(const nb_scene *scene, const nb_model *model, nb_block *block, double *out,
                        const volatile int *cancel) {
    const int background_apart =
        scene->capture_mode == NB_PER_TERM || scene->polar_mode == NB_PER_TERM || scene->omega_mode == NB_PER_TERM;
    const int weigh_background = background_apart && scene->background != 0.0;
    block->row.n = (block->n + NB_SIMD_PAD - 1) / NB_SIMD_PAD * NB_SIMD_PAD;
    take_indices(scene, block);
    fill(block->sum, block->row.n, background_apart ? 0.0 : scene->background);
    fill(block->polarization, block->row.n, scene->polarized ? 0.0 : 1.0);
    fill(block->kept, block->row.n, 1.0);
    fill(block->seen, block->row.n, scene->d_min > 0.0 ? 0.0 : 1.0);
    fill(block->background, block->row.n, 0.0);
    int status = passes(scene, model, block, weigh_background, cancel);
    if (status == NB_OK) finish(scene, block, weigh_background, out);
    return status;
}

/* Pixels [pixel_begin, pixel_end) of a scene that nb_simd_obstacle does not object to; as nb_render. */
int NB_SIMD_NAME(NB_SIMD_ISA)(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, double *out,
                              const volatile int *cancel) {
    nb_model model;
    nb_block block;
    nb_model_make(scene, &model);
    block.row = (nb_row){block.along, block.inverse, {block.direction[0], block.direction[1], block.direction[2]}, 0};
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += block.n) {
        block.pixels = scene->pixels + begin;
        block.slow = scene->pixels[begin] / scene->n_fast;
        const int64_t most = pixel_end - begin < BLOCK ? pixel_end - begin : BLOCK;
        block.n = count_before(block.pixels, (int)most, (block.slow + 1) * scene->n_fast);
        int status = render_block(scene, &model, &block, out + (begin - pixel_begin), cancel);
        if (status != NB_OK) return status;
    }
    /* the one pass that has orientations of its own is left to the reference kernel, with its pixel */
    const int64_t first = scene->first_pass[0];
    if (scene->orientations_first_pass != NULL && first >= pixel_begin && first < pixel_end)
        return nb_pixel(scene, first, cancel, out + (first - pixel_begin));
    return NB_OK;
}
