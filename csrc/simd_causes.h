/* What the tangent of a pixel is a linear function of, apart from the orientations, and what a direction does to it. */
#ifndef NB_SIMD_CAUSES_H
#define NB_SIMD_CAUSES_H

#include "simd_curved.h"
#include "simd_matrix.h"
#include "simd_rows.h"

/* What the tangent of a pixel is a linear function of: derivatives by the position, which on a flat detector are those
 * by log(1/airpath) times 1, along and along^2, on a curved one see simd_curved.h; by the scale of the pass, by the
 * background and by the form of the terms; by the polarization's form, times the same three as the first or the six
 * products of the direction's components; by the quadratic form of a spot that is not square; by the absorption and the
 * cosine of the ray on the sensor times 1 and along, or the direction's components; and by the lines of the indices,
 * dA, dB, dg or dv, dg by axis, where there is one orientation. */
enum {
    POSITION = 0,
    SCALE = N_BENT,
    BEHIND,
    FORM,
    POLAR,
    MOMENT = POLAR + 6,
    ABSORPTION = MOMENT + 6,
    COSINE,
    LINES = COSINE + 3,
    N_LINES = 12,
    N_CAUSES = LINES + N_LINES
};

/* One direction at a point and for a source. */
typedef struct {
    double base[3], fast[3]; /* position = base + along fast; fast with what the edge of the pixel moves along */
    double incident[3], wavenumber;
    int still;               /* whether what moves all lines alike is 0: base, fast and incident */
    double scale;            /* relative, of pixel area and close distance */
    double effect[N_CAUSES]; /* what it does to each of the causes; those of the lines apart */
} nb_motion;

typedef struct {
    nb_block block;
    ALIGNED double along_inverse[ROW], weight[ROW], weighted[ROW], radial[ROW], toward[3][ROW];
    ALIGNED double moment[6][ROW], slope[3][ROW];
    ALIGNED double values[ROW];             /* terms of one orientation, where the table moves */
    ALIGNED double terms[NB_TOGETHER][ROW]; /* tangents of the sum over the orientations, without the airpath */
    ALIGNED double image[NB_TOGETHER][ROW];
    int started;   /* whether a pass has been added to the image */
    int64_t first; /* where the table of the source begins */
    const nb_directions *directions;
    nb_motion motion[NB_TOGETHER];
    int64_t polarized_by; /* source of the polarizer, over blocks; -1 for none */
    nb_polarizer polarizer;
    nb_bending bending; /* of the point, on a curved detector */
} nb_push;

static int is_zero(const double *x, int n) {
    for (int i = 0; i < n; i++) {
        if (x[i] != 0.0) return 0;
    }
    return 1;
}

/* Numbers that the line of an index has. */
NB_INLINE int line_length(const int curved) {
    return curved ? 4 : 3;
}

/* What a direction does to the form of a spot that is not square. */
static void move_spot(const nb_scene *scene, const nb_model *model, const nb_gradient *t, nb_motion *motion) {
    double *moment = motion->effect + MOMENT;
    for (int i = 0; i < n_moments(model); i++)
        moment[i] = moment_share(model, i) * *t->fudge / scene->fudge;
    if (scene->has_block_matrix) motion->effect[FORM] += move_matrix(scene, t->block_matrix, moment);
    for (int i = 0; !scene->has_block_matrix && i < 3; i++) {
        const double stretch = t->n_cells[i] / scene->n_cells[i];
        motion->effect[FORM] += 2.0 * stretch;
        moment[i] += stretch;
    }
}

/* The directions at a point; `along_slow` is its coordinate. */
static void move_point(const nb_scene *scene, const nb_model *model, nb_push *push, int32_t layer, double along_slow) {
    const double depth = (double)layer, *base = push->block.base;
    if (scene->curved) push->bending = bending_of(scene, push->block.base);
    for (int k = 0; k < push->directions->n; k++) {
        const nb_gradient *t = push->directions->tangent + k;
        nb_motion *motion = push->motion + k;
        const double growth[2] = {t->pixel_size[0] / scene->pixel_size[0], t->pixel_size[1] / scene->pixel_size[1]};
        for (int i = 0; i < 3; i++) {
            motion->base[i] = along_slow * (growth[1] * scene->slow[i] + t->slow[i]) +
                              depth * (*t->layer_thickness * scene->normal[i] + scene->layer_thickness * t->normal[i]) +
                              t->pix0[i];
            motion->fast[i] = growth[0] * scene->fast[i] + t->fast[i];
        }
        motion->effect[ABSORPTION] =
            *t->layer_thickness * scene->attenuation + scene->layer_thickness * *t->attenuation;
        if (scene->curved) {
            move_bent(scene, &push->bending, t, motion->base, motion->fast, motion->effect + POSITION);
            for (int i = 0; i < 3; i++)
                motion->effect[COSINE + i] = t->normal[i];
        } else {
            motion->effect[POSITION] = dot(base, motion->base);
            motion->effect[POSITION + 1] = dot(base, motion->fast) + dot(scene->fast, motion->base);
            motion->effect[POSITION + 2] = dot(scene->fast, motion->fast);
            motion->effect[COSINE] = dot(motion->base, scene->normal) + dot(base, t->normal);
            motion->effect[COSINE + 1] = dot(motion->fast, scene->normal) + dot(scene->fast, t->normal);
        }
        motion->scale = *t->pixel_area / scene->pixel_area;
        if (!scene->point_pixel) motion->scale += *t->close_distance / scene->close_distance;
        motion->effect[BEHIND] = push->directions->share *
                                 (*t->background - scene->background * push->directions->d_weight_sum[k] *
                                                       push->directions->share * scene->oversample * scene->oversample);
        motion->effect[FORM] =
            scene->f_table == NULL && scene->default_F != 0.0 ? 2.0 * *t->default_F / scene->default_F : 0.0;
        if (scene->shape != NB_SQUARE) move_spot(scene, model, t, motion);
    }
}

