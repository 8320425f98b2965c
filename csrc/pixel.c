/* One pixel: all loops, in the reference order of operations (docs/model.md, The sum; nanobragg/derivation/scene.py).
 *
 * The body is compiled twice: without a recorder, where the recording vanishes, and with one.
 */
#include "pixel.h"
#include "detector.h"
#include "lattice.h"
#include "pass.h"
#include "polarization.h"
#include "structure_factor.h"
#include "tables.h"
#include "vector.h"

#include <stddef.h>

#if defined(__GNUC__)
#define NB_INLINE static inline __attribute__((always_inline))
#else
#define NB_INLINE static inline
#endif

/* Places of the loop counters in the index that a recorder receives. */
enum { LAYER, SUB_SLOW, SUB_FAST, SOURCE, PHI, DOMAIN, N_LOOPS };

/* What the loops carry from term to term. */
typedef struct {
    double sum;                                /* I */
    double capture, polarization, solid_angle; /* the three factors; 0 = not yet evaluated */
    int64_t index[N_LOOPS];
    int stopped; /* by the recorder */
} pixel_state;

NB_INLINE void note(const nb_recorder *recorder, pixel_state *state, nb_quantity quantity, const double *values,
                    int64_t n) {
    if (recorder != NULL && !state->stopped)
        state->stopped = recorder->record(recorder->context, quantity, state->index, values, n);
}

NB_INLINE void note_one(const nb_recorder *recorder, pixel_state *state, nb_quantity quantity, double value) {
    note(recorder, state, quantity, &value, 1);
}

NB_INLINE double structure_factor(const nb_scene *scene, const double hkl[3], const double nearest[3], int interpolate,
                                  const nb_recorder *recorder, pixel_state *state) {
    int interpolated = interpolate && nb_stencil_fits(scene, hkl);
    note_one(recorder, state, NB_Q_INTERPOLATED, interpolated);
    if (!interpolated) return nb_tabulated(scene, nearest);
    double nodes[64];
    double value = nb_interpolated(scene, hkl, nodes);
    note(recorder, state, NB_Q_NODES, nodes, 64);
    return value;
}

/* One term: a mosaic domain at a phi step, for the scattering vector of the pass and the factor g of the pass. */
NB_INLINE void evaluate(const nb_scene *scene, const double *cell, const double scattering[3], double g,
                        int interpolate, const nb_recorder *recorder, pixel_state *state) {
    double hkl[3], nearest[3], axes[3];
    nb_indices(cell, scattering, hkl, nearest);
    note(recorder, state, NB_Q_A, cell, 3);
    note(recorder, state, NB_Q_B, cell + 3, 3);
    note(recorder, state, NB_Q_C, cell + 6, 3);
    note(recorder, state, NB_Q_HKL, hkl, 3);
    note(recorder, state, NB_Q_HKL_NEAREST, nearest, 3);

    double f_latt = nb_lattice_factor(scene, hkl, nearest, axes);
    note(recorder, state, NB_Q_LATTICE_AXES, axes, 3);
    note_one(recorder, state, NB_Q_F_LATT, f_latt);
    if (f_latt == 0.0 && (scene->quirks & NB_LATTICE_ZERO_SKIP) && scene->background == 0.0) return;

    double f_cell = structure_factor(scene, hkl, nearest, interpolate, recorder, state);
    double term = f_cell * f_cell * f_latt * f_latt * g;
    state->sum = state->sum + term;
    if (scene->capture_mode == NB_CUMULATIVE) state->sum = state->sum * state->capture;
    if (scene->polar_mode == NB_CUMULATIVE) state->sum = state->sum * state->polarization;
    if (scene->omega_mode == NB_CUMULATIVE) state->sum = state->sum * state->solid_angle;
    note_one(recorder, state, NB_Q_F_CELL, f_cell);
    note_one(recorder, state, NB_Q_TERM, term);
    note_one(recorder, state, NB_Q_RUNNING_SUM, state->sum);
}

/* All phi steps and mosaic domains of one pass; domain_weight: NULL where all are 1. */
NB_INLINE void orientations(const nb_scene *scene, int64_t position, int64_t pass, const double scattering[3], double g,
                            const double *domain_weight, const nb_recorder *recorder, pixel_state *state) {
    int first =
        scene->orientations_first_pass != NULL && position == scene->first_pass[0] && pass == scene->first_pass[1];
    const double *cell = first ? scene->orientations_first_pass : scene->orientations;
    int64_t evaluation = pass * scene->n_phi * scene->n_domains;
    int64_t off = position < scene->interpolation_off[0]    ? INT64_MAX
                  : position == scene->interpolation_off[0] ? scene->interpolation_off[1]
                                                            : 0;
    for (int64_t phi = 0; phi < scene->n_phi; phi++) {
        for (int64_t domain = 0; domain < scene->n_domains; domain++) {
            state->index[PHI] = phi, state->index[DOMAIN] = domain;
            evaluate(scene, cell, scattering, domain_weight == NULL ? g : g * domain_weight[domain],
                     scene->tricubic && evaluation < off, recorder, state);
            cell += 9, evaluation += 1;
        }
    }
    state->index[PHI] = state->index[DOMAIN] = -1;
}

