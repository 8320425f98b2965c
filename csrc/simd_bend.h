/* A row of pixels on a curved detector, as corrected fidelity has it.
 *
 * With o = base + along fast - c and c = distance x beam, c is turned about slow by s o.fast/distance and about fast by
 * -s o.slow/distance, s = +-1 (detector.c).
 */
#ifndef NB_SIMD_BEND_H
#define NB_SIMD_BEND_H

#include "nanobragg.h"
#include "simd_terms.h"
#include "vector.h"

/* What the pixels of a row share. */
typedef struct {
    double center[3], offset[3];     /* c, and o where along is 0 */
    double arc_fast[2], arc_slow[2]; /* the arcs: [0] + [1] along */
    double rate;                     /* s/distance */
} nb_bending;

static nb_bending bending_of(const nb_scene *scene, const double base[3]) {
    nb_bending b;
    double axis[3];
    nb_cross(scene->slow, scene->beam, axis);
    b.rate = (nb_dot(axis, scene->fast) > 0.0 ? 1.0 : -1.0) / scene->distance;
    for (int i = 0; i < 3; i++) {
        b.center[i] = scene->distance * scene->beam[i];
        b.offset[i] = base[i] - b.center[i];
    }
    b.arc_fast[0] = nb_dot(b.offset, scene->fast), b.arc_fast[1] = nb_dot(scene->fast, scene->fast);
    b.arc_slow[0] = nb_dot(b.offset, scene->slow), b.arc_slow[1] = nb_dot(scene->fast, scene->slow);
    return b;
}

NB_INLINE vd dot_lanes(const vd x[3], const vd y[3]) {
    return vd_fma(x[2], y[2], vd_fma(x[1], y[1], x[0] * y[0]));
}

NB_INLINE void cross_lanes(const vd x[3], const vd y[3], vd out[3]) {
    for (int i = 0; i < 3; i++) {
        const int j = (i + 1) % 3, k = (i + 2) % 3;
        out[i] = vd_fnma(x[k], y[j], x[j] * y[k]);
    }
}

/* v turned about e by an angle; 1 - cosine is known to its own last digits. */
NB_INLINE void turn_lanes(const vd v[3], const vd e[3], vd sine, vd less, vd out[3]) {
    const vd along = dot_lanes(e, v) * less;
    vd across[3];
    cross_lanes(e, v, across);
    for (int i = 0; i < 3; i++)
        out[i] = vd_fma(e[i], along, vd_fma(across[i], sine, vd_fnma(less, v[i], v[i])));
}

/* Sines of the angles about slow and about fast, and 1 less their cosines. */
NB_INLINE void bend_angles(const nb_bending *b, vd along, vd sine[2], vd less[2]) {
    const double halves = b->rate / (2.0 * NB_PI);
    vd sines[GROUP], half[GROUP] = {vd_all(halves) * vd_fma(vd_all(b->arc_fast[1]), along, vd_all(b->arc_fast[0])),
                                    vd_all(-halves) * vd_fma(vd_all(b->arc_slow[1]), along, vd_all(b->arc_slow[0]))};
    for (int i = 0; i < 2; i++)
        half[i] = vd_offset(half[i]); /* a whole turn changes the sign of both its sine and cosine */
    sinpi(half, 1.0, 1, vd_all(0.0), sines);
    for (int i = 0; i < 2; i++) {
        less[i] = vd_all(2.0) * sines[i] * sines[i];
        sine[i] = vd_all(2.0) * sines[i] * vd_sqrt(vd_positive(vd_fnma(sines[i], sines[i], vd_all(1.0))));
    }
}

/* The bent position. */
NB_INLINE void bend(const nb_scene *scene, const nb_bending *b, vd along, vd position[3]) {
    vd fast[3], slow[3], center[3], once[3], sine[2], less[2];
    bend_angles(b, along, sine, less);
    for (int i = 0; i < 3; i++)
        fast[i] = vd_all(scene->fast[i]), slow[i] = vd_all(scene->slow[i]), center[i] = vd_all(b->center[i]);
    turn_lanes(center, slow, sine[0], less[0], once);
    turn_lanes(once, fast, sine[1], less[1], position);
}

#endif
