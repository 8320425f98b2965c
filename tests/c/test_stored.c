/* Stored numbers against sums and roundings written out one pixel at a time. */
#include "check.h"
#include "imaging.h"

enum { SLOW = 9, FAST = 13, N = SLOW * FAST };

static unsigned long long seed = 5;

static void draw(float *image, uint8_t *mask, int64_t roi[4]) {
    for (int i = 0; i < N; i++) {
        const double kind = test_uniform(&seed);
        image[i] = (float)(kind < 0.1 ? -100.0 * test_uniform(&seed) : 1e5 * test_uniform(&seed) * test_uniform(&seed));
        mask[i] = test_uniform(&seed) < 0.8;
    }
    roi[0] = (int64_t)(5 * test_uniform(&seed)), roi[1] = roi[0] + (int64_t)(5 * test_uniform(&seed));
    roi[2] = (int64_t)(7 * test_uniform(&seed)), roi[3] = roi[2] + (int64_t)(7 * test_uniform(&seed));
    if (test_uniform(&seed) < 0.3) roi[0] = roi[2] = 0, roi[1] = SLOW, roi[3] = FAST;
}

static int inside(const int64_t roi[4], int i) {
    return i / FAST >= roi[0] && i / FAST < roi[1] && i % FAST >= roi[2] && i % FAST < roi[3];
}

static void test_statistics(void) {
    float image[N];
    uint8_t mask[N];
    int64_t roi[4];
    for (int round = 0; round < 200; round++) {
        draw(image, mask, roi);
        const uint8_t *shown = round % 3 ? mask : NULL;
        nb_statistics want = {.position = -1}, got;
        for (int i = 0; i < N; i++) {
            if (!inside(roi, i) || (shown != NULL && !shown[i])) continue;
            const float square = image[i] * image[i];
            want.n++, want.sum += (double)image[i], want.squares += (double)square;
            if (image[i] > want.maximum) want.maximum = image[i], want.position = i;
        }
        for (int i = 0; i < N; i++) {
            const double off = (double)image[i] - (want.n ? want.sum / (double)want.n : 0.0);
            if (inside(roi, i)) want.deviations += off * off;
        }
        CHECK(nb_image_statistics(SLOW, FAST, image, roi, shown, &got) == NB_OK);
        CHECK(got.n == want.n && got.sum == want.sum && got.squares == want.squares && got.position == want.position);
        CHECK(got.maximum == want.maximum && got.deviations == want.deviations);
    }
}

static void test_counts_and_greys(void) {
    float image[N];
    uint8_t mask[N], grey[N];
    uint16_t counts[N];
    int64_t roi[4];
    for (int round = 0; round < 200; round++) {
        draw(image, mask, roi);
        image[3] = NAN, image[4] = INFINITY, image[5] = -INFINITY;
        const double scale = 2.0 * test_uniform(&seed), offset = 100.0 * test_uniform(&seed) - 20.0;
        for (int32_t as_original = 0; as_original < 2; as_original++) {
            CHECK(nb_integer_image(SLOW, FAST, image, roi, scale, offset, as_original, counts) == NB_OK);
            for (int i = 0; i < N; i++) {
                double want = (double)image[i] * scale + offset;
                want = !(want > 0.0) ? 0.0 : want > 65535.0 ? 65535.0 : want;
                want = as_original ? (double)(float)(want + 0.5) : want + 0.5;
                CHECK((double)counts[i] == (inside(roi, i) ? fmin(floor(want), 65535.0) : 0.0));
            }
        }
        CHECK(nb_grey_image(SLOW, FAST, image, roi, 0.01 * scale, grey) == NB_OK);
        for (int i = 0; i < N; i++) {
            const double want = (double)image[i] * (0.01 * scale);
            CHECK((double)grey[i] == (!inside(roi, i) || !(want > 0.0) ? 0.0 : fmin(floor(want), 255.0)));
        }
    }
}

static void test_calls_that_cannot_be_served(void) {
    float image[N] = {0.0f};
    uint8_t grey[N];
    uint16_t counts[N];
    nb_statistics s;
    const int64_t whole[4] = {0, SLOW, 0, FAST};
    static const int64_t bad[][4] = {{-1, SLOW, 0, FAST}, {0, SLOW + 1, 0, FAST}, {3, 2, 0, FAST},
                                     {0, SLOW, -1, FAST}, {0, SLOW, 0, FAST + 1}, {0, SLOW, 5, 4}};
    for (int i = 0; i < 6; i++) {
        CHECK(nb_image_statistics(SLOW, FAST, image, bad[i], NULL, &s) == NB_ERR_PIXEL_RANGE);
        CHECK(nb_integer_image(SLOW, FAST, image, bad[i], 1.0, 0.0, 0, counts) == NB_ERR_PIXEL_RANGE);
        CHECK(nb_grey_image(SLOW, FAST, image, bad[i], 1.0, grey) == NB_ERR_PIXEL_RANGE);
    }
    CHECK(nb_image_statistics(SLOW, FAST, NULL, whole, NULL, &s) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_image_statistics(SLOW, FAST, image, whole, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_integer_image(SLOW, FAST, NULL, whole, 1.0, 0.0, 0, counts) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_integer_image(SLOW, FAST, image, whole, 1.0, 0.0, 0, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_grey_image(SLOW, FAST, NULL, whole, 1.0, grey) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_grey_image(SLOW, FAST, image, whole, 1.0, NULL) == NB_ERR_NULL_ARGUMENT);
}

int main(void) {
    test_statistics();
    test_counts_and_greys();
    test_calls_that_cannot_be_served();
    return check_result();
}
