/* nanobragg.h - the public C interface of the nanobragg core; imaging.h adds what surrounds the spots.
 *
 * No I/O, no globals, no threads, no exit: re-entrant, and every array belongs to the caller. Fallible functions return
 * a status (0 = NB_OK, negative = error). Lengths are meters, angles radians. The order of loops and the meaning of the
 * sum are those of nanobragg/scene.py.
 */
#ifndef NANOBRAGG_H
#define NANOBRAGG_H

#include <stdint.h>

/* The version of the package; stated here alone. */
#define NB_VERSION "0.1.0"

#if defined(__GNUC__)
#define NB_WARN_UNUSED __attribute__((warn_unused_result))
#else
#define NB_WARN_UNUSED
#endif

/* Status codes, grouped by hundreds: -1xx calls, -2xx values of a scene, -3xx arrays of a scene. */
typedef enum {
    NB_OK = 0,
    NB_ERR_NULL_ARGUMENT = -101,
    NB_ERR_PIXEL_RANGE = -102,
    NB_ERR_CANCELLED = -103,
    NB_ERR_RECORDER = -104,
    NB_ERR_KERNEL = -105,
    NB_ERR_NOT_FINITE = -201,
    NB_ERR_NOT_POSITIVE = -202,
    NB_ERR_NEGATIVE = -203,
    NB_ERR_ZERO = -204,
    NB_ERR_BELOW_ONE = -205,
    NB_ERR_TOO_LARGE = -206,
    NB_ERR_ENUM = -207,
    NB_ERR_POSITION = -208,
    NB_ERR_NULL_ARRAY = -301,
    NB_ERR_PIXEL_OUTSIDE = -302,
    NB_ERR_NOT_ASCENDING = -303
} nb_status;

typedef enum { NB_PER_TERM = 0, NB_CACHED = 1, NB_CUMULATIVE = 2 } nb_factor_mode;

/* Crystal shapes; `Shape` of nanobragg/config/crystal.py. */
typedef enum { NB_SQUARE = 0, NB_ROUND, NB_GAUSS, NB_TOPHAT, NB_N_SHAPES } nb_shape;

/* Physical constants and those of the shapes; nanobragg/constants.py reads them from here. */
#define NB_PI 3.14159265358979323846
#define NB_ROUND_SCALE 0.723601254558268 /* sqrt(pi/6): a sphere of the volume of Na Nb Nc cells */
#define NB_GAUSS_WIDTH 0.63
#define NB_TOPHAT_CUT 0.3969 /* 0.63^2 */

/* Where the rounding of the original's formulas can move F_latt^2 by more than 1e-10 of itself; u = 2^-53.
 *
 * SQUARE, an axis: sin(n x)/sin(x) at x = pi h. The product n x is rounded by up to n x u. Next to an integer h0 other
 * than 0 both sines are small, n pi f and pi f with f = h - h0, so F^2 moves by 2 u |h|/|f| of itself. Not where n is a
 * power of two: then the product is exact. From |f| = 2^-18 |h| on it is 5.8e-11 at most; measured in 1e7 indices up to
 * 200: 5.8e-11.
 *
 * ROUND: 3 (sin x/x - cos x)/x^2. Near 0 the difference is x^2/3, while its terms are near 1 and rounded by 2.5 u
 * together, so F^2 moves by 15 u/x^2 of itself. From x = 5e-3 on it is 6.7e-11 at most; measured at 1e7 x: 4.7e-11.
 */
#define NB_SINCG_NOISE 0x1p-18 /* |f|/|h| */
#define NB_SINC3_NOISE 5e-3
/* Largest number of steps (sources x domains x phi steps x oversample^2) of a pixel. */
#define NB_MAX_STEPS INT64_C(2147483647)

/* Defects of the original that the kernel reproduces on request; names as in nanobragg/quirks.py. */
typedef enum {
    NB_CURVED_DET_AXES = 1 << 0,
    NB_GAUSS_TOPHAT_WIDTH = 1 << 1,
    NB_SINC3_CANCELLATION = 1 << 2,
    NB_SINCG_ROUNDOFF = 1 << 3,
    NB_LATTICE_ZERO_SKIP = 1 << 4,
    NB_DMIN_ZEROES_WATER = 1 << 5,
    NB_INTERP_LOW_EDGE = 1 << 6
} nb_quirk;

