/* A block of rendered pixels. */
#include "pixel.h"

#include <stddef.h>

/* Expected photons of the pixels [pixel_begin, pixel_end) of scene->pixels.
 *
 * Given:
 *   scene      one that passed nb_scene_validate
 *   cancel     flag, or NULL; a value other than 0 ends the call at the next source pass
 * Returned:
 *   out        (pixel_end - pixel_begin) photons per pixel
 *   result     status; out is unspecified unless it is NB_OK
 * Note: a pixel's value depends on nothing but the scene, so blocks may be rendered in any order, by any thread.
 * Reference: docs/model.md, The sum; nanobragg/derivation/scene.py.
 */
NB_WARN_UNUSED int nb_render(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, double *out,
                             const volatile int *cancel) {
    static const volatile int never = 0;
    if (scene == NULL || (out == NULL && pixel_begin < pixel_end)) return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (cancel == NULL) cancel = &never;
    for (int64_t position = pixel_begin; position < pixel_end; position++) {
        int status = nb_pixel(scene, position, cancel, out + (position - pixel_begin));
        if (status != NB_OK) return status;
    }
    return NB_OK;
}
