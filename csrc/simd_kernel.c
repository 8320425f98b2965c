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
#include "channels.h"
#include "simd.h"
#include "simd_orientations.h"

#include <string.h>

#define NB_SIMD_PASTE(isa) nb_simd_render_##isa
#define NB_SIMD_NAME(isa) NB_SIMD_PASTE(isa)

/* Which factors multiply their own term. */
typedef struct {
    int capture, polarization, solid_angle;
} own_factors;

static own_factors own_factors_of(const nb_scene *scene) {
    return (own_factors){scene->has_sensor && scene->capture_mode == NB_PER_TERM, scene->polar_mode == NB_PER_TERM,
                         scene->omega_mode == NB_PER_TERM};
}

/* The factor of a pass. */
NB_INLINE vd pass_factor(const nb_block *block, const own_factors own, double weight, int i) {
    vd g = vd_all(weight);
    if (own.capture) g = g * vd_load(block->capture + i);
    if (own.polarization) g = g * vd_load(block->polarization + i);
    if (own.solid_angle) g = g * vd_load(block->solid_angle + i);
    return g;
}

/* Multiply the sum over the orientations by the factor of the pass and add it where d_min keeps it. */
static void add_pass(const nb_scene *scene, nb_block *block, double weight) {
    const own_factors own = own_factors_of(scene);
    const int some = scene->d_min > 0.0, started = block->started, n = block->row.n;
    const vd start = vd_all(block->start);
    for (int i = 0; i < n; i += LANES) {
        const vd g = pass_factor(block, own, weight, i);
        vd before = started ? vd_load(block->sum + i) : start;
        vd after = vd_fma(g, vd_load(block->pass_sum + i), before);
        if (some) after = vd_select(vd_load(block->kept + i) != vd_all(0.0), after, before);
        vd_store(block->sum + i, after);
    }
    block->started = 1;
}

/* The same for the channels. */
static void add_to_channels(const nb_scene *scene, const nb_block *block, int64_t source) {
    const own_factors own = own_factors_of(scene);
    for (int i = 0; i < block->n; i += LANES) {
        vd term = pass_factor(block, own, scene->weight[source], i) * vd_load(block->pass_sum + i);
        if (scene->d_min > 0.0) term = vd_select(vd_load(block->kept + i) != vd_all(0.0), term, vd_all(0.0));
        for (int64_t c = 0; c < block->channels->n; c++) {
            const double weight = block->channels->weight[c * scene->n_sources + source];
            double *at = block->channels->out + c * scene->n_pixels + block->begin + i;
            for (int lane = 0; lane < LANES && i + lane < block->n; lane++)
                at[lane] += weight * term[lane];
        }
    }
}

/* Scale and cached factors of the channels. */
static void finish_channels(const nb_scene *scene, const nb_block *block) {
    const double scale = scene->r_e_sqr * scene->fluence / scene->steps;
    const int capture = scene->has_sensor && scene->capture_mode == NB_CACHED;
    for (int64_t c = 0; c < block->channels->n; c++) {
        double *at = block->channels->out + c * scene->n_pixels + block->begin;
        for (int i = 0; i < block->n; i++) {
            double factor = scale;
            if (capture) factor = factor * block->capture[i];
            if (scene->polar_mode == NB_CACHED) factor = factor * block->polarization[i];
            if (scene->omega_mode == NB_CACHED) factor = factor * block->solid_angle[i];
            at[i] = at[i] * factor;
        }
    }
}

static void add_background(const nb_scene *scene, nb_block *block, double weight_sum) {
    for (int i = 0; i < block->row.n; i += LANES) {
        vd part = vd_all(1.0);
        if (scene->omega_mode == NB_PER_TERM) part = part * vd_load(block->solid_angle + i);
        if (scene->has_sensor && scene->capture_mode == NB_PER_TERM) part = part * vd_load(block->capture + i);
        if (scene->polar_mode == NB_PER_TERM)
            part = part * (vd_load(block->background_polarization + i) / vd_all(weight_sum));
        vd_store(block->background + i, vd_load(block->background + i) + part);
    }
}

/* After a CACHED polarization, the scalar kernel goes on with the normalized direction: note where it takes one.
 *
 * kept: where d_min keeps the pass, NULL for everywhere; untouched: no polarization was taken before.
 */
