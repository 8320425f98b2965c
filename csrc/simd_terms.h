/* One term of the sum, F_cell^2 F_latt^2, for all pixels of a block.
 *
 * The body is written once and instantiated for every lattice factor, lookup and kind of detector. Only squares occur,
 * so no signs are kept. Everything is evaluated from the offset f to the nearest integer; what is rounding noise in the
 * original is then left to the scalar kernel where the scene asks for it (NB_SINCG_NOISE).
 */
#ifndef NB_SIMD_TERMS_H
#define NB_SIMD_TERMS_H

#include "lattice.h"
#include "pixel.h"
#include "simd_interpolation.h"
#include "simd_math.h"
#include "simd_mixed.h"
#include "simd_model.h"
#include "simd_spots.h"

#include <stddef.h>

/* Added to sin(pi f), and N times it to sin(pi N f), where it changes nothing but the quotient 0/0. Its cube is above
 * the smallest number. */
#define TINY 1e-90

/* The bit of a double, and those of two floats, that is set from 2 on. */
#define FROM_TWO (INT64_C(1) << 62)
#define FROM_TWO_MIXED (INT64_C(1) << 62 | INT64_C(1) << 30)

/* Vectors in a group where few pixels may be left of a row (add_groups): 16 pixels, of which few are padding. */
#define SPARSE_GROUP (LANES == 8 ? 2 : GROUP)

/* A line with its coefficients in registers. */
typedef struct {
    vd a, b, vector[3], constant;
} line_lanes;

NB_INLINE line_lanes line_spread(const nb_line *line) {
    return (line_lanes){vd_all(line->a),
                        vd_all(line->b),
                        {vd_all(line->vector[0]), vd_all(line->vector[1]), vd_all(line->vector[2])},
                        vd_all(line->constant)};
}

NB_INLINE vd line_value(const nb_row *row, const line_lanes *line, int i, const int curved) {
    if (!curved)
        return vd_fma(vd_fma(line->b, vd_load(row->along + i), line->a), vd_load(row->inverse + i), line->constant);
    vd x = line->constant;
    for (int k = 0; k < 3; k++)
        x = vd_fma(line->vector[k], vd_load(row->direction[k] + i), x);
    return x;
}

/* scale sin(pi x) + nudge for |x| <= 1/2. */
NB_INLINE void sinpi(const vd x[GROUP], double scale, const int fine, vd nudge, vd out[GROUP]) {
    vd sqr[GROUP];
    for (int v = 0; v < GROUP; v++)
        sqr[v] = x[v] * x[v];
    sinpi_over_x(sqr, scale, fine, out);
    for (int v = 0; v < GROUP; v++)
        out[v] = vd_fma(x[v], out[v], nudge);
}

/* (prod sin(pi N f)/sin(pi f))^2 for any N.
 *
 * The sines are taken `scale` times; in lanes where one below the line is then less than 2, FROM_TWO is cleared in
 * `apart`. */
NB_INLINE void grating_sqr(const vd n[3], const vd f[3][GROUP], double scale, vd out[GROUP], vi *apart) {
    vd above[3][GROUP], below[3][GROUP];
    for (int k = 0; k < 3; k++) {
        vd rest[GROUP];
        for (int v = 0; v < GROUP; v++)
            rest[v] = vd_offset(n[k] * f[k][v]);
        sinpi(f[k], scale, 0, vd_all(TINY), below[k]);
        sinpi(rest, scale, 0, n[k] * vd_all(TINY), above[k]);
    }
    for (int v = 0; v < GROUP; v++) {
        *apart &= (vi)below[0][v] & (vi)below[1][v] & (vi)below[2][v];
        vd ratio = (above[0][v] * above[1][v] * above[2][v]) / (below[0][v] * below[1][v] * below[2][v]);
        out[v] = ratio * ratio;
    }
}

/* The same for N <= SMALL_CELLS, a polynomial in s = (scale sin(pi f))^2. */
NB_INLINE void grating_sqr_small(const nb_model *model, const vd f[3][GROUP], double scale, vd out[GROUP], vi *apart) {
    const double shrink = 1.0 / (scale * scale);
    const double powers[4] = {1.0, shrink, shrink * shrink, shrink * shrink * shrink};
    vd p[3][GROUP], cosine_sqr[3][GROUP];
    for (int k = 0; k < 3; k++) {
        vd s[GROUP];
        sinpi(f[k], scale, 1, vd_all(0.0), s); /* fine, for 1 - s is small half-way between spots */
        for (int v = 0; v < GROUP; v++) {
            s[v] = s[v] * s[v];
            *apart &= (vi)s[v];
            p[k][v] = vd_all(model->polynomial[k][3] * powers[3]);
        }
        for (int term = 2; term >= 0; term--) {
            for (int v = 0; v < GROUP; v++)
                p[k][v] = vd_fma(p[k][v], s[v], vd_all(model->polynomial[k][term] * powers[term]));
        }
        for (int v = 0; v < GROUP; v++) {
            vd c = vd_fnma(vd_all(model->parity[k] * shrink), s[v], vd_all(1.0));
            cosine_sqr[k][v] = vd_positive(c); /* rounding may push it below 0 */
        }
    }
    for (int v = 0; v < GROUP; v++) {
        vd amplitude = p[0][v] * p[1][v] * p[2][v];
        out[v] = amplitude * amplitude * (cosine_sqr[0][v] * cosine_sqr[1][v] * cosine_sqr[2][v]);
    }
}

