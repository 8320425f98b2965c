/* A tiny test harness: CHECK counts failures and goes on; a test program returns check_result(). */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>

static int check_failures = 0;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            check_failures++;                                                                                          \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                    \
        }                                                                                                              \
    } while (0)

/* |got - want| <= tolerance; NaN fails. */
#define CHECK_CLOSE(got, want, tolerance)                                                                              \
    do {                                                                                                               \
        double got_ = (double)(got), want_ = (double)(want);                                                           \
        if (!(fabs(got_ - want_) <= (tolerance))) {                                                                    \
            check_failures++;                                                                                          \
            fprintf(stderr, "%s:%d: %s = %.17g, want %.17g +- %g\n", __FILE__, __LINE__, #got, got_, want_,            \
                    (double)(tolerance));                                                                              \
        }                                                                                                              \
    } while (0)

static inline int check_result(void) {
    if (check_failures) fprintf(stderr, "%d failures\n", check_failures);
    return check_failures != 0;
}

/* Uniform deviates for test points: xorshift64*, on [0, 1). */
static inline double test_uniform(unsigned long long *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

#endif
