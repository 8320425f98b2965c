/* Photons that an amorphous body scatters into pixels, once a pixel: the reference for simd_background.c. */
#include "background.h"
#include "detector.h"
#include "vector.h"

#define BLOCK 128 /* pixels whose geometry is computed together, in loops that compilers turn into vectors */

typedef struct {
    double x[3][BLOCK];        /* from the point that scatters, then divided by the distance */
    double upright[3][BLOCK];  /* curved detectors: normal of the pixel, times the inclination of the flat one */
    double omega[BLOCK];       /* solid angle times what the sensor takes */
    double s[BLOCK], c[BLOCK]; /* sin(theta)/lambda, cos(2 theta) */
    double term[BLOCK], sum[BLOCK];
} nb_block;

/* Fraction of both rays together that a slab of this depth lets through. */
static double absorbed(double depth, double c) {
    const double w = depth * (c > 0.0 ? 1.0 / c - 1.0 : 1.0 + 1.0 / (1e-300 - c));
    const double mean = w < 1e-4 ? 1.0 - w / 2.0 + w * w / 6.0 : (1.0 - exp(-w)) / w;
    return c > 0.0 ? mean * exp(-depth) : mean;
}

/* F^2 times a weight at n values of s, constant outside the table; counts the values above it.
 *
 * In loops without branches, for s comes in no order. An equidistant table needs no search.
 */
static int64_t squared_factors(const nb_background *b, double weight, int n, double *restrict value) {
    const double *restrict stol = b->stol, *restrict polynomial = b->polynomial;
    const double first = stol[0], end = stol[b->n_table - 1], scale = b->index_scale, width = 1.0 / scale;
    const int32_t largest = (int32_t)(b->index == NULL ? b->n_table - 1 : b->n_index) - 1;
    int32_t at[BLOCK];
    int64_t beyond = 0;
    for (int i = 0; i < n; i++) {
        const double s = value[i];
        beyond += s > end;
        const double low = s > first ? s : first, inside = low < end ? low : end;
        const int32_t step = (int32_t)((inside - first) * scale);
        at[i] = step < largest ? step : largest;
        value[i] = inside;
    }
    if (b->index == NULL)
        for (int i = 0; i < n; i++)
            value[i] = (value[i] - first) - (double)at[i] * width;
    else
        for (int i = 0; i < n; i++) {
            at[i] = nb_background_interval(b, at[i], value[i]);
            value[i] -= stol[at[i]];
        }
    for (int i = 0; i < n; i++) {
        const double *c = polynomial + 4 * (int64_t)at[i], t = value[i];
        const double f = c[0] + t * (c[1] + t * (c[2] + t * c[3]));
        value[i] = f * f * weight;
    }
    return beyond;
}

