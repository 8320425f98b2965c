/* The tangents of the sum, in the reference order of operations: what nb_render does, and its chain rule forwards for
 * several directions at once. Notation as in adjoint.c. */
#include "adjoint.h"
#include "geometry_slopes.h"
#include "gradient.h"
#include "slopes.h"
#include "tables.h"
#include "vector.h"

#include <stddef.h>

/* Tangents of a point. */
typedef struct {
    double direction[3], solid_angle, capture;
} point_motion;

/* `first`: where the table of the source begins. */
static double moved_f_cell(const nb_scene *scene, const nb_slopes *slopes, int64_t first, const nb_gradient *t) {
    if (slopes->entry < 0) return *t->default_F;
    if (t->f_table == NULL) return 0.0;
    const double *table = t->f_table + first;
    if (!slopes->interpolated) return table[slopes->entry];
    double sum = 0.0;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            const double *row = table + slopes->entry + (i * scene->n_hkl[1] + j) * scene->n_hkl[2];
            for (int m = 0; m < 4; m++)
                sum += slopes->weights[0][i] * slopes->weights[1][j] * slopes->weights[2][m] * row[m];
        }
    }
    return sum;
}

/* All orientations of a pass: returns T; adds to its tangents, and gives its derivative by the scattering vector. */
static double orientations(const nb_scene *scene, const nb_directions *directions, int64_t first,
                           const double scattering[3], double d_sum[], double by_scattering[3]) {
    double sum = 0.0;
    nb_slopes slopes;
    for (int64_t at = 0; at < scene->n_phi * scene->n_domains; at++) {
        const double *cell = scene->orientations + 9 * at;
        nb_evaluate_slopes(scene, cell, scattering, &slopes);
        const double weight = nb_domain_weight(scene, at);
        sum += weight * slopes.value;
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 3; k++)
                by_scattering[k] += weight * slopes.by_hkl[i] * cell[3 * i + k];
        }
        for (int k = 0; k < directions->n; k++) {
            const nb_gradient *t = directions->tangent + k;
            double moved = nb_dot(slopes.by_n_cells, t->n_cells) + slopes.by_fudge * *t->fudge +
                           slopes.by_f_cell * moved_f_cell(scene, &slopes, first, t);
            for (int i = 0; scene->has_block_matrix && i < 9; i++)
                moved += slopes.by_block_matrix[i] * t->block_matrix[i];
            for (int i = 0; t->orientations != NULL && i < 3; i++)
                moved += slopes.by_hkl[i] * nb_dot(t->orientations + 9 * at + 3 * i, scattering);
            d_sum[k] += weight * moved;
        }
    }
    return sum;
}

static double moved_polarization(const nb_scene *scene, const nb_polarizer *polarizer, const nb_gradient *t,
                                 const double *d_incident, const nb_point *point, const double slope[3],
                                 const double d_direction[3]) {
    double matrix[3][3], sum = nb_dot(slope, d_direction);
    nb_push_polarizer(scene, polarizer, d_incident, t, matrix);
    for (int i = 0; i < 3; i++)
        sum += 0.5 * point->direction[i] * nb_dot(matrix[i], point->direction);
    return sum;
}

/* One source at one point: adds to the tangents of I in units of scale. `seen` is the scene with the table of the
 * source.
 */
static void push_pass(const nb_scene *scene, const nb_scene *seen, const nb_directions *directions,
                      const nb_point *point, const point_motion moved[NB_TOGETHER], int64_t source,
                      double out[NB_TOGETHER]) {
    static const double STILL[3] = {0.0, 0.0, 0.0};
    const double *incident = scene->incident + 3 * source;
    const double n_points = (double)scene->oversample * (double)scene->oversample;
    const double wavelength = scene->wavelength[source], weight = scene->weight[source];
    double scattering[3], by_scattering[3] = {0.0, 0.0, 0.0}, d_sum[NB_TOGETHER] = {0.0};
    for (int i = 0; i < 3; i++)
        scattering[i] = (point->direction[i] - incident[i]) / wavelength;
    double stol = 0.5 * nb_norm(scattering), polarization = 1.0, slope[3] = {0.0, 0.0, 0.0}, sum = 0.0;
    int skip = scene->d_min > 0.0 && stol > 0.0 && scene->d_min > 0.5 / stol;
    nb_polarizer polarizer;
    if (scene->polarized) {
        nb_polarizer_make(scene, incident, &polarizer);
        polarization = nb_polarization_at(&polarizer, point->direction, slope);
    }
    if (!skip) {
        sum = orientations(seen, directions, nb_first_entry(scene, source), scattering, d_sum, by_scattering);
    }
    const double share = directions->share, total = sum + scene->background * share;
    const double factor = weight * point->capture * polarization * point->solid_angle;
    for (int k = 0; k < directions->n; k++) {
        const nb_gradient *t = directions->tangent + k;
        const double *d_incident = t->incident == NULL ? STILL : t->incident + 3 * source;
        const double d_wavelength = t->wavelength == NULL ? 0.0 : t->wavelength[source];
        const double d_weight = t->weight == NULL ? 0.0 : t->weight[source];
        for (int i = 0; i < 3; i++) {
            double d_scattering = (moved[k].direction[i] - d_incident[i] - scattering[i] * d_wavelength) / wavelength;
            d_sum[k] += by_scattering[i] * d_scattering;
        }
        double d_polarization = 0.0;
        if (scene->polarized)
            d_polarization = moved_polarization(scene, &polarizer, t, d_incident, point, slope, moved[k].direction);
        double d_factor = d_weight * point->capture * polarization * point->solid_angle +
                          weight * moved[k].capture * polarization * point->solid_angle +
                          weight * point->capture * d_polarization * point->solid_angle +
                          weight * point->capture * polarization * moved[k].solid_angle;
        double d_total = d_sum[k] + *t->background * share -
                         scene->background * share * share * n_points * directions->d_weight_sum[k];
        out[k] += directions->scale * (d_factor * total + factor * d_total) + directions->d_scale[k] * factor * total;
    }
}

