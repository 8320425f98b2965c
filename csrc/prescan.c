/* Two defects of the original depend on what was rendered before: STALE_PHI_ZERO on the first source pass that is
 * really evaluated, INTERP_SWITCHED_OFF on the first lookup that leaves the table. Both are found here, in the order of
 * the loops, so that no kernel carries state from pixel to pixel. */
#include "lattice.h"
#include "pass.h"
#include "structure_factor.h"
#include "tables.h"

#include <stddef.h>

/* Whether a lookup at these indices leaves the table; indices that are no numbers leave nothing, as in the original. */
static int leaves_table(const nb_scene *scene, const double hkl[3]) {
    return !isnan(hkl[0]) && !isnan(hkl[1]) && !isnan(hkl[2]) && !nb_stencil_fits(scene, hkl);
}

/* The first evaluation of a pass whose lookup leaves the table, or -1. */
static int64_t first_lookup_outside(const nb_scene *scene, int first_pass, const double scattering[3], double hkl[3]) {
    const double *cell = first_pass ? scene->orientations_first_pass : scene->orientations;
    const int skips_zero = (scene->quirks & NB_LATTICE_ZERO_SKIP) && scene->background == 0.0;
    const int64_t n = scene->n_phi * scene->n_domains;
    for (int64_t term = 0; term < n; term++, cell += 9) {
        double nearest[3], axes[3];
        nb_indices(cell, scattering, hkl, nearest);
        if (!leaves_table(scene, hkl)) continue;
        if (!skips_zero || nb_lattice_factor(scene, hkl, nearest, axes) != 0.0) return term;
    }
    return -1;
}

/* Look at the passes [pass_begin, pass_end) of each of the pixels [pixel_begin, pixel_end), until all is found.
 *
 * Given:
 *   scene   one that passed nb_scene_validate; its first_pass and interpolation_off are not looked at
 * Given and returned:
 *   result  what is wanted, and what was found in the blocks before; see nanobragg.h
 * Reference: docs/model.md; docs/quirks.md, STALE_PHI_ZERO, INTERP_SWITCHED_OFF.
 */
NB_WARN_UNUSED int nb_prescan(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int64_t pass_begin,
                              int64_t pass_end, nb_prescan_result *result) {
    if (scene == NULL || result == NULL) return NB_ERR_NULL_ARGUMENT;
    if (pixel_begin < 0 || pixel_end < pixel_begin || pixel_end > scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    if (pass_begin < 0) return NB_ERR_PIXEL_RANGE;
    nb_scene view; /* all tables have the same box */
    const nb_scene *seen = nb_one_table(scene, &view);
    for (int64_t position = pixel_begin; position < pixel_end; position++) {
        for (int64_t pass = pass_begin; pass < pass_end; pass++) {
            const int wants_pass = result->first_pass[0] < 0;
            const int wants_lookup = result->look_up && result->off[0] < 0;
            if (!wants_pass && !wants_lookup) return NB_OK;
            int64_t rest = pass / scene->n_sources;
            const int32_t sub_fast = (int32_t)(rest % scene->oversample);
            rest /= scene->oversample;
            const int32_t sub_slow = (int32_t)(rest % scene->oversample);
            const int64_t layer = rest / scene->oversample;
            if (layer >= scene->n_layers) return NB_ERR_PIXEL_RANGE;
            double place[3], airpath, direction[3], scattering[3];
            nb_locate(scene, scene->pixels[position], sub_fast, sub_slow, (int32_t)layer, place, &airpath, direction);
            if (nb_left_out(scene, nb_scatter(scene, direction, pass % scene->n_sources, scattering))) continue;
            if (wants_pass) result->first_pass[0] = position, result->first_pass[1] = pass;
            if (!wants_lookup) continue;
            const int first = scene->orientations_first_pass != NULL && position == result->first_pass[0] &&
                              pass == result->first_pass[1];
            const int64_t term = first_lookup_outside(seen, first, scattering, result->hkl);
            if (term >= 0) result->off[0] = position, result->off[1] = pass * scene->n_phi * scene->n_domains + term;
        }
    }
    return NB_OK;
}
