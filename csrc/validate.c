/* Validation: what passes here can be rendered without a crash, an endless loop or a read out of bounds.
 *
 * Whether the values make physical sense is decided where they come from; a negative wavelength, for instance, renders.
 */
#include "nanobragg.h"

#include <math.h>
#include <stddef.h>

/* Largest whole number that every double holds exactly. */
#define MAX_EXACT (INT64_C(1) << 53)

#define FAIL(status, name, at) return fail(fault, status, name, at)
#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        int status_ = (call);                                                                                          \
        if (status_ != NB_OK) return status_;                                                                          \
    } while (0)

static int fail(nb_fault *fault, int status, const char *field, int64_t index) {
    if (fault != NULL) {
        fault->field = field;
        fault->index = index;
    }
    return status;
}

static int finite_array(nb_fault *fault, const char *field, const double *values, int64_t n) {
    if (values == NULL) FAIL(NB_ERR_NULL_ARRAY, field, -1);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) FAIL(NB_ERR_NOT_FINITE, field, i);
    }
    return NB_OK;
}

/* Every number that is kept in the scene itself. */
static int check_numbers(const nb_scene *scene, nb_fault *fault) {
    const nb_field *field;
    for (int i = 0; (field = nb_scene_field(i)) != NULL; i++) {
        if (field->kind != NB_FIELD_NUMBER) continue;
        const double *values = (const double *)(const void *)((const char *)scene + field->offset);
        for (int64_t k = 0; k < field->length; k++) {
            if (!isfinite(values[k])) FAIL(NB_ERR_NOT_FINITE, field->name, field->length > 1 ? k : -1);
        }
    }
    return NB_OK;
}

static int count(nb_fault *fault, const char *field, int64_t value, int64_t largest) {
    if (value < 1) FAIL(NB_ERR_BELOW_ONE, field, -1);
    return value <= largest ? NB_OK : fail(fault, NB_ERR_TOO_LARGE, field, -1);
}

static int one_of(nb_fault *fault, const char *field, int64_t value, int64_t n) {
    return value >= 0 && value < n ? NB_OK : fail(fault, NB_ERR_ENUM, field, -1);
}

/* A (position, offset) pair that names a place in the sum, or the place after its end. */
static int place(nb_fault *fault, const char *field, const int64_t pair[2], int64_t n_pixels) {
    for (int64_t i = 0; i < 2; i++) {
        if (pair[i] < 0) FAIL(NB_ERR_POSITION, field, i);
    }
    return pair[0] <= n_pixels ? NB_OK : fail(fault, NB_ERR_POSITION, field, 0);
}

static int check_detector(const nb_scene *scene, nb_fault *fault) {
    CHECK(count(fault, "n_fast", scene->n_fast, INT32_MAX));
    CHECK(count(fault, "n_slow", scene->n_slow, INT32_MAX));
    for (int64_t i = 0; i < 2; i++) {
        if (scene->pixel_size[i] == 0.0) FAIL(NB_ERR_ZERO, "pixel_size", i);
    }
    if (scene->curved && scene->distance == 0.0) FAIL(NB_ERR_ZERO, "distance", -1);
    CHECK(count(fault, "n_layers", scene->n_layers, INT32_MAX));
    return NB_OK;
}

static int check_pixels(const nb_scene *scene, nb_fault *fault) {
    const int64_t n_all = scene->n_fast * scene->n_slow;
    if (scene->n_pixels < 0) FAIL(NB_ERR_NEGATIVE, "pixels", -1);
    if (scene->n_pixels > n_all) FAIL(NB_ERR_TOO_LARGE, "pixels", -1);
    if (scene->n_pixels > 0 && scene->pixels == NULL) FAIL(NB_ERR_NULL_ARRAY, "pixels", -1);
    const int64_t *pixels = scene->pixels, n = scene->n_pixels;
    if (n == 0) return NB_OK;
    /* numbers that ascend lie between the first and the last: one comparison each, and no branch */
    int wrong = pixels[0] < 0 || pixels[n - 1] >= n_all;
    for (int64_t i = 1; i < n; i++)
        wrong |= pixels[i] <= pixels[i - 1];
    if (!wrong) return NB_OK;
    for (int64_t i = 0;; i++) { /* one of them is wrong: which? */
        if (pixels[i] < 0 || pixels[i] >= n_all) FAIL(NB_ERR_PIXEL_OUTSIDE, "pixels", i);
        if (i > 0 && pixels[i] <= pixels[i - 1]) FAIL(NB_ERR_NOT_ASCENDING, "pixels", i);
    }
}

static int check_beam(const nb_scene *scene, nb_fault *fault) {
    const int64_t n = scene->n_sources;
    double weight_sum = 0.0;
    CHECK(count(fault, "incident", n, NB_MAX_STEPS));
    CHECK(finite_array(fault, "incident", scene->incident, 3 * n));
    CHECK(finite_array(fault, "wavelength", scene->wavelength, n));
    CHECK(finite_array(fault, "weight", scene->weight, n));
    for (int64_t i = 0; i < n; i++) {
        if (scene->wavelength[i] == 0.0) FAIL(NB_ERR_ZERO, "wavelength", i);
        if (scene->weight[i] < 0.0) FAIL(NB_ERR_NEGATIVE, "weight", i);
        weight_sum += scene->weight[i];
    }
    if (!(weight_sum > 0.0)) FAIL(NB_ERR_NOT_POSITIVE, "weight", -1);
    return NB_OK;
}