/* Add F^2 P Omega chi A of n points at block->x to block->sum; returns how many lie beyond the table. */
static int64_t scatter(const nb_background *b, nb_block *block, int n) {
    int64_t beyond = 0;
    double *restrict x = block->x[0], *restrict y = block->x[1], *restrict z = block->x[2];
    double *restrict omega = block->omega, *restrict value = block->s, *restrict c = block->c,
                     *restrict term = block->term;
    const double n0 = b->normal[0], n1 = b->normal[1], n2 = b->normal[2];
    const double area = b->pixel_area, (*up)[BLOCK] = (const double (*)[BLOCK])block->upright;
    for (int i = 0; i < n; i++) {
        const double square = x[i] * x[i] + y[i] * y[i] + z[i] * z[i];
        const double inverse = 1.0 / sqrt(square);
        x[i] *= inverse, y[i] *= inverse, z[i] *= inverse;
        const double cosine = x[i] * n0 + y[i] * n1 + z[i] * n2;
        omega[i] = area * (inverse * inverse);
        c[i] = cosine;
        term[i] = 0.0;
    }
    if (!b->point_pixel)
        for (int i = 0; i < n; i++)
            omega[i] *= b->curved ? x[i] * up[0][i] + y[i] * up[1][i] + z[i] * up[2][i] : c[i];
    if (b->sensor_depth > 0.0)
        for (int i = 0; i < n; i++)
            omega[i] *= 1.0 - exp(-b->sensor_depth / c[i]);
    const double polar = b->polarized ? b->kahn_factor : 0.0;
    for (int64_t source = 0; source < b->n_sources; source++) {
        const double k0 = b->incident[3 * source], k1 = b->incident[3 * source + 1], k2 = b->incident[3 * source + 2];
        const double scale = 0.5 / b->wavelength[source], weight = b->weight[source];
        double magnetic[3], electric[3];
        nb_cross(b->polarization_axis, b->incident + 3 * source, magnetic);
        nb_unit(magnetic, magnetic);
        nb_cross(b->incident + 3 * source, magnetic, electric);
        for (int i = 0; i < n; i++) {
            const double p = x[i] - k0, q = y[i] - k1, r = z[i] - k2;
            value[i] = scale * sqrt(p * p + q * q + r * r);
            c[i] = x[i] * k0 + y[i] * k1 + z[i] * k2;
        }
        const int64_t found = squared_factors(b, weight, n, value);
        beyond = found > beyond ? found : beyond;
        if (b->polarized) {
            const double e0 = electric[0], e1 = electric[1], e2 = electric[2];
            const double m0 = magnetic[0], m1 = magnetic[1], m2 = magnetic[2];
            for (int i = 0; i < n; i++) {
                const double e = x[i] * e0 + y[i] * e1 + z[i] * e2, m = x[i] * m0 + y[i] * m1 + z[i] * m2;
                value[i] *= 0.5 * (1.0 + c[i] * c[i] - polar * (e * e - m * m));
            }
        }
        if (b->depth > 0.0)
            for (int i = 0; i < n; i++)
                value[i] *= absorbed(b->depth, c[i]);
        for (int i = 0; i < n; i++)
            term[i] += value[i];
    }
    for (int i = 0; i < n; i++)
        block->sum[i] += term[i] * omega[i];
    return beyond;
}

/* Where along the beam the stop begins to shade a point of the detector. */
static double shade(const nb_background *b, double x0, double x1, double x2) {
    const double x[3] = {x0, x1, x2};
    const double along = nb_dot(x, b->beam);
    double off[3];
    for (int i = 0; i < 3; i++)
        off[i] = x[i] - along * b->beam[i];
    const double rho = nb_norm(off);
    return rho > b->stop_radius ? (b->stop_distance * rho - b->stop_radius * along) / (rho - b->stop_radius) : -1e9;
}

/* One sub-pixel of n pixels whose positions are in `point`. */
static int64_t add_points(const nb_background *b, nb_block *block, double point[3][BLOCK], int n) {
    double half[BLOCK], total[BLOCK];
    int64_t beyond = 0;
    for (int i = 0; i < n; i++)
        block->sum[i] = total[i] = 0.0;
    if (!b->has_path) {
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < n; i++)
                block->x[j][i] = point[j][i];
        beyond = scatter(b, block, n);
        if (b->stop_radius > 0.0)
            for (int i = 0; i < n; i++)
                if (!(shade(b, point[0][i], point[1][i], point[2][i]) > 0.0)) block->sum[i] = 0.0;
        return beyond;
    }
    for (int i = 0; i < n; i++) {
        double end = b->path[1];
        if (b->stop_radius > 0.0) {
            const double dark = shade(b, point[0][i], point[1][i], point[2][i]);
            end = dark < end ? dark : end;
            end = end > b->path[0] ? end : b->path[0];
        }
        half[i] = (end - b->path[0]) / 2.0;
    }
    for (int node = 0; node < b->n_nodes; node++) {
        const double at = 1.0 + b->node[node], weight = b->node_weight[node];
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < n; i++)
                block->x[j][i] = point[j][i] - (b->path[0] + half[i] * at) * b->beam[j];
        for (int i = 0; i < n; i++)
            block->sum[i] = 0.0;
        const int64_t found = scatter(b, block, n);
        beyond = found > beyond ? found : beyond;
        for (int i = 0; i < n; i++)
            total[i] += weight * half[i] * block->sum[i];
    }
    for (int i = 0; i < n; i++)
        block->sum[i] = total[i];
    return beyond;
}

