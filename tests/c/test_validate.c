/* Every field that validation refuses, by its name, its element and its status. */
#include "check.h"
#include "small_scene.h"

static small_scene s;
static nb_fault fault;

static int refused(int status, const char *field, int64_t index) {
    fault.field = "none", fault.index = -9;
    int got = nb_scene_validate(&s.scene, &fault);
    int right = got == status && strcmp(fault.field, field) == 0 && fault.index == index;
    if (!right) fprintf(stderr, "got %d %s[%d], want %d %s\n", got, fault.field, (int)fault.index, status, field);
    make_small_scene(&s);
    return right;
}

#define REFUSED(change, status, field, index)                                                                          \
    do {                                                                                                               \
        change;                                                                                                        \
        CHECK(refused(status, field, index));                                                                          \
    } while (0)

#define NOT_FINITE(member, field, index)                                                                               \
    do {                                                                                                               \
        REFUSED(member = NAN, NB_ERR_NOT_FINITE, field, index);                                                        \
        REFUSED(member = -INFINITY, NB_ERR_NOT_FINITE, field, index);                                                  \
    } while (0)

static void test_detector(void) {
    nb_scene *c = &s.scene;
    REFUSED(c->n_fast = 0, NB_ERR_BELOW_ONE, "n_fast", -1);
    REFUSED(c->n_slow = INT64_MAX, NB_ERR_TOO_LARGE, "n_slow", -1);
    REFUSED(c->pixel_size[0] = 0.0, NB_ERR_ZERO, "pixel_size", 0);
    REFUSED(c->pixel_size[1] = 0.0, NB_ERR_ZERO, "pixel_size", 1);
    NOT_FINITE(c->pixel_size[1], "pixel_size", 1);
    NOT_FINITE(c->pix0[1], "pix0", 1);
    NOT_FINITE(c->fast[2], "fast", 2);
    NOT_FINITE(c->slow[0], "slow", 0);
    NOT_FINITE(c->normal[1], "normal", 1);
    NOT_FINITE(c->beam[2], "beam", 2);
    NOT_FINITE(c->close_distance, "close_distance", -1);
    NOT_FINITE(c->distance, "distance", -1);
    REFUSED((c->curved = 1, c->distance = 0.0), NB_ERR_ZERO, "distance", -1);
    NOT_FINITE(c->pixel_area, "pixel_area", -1);
    REFUSED(c->n_layers = 0, NB_ERR_BELOW_ONE, "n_layers", -1);
    NOT_FINITE(c->layer_thickness, "layer_thickness", -1);
    NOT_FINITE(c->attenuation, "attenuation", -1);
    REFUSED(c->pixels = NULL, NB_ERR_NULL_ARRAY, "pixels", -1);
    REFUSED(c->n_pixels = -1, NB_ERR_NEGATIVE, "pixels", -1);
    REFUSED(c->n_pixels = 13, NB_ERR_TOO_LARGE, "pixels", -1);
    REFUSED(s.pixels[0] = -1, NB_ERR_PIXEL_OUTSIDE, "pixels", 0);
    REFUSED(s.pixels[11] = 12, NB_ERR_PIXEL_OUTSIDE, "pixels", 11);
    REFUSED(s.pixels[5] = 4, NB_ERR_NOT_ASCENDING, "pixels", 5);
}

static void test_beam(void) {
    nb_scene *c = &s.scene;
    REFUSED(c->n_sources = 0, NB_ERR_BELOW_ONE, "incident", -1);
    REFUSED(c->incident = NULL, NB_ERR_NULL_ARRAY, "incident", -1);
    NOT_FINITE(s.incident[1][2], "incident", 5);
    REFUSED(c->wavelength = NULL, NB_ERR_NULL_ARRAY, "wavelength", -1);
    NOT_FINITE(s.wavelength[1], "wavelength", 1);
    REFUSED(s.wavelength[0] = 0.0, NB_ERR_ZERO, "wavelength", 0);
    REFUSED(c->weight = NULL, NB_ERR_NULL_ARRAY, "weight", -1);
    NOT_FINITE(s.weight[0], "weight", 0);
    REFUSED(s.weight[1] = -1.0, NB_ERR_NEGATIVE, "weight", 1);
    REFUSED(s.weight[0] = s.weight[1] = 0.0, NB_ERR_NOT_POSITIVE, "weight", -1);
    NOT_FINITE(c->kahn_factor, "kahn_factor", -1);
    NOT_FINITE(c->polarization_axis[0], "polarization_axis", 0);
    NOT_FINITE(c->r_e_sqr, "r_e_sqr", -1);
    NOT_FINITE(c->fluence, "fluence", -1);
}

