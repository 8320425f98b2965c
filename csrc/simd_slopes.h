/* One term of the sum with its derivatives by the three indices, for all pixels of a block.
 *
 * The counterpart of simd_terms.h for the adjoint: good to some 1e-10 of the largest slope.
 */
#ifndef NB_SIMD_SLOPES_H
#define NB_SIMD_SLOPES_H

#include "simd_terms.h"

/* The pixels of a row, and what the terms of one pass add to. */
typedef struct {
    nb_row row;
    const double *along_inverse; /* along x inverse */
    const double *weight;        /* derivative of the loss by a term; 0 in the padding */
    double *sum;                 /* of the terms */
    double *radial;              /* sum of weight x slope x (a + b along) over the axes: the derivative by `inverse` */
    double *toward[3];           /* curved detectors, in its place: the derivative by the direction */
    double *moment[6]; /* not square: sum of weight x slope x offset; with a matrix, of weight x rate x f_i f_j
                          in the order of nb_model's gram */
    double *slope[3];  /* weight x slope of one orientation */
} nb_slope_row;

typedef void nb_slope_term(const nb_model *model, const nb_slope_row *row, const nb_line hkl[3]);

/* n times the offset below which a slope takes its limit. */
#define CLOSE (1e-4 / NB_PI)

/* The unit of the slopes of gratings: that of the slope of sin(pi f)/SINE_UNIT in cos(pi f)/COSINE_UNIT, twice. */
#define SLOPE_UNIT(how) (2.0 * NB_PI * COSINE_UNIT(how) / SINE_UNIT(how))

/* The product of the sines, in SINE_UNIT, below which some offset may be that close. */
static double close_product(const nb_model *model) {
    const double least = fmin(model->n[0], fmin(model->n[1], model->n[2]));
    const double sines = least > 1.0 ? NB_PI * CLOSE * (1.0 + 1e-6) / least : 2.0;
    return sines / fabs(SINE_UNIT(QUICK) * SINE_UNIT(QUICK) * SINE_UNIT(QUICK));
}

/* (prod sin(pi N f)/sin(pi f))^2 for any N, and its slopes times a weight.
 *
 * With r = sin(n x)/sin x and x = pi f, the slope of r^2 is 2 pi r (n cos(n x) - r cos x)/sin x. Below n x = 1e-4 it is
 * -2 pi r^2 (n^2 - 1) x/3, which is off by 1e-9 of a slope that is itself 1e-4 of the largest; so it is for n = 1.
 * `close`: see close_product.
 */
NB_INLINE void grating_slopes(const nb_model *model, const double close, const vd f[3][GROUP], const vd weight[GROUP],
                              vd out[GROUP], vd slope[3][GROUP]) {
    vd above[3][GROUP], below[3][GROUP], sway[3][GROUP], cosine[3][GROUP];
    for (int k = 0; k < 3; k++) {
        const vd n = vd_all(model->n[k]);
        vd rest[GROUP];
        for (int v = 0; v < SLOPE_GROUP; v++)
            rest[v] = vd_offset(n * f[k][v]);
        sincospi(f[k], vd_all(TINY), QUICK, below[k], cosine[k]);
        sincospi(rest, n * vd_all(TINY), QUICK, above[k], sway[k]);
    }
    for (int v = 0; v < SLOPE_GROUP; v++) {
        const vd part = below[1][v] * below[2][v], product = below[0][v] * part, inverse = vd_all(1.0) / product;
        const vd others = below[0][v] * inverse;
        const vd reciprocal[3] = {part * inverse, below[2][v] * others, below[1][v] * others};
        vd ratio[3], rate[3];
        for (int k = 0; k < 3; k++) {
            ratio[k] = above[k][v] * reciprocal[k];
            rate[k] = vd_fnma(cosine[k][v], ratio[k], vd_all(model->n[k]) * sway[k][v]) * reciprocal[k];
        }
        if (vd_any_within(product, vd_all(close))) {
            for (int k = 0; k < 3; k++) {
                const double n = model->n[k], near = n > 1.0 ? CLOSE / n : 1.0;
                const double limit = -2.0 * NB_PI * n * (n * n - 1.0) * NB_PI / 3.0 / SLOPE_UNIT(QUICK);
                rate[k] = vd_select(f[k][v] * f[k][v] < vd_all(near * near), f[k][v] * vd_all(limit), rate[k]);
            }
        }
        const vd last = ratio[1] * ratio[2], all = ratio[0] * last;
        const vd twice = all * weight[v], first = twice * ratio[0];
        out[v] = all * all;
        slope[0][v] = twice * last * rate[0];
        slope[1][v] = first * ratio[2] * rate[1];
        slope[2][v] = first * ratio[1] * rate[2];
    }
}

