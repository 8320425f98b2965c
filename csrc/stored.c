/* From photons to stored numbers, in single passes over the image: statistics of the report, counts, greys. */
#include "imaging.h"

#include <stddef.h>

#define MAX_COUNT 65535.0
#define MAX_GREY 255.0

static int bad_region(int64_t n_slow, int64_t n_fast, const int64_t roi[4]) {
    return roi[0] < 0 || roi[1] > n_slow || roi[0] > roi[1] || roi[2] < 0 || roi[3] > n_fast || roi[2] > roi[3];
}

/* Sums of the rendered pixels, one after the other, as the original program forms them.
 *
 * Given:
 *   image    (n_slow, n_fast) photons
 *   roi      slow and fast begin and end, half-open
 *   mask     (n_slow, n_fast), not 0: rendered; NULL: all
 * Returned:
 *   statistics   `maximum` is 0 and `position` -1 where no pixel is positive; squares are rounded to float32, and
 *                `deviations` from the mean are those of the whole region, masked pixels included
 * Reference: docs/model.md, Statistics and counts.
 */
NB_WARN_UNUSED int nb_image_statistics(int64_t n_slow, int64_t n_fast, const float *image, const int64_t roi[4],
                                       const uint8_t *mask, nb_statistics *statistics) {
    if (image == NULL || statistics == NULL) return NB_ERR_NULL_ARGUMENT;
    if (bad_region(n_slow, n_fast, roi)) return NB_ERR_PIXEL_RANGE;
    nb_statistics s = {.position = -1};
    for (int64_t slow = roi[0]; slow < roi[1]; slow++) {
        for (int64_t i = slow * n_fast + roi[2]; i < slow * n_fast + roi[3]; i++) {
            const float value = image[i];
            if (mask != NULL && mask[i] == 0) continue;
            s.n++;
            s.sum += (double)value;
            s.squares += (double)(value * value);
            if (value > s.maximum) s.maximum = value, s.position = i;
        }
    }
    const double mean = s.n > 0 ? s.sum / (double)s.n : 0.0;
    for (int64_t slow = roi[0]; slow < roi[1]; slow++) {
        for (int64_t i = slow * n_fast + roi[2]; i < slow * n_fast + roi[3]; i++) {
            const double deviation = (double)image[i] - mean;
            s.deviations += deviation * deviation;
        }
    }
    *statistics = s;
    return NB_OK;
}

/* The number, or the nearest one within 0 and a limit; 0 for NaN. */
static inline double clipped(double value, double limit) {
    value = value > 0.0 ? value : 0.0;
    return value < limit ? value : limit;
}

/* Counts: photons times scale plus offset, rounded and clipped to 0 ... 65535; 0 outside the region.
 *
 * Given:
 *   as_original   round count + 1/2 to float32 before its fraction is cut off (INT_F32_ROUND)
 * Returned:
 *   counts        (n_slow, n_fast)
 * Reference: docs/model.md, Statistics and counts; docs/quirks.md, INT_F32_ROUND.
 */
NB_WARN_UNUSED int nb_integer_image(int64_t n_slow, int64_t n_fast, const float *image, const int64_t roi[4],
                                    double scale, double offset, int32_t as_original, uint16_t *counts) {
    if (image == NULL || counts == NULL) return NB_ERR_NULL_ARGUMENT;
    if (bad_region(n_slow, n_fast, roi)) return NB_ERR_PIXEL_RANGE;
    for (int64_t slow = 0; slow < n_slow; slow++) {
        const int inside = slow >= roi[0] && slow < roi[1];
        const int64_t begin = inside ? roi[2] : n_fast, end = inside ? roi[3] : n_fast;
        const float *photons = image + slow * n_fast;
        uint16_t *out = counts + slow * n_fast;
        for (int64_t fast = 0; fast < begin; fast++)
            out[fast] = 0;
        if (as_original) {
            for (int64_t fast = begin; fast < end; fast++) {
                const float sum = (float)(clipped((double)photons[fast] * scale + offset, MAX_COUNT) + 0.5);
                out[fast] = (uint16_t)(int32_t)(sum < (float)MAX_COUNT ? sum : (float)MAX_COUNT);
            }
        } else {
            for (int64_t fast = begin; fast < end; fast++)
                out[fast] = (uint16_t)(int32_t)(clipped((double)photons[fast] * scale + offset, MAX_COUNT) + 0.5);
        }
        for (int64_t fast = end; fast < n_fast; fast++)
            out[fast] = 0;
    }
    return NB_OK;
}

/* Greys of a PGM: photons times scale, cut off and clipped to 0 ... 255; 0 outside the region.
 *
 * Reference: docs/file_formats.md, PGM.
 */
NB_WARN_UNUSED int nb_grey_image(int64_t n_slow, int64_t n_fast, const float *image, const int64_t roi[4], double scale,
                                 uint8_t *grey) {
    if (image == NULL || grey == NULL) return NB_ERR_NULL_ARGUMENT;
    if (bad_region(n_slow, n_fast, roi)) return NB_ERR_PIXEL_RANGE;
    for (int64_t slow = 0; slow < n_slow; slow++) {
        const int inside = slow >= roi[0] && slow < roi[1];
        const int64_t begin = inside ? roi[2] : n_fast, end = inside ? roi[3] : n_fast;
        const float *photons = image + slow * n_fast;
        uint8_t *out = grey + slow * n_fast;
        for (int64_t fast = 0; fast < begin; fast++)
            out[fast] = 0;
        for (int64_t fast = begin; fast < end; fast++)
            out[fast] = (uint8_t)(int32_t)clipped((double)photons[fast] * scale, MAX_GREY);
        for (int64_t fast = end; fast < n_fast; fast++)
            out[fast] = 0;
    }
    return NB_OK;
}
