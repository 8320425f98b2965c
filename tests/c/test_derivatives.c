/* Gradients and tangents against finite differences, against each other, and vector kernels against the scalar one. */
#include "check.h"
#include "small_scene.h"

#include <stdlib.h>

enum { MOST_FIELDS = 32, MOST_PIXELS = 320, MOST_VALUES = SMALL_TABLE * SMALL_TABLE * SMALL_TABLE, TANGENTS = 9 };

static unsigned long long seed = 11;

static double between(double low, double high) {
    return low + (high - low) * test_uniform(&seed);
}

static int chance(double p) {
    return test_uniform(&seed) < p;
}

/* A smooth scene of any kind. */
static void make_scene(small_scene *s) {
    make_small_scene(s);
    nb_scene *c = &s->scene;
    for (int i = 0; i < 3; i++) {
        c->pix0[i] += between(-1e-4, 1e-4);
        c->fast[i] += between(-0.05, 0.05), c->slow[i] += between(-0.05, 0.05), c->normal[i] += between(-0.05, 0.05);
    }
    for (int i = 0; i < 2; i++) {
        s->incident[i][1] = between(-0.03, 0.03), s->incident[i][2] = between(-0.03, 0.03);
        s->incident[i][0] = sqrt(1.0 - s->incident[i][1] * s->incident[i][1] - s->incident[i][2] * s->incident[i][2]);
    }
    for (int i = 0; i < 36; i++)
        (&s->orientations[0][0][0])[i] += between(-2e-10, 2e-10);
    c->shape = (int32_t)between(0, 4);
    c->has_block_matrix = chance(0.25);
    if (c->has_block_matrix && c->shape == NB_SQUARE) c->shape = NB_GAUSS;
    if (chance(0.3)) c->n_cells[0] = 3.5, c->n_cells[1] = 2.25;
    c->fudge = between(0.3, 2.0);
    c->curved = chance(0.2);
    c->point_pixel = chance(0.3);
    c->has_sensor = chance(0.7);
    c->polarized = chance(0.7);
    c->kahn_factor = between(0.0, 1.0);
    c->tricubic = chance(0.5);
    c->oversample = chance(0.5) ? 1 : 2;
    c->d_min = chance(0.3) ? between(10e-10, 60e-10) : 0.0;
    c->domain_weight = chance(0.3) ? s->domain_weight : NULL;
    if (chance(0.2)) c->f_table = NULL, c->n_hkl[0] = c->n_hkl[1] = c->n_hkl[2] = 0, c->tricubic = 0;
    for (int i = 0; c->f_table != NULL && i < 3; i++)
        c->hkl_min[i] = chance(0.5) ? -4 : (int64_t)between(-3, 1);
    if (chance(0.2)) {
        for (int i = 0; i < MOST_VALUES; i += 7)
            s->table[i] = 0.0;
    }
    c->background = chance(0.3) ? 0.0 : 0.1;
    if (chance(0.3)) {
        static const int64_t some[] = {0, 2, 3, 7, 11};
        memcpy(s->pixels, some, sizeof some);
        c->n_pixels = sizeof some / sizeof *some;
        c->interpolation_off[0] = c->n_pixels;
    }
}

/* Values of every continuous field, one array of the largest size each. */
typedef struct {
    double values[MOST_FIELDS][TANGENTS * MOST_VALUES];
    nb_gradient named;
} fields;

static int n_fields(void) {
    int n = 0;
    while (nb_gradient_name(n) != NULL)
        n++;
    CHECK(n <= MOST_FIELDS && nb_gradient_name(-1) == NULL);
    return n;
}

static void clear(fields *f, double absent) {
    memset(f, 0, sizeof *f);
    for (int i = 0; i < n_fields(); i++)
        nb_gradient_set(&f->named, i, chance(absent) ? NULL : f->values[i]);
}

