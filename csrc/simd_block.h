/* A block of pixels of one detector row: where they are, and the factors of a pass for each of them. */
#ifndef NB_SIMD_BLOCK_H
#define NB_SIMD_BLOCK_H

#include "detector.h"
#include "simd_bend.h"
#include "simd_terms.h"
#include "vector.h"

#include <stddef.h>

/* Pixels per block: long enough that preparing an orientation does not count, short enough for the first cache. */
#define BLOCK 512

#define ALIGNED __attribute__((aligned(64)))

typedef struct {
    ALIGNED double fast[BLOCK]; /* pixel index along the row, where `gaps` is set */
    ALIGNED double along[BLOCK];
    ALIGNED double inverse[BLOCK];
    ALIGNED double direction[3][BLOCK];
    ALIGNED double pass_sum[BLOCK]; /* over the orientations of a pass */
    ALIGNED double sum[BLOCK];      /* I, over the passes so far */
    ALIGNED double solid_angle[BLOCK];
    ALIGNED double capture[BLOCK];
    ALIGNED double polarization[BLOCK];
    ALIGNED double kept[BLOCK];         /* 1 where d_min keeps the pass */
    ALIGNED double seen[BLOCK];         /* 1 where d_min kept any pass */
    ALIGNED double renormalized[BLOCK]; /* 1 where the direction of the sub-pixel is (nb_noise) */
    ALIGNED double background[BLOCK];
    ALIGNED double background_polarization[BLOCK];
    nb_row row;
    const nb_channels *channels; /* or NULL */
    const int64_t *pixels;
    int64_t begin; /* place of the first pixel in the scene's list */
    int64_t slow;
    int64_t first, last; /* pixel indices along the row */
    int gaps;            /* whether a pixel between them is missing */
    int n;               /* pixels without the padding */
    int interpolate;     /* whether structure factors are */
    double start;        /* what I starts from */
    int started;         /* whether a pass has been added to it */
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

/* For whole vectors: n is a multiple of NB_SIMD_PAD. */
static void fill(double *values, int n, double value) {
    for (int i = 0; i < n; i += LANES)
        vd_store(values + i, vd_all(value));
}

/* Pixel indices along the row; the padding repeats the last one. */
NB_INLINE vd indices(const nb_block *block, int i, const int gaps) {
    if (gaps) return vd_load(block->fast + i);
    const vd index = vd_all((double)(block->first + i)) + vd_count(), last = vd_all((double)block->last);
    return vd_select(index < last, index, last);
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

static line_lanes line_lanes_of(const nb_scene *scene, const nb_block *block, const double vector[3], double constant) {
    nb_line line;
    line_make(scene, block, vector, constant, &line);
    return line_spread(&line);
}

/* On the arcs of CURVED_DET_AXES. */
static void place_on_axes(const nb_scene *scene, nb_block *block, int32_t layer, int32_t sub_slow, int32_t sub_fast) {
    for (int i = 0; i < block->row.n; i++) {
        const int64_t fast = block->pixels[i < block->n ? i : block->n - 1] - block->slow * scene->n_fast;
        double position[3];
        nb_position(scene, fast, block->slow, sub_fast, sub_slow, layer, position);
        double airpath = nb_norm(position);
        block->inverse[i] = 1.0 / airpath;
        for (int k = 0; k < 3; k++)
            block->direction[k][i] = position[k] / airpath;
    }
}

static void place_curved(const nb_scene *scene, nb_block *block) {
    const nb_bending bending = bending_of(scene, block->base);
    for (int i = 0; i < block->row.n; i += LANES) {
        vd position[3];
        bend(scene, &bending, vd_load(block->along + i), position);
        const vd inverse = vd_all(1.0) / vd_sqrt(dot_lanes(position, position));
        vd_store(block->inverse + i, inverse);
        for (int k = 0; k < 3; k++)
            vd_store(block->direction[k] + i, position[k] * inverse);
    }
}

NB_INLINE void place_flat(const nb_scene *scene, nb_block *block, double step, int32_t sub_fast, const int gaps) {
    const vd half = vd_all(step / 2.0), sub = vd_all((double)sub_fast), many = vd_all((double)scene->oversample);
    const vd fast[3] = {vd_all(scene->fast[0]), vd_all(scene->fast[1]), vd_all(scene->fast[2])};
    const vd base[3] = {vd_all(block->base[0]), vd_all(block->base[1]), vd_all(block->base[2])};
    const int n = block->row.n;
    vd total = vd_all(0.0);
    for (int i = 0; i < n; i += LANES) {
        vd along = vd_all(step) * (indices(block, i, gaps) * many + sub) + half, sqr = vd_all(0.0);
        vd_store(block->along + i, along);
        for (int k = 0; k < 3; k++) {
            vd x = vd_fma(along, fast[k], base[k]);
            sqr = vd_fma(x, x, sqr);
        }
        vd inverse = vd_all(1.0) / vd_sqrt(sqr);
        vd_store(block->inverse + i, inverse);
        total += inverse;
    }
    block->inverse_sum = 0.0;
    for (int i = 0; i < LANES; i++)
        block->inverse_sum += total[i];
}

/* Coordinate of the points of a sub-pixel along slow. */
static double row_along_slow(const nb_scene *scene, const nb_block *block, int32_t sub_slow) {
    const double step = scene->pixel_size[1] / (double)scene->oversample;
    return step * (double)(block->slow * scene->oversample + sub_slow) + step / 2.0;
}

/* Positions of the points of a sub-pixel and layer. */
static void place(const nb_scene *scene, nb_block *block, int32_t layer, int32_t sub_slow, int32_t sub_fast) {
    const double step = scene->pixel_size[0] / (double)scene->oversample;
    const double along_slow = row_along_slow(scene, block, sub_slow);
    const double depth = (double)layer * scene->layer_thickness;
    for (int k = 0; k < 3; k++)
        block->base[k] = along_slow * scene->slow[k] + depth * scene->normal[k] + scene->pix0[k];
    if (block->gaps)
        place_flat(scene, block, step, sub_fast, 1);
    else
        place_flat(scene, block, step, sub_fast, 0);
    if (scene->curved && (scene->quirks & NB_CURVED_DET_AXES))
        place_on_axes(scene, block, layer, sub_slow, sub_fast);
    else if (scene->curved)
        place_curved(scene, block);
    if (scene->curved) return;
    double chord_sqr = 0.0;
    for (int k = 0; k < 3; k++) {
        double first = (block->along[0] * scene->fast[k] + block->base[k]) * block->inverse[0];
        double last = (block->along[block->n - 1] * scene->fast[k] + block->base[k]) * block->inverse[block->n - 1];
        chord_sqr += (last - first) * (last - first);
    }
    block->sagitta = chord_sqr < 4.0 ? 1.0 - sqrt(1.0 - chord_sqr / 4.0) : 1.0;
}

static void solid_angles(const nb_scene *scene, nb_block *block) {
    const vd area = vd_all(scene->pixel_area), close = vd_all(scene->close_distance);
    const int n = block->row.n, point = scene->point_pixel;
    for (int i = 0; i < n; i += LANES) {
        vd inverse = vd_load(block->inverse + i);
        vd omega = area * inverse * inverse;
        if (!point) omega = omega * close * inverse;
        vd_store(block->solid_angle + i, omega);
    }
}

static void capture_fractions(const nb_scene *scene, nb_block *block, int32_t layer) {
    const nb_row row = block->row;
    const int curved = scene->curved;
    const line_lanes normal = line_lanes_of(scene, block, scene->normal, 0.0);
    const vd front = vd_all((double)-layer * scene->layer_thickness * scene->attenuation);
    const vd back = vd_all((double)-(layer + 1) * scene->layer_thickness * scene->attenuation);
    for (int i = 0; i < row.n; i += LANES) {
        vd cosine = line_value(&row, &normal, i, curved);
        vd_store(block->capture + i, vd_exp(front / cosine) - vd_exp(back / cosine));
    }
}

/* Kahn's factor (polarization.c) with K cos 2 psi sin^2 2 theta = K (e^2 - m^2), where e and m are the components of
 * the scattered direction along the electric and magnetic field. Returns whether any factor is 0.
 *
 * `filling`: only factors that are 0 change, and of these, where `open` is given, only those where it is set.
 */
static int polarizations(const nb_scene *scene, nb_block *block, const double *incident, int filling,
                         const double *open) {
    const nb_row row = block->row;
    const int curved = scene->curved;
    double k[3], magnetic[3] = {0.0, 0.0, 0.0}, electric[3] = {0.0, 0.0, 0.0};
    nb_unit(incident, k);
    const double kahn = scene->kahn_factor;
    if (kahn != 0.0) {
        nb_cross(scene->polarization_axis, k, magnetic);
        nb_unit(magnetic, magnetic);
        nb_cross(k, magnetic, electric);
        nb_unit(electric, electric);
    }
    const int along_beam = magnetic[0] == 0.0 && magnetic[1] == 0.0 && magnetic[2] == 0.0; /* then psi = 0 */
    const line_lanes cosine = line_lanes_of(scene, block, k, 0.0);
    const line_lanes m = line_lanes_of(scene, block, magnetic, 0.0);
    const line_lanes e = line_lanes_of(scene, block, electric, 0.0);
    vi zero = vi_all(0);
    for (int i = 0; i < row.n; i += LANES) {
        vd c = line_value(&row, &cosine, i, curved);
        vd factor = vd_fma(c, c, vd_all(1.0));
        if (kahn != 0.0) {
            vd along_m = line_value(&row, &m, i, curved);
            vd along_e = line_value(&row, &e, i, curved);
            vd part = along_beam ? vd_fnma(c, c, vd_all(1.0)) : vd_fnma(along_m, along_m, along_e * along_e);
            factor = vd_fnma(vd_all(kahn), part, factor);
        }
        factor = vd_all(0.5) * factor;
        if (filling) {
            vd before = vd_load(block->polarization + i);
            vi change = before == vd_all(0.0);
            if (open != NULL) change &= vd_load(open + i) != vd_all(0.0);
            factor = vd_select(change, factor, before);
        }
        vd_store(block->polarization + i, factor);
        zero |= factor == vd_all(0.0);
    }
    return vi_any(zero);
}

/* Which pixels d_min keeps in a pass; returns whether any. */
static int keep(const nb_scene *scene, nb_block *block, const double *incident, double wavelength) {
    const vd limit = vd_all(1.0 / (scene->d_min * scene->d_min)); /* |S| = 2 stol = 1/d */
    const nb_row row = block->row;
    const int curved = scene->curved;
    line_lanes axis[3];
    for (int k = 0; k < 3; k++) {
        double unit[3] = {0.0, 0.0, 0.0};
        unit[k] = 1.0;
        axis[k] = line_lanes_of(scene, block, unit, -incident[k]);
    }
    vi any = vi_all(0);
    for (int i = 0; i < row.n; i += LANES) {
        vd s_sqr = vd_all(0.0);
        for (int k = 0; k < 3; k++) {
            vd s = line_value(&row, axis + k, i, curved) / vd_all(wavelength);
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

#endif
