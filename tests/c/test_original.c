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
    float some[2] = {0.0f};
    double room[9], lost;
    CHECK(nb_original_spread(NB_PSF_GAUSS, 1.0, 1, 0, 1, 1, NULL, room, some, &lost) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_original_spread(NB_PSF_GAUSS, 1.0, 1, 0, 1, 1, some, NULL, some, &lost) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_original_spread(NB_PSF_GAUSS, 1.0, 1, 0, 1, 1, some, room, NULL, &lost) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_original_spread(NB_PSF_GAUSS, 1.0, 1, 0, 1, 1, some, room, some, NULL) == NB_ERR_NULL_ARGUMENT);
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

/* A table that is met between its points, several sources, with and without polarization, curved and flat. */
static void test_amorphous_images(void) {
    enum { N = N_FAST * N_SLOW, POINTS = 9 };
    const double source[] = {-10, 0, 0, -10, 0.3, -0.2}, weight[] = {1.0, 0.5}, wavelength[] = {1e-10, 1.1e-10};
    double stol[POINTS], factor[POINTS], constant[POINTS];
    for (int i = 0; i < POINTS; i++)
        stol[i] = i < 2            ? -1e99 / (1 + i)
                  : i > POINTS - 3 ? 1e98 * (1 + i)
                                   : 1e7 * (i - 2),
        factor[i] = 2.0 - 0.7 * i, constant[i] = 2.0;
    for (int kind = 0; kind < 32; kind++) {
        nb_amorphous_body body = {0};
        body.n_fast = N_FAST, body.n_slow = N_SLOW, body.roi[1] = N_FAST - 1, body.roi[3] = N_SLOW - 1;
        body.pixel_size = 2e-3, body.pix0[0] = 0.1, body.fast[2] = 1.0, body.slow[1] = -1.0, body.beam[0] = 1.0;
        body.close_distance = body.distance = 0.1, body.oversample = 1 + (kind & 1);
        body.polarized = (kind >> 1) & 1, body.curved = (kind >> 2) & 1, body.point_pixel = (kind >> 3) & 1;
        body.map_factor = (kind >> 4) & 1;
        body.kahn_factor = 0.5, body.polarization_axis[2] = 1.0;
        body.source = source, body.weight = weight, body.wavelength = wavelength, body.n_sources = 2;
        body.stol = stol, body.factor = constant, body.n_table = POINTS;
        body.r_e_sqr = 1.0, body.fluence = 2.0, body.molecules = 3.0;
        float image[N], again[N];
        double total, s[N], polarization[N], solid_angle[N], position[3 * N];
        int64_t interval[N];
        const nb_amorphous_last last = {s, polarization, solid_angle, interval, position},
                                nothing = {NULL, NULL, NULL, NULL, NULL};
        CHECK(nb_original_amorphous(&body, image, &last, &total) == NB_OK);
        CHECK(nb_original_amorphous(&body, again, &nothing, &total) == NB_OK);
        for (int i = 0; i < N; i++) {
            CHECK(image[i] == again[i] && interval[i] >= 1 && interval[i] < POINTS && s[i] > 0.0);
            CHECK_CLOSE(polarization[i], 1.0, body.polarized ? 0.2 : 0.0);
            CHECK((position[3 * i] == 0.1) == !body.curved);
            /* F = 2 everywhere: photons = F^2 omega (sum of the weights)/2 */
            if (body.map_factor) CHECK_CLOSE(image[i], 2.0, 0.0);
            if (!body.map_factor && !body.polarized && body.oversample == 1)
                CHECK_CLOSE(image[i], 4.0 * 6.0 * solid_angle[i] * 1.5 / 2.0, 1e-7 * (double)image[i]);
        }
        body.factor = factor;
        CHECK(nb_original_amorphous(&body, image, &last, &total) == NB_OK);
        for (int i = 0; i < N; i++)
            CHECK(isfinite(image[i]));
        body.roi[0] = -1;
        CHECK(nb_original_amorphous(&body, image, &last, &total) == NB_ERR_PIXEL_OUTSIDE);
        body.roi[0] = 0, body.roi[2] = -1;
        CHECK(nb_original_amorphous(&body, image, &last, &total) == NB_ERR_PIXEL_OUTSIDE);
        body.roi[2] = 0, body.roi[3] = N_SLOW;
        CHECK(nb_original_amorphous(&body, image, &last, &total) == NB_ERR_PIXEL_OUTSIDE);
        body.oversample = 0;
        CHECK(nb_original_amorphous(&body, image, &last, &total) == NB_ERR_BELOW_ONE);
        CHECK(nb_original_amorphous(NULL, image, &last, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_amorphous(&body, NULL, &last, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_amorphous(&body, image, NULL, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_amorphous(&body, image, &last, NULL) == NB_ERR_NULL_ARGUMENT);
    }
}

/* Counts of a flat image: Poisson's mean and variance, and what flicker and calibration add to it. */
static void test_counts(void) {
    enum { N = 4000 };
    static float photons[N];
    for (int kind = 0; kind < 4; kind++) {
        const double flicker = kind & 1 ? 0.1 : 0.0, calibration = kind & 2 ? 0.2 : 0.0, mean = 400.0;
        nb_rng rng;
        int64_t state = -17, calibration_state = -5;
        double total, squares = 0.0;
        nb_rng_init(&rng);
        for (int i = 0; i < N; i++)
            photons[i] = (float)mean;
        CHECK(nb_original_counts(&rng, &state, &calibration_state, N, flicker, calibration, photons, &total) == NB_OK);
        for (int i = 0; i < N; i++)
            squares += ((double)photons[i] - mean) * ((double)photons[i] - mean);
        const double variance = mean + mean * mean * (flicker * flicker + calibration * calibration);
        CHECK_CLOSE(total / N, mean, 5.0 * sqrt(variance / N));
        CHECK_CLOSE(squares / N, variance, 0.15 * variance); /* 5 sigma: sqrt(2/N) of it is 0.022 */
        CHECK(nb_original_counts(NULL, &state, &state, 1, 0, 0, photons, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_counts(&rng, NULL, &state, 1, 0, 0, photons, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_counts(&rng, &state, NULL, 1, 0, 0, photons, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_counts(&rng, &state, &state, 1, 0, 0, NULL, &total) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_original_counts(&rng, &state, &state, 1, 0, 0, photons, NULL) == NB_ERR_NULL_ARGUMENT);
    }
}

int main(void) {
    test_spread();
    test_counts();
    test_amorphous_images();
    test_radius();
    test_amorphous();
    return check_result();
}
