/* The sum: cancelling, blocks, traces, and the image against the formula of the corrected model, written out. */
#include "check.h"
#include "detector.h"
#include "lattice.h"
#include "polarization.h"
#include "small_scene.h"
#include "structure_factor.h"
#include "vector.h"

/* The corrected sum of docs/model.md, term by term. */
static double formula(const nb_scene *c, int64_t flat) {
    double bragg = 0.0, water = 0.0, weights = 0.0;
    for (int j = 0; j < c->n_sources; j++)
        weights += c->weight[j];
    for (int l = 0; l < c->n_layers; l++) {
        for (int sub = 0; sub < c->oversample * c->oversample; sub++) {
            double x[3], d[3];
            nb_position(c, flat % c->n_fast, flat / c->n_fast, sub % c->oversample, sub / c->oversample, l, x);
            double r = nb_norm(x), mean_polarization = 0.0;
            for (int i = 0; i < 3; i++)
                d[i] = x[i] / r;
            double geometry = c->pixel_area * c->close_distance / (r * r * r) * nb_capture_fraction(c, d, l);
            for (int j = 0; j < c->n_sources; j++) {
                double s[3], p = nb_polarization(c->kahn_factor, c->polarization_axis, c->incident + 3 * j, d);
                mean_polarization += c->weight[j] * p / weights;
                for (int i = 0; i < 3; i++)
                    s[i] = (d[i] - c->incident[3 * j + i]) / c->wavelength[j];
                for (int o = 0; o < c->n_phi * c->n_domains; o++) {
                    double hkl[3], nearest[3], axes[3];
                    for (int i = 0; i < 3; i++) {
                        hkl[i] = nb_dot(c->orientations + 9 * o + 3 * i, s);
                        nearest[i] = ceil(hkl[i] - 0.5);
                    }
                    double f = nb_tabulated(c, nearest) * nb_lattice_factor(c, hkl, nearest, axes);
                    bragg += geometry * c->weight[j] * p * f * f;
                }
            }
            water += geometry * mean_polarization / (c->oversample * c->oversample);
        }
    }
    return c->r_e_sqr * c->fluence / c->steps * (bragg + c->background * water);
}

static void test_corrected_sum(void) {
    small_scene s;
    double image[SMALL_PIXELS];
    for (int shape = NB_SQUARE; shape <= NB_TOPHAT; shape++) {
        make_small_scene(&s);
        s.scene.shape = shape;
        CHECK(nb_scene_validate(&s.scene, NULL) == NB_OK);
        CHECK(nb_render(&s.scene, 0, SMALL_PIXELS, image, NULL) == NB_OK);
        for (int i = 0; i < SMALL_PIXELS; i++)
            CHECK_CLOSE(image[i] / formula(&s.scene, i), 1.0, 1e-14); /* 96 terms; measured 6.7e-16 */
    }
}

/* d_min removes Bragg terms only; under DMIN_ZEROES_WATER the water of a pixel without terms goes too. */
static void test_d_min_and_water(void) {
    small_scene s;
    double with[SMALL_PIXELS], water[SMALL_PIXELS], none[SMALL_PIXELS];
    make_small_scene(&s);
    s.scene.default_F = 0.0, s.scene.f_table = NULL;
    CHECK(nb_render(&s.scene, 0, SMALL_PIXELS, water, NULL) == NB_OK);
    make_small_scene(&s);
    s.scene.d_min = 1.0;
    CHECK(nb_render(&s.scene, 0, SMALL_PIXELS, with, NULL) == NB_OK);
    for (int mode = NB_PER_TERM; mode <= NB_CACHED; mode++) {
        s.scene.polar_mode = mode;
        s.scene.quirks = NB_DMIN_ZEROES_WATER;
        CHECK(nb_render(&s.scene, 0, SMALL_PIXELS, none, NULL) == NB_OK);
        for (int i = 0; i < SMALL_PIXELS; i++) {
            CHECK(with[i] == water[i] && water[i] > 0.0);
            CHECK(none[i] == 0.0);
        }
        s.scene.polarized = 0;
        CHECK(nb_render(&s.scene, 0, 1, none, NULL) == NB_OK);
        CHECK(none[0] > 0.0);
        s.scene.polarized = 1;
    }
    /* cached polarization of a pixel without terms: that of its first pass */
    double cached;
    make_small_scene(&s);
    s.scene.d_min = 1.0, s.scene.polar_mode = NB_CACHED;
    s.scene.oversample = 1, s.scene.n_layers = 1, s.scene.n_sources = 1;
    CHECK(nb_render(&s.scene, 0, 1, none, NULL) == NB_OK);
    s.scene.polar_mode = NB_PER_TERM;
    CHECK(nb_render(&s.scene, 0, 1, &cached, NULL) == NB_OK);
    CHECK_CLOSE(cached / none[0], 1.0, 1e-15);
}

