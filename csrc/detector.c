/* Detector geometry: positions, solid angle, capture fraction. */
#include "detector.h"
#include "vector.h"

#include <math.h>
#include <stddef.h>

/* Bend a point of the flat detector onto the sphere of radius `distance` about the sample.
 *
 * Given:
 *   beam, fast, slow   unit vectors
 *   distance           [m]
 *   axes               whether CURVED_DET_AXES is in force
 * Given and returned:
 *   position  (3) [m]
 * Notes: corrected: the offsets along fast and slow from the point where the beam meets the sphere become arcs about
 * slow and fast, signed so that a point moves the way it lay. CURVED_DET_AXES: the arcs are the laboratory's y and z.
 * Reference: docs/model.md, Pixel positions.
 */
void nb_bend(const double beam[3], const double fast[3], const double slow[3], double distance, int axes,
             double position[3]) {
    double v[3], about_slow, about_fast;
    for (int i = 0; i < 3; i++)
        v[i] = distance * beam[i];
    if (axes) {
        about_slow = position[1] / distance;
        about_fast = position[2] / distance;
    } else {
        double offset[3], axis[3];
        for (int i = 0; i < 3; i++)
            offset[i] = position[i] - v[i];
        nb_cross(slow, beam, axis);
        double sign = nb_dot(axis, fast) > 0.0 ? 1.0 : -1.0;
        about_slow = sign * nb_dot(offset, fast) / distance;
        about_fast = -sign * nb_dot(offset, slow) / distance;
    }
    nb_rotate(v, slow, about_slow, v);
    nb_rotate(v, fast, about_fast, position);
}

/* Center of a sub-pixel at the depth of a sensor layer.
 *
 * Given:
 *   scene               detector fields
 *   fast, slow          pixel
 *   sub_fast, sub_slow  sub-pixel, 0 ... oversample-1
 *   layer               0 ... n_layers-1
 * Returned:
 *   position            (3) from the sample, laboratory frame [m]
 * Reference: docs/model.md, Pixel positions.
 */
void nb_position(const nb_scene *scene, int64_t fast, int64_t slow, int32_t sub_fast, int32_t sub_slow, int32_t layer,
                 double position[3]) {
    double step = scene->pixel_size / (double)scene->oversample;
    double along_fast = step * (double)(fast * scene->oversample + sub_fast) + step / 2.0;
    double along_slow = step * (double)(slow * scene->oversample + sub_slow) + step / 2.0;
    double depth = (double)layer * scene->layer_thickness;
    for (int i = 0; i < 3; i++)
        position[i] =
            along_fast * scene->fast[i] + along_slow * scene->slow[i] + depth * scene->normal[i] + scene->pix0[i];
    if (scene->curved)
        nb_bend(scene->beam, scene->fast, scene->slow, scene->distance, (scene->quirks & NB_CURVED_DET_AXES) != 0,
                position);
}

/* Solid angle of a pixel seen from the sample.
 *
 * Given:
 *   scene    pixel_area [m^2], close_distance [m], point_pixel
 *   airpath  distance of the (sub-)pixel from the sample [m]
 * Returned:  solid angle [sr]; negative for a detector behind the sample
 * Reference: docs/model.md, Solid angle.
 */
double nb_solid_angle(const nb_scene *scene, double airpath) {
    if (scene->point_pixel) return scene->pixel_area / airpath / airpath;
    return scene->pixel_area / airpath / airpath * scene->close_distance / airpath;
}

/* Fraction of the photons that a sensor layer absorbs.
 *
 * Given:
 *   scene      normal, layer_thickness [m], attenuation [1/m]
 *   direction  (3) unit vector from the sample to the pixel
 *   layer      0 ... n_layers-1
 * Returned:    fraction of the photons that arrive at the sensor; 1 without a sensor
 * Reference: Beer and Lambert; docs/model.md, Sensor.
 */
double nb_capture_fraction(const nb_scene *scene, const double direction[3], int32_t layer) {
    if (!scene->has_sensor) return 1.0;
    double cosine = nb_dot(direction, scene->normal);
    double front = (double)-layer * scene->layer_thickness * scene->attenuation / cosine;
    double back = (double)-(layer + 1) * scene->layer_thickness * scene->attenuation / cosine;
    return exp(front) - exp(back);
}