NB_INLINE vd quadratic_form(const double gram[6], vd f0, vd f1, vd f2, const int skew) {
    vd x = vd_all(gram[0]) * f0, y = vd_all(gram[1]) * f1, z = vd_all(gram[2]) * f2;
    if (skew) {
        x = vd_fma(vd_all(gram[4]), f2, vd_fma(vd_all(gram[3]), f1, x));
        y = vd_fma(vd_all(gram[5]), f2, y);
    }
    return vd_fma(f2, z, vd_fma(f1, y, f0 * x));
}

/* Squared lattice factor at the indices h, f from the nearest integers; skew: whether the quadratic form of a spot has
 * mixed terms. */
NB_INLINE void lattice_sqr(const nb_model *model, const vd n[3], const vd h[3][GROUP], const vd f[3][GROUP],
                           double scale, vd out[GROUP], vi *apart, const int lattice, const int skew, const int group) {
    if (lattice == SQUARE_ANY) {
        grating_sqr(n, f, scale, out, apart);
        return;
    }
    if (lattice == SQUARE_SMALL) {
        grating_sqr_small(model, f, scale, out, apart);
        return;
    }
    if (lattice == SQUARE_MIXED) {
        grating_sqr_mixed(model->n, h, scale, out, apart);
        return;
    }
    vd y[GROUP];
    for (int v = 0; v < group; v++)
        y[v] = quadratic_form(model->gram, f[0][v], f[1][v], f[2][v], skew);
    spot_form_sqr(lattice, vd_all(model->peak), y, model->noise, out, apart, group);
}

/* Table entries at whole numbers. Lanes that are no number read the first entry of the table. */
NB_INLINE vd tabulated(const nb_model *model, const vd nearest[3], const int lookup) {
    vd at[3];
    vi inside = vi_all(-1);
    for (int k = 0; k < 3; k++) {
        at[k] = nearest[k];
        if (lookup != INSIDE) {
            at[k] = vd_clamp(at[k], vd_all(model->first[k]), vd_all(model->last[k]));
            inside &= at[k] == nearest[k];
        }
    }
    const vd f_cell = vd_gather(model->table, table_index(model, at));
    return lookup == INSIDE ? f_cell : vd_select(inside, f_cell, vd_all(model->outside));
}

/* Squares of the structure factors at the indices h. */
NB_INLINE void structure_factor_sqr(const nb_model *model, const vd h[3][GROUP], const vd nearest[3][GROUP],
                                    vd out[GROUP], const int lookup, const int group) {
    for (int v = 0; v < group; v++) {
        const vd at[3] = {h[0][v], h[1][v], h[2][v]}, whole[3] = {nearest[0][v], nearest[1][v], nearest[2][v]};
        vd f_cell = vd_all(model->outside);
        if (lookup == INTERPOLATED) {
            const vi fits = interpolated(model, at, &f_cell);
            if (vi_any(~fits)) f_cell = vd_select(fits, f_cell, tabulated(model, whole, lookup));
        } else if (lookup != CONSTANT) {
            f_cell = tabulated(model, whole, lookup);
        }
        out[v] = f_cell * f_cell;
    }
}

/* Lanes whose lattice factor is rounding noise in the original's formula take that of the scalar kernel. */
static __attribute__((noinline, cold)) void reproduce_noise(const nb_model *model, const nb_row *row,
                                                            const nb_line hkl[3], const nb_noise *noise, int begin,
                                                            vd f_latt_sqr[GROUP]) {
    for (int v = 0; v < GROUP; v++) {
        const int first = begin + v * LANES;
        vd f[3];
        vi noisy = vi_all(0);
        for (int k = 0; k < 3; k++) {
            const line_lanes line = line_spread(hkl + k);
            const vd h = noise->scene->curved ? line_value(row, &line, first, 1) : line_value(row, &line, first, 0);
            const vd limit = vd_all(model->noise * model->noisy[k]) * h;
            f[k] = vd_offset(h);
            noisy |= f[k] * f[k] < limit * limit;
        }
        if (!IS_SQUARE(model->lattice)) noisy = quadratic_form(model->gram, f[0], f[1], f[2], 1) < vd_all(model->noise);
        if (!vi_any(noisy)) continue;
        for (int lane = 0; lane < LANES; lane++) {
            const int i = first + lane;
            if (noisy[lane] == 0 || i >= noise->n) continue;
            const int renormalized = noise->renormalized && (noise->only == NULL || noise->only[i] != 0.0);
            const double f_latt =
                nb_term_lattice_factor(noise->scene, noise->pixels[i], &noise->pass, renormalized, noise->cell);
            f_latt_sqr[v][lane] = f_latt * f_latt;
        }
    }
}