/* What a direction does to the form of the polarization: through the positions of a flat detector, and by itself. */
static void move_polarization(const nb_scene *scene, const nb_push *push, const double *incident, const nb_gradient *t,
                              nb_motion *motion) {
    const double *base = push->block.base, *fast = scene->fast;
    const int turns = !is_zero(incident, 3) || *t->kahn_factor != 0.0 || !is_zero(t->polarization_axis, 3);
    double *polar = motion->effect + POLAR, matrix[3][3] = {{0.0}};
    if (turns) nb_push_polarizer(scene, &push->polarizer, incident, t, matrix);
    for (int i = 0; scene->curved && i < 3; i++) {
        polar[i] = matrix[i][i];
        for (int k = i + 1; k < 3; k++)
            polar[SYMMETRIC[i][k]] = matrix[i][k] + matrix[k][i];
    }
    if (scene->curved) return;
    polar[0] = polar[1] = polar[2] = 0.0;
    for (int i = 0; i < 3; i++) {
        const double by_base = dot(push->polarizer.matrix[i], base), by_fast = dot(push->polarizer.matrix[i], fast);
        polar[0] += 2.0 * by_base * motion->base[i] + base[i] * dot(matrix[i], base);
        polar[1] += 2.0 * (by_base * motion->fast[i] + by_fast * motion->base[i] + base[i] * dot(matrix[i], fast));
        polar[2] += 2.0 * by_fast * motion->fast[i] + fast[i] * dot(matrix[i], fast);
    }
}

static void move_source(const nb_scene *scene, nb_push *push, int64_t source) {
    static const double STILL[3] = {0.0, 0.0, 0.0};
    const double wavelength = scene->wavelength[source];
    if (push->polarized_by != source) nb_polarizer_make(scene, scene->incident + 3 * source, &push->polarizer);
    push->polarized_by = source;
    for (int k = 0; k < push->directions->n; k++) {
        const nb_gradient *t = push->directions->tangent + k;
        const double *incident = t->incident == NULL ? STILL : t->incident + 3 * source;
        const double weight = t->weight == NULL ? 0.0 : t->weight[source];
        nb_motion *motion = push->motion + k;
        motion->wavenumber = t->wavelength == NULL ? 0.0 : -t->wavelength[source] / (wavelength * wavelength);
        for (int i = 0; i < 3; i++)
            motion->incident[i] = incident[i];
        motion->still =
            is_zero(incident, 3) && (scene->curved || (is_zero(motion->base, 3) && is_zero(motion->fast, 3)));
        motion->effect[SCALE] = push->directions->scale * (weight + scene->weight[source] * motion->scale) +
                                push->directions->d_scale[k] * scene->weight[source];
        move_polarization(scene, push, incident, t, motion);
    }
}

/* What the numbers of the lines are multiplied by for a vector of pixels: the slopes times what the direction is a
 * linear function of, and times 1. */
NB_INLINE void line_parts(const nb_row *row, const double *along_inverse, int i, const vd slope[3], vd parts[N_LINES],
                          const int curved) {
    const int length = line_length(curved);
    vd basis[3];
    if (curved)
        direction_at(row, i, basis);
    else
        basis[0] = vd_load(row->inverse + i), basis[1] = vd_load(along_inverse + i);
    for (int j = 0; j < 3; j++) {
        for (int c = 0; c < length - 1; c++)
            parts[length * j + c] = slope[j] * basis[c];
        parts[length * j + length - 1] = slope[j];
    }
}

/* The causes that the positions of a flat detector have, from the weight of the terms and the derivatives by the
 * polarization and by log(1/airpath) through the solid angle. */
