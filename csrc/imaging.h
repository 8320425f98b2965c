/* imaging.h - the C interface of what lies around the spots: random deviates, background, point spread, counting.
 *
 * As in nanobragg.h: no I/O, no globals, no threads; every array belongs to the caller, and fallible functions return a
 * status of nanobragg.h.
 */
#ifndef NB_IMAGING_H
#define NB_IMAGING_H

#include "nanobragg.h"

/* sampler.c: deviates by Philox4x32-10, key (seed, purpose), counter (pixel, panel, frame, draw). The purposes are
 * those of nanobragg.streams. */
typedef struct {
    uint32_t seed, purpose, panel, frame;
    uint32_t draw; /* number of the block of uniform and normal deviates; Poisson deviates count their own */
} nb_stream;

double nb_normal_quantile(double p);
NB_WARN_UNUSED int nb_sample_uniform(const nb_stream *stream, uint32_t first, int64_t n, double *out);
NB_WARN_UNUSED int nb_sample_normal(const nb_stream *stream, uint32_t first, int64_t n, double *out);
NB_WARN_UNUSED int nb_sample_poisson(const nb_stream *stream, uint32_t first, int64_t n, const double *mean,
                                     double *out);

/* background.c: an amorphous body, as nanobragg.derivation.background derives it. */
typedef struct {
    /* detector and polarization, as in nb_scene */
    int64_t n_fast;
    double pixel_size[2], pix0[3], fast[3], slow[3], normal[3], beam[3], pixel_area;
    int32_t point_pixel, curved, curved_axes; /* curved_axes: the quirk CURVED_DET_AXES */
    double distance, close_distance;          /* of curved detectors [m] */
    double sensor_depth;                      /* thickness in attenuation lengths; 0: takes every photon */
    int32_t polarized;
    double kahn_factor, polarization_axis[3];
    /* rays */
    const double *incident, *wavelength, *weight;
    int64_t n_sources;
    /* body */
    const double *stol;       /* (n_table) [1/m], ascending */
    const double *polynomial; /* (n_table - 1, 4) */
    int64_t n_table;
    const double
        *index; /* (n_index) interval in which each of n_index equal steps begins; NULL: the table is equidistant */
    int64_t n_index;
    double index_scale;  /* steps for each 1/m */
    int32_t index_steps; /* most intervals that begin within one of them */
    double strength;
    int32_t has_path;
    double path[2];                    /* [m] */
    double stop_radius, stop_distance; /* [m]; radius 0: no stop */
    double depth;                      /* of the slab in attenuation lengths */
    int32_t oversample;
    const double *node, *node_weight; /* (n_nodes) of an integral over -1 ... 1 */
    int32_t n_nodes;
} nb_background;

NB_WARN_UNUSED int nb_add_background(const nb_background *background, int64_t n_pixels, const int64_t *pixels,
                                     int64_t first, double *photons, int64_t *beyond);

/* simd.c: the same by the kernel of one's choice; those without vectors of four leave it to the scalar one. */
NB_WARN_UNUSED int nb_add_background_with(const nb_background *background, nb_kernel kernel, int64_t n_pixels,
                                          const int64_t *pixels, int64_t first, double *photons, int64_t *beyond);

/* diffuse.c: diffuse scattering of a crystal, as nanobragg.derivation.crystals.diffuse derives it. */
typedef struct {
    double strength;
    const double *forms; /* (n_forms, 2, 6) of x and width: coefficients of hh, kk, ll, hk, hl, kl */
    const double *form_weight;
    int64_t n_forms;
    /* The neighbors of H of a form are those of T H turned back, T the turn to which it belongs. */
    const double *turns;   /* (n_turns, 2, 3, 3) T and its inverse: whole numbers */
    const int64_t *counts; /* (n_turns) forms of each, one after the other */
    int64_t n_turns;
    int32_t stencil, n_orders;
    const double *table; /* (n_table) F^2 [electrons^2] with a border for all other indices; or the map, 0 outside */
    int64_t n_table[3];
    double first[3]; /* indices of its first value */
    int32_t is_map;
    double grid; /* points of a map for each index */
} nb_diffuse;