/* The same for N <= SMALL_CELLS: r = p(s), times cos(pi f) for even N, with s = sin^2(pi f). */
NB_INLINE void grating_slopes_small(const nb_model *model, const vd f[3][GROUP], const vd weight[GROUP], vd out[GROUP],
                                    vd slope[3][GROUP]) {
    const double unit = SINE_UNIT(FINE) * SINE_UNIT(FINE), tilt = unit / (COSINE_UNIT(FINE) * COSINE_UNIT(FINE));
    vd sqr[3][GROUP], rate[3][GROUP];
    for (int k = 0; k < 3; k++) {
        const int even = model->parity[k] != 0.0, cubic = model->polynomial[k][3] != 0.0;
        const double factor = even ? COSINE_UNIT(FINE) : 1.0, *given = model->polynomial[k];
        const double p[4] = {factor * given[0], factor * unit * given[1], factor * unit * unit * given[2],
                             factor * unit * unit * unit * given[3]};
        vd sine[GROUP], cosine[GROUP];
        sincospi(f[k], vd_all(0.0), FINE, sine, cosine);
        for (int v = 0; v < SLOPE_GROUP; v++) {
            const vd s = sine[v] * sine[v];
            vd r = vd_all(p[2]), twice = vd_all(4.0 * p[2]); /* the slope of p */
            if (cubic) r = vd_fma(vd_all(p[3]), s, r), twice = vd_fma(vd_all(6.0 * p[3]), s, twice);
            r = vd_fma(vd_fma(r, s, vd_all(p[1])), s, vd_all(p[0]));
            twice = vd_fma(twice, s, vd_all(2.0 * p[1]));
            if (even) {
                twice = vd_fnma(vd_all(tilt), r, twice * (cosine[v] * cosine[v]));
                r = r * cosine[v];
                rate[k][v] = r * sine[v] * twice;
            } else {
                rate[k][v] = r * twice * (sine[v] * cosine[v]);
            }
            sqr[k][v] = r * r;
        }
    }
    for (int v = 0; v < SLOPE_GROUP; v++) {
        const vd last = sqr[1][v] * sqr[2][v], first = weight[v] * sqr[0][v];
        out[v] = sqr[0][v] * last;
        slope[0][v] = weight[v] * last * rate[0][v];
        slope[1][v] = first * sqr[2][v] * rate[1][v];
        slope[2][v] = first * sqr[1][v] * rate[2][v];
    }
}

/* The shapes that are functions of one squared distance y, a quadratic form of the offsets, from the spot. `rate`: the
 * derivative by y times the weight. */
NB_INLINE void spot_slopes(const nb_model *model, const vd f[3][GROUP], const vd weight[GROUP], vd out[GROUP],
                           vd slope[3][GROUP], vd rate[GROUP], const int shape, const int skewed) {
    const double *gram = model->gram;
    vd y[GROUP];
    for (int v = 0; v < SLOPE_GROUP; v++)
        y[v] = quadratic_form(gram, f[0][v], f[1][v], f[2][v], skewed);
    spot_form_slopes(shape, vd_all(model->peak), y, out, rate);
    for (int v = 0; v < SLOPE_GROUP; v++) {
        vd by_f[3];
        for (int k = 0; k < 3; k++)
            by_f[k] = vd_all(2.0 * gram[k]) * f[k][v];
        if (skewed) {
            by_f[0] = vd_fma(vd_all(gram[3]), f[1][v], vd_fma(vd_all(gram[4]), f[2][v], by_f[0]));
            by_f[1] = vd_fma(vd_all(gram[3]), f[0][v], vd_fma(vd_all(gram[5]), f[2][v], by_f[1]));
            by_f[2] = vd_fma(vd_all(gram[4]), f[0][v], vd_fma(vd_all(gram[5]), f[1][v], by_f[2]));
        }
        rate[v] = weight[v] * rate[v];
        for (int k = 0; k < 3; k++)
            slope[k][v] = rate[v] * by_f[k];
    }
}

