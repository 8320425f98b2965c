/* Sums of the spots beside the image. */
#ifndef NB_CHANNELS_H
#define NB_CHANNELS_H

#include "nanobragg.h"

NB_WARN_UNUSED int nb_pixel_channels(const nb_scene *scene, int64_t position, const nb_channels *channels,
                                     const volatile int *cancel, double *out);

#endif
