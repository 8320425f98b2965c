/* The vector kernels against the scalar one on scenes that exercise each of their paths. */
#include "check.h"
#include "small_scene.h"

#include <stdlib.h>

/* A detector wide enough for several blocks of the kernel, with gaps, indices inside and outside the table. */
enum { WIDE = 1100, HIGH = 3 };

static struct {
    small_scene small;
    int64_t pixels[WIDE * HIGH];
    double expected[WIDE * HIGH], image[WIDE * HIGH], again[WIDE * HIGH];
} s;

static nb_scene *wide_scene(void) {
    make_small_scene(&s.small);
    nb_scene *c = &s.small.scene;
    c->n_fast = WIDE, c->n_slow = HIGH, c->pixel_size[0] = c->pixel_size[1] = 1e-4;
    c->pix0[2] = -0.03;
    c->pixels = s.pixels, c->n_pixels = 0;
    for (int64_t i = 0; i < WIDE * HIGH; i++)
        if (i % 7 != 3 && i / 40 != 20) s.pixels[c->n_pixels++] = i;
    c->interpolation_off[0] = c->n_pixels;
    return c;
}

/* Largest difference over the largest value; of images that single precision takes for empty, the difference. */
static double difference(const double *x, const double *y, int64_t n) {
    double most = 0.0, peak = 0.0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i] - y[i])), peak = fmax(peak, fabs(y[i]));
    return peak > 1e-45 ? most / peak : most;
}

static void compare(const nb_scene *c) {
    nb_fault fault;
    CHECK(nb_scene_validate(c, &fault) == NB_OK);
    CHECK(nb_simd_obstacle(c) == NULL);
    CHECK(nb_render_with(c, NB_KERNEL_SCALAR, 0, c->n_pixels, s.expected, NULL) == NB_OK);
    for (nb_kernel kernel = NB_KERNEL_SCALAR + 1; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        CHECK(nb_render_with(c, kernel, 0, c->n_pixels, s.image, NULL) == NB_OK);
        /* measured: 2.5e-12, at 1000 cells; 1.5e-7 in mixed precision */
        CHECK_CLOSE(difference(s.image, s.expected, c->n_pixels), 0.0, kernel == NB_KERNEL_FAST ? 1e-6 : 1e-11);
        for (int64_t begin = 0; begin < c->n_pixels; begin += 97) {
            int64_t end = begin + 97 < c->n_pixels ? begin + 97 : c->n_pixels;
            CHECK(nb_render_with(c, kernel, begin, end, s.again + begin, NULL) == NB_OK);
        }
        CHECK(memcmp(s.image, s.again, (size_t)c->n_pixels * sizeof(double)) == 0);
    }
}

static void test_shapes(void) {
    for (int shape = NB_SQUARE; shape <= NB_TOPHAT; shape++) {
        for (int quirks = 0; quirks < 2; quirks++) {
            nb_scene *c = wide_scene();
            c->shape = shape, c->quirks = quirks ? NB_GAUSS_TOPHAT_WIDTH : 0;
            compare(c);
            c->n_cells[0] = 60, c->n_cells[1] = 40, c->n_cells[2] = 50; /* most pixels can be skipped */
            c->background = 0.0;
            compare(c);
        }
    }
}

static void test_cells(void) {
    static const double CELLS[][3] = {{1, 1, 1}, {8, 7, 2}, {1, 20, 37}, {36, 47, 29}, {1000, 9, 3}};
    for (size_t i = 0; i < sizeof CELLS / sizeof *CELLS; i++) {
        nb_scene *c = wide_scene();
        memcpy(c->n_cells, CELLS[i], sizeof CELLS[i]);
        compare(c);
    }
}

static void test_tables(void) {
    nb_scene *c = wide_scene();
    c->f_table = NULL, c->n_hkl[0] = c->n_hkl[1] = c->n_hkl[2] = 0;
    compare(c);
    c = wide_scene();
    c->default_F = 0.0;
    compare(c);
    c = wide_scene(); /* never inside */
    for (int i = 0; i < 3; i++)
        c->hkl_min[i] = 500;
    compare(c);
}