static int is_there(const fields *f, int i) {
    nb_gradient only = f->named, none;
    memcpy(&none, &only, sizeof none);
    nb_gradient_set(&only, i, NULL);
    return memcmp(&none, &only, sizeof none) != 0;
}

/* Steps of the size that each field allows. */
static void draw_tangents(const nb_scene *c, fields *t) {
    for (int i = 0; i < n_fields(); i++) {
        const int64_t n = TANGENTS * nb_gradient_size(c, i);
        const char *name = nb_gradient_name(i);
        double scale = 1.0;
        if (!strcmp(name, "pixel_size") || !strcmp(name, "pix0")) scale = 1e-5;
        if (!strcmp(name, "fast") || !strcmp(name, "slow") || !strcmp(name, "normal") || !strcmp(name, "incident"))
            scale = 1e-2;
        if (!strcmp(name, "beam")) scale = 1e-2;
        if (strstr(name, "distance")) scale = 1e-3;
        if (!strcmp(name, "pixel_area")) scale = 1e-7;
        if (!strcmp(name, "layer_thickness")) scale = 1e-5;
        if (!strcmp(name, "attenuation")) scale = 1e2;
        if (!strcmp(name, "fluence")) scale = 1e28;
        if (!strcmp(name, "wavelength") || !strcmp(name, "orientations")) scale = 1e-11;
        /* the cells of a square crystal are counted, and have no derivative */
        if (!strcmp(name, "n_cells") && c->shape == NB_SQUARE) scale = 0.0;
        for (int64_t k = 0; k < n; k++)
            t->values[i][k] = scale * between(-1, 1);
    }
}

static double *field(small_scene *s, const char *name) {
    nb_scene *c = &s->scene;
    if (!strcmp(name, "incident")) return &s->incident[0][0];
    if (!strcmp(name, "wavelength")) return s->wavelength;
    if (!strcmp(name, "weight")) return s->weight;
    if (!strcmp(name, "orientations")) return &s->orientations[0][0][0];
    if (!strcmp(name, "f_table")) return s->table;
    for (int i = 0; nb_scene_field(i) != NULL; i++) {
        if (!strcmp(nb_scene_field(i)->name, name)) return (double *)((char *)c + nb_scene_field(i)->offset);
    }
    return NULL;
}

/* The scene a small way along the first tangent. */
static void moved(const small_scene *from, const fields *t, double h, small_scene *to) {
    memcpy(to, from, sizeof *to);
    nb_scene *c = &to->scene;
    c->pixels = to->pixels, c->incident = &to->incident[0][0], c->wavelength = to->wavelength, c->weight = to->weight;
    c->orientations = &to->orientations[0][0][0];
    if (c->f_table != NULL) c->f_table = to->table;
    if (c->domain_weight != NULL) c->domain_weight = to->domain_weight;
    for (int i = 0; i < n_fields(); i++) {
        double *values = field(to, nb_gradient_name(i));
        for (int64_t k = 0; is_there(t, i) && k < nb_gradient_size(c, i); k++)
            values[k] += h * t->values[i][k];
    }
}

static double largest(const double *values, int64_t n) {
    double most = 0.0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(values[i]));
    return most;
}

static double tangent_along(const nb_scene *c, const fields *gradient, const fields *t, int k, double *size) {
    double sum = 0.0;
    for (int i = 0; i < n_fields(); i++) {
        const int64_t n = nb_gradient_size(c, i);
        for (int64_t j = 0; is_there(t, i) && j < n; j++) {
            sum += gradient->values[i][j] * t->values[i][k * n + j];
            *size += fabs(gradient->values[i][j] * t->values[i][k * n + j]);
        }
    }
    return sum;
}

