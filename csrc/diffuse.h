/* What the scalar and the vector version of diffuse scattering have in common. */
#ifndef NB_DIFFUSE_H
#define NB_DIFFUSE_H

#include "imaging.h"

#define NB_DIFFUSE_BLOCK 128 /* points that are evaluated together */

/* Of the arrays that vectors are loaded from. */
#if defined(__GNUC__)
#define NB_ALIGNED __attribute__((aligned(64)))
#else
#define NB_ALIGNED
#endif

/* The sum over the reflections near n points with the indices hkl, into out. The vector versions work on whole vectors:
 * hkl and out are aligned and padded, and hkl holds numbers there. */
typedef void nb_diffuse_sums(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);

void nb_diffuse_stencil(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);
void nb_simd_diffuse_avx2(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);
void nb_simd_diffuse_avx512(const nb_diffuse *d, double hkl[3][NB_DIFFUSE_BLOCK], int n, double *out);

void nb_diffuse_at_by(const nb_diffuse *diffuse, nb_diffuse_sums *sums, int64_t n, const double *hkl, double *out);
int nb_diffuse_check(const nb_diffuse *diffuse);

/* hh, kk, ll, hk, hl, kl */
static inline void nb_diffuse_products(const double h[3], double out[6]) {
    out[0] = h[0] * h[0], out[1] = h[1] * h[1], out[2] = h[2] * h[2];
    out[3] = h[0] * h[1], out[4] = h[0] * h[2], out[5] = h[1] * h[2];
}

static inline double nb_diffuse_form(const double *coefficient, const double product[6]) {
    double sum = 0.0;
    for (int i = 0; i < 6; i++)
        sum += coefficient[i] * product[i];
    return sum;
}

/* Place of a reflection in the table, whose border stands for all other indices. */
static inline int64_t nb_diffuse_place(const nb_diffuse *d, const double h[3]) {
    int64_t at = 0;
    for (int j = 0; j < 3; j++) {
        const double x = h[j] - d->first[j], last = (double)(d->n_table[j] - 1);
        at = at * d->n_table[j] + (int64_t)(!(x > 0.0) ? 0.0 : x < last ? x : last);
    }
    return at;
}

NB_WARN_UNUSED int nb_add_diffuse_by(const nb_scene *scene, const nb_diffuse *diffuse, nb_diffuse_sums *sums,
                                     int64_t pixel_begin, int64_t pixel_end, double *photons,
                                     const volatile int *cancel);

#endif