/* Pixels whose solid angles are summed side by side, so that square roots and divisions overlap. */
#define ABREAST 64

/* Squares of the distances of n sub-pixels from the sample [m^2]: the same layer and sub-pixel of n pixels. */
static void distances(const nb_scene *scene, int n, const double *fast, const double *slow, int32_t layer,
                      int32_t sub_fast, int32_t sub_slow, double *sqr) {
    if (scene->curved) {
        for (int i = 0; i < n; i++) {
            double place[3];
            nb_position(scene, (int64_t)fast[i], (int64_t)slow[i], sub_fast, sub_slow, layer, place);
            sqr[i] = nb_dot(place, place);
        }
        return;
    }
    double origin[3], along_fast[3], along_slow[3];
    nb_position(scene, 0, 0, sub_fast, sub_slow, layer, origin);
    for (int k = 0; k < 3; k++) {
        along_fast[k] = scene->pixel_size * scene->fast[k];
        along_slow[k] = scene->pixel_size * scene->slow[k];
    }
    for (int i = 0; i < n; i++) {
        const double x = origin[0] + fast[i] * along_fast[0] + slow[i] * along_slow[0];
        const double y = origin[1] + fast[i] * along_fast[1] + slow[i] * along_slow[1];
        const double z = origin[2] + fast[i] * along_fast[2] + slow[i] * along_slow[2];
        sqr[i] = x * x + y * y + z * z;
    }
}

/* Add the solid angle that belongs to each distance: nb_solid_angle with one division. */
static void add_solid_angles(const nb_scene *scene, int n, const double *sqr, double *sum) {
    const double area = scene->pixel_area, height = scene->pixel_area * scene->close_distance;
    if (scene->point_pixel) {
        for (int i = 0; i < n; i++)
            sum[i] += area / sqr[i];
    } else {
        for (int i = 0; i < n; i++)
            sum[i] += height / (sqr[i] * sqrt(sqr[i]));
    }
}

/* Sum of the solid angles of sub-pixels.
 *
 * Given:
 *   scene     one that passed nb_scene_validate
 *   pixel_begin, pixel_end   positions in scene->pixels
 *   n_layers  layers summed over, 1: the front plane alone
 *   n_sub     sub-pixels summed over, along each axis and from the corner of the pixel; up to scene->oversample
 * Given and returned:
 *   sum       the sum so far [sr]
 * Reference: docs/model.md, Solid angle.
 */
NB_WARN_UNUSED int nb_solid_angles(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers,
                                   int32_t n_sub, double *sum) {
    if (scene == NULL || sum == NULL) return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (n_layers > scene->n_layers || n_sub > scene->oversample) return NB_ERR_TOO_LARGE;
    double sums[ABREAST] = {0.0};
    int64_t row = 0, row_begin = 0; /* and the flat index of its first pixel */
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += ABREAST) {
        double fast[ABREAST], slow[ABREAST], sqr[ABREAST];
        const int n = pixel_end - begin < ABREAST ? (int)(pixel_end - begin) : ABREAST;
        for (int i = 0; i < n; i++) {
            const int64_t pixel = scene->pixels[begin + i];
            if (pixel - row_begin >= scene->n_fast) row = pixel / scene->n_fast, row_begin = row * scene->n_fast;
            fast[i] = (double)(pixel - row_begin);
            slow[i] = (double)row;
        }
        for (int32_t layer = 0; layer < n_layers; layer++) {
            for (int32_t sub_slow = 0; sub_slow < n_sub; sub_slow++) {
                for (int32_t sub_fast = 0; sub_fast < n_sub; sub_fast++) {
                    distances(scene, n, fast, slow, layer, sub_fast, sub_slow, sqr);
                    add_solid_angles(scene, n, sqr, sums);
                }
            }
        }
    }
    for (int i = 0; i < ABREAST; i++)
        *sum += sums[i];
    return NB_OK;
}
