/* Generators: a few of the original's numbers (all of them: tests/unit/test_rng.py), and states that it cannot have. */
#include "check.h"
#include "nanobragg.h"

#include <stddef.h>

static void test_first_numbers(void) {
    nb_rng rng;
    int64_t state = -12345678;
    nb_rng_init(&rng);
    CHECK(nb_uniform(&rng, &state) == 0.765989304f);
    CHECK(nb_uniform(&rng, &state) == 0.023453664f);
    CHECK(nb_uniform(&rng, &state) == 0.589726627f);
    state = 5; /* a positive state goes on with the shared table */
    CHECK(nb_uniform(&rng, &state) == 0.535101593f);
    nb_rng_init(&rng);
    state = -12345;
    CHECK(nb_gaussian(&rng, &state) == -0.225761712f);
    CHECK(nb_gaussian(&rng, &state) == 0.572505057f);
    CHECK(nb_log_gamma(13.0f) == 19.987215f);
}

/* Any state and any mean: an end, and deviates in their range. */
static void test_any_state(void) {
    const int64_t states[] = {0, 1, -1, INT32_MAX, -INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    const float means[] = {0.0f, -1.0f, -1e30f, 11.99f, 12.0f, 1e6f, 1e30f, INFINITY, -INFINITY, NAN};
    for (int i = 0; i < (int)(sizeof states / sizeof *states); i++) {
        nb_rng rng;
        int64_t state = states[i];
        nb_rng_init(&rng);
        for (int j = 0; j < 1000; j++) {
            float u = nb_uniform(&rng, &state);
            CHECK(u >= 0.0f && u < 1.0f);
            CHECK(state >= 0 && state <= INT32_MAX);
        }
        state = states[i];
        for (int j = 0; j < 200; j++)
            (void)nb_poisson(&rng, &state, means[j % (int)(sizeof means / sizeof *means)]);
    }
}

static void test_arguments(void) {
    nb_rng rng;
    int64_t state = -1;
    float out[2];
    nb_rng_init(&rng);
    CHECK(nb_uniform_array(NULL, &state, 2, out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_gaussian_array(&rng, NULL, 2, out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_poisson_image(&rng, &state, 2, NULL, out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_poisson_image(&rng, &state, 0, NULL, NULL) == NB_OK);
}

int main(void) {
    test_first_numbers();
    test_any_state();
    test_arguments();
    return check_result();
}
