/* The background in vectors: what background.c computes, a vector of pixels at a time.
 *
 * Compiled once per instruction set with vectors of four numbers or more; NB_SIMD_ISA is its name. A pixel's value
 * depends neither on its lane nor on the pixels beside it: rows are padded with copies of their last pixel.
 */
#include "background.h"
#include "simd_math.h"
#include "vector.h"

#define NB_SIMD_PASTE(isa) nb_simd_background_##isa
#define NB_SIMD_NAME(isa) NB_SIMD_PASTE(isa)

#define BLOCK 512 /* pixels of one row */
#define RAYS 16   /* rays that a pixel is evaluated for in one go */
/* Vectors that go through the operations together: enough for the latencies of roots and divisions. */
#if LANES == 8
#define MANY 4
#else
#define MANY 8
#endif
#define EACH for (int v = 0; v < MANY; v++)
#define ALIGNED __attribute__((aligned(64)))

typedef struct {
    double incident[3], electric[3], magnetic[3];
    double scale, weight; /* 1/(2 wavelength) */
} nb_ray;

typedef struct {
    const nb_background *b;
    nb_ray ray[RAYS];
    int n_rays;
} nb_rays;

static void take_rays(const nb_background *b, int64_t first, nb_rays *rays) {
    rays->b = b;
    rays->n_rays = b->n_sources - first < RAYS ? (int)(b->n_sources - first) : RAYS;
    for (int i = 0; i < rays->n_rays; i++) {
        nb_ray *ray = rays->ray + i;
        const double *incident = b->incident + 3 * (first + i);
        for (int j = 0; j < 3; j++)
            ray->incident[j] = incident[j];
        nb_cross(b->polarization_axis, incident, ray->magnetic);
        nb_unit(ray->magnetic, ray->magnetic);
        nb_cross(incident, ray->magnetic, ray->electric);
        ray->scale = 0.5 / b->wavelength[first + i];
        ray->weight = b->weight[first + i];
    }
}

NB_INLINE void dot(const double u[3], vd x[3][MANY], vd out[MANY]) {
    EACH out[v] = vd_all(u[0]) * x[0][v];
    EACH out[v] = vd_fma(vd_all(u[1]), x[1][v], out[v]);
    EACH out[v] = vd_fma(vd_all(u[2]), x[2][v], out[v]);
}

/* Whole numbers as integers. */
NB_INLINE vi whole(vd x) {
    return (vi)(x + vd_all(MAGIC)) - vi_all(MAGIC_BITS);
}

/* The four coefficients of an interval in every lane; at: whole numbers. */
NB_INLINE void coefficients(const double *polynomial, vd at, vd c[4]) {
    ALIGNED int64_t row[LANES];
    *(vi *)row = whole(at) << 2;
#if LANES == 8
    __m512d z[4];
    for (int i = 0; i < 4; i++) {
        const int lane = i % 2 + 4 * (i / 2);
        z[i] = _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(polynomial + row[lane])),
                                  _mm256_loadu_pd(polynomial + row[lane + 2]), 1);
    }
    const __m512d even[2] = {_mm512_unpacklo_pd(z[0], z[1]), _mm512_unpacklo_pd(z[2], z[3])};
    const __m512d odd[2] = {_mm512_unpackhi_pd(z[0], z[1]), _mm512_unpackhi_pd(z[2], z[3])};
    c[0] = (vd)_mm512_shuffle_f64x2(even[0], even[1], 0x88);
    c[1] = (vd)_mm512_shuffle_f64x2(odd[0], odd[1], 0x88);
    c[2] = (vd)_mm512_shuffle_f64x2(even[0], even[1], 0xDD);
    c[3] = (vd)_mm512_shuffle_f64x2(odd[0], odd[1], 0xDD);
#else
    __m256d z[4];
    for (int i = 0; i < 4; i++)
        z[i] = _mm256_loadu_pd(polynomial + row[i]);
    const __m256d even[2] = {_mm256_unpacklo_pd(z[0], z[1]), _mm256_unpacklo_pd(z[2], z[3])};
    const __m256d odd[2] = {_mm256_unpackhi_pd(z[0], z[1]), _mm256_unpackhi_pd(z[2], z[3])};
    c[0] = (vd)_mm256_permute2f128_pd(even[0], even[1], 0x20);
    c[1] = (vd)_mm256_permute2f128_pd(odd[0], odd[1], 0x20);
    c[2] = (vd)_mm256_permute2f128_pd(even[0], even[1], 0x31);
    c[3] = (vd)_mm256_permute2f128_pd(odd[0], odd[1], 0x31);
#endif
}

