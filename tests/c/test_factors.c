/* Structure factor, polarization, solid angle, capture fraction and positions against closed forms. */
#include "check.h"
#include "detector.h"
#include "polarization.h"
#include "small_scene.h"
#include "structure_factor.h"
#include "vector.h"

static const double PI = 3.14159265358979323846;

static double cubic(const double p[4], double x) {
    return p[0] + x * (p[1] + x * (p[2] + x * p[3]));
}

/* Four points determine a cubic, so the interpolation of one is exact but for rounding. */
static void test_lagrange_is_exact_on_cubics(void) {
    unsigned long long seed = 99;
    for (int i = 0; i < 1000; i++) {
        double p[4], y[4], x0 = floor(20.0 * test_uniform(&seed) - 10.0), x = x0 + 1.0 + test_uniform(&seed);
        for (int j = 0; j < 4; j++)
            p[j] = test_uniform(&seed) - 0.5;
        for (int j = 0; j < 4; j++)
            y[j] = cubic(p, x0 + j);
        CHECK_CLOSE(nb_lagrange(y, x, x0), cubic(p, x), 2e-12); /* values up to 800; measured 2.3e-13 */
    }
    const double y[4] = {3.0, 1.0, 4.0, 1.5};
    for (int j = 0; j < 4; j++)
        CHECK(nb_lagrange(y, 7.0 + j, 7.0) == y[j]);
}

/* A product of cubics in h, k, l is reproduced over the whole box where the nodes fit, and nowhere else. */
static void test_tricubic(void) {
    small_scene s;
    make_small_scene(&s);
    nb_scene *c = &s.scene;
    const double p[3][4] = {{1, 0.5, -0.2, 0.03}, {2, -0.1, 0.3, 0.01}, {-1, 0.2, 0.1, -0.02}};
    for (int h = -4; h <= 4; h++)
        for (int k = -4; k <= 4; k++)
            for (int l = -4; l <= 4; l++)
                s.table[((h + 4) * SMALL_TABLE + k + 4) * SMALL_TABLE + l + 4] =
                    cubic(p[0], h) * cubic(p[1], k) * cubic(p[2], l);
    unsigned long long seed = 5;
    double nodes[64];
    int inside = 0;
    for (int i = 0; i < 20000; i++) {
        double hkl[3], want = 1.0;
        int fits = 1;
        for (int j = 0; j < 3; j++) {
            hkl[j] = 11.0 * test_uniform(&seed) - 5.5;
            want *= cubic(p[j], hkl[j]);
            fits = fits && floor(hkl[j]) - 1 >= -4 && floor(hkl[j]) + 2 <= 4;
        }
        CHECK(nb_stencil_fits(c, hkl) == fits);
        if (fits) CHECK_CLOSE(nb_interpolated(c, hkl, nodes), want, 1e-13); /* measured 7e-15 */
        inside += fits;
    }
    CHECK(inside > 3000);
    double edge[3] = {-3.0, 0.0, 0.0}; /* the nodes -4 ... -1 */
    CHECK(nb_stencil_fits(c, edge));
    c->quirks = NB_INTERP_LOW_EDGE;
    CHECK(!nb_stencil_fits(c, edge));
    edge[0] = -2.0;
    CHECK(nb_stencil_fits(c, edge));
    edge[0] = 2.0;
    CHECK(nb_stencil_fits(c, edge));
    edge[0] = 2.0000001;
    CHECK(!nb_stencil_fits(c, edge));
}

static void test_lookup(void) {
    small_scene s;
    make_small_scene(&s);
    const double corner[3] = {-4, -4, -4}, last[3] = {4, 4, 4}, middle[3] = {1, -2, 3};
    CHECK(nb_tabulated(&s.scene, corner) == s.table[0]);
    CHECK(nb_tabulated(&s.scene, last) == s.table[728]);
    CHECK(nb_tabulated(&s.scene, middle) == s.table[(5 * 9 + 2) * 9 + 7]);
    const double outside[] = {-5, 5, 1e300, -1e300, NAN, INFINITY, -INFINITY, 9.3e18, -9.3e18};
    for (int i = 0; i < (int)(sizeof outside / sizeof *outside); i++) {
        for (int j = 0; j < 3; j++) {
            double hkl[3] = {0, 0, 0};
            hkl[j] = outside[i];
            CHECK(nb_tabulated(&s.scene, hkl) == s.scene.default_F);
            CHECK(!nb_stencil_fits(&s.scene, hkl));
        }
    }
    s.scene.f_table = NULL;
    CHECK(nb_tabulated(&s.scene, middle) == s.scene.default_F);
    CHECK(!nb_stencil_fits(&s.scene, middle));
}

