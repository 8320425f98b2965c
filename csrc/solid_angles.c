/* Solid angles of many pixels.
 *
 * Compiled for any machine, and once more per instruction set with wide vectors, whose name is NB_SIMD_ISA. Sums are
 * formed in the same order by all of them, so that they agree to the last bit.
 */
#include "detector.h"
#include "simd.h"
#include "vector.h"

#include <math.h>

#ifndef NB_SIMD_ISA
#define NB_SIMD_ISA anywhere
#endif
#define NB_SIMD_PASTE(isa) nb_solid_angles_##isa
#define NB_SIMD_NAME(isa) NB_SIMD_PASTE(isa)

/* Pixels whose solid angles are summed side by side, so that square roots and divisions overlap. */
#define ABREAST 64

/* Squares of the distances of n sub-pixels from the sample [m^2]: the same layer and sub-pixel of n pixels. */
static void distances(const nb_scene *scene, int n, const double *fast, const double *slow, int32_t layer,
                      int32_t sub_fast, int32_t sub_slow, double *sqr) {
    if (scene->curved) {
        for (int i = 0; i < n; i++) {
            double place[3];
            nb_position(scene, (int64_t)fast[i], (int64_t)slow[i], sub_fast, sub_slow, layer, place);
            sqr[i] = nb_dot(place, place);
        }
        return;
    }
    double origin[3], along_fast[3], along_slow[3];
    nb_position(scene, 0, 0, sub_fast, sub_slow, layer, origin);
    for (int k = 0; k < 3; k++) {
        along_fast[k] = scene->pixel_size[0] * scene->fast[k];
        along_slow[k] = scene->pixel_size[1] * scene->slow[k];
    }
    for (int i = 0; i < n; i++) {
        const double x = origin[0] + fast[i] * along_fast[0] + slow[i] * along_slow[0];
        const double y = origin[1] + fast[i] * along_fast[1] + slow[i] * along_slow[1];
        const double z = origin[2] + fast[i] * along_fast[2] + slow[i] * along_slow[2];
        sqr[i] = x * x + y * y + z * z;
    }
}

/* Add the solid angle that belongs to each distance: nb_solid_angle with one division. */
static void add_solid_angles(const nb_scene *scene, int n, const double *sqr, double *sum) {
    const double area = scene->pixel_area, height = scene->pixel_area * scene->close_distance;
    if (scene->point_pixel) {
        for (int i = 0; i < n; i++)
            sum[i] += area / sqr[i];
    } else {
        for (int i = 0; i < n; i++)
            sum[i] += height / (sqr[i] * sqrt(sqr[i]));
    }
}

/* See nb_solid_angles. */
void NB_SIMD_NAME(NB_SIMD_ISA)(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers,
                               int32_t n_sub, double *sum) {
    double sums[ABREAST] = {0.0};
    int64_t row = 0, row_begin = 0; /* and the flat index of its first pixel */
    for (int64_t begin = pixel_begin; begin < pixel_end; begin += ABREAST) {
        double fast[ABREAST], slow[ABREAST], sqr[ABREAST];
        const int n = pixel_end - begin < ABREAST ? (int)(pixel_end - begin) : ABREAST;
        const int64_t *pixels = scene->pixels + begin;
        if (pixels[n - 1] - pixels[0] == n - 1 &&
            pixels[n - 1] - row_begin < scene->n_fast) { /* side by side in a row */
            for (int i = 0; i < n; i++) {
                fast[i] = (double)((int32_t)(pixels[0] - row_begin) + i);
                slow[i] = (double)row;
            }
        } else {
            for (int i = 0; i < n; i++) {
                if (pixels[i] - row_begin >= scene->n_fast)
                    row = pixels[i] / scene->n_fast, row_begin = row * scene->n_fast;
                fast[i] = (double)(pixels[i] - row_begin);
                slow[i] = (double)row;
            }
        }
        for (int32_t layer = 0; layer < n_layers; layer++) {
            for (int32_t sub_slow = 0; sub_slow < n_sub; sub_slow++) {
                for (int32_t sub_fast = 0; sub_fast < n_sub; sub_fast++) {
                    distances(scene, n, fast, slow, layer, sub_fast, sub_slow, sqr);
                    add_solid_angles(scene, n, sqr, sums);
                }
            }
        }
    }
    for (int i = 0; i < ABREAST; i++)
        *sum += sums[i];
}
