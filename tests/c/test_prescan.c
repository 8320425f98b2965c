/* The prescan and the solid angles against what a trace of the renderer records. */
#include "check.h"
#include "small_scene.h"

#include <stdlib.h>

static unsigned long long seed = 3;

/* What the recorder has seen of one pixel. */
typedef struct {
    int64_t first_pass, off; /* -1 = not met */
    int64_t n_sub, n_sources, n_phi, n_domains;
    double solid_angle, hkl[3], last_hkl[3];
} seen;

static int64_t pass_of(const seen *s, const int64_t index[6]) {
    return ((index[0] * s->n_sub + index[1]) * s->n_sub + index[2]) * s->n_sources + index[3];
}

static int look(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n) {
    seen *s = context;
    if (quantity == NB_Q_SOLID_ANGLE) s->solid_angle += values[0];
    if (quantity == NB_Q_POLARIZATION && s->first_pass < 0) s->first_pass = pass_of(s, index);
    if (quantity == NB_Q_HKL) memcpy(s->last_hkl, values, (size_t)n * sizeof *values);
    if (quantity == NB_Q_INTERPOLATED && values[0] == 0.0 && s->off < 0) {
        s->off = (pass_of(s, index) * s->n_phi + index[4]) * s->n_domains + index[5];
        memcpy(s->hkl, s->last_hkl, sizeof s->hkl);
    }
    return 0;
}

/* A scene in which interpolation is on, whose orientations of the first pass differ, and which d_min cuts. */
static void make_scene(small_scene *s) {
    make_small_scene(s);
    nb_scene *c = &s->scene;
    c->tricubic = 1;
    c->interpolation_off[0] = c->n_pixels;
    c->shape = (int32_t)(4.0 * test_uniform(&seed));
    c->curved = test_uniform(&seed) < 0.3;
    c->fudge = 0.1 + 5.0 * test_uniform(&seed);
    c->quirks = test_uniform(&seed) < 0.5 ? NB_INTERP_LOW_EDGE : 0;
    if (test_uniform(&seed) < 0.5) c->quirks |= NB_LATTICE_ZERO_SKIP;
    if (test_uniform(&seed) < 0.5) c->background = 0.0;
    if (test_uniform(&seed) < 0.5) c->d_min = 1e-10 * (10.0 + 200.0 * test_uniform(&seed));
    if (test_uniform(&seed) < 0.7) c->orientations_first_pass = &s->first[0][0][0];
    for (int i = 0; i < 36; i++) {
        (&s->orientations[0][0][0])[i] += 3e-9 * (test_uniform(&seed) - 0.5);
        (&s->first[0][0][0])[i] += 3e-9 * (test_uniform(&seed) - 0.5);
    }
    for (int i = 0; i < 3; i++)
        c->hkl_min[i] = (int64_t)(-6.0 * test_uniform(&seed));
    c->omega_mode = NB_PER_TERM;
    c->polar_mode = NB_PER_TERM;
}

static void test_agrees_with_the_renderer(void) {
    static small_scene s;
    int with_pass = 0, with_lookup = 0, without = 0;
    for (int round = 0; round < 400; round++) {
        make_scene(&s);
        nb_scene *c = &s.scene;
        const int wants_pass = c->d_min > 0.0;
        const int64_t passes = (int64_t)c->n_layers * c->oversample * c->oversample * c->n_sources;
        nb_prescan_result found = {{wants_pass ? -1 : 0, 0}, 1, {-1, 0}, {0, 0, 0}};
        /* in blocks of pixels, or of passes of one pixel */
        if (round % 2) {
            for (int64_t i = 0; i < c->n_pixels; i += 5)
                CHECK(nb_prescan(c, i, i + 5 < c->n_pixels ? i + 5 : c->n_pixels, 0, passes, &found) == NB_OK);
        } else {
            for (int64_t i = 0; i < c->n_pixels; i++)
                for (int64_t first = 0; first < passes; first += 3)
                    CHECK(nb_prescan(c, i, i + 1, first, first + 3 < passes ? first + 3 : passes, &found) == NB_OK);
        }
        c->first_pass[0] = found.first_pass[0] < 0 ? c->n_pixels : found.first_pass[0];
        c->first_pass[1] = found.first_pass[0] < 0 ? 0 : found.first_pass[1];
        CHECK(nb_scene_validate(c, NULL) == NB_OK);

        int64_t first_pass[2] = {-1, 0}, off[2] = {-1, 0};
        double sum = 0.0, angle = 0.0, hkl[3] = {0, 0, 0}, pixel;
        for (int64_t i = 0; i < c->n_pixels; i++) {
            seen traced = {-1, -1, c->oversample, c->n_sources, c->n_phi, c->n_domains, 0.0, {0, 0, 0}, {0, 0, 0}};
            const nb_recorder recorder = {look, &traced};
            CHECK(nb_trace(c, i, &recorder, &pixel) == NB_OK);
            sum += traced.solid_angle;
            if (first_pass[0] < 0 && traced.first_pass >= 0) first_pass[0] = i, first_pass[1] = traced.first_pass;
            if (off[0] < 0 && traced.off >= 0) {
                off[0] = i, off[1] = traced.off;
                memcpy(hkl, traced.hkl, sizeof hkl);
            }
        }
        if (wants_pass) {
            CHECK(found.first_pass[0] == first_pass[0]);
            CHECK(first_pass[0] < 0 || found.first_pass[1] == first_pass[1]);
            with_pass += first_pass[0] > 0 || first_pass[1] > 0;
        }
        CHECK(found.off[0] == off[0]);
        if (off[0] >= 0) {
            CHECK(found.off[1] == off[1]);
            CHECK(memcmp(found.hkl, hkl, sizeof hkl) == 0);
            with_lookup++;
        } else {
            without++;
        }
        for (int64_t i = 0; i < c->n_pixels; i += 5) {
            const int64_t end = i + 5 < c->n_pixels ? i + 5 : c->n_pixels;
            CHECK(nb_solid_angles(c, i, end, c->n_layers, c->oversample, &angle) == NB_OK);
        }
        CHECK(fabs(angle - sum) <= 1e-13 * fabs(sum)); /* the same numbers in another grouping */
    }
    CHECK(with_pass > 20 && with_lookup > 50 && without > 20); /* the scenes are of every kind */
}