/* Interval of each lane of `inside`, and how far inside of it the lane lies. */
NB_INLINE vd interval(const nb_background *b, vd inside, vd *beyond_start) {
    const vd last = vd_all((double)(b->n_table - 2));
    const vd step = vd_floor((inside - vd_all(b->stol[0])) * vd_all(b->index_scale));
    if (b->index == NULL) {
        const vd at = vd_clamp(step, vd_all(0.0), last);
        *beyond_start = vd_fnma(at, vd_all(1.0 / b->index_scale), inside - vd_all(b->stol[0]));
        return at;
    }
    const vd first = vd_clamp(step, vd_all(0.0), vd_all((double)(b->n_index - 1)));
    vd at = vd_gather(b->index, whole(first)), start = vd_gather(b->stol, whole(at));
    for (int32_t more = 0; more < b->index_steps; more++) {
        const vd next = vd_clamp(at + vd_all(1.0), vd_all(0.0), last), there = vd_gather(b->stol, whole(next));
        const vi later = inside >= there;
        at = vd_select(later, next, at), start = vd_select(later, there, start);
    }
    *beyond_start = inside - start;
    return at;
}

/* As nb_background_absorbed. */
NB_INLINE vd absorbed(double depth, vd c) {
    const vi forward = c > vd_all(0.0);
    const vd one = vd_all(1.0), toll = vd_select(forward, one / c - one, one + one / (vd_all(1e-300) - c));
    const vd w = vd_all(depth) * toll;
    const vd series = one - w / vd_all(2.0) + w * w / vd_all(6.0);
    const vd mean = vd_select(w < vd_all(1e-4), series, (one - vd_exp(-w)) / w);
    return vd_select(forward, mean * vd_all(exp(-depth)), mean);
}

/* F^2 P Omega chi A of one point in each lane; `above` collects the lanes that lie beyond the table. */
NB_INLINE void scatter(const nb_rays *rays, vd point[3][MANY], vi above[MANY], vd out[MANY]) {
    const nb_background *b = rays->b;
    const vd one = vd_all(1.0), end = vd_all(b->stol[b->n_table - 1]), first = vd_all(b->stol[0]);
    vd x[3][MANY], cosine[MANY], omega[MANY], s[MANY], t[MANY], k[4][MANY], c[MANY], e[MANY], m[MANY], sum[MANY];
    EACH s[v] = vd_fma(point[2][v], point[2][v], vd_fma(point[1][v], point[1][v], point[0][v] * point[0][v]));
    EACH s[v] = one / vd_sqrt(s[v]);
    for (int j = 0; j < 3; j++)
        EACH x[j][v] = point[j][v] * s[v];
    dot(b->normal, x, cosine);
    EACH omega[v] = vd_all(b->pixel_area) * (s[v] * s[v]);
    if (!b->point_pixel) EACH omega[v] = omega[v] * cosine[v];
    if (b->sensor_depth > 0.0) EACH omega[v] = omega[v] * (one - vd_exp(vd_all(-b->sensor_depth) / cosine[v]));
    EACH sum[v] = vd_all(0.0);
    for (int i = 0; i < rays->n_rays; i++) {
        const nb_ray *ray = rays->ray + i;
        EACH {
            const vd p = x[0][v] - vd_all(ray->incident[0]), q = x[1][v] - vd_all(ray->incident[1]);
            const vd r = x[2][v] - vd_all(ray->incident[2]);
            s[v] = vd_fma(r, r, vd_fma(q, q, p * p));
        }
        EACH s[v] = vd_all(ray->scale) * vd_sqrt(s[v]);
        EACH above[v] |= s[v] > end;
        EACH s[v] = interval(b, vd_clamp(s[v], first, end), &t[v]);
        EACH {
            vd four[4];
            coefficients(b->polynomial, s[v], four);
            for (int j = 0; j < 4; j++)
                k[j][v] = four[j];
        }
        for (int j = 2; j >= 0; j--)
            EACH k[3][v] = vd_fma(t[v], k[3][v], k[j][v]);
        EACH s[v] = k[3][v] * k[3][v] * vd_all(ray->weight);
        dot(ray->incident, x, c);
        if (b->polarized) {
            dot(ray->electric, x, e);
            dot(ray->magnetic, x, m);
            EACH e[v] = vd_fma(e[v], e[v], -(m[v] * m[v]));
            EACH e[v] = vd_fnma(vd_all(b->kahn_factor), e[v], vd_fma(c[v], c[v], one));
            EACH s[v] = s[v] * (vd_all(0.5) * e[v]);
        }
        if (b->depth > 0.0) EACH s[v] = s[v] * absorbed(b->depth, c[v]);
        EACH sum[v] = sum[v] + s[v];
    }
    EACH out[v] = sum[v] * omega[v];
}

/* As nb_background_shade. */
NB_INLINE void shade(const nb_background *b, vd x[3][MANY], vd out[MANY]) {
    const vd radius = vd_all(b->stop_radius);
    vd along[MANY], rho[MANY];
    dot(b->beam, x, along);
    EACH rho[v] = vd_all(0.0);
    for (int j = 0; j < 3; j++)
        EACH {
            const vd off = vd_fnma(along[v], vd_all(b->beam[j]), x[j][v]);
            rho[v] = vd_fma(off, off, rho[v]);
        }
    EACH {
        rho[v] = vd_sqrt(rho[v]);
        const vd dark = (vd_all(b->stop_distance) * rho[v] - radius * along[v]) / (rho[v] - radius);
        out[v] = vd_select(rho[v] > radius, dark, vd_all(-1e9));
    }
}

