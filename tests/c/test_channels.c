/* Channels against images in which the sources have other weights. */
#include "check.h"
#include "small_scene.h"

enum { CHANNELS = 3 };

static unsigned long long seed = 7;

static int one_of(int n) {
    return (int)(n * test_uniform(&seed));
}

static void make_scene(small_scene *s) {
    make_small_scene(s);
    nb_scene *c = &s->scene;
    c->shape = one_of(NB_N_SHAPES), c->oversample = 1 + one_of(2);
    c->has_sensor = one_of(2), c->polarized = one_of(2), c->point_pixel = one_of(2), c->tricubic = one_of(2);
    c->capture_mode = one_of(3), c->polar_mode = one_of(3), c->omega_mode = one_of(3);
    c->d_min = one_of(3) ? 0.0 : 3e-9;
    c->background = 0.0; /* channels are of the spots */
    for (int i = 0; i < 36; i++)
        (&s->orientations[0][0][0])[i] += 4e-10 * (test_uniform(&seed) - 0.5);
    for (int i = 0; i < 2; i++)
        s->incident[i][1] = 0.02 * test_uniform(&seed);
}

static void test_weights(void) {
    static small_scene s;
    int rendered = 0;
    for (int round = 0; round < 200; round++) {
        make_scene(&s);
        nb_scene *c = &s.scene;
        const double weight[CHANNELS][2] = {{0.5, 0.0}, {0.0, 3.0}, {0.25, 1.5}};
        const double before[2] = {s.weight[0], s.weight[1]};
        for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
            if (!nb_kernel_available(kernel) || (kernel != NB_KERNEL_SCALAR && nb_simd_obstacle(c) != NULL)) continue;
            double out[SMALL_PIXELS], plain[SMALL_PIXELS], sums[CHANNELS][SMALL_PIXELS], want[SMALL_PIXELS];
            const nb_channels channels = {CHANNELS, &weight[0][0], &sums[0][0]};
            CHECK(nb_render_with(c, kernel, 0, SMALL_PIXELS, plain, NULL) == NB_OK);
            CHECK(nb_render_channels(c, kernel, 0, 5, out, &channels, NULL) == NB_OK);
            CHECK(nb_render_channels(c, kernel, 5, SMALL_PIXELS, out + 5, &channels, NULL) == NB_OK);
            CHECK(memcmp(out, plain, sizeof out) == 0);
            for (int n = 0; n < CHANNELS; n++) {
                for (int i = 0; i < 2; i++)
                    s.weight[i] = weight[n][i] * before[i];
                CHECK(nb_render_with(c, kernel, 0, SMALL_PIXELS, want, NULL) == NB_OK);
                memcpy(s.weight, before, sizeof before);
                for (int i = 0; i < SMALL_PIXELS; i++)
                    CHECK_CLOSE(sums[n][i], want[i], 1e-12 * fabs(plain[i]) + 1e-12 * fabs(want[i]));
            }
            rendered++;
        }
    }
    CHECK(rendered > 250); /* not the scalar kernel alone */
}

static void test_calls_that_cannot_be_served(void) {
    static small_scene s;
    make_small_scene(&s);
    double out[SMALL_PIXELS], sums[2 * SMALL_PIXELS], weight[4] = {1.0, 0.0, 0.0, 1.0};
    const nb_channels channels = {2, weight, sums}, none = {0, NULL, NULL};
    const int stop = 1;
    const nb_kernel scalar = NB_KERNEL_SCALAR;
    CHECK(nb_render_channels(NULL, scalar, 0, 1, out, &channels, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_render_channels(&s.scene, scalar, 0, 1, NULL, &channels, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_render_channels(&s.scene, scalar, 0, 0, NULL, &channels, NULL) == NB_OK);
    CHECK(nb_render_channels(&s.scene, scalar, -1, 1, out, &channels, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_render_channels(&s.scene, scalar, 2, 1, out, &channels, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_render_channels(&s.scene, scalar, 0, SMALL_PIXELS + 1, out, &channels, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_render_channels(&s.scene, NB_N_KERNELS, 0, 1, out, &channels, NULL) == NB_ERR_KERNEL);
    for (nb_kernel kernel = scalar; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        CHECK(nb_render_channels(&s.scene, kernel, 0, SMALL_PIXELS, out, &channels, &stop) == NB_ERR_CANCELLED);
        CHECK(nb_render_channels(&s.scene, kernel, 0, SMALL_PIXELS, out, &none, NULL) == NB_OK);
    }
}

int main(void) {
    test_weights();
    test_calls_that_cannot_be_served();
    return check_result();
}
