/* What every pass and every evaluation begins with; shared by the kernel and by what looks at a scene before it. */
#ifndef NB_PASS_H
#define NB_PASS_H

#include "detector.h"
#include "vector.h"

/* Position, distance and direction of a sub-pixel of a pixel with the flat index `flat`, at the depth of a layer. */
static inline void nb_locate(const nb_scene *scene, int64_t flat, int32_t sub_fast, int32_t sub_slow, int32_t layer,
                             double place[3], double *airpath, double direction[3]) {
    nb_position(scene, flat % scene->n_fast, flat / scene->n_fast, sub_fast, sub_slow, layer, place);
    *airpath = nb_norm(place);
    for (int i = 0; i < 3; i++)
        direction[i] = place[i] / *airpath;
}

/* Scattering vector [1/m] of a source; returns sin(theta)/lambda [1/m] (docs/model.md, Scattering vector). */
static inline double nb_scatter(const nb_scene *scene, const double direction[3], int64_t source,
                                double scattering[3]) {
    for (int i = 0; i < 3; i++)
        scattering[i] = (direction[i] - scene->incident[3 * source + i]) / scene->wavelength[source];
    return 0.5 * nb_norm(scattering);
}

/* Whether d_min leaves a pass out. */
static inline int nb_left_out(const nb_scene *scene, double stol) {
    return scene->d_min > 0.0 && stol > 0.0 && scene->d_min > 0.5 / stol;
}

/* Real indices of a scattering vector, and the nearest integers: exact halves go down (docs/model.md). */
static inline void nb_indices(const double cell[9], const double scattering[3], double hkl[3], double nearest[3]) {
    for (int i = 0; i < 3; i++) {
        hkl[i] = nb_dot(cell + 3 * i, scattering);
        nearest[i] = ceil(hkl[i] - 0.5);
    }
}

#endif
