/* Lattice factors of the four crystal shapes. */
#include "lattice.h"

#include <math.h>

/* (-1)^k for a whole number k. */
static double alternating_sign(double k) {
    double half = 0.5 * k;
    return half == floor(half) ? 1.0 : -1.0;
}

/* Grating function sin(pi n h)/sin(pi h), accurate at and near every integer.
 *
 * Given:
 *   h   index
 *   h0  nearest integer to h
 *   n   number of cells, a whole number >= 1
 * Returned: -n ... n
 * Notes: evaluated from the exact offsets f = h - h0 and r = n f - round(n f), both within [-1/2, 1/2]:
 *   sin(pi n h)/sin(pi h) = (-1)^((n-1) h0 + round(n f)) sin(pi r)/sin(pi f).
 *   Below |f| = 1e-100 the quotient could lose digits to subnormal numbers; there it is n to the last bit.
 * Reference: docs/model.md, Lattice factor (SQUARE); docs/quirks.md, SINCG_ROUNDOFF.
 */
double nb_sincg(double h, double h0, double n) {
    double f = h - h0;
    if (fabs(f) < 1e-100) return alternating_sign((n - 1.0) * h0) * n;
    double x = n * f;
    double whole = floor(x + 0.5);
    return alternating_sign((n - 1.0) * h0 + whole) * (sin(NB_PI * (x - whole)) / sin(NB_PI * f));
}

/* The same as the original evaluates it, from x = pi h: rounding noise at non-zero integers h.
 *
 * Given:    x [rad], n
 * Returned: sin(n x)/sin(x), n at x = 0
 * Reference: docs/model.md, Lattice factor.
 */
double nb_sincg_literal(double x, double n) {
    return x == 0.0 ? n : sin(x * n) / sin(x);
}

/* Whether the product n x of nb_sincg_literal rounds: not for powers of two. */
int nb_sincg_noisy(double n) {
    int exponent;
    return frexp(n, &exponent) != 0.5;
}

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

/* Squared distance from the nearest reciprocal lattice point that the shapes GAUSS and TOPHAT are functions of.
 *
 * Given:    scene (n_cells, a_star [1/Angstrom]), offset (3) = hkl - nearest
 * Returned: corrected: in units of the reciprocal size of the domain; GAUSS_TOPHAT_WIDTH: |ds|^2 (Na Nb Nc)^2
 * Reference: docs/model.md, Lattice factor; docs/quirks.md, GAUSS_TOPHAT_WIDTH.
 */
static double spot_radius_sqr(const nb_scene *scene, const double offset[3]) {
    const double *n = scene->n_cells;
    if (!(scene->quirks & NB_GAUSS_TOPHAT_WIDTH)) {
        double u = offset[0] * n[0], v = offset[1] * n[1], w = offset[2] * n[2];
        return u * u + v * v + w * w;
    }
    const double *a = scene->a_star, *b = a + 3, *c = a + 6;
    double e[3];
    for (int i = 0; i < 3; i++)
        e[i] = offset[0] * a[i] + offset[1] * b[i] + offset[2] * c[i];
    return (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]) * n[0] * n[0] * n[1] * n[1] * n[2] * n[2];
}

/* Lattice factor F_latt.
 *
 * Given:
 *   scene    shape, n_cells, fudge, a_star, quirks
 *   hkl      (3) real indices of the scattering vector
 *   nearest  (3) the nearest integers
 * Returned:
 *   axes     (3) the factors of the three axes (SQUARE), else (1, 1, F_latt)
 *   result   F_latt; the intensity goes with its square
 * Reference: docs/model.md, Lattice factor.
 */
double nb_lattice_factor(const nb_scene *scene, const double hkl[3], const double nearest[3], double axes[3]) {
    const double *n = scene->n_cells;
    double offset[3];
    axes[0] = axes[1] = axes[2] = 1.0;
    if (scene->shape == NB_SQUARE) {
        double factor = 1.0;
        for (int i = 0; i < 3; i++) {
            if (n[i] > 1.0) {
                axes[i] = scene->quirks & NB_SINCG_ROUNDOFF ? nb_sincg_literal(NB_PI * hkl[i], n[i])
                                                            : nb_sincg(hkl[i], nearest[i], n[i]);
                factor = factor * axes[i];
            }
        }
        return factor;
    }
    for (int i = 0; i < 3; i++)
        offset[i] = hkl[i] - nearest[i];
    if (scene->shape == NB_ROUND) {
        double rho_sqr = offset[0] * offset[0] * n[0] * n[0] + offset[1] * offset[1] * n[1] * n[1] +
                         offset[2] * offset[2] * n[2] * n[2];
        double x = NB_PI * sqrt(rho_sqr * scene->fudge);
        double form = scene->quirks & NB_SINC3_CANCELLATION ? nb_sinc3_literal(x) : nb_sinc3(x);
        axes[2] = n[0] * n[1] * n[2] * NB_ROUND_SCALE * form;
    } else {
        double r_sqr = spot_radius_sqr(scene, offset);
        if (scene->shape == NB_GAUSS)
            axes[2] = n[0] * n[1] * n[2] * exp(-(r_sqr / NB_GAUSS_WIDTH * scene->fudge));
        else
            axes[2] = r_sqr * scene->fudge < NB_TOPHAT_CUT ? n[0] * n[1] * n[2] : 0.0;
    }
    return axes[2];
}