static void test_factors(void) {
    for (int mode = NB_PER_TERM; mode <= NB_CACHED; mode++) {
        for (int variant = 0; variant < 8; variant++) {
            nb_scene *c = wide_scene();
            c->capture_mode = c->polar_mode = c->omega_mode = mode;
            c->curved = variant == 1;
            c->point_pixel = variant == 2;
            c->has_sensor = variant != 3;
            c->polarized = variant != 4;
            if (variant == 5) c->d_min = 8e-10;
            if (variant == 6) c->d_min = 8e-10, c->quirks = NB_DMIN_ZEROES_WATER;
            if (variant == 7) c->kahn_factor = 0.0;
            compare(c);
        }
    }
}

static void test_first_pass(void) {
    nb_scene *c = wide_scene();
    for (int i = 0; i < 36; i++)
        (&s.small.first[0][0][0])[i] *= 1.01;
    c->orientations_first_pass = &s.small.first[0][0][0];
    c->first_pass[0] = 600, c->first_pass[1] = 3;
    compare(c);
}

/* At an integer index the quotient of the sines is N, by the limit. */
static void test_exact_peaks(void) {
    nb_scene *c = wide_scene();
    c->n_cells[0] = 10, c->n_cells[1] = 20, c->n_cells[2] = 30;
    for (int i = 0; i < 36; i++)
        (&s.small.orientations[0][0][0])[i] = 0.0;
    compare(c);
}

static int take_hkl(void *context, nb_quantity quantity, const int64_t *index, const double *values, int64_t n) {
    (void)index;
    if (quantity != NB_Q_HKL) return 0;
    memcpy(context, values, (size_t)n * sizeof *values);
    return 1; /* the first one is enough */
}

/* Make h of the first term of a pixel a whole number, within rounding. */
static void make_whole(const nb_scene *c, int64_t position, double whole) {
    double hkl[3], photons;
    nb_recorder recorder = {take_hkl, hkl};
    CHECK(nb_trace(c, position, &recorder, &photons) == NB_ERR_RECORDER);
    for (int i = 0; i < 3; i++)
        s.small.orientations[0][0][i] *= whole / hkl[0];
}

/* Where the original's lattice factor is rounding noise, the vector kernels give the same noise. */
static void compare_noise(int variant, const double n_cells[3], int noisy) {
    static const int64_t POSITION = 411;
    double largest = 0.0;
    for (int whole = 3; whole < 12; whole += 4) {
        nb_scene *c = wide_scene();
        c->capture_mode = c->polar_mode = c->omega_mode = variant == 1 ? NB_PER_TERM : NB_CACHED;
        c->curved = variant == 2;
        if (variant == 3) c->d_min = 4e-10;
        c->polarized = variant != 4;
        memcpy(c->n_cells, n_cells, sizeof c->n_cells);
        make_whole(c, POSITION, -whole);
        double smooth, rough;
        CHECK(nb_render(c, POSITION, POSITION + 1, &smooth, NULL) == NB_OK);
        c->quirks = NB_SINCG_ROUNDOFF;
        CHECK(nb_render(c, POSITION, POSITION + 1, &rough, NULL) == NB_OK);
        largest = fmax(largest, fabs(rough / smooth - 1.0));
        if (whole == 7) compare(c);
    }
    CHECK(noisy ? largest > 1e-3 : largest < 1e-10);
}

static void test_noise(void) {
    static const double SMALL[3] = {7, 3, 5}, LARGE[3] = {10, 20, 30}, POWERS[3] = {16, 4, 1};
    for (int variant = 0; variant < 5; variant++)
        compare_noise(variant, LARGE, 1);
    compare_noise(0, SMALL, 1);
    compare_noise(0, POWERS, 0);
    for (int curved = 0; curved < 2; curved++) {
        nb_scene *c = wide_scene();
        c->shape = NB_ROUND, c->curved = curved, c->quirks = NB_SINC3_CANCELLATION;
        for (int i = 0; i < 36; i++)
            (&s.small.orientations[0][0][0])[i] *= 1e-10;
        compare(c);
        CHECK(nb_simd_exception(c)[0] != 0);
        c->quirks = 0;
        CHECK(nb_simd_exception(c)[0] == 0);
    }
}