NB_INLINE void add_product(double *sum, vd x, vd y) {
    vd_store(sum, vd_fma(x, y, vd_load(sum)));
}

/* Structure factors at the indices h, and their derivatives by them where they are interpolated. */
NB_INLINE void structure_factor_slopes(const nb_model *model, const vd h[3][GROUP], const vd nearest[3][GROUP],
                                       vd f_cell[GROUP], vd by_h[3][GROUP]) {
    for (int v = 0; v < SLOPE_GROUP; v++) {
        const vd at[3] = {h[0][v], h[1][v], h[2][v]}, whole[3] = {nearest[0][v], nearest[1][v], nearest[2][v]};
        vd slopes[3];
        const vi fits = interpolated_slopes(model, at, f_cell + v, slopes);
        if (vi_any(~fits)) f_cell[v] = vd_select(fits, f_cell[v], tabulated(model, whole, INTERPOLATED));
        for (int k = 0; k < 3; k++)
            by_h[k][v] = vd_select(fits, slopes[k], vd_all(0.0));
    }
}

NB_INLINE void add_slopes(const nb_model *given, const nb_slope_row *given_row, const nb_line hkl[3], const int lattice,
                          const int lookup, const int curved, const int skewed) {
    const nb_model model = *given; /* copies, which no store can change */
    const nb_slope_row row = *given_row;
    const line_lanes lines[3] = {line_spread(hkl), line_spread(hkl + 1), line_spread(hkl + 2)};
    const double close = lattice == SQUARE_ANY ? close_product(&model) : 0.0;
    const vd unit = vd_all(lattice == SQUARE_ANY     ? SLOPE_UNIT(QUICK)
                           : lattice == SQUARE_SMALL ? SLOPE_UNIT(FINE)
                                                     : 1.0);
    for (int i = 0; i < row.row.n; i += SLOPE_GROUP * LANES) {
        vd t[3][GROUP], h[3][GROUP], nearest[3][GROUP], f[3][GROUP], f_cell_sqr[GROUP], form[GROUP];
        vd weight[GROUP], slope[3][GROUP]; /* the slopes times the weight */
        vd rate[GROUP];                    /* not square */
        vd f_cell[GROUP], by_h[3][GROUP];  /* INTERPOLATED */
        for (int v = 0; v < SLOPE_GROUP; v++) {
            const vd along = vd_load(row.row.along + i + v * LANES), inverse = vd_load(row.row.inverse + i + v * LANES);
            for (int k = 0; k < 3; k++) {
                t[k][v] = vd_fma(lines[k].b, along, lines[k].a);
                h[k][v] = curved ? line_value(&row.row, lines + k, i + v * LANES, 1)
                                 : vd_fma(t[k][v], inverse, lines[k].constant);
                nearest[k][v] = vd_round(h[k][v]);
                f[k][v] = h[k][v] - nearest[k][v];
            }
        }
        if (lookup == INTERPOLATED) {
            structure_factor_slopes(&model, h, nearest, f_cell, by_h);
            for (int v = 0; v < SLOPE_GROUP; v++)
                f_cell_sqr[v] = f_cell[v] * f_cell[v];
        } else {
            structure_factor_sqr(&model, h, nearest, f_cell_sqr, lookup, SLOPE_GROUP);
        }
        for (int v = 0; v < SLOPE_GROUP; v++)
            weight[v] = vd_load(row.weight + i + v * LANES) * (unit * f_cell_sqr[v]);
        if (lattice == SQUARE_ANY)
            grating_slopes(&model, close, f, weight, form, slope);
        else if (lattice == SQUARE_SMALL)
            grating_slopes_small(&model, f, weight, form, slope);
        else
            spot_slopes(&model, f, weight, form, slope, rate, lattice, skewed);
        for (int v = 0; v < SLOPE_GROUP; v++) {
            const int at = i + v * LANES;
            vd radial = curved ? vd_all(0.0) : vd_load(row.radial + at), toward[3];
            for (int c = 0; curved && c < 3; c++)
                toward[c] = vd_load(row.toward[c] + at);
            for (int k = 0; k < 3; k++) {
                vd part = slope[k][v];
                if (!IS_SQUARE(lattice) && !skewed) add_product(row.moment[k] + at, part, f[k][v]);
                if (lookup == INTERPOLATED) {
                    const vd by_f_cell = vd_all(2.0) * vd_load(row.weight + at) * f_cell[v] * form[v];
                    part = vd_fma(by_f_cell, by_h[k][v], part);
                }
                vd_store(row.slope[k] + at, part);
                if (!curved) radial = vd_fma(part, t[k][v], radial);
                for (int c = 0; curved && c < 3; c++)
                    toward[c] = vd_fma(part, lines[k].vector[c], toward[c]);
            }
            if (skewed) {
                const vd moved[3] = {rate[v] * f[0][v], rate[v] * f[1][v], rate[v] * f[2][v]};
                for (int k = 0; k < 3; k++)
                    add_product(row.moment[k] + at, moved[k], f[k][v]);
                add_product(row.moment[3] + at, moved[0], f[1][v]);
                add_product(row.moment[4] + at, moved[0], f[2][v]);
                add_product(row.moment[5] + at, moved[1], f[2][v]);
            }
            if (!curved) vd_store(row.radial + at, radial);
            for (int c = 0; curved && c < 3; c++)
                vd_store(row.toward[c] + at, toward[c]);
            vd_store(row.sum + at, vd_fma(f_cell_sqr[v], form[v], vd_load(row.sum + at)));
        }
    }
}

