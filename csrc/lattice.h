/* Lattice factor: the interference of the unit cells of one mosaic domain. */
#ifndef NB_LATTICE_H
#define NB_LATTICE_H

#include "nanobragg.h"

double nb_sincg(double h, double h0, double n);
double nb_sincg_literal(double x, double n);
int nb_sincg_noisy(double n);
double nb_lattice_factor(const nb_scene *scene, const double hkl[3], const double nearest[3], double axes[3]);

#endif
