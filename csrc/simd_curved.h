/* Derivatives on a curved detector, for the pixels of a row: those by the position become those by the two arcs of
 * simd_bend.h, by the vector c that is turned, and by the two axes; gradients are sums of them over the row, tangents
 * linear functions of them.
 */
#ifndef NB_SIMD_CURVED_H
#define NB_SIMD_CURVED_H

#include "geometry_slopes.h"
#include "simd_block.h"

/* Derivatives by the arcs along fast and slow, each of them once more times along; by c; by the axes as such. */
enum { ARC_FAST = 0, ARC_SLOW = 2, CENTER = 4, ABOUT_FAST = 7, ABOUT_SLOW = 10, N_BENT = 13 };

NB_INLINE void direction_at(const nb_row *row, int i, vd out[3]) {
    for (int k = 0; k < 3; k++)
        out[k] = vd_load(row->direction[k] + i);
}

/* From the derivatives by the turned vector to those by v, in place, by e and, returned, by the angle. */
NB_INLINE vd pull_turn(const vd v[3], const vd e[3], vd sine, vd less, vd by[3], vd by_e[3]) {
    const vd along = dot_lanes(e, v), by_along = dot_lanes(e, by);
    vd across[3], swept[3];
    cross_lanes(e, v, across);
    cross_lanes(v, by, swept);
    const vd by_sine = dot_lanes(across, by), by_less = vd_fma(along, by_along, -dot_lanes(v, by));
    for (int i = 0; i < 3; i++)
        by_e[i] = vd_fma(along * less, by[i], vd_fma(by_along * less, v[i], sine * swept[i]));
    turn_lanes(by, e, -sine, less, by);
    return vd_fma(by_sine, vd_all(1.0) - less, by_less * sine);
}

/* Times a factor, the products of the direction's components in the order 00, 11, 22, 01, 02, 12. */
NB_INLINE void direction_products(const vd direction[3], vd factor, vd out[6]) {
    const vd part[3] = {factor * direction[0], factor * direction[1], factor * direction[2]};
    for (int k = 0; k < 3; k++)
        out[k] = part[k] * direction[k];
    out[3] = part[0] * direction[1], out[4] = part[0] * direction[2], out[5] = part[1] * direction[2];
}

/* Add the derivatives of the polarization by the direction, times a factor. */
NB_INLINE void polarization_slopes(const nb_polarizer *polarizer, const vd direction[3], vd factor, vd toward[3]) {
    for (int k = 0; k < 3; k++) {
        const vd row[3] = {vd_all(polarizer->matrix[k][0]), vd_all(polarizer->matrix[k][1]),
                           vd_all(polarizer->matrix[k][2])};
        toward[k] = vd_fma(factor, dot_lanes(row, direction), toward[k]);
    }
}

/* What the derivatives by the direction and by log(1/airpath) are for the position. */
NB_INLINE void position_slopes(const nb_block *block, int i, const vd toward[3], vd logarithmic, vd out[3]) {
    const vd inverse = vd_load(block->inverse + i);
    vd direction[3];
    direction_at(&block->row, i, direction);
    const vd radial = dot_lanes(direction, toward) + logarithmic;
    for (int k = 0; k < 3; k++)
        out[k] = inverse * vd_fnma(direction[k], radial, toward[k]);
}

/* What those by the position, which change, are for the arcs, c and the axes. */
NB_INLINE void bend_slopes(const nb_scene *scene, const nb_bending *b, vd along, vd by[3], vd out[N_BENT]) {
    vd fast[3], slow[3], center[3], once[3], sine[2], less[2];
    bend_angles(b, along, sine, less);
    for (int i = 0; i < 3; i++)
        fast[i] = vd_all(scene->fast[i]), slow[i] = vd_all(scene->slow[i]), center[i] = vd_all(b->center[i]);
    turn_lanes(center, slow, sine[0], less[0], once);
    out[ARC_SLOW] = vd_all(-b->rate) * pull_turn(once, fast, sine[1], less[1], by, out + ABOUT_FAST);
    out[ARC_FAST] = vd_all(b->rate) * pull_turn(center, slow, sine[0], less[0], by, out + ABOUT_SLOW);
    out[ARC_FAST + 1] = out[ARC_FAST] * along, out[ARC_SLOW + 1] = out[ARC_SLOW] * along;
    for (int i = 0; i < 3; i++)
        out[CENTER + i] = by[i];
}

/* What their sums over a row mean for the frame; adds to the gradients of the ends of the position, base + along fast.
 */
static void pull_bent(const nb_scene *scene, const nb_bending *b, const double sums[N_BENT], double by_base[3],
                      double by_fast[3], const nb_gradient *g) {
    const double *f = sums + ARC_FAST, *s = sums + ARC_SLOW;
    const double arcs = f[0] * b->arc_fast[0] + f[1] * b->arc_fast[1] + s[0] * b->arc_slow[0] + s[1] * b->arc_slow[1];
    double by_center[3];
    for (int i = 0; i < 3; i++) {
        const double by_flat = f[0] * scene->fast[i] + s[0] * scene->slow[i];
        by_base[i] += by_flat;
        by_fast[i] += f[1] * scene->fast[i] + s[1] * scene->slow[i];
        by_center[i] = sums[CENTER + i] - by_flat;
        g->fast[i] += f[0] * b->offset[i] + f[1] * scene->fast[i] + sums[ABOUT_FAST + i];
        g->slow[i] += s[0] * b->offset[i] + s[1] * scene->fast[i] + sums[ABOUT_SLOW + i];
        g->beam[i] += scene->distance * by_center[i];
    }
    *g->distance += dot(by_center, scene->beam) - arcs / scene->distance;
}

/* What a direction does to the arcs, c and the axes; `base` and `fast`: to the position. */
static void move_bent(const nb_scene *scene, const nb_bending *b, const nb_gradient *t, const double base[3],
                      const double fast[3], double effect[N_BENT]) {
    const double longer = *t->distance / scene->distance;
    double moved[3];
    for (int i = 0; i < 3; i++) {
        effect[CENTER + i] = *t->distance * scene->beam[i] + scene->distance * t->beam[i];
        effect[ABOUT_FAST + i] = t->fast[i], effect[ABOUT_SLOW + i] = t->slow[i];
        moved[i] = base[i] - effect[CENTER + i];
    }
    effect[ARC_FAST] = dot(scene->fast, moved) + dot(b->offset, t->fast) - b->arc_fast[0] * longer;
    effect[ARC_SLOW] = dot(scene->slow, moved) + dot(b->offset, t->slow) - b->arc_slow[0] * longer;
    effect[ARC_FAST + 1] = dot(scene->fast, fast) + dot(scene->fast, t->fast) - b->arc_fast[1] * longer;
    effect[ARC_SLOW + 1] = dot(scene->slow, fast) + dot(scene->fast, t->slow) - b->arc_slow[1] * longer;
}

#endif
