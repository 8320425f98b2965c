/* Polarization factor of a partly polarized beam. */
#include "polarization.h"
#include "vector.h"

/* Kahn's polarization factor.
 *
 * Given:
 *   kahn_factor  degree of polarization, -1 ... 1; 0 for an unpolarized beam
 *   axis         (3) unit vector along the electric field
 *   incident     (3) along the incident ray; only its direction counts
 *   direction    (3) along the scattered ray; only its direction counts
 * Returned:      0 ... 1
 * Note: the axis need not be perpendicular to the beam; its component along the beam is dropped.
 * Reference: Kahn et al., J. Appl. Cryst. 15 (1982) 330; docs/model.md, Polarization.
 */
double nb_polarization(double kahn_factor, const double axis[3], const double incident[3], const double direction[3]) {
    double k[3], d[3];
    nb_unit(incident, k);
    nb_unit(direction, d);
    double cos_2theta = nb_dot(k, d);
    double cos_sqr = cos_2theta * cos_2theta;
    double sin_sqr = 1.0 - cos_sqr;
    double psi = 0.0;
    if (kahn_factor != 0.0) {
        double magnetic[3], electric[3];
        nb_cross(axis, k, magnetic);
        nb_unit(magnetic, magnetic);
        nb_cross(k, magnetic, electric);
        nb_unit(electric, electric);
        psi = -atan2(nb_dot(d, magnetic), nb_dot(d, electric));
    }
    return 0.5 * (1.0 + cos_sqr - kahn_factor * cos(2.0 * psi) * sin_sqr);
}