static void renormalize(nb_block *block, const double *kept, int untouched, nb_noise *noise) {
    noise->only = untouched && kept == NULL ? NULL : block->renormalized;
    for (int i = 0; noise->only != NULL && i < block->n; i++) {
        const int taken = (kept == NULL || kept[i] != 0.0) && block->polarization[i] == 0.0;
        block->renormalized[i] = taken || (noise->renormalized && block->renormalized[i] != 0.0);
    }
    noise->renormalized = 1;
}

/* All passes of a block. */
static int passes(const nb_scene *scene, nb_model *model, nb_block *block, int weigh_background,
                  const volatile int *cancel) {
    const int per_term = scene->polar_mode == NB_PER_TERM;
    int polarization_open = scene->polarized; /* CACHED: some pixel still waits for its factor */
    int untouched = 1;                        /* ... and every pixel does */
    nb_noise noise = {.scene = scene, .pixels = block->pixels, .n = block->n};
    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                const int first = sub_slow == 0 && sub_fast == 0;
                place(scene, block, layer, sub_slow, sub_fast);
                if (scene->omega_mode == NB_PER_TERM || (first && layer == 0)) solid_angles(scene, block);
                if (scene->has_sensor &&
                    (scene->capture_mode == NB_PER_TERM || (first && layer == scene->n_layers - 1)))
                    capture_fractions(scene, block, layer);
                noise.pass = (nb_pass_index){layer, sub_slow, sub_fast, 0};
                noise.renormalized = 0;
                double weight_sum = 0.0;
                if (weigh_background) fill(block->background_polarization, block->row.n, 0.0);
                for (int64_t source = 0; source < scene->n_sources; source++) {
                    if (*cancel) return NB_ERR_CANCELLED;
                    const double *incident = scene->incident + 3 * source;
                    const double weight = scene->weight[source];
                    int any = 1;
                    if (scene->d_min > 0.0) any = keep(scene, block, incident, scene->wavelength[source]);
                    if (scene->polarized && per_term && (any || weigh_background))
                        polarizations(scene, block, incident, 0, NULL);
                    if (scene->polarized && !per_term && any && polarization_open) {
                        const double *kept = scene->d_min > 0.0 ? block->kept : NULL;
                        if (model->noise > 0.0) renormalize(block, kept, untouched, &noise);
                        polarization_open = polarizations(scene, block, incident, kept != NULL || !untouched, kept);
                        untouched = 0;
                    }
                    if (weigh_background) {
                        weight_sum += weight;
                        for (int i = 0; i < block->row.n; i += LANES) {
                            double *at = block->background_polarization + i;
                            vd_store(at, vd_fma(vd_all(weight), vd_load(block->polarization + i), vd_load(at)));
                        }
                    }
                    if (!any) continue;
                    noise.pass.source = source;
                    if (scene->n_tables > 1) model->table = table_of(scene, source);
                    add_all(scene, model, block, incident, scene->wavelength[source],
                            model->noise > 0.0 ? &noise : NULL, cancel);
                    if (*cancel) return NB_ERR_CANCELLED;
                    add_pass(scene, block, weight);
                    if (block->channels != NULL) add_to_channels(scene, block, source);
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
            polarizations(scene, block, scene->incident, 1, unseen);
        }
    }
    if (!block->started) fill(block->sum, block->row.n, block->start);
    const vd scale = vd_all(scene->r_e_sqr * scene->fluence / scene->steps), background = vd_all(scene->background / n);
    const int zero_unseen = zeroed && scene->d_min > 0.0 && scene->polar_mode == NB_PER_TERM;
    const int capture = scene->has_sensor && scene->capture_mode == NB_CACHED;
    const int polarization = scene->polar_mode == NB_CACHED, solid_angle = scene->omega_mode == NB_CACHED;
    for (int i = 0; i < block->n; i += LANES) {
        vd sum = vd_load(block->sum + i);
        if (weigh_background) sum = vd_fma(background, vd_load(block->background + i), sum);
        if (zero_unseen) sum = vd_select(vd_load(block->seen + i) == vd_all(0.0), vd_all(0.0), sum);
        sum = scale * sum;
        if (capture) sum = sum * vd_load(block->capture + i);
        if (polarization) sum = sum * vd_load(block->polarization + i);
        if (solid_angle) sum = sum * vd_load(block->solid_angle + i);
        if (i + LANES <= block->n)
            memcpy(out + i, &sum, sizeof sum);
        else
            memcpy(out + i, &sum, (size_t)(block->n - i) * sizeof *out);
    }
}