static void test_crystal(void) {
    nb_scene *c = &s.scene;
    REFUSED(c->n_phi = 0, NB_ERR_BELOW_ONE, "orientations", -1);
    REFUSED(c->n_domains = 0, NB_ERR_BELOW_ONE, "orientations", -1);
    REFUSED((c->n_phi = 1 << 20, c->n_domains = 1 << 20), NB_ERR_TOO_LARGE, "orientations", -1);
    REFUSED(c->orientations = NULL, NB_ERR_NULL_ARRAY, "orientations", -1);
    NOT_FINITE(s.orientations[1][1][8], "orientations", 35);
    REFUSED((c->orientations_first_pass = &s.first[0][0][0], s.first[0][0][3] = NAN), NB_ERR_NOT_FINITE,
            "orientations_first_pass", 3);
    REFUSED((c->orientations_first_pass = &s.first[0][0][0], c->first_pass[1] = -1), NB_ERR_POSITION, "first_pass", 1);
    REFUSED((c->orientations_first_pass = &s.first[0][0][0], c->first_pass[0] = 13), NB_ERR_POSITION, "first_pass", 0);
    REFUSED((c->domain_weight = s.domain_weight, s.domain_weight[1] = NAN), NB_ERR_NOT_FINITE, "domain_weight", 1);
    REFUSED((c->domain_weight = s.domain_weight, s.domain_weight[0] = -1.0), NB_ERR_NEGATIVE, "domain_weight", 0);
    NOT_FINITE(c->block_matrix[8], "block_matrix", 8);
    NOT_FINITE(c->a_star[7], "a_star", 7);
    NOT_FINITE(c->n_cells[1], "n_cells", 1);
    REFUSED(c->n_cells[2] = 0.5, NB_ERR_BELOW_ONE, "n_cells", 2);
    REFUSED(c->shape = 4, NB_ERR_ENUM, "shape", -1);
    REFUSED(c->shape = -1, NB_ERR_ENUM, "shape", -1);
    NOT_FINITE(c->fudge, "fudge", -1);
    REFUSED(c->f_table = NULL, NB_ERR_NULL_ARRAY, "f_table", -1);
    REFUSED(c->n_hkl[1] = 0, NB_ERR_BELOW_ONE, "f_table", 1);
    REFUSED(c->n_hkl[2] = -1, NB_ERR_NEGATIVE, "f_table", 2);
    REFUSED(c->n_hkl[0] = INT64_MAX, NB_ERR_TOO_LARGE, "f_table", 0);
    REFUSED((c->n_hkl[0] = c->n_hkl[1] = c->n_hkl[2] = INT32_MAX), NB_ERR_TOO_LARGE, "f_table", 1);
    REFUSED(c->n_tables = 0, NB_ERR_BELOW_ONE, "n_tables", -1);
    REFUSED(c->n_tables = 2, NB_ERR_TOO_LARGE, "n_tables", -1);
    REFUSED(c->n_tables = 3, NB_ERR_NULL_ARRAY, "source_table", -1);
    REFUSED((c->n_tables = 3, c->source_table = s.source_table, s.source_table[1] = 3), NB_ERR_TOO_LARGE,
            "source_table", 1);
    REFUSED((c->n_tables = 3, c->source_table = s.source_table, s.source_table[0] = -1), NB_ERR_NEGATIVE,
            "source_table", 0);
    REFUSED(c->hkl_min[0] = INT64_MIN, NB_ERR_TOO_LARGE, "hkl_min", 0);
    REFUSED(c->hkl_min[2] = INT64_MAX, NB_ERR_TOO_LARGE, "hkl_min", 2);
    NOT_FINITE(c->default_F, "default_F", -1);
    REFUSED((c->tricubic = 1, c->interpolation_off[0] = 13), NB_ERR_POSITION, "interpolation_off", 0);
    REFUSED((c->tricubic = 1, c->interpolation_off[1] = -1), NB_ERR_POSITION, "interpolation_off", 1);
}

