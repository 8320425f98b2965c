/* Random scenes through validation, rendering and tracing, meant to run under the sanitizers.
 *
 *   fuzz_scene [seconds [seed]]     default: 10 seconds, seed 1
 *
 * Every scene starts valid and has a handful of fields replaced by anything: numbers of every size, NaN, infinities,
 * negative counts, missing arrays. What validation accepts is rendered by every kernel of this machine and, where it
 * has derivatives, differentiated; a finding is a sanitizer report, a crash, a difference between a traced pixel and a
 * rendered one, or between the same pixel rendered by a vector kernel alone and in its block.
 */
#include "check.h"
#include "small_scene.h"

#include <stdlib.h>
#include <time.h>

static unsigned long long seed = 1;

static int64_t below(int64_t n) {
    return (int64_t)(test_uniform(&seed) * (double)n);
}

static double any_double(void) {
    switch (below(12)) {
    case 0: return NAN;
    case 1: return below(2) ? INFINITY : -INFINITY;
    case 2: return 0.0;
    case 3: return -0.0;
    case 4: return 4.9e-324;
    case 5: return below(2) ? 1.7e308 : -1.7e308;
    case 6: return (double)below(20) - 10.0;
    case 7: return test_uniform(&seed);
    default: return (test_uniform(&seed) - 0.5) * pow(10.0, (double)below(80) - 40.0);
    }
}

static int64_t any_integer(void) {
    switch (below(8)) {
    case 0: return INT64_MAX;
    case 1: return INT64_MIN;
    case 2: return INT32_MAX;
    case 3: return INT32_MIN;
    case 4: return 0;
    default: return below(12) - 3;
    }
}

/* A count is never larger than its array, or validation and the kernel would be right to read past the end. */
static int64_t any_count(int64_t length) {
    int64_t n = any_integer();
    return n > length ? length : n;
}

static void change(small_scene *s) {
    nb_scene *c = &s->scene;
    switch (below(52)) {
    case 0: c->n_fast = any_integer(); break;
    case 1: c->n_slow = any_integer(); break;
    case 2: c->pixel_size[below(2)] = any_double(); break;
    case 3: c->pix0[below(3)] = any_double(); break;
    case 4: c->fast[below(3)] = any_double(); break;
    case 5: c->slow[below(3)] = any_double(); break;
    case 6: c->normal[below(3)] = any_double(); break;
    case 7: c->beam[below(3)] = any_double(); break;
    case 8: c->close_distance = any_double(); break;
    case 9: c->distance = any_double(); break;
    case 10: c->curved = (int32_t)below(2); break;
    case 11: c->point_pixel = (int32_t)below(2); break;
    case 12: c->pixel_area = any_double(); break;
    case 13: c->has_sensor = (int32_t)below(2); break;
    case 14: c->n_layers = (int32_t)(below(8) - 2); break;
    case 15: c->layer_thickness = any_double(); break;
    case 16: c->attenuation = any_double(); break;
    case 17: s->pixels[below(SMALL_PIXELS)] = any_integer(); break;
    case 18: c->n_pixels = any_count(SMALL_PIXELS); break;
    case 19: s->incident[below(2)][below(3)] = any_double(); break;
    case 20: s->wavelength[below(2)] = any_double(); break;
    case 21: s->weight[below(2)] = any_double(); break;
    case 22: c->n_sources = any_count(2); break;
    case 23: c->polarized = (int32_t)below(2); break;
    case 24: c->kahn_factor = any_double(); break;
    case 25: c->polarization_axis[below(3)] = any_double(); break;
    case 26: c->fluence = any_double(); break;
    case 27: (&s->orientations[0][0][0])[below(36)] = any_double(); break;
    case 28: (&s->orientations[0][0][0])[below(36)] *= pow(10.0, (double)below(40) - 10.0); break;
    case 29: c->orientations_first_pass = below(2) ? &s->first[0][0][0] : NULL; break;
    case 30: c->first_pass[below(2)] = any_integer(); break;
    case 31: c->n_phi = any_count(2); break;
    case 32: c->n_domains = any_count(2); break;
    case 33: c->a_star[below(9)] = any_double(); break;
    case 34: c->n_cells[below(3)] = any_double(); break;
    case 35: c->shape = (int32_t)(below(6) - 1); break;
    case 36: c->fudge = any_double(); break;
    case 37: s->table[below(729)] = any_double(); break;
    case 38: c->n_hkl[below(3)] = any_count(SMALL_TABLE); break;
    case 39: c->hkl_min[below(3)] = any_integer(); break;
    case 40: c->f_table = below(2) ? s->table : NULL; break;
    case 41: c->interpolation_off[below(2)] = any_integer(); break;
    case 42: c->oversample = (int32_t)(below(2) ? below(6) - 1 : any_integer()); break;
    case 43: c->d_min = any_double(); break;
    case 45: s->domain_weight[below(2)] = any_double(); break;
    case 46: c->domain_weight = below(2) ? s->domain_weight : NULL; break;
    case 47: c->has_block_matrix = (int32_t)below(2); break;
    case 48: c->block_matrix[below(9)] = any_double(); break;
    case 44: c->steps = any_double(); break;
    case 49: c->n_tables = below(2) ? 3 : any_integer(), c->source_table = below(4) ? s->source_table : NULL; break;
    case 50: s->source_table[below(2)] = below(2) ? below(3) : any_integer(); break;
    default: c->background = any_double(); break;
    }
}

