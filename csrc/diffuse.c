/* Diffuse scattering of a crystal, once a pixel (docs/diffuse.md): what all instruction sets share, and the reference
 * for simd_diffuse.c. */
#include "diffuse.h"
#include "pass.h"
#include "vector.h"

#include <math.h>
#include <stddef.h>

#define BLOCK NB_DIFFUSE_BLOCK

/* All orders of some forms of one reflection, at an offset from it. */
static double motions(const nb_diffuse *d, int64_t first, int64_t end, const double reflection[6],
                      const double offset[6]) {
    double sum = 0.0;
    for (int64_t i = first; i < end; i++) {
        const double x = nb_diffuse_form(d->forms + 12 * i, reflection);
        const double width = nb_diffuse_form(d->forms + 12 * i + 6, offset);
        double power = d->form_weight[i];
        for (int32_t order = 1; order <= d->n_orders; order++) {
            const double n = (double)order, below = 1.0 + width / (n * n);
            power = power * x / n;
            sum += power / (n * n * n) / (below * below);
        }
    }
    return sum;
}

/* The sum of the forms first ... end-1 over the neighbors of one point. */
static double neighbors(const nb_diffuse *d, int64_t turn, int64_t first, int64_t end, const double point[3]) {
    const double *there = d->turns + 18 * turn, *back = there + 9;
    double nearest[3], sum = 0.0, reflection[6], offset[6];
    for (int j = 0; j < 3; j++)
        nearest[j] = ceil(nb_dot(there + 3 * j, point) - 0.5);
    for (int32_t a = -d->stencil; a <= d->stencil; a++)
        for (int32_t b = -d->stencil; b <= d->stencil; b++)
            for (int32_t c = -d->stencil; c <= d->stencil; c++) {
                const double near[3] = {nearest[0] + (double)a, nearest[1] + (double)b, nearest[2] + (double)c};
                double h[3], off[3];
                for (int j = 0; j < 3; j++)
                    h[j] = nb_dot(back + 3 * j, near), off[j] = point[j] - h[j];
                nb_diffuse_products(h, reflection);
                nb_diffuse_products(off, offset);
                sum += d->table[nb_diffuse_place(d, h)] * motions(d, first, end, reflection, offset);
            }
    return sum;
}

void nb_diffuse_stencil(const nb_diffuse *d, double hkl[3][BLOCK], int n, double *out) {
    for (int i = 0; i < n; i++) {
        const double point[3] = {hkl[0][i], hkl[1][i], hkl[2][i]};
        out[i] = 0.0;
        for (int64_t turn = 0, first = 0; turn < d->n_turns; first += d->counts[turn], turn++)
            out[i] += neighbors(d, turn, first, first + d->counts[turn], point);
    }
}

/* The map at n points, linear in each index between its values; 0 outside. */
static void look_up(const nb_diffuse *d, double hkl[3][BLOCK], int n, double *out) {
    for (int i = 0; i < n; i++) {
        int64_t at[3];
        double part[3];
        int inside = 1;
        for (int j = 0; j < 3; j++) {
            const double x = (hkl[j][i] - d->first[j]) * d->grid, last = (double)(d->n_table[j] - 1);
            inside = inside && x >= 0.0 && x <= last;
            const double low = inside ? fmin(floor(x), last - 1.0) : 0.0;
            at[j] = (int64_t)low, part[j] = x - low;
        }
        out[i] = 0.0;
        if (!inside) continue;
        const int64_t rows = d->n_table[2], planes = d->n_table[1] * rows;
        const double *v = d->table + at[0] * planes + at[1] * rows + at[2];
        double line[4];
        for (int j = 0; j < 4; j++) {
            const double *w = v + (j / 2) * planes + (j % 2) * rows;
            line[j] = w[0] + (w[1] - w[0]) * part[2];
        }
        const double low = line[0] + (line[1] - line[0]) * part[1], high = line[2] + (line[3] - line[2]) * part[1];
        out[i] = low + (high - low) * part[0];
    }
}

typedef struct {
    NB_ALIGNED double hkl[3][BLOCK];
    NB_ALIGNED double value[BLOCK];
    double direction[3][BLOCK], q[3][BLOCK];
    double factor[BLOCK]; /* solid angle times what the sensor takes */
    double lit[BLOCK];    /* times weight and polarization of a ray */
    double sum[BLOCK];
} points;

