/* Reflections from text, at the speed of memory, where the text is plain. */
#include "nanobragg.h"

#include <stddef.h>

/* Most digits of a number, so that its digits are a whole number below 2^53 and its power of ten is exact: then one
 * division rounds correctly. */
#define MAX_DIGITS 15

static const double POWERS[MAX_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* A number [sign] digits [. digits] of at most MAX_DIGITS digits; returns the place after it, NULL if there is none. */
static const char *plain_number(const char *at, const char *end, int whole, double *value) {
    int64_t digits = 0;
    int n = 0, behind_point = 0, point = 0;
    const int negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    for (; at < end; at++) {
        if (*at >= '0' && *at <= '9') {
            digits = 10 * digits + (*at - '0');
            behind_point += point;
            if (++n > MAX_DIGITS) return NULL;
        } else if (*at == '.' && !point && !whole) {
            point = 1;
        } else {
            break;
        }
    }
    if (n == 0) return NULL;
    if (at < end && *at != ' ' && *at != '\t' && *at != '\n' && *at != '\r') return NULL;
    *value = (double)digits / POWERS[behind_point];
    if (negative) *value = -*value;
    return at;
}

static int is_space(char c) {
    return c == ' ' || c == '\t';
}

static int is_line_end(char c) {
    return c == '\n' || c == '\r';
}

/* Rows of four plain numbers, the first three whole and below 2^31.
 *
 * Given:
 *   data       text of `length` bytes
 *   capacity   rows that fit into the arrays
 * Returned:
 *   hkl        (n, 3) indices
 *   amplitude  (n)
 *   box        (2, 3) smallest and largest indices; unspecified for n = 0
 *   result     n; -1 where a line that is not blank is anything else, for example has an exponent or a fifth column
 */
int64_t nb_read_plain_hkl(const char *data, int64_t length, int64_t capacity, int64_t *hkl, double *amplitude,
                          int64_t *box) {
    const char *at = data, *const end = data + length;
    int64_t n = 0;
    for (int i = 0; i < 3; i++)
        box[i] = INT64_MAX, box[3 + i] = INT64_MIN;
    for (;; n++) {
        while (at < end && (is_space(*at) || is_line_end(*at)))
            at++;
        if (at == end) return n;
        if (n == capacity) return -1;
        for (int column = 0; column < 4; column++) {
            double value;
            while (at < end && is_space(*at))
                at++;
            at = plain_number(at, end, column < 3, &value);
            if (at == NULL || (column < 3 && !(value > -2147483648.0 && value < 2147483648.0))) return -1;
            if (column == 3) {
                amplitude[n] = value;
                continue;
            }
            const int64_t index = (int64_t)value;
            hkl[3 * n + column] = index;
            if (index < box[column]) box[column] = index;
            if (index > box[3 + column]) box[3 + column] = index;
        }
        while (at < end && is_space(*at))
            at++;
        if (at < end && !is_line_end(*at)) return -1;
    }
}