/* simd.c: adds to the pixels [pixel_begin, pixel_end) of scene->pixels. The scene, which passed nb_scene_validate, has
 * the detector, the rays, and the orientations as domains of one phi step; its oversample and n_layers are 1. Kernels
 * without vectors of four leave the sum to the scalar one. `cancel` is looked at for every ray of some pixels. */
NB_WARN_UNUSED int nb_add_diffuse(const nb_scene *scene, const nb_diffuse *diffuse, nb_kernel kernel,
                                  int64_t pixel_begin, int64_t pixel_end, double *photons, const volatile int *cancel);

/* The same sum alone at n points with the indices hkl (3, n), and, diffuse_adjoint.c, its derivatives. No maps. */
NB_WARN_UNUSED int nb_diffuse_at(const nb_diffuse *diffuse, nb_kernel kernel, int64_t n, const double *hkl,
                                 double *out);

typedef struct {
    double *hkl;   /* (3, n) */
    double *forms; /* (n_forms, 2, 6), added to, as is */
    double *table; /* (n_table) */
} nb_diffuse_gradient;

NB_WARN_UNUSED int nb_diffuse_pull_back(const nb_diffuse *diffuse, int64_t n, const double *hkl,
                                        const double *cotangent, nb_diffuse_gradient *gradient);

/* original_nonbragg.c: scattering of an amorphous body as the program nonBragg computes it. Lengths in meters. */
typedef struct {
    int64_t n_fast, n_slow;
    int64_t roi[4]; /* first and last fast, first and last slow pixel, inclusive and inside the detector */
    double pixel_size;
    double pix0[3], fast[3], slow[3], beam[3];
    double close_distance, distance;
    int32_t curved, point_pixel, oversample;
    const double *source; /* (n_sources, 3) position */
    const double *weight;
    const double *wavelength;
    int64_t n_sources;
    int32_t polarized;
    double kahn_factor;
    double polarization_axis[3];
    const double *stol;   /* (n_table) [1/m], two guard points on either side */
    const double *factor; /* (n_table) F [electrons] */
    int64_t n_table;
    double r_e_sqr, fluence, molecules;
    int32_t map_factor; /* the pixels receive F in place of photons */
} nb_amorphous_body;

/* What the last sub-pixel and source of every pixel left behind; any pointer may be NULL. */
typedef struct {
    double *stol; /* [1/m] */
    double *polarization;
    double *solid_angle;
    int64_t *interval; /* of the table */
    double *position;  /* (3) [m] */
} nb_amorphous_last;

NB_WARN_UNUSED int nb_original_amorphous(const nb_amorphous_body *body, float *image, const nb_amorphous_last *last,
                                         double *solid_angle_sum);

/* original_noisify.c: noise and point spread as the program noisify makes them. */
typedef enum { NB_PSF_NONE = 0, NB_PSF_GAUSS = 1, NB_PSF_FIBER = 2 } nb_psf_kind;

NB_WARN_UNUSED int nb_original_counts(nb_rng *rng, int64_t *state, int64_t *calibration_state, int64_t n,
                                      double flicker, double calibration, float *photons, double *total);
int64_t nb_original_psf_radius(nb_psf_kind kind, double width, double photons);
NB_WARN_UNUSED int nb_original_spread(nb_psf_kind kind, double width, int64_t radius, int32_t automatic, int64_t n_fast,
                                      int64_t n_slow, const float *photons, double *kernel, float *spread,
                                      double *lost);

/* stored.c: from photons to stored numbers. */
typedef struct {
    int64_t n; /* rendered pixels */
    double sum, squares, deviations;
    float maximum;
    int64_t position; /* of the maximum */
} nb_statistics;

NB_WARN_UNUSED int nb_image_statistics(int64_t n_slow, int64_t n_fast, const float *image, const int64_t roi[4],
                                       const uint8_t *mask, nb_statistics *statistics);
NB_WARN_UNUSED int nb_integer_image(int64_t n_slow, int64_t n_fast, const float *image, const int64_t roi[4],
                                    double scale, double offset, int32_t as_original, uint16_t *counts);
NB_WARN_UNUSED int nb_grey_image(int64_t n_slow, int64_t n_fast, const float *image, const int64_t roi[4], double scale,
                                 uint8_t *grey);

#endif