/* noise: NULL where there is none. */
NB_INLINE void add_term(const nb_model *given, const nb_row *given_row, const nb_line hkl[3], const nb_noise *noise,
                        double *sum, const int lattice, const int skew, const int lookup, const int curved) {
    const nb_model model = *given; /* copies, which no store to the sums can change */
    const nb_row row = *given_row;
    const double scale = noise != NULL ? noise->scale : 1.0;
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    const vd n[3] = {vd_all(model.n[0]), vd_all(model.n[1]), vd_all(model.n[2])};
    const int group = IS_SQUARE(lattice) || NB_SPOTS[lattice].end == 0.0 ? GROUP : SPARSE_GROUP;
    for (int i = 0; i < row.n; i += group * LANES) {
        vd h[3][GROUP], nearest[3][GROUP], f[3][GROUP], f_cell_sqr[GROUP], f_latt_sqr[GROUP];
        for (int k = 0; k < 3; k++) {
            for (int v = 0; v < group; v++) {
                h[k][v] = line_value(&row, lines + k, i + v * LANES, curved);
                if (lookup == CONSTANT) {
                    f[k][v] = vd_offset(h[k][v]);
                } else {
                    nearest[k][v] = vd_round(h[k][v]);
                    f[k][v] = h[k][v] - nearest[k][v];
                }
            }
        }
        structure_factor_sqr(&model, h, nearest, f_cell_sqr, lookup, group);
        vi apart = vi_all(-1);
        lattice_sqr(&model, n, h, f, scale, f_latt_sqr, &apart, lattice, skew, group);
        if (noise != NULL && !vi_all_have(apart, lattice == SQUARE_MIXED ? FROM_TWO_MIXED : FROM_TWO)) {
            vd reproduced[GROUP]; /* a copy, so that the original stays in registers */
            for (int v = 0; v < GROUP; v++)
                reproduced[v] = f_latt_sqr[v];
            reproduce_noise(given, given_row, hkl, noise, i, reproduced);
            for (int v = 0; v < GROUP; v++)
                f_latt_sqr[v] = reproduced[v];
        }
        for (int v = 0; v < group; v++) {
            double *at = sum + i + v * LANES;
            vd_store(at, vd_fma(f_cell_sqr[v], f_latt_sqr[v], vd_load(at)));
        }
    }
}

/* Whether the code without noise is worth instances of its own. That for spots whose form has mixed terms always is. */
#define TWOFOLD(lattice, lookup, curved) (IS_SQUARE(lattice) && (lookup) != INTERPOLATED && !(curved))
#define INSTANCE(name, lattice, lookup, curved)                                                                        \
    static void name(const nb_model *model, const nb_row *row, const nb_line hkl[3], const nb_noise *noise,            \
                     double *sum) {                                                                                    \
        if (TWOFOLD(lattice, lookup, curved) && noise == NULL)                                                         \
            add_term(model, row, hkl, NULL, sum, lattice, 0, lookup, curved);                                          \
        else if (!IS_SQUARE(lattice) && (NB_SPOTS[lattice].skewed || model->skewed))                                   \
            add_term(model, row, hkl, noise, sum, lattice, 1, lookup, curved);                                         \
        else if (IS_SQUARE(lattice) || !NB_SPOTS[lattice].skewed)                                                      \
            add_term(model, row, hkl, noise, sum, lattice, 0, lookup, curved);                                         \
    }
#define INSTANCES(name, lattice)                                                                                       \
    INSTANCE(name##_constant, lattice, CONSTANT, 0)                                                                    \
    INSTANCE(name##_inside, lattice, INSIDE, 0)                                                                        \
    INSTANCE(name##_mixed, lattice, MIXED, 0)                                                                          \
    INSTANCE(name##_interpolated, lattice, INTERPOLATED, 0)                                                            \
    INSTANCE(name##_constant_curved, lattice, CONSTANT, 1)                                                             \
    INSTANCE(name##_mixed_curved, lattice, MIXED, 1)                                                                   \
    INSTANCE(name##_interpolated_curved, lattice, INTERPOLATED, 1)
#define NAMES(name)                                                                                                    \
    {                                                                                                                  \
        {name##_constant, name##_inside, name##_mixed, name##_interpolated}, {                                         \
            name##_constant_curved, name##_mixed_curved, name##_mixed_curved, name##_interpolated_curved               \
        }                                                                                                              \
    }

INSTANCES(square_any, SQUARE_ANY)
INSTANCES(square_small, SQUARE_SMALL)
INSTANCES(square_mixed, SQUARE_MIXED)
SPOT_SHAPES(INSTANCES)

/* By lattice factor, curvature and lookup. */
#define ENTRY(name, shape) [shape] = NAMES(name),
static nb_term *const TERMS[N_LATTICES][2][N_LOOKUPS] = {[SQUARE_ANY] = NAMES(square_any),
                                                         [SQUARE_SMALL] = NAMES(square_small),
                                                         [SQUARE_MIXED] = NAMES(square_mixed),
                                                         SPOT_SHAPES(ENTRY)};

#endif