/* The fields of a scene, in the order of nanobragg/derivation/scene.py, which says what they mean:
 *
 *   F(kind, name, length, shape)
 *
 * kind    INTEGER, SMALL, FLAG, BITS: one number; NUMBER: `length` doubles in place; INTEGERS: the same of integers;
 *         ARRAY, OPTIONAL: pointer to doubles, OPTIONAL may be NULL; INDICES, CHOICES: pointer to integers, CHOICES may
 *         be NULL;
 *         COUNT: lengths of the arrays that bear its name in their shape
 * shape   of the array that the field is made from, extents apart; "" for a scalar
 *
 * From this list come the struct, the table in fields.c, and with it validation and conversion: a new number needs no
 * other line there. */
#define NB_SCENE_FIELDS(F)                                                                                             \
    /* detector: lengths [m] */                                                                                        \
    F(INTEGER, n_fast, 1, "")                                                                                          \
    F(INTEGER, n_slow, 1, "")                                                                                          \
    F(NUMBER, pixel_size, 2, "2") /* along fast and slow */                                                            \
    F(NUMBER, pix0, 3, "3")                                                                                            \
    F(NUMBER, fast, 3, "3")                                                                                            \
    F(NUMBER, slow, 3, "3")                                                                                            \
    F(NUMBER, normal, 3, "3")                                                                                          \
    F(NUMBER, beam, 3, "3")                                                                                            \
    F(NUMBER, close_distance, 1, "")                                                                                   \
    F(NUMBER, distance, 1, "")                                                                                         \
    F(FLAG, curved, 1, "")                                                                                             \
    F(FLAG, point_pixel, 1, "")                                                                                        \
    F(NUMBER, pixel_area, 1, "")                                                                                       \
    F(FLAG, has_sensor, 1, "")                                                                                         \
    F(SMALL, n_layers, 1, "")                                                                                          \
    F(NUMBER, layer_thickness, 1, "")                                                                                  \
    F(NUMBER, attenuation, 1, "") /* [1/m] */                                                                          \
    F(COUNT, n_pixels, 1, "")                                                                                          \
    F(INDICES, pixels, 1, "n_pixels") /* flat, ascending */                                                            \
    /* beam */                                                                                                         \
    F(COUNT, n_sources, 1, "")                                                                                         \
    F(ARRAY, incident, 1, "n_sources 3")                                                                               \
    F(ARRAY, wavelength, 1, "n_sources") /* [m] */                                                                     \
    F(ARRAY, weight, 1, "n_sources")                                                                                   \
    F(FLAG, polarized, 1, "")                                                                                          \
    F(NUMBER, kahn_factor, 1, "")                                                                                      \
    F(NUMBER, polarization_axis, 3, "3")                                                                               \
    F(NUMBER, r_e_sqr, 1, "") /* [m^2] */                                                                              \
    F(NUMBER, fluence, 1, "") /* [photons/m^2] */                                                                      \
    /* crystal */                                                                                                      \
    F(COUNT, n_phi, 1, "")                                                                                             \
    F(COUNT, n_domains, 1, "")                                                                                         \
    F(ARRAY, orientations, 1, "n_phi n_domains 3 3") /* [m] */                                                         \
    F(OPTIONAL, orientations_first_pass, 1, "n_phi n_domains 3 3")                                                     \
    F(OPTIONAL, domain_weight, 1, "n_domains")                                                                         \
    F(INTEGERS, first_pass, 2, "2") /* (position in pixels, pass) */                                                   \
    F(NUMBER, a_star, 9, "3 3")     /* [1/Angstrom] */                                                                 \
    F(NUMBER, n_cells, 3, "3")                                                                                         \
    F(FLAG, has_block_matrix, 1, "")                                                                                   \
    F(NUMBER, block_matrix, 9, "3 3") /* in place of n_cells */                                                        \
    F(SMALL, shape, 1, "")            /* nb_shape */                                                                   \
    F(NUMBER, fudge, 1, "")                                                                                            \
    F(INTEGER, n_tables, 1, "")                                                                                        \
    F(CHOICES, source_table, 1, "n_sources") /* which table the structure factors of a source are in */                \
    F(COUNT, n_hkl, 3, "")                   /* the tables stand one behind the other along h */                       \
    F(OPTIONAL, f_table, 1, "n_hkl")         /* [electrons] */                                                         \
    F(INTEGERS, hkl_min, 3, "3")                                                                                       \
    F(NUMBER, default_F, 1, "")                                                                                        \
    F(FLAG, tricubic, 1, "")                                                                                           \
    F(INTEGERS, interpolation_off, 2, "2") /* (position in pixels, evaluation) */                                      \
    /* sampling and scale */                                                                                           \
    F(SMALL, oversample, 1, "")                                                                                        \
    F(NUMBER, d_min, 1, "") /* [m], 0 = off */                                                                         \
    F(NUMBER, steps, 1, "")                                                                                            \
    F(NUMBER, background, 1, "")                                                                                       \
    F(SMALL, capture_mode, 1, "") /* nb_factor_mode */                                                                 \
    F(SMALL, polar_mode, 1, "")                                                                                        \
    F(SMALL, omega_mode, 1, "")                                                                                        \
    F(BITS, quirks, 1, "") /* nb_quirk */