/* Where the pixels of the block are along the row. */
static void take_indices(const nb_scene *scene, nb_block *block) {
    const int64_t row_start = block->slow * scene->n_fast;
    block->first = block->pixels[0] - row_start;
    block->last = block->pixels[block->n - 1] - row_start;
    block->gaps = block->last - block->first != block->n - 1;
    for (int i = 0; block->gaps && i < block->row.n; i++)
        block->fast[i] = (double)(block->pixels[i < block->n ? i : block->n - 1] - row_start);
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

static int render_block(const nb_scene *scene, nb_model *model, nb_block *block, double *out,
                        const volatile int *cancel) {
    const int background_apart =
        scene->capture_mode == NB_PER_TERM || scene->polar_mode == NB_PER_TERM || scene->omega_mode == NB_PER_TERM;
    const int weigh_background = background_apart && scene->background != 0.0;
    block->row.n = (block->n + NB_SIMD_PAD - 1) / NB_SIMD_PAD * NB_SIMD_PAD;
    take_indices(scene, block);
    block->start = background_apart ? 0.0 : scene->background;
    block->started = 0;
    if (!scene->polarized || scene->d_min > 0.0) fill(block->polarization, block->row.n, scene->polarized ? 0.0 : 1.0);
    if (scene->d_min > 0.0) fill(block->seen, block->row.n, 0.0);
    if (weigh_background) fill(block->background, block->row.n, 0.0);
    for (int64_t c = 0; block->channels != NULL && c < block->channels->n; c++)
        memset(block->channels->out + c * scene->n_pixels + block->begin, 0, (size_t)block->n * sizeof(double));
    int status = passes(scene, model, block, weigh_background, cancel);
    if (status == NB_OK) finish(scene, block, weigh_background, out);
    if (status == NB_OK && block->channels != NULL) finish_channels(scene, block);
    return status;
}

int NB_SIMD_NAME(NB_SIMD_ISA)(const nb_scene *scene, int mixed, int64_t pixel_begin, int64_t pixel_end, double *out,
                              const nb_channels *channels, const volatile int *cancel) {
    nb_model model;
    nb_group groups[MAX_GROUPS];
    nb_block block;
    nb_model_make(scene, mixed, groups, &model);
    block.channels = channels;
    block.row = (nb_row){block.along, block.inverse, {block.direction[0], block.direction[1], block.direction[2]}, 0};
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += block.n) {
        block.pixels = scene->pixels + begin;
        block.begin = begin;
        block.slow = scene->pixels[begin] / scene->n_fast;
        block.interpolate = model.interpolate && begin < scene->interpolation_off[0];
        int64_t end = pixel_end;
        if (block.interpolate && scene->interpolation_off[0] < end) end = scene->interpolation_off[0];
        const int64_t most = end - begin < BLOCK ? end - begin : BLOCK;
        block.n = count_before(block.pixels, (int)most, (block.slow + 1) * scene->n_fast);
        int status = render_block(scene, &model, &block, out + (begin - pixel_begin), cancel);
        if (status != NB_OK) return status;
    }
    /* the pixel of the one pass that has orientations of its own, and that during which interpolation ends, are left to
     * the reference kernel */
    const int64_t alone[2] = {scene->orientations_first_pass != NULL ? scene->first_pass[0] : -1,
                              scene->tricubic && scene->interpolation_off[1] > 0 ? scene->interpolation_off[0] : -1};
    for (int i = 0; i < 2; i++) {
        if (alone[i] < pixel_begin || alone[i] >= pixel_end) continue;
        int status = nb_pixel_channels(scene, alone[i], channels, cancel, out + (alone[i] - pixel_begin));
        if (status != NB_OK) return status;
    }
    return NB_OK;
}

/* gradient and tangents, with the same blocks */
#include "simd_adjoint.h"
#include "simd_tangent.h"
