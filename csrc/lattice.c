/* Lattice factors of the crystal shapes. */
#include "lattice.h"
#include "spots.h"

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
    if (scene->has_block_matrix) return axes[2] = nb_block_factor(scene, offset);
    axes[2] =
        n[0] * n[1] * n[2] * NB_SPOTS[scene->shape].height * nb_spot_form(scene, nb_spot_radius_sqr(scene, offset));
    return axes[2];
}