#define NB_TYPE_INTEGER int64_t
#define NB_TYPE_SMALL int32_t
#define NB_TYPE_FLAG int32_t
#define NB_TYPE_BITS uint32_t
#define NB_TYPE_NUMBER double
#define NB_TYPE_INTEGERS int64_t
#define NB_TYPE_ARRAY const double *
#define NB_TYPE_OPTIONAL const double *
#define NB_TYPE_INDICES const int64_t *
#define NB_TYPE_CHOICES const int64_t *
#define NB_TYPE_COUNT int64_t
#define NB_EXTENT_1(name) name
#define NB_EXTENT_2(name) name[2]
#define NB_EXTENT_3(name) name[3]
#define NB_EXTENT_9(name) name[9]

typedef struct {
#define NB_FIELD(kind, name, length, shape) NB_TYPE_##kind NB_EXTENT_##length(name);
    NB_SCENE_FIELDS(NB_FIELD)
#undef NB_FIELD
} nb_scene;

/* fields.c: the fields as a table. */
typedef enum {
    NB_FIELD_INTEGER,
    NB_FIELD_SMALL,
    NB_FIELD_FLAG,
    NB_FIELD_BITS,
    NB_FIELD_NUMBER,
    NB_FIELD_INTEGERS,
    NB_FIELD_ARRAY,
    NB_FIELD_OPTIONAL,
    NB_FIELD_INDICES,
    NB_FIELD_CHOICES,
    NB_FIELD_COUNT
} nb_field_kind;

typedef struct {
    const char *name;
    nb_field_kind kind;
    int64_t offset, length;
    const char *shape;
} nb_field;

const nb_field *nb_scene_field(int number); /* 0 ... ; NULL past the last one */

/* The continuous fields of a scene, which gradients and tangents are about, with their numbers of values; not d_min,
 * whose derivative is 0, and nothing that only a quirk of the original reads. */
#define NB_SMALL_FIELDS(X)                                                                                             \
    X(pixel_size, 2)                                                                                                   \
    X(pix0, 3)                                                                                                         \
    X(fast, 3)                                                                                                         \
    X(slow, 3)                                                                                                         \
    X(normal, 3)                                                                                                       \
    X(beam, 3)                                                                                                         \
    X(close_distance, 1)                                                                                               \
    X(distance, 1)                                                                                                     \
    X(pixel_area, 1)                                                                                                   \
    X(layer_thickness, 1)                                                                                              \
    X(attenuation, 1)                                                                                                  \
    X(kahn_factor, 1)                                                                                                  \
    X(polarization_axis, 3)                                                                                            \
    X(fluence, 1)                                                                                                      \
    X(n_cells, 3)                                                                                                      \
    X(block_matrix, 9)                                                                                                 \
    X(fudge, 1)                                                                                                        \
    X(default_F, 1)                                                                                                    \
    X(steps, 1)                                                                                                        \
    X(background, 1)