/* Interpolated up to a pixel, and for a part of it; then the nearest entries of the table. */
static void test_interpolated(void) {
    for (int quirk = 0; quirk < 2; quirk++) {
        nb_scene *c = wide_scene();
        c->tricubic = 1, c->quirks = quirk ? NB_INTERP_LOW_EDGE : 0;
        c->interpolation_off[0] = c->n_pixels, c->interpolation_off[1] = 0;
        compare(c);
        c->interpolation_off[0] = 700, c->interpolation_off[1] = 5;
        compare(c);
        c->n_hkl[0] = 3; /* no room for four nodes */
        compare(c);
    }
}

static void test_what_is_not_covered(void) {
    static const double NOT_WHOLE[3] = {2.5, 3, 3};
    nb_scene *c = wide_scene();
    c->omega_mode = NB_CUMULATIVE;
    CHECK(nb_simd_obstacle(c) != NULL);
    c = wide_scene(), memcpy(c->n_cells, NOT_WHOLE, sizeof NOT_WHOLE);
    CHECK(nb_simd_obstacle(c) != NULL);
    c = wide_scene(), c->shape = NB_ROUND, c->fudge = -1.0;
    CHECK(nb_simd_obstacle(c) != NULL);
    for (nb_kernel kernel = NB_KERNEL_SCALAR + 1; kernel < NB_N_KERNELS; kernel++)
        CHECK(nb_render_with(c, kernel, 0, 1, s.image, NULL) == NB_ERR_KERNEL);
    c = wide_scene(), c->n_cells[1] = 2e6;
    CHECK(nb_simd_obstacle(c) != NULL);
    CHECK(nb_render_with(c, NB_N_KERNELS, 0, 1, s.image, NULL) == NB_ERR_KERNEL);
    CHECK(nb_kernel_name(NB_N_KERNELS) == NULL && nb_kernel_name((nb_kernel)-1) == NULL);
    CHECK(!nb_kernel_available((nb_kernel)-1) && !nb_kernel_available(NB_N_KERNELS));
}

/* Lattice factors are left to the scalar kernel where the original's are noise: by shape, quirk and number of cells. */
static void test_what_is_left(void) {
    nb_scene *c = wide_scene();
    const uint32_t noise[] = {0, NB_SINCG_ROUNDOFF, NB_SINC3_CANCELLATION, NB_SINCG_ROUNDOFF | NB_SINC3_CANCELLATION};
    for (int shape = NB_SQUARE; shape < NB_N_SHAPES; shape++) {
        for (int i = 0; i < 4; i++) {
            for (int powers = 0; powers < 2; powers++) {
                c->shape = shape, c->quirks = noise[i];
                for (int k = 0; k < 3; k++)
                    c->n_cells[k] = powers ? 4.0 : 5.0;
                const int left = shape == NB_ROUND ? i >= 2 : shape == NB_SQUARE && i % 2 && !powers;
                CHECK((nb_simd_exception(c)[0] != 0) == left);
            }
        }
    }
}

static void test_cancelled(void) {
    const volatile int cancel = 1;
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        if (nb_kernel_available(kernel))
            CHECK(nb_render_with(wide_scene(), kernel, 0, 10, s.image, &cancel) == NB_ERR_CANCELLED);
    }
}

int main(void) {
    test_shapes();
    test_cells();
    test_tables();
    test_factors();
    test_first_pass();
    test_exact_peaks();
    test_noise();
    test_interpolated();
    test_what_is_not_covered();
    test_what_is_left();
    test_cancelled();
    return check_result();
}
