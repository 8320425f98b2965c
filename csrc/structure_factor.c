/* Structure factors: nearest table entry and tricubic interpolation. */
#include "structure_factor.h"

#include <math.h>
#include <stddef.h>

/* Cubic Lagrange interpolation on four equidistant nodes.
 *
 * Given:
 *   y   (4) values at x0, x0+1, x0+2, x0+3
 *   x   abscissa
 *   x0  first node
 * Returned: value at x, exact for cubics
 * Reference: docs/model.md, Structure factors, in its order of operations.
 */
double nb_lagrange(const double y[4], double x, double x0) {
    double d0 = x - x0, d1 = x - (x0 + 1.0), d2 = x - (x0 + 2.0), d3 = x - (x0 + 3.0);
    double t0 = d1 * d2 * d3 * y[0] / -6.0;
    double t1 = d0 * d2 * d3 * y[1] / 2.0;
    double t2 = d0 * d1 * d3 * y[2] / -2.0;
    double t3 = d0 * d1 * d2 * y[3] / 6.0;
    return t0 + t1 + t2 + t3;
}

/* Whether the 4 x 4 x 4 nodes around a point lie inside the table.
 *
 * Given:    scene (f_table, hkl_min, n_hkl, quirks), hkl (3) real indices
 * Returned: 1 or 0; 0 for NaN
 * Note: INTERP_LOW_EDGE wants h_min + 2 <= h <= h_max - 2, one index more than the nodes need.
 * Reference: docs/model.md, Structure factors; docs/quirks.md, INTERP_LOW_EDGE.
 */
int nb_stencil_fits(const nb_scene *scene, const double hkl[3]) {
    if (scene->f_table == NULL) return 0;
    for (int i = 0; i < 3; i++) {
        double low = (double)scene->hkl_min[i], range = (double)scene->n_hkl[i];
        double first = floor(hkl[i]) - 1.0;
        if (!(first >= low && first + 3.0 <= low + range - 1.0)) return 0;
        if ((scene->quirks & NB_INTERP_LOW_EDGE) && (hkl[i] - low + 3.0 > range || hkl[i] - 2.0 < low)) return 0;
    }
    return 1;
}

/* Tricubic interpolation between table entries, where nb_stencil_fits.
 *
 * Given:
 *   scene  f_table, hkl_min, n_hkl
 *   hkl    (3) real indices
 * Returned:
 *   nodes  (4, 4, 4) the table entries used, l fastest
 *   result F_cell [electrons]
 * Reference: docs/model.md, Structure factors: along l, then k, then h.
 */
double nb_interpolated(const nb_scene *scene, const double hkl[3], double nodes[64]) {
    double first[3];
    int64_t start[3];
    for (int i = 0; i < 3; i++) {
        first[i] = floor(hkl[i]) - 1.0;
        start[i] = (int64_t)first[i] - scene->hkl_min[i];
    }
    double along_h[4];
    for (int i = 0; i < 4; i++) {
        double along_k[4];
        for (int j = 0; j < 4; j++) {
            double *row = nodes + (i * 4 + j) * 4;
            const double *table =
                scene->f_table + ((start[0] + i) * scene->n_hkl[1] + start[1] + j) * scene->n_hkl[2] + start[2];
            for (int m = 0; m < 4; m++)
                row[m] = table[m];
            along_k[j] = nb_lagrange(row, hkl[2], first[2]);
        }
        along_h[i] = nb_lagrange(along_k, hkl[1], first[1]);
    }
    return nb_lagrange(along_h, hkl[0], first[0]);
}

/* Table entry at integer indices.
 *
 * Given:    scene (f_table, hkl_min, n_hkl, default_F), nearest (3) whole numbers, or NaN or infinite
 * Returned: F_cell [electrons]; default_F outside the table and without one
 * Reference: docs/model.md, Structure factors.
 */
double nb_tabulated(const nb_scene *scene, const double nearest[3]) {
    if (scene->f_table == NULL) return scene->default_F;
    int64_t at = 0;
    for (int i = 0; i < 3; i++) {
        double index = nearest[i] - (double)scene->hkl_min[i];
        if (!(index >= 0.0 && index < (double)scene->n_hkl[i])) return scene->default_F;
        at = at * scene->n_hkl[i] + (int64_t)index;
    }
    return scene->f_table[at];
}
