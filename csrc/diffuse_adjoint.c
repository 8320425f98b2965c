/* The sum over reflections of diffuse scattering at given indices, and its derivatives in reverse mode. */
#include "diffuse.h"
#include "vector.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define BLOCK NB_DIFFUSE_BLOCK

/* The sum at n points with the indices hkl (3, n), with the sum of an instruction set. */
void nb_diffuse_at_by(const nb_diffuse *d, nb_diffuse_sums *sums, int64_t n, const double *hkl, double *out) {
    NB_ALIGNED double part[3][BLOCK] = {{0.0}};
    NB_ALIGNED double value[BLOCK];
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int many = n - begin < BLOCK ? (int)(n - begin) : BLOCK;
        for (int j = 0; j < 3; j++)
            memcpy(part[j], hkl + j * n + begin, (size_t)many * sizeof(double));
        sums(d, part, many, value);
        memcpy(out + begin, value, (size_t)many * sizeof(double));
    }
}

/* Value and derivatives by x and by width of all orders of a form. */
static double orders(const nb_diffuse *d, double weight, double x, double width, double *by_x, double *by_width) {
    double sum = 0.0, power = weight; /* weight x^(n-1)/(n-1)! */
    *by_x = *by_width = 0.0;
    for (int32_t order = 1; order <= d->n_orders; order++) {
        const double n = (double)order, below = 1.0 + width / (n * n), height = 1.0 / (n * n * n * below * below);
        *by_x += power * height;
        power = power * x / n;
        sum += power * height;
        *by_width -= 2.0 * power * height / (below * n * n);
    }
    return sum;
}

/* The forms first ... end-1 of one point, whose sum counts `seed`: as nb_diffuse_stencil has them. */
static void pull_point(const nb_diffuse *d, int64_t turn, int64_t first, int64_t end, const double point[3],
                       double seed, double by_point[3], nb_diffuse_gradient *g) {
    const double *there = d->turns + 18 * turn, *back = there + 9;
    double nearest[3], reflection[6], offset[6];
    for (int j = 0; j < 3; j++)
        nearest[j] = ceil(nb_dot(there + 3 * j, point) - 0.5);
    for (int32_t a = -d->stencil; a <= d->stencil; a++)
        for (int32_t b = -d->stencil; b <= d->stencil; b++)
            for (int32_t c = -d->stencil; c <= d->stencil; c++) {
                const double near[3] = {nearest[0] + (double)a, nearest[1] + (double)b, nearest[2] + (double)c};
                double h[3], off[3], sum = 0.0;
                for (int j = 0; j < 3; j++)
                    h[j] = nb_dot(back + 3 * j, near), off[j] = point[j] - h[j];
                const int64_t at = nb_diffuse_place(d, h);
                const double times = seed * d->table[at];
                nb_diffuse_products(h, reflection);
                nb_diffuse_products(off, offset);
                for (int64_t i = first; i < end; i++) {
                    const double *w = d->forms + 12 * i + 6;
                    double by_x, by_width;
                    sum += orders(d, d->form_weight[i], nb_diffuse_form(d->forms + 12 * i, reflection),
                                  nb_diffuse_form(w, offset), &by_x, &by_width);
                    by_x *= times, by_width *= times;
                    for (int j = 0; j < 6; j++) {
                        g->forms[12 * i + j] += by_x * reflection[j];
                        g->forms[12 * i + 6 + j] += by_width * offset[j];
                    }
                    by_point[0] += by_width * (2.0 * w[0] * off[0] + w[3] * off[1] + w[4] * off[2]);
                    by_point[1] += by_width * (2.0 * w[1] * off[1] + w[3] * off[0] + w[5] * off[2]);
                    by_point[2] += by_width * (2.0 * w[2] * off[2] + w[4] * off[0] + w[5] * off[1]);
                }
                g->table[at] += seed * sum;
            }
}

/* Gradients of the sum of cotangent times sum over reflections at n points.
 *
 * Given:
 *   diffuse    no map
 *   hkl        (3, n)
 *   cotangent  (n)
 * Returned, in `gradient`:
 *   hkl        (3, n) by the indices
 * Given and returned, added to:
 *   forms      (n_forms, 2, 6)
 *   table      (n_table)
 */
NB_WARN_UNUSED int nb_diffuse_pull_back(const nb_diffuse *diffuse, int64_t n, const double *hkl,
                                        const double *cotangent, nb_diffuse_gradient *gradient) {
    const nb_diffuse *d = diffuse;
    const int status = nb_diffuse_check(d);
    if (status != NB_OK) return status;
    if (d->is_map) return NB_ERR_TOO_LARGE;
    if (gradient == NULL || (n > 0 && (hkl == NULL || cotangent == NULL || gradient->hkl == NULL)))
        return NB_ERR_NULL_ARGUMENT;
    if (gradient->forms == NULL || gradient->table == NULL) return NB_ERR_NULL_ARGUMENT;
    for (int64_t i = 0; i < n; i++) {
        const double point[3] = {hkl[i], hkl[n + i], hkl[2 * n + i]};
        double by_point[3] = {0.0, 0.0, 0.0};
        for (int64_t turn = 0, first = 0; turn < d->n_turns; first += d->counts[turn], turn++)
            pull_point(d, turn, first, first + d->counts[turn], point, cotangent[i], by_point, gradient);
        for (int j = 0; j < 3; j++)
            gradient->hkl[j * n + i] = by_point[j];
    }
    return NB_OK;
}
