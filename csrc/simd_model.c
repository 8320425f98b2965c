/* Coefficients of the vector kernel's terms. */
#include "simd_model.h"
#include "lattice.h"
#include "spots.h"
#include "tables.h"
#include "vector.h"

#include <math.h>
#include <stddef.h>

/* U(N-1)(cos x)^2 = (sin N x/sin x)^2 = p(s)^2 (1 - parity s), s = sin^2 x, N <= SMALL_CELLS.
 *
 * From sin (N+1) x = 2 cos x sin N x - sin (N-1) x: with u_N = sin N x/sin x for odd N and sin N x/(sin x cos x) for
 * even N, u_(N+1) = 2 (1 - s) u_N - u_(N-1) after an even N and 2 u_N - u_(N-1) after an odd one.
 */
static void chebyshev(int n, double p[4], double *parity) {
    double before[5] = {0.0}, now[5] = {1.0};
    for (int m = 1; m < n; m++) {
        double next[5];
        for (int i = 0; i < 5; i++) {
            next[i] = 2.0 * now[i] - before[i];
            if (m % 2 == 0 && i > 0) next[i] -= 2.0 * now[i - 1];
        }
        for (int i = 0; i < 5; i++)
            before[i] = now[i], now[i] = next[i];
    }
    for (int i = 0; i < 4; i++)
        p[i] = now[i];
    *parity = n % 2 == 0 ? 1.0 : 0.0;
}

/* The quadratic form r^2 of the shapes other than SQUARE, as coefficients of f0 f0, f1 f1, f2 f2, f0 f1, f0 f2, f1 f2.
 */
static void quadratic(const nb_scene *scene, double gram[6]) {
    const double *n = scene->n_cells, *a = scene->a_star;
    const double volume_sqr = n[0] * n[0] * n[1] * n[1] * n[2] * n[2];
    static const int PAIRS[6][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2}, {1, 2}};
    const int skew = NB_SPOTS[scene->shape].skewed && (scene->quirks & NB_GAUSS_TOPHAT_WIDTH);
    for (int i = 0; i < 6; i++) {
        const int p = PAIRS[i][0], q = PAIRS[i][1];
        const double *u = a + 3 * p, *v = a + 3 * q;
        if (scene->has_block_matrix && !skew) {
            const double *m = scene->block_matrix;
            gram[i] = (m[p] * m[q] + m[3 + p] * m[3 + q] + m[6 + p] * m[6 + q]) * (p == q ? 1.0 : 2.0);
            continue;
        }
        gram[i] = skew     ? (u[0] * v[0] + u[1] * v[1] + u[2] * v[2]) * volume_sqr * (p == q ? 1.0 : 2.0)
                  : p == q ? n[p] * n[p]
                           : 0.0;
    }
}

/* Half widths of the box around f^T G f = limit. */
static void box(const double gram[6], double limit, double half[3]) {
    const double a = gram[0], b = gram[1], c = gram[2], d = 0.5 * gram[3], e = 0.5 * gram[4], f = 0.5 * gram[5];
    const double minors[3] = {b * c - f * f, a * c - e * e, a * b - d * d};
    const double determinant = a * minors[0] - d * (d * c - e * f) + e * (d * f - b * e);
    for (int k = 0; k < 3; k++)
        half[k] = determinant > 0.0 && minors[k] > 0.0 ? sqrt(limit * minors[k] / determinant) * (1.0 + 1e-9) : 1.0;
}

static void make_group(const nb_scene *scene, int64_t begin, int64_t end, nb_group *group) {
    *group = (nb_group){.begin = begin, .end = end};
    for (int i = 0; i < 9; i++) {
        for (int64_t at = begin; at < end; at++)
            group->center[i] += scene->orientations[9 * at + i];
        group->center[i] /= (double)(end - begin);
    }
    for (int64_t at = begin; at < end; at++) {
        for (int k = 0; k < 3; k++) {
            double sqr = 0.0;
            for (int i = 3 * k; i < 3 * k + 3; i++) {
                double d = scene->orientations[9 * at + i] - group->center[i];
                sqr += d * d;
            }
            group->radius[k] = fmax(group->radius[k], sqrt(sqr) * (1.0 + 1e-9));
        }
    }
}

