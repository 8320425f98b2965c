/* Calls that cannot be served: a status or NULL, and nothing is read or written. */
#include "check.h"
#include "small_scene.h"

#include <stddef.h>

static small_scene s;

static void test_rendering(void) {
    double out[SMALL_PIXELS];
    const nb_scene *c = &s.scene;
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        CHECK(nb_render_with(NULL, kernel, 0, 1, out, NULL) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_render_with(c, kernel, 0, 1, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
        CHECK(nb_render_with(c, kernel, 2, 2, NULL, NULL) == NB_OK);
        CHECK(nb_render_with(c, kernel, -1, 1, out, NULL) == NB_ERR_PIXEL_RANGE);
        CHECK(nb_render_with(c, kernel, 2, 1, out, NULL) == NB_ERR_PIXEL_RANGE);
        CHECK(nb_render_with(c, kernel, 0, SMALL_PIXELS + 1, out, NULL) == NB_ERR_PIXEL_RANGE);
    }
    CHECK(nb_render_with(c, (nb_kernel)-1, 0, 1, out, NULL) == NB_ERR_KERNEL);
    CHECK(nb_kernel_name((nb_kernel)-1) == NULL && nb_kernel_name(NB_N_KERNELS) == NULL);
}

static int no_record(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n) {
    (void)context, (void)quantity, (void)index, (void)values, (void)n;
    return 0;
}

static void test_looking_at_a_scene(void) {
    const nb_scene *c = &s.scene;
    const nb_recorder recorder = {no_record, NULL}, empty = {NULL, NULL};
    nb_prescan_result found;
    double out;
    CHECK(nb_trace(NULL, 0, &recorder, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_trace(c, 0, NULL, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_trace(c, 0, &empty, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_trace(c, 0, &recorder, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_trace(c, -1, &recorder, &out) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_trace(c, SMALL_PIXELS, &recorder, &out) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_quantity_name((nb_quantity)-1) == NULL);
    CHECK(nb_prescan(NULL, 0, 1, 0, 1, &found) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_prescan(c, 0, 1, 0, 1, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_prescan(c, 0, 1, -1, 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_prescan(c, -1, 1, 0, 1, &found) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_scene_field(-1) == NULL && nb_scene_field(1000) == NULL && nb_scene_field(0) != NULL);
    CHECK(nb_gradient_name(-1) == NULL && nb_gradient_name(1000) == NULL && nb_gradient_name(0) != NULL);
    s.scene.n_fast = 0;
    CHECK(nb_scene_validate(c, NULL) != NB_OK); /* without a place for the fault */
    s.scene.n_fast = SMALL_FAST;
    CHECK(nb_scene_validate(NULL, NULL) == NB_ERR_NULL_ARGUMENT);
}

static void test_deviates(void) {
    nb_rng rng;
    int64_t state = 1;
    float mean = 1.0f, out;
    nb_rng_init(&rng);
    CHECK(nb_uniform_array(NULL, &state, 1, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_uniform_array(&rng, NULL, 1, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_uniform_array(&rng, &state, 1, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_uniform_array(&rng, &state, 0, NULL) == NB_OK);
    CHECK(nb_gaussian_array(NULL, &state, 1, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_gaussian_array(&rng, NULL, 1, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_gaussian_array(&rng, &state, 1, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_gaussian_array(&rng, &state, 0, NULL) == NB_OK);
    CHECK(nb_poisson_image(NULL, &state, 1, &mean, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_poisson_image(&rng, NULL, 1, &mean, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_poisson_image(&rng, &state, 1, NULL, &out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_poisson_image(&rng, &state, 1, &mean, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_poisson_image(&rng, &state, 0, NULL, NULL) == NB_OK);
    CHECK(nb_uniform_array(&rng, &state, 1, &out) == NB_OK && out > 0.0f && out < 1.0f);
    CHECK(nb_gaussian_array(&rng, &state, 1, &out) == NB_OK && fabsf(out) < 10.0f);
    CHECK(nb_poisson_image(&rng, &state, 1, &mean, &out) == NB_OK && out >= 0.0f && out == floorf(out));
}

/* Every status has a sentence of its own that ends with its symbol. */
static void test_sentences(void) {
    int known = 0;
    const char *unknown = nb_strerror(1);
    for (int status = -400; status <= 0; status++) {
        const char *text = nb_strerror(status);
        CHECK(text != NULL && text[0] != 0);
        known += strcmp(text, unknown) != 0;
        if (strcmp(text, unknown) != 0) CHECK(strstr(text, "(NB_") != NULL && text[strlen(text) - 1] == ')');
    }
    CHECK(known >= 16);
}

int main(void) {
    make_small_scene(&s);
    test_rendering();
    test_looking_at_a_scene();
    test_deviates();
    test_sentences();
    return check_result();
}