static int push_pixel(const nb_scene *scene, const nb_directions *directions, int64_t flat, double out[NB_TOGETHER],
                      const volatile int *cancel) {
    nb_point point;
    point_motion moved[NB_TOGETHER];
    nb_scene view;
    const nb_scene *seen = nb_one_table(scene, &view);
    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                nb_point_make(scene, flat, sub_fast, sub_slow, layer, &point);
                for (int k = 0; k < directions->n; k++)
                    nb_push_point(scene, &point, directions->tangent + k, moved[k].direction, &moved[k].solid_angle,
                                  &moved[k].capture);
                for (int64_t source = 0; source < scene->n_sources; source++) {
                    if (*cancel) return NB_ERR_CANCELLED;
                    nb_see(scene, source, &view);
                    push_pass(scene, seen, directions, &point, moved, source, out);
                }
            }
        }
    }
    return NB_OK;
}

static void directions_make(const nb_scene *scene, const nb_gradient *tangents, int64_t first, int n,
                            nb_directions *directions) {
    const double unit = scene->r_e_sqr / scene->steps;
    double weight_sum = 0.0;
    directions->n = n;
    directions->table = scene->f_table != NULL && (tangents->f_table != NULL || tangents->default_F != NULL);
    directions->scale = unit * scene->fluence;
    for (int64_t source = 0; source < scene->n_sources; source++)
        weight_sum += scene->weight[source];
    directions->share = 1.0 / ((double)scene->oversample * (double)scene->oversample * weight_sum);
    for (int k = 0; k < n; k++) {
        nb_gradient *t = directions->tangent + k;
        *t = nb_tangent_at(scene, tangents, first + k);
        directions->d_scale[k] = unit * *t->fluence - directions->scale * *t->steps / scene->steps;
        directions->d_weight_sum[k] = 0.0;
        for (int64_t source = 0; t->weight != NULL && source < scene->n_sources; source++)
            directions->d_weight_sum[k] += t->weight[source];
    }
}

static int push_pixels(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, const nb_directions *directions,
                       double *out, int64_t stride, const volatile int *cancel) {
    for (int64_t position = pixel_begin; position < pixel_end; position++) {
        double values[NB_TOGETHER] = {0.0};
        int status = push_pixel(scene, directions, scene->pixels[position], values, cancel);
        if (status != NB_OK) return status;
        for (int k = 0; k < directions->n; k++)
            out[k * stride + position - pixel_begin] = values[k];
    }
    return NB_OK;
}

/* Tangents of the photons of the pixels [pixel_begin, pixel_end) for tangents of the scene.
 *
 * Given:
 *   scene       one that passed nb_scene_validate and has no nb_adjoint_obstacle
 *   kernel      the vector kernels leave some scenes and tangents to the scalar one (nb_simd_adjoint_obstacle)
 *   n_tangents  K
 *   tangents    arrays of K times the sizes of nb_gradient_size, K slowest; they are only read
 *   stride      distance between the results for one tangent and the next, at least pixel_end - pixel_begin
 *   cancel      flag, or NULL; a value other than 0 ends the call at the next source pass
 * Returned:
 *   out         (K, stride) photons per unit of the tangents
 *   result      status; out is unspecified unless it is NB_OK
 */
NB_WARN_UNUSED int nb_push_forward(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                   int64_t n_tangents, const nb_gradient *tangents, double *out, int64_t stride,
                                   const volatile int *cancel) {
    static const volatile int never = 0;
    if (scene == NULL || tangents == NULL || (out == NULL && pixel_begin < pixel_end && n_tangents > 0))
        return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (!nb_kernel_available(kernel) || nb_adjoint_obstacle(scene) != NULL) return NB_ERR_KERNEL;
    if (cancel == NULL) cancel = &never;
    nb_push_function *push = nb_simd_adjoint_obstacle(scene) == NULL ? nb_simd_push(kernel) : NULL;
    if (push == NULL) push = push_pixels;
    nb_directions directions;
    for (int64_t first = 0; first < n_tangents; first += NB_TOGETHER) {
        const int64_t left = n_tangents - first;
        directions_make(scene, tangents, first, (int)(left < NB_TOGETHER ? left : NB_TOGETHER), &directions);
        int status = push(scene, pixel_begin, pixel_end, &directions, out + first * stride, stride, cancel);
        if (status != NB_OK) return status;
    }
    return NB_OK;
}