static int ignore(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n) {
    double sum = nb_quantity_name(quantity) == NULL ? NAN : (double)index[5];
    for (int64_t i = 0; i < n; i++)
        sum += values[i];
    *(double *)context = sum; /* reads everything that it is given */
    return 0;
}

static int same(double x, double y) {
    return memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y));
}

static void render_by_vector_kernels(const nb_scene *c) {
    double image[SMALL_PIXELS], pixel;
    for (nb_kernel kernel = NB_KERNEL_SCALAR + 1; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        if (nb_simd_obstacle(c) != NULL) {
            CHECK(nb_render_with(c, kernel, 0, c->n_pixels, image, NULL) == NB_ERR_KERNEL);
            continue;
        }
        CHECK(nb_render_with(c, kernel, 0, c->n_pixels, image, NULL) == NB_OK);
        if (c->n_pixels == 0) continue;
        int64_t position = below(c->n_pixels);
        CHECK(nb_render_with(c, kernel, position, position + 1, &pixel, NULL) == NB_OK);
        CHECK(same(pixel, image[position]));
    }
}

/* Channels leave the image alone, and a pixel rendered by itself has its own. */
static void render_channels(const nb_scene *c) {
    enum { N = 2, MOST_SOURCES = 64 };
    double image[SMALL_PIXELS], again[SMALL_PIXELS], sums[N * SMALL_PIXELS], one[N * SMALL_PIXELS];
    double weight[N * MOST_SOURCES];
    if (c->n_sources > MOST_SOURCES || c->n_pixels == 0) return;
    for (int i = 0; i < N * MOST_SOURCES; i++)
        weight[i] = 1.0 + i;
    const nb_channels all = {N, weight, sums}, single = {N, weight, one};
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel) || (kernel != NB_KERNEL_SCALAR && nb_simd_obstacle(c) != NULL)) continue;
        CHECK(nb_render_with(c, kernel, 0, c->n_pixels, image, NULL) == NB_OK);
        CHECK(nb_render_channels(c, kernel, 0, c->n_pixels, again, &all, NULL) == NB_OK);
        int64_t position = below(c->n_pixels);
        CHECK(same(image[position], again[position]));
        CHECK(nb_render_channels(c, kernel, position, position + 1, again, &single, NULL) == NB_OK);
        for (int64_t k = 0; k < N; k++)
            CHECK(same(sums[k * c->n_pixels + position], one[k * c->n_pixels + position]));
    }
}

/* Arrays for some of the continuous fields, K times each. */
static void some_fields(const nb_scene *c, int64_t k, double *values, nb_gradient *fields) {
    fields->entries = NULL;
    for (int i = 0; nb_gradient_name(i) != NULL; i++) {
        nb_gradient_set(fields, i, below(3) > 0 ? values : NULL);
        values += k * nb_gradient_size(c, i);
    }
}

