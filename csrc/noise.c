/* Arrays of deviates, drawn in order. */
#include "nanobragg.h"

#include <stddef.h>

NB_WARN_UNUSED int nb_uniform_array(nb_rng *rng, int64_t *state, int64_t n, float *out) {
    if (rng == NULL || state == NULL || (out == NULL && n > 0)) return NB_ERR_NULL_ARGUMENT;
    for (int64_t i = 0; i < n; i++)
        out[i] = nb_uniform(rng, state);
    return NB_OK;
}

NB_WARN_UNUSED int nb_gaussian_array(nb_rng *rng, int64_t *state, int64_t n, float *out) {
    if (rng == NULL || state == NULL || (out == NULL && n > 0)) return NB_ERR_NULL_ARGUMENT;
    for (int64_t i = 0; i < n; i++)
        out[i] = nb_gaussian(rng, state);
    return NB_OK;
}

/* The noise image over a list of pixels.
 *
 * Given:
 *   means  (n) expected photons, in the order in which the pixels are drawn (raster order, docs/model.md)
 * Given and returned:
 *   rng, state  as in nb_poisson
 * Returned:
 *   out    (n) photons
 * Reference: docs/random_numbers.md, Poisson deviate.
 */
NB_WARN_UNUSED int nb_poisson_image(nb_rng *rng, int64_t *state, int64_t n, const float *means, float *out) {
    if (rng == NULL || state == NULL || ((means == NULL || out == NULL) && n > 0)) return NB_ERR_NULL_ARGUMENT;
    for (int64_t i = 0; i < n; i++)
        out[i] = nb_poisson(rng, state, means[i]);
    return NB_OK;
}