/* One sub-pixel. */
NB_INLINE void at_point(const nb_rays *rays, vd point[3][MANY], vi above[MANY], vd out[MANY]) {
    const nb_background *b = rays->b;
    vd dark[MANY];
    if (b->stop_radius > 0.0) shade(b, point, dark);
    if (!b->has_path) {
        scatter(rays, point, above, out);
        if (b->stop_radius > 0.0) EACH out[v] = vd_select(dark[v] > vd_all(0.0), out[v], vd_all(0.0));
        return;
    }
    const vd begin = vd_all(b->path[0]);
    vd half[MANY], x[3][MANY], value[MANY];
    EACH {
        vd end = vd_all(b->path[1]);
        if (b->stop_radius > 0.0) {
            end = vd_select(dark[v] < end, dark[v], end);
            end = vd_select(end > begin, end, begin);
        }
        half[v] = (end - begin) / vd_all(2.0);
        out[v] = vd_all(0.0);
    }
    for (int node = 0; node < b->n_nodes; node++) {
        for (int j = 0; j < 3; j++)
            EACH {
                const vd z = vd_fma(half[v], vd_all(1.0 + b->node[node]), begin);
                x[j][v] = vd_fnma(z, vd_all(b->beam[j]), point[j][v]);
            }
        scatter(rays, x, above, value);
        EACH out[v] = vd_fma(vd_all(b->node_weight[node]) * half[v], value[v], out[v]);
    }
}

/* Pixels of one row; fast: their index along it, padded. Returns how many lie beyond the table. */
static int64_t add_row(const nb_rays *rays, double slow, const double *fast, int n, double *out) {
    const nb_background *b = rays->b;
    const double part = 1.0 / (double)b->oversample;
    const double scale = b->strength / (double)((int64_t)b->oversample * b->oversample);
    int64_t beyond = 0;
    for (int i = 0; i < n; i += MANY * LANES) {
        vi above[MANY];
        vd sum[MANY], value[MANY], point[3][MANY];
        EACH above[v] = vi_all(0), sum[v] = vd_all(0.0);
        for (int32_t sub_slow = 0; sub_slow < b->oversample; sub_slow++)
            for (int32_t sub_fast = 0; sub_fast < b->oversample; sub_fast++) {
                const vd f = vd_all(((double)sub_fast + 0.5) * part);
                const double s = slow + ((double)sub_slow + 0.5) * part;
                for (int j = 0; j < 3; j++) {
                    const vd start = vd_all(s * (b->pixel_size[1] * b->slow[j]) + b->pix0[j]);
                    EACH point[j][v] =
                        vd_fma(vd_load(fast + i + v * LANES) + f, vd_all(b->pixel_size[0] * b->fast[j]), start);
                }
                at_point(rays, point, above, value);
                EACH sum[v] = sum[v] + value[v];
            }
        EACH {
            vd_store(out + i + v * LANES, vd_all(scale) * sum[v]);
            if (!vi_any(above[v])) continue;
            for (int lane = 0; lane < LANES && i + v * LANES + lane < n; lane++)
                beyond += above[v][lane] != 0;
        }
    }
    return beyond;
}

/* As nb_add_background, for a flat detector. */
void NB_SIMD_NAME(NB_SIMD_ISA)(const nb_background *b, int64_t n_pixels, const int64_t *pixels, int64_t first,
                               double *photons, int64_t *beyond) {
    ALIGNED double fast[BLOCK], sum[BLOCK];
    nb_rays rays;
    *beyond = 0;
    for (int64_t ray = 0; ray < b->n_sources; ray += RAYS) {
        int64_t found = 0;
        take_rays(b, ray, &rays);
        for (int64_t begin = 0, n; begin < n_pixels; begin += n) {
            const int64_t start = pixels == NULL ? first + begin : pixels[begin];
            const int64_t row = start / b->n_fast, left = (row + 1) * b->n_fast - start;
            n = n_pixels - begin < BLOCK ? n_pixels - begin : BLOCK;
            if (pixels == NULL) {
                n = n < left ? n : left;
                for (int64_t i = 0; i < n; i++)
                    fast[i] = (double)(int32_t)i + (double)(start - row * b->n_fast);
            } else {
                n = nb_background_in_row(pixels + begin, n, row * b->n_fast, b->n_fast);
                for (int64_t i = 0; i < n; i++)
                    fast[i] = (double)(int32_t)(pixels[begin + i] - row * b->n_fast);
            }
            for (int64_t i = n; i % (MANY * LANES) != 0; i++)
                fast[i] = fast[n - 1];
            found += add_row(&rays, (double)row, fast, (int)n, sum);
            for (int64_t i = 0; i < n; i++)
                photons[begin + i] += sum[i];
        }
        *beyond = found > *beyond ? found : *beyond;
    }
}
