/* The background at its edges: odd numbers neither leave the table nor the arrays. */
#include "check.h"
#include "imaging.h"

#include <math.h>
#include <stddef.h>

enum { N_FAST = 40, N = 300 };

static void test_odd_numbers(void) {
    const double stol[] = {0.0, 1e9, 1.5e9, 5e9}, polynomial[12] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
    const int32_t index[] = {0, 0, 1, 2, 2};
    const double node[] = {-0.5, 0.5}, node_weight[] = {1.0, 1.0}, incident[] = {1.0, 0.0, 0.0}, weight[] = {1.0};
    const double odd[] = {1e-10, -1e-10, 1e-300, 1e300, INFINITY, NAN, 0.0};
    int64_t pixels[N];
    for (int i = 0; i < N; i++)
        pixels[i] = 3 * i;
    for (int i = 0; i < (int)(sizeof odd / sizeof *odd); i++)
        for (int path = 0; path <= 1; path++) {
            nb_background b = {0};
            b.n_fast = N_FAST, b.pixel_size = 1e-3, b.pixel_area = 1e-6;
            b.pix0[0] = 0.1, b.fast[2] = 1.0, b.slow[1] = -1.0, b.normal[0] = 1.0, b.beam[0] = 1.0;
            b.polarized = 1, b.kahn_factor = 0.5, b.polarization_axis[2] = 1.0, b.sensor_depth = 1.0;
            b.incident = incident, b.wavelength = &odd[i], b.weight = weight, b.n_sources = 1;
            b.stol = stol, b.polynomial = polynomial, b.n_table = 4;
            b.index = index, b.n_index = 5, b.index_scale = 5 / 5e9, b.index_steps = 2;
            b.strength = 1.0, b.oversample = 2, b.depth = 0.3;
            b.has_path = path, b.path[0] = -0.01, b.path[1] = 0.02, b.stop_radius = 1e-3, b.stop_distance = 0.02;
            b.node = node, b.node_weight = node_weight, b.n_nodes = 2;
            double photons[N] = {0.0};
            int64_t beyond = -1;
            CHECK(nb_add_background(&b, N, pixels, photons, &beyond) == NB_OK);
            CHECK(beyond >= 0 && beyond <= N);
            if (i == 0) CHECK(photons[N - 1] > 0.0);
            CHECK(nb_add_background(&b, 0, NULL, NULL, &beyond) == NB_OK);
            b.n_table = 1;
            CHECK(nb_add_background(&b, N, pixels, photons, &beyond) == NB_ERR_BELOW_ONE);
        }
    CHECK(nb_add_background(NULL, 0, NULL, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
}

int main(void) {
    test_odd_numbers();
    return check_result();
}
