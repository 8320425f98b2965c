/* Detector geometry: where a sub-pixel is, and how much of the scattered light it takes. */
#ifndef NB_DETECTOR_H
#define NB_DETECTOR_H

#include "nanobragg.h"

void nb_bend(const double beam[3], const double fast[3], const double slow[3], double distance, int axes,
             double position[3]);
void nb_position(const nb_scene *scene, int64_t fast, int64_t slow, int32_t sub_fast, int32_t sub_slow, int32_t layer,
                 double position[3]);
double nb_solid_angle(const nb_scene *scene, double airpath);
double nb_capture_fraction(const nb_scene *scene, const double direction[3], int32_t layer);

#endif
