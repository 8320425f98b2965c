/* Lattice factors against closed forms and against the same functions in long double. */
#include "check.h"
#include "lattice.h"
#include "small_scene.h"
#include "spots.h"

static const long double PI_L = 3.14159265358979323846264338327950288L;

/* sin(pi n f)/sin(pi f) by the offset to the nearest integer, which is exact in double. */
static long double grating(double h, double n) {
    double h0 = ceil(h - 0.5);
    long double f = (long double)h - h0;
    long double sign = fmod(n - 1.0, 2.0) != 0.0 && fmod(h0, 2.0) != 0.0 ? -1.0L : 1.0L;
    return f == 0.0L ? sign * n : sign * sinl(PI_L * n * f) / sinl(PI_L * f);
}

static long double sphere(long double x) {
    if (fabsl(x) > 6.0L) return 3.0L * (sinl(x) / x - cosl(x)) / (x * x);
    long double term = 1.0L, sum = 1.0L;
    for (int m = 0; m < 60; m++) {
        term *= -x * x / (2.0L * (m + 1) * (2.0L * m + 5.0L));
        sum += term;
    }
    return sum;
}

static void test_sincg(void) {
    const double cells[] = {1, 2, 3, 4, 5, 7, 20, 143, 1000};
    unsigned long long seed = 12345;
    double worst = 0.0;
    for (int i = 0; i < (int)(sizeof cells / sizeof *cells); i++) {
        for (int j = 0; j < 20000; j++) {
            double u = test_uniform(&seed), near = pow(10.0, -16.0 * test_uniform(&seed));
            double h = floor(400.0 * u - 200.0) + (j % 2 ? near : test_uniform(&seed));
            double error = fabs((double)(nb_sincg(h, ceil(h - 0.5), cells[i]) - grating(h, cells[i]))) / cells[i];
            if (error > worst) worst = error;
        }
    }
    CHECK(worst < 1e-15); /* measured 4.0e-16 of the peak */
}

static void test_sincg_at_integers(void) {
    CHECK(nb_sincg(0.0, 0.0, 10.0) == 10.0);
    CHECK(nb_sincg(7.0, 7.0, 10.0) == -10.0); /* (-1)^((N-1) h) */
    CHECK(nb_sincg(8.0, 8.0, 10.0) == 10.0);
    CHECK(nb_sincg(7.0, 7.0, 5.0) == 5.0);
    CHECK(nb_sincg(1e-320, 0.0, 10.0) == 10.0);
    CHECK(nb_sincg(0.25, 0.0, 4.0) == 0.0); /* a zero of the grating, exactly */
    CHECK(isnan(nb_sincg(NAN, NAN, 4.0)));
    CHECK(nb_sincg_literal(0.0, 10.0) == 10.0);
}

static void test_sinc3(void) {
    unsigned long long seed = 777;
    double worst = 0.0;
    for (int j = 0; j < 200000; j++) {
        double x = j % 2 ? 10.0 * test_uniform(&seed) : pow(10.0, -12.0 * test_uniform(&seed));
        double error = fabs((double)(nb_sinc3(x) - sphere(x)));
        if (error > worst) worst = error;
    }
    CHECK(worst < 5e-16); /* measured 2.2e-16, the peak being 1 */
    CHECK(nb_sinc3(0.0) == 1.0);
    /* both branches where they meet */
    CHECK_CLOSE(nb_sinc3(nextafter(2.0, 0.0)), nb_sinc3(2.0), 5e-16);
    CHECK_CLOSE(nb_sinc3_literal(1.5), sphere(1.5L), 1e-15);
    CHECK(isnan(nb_sinc3(NAN)));
}

/* Peak and widths of the four shapes, for three different cell counts. */
static void test_shapes(void) {
    small_scene s;
    double axes[3], n_all;
    const double peak[3] = {2.0, -1.0, 3.0};
    make_small_scene(&s);
    nb_scene *c = &s.scene;
    n_all = c->n_cells[0] * c->n_cells[1] * c->n_cells[2];
    for (c->shape = NB_SQUARE; c->shape <= NB_TOPHAT; c->shape++) {
        double f = nb_lattice_factor(c, peak, peak, axes);
        double want = c->shape == NB_ROUND ? n_all * sqrt((double)(PI_L / 6)) : n_all;
        CHECK_CLOSE(fabs(f), want, 1e-12);
        CHECK_CLOSE(axes[0] * axes[1] * axes[2], f, 1e-12);
    }
    /* corrected: off the peak along one axis, every shape is a function of (dh N) alone; peaks are 60, errors 2e-14 */
    for (int i = 0; i < 3; i++) {
        double hkl[3] = {2.0, -1.0, 3.0}, r = 0.4;
        hkl[i] += r / c->n_cells[i];
        c->shape = NB_GAUSS;
        CHECK_CLOSE(nb_lattice_factor(c, hkl, peak, axes), n_all * exp(-r * r / 0.63), 1e-12);
        c->shape = NB_ROUND;
        CHECK_CLOSE(nb_lattice_factor(c, hkl, peak, axes), n_all * sqrt((double)(PI_L / 6)) * sphere(PI_L * r), 1e-11);
        c->shape = NB_TOPHAT;
        hkl[i] = peak[i] + 0.62 / c->n_cells[i];
        CHECK(nb_lattice_factor(c, hkl, peak, axes) == n_all);
        hkl[i] = peak[i] + 0.64 / c->n_cells[i];
        CHECK(nb_lattice_factor(c, hkl, peak, axes) == 0.0);
        c->shape = NB_SQUARE;
        hkl[i] = peak[i] + r / c->n_cells[i];
        CHECK_CLOSE(fabs(nb_lattice_factor(c, hkl, peak, axes)),
                    fabs(n_all / c->n_cells[i] * (double)grating(hkl[i], c->n_cells[i])), 1e-12);
    }
}

/* GAUSS_TOPHAT_WIDTH: |ds|^2 (Na Nb Nc)^2 with ds in 1/Angstrom. */
static void test_original_width(void) {
    small_scene s;
    double axes[3];
    const double hkl[3] = {0.01, 0.0, -0.02}, zero[3] = {0.0, 0.0, 0.0};
    make_small_scene(&s);
    s.scene.shape = NB_GAUSS;
    s.scene.quirks = NB_GAUSS_TOPHAT_WIDTH;
    double ds_sqr = pow(0.01 / 50, 2) + pow(0.02 / 70, 2);
    CHECK_CLOSE(nb_lattice_factor(&s.scene, hkl, zero, axes), 60.0 * exp(-ds_sqr * 3600.0 / 0.63), 1e-12);
}

int main(void) {
    test_sincg();
    test_sincg_at_integers();
    test_sinc3();
    test_shapes();
    test_original_width();
    return check_result();
}