#define NB_LARGE_FIELDS(X)                                                                                             \
    X(incident, 3 * scene->n_sources)                                                                                  \
    X(wavelength, scene->n_sources)                                                                                    \
    X(weight, scene->n_sources)                                                                                        \
    X(orientations, 9 * scene->n_phi * scene->n_domains)                                                               \
    X(f_table, scene->n_hkl[0] * scene->n_hkl[1] * scene->n_hkl[2])

/* One array for each of them, NULL where it is not wanted (gradients) or does not move (tangents). */
typedef struct {
#define NB_MEMBER(name, size) double *name;
    NB_SMALL_FIELDS(NB_MEMBER)
    NB_LARGE_FIELDS(NB_MEMBER)
#undef NB_MEMBER
    /* Gradients only: the places in the table, ascending, of the entries that `f_table` has one value for each of;
     * NULL: of all. */
    const int64_t *entries;
    int64_t n_entries;
} nb_gradient;

/* Further sums over the spots in the same sweep: channel c is the image without its background, every source's
 * contribution multiplied by weight[c][source]. */
typedef struct {
    int64_t n;
    const double *weight; /* (n, n_sources) */
    double *out;          /* (n, n_pixels) photons */
} nb_channels;

/* What validation found: the field's name as above, and the index of the element (-1 for a scalar). */
typedef struct {
    const char *field;
    int64_t index;
} nb_fault;

/* Quantities that a trace records; their names are in nb_quantity_name. */
typedef enum {
    /* per sub-pixel and layer */
    NB_Q_POSITION = 0,
    NB_Q_AIRPATH,
    NB_Q_DIRECTION,
    NB_Q_SOLID_ANGLE,
    NB_Q_CAPTURE_FRACTION,
    /* per pass */
    NB_Q_INCIDENT,
    NB_Q_WAVELENGTH,
    NB_Q_WEIGHT,
    NB_Q_SCATTERING_VECTOR,
    NB_Q_STOL,
    NB_Q_POLARIZATION,
    /* per evaluation */
    NB_Q_A,
    NB_Q_B,
    NB_Q_C,
    NB_Q_HKL,
    NB_Q_HKL_NEAREST,
    NB_Q_LATTICE_AXES,
    NB_Q_F_LATT,
    NB_Q_INTERPOLATED,
    NB_Q_NODES,
    NB_Q_F_CELL,
    NB_Q_TERM,
    NB_Q_RUNNING_SUM,
    /* per pixel */
    NB_Q_BACKGROUND,
    NB_Q_SUM,
    NB_Q_STEPS,
    NB_Q_R_E_SQR,
    NB_Q_FLUENCE,
    NB_Q_FINAL_CAPTURE,
    NB_Q_FINAL_POLARIZATION,
    NB_Q_FINAL_SOLID_ANGLE,
    NB_Q_PIXEL,
    NB_N_QUANTITIES
} nb_quantity;

/* Receives what a traced pixel computes. `index` is (layer, sub slow, sub fast, source, phi, domain), -1 where it does
 * not apply. A value other than 0 stops the trace with NB_ERR_RECORDER. */
typedef struct {
    int (*record)(void *context, nb_quantity quantity, const int64_t index[6], const double *values, int64_t n);
    void *context;
} nb_recorder;

/* Random numbers of the original program (docs/random_numbers.md). One nb_rng is shared by all streams; each stream has
 * an int64_t state of its own. */
typedef struct {
    int64_t table[32];
    int64_t last;      /* last output word, 0 = never initialized */
    int32_t has_spare; /* Gaussian */
    float spare;
    float poisson_mean, poisson_g, poisson_sq, poisson_log; /* cache */
} nb_rng;

/* status.c */
const char *nb_version(void);
const char *nb_strerror(int status);

/* validate.c */
NB_WARN_UNUSED int nb_scene_validate(const nb_scene *scene, nb_fault *fault);

/* render.c: pixels [pixel_begin, pixel_end) of scene->pixels of a scene that passed nb_scene_validate. `cancel` may be
 * NULL; it is polled once per source pass. */
