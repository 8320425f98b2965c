/* Several tables of structure factors: each source sees its own. */
#include "check.h"
#include "small_scene.h"

static small_scene s;

/* The scene with two tables of 4 rows, of which the first source sees the second. */
static void two_tables(void) {
    make_small_scene(&s);
    s.scene.n_hkl[0] = 8, s.scene.n_tables = 2;
    s.scene.source_table = s.source_table, s.source_table[0] = 1, s.source_table[1] = 0;
    s.scene.background = 0.0;
}

/* The image of one of its sources with its table alone, added to `sum`. */
static void add_alone(int source, nb_kernel kernel, double *sum) {
    double image[SMALL_PIXELS];
    two_tables();
    nb_scene *c = &s.scene;
    c->incident += 3 * source, c->wavelength += source, c->weight += source, c->n_sources = 1;
    c->f_table += s.source_table[source] * 4 * SMALL_TABLE * SMALL_TABLE;
    c->n_hkl[0] = 4, c->n_tables = 1, c->source_table = NULL;
    CHECK(nb_scene_validate(c, NULL) == NB_OK);
    CHECK(nb_render_with(c, kernel, 0, c->n_pixels, image, NULL) == NB_OK);
    for (int i = 0; i < SMALL_PIXELS; i++)
        sum[i] += image[i];
}

static void test_sum(nb_kernel kernel) {
    double sum[SMALL_PIXELS] = {0.0}, image[SMALL_PIXELS], pixel;
    for (int source = 0; source < 2; source++)
        add_alone(source, kernel, sum);
    two_tables();
    nb_scene *c = &s.scene;
    CHECK(nb_scene_validate(c, NULL) == NB_OK);
    CHECK(nb_render_with(c, kernel, 0, c->n_pixels, image, NULL) == NB_OK);
    for (int i = 0; i < SMALL_PIXELS; i++) {
        CHECK(fabs(image[i] - sum[i]) <= 1e-12 * sum[i]);
        CHECK(nb_render_with(c, kernel, i, i + 1, &pixel, NULL) == NB_OK && pixel == image[i]);
    }
    c->f_table = NULL, c->n_hkl[0] = c->n_hkl[1] = c->n_hkl[2] = 0; /* default_F for every source */
    CHECK(nb_scene_validate(c, NULL) == NB_OK);
    CHECK(nb_render_with(c, kernel, 0, c->n_pixels, image, NULL) == NB_OK);
}

int main(void) {
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        if (nb_kernel_available(kernel) && kernel != NB_KERNEL_FAST) test_sum(kernel);
    }
    return check_result();
}
