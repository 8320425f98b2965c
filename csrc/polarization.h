/* Polarization factor. */
#ifndef NB_POLARIZATION_H
#define NB_POLARIZATION_H

double nb_polarization(double kahn_factor, const double axis[3], const double incident[3], const double direction[3]);

#endif
