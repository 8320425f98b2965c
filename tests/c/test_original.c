/* The loops of noisify and nonBragg at their edges: nothing outside an array is touched, whatever the numbers. */
#include "check.h"
#include "imaging.h"

#include <math.h>
#include <stddef.h>

enum { N_FAST = 3, N_SLOW = 2, LARGEST = 3 };

static void test_spread(void) {
    const float odd[] = {0.0f, -1.0f, 1e-30f, 0.005f, 1.0f, 1e30f, INFINITY, NAN};
    for (int kind = NB_PSF_GAUSS; kind <= NB_PSF_FIBER; kind++)
        for (int radius = 0; radius <= LARGEST + 1; radius++)
            for (int automatic = 0; automatic <= 1; automatic++)
                for (int i = 0; i < (int)(sizeof odd / sizeof *odd); i++) {
                    float photons[N_FAST * N_SLOW] = {0}, spread[N_FAST * N_SLOW + 1];
                    double kernel[(2 * LARGEST + 1) * (2 * LARGEST + 1)], lost = 0.0;
                    for (int at = 0; at < N_FAST * N_SLOW; at++)
                        photons[at] = odd[(i + at) % (int)(sizeof odd / sizeof *odd)];
                    int status = nb_original_spread((nb_psf_kind)kind, 0.8, radius, automatic, N_FAST, N_SLOW, photons,
                                                    kernel, spread, &lost);
                    CHECK((status == NB_OK) == (radius >= 1 && radius <= LARGEST));
                }
    CHECK(nb_original_spread(NB_PSF_GAUSS, 1.0, 1, 0, 1, 1, NULL, NULL, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
}

static void test_radius(void) {
    CHECK(nb_original_psf_radius(NB_PSF_FIBER, 0.46, 1e4) == 302);
    CHECK(nb_original_psf_radius(NB_PSF_GAUSS, 1.8, 1e6) == 5);
    CHECK(nb_original_psf_radius(NB_PSF_GAUSS, 1.8, 0.001) == 1);
    CHECK(nb_original_psf_radius(NB_PSF_FIBER, 1e30, 1e30) == INT32_MAX);
    CHECK(nb_original_psf_radius(NB_PSF_FIBER, NAN, 1.0) >= 1);
}

static void test_amorphous(void) {
    const double stol[] = {-1e99, -1e98, 2e9, 1e9, 1e9, 1e98, 1e99}, factor[] = {1, 1, 1, 2, 3, 3, 3};
    const double source[] = {-10, 0, 0}, one[] = {1}, odd[] = {1e-10, -1e-10, 1e-300, INFINITY, NAN};
    for (int i = 0; i < (int)(sizeof odd / sizeof *odd); i++) {
        nb_amorphous_body body = {0};
        body.n_fast = N_FAST, body.n_slow = N_SLOW;
        body.roi[1] = N_FAST - 1, body.roi[3] = N_SLOW - 1;
        body.pixel_size = 1e-4, body.pix0[0] = 0.1, body.fast[2] = 1.0, body.slow[1] = -1.0, body.beam[0] = 1.0;
        body.close_distance = body.distance = 0.1, body.oversample = 2, body.polarized = 1;
        body.source = source, body.weight = one, body.wavelength = &odd[i], body.n_sources = 1;
        body.stol = stol, body.factor = factor, body.n_table = 7;
        float image[N_FAST * N_SLOW];
        double total;
        const nb_amorphous_last nothing = {NULL, NULL, NULL, NULL, NULL};
        CHECK(nb_original_amorphous(&body, image, &nothing, &total) == NB_OK);
        CHECK(total > 0.0);
        body.roi[1] = N_FAST;
        CHECK(nb_original_amorphous(&body, image, &nothing, &total) == NB_ERR_PIXEL_OUTSIDE);
        body.roi[1] = 0, body.n_table = 4;
        CHECK(nb_original_amorphous(&body, image, &nothing, &total) == NB_ERR_BELOW_ONE);
    }
}

int main(void) {
    test_spread();
    test_radius();
    test_amorphous();
    return check_result();
}
