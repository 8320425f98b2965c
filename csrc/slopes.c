/* Derivatives of one term: the lattice factor, and the structure factor. */
#include "slopes.h"
#include "spots.h"
#include "structure_factor.h"
#include "vector.h"

#include <stddef.h>

/* The square of the grating function and its derivative by h.
 *
 * Given:
 *   f      offset of the index from the nearest integer
 *   n      number of cells, a whole number > 1
 * Returned:
 *   slope  2 pi r^2 (n cot(n x) - cot x), r = sin(n x)/sin x, x = pi f
 *   result r^2
 * Note: the difference of the cotangents cancels near 0; below n x = 0.05 four terms of its series are used, the next
 * one is below 3e-15 of the first there.
 */
static double grating_slope(double f, double n, double *slope) {
    double x = NB_PI * f, nx = n * f, rest = NB_PI * (nx - floor(nx + 0.5));
    if (fabs(n * x) < 0.05) {
        double m = n * n, y = x * x;
        double cotangents =
            -x * ((m - 1.0) / 3.0 + y * ((m * m - 1.0) / 45.0 +
                                         y * (2.0 * (m * m * m - 1.0) / 945.0 + y * (m * m * m * m - 1.0) / 4725.0)));
        double ratio = fabs(f) < 1e-100 ? n : sin(rest) / sin(x);
        *slope = 2.0 * NB_PI * ratio * ratio * cotangents;
        return ratio * ratio;
    }
    /* sin(n x) and cos(n x) change sign together with the parity of round(n f), which drops out */
    double ratio = sin(rest) / sin(x);
    *slope = 2.0 * NB_PI * ratio * (n * cos(rest) - ratio * cos(x)) / sin(x);
    return ratio * ratio;
}

/* The derivatives where a block has a matrix M: of |M f|^2 that by f is 2 M^T M f and that by M 2 (M f) f^T, of
 * (det M)^2 it is 2 (det M)^2 M^-T.
 *
 * Given:    v = M f; value F_latt^2; rate its derivative by |M f|^2
 * Returned: by_f, and by_n_cells and by_block_matrix of the slopes
 */
static void matrix_slopes(const nb_scene *scene, const double f[3], const double v[3], double value, double rate,
                          double by_f[3], nb_slopes *slopes) {
    const double *m = scene->block_matrix, determinant = nb_block_cells(scene);
    double minors[9];
    nb_block_minors(scene, minors);
    for (int i = 0; i < 3; i++) {
        by_f[i] = 2.0 * rate * (m[i] * v[0] + m[3 + i] * v[1] + m[6 + i] * v[2]);
        slopes->by_n_cells[i] = 0.0;
    }
    for (int i = 0; i < 9; i++)
        slopes->by_block_matrix[i] = 2.0 * value * minors[i] / determinant + 2.0 * rate * v[i / 3] * f[i % 3];
}

/* F_latt^2 of the shapes that are functions of one squared distance from the spot. */
static double spot_slopes(const nb_scene *scene, const double f[3], double by_f[3], nb_slopes *slopes) {
    const double *n = scene->n_cells;
    const double peak = nb_block_cells(scene) * NB_SPOTS[scene->shape].height;
    double v[3] = {0.0, 0.0, 0.0};
    if (scene->has_block_matrix) nb_block_vector(scene, f, v);
    const double r_sqr = scene->has_block_matrix ? nb_dot(v, v) : nb_spot_radius_sqr(scene, f);
    const double form = nb_spot_form(scene, r_sqr), value = peak * form * peak * form;
    const double rate = peak * peak * nb_spot_rate(scene, r_sqr, form); /* derivative by r_sqr fudge */
    for (int i = 0; i < 3; i++) {
        double u = f[i] * n[i];
        by_f[i] = rate * scene->fudge * 2.0 * u * n[i];
        slopes->by_n_cells[i] = 2.0 * value / n[i] + rate * scene->fudge * 2.0 * u * f[i];
    }
    slopes->by_fudge = rate * r_sqr;
    if (scene->has_block_matrix) matrix_slopes(scene, f, v, value, rate * scene->fudge, by_f, slopes);
    return value;
}

/* F_latt^2, and its derivatives by the offsets f. */
static double lattice_slopes(const nb_scene *scene, const double f[3], double by_f[3], nb_slopes *slopes) {
    if (scene->shape != NB_SQUARE) return spot_slopes(scene, f, by_f, slopes);
    double axes[3] = {1.0, 1.0, 1.0}, slope[3] = {0.0, 0.0, 0.0};
    for (int i = 0; i < 3; i++) {
        slopes->by_n_cells[i] = 0.0;
        if (scene->n_cells[i] > 1.0) axes[i] = grating_slope(f[i], scene->n_cells[i], slope + i);
    }
    slopes->by_fudge = 0.0;
    for (int i = 0; i < 9; i++) /* gratings have no matrix */
        slopes->by_block_matrix[i] = 0.0;
    by_f[0] = slope[0] * axes[1] * axes[2];
    by_f[1] = axes[0] * slope[1] * axes[2];
    by_f[2] = axes[0] * axes[1] * slope[2];
    return axes[0] * axes[1] * axes[2];
}