/* Unpolarized: (1 + cos^2)/2. Fully polarized: 1 - (direction . field)^2. */
static void test_polarization(void) {
    const double beam[3] = {1, 0, 0}, field[3] = {0, 0, 1};
    unsigned long long seed = 3;
    for (int i = 0; i < 1000; i++) {
        double two_theta = PI * test_uniform(&seed), around = 2 * PI * test_uniform(&seed);
        double d[3] = {cos(two_theta), sin(two_theta) * cos(around), sin(two_theta) * sin(around)};
        double scaled[3] = {7 * d[0], 7 * d[1], 7 * d[2]};
        double random = 0.5 * (1 + d[0] * d[0]), full = 1 - d[2] * d[2], k = 2 * test_uniform(&seed) - 1;
        CHECK_CLOSE(nb_polarization(0.0, field, beam, d), random, 1e-15);
        CHECK_CLOSE(nb_polarization(1.0, field, beam, d), full, 2e-15);
        CHECK_CLOSE(nb_polarization(k, field, beam, scaled), random + k * (full - random), 2e-15);
    }
    const double tilted[3] = {0.6, 0, 0.8}, d[3] = {0.6, 0.48, 0.64}; /* the part along the beam is dropped */
    CHECK_CLOSE(nb_polarization(1.0, tilted, beam, d), nb_polarization(1.0, field, beam, d), 1e-15);
}

static void test_detector(void) {
    small_scene s;
    make_small_scene(&s);
    nb_scene *c = &s.scene;
    double x[3];
    nb_position(c, 2, 1, 1, 0, 1, x); /* 2.75 and 1.25 pixels from the corner, one layer deep */
    CHECK_CLOSE(x[0], 0.1 + 1e-4, 1e-16);
    CHECK_CLOSE(x[1], 0.0012 - 1.25e-3, 1e-16);
    CHECK_CLOSE(x[2], -0.0017 + 2.75e-3, 1e-16);

    CHECK_CLOSE(nb_solid_angle(c, 0.1), 1e-6 / 0.01, 1e-18);
    CHECK_CLOSE(nb_solid_angle(c, 0.2), 1e-6 * 0.1 / 0.008, 1e-18);
    c->point_pixel = 1;
    CHECK_CLOSE(nb_solid_angle(c, 0.2), 1e-6 / 0.04, 1e-18);

    /* the layers together absorb what the whole thickness absorbs, along an oblique ray too */
    const double oblique[3] = {0.8, 0.6, 0.0};
    double sum = nb_capture_fraction(c, oblique, 0) + nb_capture_fraction(c, oblique, 1);
    CHECK_CLOSE(sum, 1 - exp(-2e-4 * 4e3 / 0.8), 2e-16);
    c->has_sensor = 0;
    CHECK(nb_capture_fraction(c, oblique, 0) == 1.0);
}

/* The curved detector keeps every point at the radius, and along fast and slow at the arc that it had on the flat one.
 */
static void test_curved_detector(void) {
    small_scene s;
    make_small_scene(&s);
    nb_scene *c = &s.scene;
    c->n_layers = 1, c->n_fast = 400, c->n_slow = 400;
    double flat[3], bent[3];
    for (int i = 0; i < 400; i += 37) {
        for (int j = 0; j < 400; j += 41) {
            c->curved = 0;
            nb_position(c, i, j, 0, 0, 0, flat);
            c->curved = 1;
            nb_position(c, i, j, 0, 0, 0, bent);
            CHECK_CLOSE(nb_norm(bent), 0.1, 1e-15);
            /* turned about slow by the fast offset, then about fast by the slow offset: the coordinate along slow is
             * touched by the second alone, which also scales with the cosine of the first */
            double u = flat[2] / 0.1, w = -flat[1] / 0.1;
            CHECK_CLOSE(bent[2], 0.1 * sin(u), 1e-15);
            CHECK_CLOSE(-bent[1], 0.1 * cos(u) * sin(w), 1e-15);
        }
    }
    /* the original's laboratory axes: the same for small angles up to the sense of the two turns */
    c->quirks = NB_CURVED_DET_AXES;
    nb_position(c, 30, 20, 0, 0, 0, bent);
    CHECK_CLOSE(nb_norm(bent), 0.1, 1e-15);
}

int main(void) {
    test_lagrange_is_exact_on_cubics();
    test_tricubic();
    test_lookup();
    test_polarization();
    test_detector();
    test_curved_detector();
    return check_result();
}