/* Rows of the detector, pixels apart and pixels without area: by every kernel the same bits, those of pixels one by one
 * but for the grouping. */
static void test_solid_angles(void) {
    enum { N = 700 };
    static small_scene s;
    static int64_t pixels[N];
    for (int form = 0; form < 16; form++) {
        make_small_scene(&s);
        nb_scene *c = &s.scene;
        c->n_fast = 150, c->n_slow = 5, c->n_pixels = form & 1 ? N / 2 : N, c->pixels = pixels;
        for (int i = 0; i < N; i++)
            pixels[i] = form & 1 ? 2 * i : i;
        c->point_pixel = (form >> 1) & 1, c->curved = (form >> 2) & 1, c->oversample = 1 + (form >> 3);
        double scalar = 0.0, one_by_one = 0.0;
        for (int64_t i = 0; i < c->n_pixels; i++)
            CHECK(nb_solid_angles(c, i, i + 1, c->n_layers, c->oversample, &one_by_one) == NB_OK);
        CHECK(nb_solid_angles_with(c, NB_KERNEL_SCALAR, 0, c->n_pixels, c->n_layers, c->oversample, &scalar) == NB_OK);
        CHECK_CLOSE(scalar, one_by_one, 1e-13 * scalar);
        for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel <= NB_N_KERNELS; kernel++) {
            double sum = 0.0;
            const int status = nb_solid_angles_with(c, kernel, 0, c->n_pixels, c->n_layers, c->oversample, &sum);
            CHECK(status == (nb_kernel_available(kernel) ? NB_OK : NB_ERR_KERNEL));
            CHECK(status != NB_OK || sum == scalar);
        }
    }
}

static void test_wrong_arguments_are_refused(void) {
    static small_scene s;
    make_scene(&s);
    const nb_scene *c = &s.scene;
    const int64_t passes = (int64_t)c->n_layers * c->oversample * c->oversample * c->n_sources;
    nb_prescan_result found = {{-1, 0}, 1, {-1, 0}, {0, 0, 0}};
    double sum = 0.0;
    CHECK(nb_prescan(NULL, 0, 1, 0, 1, &found) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_prescan(c, 0, 1, 0, 1, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_prescan(c, -1, 1, 0, 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_prescan(c, 0, c->n_pixels + 1, 0, 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_prescan(c, 0, 1, -1, 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_prescan(c, 0, 1, passes, passes + 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_solid_angles(NULL, 0, 1, 1, 1, &sum) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_solid_angles(c, 0, 1, 1, 1, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_solid_angles(c, 2, 1, 1, 1, &sum) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_solid_angles(c, -1, 1, 1, 1, &sum) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_solid_angles(c, 0, c->n_pixels + 1, 1, 1, &sum) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_prescan(c, 2, 1, 0, 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_solid_angles(c, 0, 1, c->n_layers + 1, 1, &sum) == NB_ERR_TOO_LARGE);
    CHECK(nb_solid_angles(c, 0, 1, 1, c->oversample + 1, &sum) == NB_ERR_TOO_LARGE);
    CHECK(sum == 0.0);
}

int main(void) {
    test_agrees_with_the_renderer();
    test_solid_angles();
    test_wrong_arguments_are_refused();
    return check_result();
}
