/* One term of the sum, F_cell^2 F_latt^2, for all pixels of a block.
 *
 * The body is written once and instantiated for every lattice factor, lookup and kind of detector. Only squares occur,
 * so no signs are kept. Everything is evaluated from the offset f to the nearest integer (docs/quirks.md,
 * SINCG_ROUNDOFF).
 */
#ifndef NB_SIMD_TERMS_H
#define NB_SIMD_TERMS_H

#include "simd_interpolation.h"
#include "simd_math.h"
#include "simd_mixed.h"
#include "simd_model.h"

/* Added to sin(pi f), and N times it to sin(pi N f), where it changes nothing but the quotient 0/0. Its cube is above
 * the smallest number. */
#define TINY 1e-90

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

/* sin(pi x) + nudge for |x| <= 1/2. */
NB_INLINE void sinpi(const vd x[GROUP], vd nudge, vd out[GROUP]) {
    vd sqr[GROUP];
    for (int v = 0; v < GROUP; v++)
        sqr[v] = x[v] * x[v];
    sinpi_over_x(sqr, out);
    for (int v = 0; v < GROUP; v++)
        out[v] = vd_fma(x[v], out[v], nudge);
}

/* (prod sin(pi N f)/sin(pi f))^2 for any N. */
NB_INLINE void grating_sqr(const vd n[3], const vd f[3][GROUP], vd out[GROUP]) {
    vd above[3][GROUP], below[3][GROUP];
    for (int k = 0; k < 3; k++) {
        vd rest[GROUP];
        for (int v = 0; v < GROUP; v++) {
            vd phase = n[k] * f[k][v];
            rest[v] = phase - vd_round(phase);
        }
        sinpi(f[k], vd_all(TINY), below[k]);
        sinpi(rest, n[k] * vd_all(TINY), above[k]);
    }
    for (int v = 0; v < GROUP; v++) {
        vd ratio = (above[0][v] * above[1][v] * above[2][v]) / (below[0][v] * below[1][v] * below[2][v]);
        out[v] = ratio * ratio;
    }
}

/* The same for N <= SMALL_CELLS, a polynomial in sin^2(pi f). */
NB_INLINE void grating_sqr_small(const nb_model *model, const vd f[3][GROUP], vd out[GROUP]) {
    vd p[3][GROUP], cosine_sqr[3][GROUP];
    for (int k = 0; k < 3; k++) {
        vd s[GROUP];
        sinpi(f[k], vd_all(0.0), s);
        for (int v = 0; v < GROUP; v++) {
            s[v] = s[v] * s[v];
            p[k][v] = vd_all(model->polynomial[k][3]);
        }
        for (int term = 2; term >= 0; term--) {
            for (int v = 0; v < GROUP; v++)
                p[k][v] = vd_fma(p[k][v], s[v], vd_all(model->polynomial[k][term]));
        }
        for (int v = 0; v < GROUP; v++) {
            vd c = vd_fnma(vd_all(model->parity[k]), s[v], vd_all(1.0));
            cosine_sqr[k][v] = vd_select(c > vd_all(0.0), c, vd_all(0.0)); /* rounding may push it below 0 */
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

/* Squared lattice factor at the offsets f from the nearest integers. */
NB_INLINE void lattice_sqr(const nb_model *model, const vd n[3], const vd f[3][GROUP], vd out[GROUP], const int lattice,
                           const int group) {
    if (lattice == SQUARE_ANY) {
        grating_sqr(n, f, out);
        return;
    }
    if (lattice == SQUARE_SMALL) {
        grating_sqr_small(model, f, out);
        return;
    }
    vd r_sqr[GROUP];
    for (int v = 0; v < group; v++)
        r_sqr[v] = quadratic_form(model->gram, f[0][v], f[1][v], f[2][v], lattice != SPHERE);
    if (lattice == SPHERE) sinc3_sqr(r_sqr, out);
    const vd peak = vd_all(model->peak);
    for (int v = 0; v < group; v++) {
        if (lattice == SPHERE) out[v] = peak * out[v];
        if (lattice == GAUSSIAN)
            out[v] = vd_select(r_sqr[v] > vd_all(GAUSSIAN_END), vd_all(0.0), peak * vd_exp(-r_sqr[v]));
        if (lattice == SPOT) out[v] = vd_select(r_sqr[v] < vd_all(1.0), peak, vd_all(0.0));
    }
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

NB_INLINE void add_term(const nb_model *given, const nb_row *given_row, const nb_line hkl[3], double *sum,
                        const int lattice, const int lookup, const int curved) {
    const nb_model model = *given; /* copies, which no store to the sums can change */
    const nb_row row = *given_row;
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    const vd n[3] = {vd_all(model.n[0]), vd_all(model.n[1]), vd_all(model.n[2])};
    const int group = lattice == GAUSSIAN || lattice == SPOT ? SPARSE_GROUP : GROUP;
    for (int i = 0; i < row.n; i += group * LANES) {
        vd h[3][GROUP], nearest[3][GROUP], f[3][GROUP], f_cell_sqr[GROUP], f_latt_sqr[GROUP];
        for (int k = 0; k < 3; k++) {
            for (int v = 0; v < group; v++) {
                h[k][v] = line_value(&row, lines + k, i + v * LANES, curved);
                nearest[k][v] = vd_round(h[k][v]);
                f[k][v] = h[k][v] - nearest[k][v];
            }
        }
        structure_factor_sqr(&model, h, nearest, f_cell_sqr, lookup, group);
        if (lattice == SQUARE_MIXED)
            grating_sqr_mixed(model.n, h, f_latt_sqr);
        else
            lattice_sqr(&model, n, f, f_latt_sqr, lattice, group);
        for (int v = 0; v < group; v++) {
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
INSTANCES(sphere, SPHERE)
INSTANCES(gaussian, GAUSSIAN)
INSTANCES(spot, SPOT)

/* By lattice factor, curvature and lookup. */
static nb_term *const TERMS[N_LATTICES][2][N_LOOKUPS] = {
    [SQUARE_ANY] = NAMES(square_any), [SQUARE_SMALL] = NAMES(square_small), [SQUARE_MIXED] = NAMES(square_mixed),
    [SPHERE] = NAMES(sphere),         [GAUSSIAN] = NAMES(gaussian),         [SPOT] = NAMES(spot)};

#endif
