/* Channels by the scalar kernel: the terms that it records, sorted into sums. */
#include "channels.h"
#include "pixel.h"

#include <stddef.h>

/* Place of the source in a recorder's index. */
#define SOURCE 3

typedef struct {
    const nb_scene *scene;
    const nb_channels *channels;
    const volatile int *cancel;
    int64_t position;
    double capture, polarization, solid_angle;
} sorter;

static double *place(const sorter *sort, int64_t channel) {
    return sort->channels->out + channel * sort->scene->n_pixels + sort->position;
}

static void multiply(const sorter *sort, double factor) {
    for (int64_t c = 0; c < sort->channels->n; c++)
        *place(sort, c) *= factor;
}

static void add(const sorter *sort, int64_t source, double term) {
    for (int64_t c = 0; c < sort->channels->n; c++)
        *place(sort, c) += sort->channels->weight[c * sort->scene->n_sources + source] * term;
    if (sort->scene->capture_mode == NB_CUMULATIVE) multiply(sort, sort->capture);
    if (sort->scene->polar_mode == NB_CUMULATIVE) multiply(sort, sort->polarization);
    if (sort->scene->omega_mode == NB_CUMULATIVE) multiply(sort, sort->solid_angle);
}

/* See nb_recorder. */
static int record(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n) {
    sorter *sort = (sorter *)context;
    (void)n;
    switch (quantity) {
    case NB_Q_CAPTURE_FRACTION: sort->capture = values[0]; break;
    case NB_Q_SOLID_ANGLE: sort->solid_angle = values[0]; break;
    case NB_Q_POLARIZATION: sort->polarization = values[0]; break;
    case NB_Q_TERM: add(sort, index[SOURCE], values[0]); break;
    case NB_Q_SUM: multiply(sort, sort->scene->r_e_sqr * sort->scene->fluence / sort->scene->steps); break;
    case NB_Q_FINAL_CAPTURE:
    case NB_Q_FINAL_POLARIZATION:
    case NB_Q_FINAL_SOLID_ANGLE: multiply(sort, values[0]); break;
    default: break;
    }
    return *sort->cancel != 0;
}

/* Photons of one pixel, bit for bit as nb_pixel, and its channels.
 *
 * Given:
 *   scene     one that passed nb_scene_validate
 *   position  index in scene->pixels
 *   channels  their weights; NULL: as nb_pixel
 *   cancel    flag, as for nb_pixel
 * Returned:
 *   out       photons
 *   channels  the pixel's place in each
 */
NB_WARN_UNUSED int nb_pixel_channels(const nb_scene *scene, int64_t position, const nb_channels *channels,
                                     const volatile int *cancel, double *out) {
    if (channels == NULL) return nb_pixel(scene, position, cancel, out);
    sorter sort = {.scene = scene, .channels = channels, .cancel = cancel, .position = position};
    const nb_recorder recorder = {record, &sort};
    for (int64_t c = 0; c < channels->n; c++)
        *place(&sort, c) = 0.0;
    int status = nb_pixel_traced(scene, position, &recorder, out);
    return status == NB_ERR_RECORDER ? NB_ERR_CANCELLED : status;
}