/* Cumulative factors: with one term per pixel they are plain factors; with two the first term gets the square. */
static void test_cumulative(void) {
    small_scene s;
    double plain, once, both, first, second;
    make_small_scene(&s);
    nb_scene *c = &s.scene;
    c->n_layers = 1, c->oversample = 1, c->n_sources = 1, c->n_phi = 1, c->n_domains = 1, c->background = 0.0;
    c->capture_mode = c->polar_mode = c->omega_mode = NB_CACHED;
    CHECK(nb_render(c, 5, 6, &plain, NULL) == NB_OK);
    c->polar_mode = c->omega_mode = NB_CUMULATIVE;
    CHECK(nb_render(c, 5, 6, &once, NULL) == NB_OK);
    CHECK_CLOSE(once / plain, 1.0, 1e-15);

    c->polar_mode = NB_CACHED;
    CHECK(nb_render(c, 5, 6, &first, NULL) == NB_OK);
    c->orientations = &s.orientations[0][1][0];
    CHECK(nb_render(c, 5, 6, &second, NULL) == NB_OK);
    c->orientations = &s.orientations[0][0][0], c->n_domains = 2;
    CHECK(nb_render(c, 5, 6, &both, NULL) == NB_OK);
    double x[3];
    nb_position(c, 1, 1, 0, 0, 0, x);
    CHECK_CLOSE(both / (first * nb_solid_angle(c, nb_norm(x)) + second), 1.0, 1e-14);
}

static void test_blocks_and_arguments(void) {
    small_scene s;
    double whole[SMALL_PIXELS], part[SMALL_PIXELS], unused;
    make_small_scene(&s);
    CHECK(nb_render(&s.scene, 0, SMALL_PIXELS, whole, NULL) == NB_OK);
    for (int block = 1; block < SMALL_PIXELS; block++) {
        for (int begin = 0; begin < SMALL_PIXELS; begin += block) {
            int end = begin + block < SMALL_PIXELS ? begin + block : SMALL_PIXELS;
            CHECK(nb_render(&s.scene, begin, end, part + begin, NULL) == NB_OK);
        }
        CHECK(memcmp(whole, part, sizeof whole) == 0);
    }
    CHECK(nb_render(&s.scene, -1, 2, part, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_render(&s.scene, 2, 1, part, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_render(&s.scene, 0, SMALL_PIXELS + 1, part, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_render(&s.scene, 3, 3, NULL, NULL) == NB_OK);
    CHECK(nb_render(&s.scene, 0, 1, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_render(NULL, 0, 1, part, NULL) == NB_ERR_NULL_ARGUMENT);
    const volatile int cancel = 1;
    CHECK(nb_render(&s.scene, 0, 1, part, &cancel) == NB_ERR_CANCELLED);
    CHECK(nb_trace(&s.scene, 0, NULL, &unused) == NB_ERR_NULL_ARGUMENT);
}

static int keep_last(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n) {
    (void)index, (void)n;
    if (quantity == NB_Q_RUNNING_SUM || quantity == NB_Q_PIXEL) ((double *)context)[quantity] = values[0];
    ((double *)context)[NB_N_QUANTITIES] += 1;
    return 0;
}

static int stop(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n) {
    (void)quantity, (void)index, (void)values, (void)n;
    return ++*(int *)context >= 100;
}

static void test_trace(void) {
    small_scene s;
    double last[NB_N_QUANTITIES + 1] = {0}, value, pixel;
    make_small_scene(&s);
    const nb_recorder recorder = {keep_last, last};
    CHECK(nb_trace(&s.scene, 7, &recorder, &value) == NB_OK);
    CHECK(nb_render(&s.scene, 7, 8, &pixel, NULL) == NB_OK);
    CHECK(value == pixel && last[NB_Q_PIXEL] == pixel);
    CHECK(last[NB_N_QUANTITIES] == 8 * 5 + 16 * 6 + 64 * 11 + 6); /* per sub-pixel, pass, evaluation, pixel */
    int calls = 0;
    const nb_recorder stopper = {stop, &calls};
    CHECK(nb_trace(&s.scene, 7, &stopper, &value) == NB_ERR_RECORDER);
    CHECK(calls == 100);
    CHECK(nb_trace(&s.scene, SMALL_PIXELS, &stopper, &value) == NB_ERR_PIXEL_RANGE);
    for (int i = 0; i < NB_N_QUANTITIES; i++) {
        CHECK(nb_quantity_name((nb_quantity)i) != NULL);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(nb_quantity_name((nb_quantity)i), nb_quantity_name((nb_quantity)j)) != 0);
    }
    CHECK(nb_quantity_name(NB_N_QUANTITIES) == NULL);
}

int main(void) {
    test_corrected_sum();
    test_d_min_and_water();
    test_cumulative();
    test_blocks_and_arguments();
    test_trace();
    return check_result();
}
