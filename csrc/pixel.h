/* One pixel of the image. */
#ifndef NB_PIXEL_H
#define NB_PIXEL_H

#include "nanobragg.h"

/* A pass: one source for one point of a pixel. */
typedef struct {
    int32_t layer, sub_slow, sub_fast;
    int64_t source;
} nb_pass_index;

NB_WARN_UNUSED int nb_pixel(const nb_scene *scene, int64_t position, const volatile int *cancel, double *out);
NB_WARN_UNUSED int nb_pixel_traced(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out);
double nb_term_lattice_factor(const nb_scene *scene, int64_t flat, const nb_pass_index *pass, int renormalized,
                              const double *cell);

#endif
