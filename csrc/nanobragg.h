/* nanobragg.h - the whole public C interface of the nanobragg core.
 *
 * No I/O, no globals, no threads, no exit: re-entrant, and every array belongs to the caller. Fallible functions return a
 * status (0 = NB_OK, negative = error). Lengths are metres, angles radians. The order of loops and the meaning of the sum are
 * those of nanobragg/scene.py.
 */
#ifndef NANOBRAGG_H
#define NANOBRAGG_H

#include <stdint.h>

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
    double layer_thickness;  /* [m] */
    double attenuation;      /* [1/m] */
    const int64_t *pixels;   /* (n_pixels) flat indices, ascending */
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

#endif