#define SLOPE_INSTANCE(name, lattice, lookup, curved)                                                                  \
    static __attribute__((noinline)) void name##_skewed(const nb_model *model, const nb_slope_row *row,                \
                                                        const nb_line hkl[3]) {                                        \
        add_slopes(model, row, hkl, lattice, lookup, curved, 1);                                                       \
    }                                                                                                                  \
    static void name(const nb_model *model, const nb_slope_row *row, const nb_line hkl[3]) {                           \
        if (!IS_SQUARE(lattice) && model->skewed)                                                                      \
            name##_skewed(model, row, hkl);                                                                            \
        else                                                                                                           \
            add_slopes(model, row, hkl, lattice, lookup, curved, 0);                                                   \
    }
#define SLOPE_INSTANCES(name, lattice)                                                                                 \
    SLOPE_INSTANCE(name##_slopes_constant, lattice, CONSTANT, 0)                                                       \
    SLOPE_INSTANCE(name##_slopes_inside, lattice, INSIDE, 0)                                                           \
    SLOPE_INSTANCE(name##_slopes_mixed, lattice, MIXED, 0)                                                             \
    SLOPE_INSTANCE(name##_slopes_interpolated, lattice, INTERPOLATED, 0)                                               \
    SLOPE_INSTANCE(name##_slopes_constant_curved, lattice, CONSTANT, 1)                                                \
    SLOPE_INSTANCE(name##_slopes_mixed_curved, lattice, MIXED, 1)                                                      \
    SLOPE_INSTANCE(name##_slopes_interpolated_curved, lattice, INTERPOLATED, 1)

SLOPE_INSTANCES(square_any, SQUARE_ANY)
SLOPE_INSTANCES(square_small, SQUARE_SMALL)
SPOT_SHAPES(SLOPE_INSTANCES)

/* By lattice factor, curvature and lookup. */
#define SPOT_ENTRY(name, shape) [shape] = NAMES(name##_slopes),
static nb_slope_term *const SLOPES[N_LATTICES][2][N_LOOKUPS] = {
    [SQUARE_ANY] = NAMES(square_any_slopes), [SQUARE_SMALL] = NAMES(square_small_slopes), SPOT_SHAPES(SPOT_ENTRY)};

/* A sum over the pixels of a row, each pixel in the lane of its place modulo SUM_LANES. */
typedef struct {
    vd lanes[SUM_LANES / LANES];
} row_sum;

#define ROW_SUM_ZERO                                                                                                   \
    {                                                                                                                  \
        { {0.0} }                                                                                                      \
    }

/* The lanes together, in the same order for every instruction set: by halves. */
NB_INLINE double row_total(const row_sum *sum) {
    row_sum rest = *sum;
    for (int half = SUM_LANES / LANES / 2; half > 0; half /= 2) {
        for (int v = 0; v < half; v++)
            rest.lanes[v] += rest.lanes[v + half];
    }
    return vd_total(rest.lanes[0]);
}

/* Add a vector of slopes times two factors and times 1. */
NB_INLINE void add_products(const double *slopes, int at, int v, vd x, vd y, row_sum *by_x, row_sum *by_y,
                            row_sum *by_one) {
    const vd slope = vd_load(slopes + at);
    by_x->lanes[v] = vd_fma(slope, x, by_x->lanes[v]);
    by_y->lanes[v] = vd_fma(slope, y, by_y->lanes[v]);
    by_one->lanes[v] = by_one->lanes[v] + slope;
}

/* Sums of the slopes of one orientation by axis: times what the direction is a linear function of, which is 1/airpath
 * and along/airpath on a flat detector, the direction itself on a curved one; and, last, times 1. */
NB_INLINE void sum_slopes(const nb_slope_row *row, const int curved, double out[3][4]) {
    const double *const *direction = row->row.direction;
    const double *x = curved ? direction[0] : row->row.inverse, *y = curved ? direction[1] : row->along_inverse;
    if (LANES == 8 && !curved) { /* the sums of all axes have room in the registers */
        row_sum a = ROW_SUM_ZERO, b = ROW_SUM_ZERO, one = ROW_SUM_ZERO, a1 = ROW_SUM_ZERO, b1 = ROW_SUM_ZERO;
        row_sum one1 = ROW_SUM_ZERO, a2 = ROW_SUM_ZERO, b2 = ROW_SUM_ZERO, one2 = ROW_SUM_ZERO;
        for (int i = 0; i < row->row.n; i += SUM_LANES) {
            for (int v = 0; v < SUM_LANES / LANES; v++) {
                const int at = i + v * LANES;
                const vd along_x = vd_load(x + at), along_y = vd_load(y + at);
                add_products(row->slope[0], at, v, along_x, along_y, &a, &b, &one);
                add_products(row->slope[1], at, v, along_x, along_y, &a1, &b1, &one1);
                add_products(row->slope[2], at, v, along_x, along_y, &a2, &b2, &one2);
            }
        }
        out[0][0] = row_total(&a), out[0][1] = row_total(&b), out[0][3] = row_total(&one);
        out[1][0] = row_total(&a1), out[1][1] = row_total(&b1), out[1][3] = row_total(&one1);
        out[2][0] = row_total(&a2), out[2][1] = row_total(&b2), out[2][3] = row_total(&one2);
        out[0][2] = out[1][2] = out[2][2] = 0.0;
        return;
    }
    for (int k = 0; k < 3; k++) {
        row_sum a = ROW_SUM_ZERO, b = ROW_SUM_ZERO, c = ROW_SUM_ZERO, one = ROW_SUM_ZERO;
        for (int i = 0; i < row->row.n; i += SUM_LANES) {
            for (int v = 0; v < SUM_LANES / LANES; v++) {
                const int at = i + v * LANES;
                add_products(row->slope[k], at, v, vd_load(x + at), vd_load(y + at), &a, &b, &one);
                if (curved) c.lanes[v] = vd_fma(vd_load(row->slope[k] + at), vd_load(direction[2] + at), c.lanes[v]);
            }
        }
        out[k][0] = row_total(&a), out[k][1] = row_total(&b), out[k][3] = row_total(&one);
        out[k][2] = curved ? row_total(&c) : 0.0;
    }
}

#endif