/* Central differences along the first tangent; a nearest index or the edge of the table may lie between. */
static void compare_differences(const small_scene *s, const fields *tangents, const double *out, int *compared) {
    static small_scene ahead, behind;
    const nb_scene *c = &s->scene;
    const int64_t n = c->n_pixels;
    double up[SMALL_PIXELS], down[SMALL_PIXELS], image[SMALL_PIXELS];
    CHECK(nb_render(c, 0, n, image, NULL) == NB_OK);
    moved(s, tangents, 1e-4, &ahead);
    moved(s, tangents, -1e-4, &behind);
    CHECK(nb_render(&ahead.scene, 0, n, up, NULL) == NB_OK && nb_render(&behind.scene, 0, n, down, NULL) == NB_OK);
    for (int64_t i = 0; i < n; i++) {
        const double step = (up[i] - down[i]) / 2e-4, bend = fabs(up[i] - 2.0 * image[i] + down[i]) / 1e-4;
        const double scale = largest(out, n) + largest(image, n);
        if (bend > 1e-3 * scale) continue;
        CHECK_CLOSE(out[i], step, 2e-3 * scale); /* 4.3e-4 over four seeds */
        ++*compared;
    }
}

/* What a kernel says of the fields in `wanted` is what the scalar one says. */
static void compare_kernel(const nb_scene *c, nb_kernel kernel, const fields *tangents, const double *out,
                           const double *cotangent, const fields *gradient) {
    static fields wanted;
    static double by_kernel[TANGENTS * MOST_PIXELS], image[MOST_PIXELS];
    const int64_t n = c->n_pixels;
    const double scale = largest(out, TANGENTS * n);
    CHECK(nb_render(c, 0, n, image, NULL) == NB_OK);
    CHECK(nb_push_forward(c, kernel, 0, n, TANGENTS, &tangents->named, by_kernel, n, NULL) == NB_OK);
    for (int64_t i = 0; i < TANGENTS * n; i++)
        CHECK_CLOSE(by_kernel[i], out[i], 1e-9 * scale); /* 1.4e-11 */
    clear(&wanted, chance(0.5) ? 0.0 : 0.4);
    CHECK(nb_pull_back(c, kernel, 0, n, cotangent, &wanted.named, NULL) == NB_OK);
    for (int i = 0; i < n_fields(); i++) {
        const int64_t m = nb_gradient_size(c, i);
        double most = largest(gradient->values[i], m);
        if (!strcmp(nb_gradient_name(i), "weight")) most += 1e-6 * largest(image, n); /* shares of a sum: they cancel */
        for (int64_t j = 0; is_there(&wanted, i) && j < m; j++)
            CHECK_CLOSE(wanted.values[i][j], gradient->values[i][j], 1e-8 * most); /* 2.2e-10 */
    }
}

/* <c, J t> = <J* c, t>, by every kernel; `small`: where differences can be taken, or NULL. */
static void test_scene(const nb_scene *c, const small_scene *small, int *compared) {
    static fields tangents, gradient;
    static double out[TANGENTS * MOST_PIXELS], cotangent[MOST_PIXELS];
    CHECK(nb_scene_validate(c, NULL) == NB_OK && nb_adjoint_obstacle(c) == NULL);
    const int64_t n = c->n_pixels;
    clear(&tangents, chance(0.5) ? 0.0 : 0.4);
    draw_tangents(c, &tangents);
    CHECK(nb_push_forward(c, NB_KERNEL_SCALAR, 0, n, TANGENTS, &tangents.named, out, n, NULL) == NB_OK);
    if (small != NULL && c->shape != NB_TOPHAT && c->d_min == 0.0) compare_differences(small, &tangents, out, compared);
    for (int64_t i = 0; i < n; i++)
        cotangent[i] = i % 3 == 1 ? 0.0 : between(-1, 1);
    clear(&gradient, 0.0);
    CHECK(nb_pull_back(c, NB_KERNEL_SCALAR, 0, n, cotangent, &gradient.named, NULL) == NB_OK);
    for (int k = 0; k < TANGENTS; k++) {
        double forward = 0.0, size = 0.0;
        for (int64_t i = 0; i < n; i++)
            forward += cotangent[i] * out[k * n + i];
        CHECK_CLOSE(tangent_along(c, &gradient, &tangents, k, &size), forward,
                    1e-11 * (size + fabs(forward))); /* 2.9e-13 */
    }
    for (nb_kernel kernel = NB_KERNEL_SCALAR + 1; kernel < NB_N_KERNELS; kernel++) {
        if (nb_kernel_available(kernel)) compare_kernel(c, kernel, &tangents, out, cotangent, &gradient);
    }
}