/* The table of structure factors: its values are not looked at, its shape and its place are. */
static int check_table(const nb_scene *scene, nb_fault *fault) {
    int64_t size = 1;
    for (int64_t i = 0; i < 3; i++) {
        if (scene->n_hkl[i] < 0) FAIL(NB_ERR_NEGATIVE, "f_table", i);
        if (scene->n_hkl[i] > INT32_MAX) FAIL(NB_ERR_TOO_LARGE, "f_table", i);
        if (scene->hkl_min[i] < -INT32_MAX || scene->hkl_min[i] > INT32_MAX) FAIL(NB_ERR_TOO_LARGE, "hkl_min", i);
        if (scene->f_table != NULL) {
            if (scene->n_hkl[i] < 1) FAIL(NB_ERR_BELOW_ONE, "f_table", i);
            if (size > MAX_EXACT / 8 / scene->n_hkl[i]) FAIL(NB_ERR_TOO_LARGE, "f_table", i);
            size *= scene->n_hkl[i];
        }
    }
    if (scene->n_tables < 1) FAIL(NB_ERR_BELOW_ONE, "n_tables", -1);
    if (scene->n_hkl[0] % scene->n_tables != 0) FAIL(NB_ERR_TOO_LARGE, "n_tables", -1);
    if (scene->source_table == NULL && scene->n_tables > 1) FAIL(NB_ERR_NULL_ARRAY, "source_table", -1);
    for (int64_t i = 0; scene->n_tables > 1 && i < scene->n_sources; i++) {
        if (scene->source_table[i] < 0) FAIL(NB_ERR_NEGATIVE, "source_table", i);
        if (scene->source_table[i] >= scene->n_tables) FAIL(NB_ERR_TOO_LARGE, "source_table", i);
    }
    if (scene->f_table == NULL && (scene->n_hkl[0] > 0 && scene->n_hkl[1] > 0 && scene->n_hkl[2] > 0))
        FAIL(NB_ERR_NULL_ARRAY, "f_table", -1);
    return NB_OK;
}

static int check_crystal(const nb_scene *scene, nb_fault *fault) {
    CHECK(count(fault, "orientations", scene->n_phi, NB_MAX_STEPS));
    CHECK(count(fault, "orientations", scene->n_domains, NB_MAX_STEPS / scene->n_phi));
    const int64_t n = 9 * scene->n_phi * scene->n_domains;
    CHECK(finite_array(fault, "orientations", scene->orientations, n));
    if (scene->orientations_first_pass != NULL) {
        CHECK(finite_array(fault, "orientations_first_pass", scene->orientations_first_pass, n));
        CHECK(place(fault, "first_pass", scene->first_pass, scene->n_pixels));
    }
    if (scene->domain_weight != NULL) {
        CHECK(finite_array(fault, "domain_weight", scene->domain_weight, scene->n_domains));
        for (int64_t i = 0; i < scene->n_domains; i++) {
            if (scene->domain_weight[i] < 0.0) FAIL(NB_ERR_NEGATIVE, "domain_weight", i);
        }
    }
    for (int64_t i = 0; i < 3; i++) {
        if (scene->n_cells[i] < 1.0) FAIL(NB_ERR_BELOW_ONE, "n_cells", i);
    }
    CHECK(one_of(fault, "shape", scene->shape, NB_N_SHAPES));
    CHECK(check_table(scene, fault));
    if (scene->tricubic) CHECK(place(fault, "interpolation_off", scene->interpolation_off, scene->n_pixels));
    return NB_OK;
}

static int check_sampling(const nb_scene *scene, nb_fault *fault) {
    /* neither n_fast x oversample nor the step count may leave the range in which they are exact */
    const int64_t n = scene->oversample;
    CHECK(count(fault, "oversample", n, INT32_MAX));
    const int64_t others = scene->n_sources * scene->n_phi > NB_MAX_STEPS / scene->n_domains
                               ? NB_MAX_STEPS + 1
                               : scene->n_sources * scene->n_phi * scene->n_domains;
    if (others > NB_MAX_STEPS || n > NB_MAX_STEPS / n || n * n > NB_MAX_STEPS / others)
        FAIL(NB_ERR_TOO_LARGE, "steps", -1);
    if (scene->n_fast > MAX_EXACT / n || scene->n_slow > MAX_EXACT / n) FAIL(NB_ERR_TOO_LARGE, "oversample", -1);
    if (!(scene->steps > 0.0)) FAIL(NB_ERR_NOT_POSITIVE, "steps", -1);
    CHECK(one_of(fault, "capture_mode", scene->capture_mode, NB_CUMULATIVE + 1));
    CHECK(one_of(fault, "polar_mode", scene->polar_mode, NB_CUMULATIVE + 1));
    CHECK(one_of(fault, "omega_mode", scene->omega_mode, NB_CUMULATIVE + 1));
    return scene->quirks < (NB_INTERP_LOW_EDGE << 1) ? NB_OK : fail(fault, NB_ERR_ENUM, "quirks", -1);
}

/* Check a scene.
 *
 * Given:
 *   scene   any; the arrays must be as long as its counts say
 * Returned:
 *   fault   the first field found at fault and the index of its element (-1: the field as a whole); may be NULL
 *   result  status; NB_OK leaves fault alone
 */
NB_WARN_UNUSED int nb_scene_validate(const nb_scene *scene, nb_fault *fault) {
    if (scene == NULL) return fail(fault, NB_ERR_NULL_ARGUMENT, "scene", -1);
    CHECK(check_numbers(scene, fault));
    CHECK(check_detector(scene, fault));
    CHECK(check_pixels(scene, fault));
    CHECK(check_beam(scene, fault));
    CHECK(check_crystal(scene, fault));
    return check_sampling(scene, fault);
}
