/* nanobragg.h - the public C interface of the nanobragg core; imaging.h adds what surrounds the spots.
 *
 * No I/O, no globals, no threads, no exit: re-entrant, and every array belongs to the caller. Fallible functions return
 * a status (0 = NB_OK, negative = error). Lengths are metres, angles radians. The order of loops and the meaning of the
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

typedef enum { NB_SQUARE = 0, NB_ROUND = 1, NB_GAUSS = 2, NB_TOPHAT = 3 } nb_shape;

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

/* Mirror of nanobragg.scene.Scene, field by field. */
typedef struct {
    /* detector */
    int64_t n_fast, n_slow;
    double pixel_size; /* [m] */
    double pix0[3];    /* outer corner of pixel [0, 0] [m] */
    double fast[3], slow[3], normal[3];
    double beam[3];
    double close_distance, distance; /* [m] */
    int32_t curved, point_pixel;
    double pixel_area; /* [m^2] */
    int32_t has_sensor, n_layers;
    double layer_thickness; /* [m] */
    double attenuation;     /* [1/m] */
    const int64_t *pixels;  /* (n_pixels) flat indices, ascending */
    int64_t n_pixels;
    /* beam */
    const double *incident;   /* (n_sources, 3) */
    const double *wavelength; /* (n_sources) [m] */
    const double *weight;     /* (n_sources) */
    int64_t n_sources;
    int32_t polarized;
    double kahn_factor;
    double polarization_axis[3];
    double r_e_sqr; /* [m^2] */
    double fluence; /* [photons/m^2] */
    /* crystal */
    const double *orientations;            /* (n_phi, n_domains, 3, 3) [m] */
    const double *orientations_first_pass; /* same, or NULL */
    int64_t n_phi, n_domains;
    int64_t first_pass[2]; /* (position in pixels, pass) */
    double a_star[9];      /* [1/Angstrom] */
    double n_cells[3];
    int32_t shape; /* nb_shape */
    double fudge;
    const double *f_table; /* (n_hkl[0], n_hkl[1], n_hkl[2]) [electrons], or NULL */
    int64_t n_hkl[3];
    int64_t hkl_min[3];
    double default_F;
    int32_t tricubic;
    int64_t interpolation_off[2]; /* (position in pixels, evaluation) */
    /* sampling and scale */
    int32_t oversample;
    double d_min; /* [m], 0 = off */
    double steps;
    double background;
    int32_t capture_mode, polar_mode, omega_mode; /* nb_factor_mode */
    uint32_t quirks;                              /* nb_quirk */
} nb_scene;

/* The continuous fields of a scene, which gradients and tangents are about, with their numbers of values; not d_min,
 * whose derivative is 0, and nothing that only a quirk of the original reads. */
#define NB_SMALL_FIELDS(X)                                                                                             \
    X(pixel_size, 1)                                                                                                   \
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
} nb_gradient;

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

/* Random numbers of the original program (random.md). One nb_rng is shared by all streams; each stream has an int64_t
 * state of its own. */
typedef struct {
    int64_t table[32];
    int64_t last;      /* last output word, 0 = never initialised */
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
 * scenes to the scalar one; nb_simd_obstacle says why, or NULL. */
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
NB_WARN_UNUSED int nb_render_with(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                  double *out, const volatile int *cancel);

/* gradient.c: the members of nb_gradient by number, 0 ... ; name NULL past the last one. */
const char *nb_gradient_name(int number);
int64_t nb_gradient_size(const nb_scene *scene, int number);
void nb_gradient_set(nb_gradient *gradient, int number, double *values);

/* adjoint.c, tangent.c: the derivatives of nb_render, for scenes that nb_adjoint_obstacle does not object to. */
const char *nb_adjoint_obstacle(const nb_scene *scene);
NB_WARN_UNUSED int nb_pull_back(const nb_scene *scene, nb_kernel kernel, int64_t pixel_begin, int64_t pixel_end,
                                const double *cotangent, const nb_gradient *gradient, const volatile int *cancel);
NB_WARN_UNUSED int nb_push_forward(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int64_t n_tangents,
                                   const nb_gradient *tangents, double *out, int64_t stride,
                                   const volatile int *cancel);

/* trace.c: one pixel, by its position in scene->pixels, on the code path of nb_render. */
NB_WARN_UNUSED int nb_trace(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out);
const char *nb_quantity_name(nb_quantity quantity);

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