/* Long rows, and spots that most of their pixels are far from: those are passed over. */
static void test_small_spots(void) {
    enum { FAST = MOST_PIXELS / 2, PHI = 40 };
    static small_scene s;
    static int64_t pixels[MOST_PIXELS];
    static double orientations[PHI][2][9];
    for (int round = 0; round < 40; round++) {
        make_small_scene(&s);
        nb_scene *c = &s.scene;
        c->n_fast = FAST, c->n_slow = 2, c->n_pixels = c->n_fast * c->n_slow;
        for (int i = 0; i < MOST_PIXELS; i++)
            pixels[i] = i;
        c->pixels = pixels, c->interpolation_off[0] = c->n_pixels;
        c->pixel_size[0] = c->pixel_size[1] = chance(0.5) ? 1e-4 : 1e-3;
        c->shape = chance(0.5) ? NB_GAUSS : NB_TOPHAT;
        for (int i = 0; i < 3; i++)
            c->n_cells[i] = 2.0 + 20.0 * test_uniform(&seed);
        c->has_block_matrix = 0, c->oversample = 1, c->tricubic = chance(0.3), c->n_domains = 2;
        c->n_phi = chance(0.5) ? PHI : 2;
        for (int at = 0; at < PHI; at++) {
            for (int domain = 0; domain < 2; domain++) {
                double *cell = orientations[at][domain];
                memcpy(cell, s.orientations[0][0], sizeof orientations[at][domain]);
                for (int i = 0; i < 9; i++)
                    cell[i] += 5e-11 * (double)at + between(-2e-11, 2e-11);
            }
        }
        c->orientations = &orientations[0][0][0];
        if (chance(0.4)) {
            c->f_table = NULL, c->n_hkl[0] = c->n_hkl[1] = c->n_hkl[2] = 0, c->tricubic = 0;
            if (chance(0.3)) c->default_F = 0.0;
        }
        test_scene(c, NULL, NULL);
    }
}

static void test_scenes_of_every_kind(void) {
    static small_scene s;
    int compared = 0;
    for (int round = 0; round < 300; round++) {
        make_scene(&s);
        test_scene(&s.scene, &s, &compared);
    }
    CHECK(compared > 300);
}

/* Two tables, one for each source. */
static void test_several_tables(void) {
    static small_scene s;
    int compared = 0;
    for (int round = 0; round < 100; round++) {
        make_scene(&s);
        if (s.scene.f_table == NULL) continue;
        s.scene.n_tables = 2, s.scene.n_hkl[0] = SMALL_TABLE - 1;
        s.source_table[0] = 1, s.scene.source_table = s.source_table;
        test_scene(&s.scene, &s, &compared);
    }
    CHECK(compared > 100);
}

