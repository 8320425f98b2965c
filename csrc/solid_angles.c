/* The solid angle of the detector, for reports. */
#include "pass.h"

#include <stddef.h>

/* Sum of the solid angles of sub-pixels.
 *
 * Given:
 *   scene     one that passed nb_scene_validate
 *   pixel_begin, pixel_end   positions in scene->pixels
 *   n_layers  layers summed over, 1: the front plane alone
 *   n_sub     sub-pixels summed over, along each axis and from the corner of the pixel; up to scene->oversample
 * Given and returned:
 *   sum       the sum so far [sr]
 * Reference: docs/model.md, Solid angle and 16.
 */
NB_WARN_UNUSED int nb_solid_angles(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers,
                                   int32_t n_sub, double *sum) {
    if (scene == NULL || sum == NULL) return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (n_layers > scene->n_layers || n_sub > scene->oversample) return NB_ERR_TOO_LARGE;
    for (int64_t position = pixel_begin; position < pixel_end; position++) {
        for (int32_t layer = 0; layer < n_layers; layer++) {
            for (int32_t sub_slow = 0; sub_slow < n_sub; sub_slow++) {
                for (int32_t sub_fast = 0; sub_fast < n_sub; sub_fast++) {
                    double place[3], direction[3], airpath;
                    nb_locate(scene, scene->pixels[position], sub_fast, sub_slow, layer, place, &airpath, direction);
                    *sum += nb_solid_angle(scene, airpath);
                }
            }
        }
    }
    return NB_OK;
}
