/* Gradients and tangents whose small fields can be written and read without asking. */
#ifndef NB_GRADIENT_H
#define NB_GRADIENT_H

#include "nanobragg.h"

#define NB_LARGEST_SMALL_FIELD 9

/* The gradient with `scratch` in place of small fields that are not wanted. */
nb_gradient nb_gradient_complete(const nb_gradient *gradient, double scratch[NB_LARGEST_SMALL_FIELD]);

/* The k-th of several tangents, with zeros in place of small fields that do not move; large ones stay NULL. */
nb_gradient nb_tangent_at(const nb_scene *scene, const nb_gradient *tangents, int64_t k);

#endif