static void test_sampling(void) {
    nb_scene *c = &s.scene;
    REFUSED(c->oversample = 0, NB_ERR_BELOW_ONE, "oversample", -1);
    REFUSED(c->oversample = 20000, NB_ERR_TOO_LARGE, "steps", -1);
    REFUSED(c->oversample = INT32_MAX, NB_ERR_TOO_LARGE, "steps", -1);
    REFUSED((c->n_fast = INT64_C(1) << 52, c->oversample = 4), NB_ERR_TOO_LARGE, "n_fast", -1);
    NOT_FINITE(c->d_min, "d_min", -1);
    NOT_FINITE(c->steps, "steps", -1);
    REFUSED(c->steps = 0.0, NB_ERR_NOT_POSITIVE, "steps", -1);
    NOT_FINITE(c->background, "background", -1);
    REFUSED(c->capture_mode = 3, NB_ERR_ENUM, "capture_mode", -1);
    REFUSED(c->polar_mode = -1, NB_ERR_ENUM, "polar_mode", -1);
    REFUSED(c->omega_mode = 99, NB_ERR_ENUM, "omega_mode", -1);
    REFUSED(c->quirks = 1u << 7, NB_ERR_ENUM, "quirks", -1);
}

static void test_accepted(void) {
    CHECK(nb_scene_validate(&s.scene, &fault) == NB_OK);
    s.scene.wavelength = s.wavelength, s.wavelength[0] = -1e-10; /* odd, but it renders */
    CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
    make_small_scene(&s);
    s.scene.f_table = NULL, s.scene.n_hkl[0] = 0;
    CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
    make_small_scene(&s);
    s.scene.f_table = NULL, s.scene.n_hkl[1] = 0;
    CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
    make_small_scene(&s);
    s.scene.f_table = NULL, s.scene.n_hkl[2] = 0;
    CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
    make_small_scene(&s);
    s.scene.domain_weight = s.domain_weight, s.scene.orientations_first_pass = &s.first[0][0][0];
    CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
    make_small_scene(&s);
    s.scene.n_pixels = 0, s.scene.pixels = NULL;
    CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
    make_small_scene(&s);
    CHECK(nb_scene_validate(NULL, &fault) == NB_ERR_NULL_ARGUMENT);
}

/* Counts that each of them allows, and together give more terms than can be counted. */
static void test_many(void) {
    enum { MANY = 50000 };
    static double incident[3 * MANY], wavelength[MANY], weight[MANY], orientations[9 * MANY];
    nb_scene *c = &s.scene;
    for (int i = 0; i < MANY; i++)
        incident[3 * i] = 1.0, wavelength[i] = 1e-10, weight[i] = 1.0;
    c->n_sources = c->n_domains = MANY, c->n_phi = 1, c->oversample = 1;
    c->incident = incident, c->wavelength = wavelength, c->weight = weight, c->orientations = orientations;
    CHECK(nb_scene_validate(c, &fault) == NB_ERR_TOO_LARGE && !strcmp(fault.field, "steps"));
    c->n_sources = 40000, c->oversample = 2;
    CHECK(nb_scene_validate(c, &fault) == NB_ERR_TOO_LARGE && !strcmp(fault.field, "steps"));
    c->oversample = 1;
    CHECK(nb_scene_validate(c, &fault) == NB_OK);
    make_small_scene(&s);
}

/* Every code has a text of its own that ends with its symbol. */
static void test_texts(void) {
    const int codes[] = {0, -101, -102, -103, -104, -201, -202, -203, -204, -205, -206, -207, -208, -301, -302, -303};
    const int n = sizeof codes / sizeof *codes;
    for (int i = 0; i < n; i++) {
        const char *text = nb_strerror(codes[i]);
        CHECK(strstr(text, "NB_ERR_UNKNOWN") == NULL);
        CHECK(text[strlen(text) - 1] == ')');
        for (int j = 0; j < i; j++)
            CHECK(strcmp(text, nb_strerror(codes[j])) != 0);
    }
    CHECK(strstr(nb_strerror(-999), "NB_ERR_UNKNOWN") != NULL);
}

int main(void) {
    make_small_scene(&s);
    test_detector();
    test_beam();
    test_crystal();
    test_sampling();
    test_accepted();
    test_many();
    test_texts();
    return check_result();
}
