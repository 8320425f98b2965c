/* Diffuse scattering at its edges: every kernel, odd numbers, the table's border, maps, what is refused. */
#include "check.h"
#include "imaging.h"
#include "small_scene.h"

#include <math.h>
#include <stddef.h>

enum { SIDE = 5, N_FORMS = 3 };

typedef struct {
    double table[SIDE * SIDE * SIDE];
    double forms[N_FORMS][2][6], weight[N_FORMS];
    double turns[2][2][9];
    int64_t counts[2];
    nb_diffuse diffuse;
} liquid;

/* Two turns, the second one that of a threefold axis; the last two forms belong to it. */
static void make_liquid(liquid *l) {
    static const double there[2][9] = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 1, 0, -1, -1, 0, 0, 0, 1}};
    static const double back[2][9] = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, {-1, -1, 0, 1, 0, 0, 0, 0, 1}};
    memset(l, 0, sizeof *l);
    for (int i = 0; i < SIDE * SIDE * SIDE; i++)
        l->table[i] = 1.0 + (7 * i) % 97;
    for (int i = 0; i < N_FORMS; i++) {
        l->weight[i] = 0.25 * (1.0 + (i == 0));
        for (int j = 0; j < 3; j++)
            l->forms[i][0][j] = 1e-3 * (1 + i), l->forms[i][1][j] = 10.0 + 5 * i + j;
        l->forms[i][0][3] = 1e-4, l->forms[i][1][4] = -1.0;
    }
    for (int turn = 0; turn < 2; turn++) {
        memcpy(l->turns[turn][0], there[turn], sizeof there[turn]);
        memcpy(l->turns[turn][1], back[turn], sizeof back[turn]);
        l->counts[turn] = 1 + turn;
    }
    nb_diffuse *d = &l->diffuse;
    d->strength = 1e3, d->forms = &l->forms[0][0][0], d->form_weight = l->weight, d->n_forms = N_FORMS;
    d->turns = &l->turns[0][0][0], d->counts = l->counts, d->n_turns = 2;
    d->stencil = 1, d->n_orders = 1, d->table = l->table, d->grid = 1.0;
    for (int i = 0; i < 3; i++)
        d->n_table[i] = SIDE, d->first[i] = -2.0;
}

static void one_point(small_scene *s) {
    make_small_scene(s);
    s->scene.oversample = s->scene.n_layers = 1, s->scene.n_phi = 1, s->scene.n_domains = 2;
}

static void render(const small_scene *s, const nb_diffuse *d, nb_kernel kernel, double photons[SMALL_PIXELS]) {
    memset(photons, 0, SMALL_PIXELS * sizeof *photons);
    CHECK(nb_add_diffuse(&s->scene, d, kernel, 0, SMALL_PIXELS, photons, NULL) == NB_OK);
}

static void test_kernels(nb_kernel kernel) {
    small_scene s;
    liquid l;
    double want[SMALL_PIXELS], got[SMALL_PIXELS];
    for (int form = 0; form < 16; form++) {
        one_point(&s);
        make_liquid(&l);
        l.diffuse.n_orders = form & 1 ? 3 : 1, l.diffuse.stencil = form & 2 ? 2 : 0, l.diffuse.is_map = form >> 3;
        s.scene.curved = (form & 4) != 0, s.scene.polarized = !(form & 1), s.scene.has_sensor = form & 1;
        s.scene.domain_weight = form & 4 ? s.domain_weight : NULL;
        if (form == 15) s.scene.polarization_axis[0] = 1.0, s.scene.polarization_axis[2] = 0.0;
        render(&s, &l.diffuse, NB_KERNEL_SCALAR, want);
        render(&s, &l.diffuse, kernel, got);
        for (int i = 0; i < SMALL_PIXELS; i++) {
            /* beside the map there is nothing, and the reflection 0 0 0 has no displacement */
            CHECK(want[i] > 0.0 || ((l.diffuse.is_map || l.diffuse.stencil == 0) && want[i] == 0.0));
            CHECK_CLOSE(got[i], want[i], 1e-13 * want[i]);
        }
        CHECK(want[SMALL_PIXELS / 2] > 0.0);
        /* what is there already stays, and a part is that of the whole */
        double part[3] = {1.0, 1.0, 1.0};
        CHECK(nb_add_diffuse(&s.scene, &l.diffuse, kernel, 4, 7, part, NULL) == NB_OK);
        for (int i = 0; i < 3; i++)
            CHECK_CLOSE(part[i], 1.0 + got[4 + i], 1e-15 * (1.0 + got[4 + i]));
    }
}

