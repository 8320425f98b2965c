/* Scattering of an amorphous body as the program nonBragg computes it, in its order of operations. */
#include "detector.h"
#include "imaging.h"
#include "polarization.h"
#include "vector.h"

#include <stddef.h>

/* The interval of the table in which s lies, found by walking from the interval of the evaluation before.
 *
 * Given:    x (n) abscissae, in any order between the guard points; s; j interval to start from
 * Returned: j, 1 ... n - 3; for ascending abscissae the last one with x[j] <= s
 */
static int64_t interval(const double *x, int64_t n, double s, int64_t j) {
    while (j < n - 1 && s > x[j])
        j++;
    while (j >= 2 && s < x[j])
        j--;
    return j < 1 ? 1 : j > n - 3 ? n - 3 : j;
}

/* Cubic Lagrange interpolation through four points of the table; with guard points at 1e98 it turns into a parabola at
 * the first and last interval and into a straight line outside (NB_EXTRAPOLATE_LINEAR).
 */
static double interpolated(const double x[4], const double y[4], double s) {
    double d0 = s - x[0], d1 = s - x[1], d2 = s - x[2], d3 = s - x[3];
    double t0 = d1 * d2 * d3 * y[0] / ((x[0] - x[1]) * (x[0] - x[2]) * (x[0] - x[3]));
    double t1 = d0 * d2 * d3 * y[1] / ((x[1] - x[0]) * (x[1] - x[2]) * (x[1] - x[3]));
    double t2 = d0 * d1 * d3 * y[2] / ((x[2] - x[0]) * (x[2] - x[1]) * (x[2] - x[3]));
    double t3 = d0 * d1 * d2 * y[3] / ((x[3] - x[0]) * (x[3] - x[1]) * (x[3] - x[2]));
    return t0 + t1 + t2 + t3;
}

static nb_scene geometry(const nb_amorphous_body *body) {
    nb_scene scene = {0};
    scene.n_fast = body->n_fast, scene.n_slow = body->n_slow;
    scene.pixel_size[0] = scene.pixel_size[1] = body->pixel_size;
    for (int i = 0; i < 3; i++) {
        scene.pix0[i] = body->pix0[i];
        scene.fast[i] = body->fast[i];
        scene.slow[i] = body->slow[i];
        scene.beam[i] = body->beam[i];
    }
    scene.close_distance = body->close_distance, scene.distance = body->distance;
    scene.curved = body->curved, scene.point_pixel = body->point_pixel;
    scene.pixel_area = body->point_pixel ? 1.0 : body->pixel_size * body->pixel_size;
    scene.oversample = body->oversample;
    scene.quirks = NB_CURVED_DET_AXES;
    return scene;
}

/* The image of an amorphous body.
 *
 * Given:
 *   body             what scatters, where to, and the table of its structure factor
 * Returned:
 *   image            (n_slow, n_fast) expected photons inside the region; pixels outside are left alone
 *   last             see nb_amorphous_last; each array covers the whole image
 *   solid_angle_sum  over all sub-pixels, not divided by their number [sr]
 * Notes: the weights of the sources are not normalized, and the sum is divided by their number all the same
 *   (NB_WEIGHTS_UNNORMALISED). The polarization axis and the direction of the ray are normalized again for every
 * source, and stay so. Without sources every pixel is NaN.
 */
NB_WARN_UNUSED int nb_original_amorphous(const nb_amorphous_body *body, float *image, const nb_amorphous_last *last,
                                         double *solid_angle_sum) {
    if (body == NULL || image == NULL || last == NULL || solid_angle_sum == NULL) return NB_ERR_NULL_ARGUMENT;
    if (body->n_table < 5 || body->oversample < 1) return NB_ERR_BELOW_ONE;
    if (body->roi[0] < 0 || body->roi[2] < 0 || body->roi[1] >= body->n_fast || body->roi[3] >= body->n_slow)
        return NB_ERR_PIXEL_OUTSIDE;
    const nb_scene scene = geometry(body);
    double axis[3] = {body->polarization_axis[0], body->polarization_axis[1], body->polarization_axis[2]};
    int64_t j = 0;
    double steps = (double)(body->n_sources * body->oversample * body->oversample);
    *solid_angle_sum = 0.0;
    for (int64_t slow = body->roi[2]; slow <= body->roi[3]; slow++)
        for (int64_t fast = body->roi[0]; fast <= body->roi[1]; fast++) {
            double sum = 0.0, omega = 0.0, polar = 1.0, s = 0.0, f = 0.0, position[3] = {0.0, 0.0, 0.0};
            for (int32_t sub_slow = 0; sub_slow < body->oversample; sub_slow++)
                for (int32_t sub_fast = 0; sub_fast < body->oversample; sub_fast++) {
                    double direction[3];
                    nb_position(&scene, fast, slow, sub_fast, sub_slow, 0, position);
                    double airpath = nb_norm(position);
                    for (int i = 0; i < 3; i++)
                        direction[i] = position[i] / airpath;
                    omega = nb_solid_angle(&scene, airpath);
                    *solid_angle_sum += omega;
                    for (int64_t n = 0; n < body->n_sources; n++) {
                        double incident[3], scattering[3];
                        for (int i = 0; i < 3; i++)
                            incident[i] = -body->source[3 * n + i];
                        nb_unit(incident, incident);
                        for (int i = 0; i < 3; i++)
                            scattering[i] = (direction[i] - incident[i]) / body->wavelength[n];
                        s = 0.5 * nb_norm(scattering);
                        j = interval(body->stol, body->n_table, s, j);
                        f = interpolated(body->stol + j - 1, body->factor + j - 1, s);
                        double sign = f < 0.0 ? -1.0 : 1.0;
                        if (body->polarized) {
                            nb_unit(axis, axis);
                            polar = nb_polarization(body->kahn_factor, axis, incident, direction);
                            nb_unit(direction, direction);
                        }
                        sum += sign * f * f * polar * omega * body->weight[n];
                    }
                }
            int64_t at = slow * body->n_fast + fast;
            image[at] = (float)(body->map_factor ? f : sum * body->r_e_sqr * body->fluence * body->molecules / steps);
            if (last->stol) last->stol[at] = s;
            if (last->polarization) last->polarization[at] = polar;
            if (last->solid_angle) last->solid_angle[at] = omega;
            if (last->interval) last->interval[at] = j;
            if (last->position)
                for (int i = 0; i < 3; i++)
                    last->position[3 * at + i] = position[i];
        }
    return NB_OK;
}