NB_INLINE void flat_causes(const nb_scene *scene, const nb_push *push, int i, vd terms, vd tilt, vd logarithmic,
                           vd cosine, vd causes[N_CAUSES]) {
    const vd inverse = vd_load(push->block.inverse + i), along = vd_load(push->block.along + i),
             sqr = inverse * inverse;
    vd radial = vd_fma(terms, vd_load(push->radial + i) * inverse, logarithmic);
    if (scene->polarized) {
        const vd polarization = vd_load(push->block.polarization + i);
        radial = vd_fma(tilt, vd_fma(polarization, vd_all(2.0), vd_all(-1.0)), radial);
        causes[POLAR] = vd_all(0.5) * sqr * tilt;
        causes[POLAR + 1] = causes[POLAR] * along, causes[POLAR + 2] = causes[POLAR + 1] * along;
    }
    if (scene->has_sensor) {
        radial = vd_fma(causes[COSINE], cosine, radial);
        causes[COSINE] = causes[COSINE] * inverse, causes[COSINE + 1] = causes[COSINE] * along;
    }
    causes[POSITION] = -sqr * radial; /* d log(1/airpath) = -inverse^2 position . d position */
    causes[POSITION + 1] = causes[POSITION] * along, causes[POSITION + 2] = causes[POSITION + 1] * along;
}

/* The same for those of a curved one. */
NB_INLINE void curved_causes(const nb_scene *scene, const nb_push *push, int i, vd terms, vd tilt, vd logarithmic,
                             vd causes[N_CAUSES]) {
    vd direction[3], toward[3], position[3];
    direction_at(&push->block.row, i, direction);
    for (int k = 0; k < 3; k++)
        toward[k] = terms * vd_load(push->toward[k] + i);
    if (scene->polarized) {
        polarization_slopes(&push->polarizer, direction, tilt, toward);
        direction_products(direction, vd_all(0.5) * tilt, causes + POLAR);
    }
    if (scene->has_sensor) {
        const vd by_cosine = causes[COSINE];
        for (int k = 0; k < 3; k++) {
            toward[k] = vd_fma(by_cosine, vd_all(scene->normal[k]), toward[k]);
            causes[COSINE + k] = by_cosine * direction[k];
        }
    }
    position_slopes(&push->block, i, toward, logarithmic, position);
    bend_slopes(scene, &push->bending, vd_load(push->block.along + i), position, causes + POSITION);
}

/* The causes for a vector of pixels, and the weight of the terms. `alone`: whether the lines of the indices are causes.
 */
NB_INLINE vd find_causes(const nb_scene *scene, const nb_push *push, double weight, const line_lanes *normal,
                         int32_t layer, int moments, int alone, int i, vd causes[N_CAUSES], const int curved) {
    const nb_block *block = &push->block;
    const double power = scene->point_pixel ? 2.0 : 3.0;
    const vd geometry = geometric(block, scene->has_sensor, i), strength = vd_all(push->directions->scale * weight);
    const vd polarization = scene->polarized ? vd_load(block->polarization + i) : vd_all(1.0);
    const vd unit = polarization * geometry, behind = vd_all(scene->background * push->directions->share);
    vd sum = vd_load(block->pass_sum + i), terms = strength * unit;
    causes[BEHIND] = terms;
    if (scene->d_min > 0.0) {
        const vi kept = vd_load(block->kept + i) != vd_all(0.0);
        sum = vd_select(kept, sum, vd_all(0.0)), terms = vd_select(kept, terms, vd_all(0.0));
    }
    const vd total = sum + behind, photons = strength * total;
    causes[SCALE] = unit * total;
    causes[FORM] = terms * sum;
    for (int j = 0; j < moments; j++)
        causes[MOMENT + j] = terms * vd_load(push->moment[j] + i);
    vd cosine = vd_all(1.0);
    if (scene->has_sensor) {
        const double absorption = scene->layer_thickness * scene->attenuation;
        cosine = line_value(&block->row, normal, i, curved);
        causes[ABSORPTION] = photons * polarization * vd_load(block->solid_angle + i) *
                             capture_slope(absorption, (double)layer, cosine) / cosine;
        causes[COSINE] = -causes[ABSORPTION] * vd_all(absorption) / cosine;
    }
    if (curved)
        curved_causes(scene, push, i, terms, geometry * photons, vd_all(power) * unit * photons, causes);
    else
        flat_causes(scene, push, i, terms, geometry * photons, vd_all(power) * unit * photons, cosine, causes);
    if (alone) {
        vd slope[3];
        for (int k = 0; k < 3; k++)
            slope[k] = terms * vd_load(push->slope[k] + i);
        line_parts(&block->row, push->along_inverse, i, slope, causes + LINES, curved);
    }
    return terms;
}

#endif