/* Far away only the border counts, wherever that is; NaN and infinity stay inside of the table. */
static void test_odd_numbers(nb_kernel kernel) {
    const double odd[] = {1e-10, 1e-9, 1e-30, 1e30, 1e300, INFINITY, NAN, -1e-10, 1e-300};
    small_scene s;
    liquid l;
    double photons[SMALL_PIXELS];
    for (int i = 0; i < (int)(sizeof odd / sizeof *odd); i++)
        for (int map = 0; map < 2; map++) {
            one_point(&s);
            make_liquid(&l);
            l.diffuse.is_map = map;
            s.wavelength[0] = odd[i];
            render(&s, &l.diffuse, kernel, photons);
            make_liquid(&l);
            l.diffuse.is_map = map, l.diffuse.first[1] = odd[i], l.forms[0][1][0] = odd[i];
            s.wavelength[0] = 1e-10;
            render(&s, &l.diffuse, kernel, photons);
        }
}

static void test_refused(nb_kernel kernel) {
    small_scene s;
    liquid l;
    double photons[SMALL_PIXELS] = {0.0};
    one_point(&s);
#define REFUSED(status, ...)                                                                                           \
    do {                                                                                                               \
        make_liquid(&l);                                                                                               \
        nb_diffuse *d = &l.diffuse;                                                                                    \
        __VA_ARGS__;                                                                                                   \
        CHECK(nb_add_diffuse(&s.scene, d, kernel, 0, SMALL_PIXELS, photons, NULL) == (status));                        \
    } while (0)
    REFUSED(NB_ERR_NULL_ARGUMENT, d->table = NULL);
    REFUSED(NB_ERR_NULL_ARGUMENT, d->forms = NULL);
    REFUSED(NB_ERR_NULL_ARGUMENT, d->form_weight = NULL);
    REFUSED(NB_ERR_NULL_ARGUMENT, d->turns = NULL);
    REFUSED(NB_ERR_NULL_ARGUMENT, d->counts = NULL);
    REFUSED(NB_ERR_BELOW_ONE, d->n_table[2] = 0);
    REFUSED(NB_ERR_BELOW_ONE, d->is_map = 1, d->n_table[0] = 1);
    REFUSED(NB_ERR_BELOW_ONE, d->n_orders = 0);
    REFUSED(NB_ERR_BELOW_ONE, d->n_forms = 0);
    REFUSED(NB_ERR_NEGATIVE, d->stencil = -1);
    REFUSED(NB_ERR_NEGATIVE, l.counts[0] = -1);
    REFUSED(NB_ERR_TOO_LARGE, l.counts[0] = 4);
    REFUSED(NB_ERR_NOT_POSITIVE, d->is_map = 1, d->grid = 0.0);
    REFUSED(NB_ERR_TOO_LARGE, s.scene.n_phi = 2);
    one_point(&s);
    make_liquid(&l);
    const nb_diffuse *d = &l.diffuse;
    volatile int stop = 1;
    CHECK(nb_add_diffuse(&s.scene, d, kernel, 0, SMALL_PIXELS, photons, &stop) == NB_ERR_CANCELLED);
    CHECK(nb_add_diffuse(NULL, d, kernel, 0, 1, photons, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_add_diffuse(&s.scene, NULL, kernel, 0, 1, photons, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_add_diffuse(&s.scene, d, kernel, 0, 1, NULL, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_add_diffuse(&s.scene, d, kernel, 0, 0, NULL, NULL) == NB_OK);
    CHECK(nb_add_diffuse(&s.scene, d, kernel, -1, 1, photons, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_add_diffuse(&s.scene, d, kernel, 2, 1, photons, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_add_diffuse(&s.scene, d, kernel, 0, SMALL_PIXELS + 1, photons, NULL) == NB_ERR_PIXEL_RANGE);
    CHECK(nb_add_diffuse(&s.scene, d, NB_N_KERNELS, 0, 1, photons, NULL) == NB_ERR_KERNEL);
    /* d_min leaves everything out */
    s.scene.d_min = 1.0;
    render(&s, d, kernel, photons);
    for (int i = 0; i < SMALL_PIXELS; i++)
        CHECK(photons[i] == 0.0);
}

/* The sum alone at points, and its gradients against differences. */
static void test_gradients(nb_kernel kernel) {
    enum { N = 150, VALUES = SIDE * SIDE * SIDE };
    static double hkl[3 * N], out[N], seed[N], by_hkl[3 * N], by_forms[12 * N_FORMS], by_table[VALUES], moved[N];
    unsigned long long state = 7;
    liquid l;
    make_liquid(&l);
    const nb_diffuse *d = &l.diffuse;
    for (int orders = 1; orders <= 3; orders += 2) {
        l.diffuse.n_orders = orders;
        for (int i = 0; i < 3 * N; i++)
            hkl[i] = 6.0 * test_uniform(&state) - 3.0;
        for (int i = 0; i < N; i++)
            seed[i] = test_uniform(&state) - 0.5;
        memset(by_forms, 0, sizeof by_forms), memset(by_table, 0, sizeof by_table);
        nb_diffuse_gradient gradient = {by_hkl, by_forms, by_table};
        CHECK(nb_diffuse_pull_back(d, N, hkl, seed, &gradient) == NB_OK);
        CHECK(nb_diffuse_at(d, kernel, N, hkl, out) == NB_OK);
        for (int which = 0; which < 4; which++) {
            double *value = which == 0   ? &l.forms[1][0][3]
                            : which == 1 ? &l.forms[2][1][1]
                            : which == 2 ? &l.table[68]
                                         : &hkl[N + 5];
            const double want = which == 0   ? by_forms[12 + 3]
                                : which == 1 ? by_forms[24 + 6 + 1]
                                : which == 2 ? by_table[68]
                                             : by_hkl[N + 5];
            const double kept = *value, step = 1e-5 * fabs(kept);
            double difference = 0.0;
            for (int side = -1; side <= 1; side += 2) {
                *value = kept + side * step;
                CHECK(nb_diffuse_at(d, kernel, N, hkl, moved) == NB_OK);
                for (int i = 0; i < N; i++)
                    difference += side * seed[i] * moved[i] / (2.0 * step);
            }
            *value = kept;
            CHECK_CLOSE(difference, want, 1e-6 * fabs(want));
        }
    }
    nb_diffuse_gradient gradient = {by_hkl, by_forms, by_table}, none = {NULL, by_forms, by_table};
    CHECK(nb_diffuse_pull_back(d, 0, NULL, NULL, &none) == NB_OK);
    CHECK(nb_diffuse_pull_back(d, N, hkl, seed, &none) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_diffuse_pull_back(d, N, hkl, seed, NULL) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_diffuse_pull_back(d, N, NULL, seed, &gradient) == NB_ERR_NULL_ARGUMENT);
    gradient.table = NULL;
    CHECK(nb_diffuse_pull_back(d, N, hkl, seed, &gradient) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_diffuse_pull_back(NULL, N, hkl, seed, &gradient) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_diffuse_at(d, kernel, N, NULL, out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_diffuse_at(NULL, kernel, N, hkl, out) == NB_ERR_NULL_ARGUMENT);
    CHECK(nb_diffuse_at(d, NB_N_KERNELS, N, hkl, out) == NB_ERR_KERNEL);
    l.diffuse.is_map = 1;
    CHECK(nb_diffuse_at(d, kernel, N, hkl, out) == NB_ERR_TOO_LARGE);
    CHECK(nb_diffuse_pull_back(d, N, hkl, seed, &gradient) == NB_ERR_TOO_LARGE);
}

int main(void) {
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        test_kernels(kernel);
        test_odd_numbers(kernel);
        test_refused(kernel);
        test_gradients(kernel);
    }
    return check_result();
}
