/* Derivatives of what a pass needs of the geometry: the point on the detector, and the factors of the pass. */
#ifndef NB_GEOMETRY_SLOPES_H
#define NB_GEOMETRY_SLOPES_H

#include "nanobragg.h"

/* A sub-pixel at the depth of a layer, as nb_position has it. */
typedef struct {
    int64_t fast, slow; /* in sub-pixels */
    int32_t layer;
    double flat[3];     /* position before it is bent [m] */
    double position[3]; /* [m] */
    double airpath;     /* [m] */
    double direction[3];
    double solid_angle, capture;
    double cosine, front, back; /* direction . normal, and what is left of a ray in front of and behind the layer */
} nb_point;

/* Of a source. */
typedef struct {
    double beam[3], magnetic[3], electric[3]; /* unit vectors */
    double magnetic_length, incident_length;
    int along_beam;      /* the polarization axis has no component across the beam */
    double matrix[3][3]; /* polarization = (1 + D . matrix . D)/2 */
} nb_polarizer;

void nb_point_make(const nb_scene *scene, int64_t flat_index, int32_t sub_fast, int32_t sub_slow, int32_t layer,
                   nb_point *point);
void nb_pull_point(const nb_scene *scene, const nb_point *point, const double direction[3], double solid_angle,
                   double capture, const nb_gradient *gradient);
void nb_push_point(const nb_scene *scene, const nb_point *point, const nb_gradient *tangent, double direction[3],
                   double *solid_angle, double *capture);

void nb_polarizer_make(const nb_scene *scene, const double *incident, nb_polarizer *polarizer);
double nb_polarization_at(const nb_polarizer *polarizer, const double direction[3], double slope[3]);
void nb_pull_polarizer(const nb_scene *scene, const nb_polarizer *polarizer, double matrix[3][3], double *incident,
                       const nb_gradient *gradient);
void nb_push_polarizer(const nb_scene *scene, const nb_polarizer *polarizer, const double *incident,
                       const nb_gradient *tangent, double matrix[3][3]);

#endif