NB_WARN_UNUSED int nb_render(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, double *out,
                             const volatile int *cancel);

/* simd.c: the same by the kernel of one's choice. The vector kernels rearrange the sum (simd_kernel.c) and leave some
 * scenes to the scalar one; nb_simd_obstacle says why, or NULL. So they do with some lattice factors of scenes that
 * want the original's rounding; nb_simd_exception says which (empty: none). */
typedef enum {
    NB_KERNEL_SCALAR = 0,
    NB_KERNEL_SIMD_BASELINE,
    NB_KERNEL_SIMD_AVX2,
    NB_KERNEL_SIMD_AVX512,
    NB_KERNEL_FAST, /* the widest of these, with lattice factors in mixed precision (simd_mixed.h) */
    NB_N_KERNELS
} nb_kernel;
const char *nb_kernel_name(nb_kernel kernel);
int nb_kernel_available(nb_kernel kernel);
const char *nb_simd_obstacle(const nb_scene *scene);
const char *nb_simd_exception(const nb_scene *scene);
NB_WARN_UNUSED int nb_render_with(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                  double *out, const volatile int *cancel);
/* With channels, whose `out` is filled at the places of these pixels; NULL: none. */
NB_WARN_UNUSED int nb_render_channels(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                      double *out, const nb_channels *channels, const volatile int *cancel);

/* gradient.c: the members of nb_gradient by number, 0 ... ; name NULL past the last one. */
const char *nb_gradient_name(int number);
int64_t nb_gradient_size(const nb_scene *scene, int number);
void nb_gradient_set(nb_gradient *gradient, int number, double *values);

/* adjoint.c, tangent.c: the derivatives of nb_render, for scenes that nb_adjoint_obstacle does not object to. */
const char *nb_adjoint_obstacle(const nb_scene *scene);
NB_WARN_UNUSED int nb_pull_back(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                const double *cotangent, const nb_gradient *gradient, const volatile int *cancel);
NB_WARN_UNUSED int nb_push_forward(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                   int64_t n_tangents, const nb_gradient *tangents, double *out, int64_t stride,
                                   const volatile int *cancel);

/* trace.c: one pixel, by its position in scene->pixels, on the code path of nb_render. */
NB_WARN_UNUSED int nb_trace(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out);
const char *nb_quantity_name(nb_quantity quantity);

/* prescan.c: what the first pass and the first lookup are that two defects of the original depend on. */
typedef struct {
    int64_t first_pass[2]; /* in: position -1 = wanted, else known; out: the first pass that d_min does not leave out */
    int32_t look_up;       /* in: whether the first lookup out of range is wanted */
    int64_t off[2];        /* out: position and evaluation of that lookup; in and out: position -1 = not met */
    double hkl[3];         /* out: its indices */
} nb_prescan_result;
NB_WARN_UNUSED int nb_prescan(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int64_t pass_begin,
                              int64_t pass_end, nb_prescan_result *result);

/* simd.c: the sum of the solid angles of pixels, layers and sub-pixels [sr]. */
NB_WARN_UNUSED int nb_solid_angles(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers,
                                   int32_t n_sub, double *sum);
NB_WARN_UNUSED int nb_solid_angles_with(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                        int32_t n_layers, int32_t n_sub, double *sum);

/* hkl_text.c */
int64_t nb_read_plain_hkl(const char *data, int64_t length, int64_t capacity, int64_t *hkl, double *amplitude,
                          int64_t *box);

/* rng.c */
void nb_rng_init(nb_rng *rng);
float nb_uniform(nb_rng *rng, int64_t *state);
float nb_gaussian(nb_rng *rng, int64_t *state);
float nb_poisson(nb_rng *rng, int64_t *state, float mean);
float nb_log_gamma(float x);

/* noise.c */
NB_WARN_UNUSED int nb_uniform_array(nb_rng *rng, int64_t *state, int64_t n, float *out);
NB_WARN_UNUSED int nb_gaussian_array(nb_rng *rng, int64_t *state, int64_t n, float *out);
NB_WARN_UNUSED int nb_poisson_image(nb_rng *rng, int64_t *state, int64_t n, const float *means, float *out);

#endif
