/* The sampler: published answers of Philox4x32-10, and means that no image should have. */
#include "check.h"
#include "imaging.h"
#include "philox.h"

#include <math.h>
#include <stddef.h>

/* Random123, kat_vectors: counter, key, result. */
static void test_known_answers(void) {
    static const uint32_t vectors[3][10] = {{0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                            {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
                                             0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                            {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
                                             0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t x[4] = {vectors[i][0], vectors[i][1], vectors[i][2], vectors[i][3]};
        nb_philox_block(x, vectors[i][4], vectors[i][5]);
        for (int j = 0; j < 4; j++)
            CHECK(x[j] == vectors[i][6 + j]);
    }
}

/* A pixel's deviates do not depend on the pixels around it. */
static void test_one_by_one(void) {
    const nb_stream stream = {7, 1, 2, 3, 4};
    enum { N = 700 };
    double all[N], one, mean[N];
    CHECK(nb_sample_uniform(&stream, 100, N, all) == NB_OK);
    for (int i = 0; i < N; i += 37) {
        uint32_t x[4] = {(uint32_t)(100 + i), 2, 3, 4};
        nb_philox_block(x, 7, 1);
        CHECK(all[i] == nb_philox_unit(x[0], x[1]));
    }
    for (int i = 0; i < N; i++)
        mean[i] = pow(10.0, (double)(i % 20) - 3.0);
    CHECK(nb_sample_poisson(&stream, 100, N, mean, all) == NB_OK);
    for (int i = 0; i < N; i += 37) {
        CHECK(nb_sample_poisson(&stream, (uint32_t)(100 + i), 1, mean + i, &one) == NB_OK);
        CHECK(one == all[i] && one >= 0.0 && one == floor(one));
    }
}

static void test_odd_means(void) {
    const nb_stream stream = {1, 0, 0, 0, 0};
    const double mean[] = {0.0, -1.0, -INFINITY, NAN, 1e-300, 17.999999, 18.0, 1e15, 1e300};
    double out[9];
    CHECK(nb_sample_poisson(&stream, 0xffffffff, 9, mean, out) == NB_OK);
    for (int i = 0; i < 5; i++)
        CHECK(out[i] == 0.0);
    CHECK(fabs(out[7] - 1e15) < 10.0 * sqrt(1e15) && isfinite(out[8]));
    CHECK(nb_sample_poisson(&stream, 0, 1, NULL, out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_sample_normal(NULL, 0, 1, out) == NB_ERR_NULL_ARGUMENT);
}

static void test_quantile(void) {
    CHECK(nb_normal_quantile(0.5) == 0.0);
    CHECK(fabs(nb_normal_quantile(0.25) + 0.67448975019608174) < 1e-15); /* Wichura's check values */
    CHECK(fabs(nb_normal_quantile(0.001) + 3.0902323061678135) < 1e-14);
    CHECK(fabs(nb_normal_quantile(1e-20) + 9.2623400897984076) < 1e-14);
}

/* Mean and variance are the mean, and so are the deviates below it; by inversion, by rejection and from the normal. */
static void test_moments(void) {
    enum { N = 100000 };
    static double mean[N], out[N];
    const nb_stream stream = {3, 1, 0, 0, 0};
    const double means[] = {0.5, 17.9, 18.1, 30.0, 1e4};
    for (int m = 0; m < 5; m++) {
        double sum = 0.0, squares = 0.0;
        for (int i = 0; i < N; i++)
            mean[i] = means[m];
        CHECK(nb_sample_poisson(&stream, 0, N, mean, out) == NB_OK);
        for (int i = 0; i < N; i++) {
            CHECK(out[i] >= 0.0 && out[i] == floor(out[i]));
            sum += out[i] - means[m], squares += (out[i] - means[m]) * (out[i] - means[m]);
        }
        CHECK_CLOSE(sum / N, 0.0, 5.0 * sqrt(means[m] / N));
        CHECK_CLOSE(squares / N / means[m], 1.0, 5.0 * sqrt((2.0 + 1.0 / means[m]) / N)); /* 5 standard errors */
    }
    double normal[1000];
    CHECK(nb_sample_normal(&stream, 5, 1000, normal) == NB_OK && isfinite(normal[999]));
    CHECK(nb_sample_uniform(NULL, 0, 0, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_sample_uniform(&stream, 0, 1, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_sample_uniform(&stream, 0, 0, NULL) == NB_OK);
    CHECK(nb_sample_poisson(NULL, 0, 0, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_sample_poisson(&stream, 0, 1, mean, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_sample_poisson(&stream, 0, 0, NULL, NULL) == NB_OK);
}

int main(void) {
    test_moments();
    test_known_answers();
    test_one_by_one();
    test_odd_means();
    test_quantile();
    return check_result();
}
