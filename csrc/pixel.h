/* One pixel of the image. */
#ifndef NB_PIXEL_H
#define NB_PIXEL_H

#include "nanobragg.h"

NB_WARN_UNUSED int nb_pixel(const nb_scene *scene, int64_t position, const volatile int *cancel, double *out);
NB_WARN_UNUSED int nb_pixel_traced(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out);

#endif
