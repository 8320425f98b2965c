/* Diffuse scattering in vectors: nb_diffuse_stencil of diffuse.c, a vector of points at a time.
 *
 * Compiled once per instruction set with vectors of four numbers or more; NB_SIMD_ISA is its name. A point's value does
 * not depend on its lane.
 */
#include "diffuse.h"
#include "simd_math.h"

#define NB_SIMD_PASTE(isa) nb_simd_diffuse_##isa
#define NB_SIMD_NAME(isa) NB_SIMD_PASTE(isa)

#define BLOCK NB_DIFFUSE_BLOCK
/* Vectors that go through the operations together: divisions take long. */
#define MANY 2
#define EACH for (int v = 0; v < MANY; v++)

/* Whole numbers as integers. */
NB_INLINE vi whole(vd x) {
    return (vi)(x + vd_all(MAGIC)) - vi_all(MAGIC_BITS);
}

/* Place along an axis of the table, whose border stands for all other indices. */
NB_INLINE vd place(const nb_diffuse *d, int axis, vd index) {
    return vd_clamp(index - vd_all(d->first[axis]), vd_all(0.0), vd_all((double)(d->n_table[axis] - 1)));
}

NB_INLINE void products(vd h, vd k, vd l, vd out[6]) {
    out[0] = h * h, out[1] = k * k, out[2] = l * l, out[3] = h * k, out[4] = h * l, out[5] = k * l;
}

/* The quadratic form plus a number. */
NB_INLINE vd form(const double *coefficient, const vd product[6], double more) {
    vd sum = vd_fma(vd_all(coefficient[0]), product[0], vd_all(more));
    for (int i = 1; i < 6; i++)
        sum = vd_fma(vd_all(coefficient[i]), product[i], sum);
    return sum;
}

/* Some forms of one reflection, of the first order. */
NB_INLINE void first_order(const nb_diffuse *d, int64_t first, int64_t end, vd reflection[MANY][6], vd offset[MANY][6],
                           vd sum[MANY]) {
    EACH sum[v] = vd_all(0.0);
    for (int64_t i = first; i < end; i++) {
        EACH {
            const vd x = form(d->forms + 12 * i, reflection[v], 0.0);
            const vd below = form(d->forms + 12 * i + 6, offset[v], 1.0);
            sum[v] = sum[v] + vd_all(d->form_weight[i]) * x / (below * below);
        }
    }
}

NB_INLINE void all_orders(const nb_diffuse *d, int64_t first, int64_t end, vd reflection[MANY][6], vd offset[MANY][6],
                          vd sum[MANY]) {
    EACH sum[v] = vd_all(0.0);
    for (int64_t i = first; i < end; i++) {
        vd x[MANY], width[MANY], power[MANY];
        EACH x[v] = form(d->forms + 12 * i, reflection[v], 0.0);
        EACH width[v] = form(d->forms + 12 * i + 6, offset[v], 0.0);
        EACH power[v] = vd_all(d->form_weight[i]);
        for (int32_t order = 1; order <= d->n_orders; order++) {
            const double n = (double)order;
            EACH {
                const vd below = vd_fma(width[v], vd_all(1.0 / (n * n)), vd_all(1.0));
                power[v] = power[v] * x[v] * vd_all(1.0 / n);
                sum[v] = sum[v] + power[v] * vd_all(1.0 / (n * n * n)) / (below * below);
            }
        }
    }
}

/* A row of whole numbers times indices. */
NB_INLINE vd along(const double *row, const vd h[3]) {
    return vd_fma(vd_all(row[2]), h[2], vd_fma(vd_all(row[1]), h[1], vd_all(row[0]) * h[0]));
}

/* Add the sum of the forms first ... end-1 over the neighbors of some points. */
NB_INLINE void neighbors(const nb_diffuse *d, int64_t turn, int64_t first, int64_t end, vd point[MANY][3],
                         vd total[MANY]) {
    const vd half = vd_all(0.5), rows = vd_all((double)d->n_table[2]);
    const vd planes = vd_all((double)(d->n_table[1] * d->n_table[2]));
    const double *there = d->turns + 18 * turn, *back = there + 9;
    vd nearest[MANY][3];
    for (int j = 0; j < 3; j++)
        EACH nearest[v][j] = -vd_floor(half - along(there + 3 * j, point[v])); /* halves go down, as in nb_indices */
    for (int32_t a = -d->stencil; a <= d->stencil; a++)
        for (int32_t b = -d->stencil; b <= d->stencil; b++)
            for (int32_t c = -d->stencil; c <= d->stencil; c++) {
                vd reflection[MANY][6], offset[MANY][6], square[MANY], sum[MANY];
                EACH {
                    const vd near[3] = {nearest[v][0] + vd_all((double)a), nearest[v][1] + vd_all((double)b),
                                        nearest[v][2] + vd_all((double)c)};
                    const vd h = along(back, near), k = along(back + 3, near), l = along(back + 6, near);
                    const vd at = place(d, 0, h) * planes + place(d, 1, k) * rows + place(d, 2, l);
                    square[v] = vd_gather(d->table, whole(at));
                    products(h, k, l, reflection[v]);
                    products(point[v][0] - h, point[v][1] - k, point[v][2] - l, offset[v]);
                }
                if (d->n_orders == 1)
                    first_order(d, first, end, reflection, offset, sum);
                else
                    all_orders(d, first, end, reflection, offset, sum);
                EACH total[v] = vd_fma(square[v], sum[v], total[v]);
            }
}

void NB_SIMD_NAME(NB_SIMD_ISA)(const nb_diffuse *d, double hkl[3][BLOCK], int n, double *out) {
    for (int i = 0; i < n; i += MANY * LANES) {
        vd point[MANY][3], total[MANY];
        for (int j = 0; j < 3; j++)
            EACH point[v][j] = vd_load(hkl[j] + i + v * LANES);
        EACH total[v] = vd_all(0.0);
        for (int64_t turn = 0, first = 0; turn < d->n_turns; first += d->counts[turn], turn++)
            neighbors(d, turn, first, first + d->counts[turn], point, total);
        EACH vd_store(out + i + v * LANES, total[v]);
    }
}
