/* One term of the sum, F_cell^2 F_latt^2, for all pixels of a block.
 *
 * The body is written once and instantiated for every lattice factor, lookup and kind of detector. Only squares occur,
 * so no signs are kept. Everything is evaluated from the offset f to the nearest integer (quirks.md SINCG_ROUNDOFF).
 */
#ifndef NB_SIMD_TERMS_H
#define NB_SIMD_TERMS_H

#include "simd_math.h"
#include "simd_model.h"

/* Replaces an offset of exactly 0, where the quotient of the sines would be 0/0. */
#define TINY 1e-30

NB_INLINE vd line_at(const nb_row *row, const nb_line *line, int i, const int curved) {
    vd x = vd_all(line->constant);
    if (!curved) {
        vd place = vd_fma(vd_all(line->b), vd_load(row->along + i), vd_all(line->a));
        return vd_fma(place, vd_load(row->inverse + i), x);
    }
    for (int k = 0; k < 3; k++)
        x = vd_fma(vd_all(line->vector[k]), vd_load(row->direction[k] + i), x);
    return x;
}

/* (prod sin(pi N f)/sin(pi f))^2 for any N. */
NB_INLINE vd grating_sqr(const nb_model *model, const vd f[3]) {
    vd above = vd_all(1.0), below = vd_all(1.0);
    for (int k = 0; k < 3; k++) {
        vd n = vd_all(model->n[k]);
        vd offset = f[k] + vd_all(TINY);
        vd whole = vd_fma(n, offset, vd_all(MAGIC)) - vd_all(MAGIC);
        vd reduced = vd_fma(n, offset, -whole);
        vd sine_n = reduced * sinpi_over_x(reduced * reduced);
        vd sine = offset * sinpi_over_x(offset * offset);
        above = above * sine_n;
        below = below * sine;
    }
    vd ratio = above / below;
    return ratio * ratio;
}

/* The same for N <= SMALL_CELLS, a polynomial in sin^2(pi f). */
NB_INLINE vd grating_sqr_small(const nb_model *model, const vd f[3]) {
    vd amplitude = vd_all(1.0), even = vd_all(1.0);
    for (int k = 0; k < 3; k++) {
        vd sine = f[k] * sinpi_over_x(f[k] * f[k]);
        vd s = sine * sine;
        vd p = vd_fma(vd_all(model->polynomial[k][3]), s, vd_all(model->polynomial[k][2]));
        p = vd_fma(p, s, vd_all(model->polynomial[k][1]));
        p = vd_fma(p, s, vd_all(model->polynomial[k][0]));
        vd cosine_sqr = vd_fnma(vd_all(model->parity[k]), s, vd_all(1.0));
        amplitude = amplitude * p;
        even = even * cosine_sqr;
    }
    return amplitude * amplitude * even;
}

NB_INLINE vd quadratic_form(const double gram[6], const vd f[3]) {
    vd x = vd_fma(vd_all(gram[4]), f[2], vd_fma(vd_all(gram[3]), f[1], vd_all(gram[0]) * f[0]));
    vd y = vd_fma(vd_all(gram[5]), f[2], vd_all(gram[1]) * f[1]);
    vd z = vd_all(gram[2]) * f[2];
    return vd_fma(f[2], z, vd_fma(f[1], y, f[0] * x));
}

NB_INLINE vd lattice_sqr(const nb_model *model, const vd f[3], const int lattice) {
    if (lattice == SQUARE_ANY) return grating_sqr(model, f);
    if (lattice == SQUARE_SMALL) return grating_sqr_small(model, f);
    vd peak = vd_all(model->peak);
    vd r_sqr = quadratic_form(model->gram, f);
    if (lattice == SPHERE) return peak * sinc3_sqr(r_sqr);
    if (lattice == GAUSSIAN) return peak * vd_exp(-r_sqr);
    return vd_select(r_sqr < vd_all(1.0), peak, vd_all(0.0));
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

NB_INLINE void add_term(const nb_model *model, const nb_row *row, const nb_line hkl[3], double *sum, const int lattice,
                        const int lookup, const int curved) {
    for (int i = 0; i < row->n; i += LANES) {
        vd nearest[3], f[3];
        for (int k = 0; k < 3; k++) {
            vd h = line_at(row, hkl + k, i, curved);
            nearest[k] = vd_round(h);
            f[k] = h - nearest[k];
        }
        vd f_latt_sqr = lattice_sqr(model, f, lattice);
        vd f_cell_sqr = structure_factor_sqr(model, nearest, lookup);
        vd_store(sum + i, vd_fma(f_cell_sqr, f_latt_sqr, vd_load(sum + i)));
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
INSTANCES(sphere, SPHERE)
INSTANCES(gaussian, GAUSSIAN)
INSTANCES(spot, SPOT)

/* By lattice factor, curvature and lookup. */
static nb_term *const TERMS[N_LATTICES][2][N_LOOKUPS] = {[SQUARE_ANY] = NAMES(square_any),
                                                         [SQUARE_SMALL] = NAMES(square_small),
                                                         [SPHERE] = NAMES(sphere),
                                                         [GAUSSIAN] = NAMES(gaussian),
                                                         [SPOT] = NAMES(spot)};

#endif
