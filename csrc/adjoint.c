/* The gradient of the sum, in the reference order of operations: what nb_render does, and its chain rule backwards.
 *
 * With g = weight x capture x polarization x solid angle of a pass, T its sum of F_cell^2 F_latt^2 over the
 * orientations, B the background's factor of the pixel (nanobragg/derivation/scene.py) and a cotangent c of the pixel,
 *
 *     J = scale (SUM over passes g T + background B),    q = c scale,
 *     dT = q g,   dg = q (T + background/(n W)),         W the sum of the weights, n the number of sub-pixels
 *     dS = SUM dT dT/dhkl (cell axis),   d(cell axis) = SUM dT dT/dhkl S.
 *
 * Nothing is kept from the image: everything is computed again.
 */
#include "adjoint.h"
#include "geometry_slopes.h"
#include "gradient.h"
#include "slopes.h"
#include "tables.h"
#include "vector.h"

#include <stddef.h>
#include <string.h>

/* Why a scene has no gradient here.
 *
 * Given:    a scene that passed nb_scene_validate
 * Returned: a phrase, or NULL
 */
const char *nb_adjoint_obstacle(const nb_scene *scene) {
    if (scene->quirks != 0) return "quirks of the original are in force";
    if (scene->capture_mode != NB_PER_TERM || scene->polar_mode != NB_PER_TERM || scene->omega_mode != NB_PER_TERM)
        return "factors are cached or multiplied into the running sum";
    if (scene->orientations_first_pass != NULL) return "the first pass has orientations of its own";
    if (scene->tricubic && scene->interpolation_off[0] < scene->n_pixels) return "interpolation ends within the image";
    return NULL;
}

static void add_to_table(const nb_scene *scene, const nb_slopes *slopes, double by_f_cell, nb_entry_sums *sums) {
    if (!slopes->interpolated) {
        double *sum = slopes->entry < 0 ? sums->default_F : nb_entry_sum(sums, slopes->entry);
        if (sum != NULL) *sum += by_f_cell;
        return;
    }
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            const int64_t row = slopes->entry + (i * scene->n_hkl[1] + j) * scene->n_hkl[2];
            if (!nb_four_wanted(sums, row)) continue;
            for (int m = 0; m < 4; m++) {
                double *sum = nb_entry_sum(sums, row + m);
                if (sum != NULL)
                    *sum += by_f_cell * slopes->weights[0][i] * slopes->weights[1][j] * slopes->weights[2][m];
            }
        }
    }
}

/* All orientations of a pass: returns T; `by_sum` is its gradient. */
static double orientations(const nb_scene *scene, const double scattering[3], double by_sum, double by_scattering[3],
                           const nb_gradient *g, nb_entry_sums *entries) {
    double sum = 0.0;
    nb_slopes slopes;
    for (int64_t at = 0; at < scene->n_phi * scene->n_domains; at++) {
        const double *cell = scene->orientations + 9 * at;
        nb_evaluate_slopes(scene, cell, scattering, &slopes);
        const double weight = nb_domain_weight(scene, at), by_term = weight * by_sum;
        sum += weight * slopes.value;
        for (int i = 0; i < 3; i++) {
            double by_index = by_term * slopes.by_hkl[i];
            for (int k = 0; k < 3; k++) {
                by_scattering[k] += by_index * cell[3 * i + k];
                if (g->orientations != NULL) g->orientations[9 * at + 3 * i + k] += by_index * scattering[k];
            }
            g->n_cells[i] += by_term * slopes.by_n_cells[i];
        }
        for (int i = 0; scene->has_block_matrix && i < 9; i++)
            g->block_matrix[i] += by_term * slopes.by_block_matrix[i];
        *g->fudge += by_term * slopes.by_fudge;
        add_to_table(scene, &slopes, by_term * slopes.by_f_cell, entries);
    }
    return sum;
}

/* One source at one point: adds to the gradients of the point's direction, solid angle and capture fraction. `seen` is
 * the scene with the table of the source. */
static void pull_pass(const nb_scene *scene, const nb_scene *seen, const nb_point *point, int64_t source,
                      double cotangent, const nb_gradient *g, nb_pull_sums *sums, double direction[3],
                      double *solid_angle, double *capture) {
    const double *incident = scene->incident + 3 * source;
    const double wavelength = scene->wavelength[source], weight = scene->weight[source];
    double scattering[3], by_scattering[3] = {0.0, 0.0, 0.0}, by_incident[3] = {0.0, 0.0, 0.0};
    for (int i = 0; i < 3; i++)
        scattering[i] = (point->direction[i] - incident[i]) / wavelength;
    double stol = 0.5 * nb_norm(scattering), polarization = 1.0, slope[3] = {0.0, 0.0, 0.0};
    int skip = scene->d_min > 0.0 && stol > 0.0 && scene->d_min > 0.5 / stol;
    nb_polarizer polarizer;
    if (scene->polarized) {
        nb_polarizer_make(scene, incident, &polarizer);
        polarization = nb_polarization_at(&polarizer, point->direction, slope);
    }
    double without = point->capture * polarization * point->solid_angle, factor = weight * without;
    double q = cotangent * sums->scale, sum = 0.0;
    if (!skip) {
        sums->entries.first = nb_first_entry(scene, source);
        sum = orientations(seen, scattering, q * factor, by_scattering, g, &sums->entries);
    }
    sums->intensity += cotangent * factor * (sum + scene->background * sums->share);
    sums->background += cotangent * factor * sums->share;

    double by_factor = q * (sum + scene->background * sums->share);
    double by_polarization = by_factor * weight * point->capture * point->solid_angle;
    *capture += by_factor * weight * polarization * point->solid_angle;
    *solid_angle += by_factor * weight * polarization * point->capture;
    for (int i = 0; i < 3; i++) {
        direction[i] += by_scattering[i] / wavelength + by_polarization * slope[i];
        by_incident[i] = -by_scattering[i] / wavelength;
    }
    if (scene->polarized) {
        double matrix[3][3];
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 3; k++)
                matrix[i][k] = 0.5 * by_polarization * point->direction[i] * point->direction[k];
        }
        nb_pull_polarizer(scene, &polarizer, matrix, by_incident, g);
    }
    for (int i = 0; g->incident != NULL && i < 3; i++)
        g->incident[3 * source + i] += by_incident[i];
    if (g->wavelength != NULL) g->wavelength[source] -= nb_dot(by_scattering, scattering) / wavelength;
    if (g->weight != NULL) g->weight[source] += by_factor * without;
}