/* Weights of the nodes -1, 0, 1, 2 for the cubic through their values at 0 <= x < 1 (nb_lagrange), and their
 * derivatives. */
static void node_weights(double x, double weights[4], double rates[4]) {
    double a = x + 1.0, b = x - 1.0, c = x - 2.0;
    weights[0] = -x * b * c / 6.0, rates[0] = -(b * c + x * c + x * b) / 6.0;
    weights[1] = a * b * c / 2.0, rates[1] = (b * c + a * c + a * b) / 2.0;
    weights[2] = -a * x * c / 2.0, rates[2] = -(x * c + a * c + a * x) / 2.0;
    weights[3] = a * x * b / 6.0, rates[3] = (x * b + a * b + a * x) / 6.0;
}

/* The interpolated structure factor, and its derivatives by the indices. */
static double interpolated_slopes(const nb_scene *scene, const double hkl[3], double by_hkl[3], nb_slopes *slopes) {
    const int64_t stride[2] = {scene->n_hkl[1] * scene->n_hkl[2], scene->n_hkl[2]};
    double rates[3][4], value = 0.0;
    int64_t start[3];
    for (int i = 0; i < 3; i++) {
        double whole = floor(hkl[i]);
        start[i] = (int64_t)whole - 1 - scene->hkl_min[i];
        node_weights(hkl[i] - whole, slopes->weights[i], rates[i]);
        by_hkl[i] = 0.0;
    }
    slopes->entry = start[0] * stride[0] + start[1] * stride[1] + start[2];
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            const double *row = scene->f_table + slopes->entry + i * stride[0] + j * stride[1];
            double along = 0.0, rate = 0.0;
            for (int m = 0; m < 4; m++) {
                along += slopes->weights[2][m] * row[m];
                rate += rates[2][m] * row[m];
            }
            value += slopes->weights[0][i] * slopes->weights[1][j] * along;
            by_hkl[0] += rates[0][i] * slopes->weights[1][j] * along;
            by_hkl[1] += slopes->weights[0][i] * rates[1][j] * along;
            by_hkl[2] += slopes->weights[0][i] * slopes->weights[1][j] * rate;
        }
    }
    return value;
}

/* Where the structure factor at whole indices stands in the table; -1: nowhere. */
static int64_t entry_at(const nb_scene *scene, const double nearest[3]) {
    if (scene->f_table == NULL) return -1;
    int64_t at = 0;
    for (int i = 0; i < 3; i++) {
        double index = nearest[i] - (double)scene->hkl_min[i];
        if (!(index >= 0.0 && index < (double)scene->n_hkl[i])) return -1;
        at = at * scene->n_hkl[i] + (int64_t)index;
    }
    return at;
}

/* One term with its derivatives.
 *
 * Given:
 *   scene       one that nb_adjoint_obstacle does not object to
 *   cell        (3, 3) rows a, b, c [m]
 *   scattering  (3) scattering vector [1/m]
 * Returned:
 *   slopes
 * Note: the nearest index does not move with hkl, and neither does the edge of a top-hat: no derivative passes there.
 * Reference: docs/model.md, Lattice factor.
 */
void nb_evaluate_slopes(const nb_scene *scene, const double *cell, const double scattering[3], nb_slopes *slopes) {
    double hkl[3], nearest[3], f[3], form_slope[3], cell_slope[3] = {0.0, 0.0, 0.0}, f_cell;
    for (int i = 0; i < 3; i++) {
        hkl[i] = nb_dot(cell + 3 * i, scattering);
        nearest[i] = ceil(hkl[i] - 0.5);
        f[i] = hkl[i] - nearest[i];
    }
    slopes->interpolated = scene->tricubic && nb_stencil_fits(scene, hkl);
    if (slopes->interpolated) {
        f_cell = interpolated_slopes(scene, hkl, cell_slope, slopes);
    } else {
        slopes->entry = entry_at(scene, nearest);
        f_cell = slopes->entry < 0 ? scene->default_F : scene->f_table[slopes->entry];
    }
    double form = lattice_slopes(scene, f, form_slope, slopes), f_sqr = f_cell * f_cell;
    slopes->value = f_sqr * form;
    slopes->by_f_cell = 2.0 * f_cell * form;
    slopes->by_fudge *= f_sqr;
    for (int i = 0; i < 3; i++) {
        slopes->by_hkl[i] = f_sqr * form_slope[i] + slopes->by_f_cell * cell_slope[i];
        slopes->by_n_cells[i] *= f_sqr;
    }
    for (int i = 0; scene->has_block_matrix && i < 9; i++)
        slopes->by_block_matrix[i] *= f_sqr;
}