static void differentiate(const nb_scene *c) {
    enum { K = 18, MOST = SMALL_TABLE * SMALL_TABLE * SMALL_TABLE + 36 + 10 + 44 };
    static double values[K * MOST], out[K * SMALL_PIXELS];
    enum { FEW = 9 };
    static double of_few[FEW];
    static int64_t few[FEW];
    double cotangent[SMALL_PIXELS];
    nb_gradient fields;
    for (int i = 0; i < K * MOST; i++)
        values[i] = below(50) ? test_uniform(&seed) : any_double();
    for (int i = 0; i < SMALL_PIXELS; i++)
        cotangent[i] = below(10) ? test_uniform(&seed) - 0.5 : 0.0;
    const int covered = nb_adjoint_obstacle(c) == NULL;
    const int64_t k = 1 + below(K), begin = below(c->n_pixels + 1);
    for (nb_kernel kernel = NB_KERNEL_SCALAR; kernel < NB_N_KERNELS; kernel++) {
        if (!nb_kernel_available(kernel)) continue;
        some_fields(c, k, values, &fields);
        CHECK(nb_push_forward(c, kernel, begin, c->n_pixels, k, &fields, out, SMALL_PIXELS, NULL) ==
              (covered ? NB_OK : NB_ERR_KERNEL));
        some_fields(c, 1, values, &fields);
        if (below(2)) { /* a few entries of the table, in any order */
            for (int i = 0; i < FEW; i++)
                few[i] = below(2) ? below(MOST) : any_integer();
            nb_gradient only = fields;
            only.entries = few, only.n_entries = below(FEW + 1);
            if (only.f_table != NULL) only.f_table = of_few;
            CHECK(nb_pull_back(c, kernel, begin, c->n_pixels, cotangent, &only, NULL) ==
                  (covered ? NB_OK : NB_ERR_KERNEL));
        }
        CHECK(nb_pull_back(c, kernel, begin, c->n_pixels, cotangent, &fields, NULL) ==
              (covered ? NB_OK : NB_ERR_KERNEL));
    }
}

/* The prescan finds a place inside the scene or none, and the solid angles are summed; nothing is read out of bounds.
 */
static void look_ahead(const nb_scene *c) {
    const int64_t passes = (int64_t)c->n_layers * c->oversample * c->oversample * c->n_sources;
    nb_prescan_result found = {{below(2) ? -1 : 0, 0}, (int32_t)below(2), {-1, 0}, {0.0, 0.0, 0.0}};
    CHECK(nb_prescan(c, 0, c->n_pixels, 0, passes, &found) == NB_OK);
    CHECK(found.first_pass[0] <= c->n_pixels && found.first_pass[1] < passes);
    CHECK(found.off[0] < c->n_pixels && found.off[1] < passes * c->n_phi * c->n_domains);
    double sum = 0.0;
    CHECK(nb_solid_angles(c, 0, c->n_pixels, c->n_layers, c->oversample, &sum) == NB_OK);
}

/* Rendering within a bounded effort: the largest accepted oversample alone would take years. */
static int affordable(const nb_scene *c) {
    return c->oversample <= 8 && c->n_layers <= 8;
}

/* On a slow machine, too: both sides of the validation are exercised. */
enum { LEAST_RENDERED = 101 };

int main(int argc, char **argv) {
    const double seconds = argc > 1 ? atof(argv[1]) : 10.0;
    if (argc > 2) seed = strtoull(argv[2], NULL, 10);
    seed = seed * 0x9E3779B97F4A7C15ULL + 1;
    static small_scene s;
    double image[SMALL_PIXELS], pixel, sink;
    long scenes = 0, rendered = 0;
    const clock_t start = clock();
    while ((double)(clock() - start) < seconds * CLOCKS_PER_SEC || rendered < LEAST_RENDERED) {
        make_small_scene(&s);
        nb_scene *c = &s.scene;
        c->shape = (int32_t)below(4), c->tricubic = (int32_t)below(2), c->curved = (int32_t)below(2);
        c->capture_mode = (int32_t)below(3), c->polar_mode = (int32_t)below(3), c->omega_mode = (int32_t)below(3);
        c->quirks = (uint32_t)below(128), c->has_block_matrix = below(4) == 0;
        c->domain_weight = below(4) == 0 ? s.domain_weight : NULL;
        if (below(2)) c->quirks = 0, c->capture_mode = c->polar_mode = c->omega_mode = NB_PER_TERM; /* corrected */
        for (int64_t i = below(5); i >= 0; i--)
            change(&s);
        scenes++;
        nb_fault fault = {NULL, 0};
        int status = nb_scene_validate(c, &fault);
        if (status != NB_OK) {
            CHECK(fault.field != NULL);
            continue;
        }
        if (!affordable(c)) continue;
        rendered++;
        CHECK(nb_render(c, 0, c->n_pixels, image, NULL) == NB_OK);
        render_by_vector_kernels(c);
        render_channels(c);
        differentiate(c);
        look_ahead(c);
        if (c->n_pixels == 0) continue;
        const nb_recorder recorder = {ignore, &sink};
        int64_t position = below(c->n_pixels);
        CHECK(nb_trace(c, position, &recorder, &pixel) == NB_OK);
        CHECK(same(pixel, image[position]));
    }
    printf("%ld scenes, %ld rendered\n", scenes, rendered);
    return check_result();
}