static int pull_pixel(const nb_scene *scene, int64_t flat, double cotangent, const nb_gradient *g, nb_pull_sums *sums,
                      const volatile int *cancel) {
    nb_point point;
    nb_scene view;
    const nb_scene *seen = nb_one_table(scene, &view);
    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                double direction[3] = {0.0, 0.0, 0.0}, solid_angle = 0.0, capture = 0.0;
                nb_point_make(scene, flat, sub_fast, sub_slow, layer, &point);
                for (int64_t source = 0; source < scene->n_sources; source++) {
                    if (*cancel) return NB_ERR_CANCELLED;
                    nb_see(scene, source, &view);
                    pull_pass(scene, seen, &point, source, cotangent, g, sums, direction, &solid_angle, &capture);
                }
                nb_pull_point(scene, &point, direction, solid_angle, capture, g);
            }
        }
    }
    return NB_OK;
}

static int pull_pixels(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, const double *cotangent,
                       const nb_gradient *gradient, nb_pull_sums *sums, const volatile int *cancel) {
    for (int64_t position = pixel_begin; position < pixel_end; position++) {
        const double c = cotangent[position - pixel_begin];
        if (c == 0.0) continue;
        int status = pull_pixel(scene, scene->pixels[position], c, gradient, sums, cancel);
        if (status != NB_OK) return status;
    }
    return NB_OK;
}

/* By integers, which compilers turn into vectors: where all bits of the exponent are set, one more sets the sign. */
static int all_finite(const double *values, int64_t n) {
    const uint64_t exponent = UINT64_C(0x7ff) << 52, one = UINT64_C(1) << 52;
    uint64_t signs = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, values + i, sizeof bits);
        signs |= (bits & exponent) + one;
    }
    return signs >> 63 == 0;
}

/* Add the gradients of SUM over the pixels [pixel_begin, pixel_end) of cotangent x photons.
 *
 * Given:
 *   scene      one that passed nb_scene_validate and has no nb_adjoint_obstacle
 *   kernel     the vector kernels leave some scenes and gradients to the scalar one (nb_simd_adjoint_obstacle)
 *   cotangent  (pixel_end - pixel_begin) finite numbers; a pixel whose cotangent is 0 is passed over
 *   cancel     flag, or NULL; a value other than 0 ends the call at the next source pass
 * Given and returned:
 *   gradient   arrays of the sizes of nb_gradient_size to add to; unspecified unless the result is NB_OK
 * Returned:
 *   result     status; NB_ERR_NOT_FINITE for a cotangent that is not finite: then nothing has been added
 */
NB_WARN_UNUSED int nb_pull_back(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                const double *cotangent, const nb_gradient *gradient, const volatile int *cancel) {
    static const volatile int never = 0;
    if (scene == NULL || gradient == NULL || (cotangent == NULL && pixel_begin < pixel_end))
        return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (!nb_kernel_available(kernel) || nb_adjoint_obstacle(scene) != NULL) return NB_ERR_KERNEL;
    if (!all_finite(cotangent, pixel_end - pixel_begin)) return NB_ERR_NOT_FINITE;
    double scratch[NB_LARGEST_SMALL_FIELD] = {0.0}, weight_sum = 0.0;
    const nb_gradient g = nb_gradient_complete(gradient, scratch);
    for (int64_t source = 0; source < scene->n_sources; source++)
        weight_sum += scene->weight[source];
    const double n = (double)scene->oversample * (double)scene->oversample, unit = scene->r_e_sqr / scene->steps;
    nb_pull_sums sums;
    sums.scale = unit * scene->fluence, sums.share = 1.0 / (n * weight_sum);
    sums.intensity = sums.background = 0.0;
    nb_entry_sums_make(gradient, &sums.entries);
    sums.table = scene->f_table != NULL && (gradient->f_table != NULL || gradient->default_F != NULL);
    nb_pull_function *pull = nb_simd_adjoint_obstacle(scene) == NULL ? nb_simd_pull(kernel) : NULL;
    if (pull == NULL) pull = pull_pixels;
    int status = pull(scene, pixel_begin, pixel_end, cotangent, &g, &sums, cancel == NULL ? &never : cancel);
    if (status != NB_OK) return status;
    *g.fluence += unit * sums.intensity;
    *g.steps -= sums.scale * sums.intensity / scene->steps;
    *g.background += sums.scale * sums.background;
    for (int64_t source = 0; g.weight != NULL && source < scene->n_sources; source++)
        g.weight[source] -= sums.scale * scene->background * sums.background / weight_sum;
    return NB_OK;
}