/* The factors that end up in J because they are CACHED, and J itself. */
NB_INLINE double photons(const nb_scene *scene, const nb_recorder *recorder, pixel_state *state) {
    note_one(recorder, state, NB_Q_SUM, state->sum);
    note_one(recorder, state, NB_Q_STEPS, scene->steps);
    note_one(recorder, state, NB_Q_R_E_SQR, scene->r_e_sqr);
    note_one(recorder, state, NB_Q_FLUENCE, scene->fluence);
    double value = scene->r_e_sqr * scene->fluence * state->sum / scene->steps;
    if (scene->capture_mode == NB_CACHED) {
        value = value * state->capture;
        note_one(recorder, state, NB_Q_FINAL_CAPTURE, state->capture);
    }
    if (scene->polar_mode == NB_CACHED) {
        value = value * state->polarization;
        note_one(recorder, state, NB_Q_FINAL_POLARIZATION, state->polarization);
    }
    if (scene->omega_mode == NB_CACHED) {
        value = value * state->solid_angle;
        note_one(recorder, state, NB_Q_FINAL_SOLID_ANGLE, state->solid_angle);
    }
    return value;
}

NB_INLINE int pixel(const nb_scene *scene, int64_t position, const volatile int *cancel, const nb_recorder *recorder,
                    double *out) {
    const int64_t flat = scene->pixels[position];
    const int capture_inside = scene->capture_mode == NB_PER_TERM;
    const int polar_inside = scene->polar_mode == NB_PER_TERM;
    const int omega_inside = scene->omega_mode == NB_PER_TERM;
    const int background_apart = capture_inside || polar_inside || omega_inside;
    const int weigh_background = background_apart && scene->background != 0.0;
    double background_weight = 0.0; /* sum over layers and sub-pixels */
    double place[3], direction[3], airpath;
    nb_scene view;
    const nb_scene *seen = nb_one_table(scene, &view);
    int any_pass = 0;
    int64_t pass = 0;

    pixel_state state = {.sum = background_apart ? 0.0 : scene->background,
                         .polarization = scene->polarized ? 0.0 : 1.0,
                         .index = {-1, -1, -1, -1, -1, -1}};

    for (int32_t layer = 0; layer < scene->n_layers; layer++) {
        state.capture = 0.0;
        for (int32_t sub_slow = 0; sub_slow < scene->oversample; sub_slow++) {
            for (int32_t sub_fast = 0; sub_fast < scene->oversample; sub_fast++) {
                state.index[LAYER] = layer, state.index[SUB_SLOW] = sub_slow, state.index[SUB_FAST] = sub_fast;
                nb_locate(scene, flat, sub_fast, sub_slow, layer, place, &airpath, direction);
                if (state.solid_angle == 0.0 || scene->omega_mode != NB_CACHED)
                    state.solid_angle = nb_solid_angle(scene, airpath);
                if (state.capture == 0.0 || scene->capture_mode != NB_CACHED)
                    state.capture = nb_capture_fraction(scene, direction, layer);
                note(recorder, &state, NB_Q_POSITION, place, 3);
                note_one(recorder, &state, NB_Q_AIRPATH, airpath);
                note(recorder, &state, NB_Q_DIRECTION, direction, 3);
                note_one(recorder, &state, NB_Q_SOLID_ANGLE, state.solid_angle);
                note_one(recorder, &state, NB_Q_CAPTURE_FRACTION, state.capture);

                double weight_sum = 0.0, polarization_sum = 0.0; /* for the background */
                for (int64_t source = 0; source < scene->n_sources; source++, pass++) {
                    if (*cancel) return NB_ERR_CANCELLED;
                    if (state.stopped) return NB_ERR_RECORDER;
                    state.index[SOURCE] = source;
                    const double *incident = scene->incident + 3 * source;
                    double scattering[3];
                    double stol = nb_scatter(scene, direction, source, scattering);
                    note(recorder, &state, NB_Q_INCIDENT, incident, 3);
                    note_one(recorder, &state, NB_Q_WAVELENGTH, scene->wavelength[source]);
                    note_one(recorder, &state, NB_Q_WEIGHT, scene->weight[source]);
                    note(recorder, &state, NB_Q_SCATTERING_VECTOR, scattering, 3);
                    note_one(recorder, &state, NB_Q_STOL, stol);

                    int skip = nb_left_out(scene, stol);
                    int wanted = polar_inside
                                     ? !skip || weigh_background
                                     : !skip && (state.polarization == 0.0 || scene->polar_mode == NB_CUMULATIVE);
                    if (scene->polarized && wanted) {
                        state.polarization =
                            nb_polarization(scene->kahn_factor, scene->polarization_axis, incident, direction);
                        /* the original goes on with the normalized direction (docs/model.md, Polarization) */
                        if (!polar_inside) nb_unit(direction, direction);
                    }
                    if (weigh_background) {
                        weight_sum = weight_sum + scene->weight[source];
                        polarization_sum = polarization_sum + scene->weight[source] * state.polarization;
                    }
                    if (skip) continue;
                    any_pass = 1;
                    note_one(recorder, &state, NB_Q_POLARIZATION, state.polarization);

                    double g = scene->weight[source];
                    if (capture_inside) g = g * state.capture;
                    if (polar_inside) g = g * state.polarization;
                    if (omega_inside) g = g * state.solid_angle;
                    nb_see(scene, source, &view);
                    if (scene->domain_weight == NULL)
                        orientations(seen, position, pass, scattering, g, NULL, recorder, &state);
                    else
                        orientations(seen, position, pass, scattering, g, scene->domain_weight, recorder, &state);
                }
                state.index[SOURCE] = -1;
                if (weigh_background) {
                    double part = 1.0;
                    if (omega_inside) part = part * state.solid_angle;
                    if (capture_inside) part = part * state.capture;
                    if (polar_inside) part = part * (polarization_sum / weight_sum);
                    background_weight = background_weight + part;
                }
            }
        }
    }
    for (int i = 0; i < N_LOOPS; i++)
        state.index[i] = -1;

    const int zeroed = !any_pass && scene->polarized && (scene->quirks & NB_DMIN_ZEROES_WATER);
    double background = scene->background;
    if (weigh_background) {
        double n = (double)scene->oversample * (double)scene->oversample;
        if (!capture_inside) n = n * (double)scene->n_layers;
        background = scene->background * (background_weight / n);
        state.sum = state.sum + background;
    }
    if (!any_pass && scene->polarized && scene->polar_mode == NB_CACHED && !zeroed) {
        nb_locate(scene, flat, 0, 0, 0, place, &airpath, direction);
        state.polarization = nb_polarization(scene->kahn_factor, scene->polarization_axis, scene->incident, direction);
    }
    if (zeroed && polar_inside) state.sum = 0.0;
    note_one(recorder, &state, NB_Q_BACKGROUND, background);
    *out = photons(scene, recorder, &state);
    note_one(recorder, &state, NB_Q_PIXEL, *out);
    return state.stopped ? NB_ERR_RECORDER : NB_OK;
}

