/* Detector geometry: positions, solid angle, capture fraction. */
#include "detector.h"
#include "vector.h"

#include <math.h>

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
    const double *size = scene->pixel_size;
    double step[2] = {size[0] / (double)scene->oversample, size[1] / (double)scene->oversample};
    double along_fast = step[0] * (double)(fast * scene->oversample + sub_fast) + step[0] / 2.0;
    double along_slow = step[1] * (double)(slow * scene->oversample + sub_slow) + step[1] / 2.0;
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
