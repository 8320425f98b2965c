/* The background at its edges: odd numbers neither leave the table nor the arrays; the kernels against each other. */
#include "check.h"
#include "imaging.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { N_FAST = 140, N = 900, N_RAYS = 19 };

static const double stol[] = {0.0, 1e9, 1.5e9, 5e9}, even[] = {0.0, 1e9, 2e9, 3e9};
static const double polynomial[12] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}, index_of[] = {0, 0, 1, 2, 2};
static const double node[] = {-0.5, 0.5}, node_weight[] = {1.0, 1.0};
static double incident[3 * N_RAYS], wavelength[N_RAYS], weight[N_RAYS];

static nb_background body(int path, int uneven) {
    nb_background b = {0};
    for (int i = 0; i < N_RAYS; i++) {
        const double angle = 1e-3 * (i - 9);
        incident[3 * i] = cos(angle), incident[3 * i + 1] = sin(angle);
        wavelength[i] = 1e-10 * (1.0 + 1e-3 * i), weight[i] = 1.0 / N_RAYS;
    }
    b.n_fast = N_FAST, b.pixel_size[0] = b.pixel_size[1] = 1e-3, b.pixel_area = 1e-6,
    b.distance = b.close_distance = 0.1;
    b.pix0[0] = 0.1, b.pix0[2] = -0.02, b.fast[2] = 1.0, b.slow[1] = -1.0, b.normal[0] = 1.0, b.beam[0] = 1.0;
    b.polarized = 1, b.kahn_factor = 0.5, b.polarization_axis[2] = 1.0, b.sensor_depth = 1.0;
    b.incident = incident, b.wavelength = wavelength, b.weight = weight, b.n_sources = 1;
    b.stol = uneven ? stol : even, b.polynomial = polynomial, b.n_table = 4;
    if (uneven)
        b.index = index_of, b.n_index = 5, b.index_scale = 5 / 5e9, b.index_steps = 2;
    else
        b.index_scale = 1e-9;
    b.strength = 1.0, b.oversample = 2, b.depth = 0.3;
    b.has_path = path, b.path[0] = -0.01, b.path[1] = 0.02, b.stop_radius = 1e-3, b.stop_distance = 0.02;
    b.node = node, b.node_weight = node_weight, b.n_nodes = 2;
    return b;
}

static void test_odd_numbers(nb_kernel kernel) {
    const double odd[] = {1e-10, -1e-10, 1e-300, 1e300, INFINITY, NAN, 0.0};
    int64_t pixels[N];
    for (int i = 0; i < N; i++)
        pixels[i] = 3 * i;
    for (int i = 0; i < (int)(sizeof odd / sizeof *odd); i++)
        for (int form = 0; form < 8; form++) {
            nb_background b = body(form & 1, form & 2);
            b.curved = form >> 2;
            b.wavelength = &odd[i];
            double photons[N] = {0.0};
            int64_t beyond = -1;
            CHECK(nb_add_background_with(&b, kernel, N, pixels, 0, photons, &beyond) == NB_OK);
            CHECK(beyond >= 0 && beyond <= N);
            if (i == 0) CHECK(photons[N - 1] > 0.0);
            CHECK(nb_add_background_with(&b, kernel, 0, NULL, 0, NULL, &beyond) == NB_OK);
            b.n_table = 1;
            CHECK(nb_add_background_with(&b, kernel, N, pixels, 0, photons, &beyond) == NB_ERR_BELOW_ONE);
            CHECK(nb_add_background_with(&b, kernel, N, NULL, -1, photons, &beyond) == NB_ERR_PIXEL_RANGE);
        }
    CHECK(nb_add_background_with(NULL, kernel, 0, NULL, 0, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
    double photons[N] = {0.0};
    int64_t beyond;
    nb_background b = body(0, 1);
    CHECK(nb_add_background_with(&b, kernel, N, NULL, 0, photons, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_add_background_with(&b, kernel, N, NULL, 0, NULL, &beyond) == NB_ERR_NULL_ARGUMENT);
    b.n_index = 0;
    CHECK(nb_add_background_with(&b, kernel, N, NULL, 0, photons, &beyond) == NB_ERR_BELOW_ONE);
    b = body(0, 0), b.oversample = 0;
    CHECK(nb_add_background_with(&b, kernel, N, NULL, 0, photons, &beyond) == NB_ERR_BELOW_ONE);
    b = body(0, 0), b.n_fast = 0;
    CHECK(nb_add_background_with(&b, kernel, N, NULL, 0, photons, &beyond) == NB_ERR_BELOW_ONE);
}

/* Every kernel against the scalar one; pixels in any order, in a row, and alone. */
static void test_kernels(nb_kernel kernel) {
    int64_t pixels[N];
    for (int i = 0; i < N; i++)
        pixels[i] = (7 * i) % 1000;
    for (int form = 0; form < 16; form++) {
        nb_background b = body(form & 1, form & 2);
        b.n_sources = form & 4 ? N_RAYS : 1;
        b.point_pixel = (form & 5) == 5;
        if (form & 8) b.sensor_depth = b.depth = b.stop_radius = 0.0, b.oversample = 1, b.polarized = 0;
        double expected[N] = {0.0}, photons[N] = {0.0}, all[1000] = {0.0}, one;
        int64_t beyond[3], most = 0;
        CHECK(nb_add_background(&b, N, pixels, 0, expected, &beyond[0]) == NB_OK);
        CHECK(nb_add_background_with(&b, kernel, N, pixels, 0, photons, &beyond[1]) == NB_OK);
        CHECK(nb_add_background_with(&b, kernel, 1000, NULL, 0, all, &beyond[2]) == NB_OK);
        for (int i = 0; i < N; i++) {
            /* measured: 2.2e-14 */
            CHECK_CLOSE(photons[i], expected[i], 1e-12 * expected[i]);
            CHECK(all[pixels[i]] == photons[i]);
            one = 0.0;
            CHECK(nb_add_background_with(&b, kernel, 1, NULL, pixels[i], &one, &most) == NB_OK);
            CHECK(one == photons[i]);
        }
        CHECK(beyond[1] >= beyond[0] && beyond[1] <= N && beyond[2] >= beyond[1]);
    }
}

int main(void) {
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        nb_background b = body(0, 0);
        double photons = 0.0;
        int64_t beyond;
        if (nb_kernel_available(kernel)) {
            test_odd_numbers(kernel);
            test_kernels(kernel);
        } else
            CHECK(nb_add_background_with(&b, kernel, 1, NULL, 0, &photons, &beyond) == NB_ERR_KERNEL);
    }
    return check_result();
}