static void test_calls_that_cannot_be_served(void) {
    static small_scene s;
    static fields f;
    make_small_scene(&s);
    clear(&f, 0.0);
    nb_scene *c = &s.scene;
    const int64_t n = c->n_pixels;
    double out[SMALL_PIXELS], cotangent[SMALL_PIXELS];
    const nb_kernel scalar = NB_KERNEL_SCALAR;
    const int stop = 1;
    for (int i = 0; i < SMALL_PIXELS; i++)
        cotangent[i] = 1.0;
    CHECK(nb_pull_back(NULL, scalar, 0, n, cotangent, &f.named, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_pull_back(c, scalar, 0, n, NULL, &f.named, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_pull_back(c, scalar, 0, n, cotangent, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_pull_back(c, scalar, 0, 0, NULL, &f.named, NULL) == NB_OK);
    CHECK(nb_pull_back(c, scalar, -1, n, cotangent, &f.named, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_pull_back(c, scalar, 2, 1, cotangent, &f.named, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_pull_back(c, scalar, 0, n + 1, cotangent, &f.named, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_pull_back(c, NB_N_KERNELS, 0, n, cotangent, &f.named, NULL) == NB_ERR_KERNEL);
    CHECK(nb_push_forward(NULL, scalar, 0, n, 1, &f.named, out, n, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_push_forward(c, scalar, 0, n, 1, NULL, out, n, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_push_forward(c, scalar, 0, n, 1, &f.named, NULL, n, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_push_forward(c, scalar, 0, n, 0, &f.named, NULL, n, NULL) == NB_OK);
    CHECK(nb_push_forward(c, scalar, 0, 0, 1, &f.named, NULL, n, NULL) == NB_OK);
    CHECK(nb_push_forward(c, scalar, -1, n, 1, &f.named, out, n, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_push_forward(c, scalar, 2, 1, 1, &f.named, out, n, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_push_forward(c, scalar, 0, n + 1, 1, &f.named, out, n, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_push_forward(c, NB_N_KERNELS, 0, n, 1, &f.named, out, n, NULL) == NB_ERR_KERNEL);
    for (nb_kernel kernel = scalar; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        CHECK(nb_pull_back(c, kernel, 0, n, cotangent, &f.named, &stop) == NB_ERR_CANCELLED);
        CHECK(nb_push_forward(c, kernel, 0, n, 1, &f.named, out, n, &stop) == NB_ERR_CANCELLED);
    }
    clear(&f, 0.0);
    cotangent[3] = NAN;
    CHECK(nb_pull_back(c, scalar, 0, n, cotangent, &f.named, NULL) == NB_ERR_NOT_FINITE);
    CHECK(f.values[0][0] == 0.0);
    cotangent[3] = 1.0;

    /* scenes without derivatives */
    c->quirks = NB_SINCG_ROUNDOFF;
    CHECK(nb_adjoint_obstacle(c) != NULL);
    CHECK(nb_pull_back(c, scalar, 0, n, cotangent, &f.named, NULL) == NB_ERR_KERNEL);
    CHECK(nb_push_forward(c, scalar, 0, n, 1, &f.named, out, n, NULL) == NB_ERR_KERNEL);
    c->quirks = 0;
    int32_t *modes[] = {&c->capture_mode, &c->polar_mode, &c->omega_mode};
    for (int i = 0; i < 3; i++) {
        *modes[i] = NB_CACHED;
        CHECK(nb_adjoint_obstacle(c) != NULL);
        *modes[i] = NB_PER_TERM;
    }
    c->orientations_first_pass = &s.first[0][0][0];
    CHECK(nb_adjoint_obstacle(c) != NULL);
    c->orientations_first_pass = NULL;
    c->tricubic = 1, c->interpolation_off[0] = 3;
    CHECK(nb_adjoint_obstacle(c) != NULL);
    c->interpolation_off[0] = n;
    CHECK(nb_adjoint_obstacle(c) == NULL);
    /* no solid angle: left to the scalar kernel */
    c->pixel_area = 0.0;
    for (nb_kernel kernel = scalar; kernel < NB_N_KERNELS; kernel++) {
        if (nb_kernel_available(kernel)) CHECK(nb_pull_back(c, kernel, 0, n, cotangent, &f.named, NULL) == NB_OK);
    }
}

int main(void) {
    test_scenes_of_every_kind();
    test_small_spots();
    test_calls_that_cannot_be_served();
    test_several_tables();
    return check_result();
}
