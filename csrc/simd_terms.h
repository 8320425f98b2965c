/* One term of the sum, F_cell^2 F_latt^2, for all pixels of a block.
 *
 * The body is written once and instantiated for every lattice factor, lookup and kind of detector. Only squares occur,
 * so no signs are kept. Everything is evaluated from the offset f to the nearest integer (quirks.md SINCG_ROUNDOFF).
 */
#ifndef NB_SIMD_TERMS_H
#define NB_SIMD_TERMS_H

#include "simd_math.h"
#include "simd_mixed.h"
#include "simd_model.h"

/* Replaces an offset of exactly 0, where the quotient of the sines would be 0/0. */
#define TINY 1e-30

/* Vectors that go through the operations together, so that each step has several independent ones to hide its latency
 * behind. */
#define GROUP 2

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

/* (prod sin(pi N f)/sin(pi f))^2 for any N. */
NB_INLINE void grating_sqr(const vd n[3], const vd f[][3], vd *out, const int group) {
    vd x[6 * GROUP], sqr[6 * GROUP], sine[6 * GROUP];
    for (int v = 0; v < group; v++) {
        for (int k = 0; k < 3; k++)
            x[6 * v + k] = f[v][k] + vd_all(TINY);
    }
    for (int v = 0; v < group; v++) {
        for (int k = 0; k < 3; k++) {
            vd whole = vd_fma(n[k], x[6 * v + k], vd_all(MAGIC)) - vd_all(MAGIC);
            x[6 * v + 3 + k] = vd_fma(n[k], x[6 * v + k], -whole);
        }
    }
    for (int i = 0; i < 6 * group; i++)
        sqr[i] = x[i] * x[i];
    sinpi_over_x(sqr, sine, 6 * group);
    for (int i = 0; i < 6 * group; i++)
        sine[i] = x[i] * sine[i];
    for (int v = 0; v < group; v++) {
        const vd *s = sine + 6 * v;
        vd ratio = (s[3] * s[4] * s[5]) / (s[0] * s[1] * s[2]);
        out[v] = ratio * ratio;
    }
}

/* The same for N <= SMALL_CELLS, a polynomial in sin^2(pi f). */
NB_INLINE void grating_sqr_small(const nb_model *model, const vd f[][3], vd *out, const int group) {
    vd sqr[3 * GROUP], s[3 * GROUP], p[3 * GROUP];
    for (int i = 0; i < 3 * group; i++)
        sqr[i] = f[i / 3][i % 3] * f[i / 3][i % 3];
    sinpi_over_x(sqr, s, 3 * group);
    for (int i = 0; i < 3 * group; i++)
        s[i] = sqr[i] * (s[i] * s[i]);
    for (int i = 0; i < 3 * group; i++)
        p[i] = vd_all(model->polynomial[i % 3][3]);
    for (int term = 2; term >= 0; term--) {
        for (int i = 0; i < 3 * group; i++)
            p[i] = vd_fma(p[i], s[i], vd_all(model->polynomial[i % 3][term]));
    }
    for (int i = 0; i < 3 * group; i++)
        s[i] = vd_fnma(vd_all(model->parity[i % 3]), s[i], vd_all(1.0));
    for (int i = 0; i < 3 * group; i++) /* cos^2(pi f), which rounding may push below 0 */
        s[i] = vd_select(s[i] > vd_all(0.0), s[i], vd_all(0.0));
    for (int v = 0; v < group; v++) {
        vd amplitude = p[3 * v] * p[3 * v + 1] * p[3 * v + 2];
        out[v] = amplitude * amplitude * (s[3 * v] * s[3 * v + 1] * s[3 * v + 2]);
    }
}

NB_INLINE vd quadratic_form(const double gram[6], const vd f[3], const int skew) {
    vd x = vd_all(gram[0]) * f[0], y = vd_all(gram[1]) * f[1], z = vd_all(gram[2]) * f[2];
    if (skew) {
        x = vd_fma(vd_all(gram[4]), f[2], vd_fma(vd_all(gram[3]), f[1], x));
        y = vd_fma(vd_all(gram[5]), f[2], y);
    }
    return vd_fma(f[2], z, vd_fma(f[1], y, f[0] * x));
}

/* Squared lattice factor at the offsets f of a group of vectors. */
NB_INLINE void lattice_sqr(const nb_model *model, const vd n[3], const vd f[][3], vd *out, const int lattice) {
    if (lattice == SQUARE_ANY) {
        grating_sqr(n, f, out, GROUP);
        return;
    }
    if (lattice == SQUARE_SMALL) {
        grating_sqr_small(model, f, out, GROUP);
        return;
    }
    vd r_sqr[GROUP];
    for (int v = 0; v < GROUP; v++)
        r_sqr[v] = quadratic_form(model->gram, f[v], lattice != SPHERE);
    if (lattice == SPHERE) sinc3_sqr(r_sqr, out, GROUP);
    const vd peak = vd_all(model->peak);
    for (int v = 0; v < GROUP; v++) {
        if (lattice == SPHERE) out[v] = peak * out[v];
        if (lattice == GAUSSIAN)
            out[v] = vd_select(r_sqr[v] > vd_all(GAUSSIAN_END), vd_all(0.0), peak * vd_exp(-r_sqr[v]));
        if (lattice == SPOT) out[v] = vd_select(r_sqr[v] < vd_all(1.0), peak, vd_all(0.0));
    }
}