static void locate(const nb_scene *scene, int64_t begin, int n, points *p) {
    for (int i = 0; i < n; i++) {
        double place[3], direction[3], airpath;
        nb_locate(scene, scene->pixels[begin + i], 0, 0, 0, place, &airpath, direction);
        for (int j = 0; j < 3; j++)
            p->direction[j][i] = direction[j];
        p->factor[i] = nb_solid_angle(scene, airpath) * nb_capture_fraction(scene, direction, 0);
        p->sum[i] = 0.0;
    }
}

/* Scattering vectors of a ray, and how much it counts. */
static void scatter(const nb_scene *scene, int64_t source, int n, points *p) {
    const double *incident = scene->incident + 3 * source;
    const double wavenumber = 1.0 / scene->wavelength[source], weight = scene->weight[source];
    double magnetic[3], electric[3];
    nb_cross(scene->polarization_axis, incident, magnetic);
    const int parallel = nb_norm(magnetic) == 0.0; /* nb_polarization splits nothing then */
    nb_unit(magnetic, magnetic);
    nb_cross(incident, magnetic, electric);
    for (int i = 0; i < n; i++) {
        double x[3], q[3];
        for (int j = 0; j < 3; j++) {
            x[j] = p->direction[j][i];
            q[j] = (x[j] - incident[j]) * wavenumber;
            p->q[j][i] = q[j];
        }
        double lit = weight * p->factor[i];
        if (scene->polarized) {
            const double c = nb_dot(x, incident), e = nb_dot(x, electric), m = nb_dot(x, magnetic);
            lit *= 0.5 * (1.0 + c * c - scene->kahn_factor * (parallel ? 1.0 - c * c : e * e - m * m));
        }
        p->lit[i] = nb_left_out(scene, 0.5 * nb_norm(q)) ? 0.0 : lit;
    }
}

/* Add the diffuse scattering to pixels, with the sum over reflections of an instruction set. */
NB_WARN_UNUSED int nb_add_diffuse_by(const nb_scene *scene, const nb_diffuse *diffuse, nb_diffuse_sums *sums,
                                     int64_t pixel_begin, int64_t pixel_end, double *photons,
                                     const volatile int *cancel) {
    points p = {0};
    double total = 0.0;
    for (int64_t source = 0; source < scene->n_sources; source++)
        total += scene->weight[source];
    const double scale = scene->r_e_sqr * scene->fluence * diffuse->strength / (total * (double)scene->n_domains);
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += BLOCK) {
        const int n = pixel_end - begin < BLOCK ? (int)(pixel_end - begin) : BLOCK;
        locate(scene, begin, n, &p);
        for (int64_t source = 0; source < scene->n_sources; source++) {
            if (*cancel) return NB_ERR_CANCELLED;
            scatter(scene, source, n, &p);
            for (int64_t domain = 0; domain < scene->n_domains; domain++) {
                const double *cell = scene->orientations + 9 * domain;
                const double share = scene->domain_weight == NULL ? 1.0 : scene->domain_weight[domain];
                for (int j = 0; j < 3; j++)
                    for (int i = 0; i < n; i++)
                        p.hkl[j][i] =
                            cell[3 * j] * p.q[0][i] + cell[3 * j + 1] * p.q[1][i] + cell[3 * j + 2] * p.q[2][i];
                (diffuse->is_map ? look_up : sums)(diffuse, p.hkl, n, p.value);
                for (int i = 0; i < n; i++)
                    p.sum[i] += share * p.lit[i] * p.value[i];
            }
        }
        for (int i = 0; i < n; i++)
            photons[begin - pixel_begin + i] += scale * p.sum[i];
    }
    return NB_OK;
}

/* Whether the numbers of a diffuse scattering can be worked on. */
int nb_diffuse_check(const nb_diffuse *d) {
    if (d == NULL || d->table == NULL ||
        (!d->is_map && (d->forms == NULL || d->form_weight == NULL || d->turns == NULL || d->counts == NULL)))
        return NB_ERR_NULL_ARGUMENT;
    const int64_t least = d->is_map ? 2 : 1;
    if (d->n_table[0] < least || d->n_table[1] < least || d->n_table[2] < least) return NB_ERR_BELOW_ONE;
    if (!d->is_map && (d->n_forms < 1 || d->n_orders < 1)) return NB_ERR_BELOW_ONE;
    int64_t counted = 0;
    for (int64_t turn = 0; turn < d->n_turns; turn++) {
        if (d->counts[turn] < 0) return NB_ERR_NEGATIVE;
        counted += d->counts[turn];
    }
    if (counted != d->n_forms) return NB_ERR_TOO_LARGE;
    if (d->stencil < 0) return NB_ERR_NEGATIVE;
    if (d->is_map && !(d->grid > 0.0)) return NB_ERR_NOT_POSITIVE;
    return NB_OK;
}