/* Expected photons of one pixel.
 *
 * Given:
 *   scene     one that passed nb_scene_validate
 *   position  index in scene->pixels
 *   cancel    flag, polled once per pass; a value other than 0 ends the call with NB_ERR_CANCELLED
 * Returned:
 *   out       photons
 *   result    status
 * Reference: docs/model.md, The sum; nanobragg/derivation/scene.py.
 */
NB_WARN_UNUSED int nb_pixel(const nb_scene *scene, int64_t position, const volatile int *cancel, double *out) {
    return pixel(scene, position, cancel, NULL, out);
}

/* The same with a recorder, by the same instructions. */
NB_WARN_UNUSED int nb_pixel_traced(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out) {
    static const volatile int never = 0;
    return pixel(scene, position, &never, recorder, out);
}

/* Lattice factor of a single term, by the same operations as in nb_pixel.
 *
 * Given:
 *   scene         one that passed nb_scene_validate
 *   flat          pixel
 *   pass          which pass
 *   renormalized  whether the pass comes after the polarization of its sub-pixel was taken
 *   cell          (3, 3) a, b, c [m]
 * Returned:       F_latt
 */
double nb_term_lattice_factor(const nb_scene *scene, int64_t flat, const nb_pass_index *pass, int renormalized,
                              const double *cell) {
    double place[3], direction[3], airpath, scattering[3], hkl[3], nearest[3], axes[3];
    nb_locate(scene, flat, pass->sub_fast, pass->sub_slow, pass->layer, place, &airpath, direction);
    if (renormalized) nb_unit(direction, direction);
    nb_scatter(scene, direction, pass->source, scattering);
    nb_indices(cell, scattering, hkl, nearest);
    return nb_lattice_factor(scene, hkl, nearest, axes);
}