/* Square of the structure factor at whole numbers. Lanes that are no number read the first entry of the table. */
NB_INLINE vd structure_factor_sqr(const nb_model *model, const vd nearest[3], const int lookup) {
    if (lookup == CONSTANT) return vd_all(model->outside * model->outside);
    vd at[3];
    vi inside = vi_all(-1);
    for (int k = 0; k < 3; k++) {
        at[k] = nearest[k];
        if (lookup == MIXED) {
            at[k] = vd_clamp(nearest[k], vd_all(model->first[k]), vd_all(model->last[k]));
            inside &= at[k] == nearest[k];
        }
        at[k] = at[k] - vd_all(model->first[k]);
    }
    vd place = vd_fma(at[1], vd_all(model->stride[1]), at[2] + vd_all(MAGIC));
    place = vd_fma(at[0], vd_all(model->stride[0]), place);
    vd f_cell = vd_gather(model->table, (vi)place - vi_all(MAGIC_BITS));
    if (lookup == MIXED) f_cell = vd_select(inside, f_cell, vd_all(model->outside));
    return f_cell * f_cell;
}

NB_INLINE void add_term(const nb_model *given, const nb_row *given_row, const nb_line hkl[3], double *sum,
                        const int lattice, const int lookup, const int curved) {
    const nb_model model = *given; /* copies, which no store to the sums can change */
    const nb_row row = *given_row;
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    const vd n[3] = {vd_all(model.n[0]), vd_all(model.n[1]), vd_all(model.n[2])};
    for (int i = 0; i < row.n; i += GROUP * LANES) {
        vd h[GROUP][3], nearest[GROUP][3], f[GROUP][3], f_cell_sqr[GROUP], f_latt_sqr[GROUP];
        for (int v = 0; v < GROUP; v++) {
            for (int k = 0; k < 3; k++) {
                h[v][k] = line_value(&row, lines + k, i + v * LANES, curved);
                nearest[v][k] = vd_round(h[v][k]);
                f[v][k] = h[v][k] - nearest[v][k];
            }
        }
        for (int v = 0; v < GROUP; v++)
            f_cell_sqr[v] = structure_factor_sqr(&model, nearest[v], lookup);
        if (lattice == SQUARE_MIXED)
            grating_sqr_mixed(model.n, h, f_latt_sqr);
        else
            lattice_sqr(&model, n, f, f_latt_sqr, lattice);
        for (int v = 0; v < GROUP; v++) {
            double *at = sum + i + v * LANES;
            vd_store(at, vd_fma(f_cell_sqr[v], f_latt_sqr[v], vd_load(at)));
        }
    }
}

#define INSTANCE(name, lattice, lookup, curved)                                                                        \
    static void name(const nb_model *model, const nb_row *row, const nb_line hkl[3], double *sum) {                    \
        add_term(model, row, hkl, sum, lattice, lookup, curved);                                                       \
    }
#define INSTANCES(name, lattice)                                                                                       \
    INSTANCE(name##_constant, lattice, CONSTANT, 0)                                                                    \
    INSTANCE(name##_inside, lattice, INSIDE, 0)                                                                        \
    INSTANCE(name##_mixed, lattice, MIXED, 0)                                                                          \
    INSTANCE(name##_constant_curved, lattice, CONSTANT, 1)                                                             \
    INSTANCE(name##_mixed_curved, lattice, MIXED, 1)
#define NAMES(name)                                                                                                    \
    {                                                                                                                  \
        {name##_constant, name##_inside, name##_mixed}, {                                                              \
            name##_constant_curved, name##_mixed_curved, name##_mixed_curved                                           \
        }                                                                                                              \
    }

INSTANCES(square_any, SQUARE_ANY)
INSTANCES(square_small, SQUARE_SMALL)
INSTANCES(square_mixed, SQUARE_MIXED)
INSTANCES(sphere, SPHERE)
INSTANCES(gaussian, GAUSSIAN)
INSTANCES(spot, SPOT)

/* By lattice factor, curvature and lookup. */
static nb_term *const TERMS[N_LATTICES][2][N_LOOKUPS] = {
    [SQUARE_ANY] = NAMES(square_any), [SQUARE_SMALL] = NAMES(square_small), [SQUARE_MIXED] = NAMES(square_mixed),
    [SPHERE] = NAMES(sphere),         [GAUSSIAN] = NAMES(gaussian),         [SPOT] = NAMES(spot)};

#endif
