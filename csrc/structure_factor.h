/* Structure factor of one unit cell, looked up in a dense table. */
#ifndef NB_STRUCTURE_FACTOR_H
#define NB_STRUCTURE_FACTOR_H

#include "nanobragg.h"

double nb_lagrange(const double y[4], double x, double x0);
int nb_stencil_fits(const nb_scene *scene, const double hkl[3]);
double nb_interpolated(const nb_scene *scene, const double hkl[3], double nodes[64]);
double nb_tabulated(const nb_scene *scene, const double nearest[3]);

#endif