/* Groups for skipping pixels, where a typical scattering vector would let it skip half of them. */
static void make_groups(const nb_scene *scene, nb_group groups[MAX_GROUPS], nb_model *model) {
    model->n_groups = 0;
    model->groups = groups;
    if (NB_SPOTS[scene->shape].end == 0.0 || scene->curved) return;
    box(model->gram, NB_SPOTS[scene->shape].end, model->reach);
    const int64_t n = scene->n_phi < MAX_GROUPS ? scene->n_phi : MAX_GROUPS;
    double kept = 0.0;
    for (int64_t i = 0; i < n; i++) {
        nb_group *group = groups + i;
        make_group(scene, scene->n_phi * i / n * scene->n_domains, scene->n_phi * (i + 1) / n * scene->n_domains,
                   group);
        double share = 1.0;
        for (int k = 0; k < 3; k++)
            share *= fmin(1.0, 2.0 * (model->reach[k] + 0.5 * group->radius[k] / fabs(scene->wavelength[0])));
        kept += share / (double)n;
    }
    if (kept < 0.5) model->n_groups = (int)n;
}

/* Which lattice factors are left to the scalar kernel, where the scene wants the original's rounding. */
static void make_noise(const nb_scene *scene, nb_model *model) {
    if (scene->shape == NB_ROUND && (scene->quirks & NB_SINC3_CANCELLATION))
        model->noise = NB_SINC3_NOISE * NB_SINC3_NOISE / (NB_PI * NB_PI);
    if (scene->shape != NB_SQUARE || !(scene->quirks & NB_SINCG_ROUNDOFF)) return;
    for (int k = 0; k < 3; k++) {
        if (!nb_sincg_noisy(model->n[k])) continue;
        model->noise = model->lattice == SQUARE_MIXED ? MIXED_NOISE : NB_SINCG_NOISE;
        model->noisy[k] = 1.0;
        for (int64_t i = 0; i < scene->n_phi * scene->n_domains; i++)
            model->longest = fmax(model->longest, nb_norm(scene->orientations + 9 * i + 3 * k));
    }
}

/* Given: scene; mixed: whether mixed precision is allowed. Returned: groups; model, which points to them. Reference:
 * docs/model.md, Lattice factor; csrc/lattice.c. */
void nb_model_make(const nb_scene *scene, int mixed, nb_group groups[MAX_GROUPS], nb_model *model) {
    const double *n = scene->n_cells;
    *model = (nb_model){.table = scene->f_table, .outside = scene->default_F};
    const double cells = nb_block_cells(scene);
    const double most = fmax(n[0], fmax(n[1], n[2]));
    const nb_spot *spot = NB_SPOTS + scene->shape;
    model->peak = cells * cells * (spot->height * spot->height);
    model->lattice = (int)scene->shape;
    model->skewed = scene->has_block_matrix;
    if (scene->shape == NB_SQUARE && most <= SMALL_CELLS) model->lattice = SQUARE_SMALL;
    if (scene->shape == NB_SQUARE && most > SMALL_CELLS && mixed && most <= MIXED_CELLS) model->lattice = SQUARE_MIXED;
    quadratic(scene, model->gram);
    for (int i = 0; i < 6 && scene->shape != NB_SQUARE; i++)
        model->gram[i] *= spot->times * scene->fudge / spot->width;
    for (int k = 0; k < 3; k++) {
        model->n[k] = n[k];
        if (model->lattice == SQUARE_SMALL) chebyshev((int)n[k], model->polynomial[k], model->parity + k);
        model->first[k] = (double)scene->hkl_min[k];
        model->last[k] = (double)(scene->hkl_min[k] + (k == 0 ? nb_table_rows(scene) : scene->n_hkl[k]) - 1);
    }
    const double edge = scene->quirks & NB_INTERP_LOW_EDGE ? 1.0 : 0.0;
    model->interpolate = scene->tricubic && scene->f_table != NULL;
    for (int k = 0; k < 3; k++) {
        model->stencil_first[k] = model->first[k] + 1.0 + edge;
        model->stencil_last[k] = model->last[k] - 2.0 - edge;
        if (model->stencil_first[k] > model->stencil_last[k]) model->interpolate = 0;
    }
    model->stride[0] = (double)(scene->n_hkl[1] * scene->n_hkl[2]);
    model->stride[1] = (double)scene->n_hkl[2];
    model->origin = model->stride[0] * model->first[0] + model->stride[1] * model->first[1] + model->first[2];
    make_groups(scene, groups, model);
    make_noise(scene, model);
}
