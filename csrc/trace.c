/* Everything that is computed on the way to one pixel. */
#include "pixel.h"

#include <stddef.h>

static const char *const NAMES[NB_N_QUANTITIES] = {
    [NB_Q_POSITION] = "position_m",
    [NB_Q_AIRPATH] = "airpath_m",
    [NB_Q_DIRECTION] = "direction",
    [NB_Q_SOLID_ANGLE] = "solid_angle_sr",
    [NB_Q_CAPTURE_FRACTION] = "capture_fraction",
    [NB_Q_INCIDENT] = "incident",
    [NB_Q_WAVELENGTH] = "wavelength_m",
    [NB_Q_WEIGHT] = "weight",
    [NB_Q_SCATTERING_VECTOR] = "scattering_vector_per_m",
    [NB_Q_STOL] = "stol_per_m",
    [NB_Q_POLARIZATION] = "polarization",
    [NB_Q_A] = "a_m",
    [NB_Q_B] = "b_m",
    [NB_Q_C] = "c_m",
    [NB_Q_HKL] = "hkl",
    [NB_Q_HKL_NEAREST] = "hkl_nearest",
    [NB_Q_LATTICE_AXES] = "F_latt_axes",
    [NB_Q_F_LATT] = "F_latt",
    [NB_Q_INTERPOLATED] = "interpolated",
    [NB_Q_NODES] = "F_nodes",
    [NB_Q_F_CELL] = "F_cell",
    [NB_Q_TERM] = "term",
    [NB_Q_RUNNING_SUM] = "running_sum",
    [NB_Q_BACKGROUND] = "background",
    [NB_Q_SUM] = "sum",
    [NB_Q_STEPS] = "steps",
    [NB_Q_R_E_SQR] = "r_e_sqr_m2",
    [NB_Q_FLUENCE] = "fluence_per_m2",
    [NB_Q_FINAL_CAPTURE] = "final_capture_fraction",
    [NB_Q_FINAL_POLARIZATION] = "final_polarization",
    [NB_Q_FINAL_SOLID_ANGLE] = "final_solid_angle_sr",
    [NB_Q_PIXEL] = "pixel",
};

/* Name of a quantity, with its unit where it has one; NULL if there is no such quantity. */
const char *nb_quantity_name(nb_quantity quantity) {
    return (int)quantity < 0 || quantity >= NB_N_QUANTITIES ? NULL : NAMES[quantity];
}

/* Record one pixel.
 *
 * Given:
 *   scene     one that passed nb_scene_validate
 *   position  index in scene->pixels
 *   recorder  receives the quantities in the order in which they are computed
 * Returned:
 *   out       photons, the value that nb_render gives, bit for bit
 *   result    status
 */
NB_WARN_UNUSED int nb_trace(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out) {
    if (scene == NULL || recorder == NULL || recorder->record == NULL || out == NULL) return NB_ERR_NULL_ARGUMENT;
    if (position < 0 || position >= scene->n_pixels) return NB_ERR_PIXEL_RANGE;
    return nb_pixel_traced(scene, position, recorder, out);
}