/* Fast and slow index of n pixels; ascending pixels of one row need one division. */
static void indices(const nb_background *b, const int64_t *pixels, int64_t first, int n, double *fast, double *slow) {
    int64_t row = -1, start = 0;
    for (int i = 0; i < n; i++) {
        const int64_t pixel = pixels == NULL ? first + i : pixels[i];
        if (row < 0 || pixel - start >= b->n_fast || pixel < start) row = pixel / b->n_fast, start = row * b->n_fast;
        fast[i] = (double)(pixel - start);
        slow[i] = (double)row;
    }
}

/* The points of a flat detector on the sphere, and the normals there. */
static void bend(const nb_background *b, nb_block *block, double point[3][BLOCK], int n) {
    const double inclination = b->close_distance / b->distance;
    for (int i = 0; i < n; i++) {
        double x[3] = {point[0][i], point[1][i], point[2][i]};
        nb_bend(b->beam, b->fast, b->slow, b->distance, b->curved_axes, x);
        const double length = nb_norm(x);
        for (int j = 0; j < 3; j++) {
            point[j][i] = x[j];
            block->upright[j][i] = x[j] / length * inclination;
        }
    }
}

/* Add the photons of one component.
 *
 * Given:
 *   background  the body, the rays, the detector
 *   pixels      (n_pixels) flat indices; NULL: first, first + 1, ...
 *   first       number of the first pixel, where `pixels` is NULL
 * Given and returned:
 *   photons     (n_pixels)
 * Returned:
 *   beyond      pixels whose sin(theta)/lambda lies above the table, where F is that of its end
 */
NB_WARN_UNUSED int nb_add_background(const nb_background *background, int64_t n_pixels, const int64_t *pixels,
                                     int64_t first, double *photons, int64_t *beyond) {
    const nb_background *b = background;
    const int status = nb_background_check(b, n_pixels, first, photons, beyond);
    if (status != NB_OK) return status;
    nb_block block;
    double point[3][BLOCK], fast[BLOCK], slow[BLOCK];
    const double part = 1.0 / (double)b->oversample;
    const double scale = b->strength / (double)((int64_t)b->oversample * b->oversample);
    *beyond = 0;
    for (int64_t begin = 0; begin < n_pixels; begin += BLOCK) {
        const int n = n_pixels - begin < BLOCK ? (int)(n_pixels - begin) : BLOCK;
        int64_t most = 0;
        indices(b, pixels == NULL ? NULL : pixels + begin, first + begin, n, fast, slow);
        for (int32_t sub_slow = 0; sub_slow < b->oversample; sub_slow++)
            for (int32_t sub_fast = 0; sub_fast < b->oversample; sub_fast++) {
                const double f = ((double)sub_fast + 0.5) * part, s = ((double)sub_slow + 0.5) * part;
                for (int j = 0; j < 3; j++) {
                    const double along_fast = b->pixel_size[0] * b->fast[j], along_slow = b->pixel_size[1] * b->slow[j];
                    const double corner = b->pix0[j];
                    for (int i = 0; i < n; i++)
                        point[j][i] = (fast[i] + f) * along_fast + (slow[i] + s) * along_slow + corner;
                }
                if (b->curved) bend(b, &block, point, n);
                const int64_t found = add_points(b, &block, point, n);
                most = found > most ? found : most;
                for (int i = 0; i < n; i++)
                    photons[begin + i] += scale * block.sum[i];
            }
        *beyond += most;
    }
    return NB_OK;
}
