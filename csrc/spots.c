/* Forms of the spot shapes and their slopes. */
#include "spots.h"
#include "vector.h"

#include <math.h>

/* Form factor of a sphere, 3 (sin x/x - cos x)/x^2.
 *
 * Given:    x [rad]
 * Returned: 1 at 0
 * Note: the closed formula cancels near 0; below |x| = 2 the series sum_m (-1)^m 6 (m+1) x^(2m)/(2m+3)! is used, whose
 * 16th term is below 1e-22 there. Reference: docs/model.md (ROUND); docs/quirks.md, SINC3_CANCELLATION.
 */
double nb_sinc3(double x) {
    if (!(fabs(x) < 2.0)) return nb_sinc3_literal(x);
    double sum = 1.0;
    for (int m = 13; m >= 0; m--)
        sum = 1.0 - sum * (x * x) / ((m + 1.0) * (4.0 * m + 10.0));
    return sum;
}

/* The same as the original evaluates it.
 *
 * Reference: docs/model.md, Lattice factor.
 */
double nb_sinc3_literal(double x) {
    return x == 0.0 ? 1.0 : 3.0 * (sin(x) / x - cos(x)) / (x * x);
}

/* d s3(sqrt(y))/dy for the form factor of a sphere: 3 (sin x/x - s3)/(2 y), x = sqrt(y), and below y = 4 the derivative
 * of the series of nb_sinc3. */
static double sphere_slope(double y) {
    if (y < 4.0) {
        double sum = 0.0, term = -0.1; /* (-1)^m 6 (m+1) m y^(m-1)/(2m+3)! for m = 1 */
        for (int m = 1; m < 16; m++) {
            sum += term;
            term *= -y * (m + 2.0) / (m * (2.0 * m + 4.0) * (2.0 * m + 5.0));
        }
        return sum;
    }
    double x = sqrt(y);
    return 1.5 * (sin(x) / x - nb_sinc3(x)) / y;
}

/* The offset in units of the reciprocal size of a block whose shape is a matrix.
 *
 * Given:    scene (block_matrix M), offset (3) = hkl - nearest
 * Returned: v (3) = M offset
 */
void nb_block_vector(const nb_scene *scene, const double offset[3], double v[3]) {
    for (int i = 0; i < 3; i++)
        v[i] = nb_dot(scene->block_matrix + 3 * i, offset);
}

/* Cells of a block: Na Nb Nc, or the determinant of its matrix. */
double nb_block_cells(const nb_scene *scene) {
    const double *n = scene->n_cells, *m = scene->block_matrix;
    if (!scene->has_block_matrix) return n[0] * n[1] * n[2];
    return m[0] * (m[4] * m[8] - m[5] * m[7]) + m[1] * (m[5] * m[6] - m[3] * m[8]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

/* Derivatives of the determinant by the elements of the matrix. */
void nb_block_minors(const nb_scene *scene, double minors[9]) {
    const double *m = scene->block_matrix;
    for (int i = 0; i < 3; i++)
        nb_cross(m + 3 * ((i + 1) % 3), m + 3 * ((i + 2) % 3), minors + 3 * i);
}

/* Lattice factor of such a block: height det M form(|M offset|^2). */
double nb_block_factor(const nb_scene *scene, const double offset[3]) {
    double v[3];
    nb_block_vector(scene, offset, v);
    return nb_block_cells(scene) * NB_SPOTS[scene->shape].height * nb_spot_form(scene, nb_dot(v, v));
}

/* Squared distance from the nearest reciprocal lattice point.
 *
 * Given:    scene (n_cells, a_star [1/Angstrom]), offset (3) = hkl - nearest
 * Returned: in units of the reciprocal size of the domain; GAUSS_TOPHAT_WIDTH: |ds|^2 (Na Nb Nc)^2
 * Note: the two sums of squares differ in their rounding, as they do in the original.
 * Reference: docs/model.md, Lattice factor; docs/quirks.md, GAUSS_TOPHAT_WIDTH.
 */
double nb_spot_radius_sqr(const nb_scene *scene, const double offset[3]) {
    const double *n = scene->n_cells;
    if (NB_SPOTS[scene->shape].skewed && (scene->quirks & NB_GAUSS_TOPHAT_WIDTH)) {
        const double *a = scene->a_star, *b = a + 3, *c = a + 6;
        double e[3];
        for (int i = 0; i < 3; i++)
            e[i] = offset[0] * a[i] + offset[1] * b[i] + offset[2] * c[i];
        return (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]) * n[0] * n[0] * n[1] * n[1] * n[2] * n[2];
    }
    if (scene->shape == NB_ROUND)
        return offset[0] * offset[0] * n[0] * n[0] + offset[1] * offset[1] * n[1] * n[1] +
               offset[2] * offset[2] * n[2] * n[2];
    double u = offset[0] * n[0], v = offset[1] * n[1], w = offset[2] * n[2];
    return u * u + v * v + w * w;
}

/* F_latt over its largest value.
 *
 * Given:    scene (shape, fudge, quirks), r_sqr from nb_spot_radius_sqr
 * Reference: docs/model.md, Lattice factor.
 */
double nb_spot_form(const nb_scene *scene, double r_sqr) {
    switch (scene->shape) {
    case NB_ROUND: {
        double x = NB_PI * sqrt(r_sqr * scene->fudge);
        return scene->quirks & NB_SINC3_CANCELLATION ? nb_sinc3_literal(x) : nb_sinc3(x);
    }
    case NB_GAUSS: return exp(-(r_sqr / NB_GAUSS_WIDTH * scene->fudge));
    default: return r_sqr * scene->fudge < NB_TOPHAT_CUT ? 1.0 : 0.0;
    }
}

/* Derivative of the squared form by r_sqr fudge; `form` is that of nb_spot_form without quirks. The edge of a top-hat
 * has none. */
double nb_spot_rate(const nb_scene *scene, double r_sqr, double form) {
    switch (scene->shape) {
    case NB_ROUND: return 2.0 * form * sphere_slope(NB_PI * NB_PI * r_sqr * scene->fudge) * NB_PI * NB_PI;
    case NB_GAUSS: return -2.0 / NB_GAUSS_WIDTH * form * form;
    default: return 0.0;
    }
}
