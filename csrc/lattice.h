/* Lattice factor: the interference of the unit cells of one mosaic domain. */
#ifndef NB_LATTICE_H
#define NB_LATTICE_H

#include "nanobragg.h"

/* Where the rounding of the original's formulas can move F_latt^2 by more than 1e-10 of itself; u = 2^-53.
 *
 * SQUARE, an axis: sin(n x)/sin(x) at x = pi h. The product n x is rounded by up to n x u. Next to an integer h0 other
 * than 0 both sines are small, n pi f and pi f with f = h - h0, so F^2 moves by 2 u |h|/|f| of itself. Not where n is a
 * power of two: then the product is exact. From |f| = 2^-18 |h| on it is 5.8e-11 at most; measured in 1e7 indices up to
 * 200: 5.8e-11.
 *
 * ROUND: 3 (sin x/x - cos x)/x^2. Near 0 the difference is x^2/3, while its terms are near 1 and rounded by 2.5 u
 * together, so F^2 moves by 15 u/x^2 of itself. From x = 5e-3 on it is 6.7e-11 at most; measured at 1e7 x: 4.7e-11.
 */
#define NB_SINCG_NOISE 0x1p-18
#define NB_SINC3_NOISE 5e-3

double nb_sincg(double h, double h0, double n);
double nb_sincg_literal(double x, double n);
double nb_sinc3(double x);
double nb_sinc3_literal(double x);
int nb_sincg_noisy(double n);
double nb_lattice_factor(const nb_scene *scene, const double hkl[3], const double nearest[3], double axes[3]);

#endif
