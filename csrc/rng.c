/* Random deviates of the original program, bit for bit (docs/random_numbers.md).
 *
 * All float arithmetic is rounded to float32 where the specification says so, hence the explicit casts.
 */
#include "nanobragg.h"

#include <math.h>

#define MODULUS INT64_C(2147483647)
#define MULTIPLIER 16807
#define SCHRAGE_Q 127773
#define SCHRAGE_R 2836
#define TABLE_LENGTH 32
#define WARM_UP 8
#define DIVISOR (1 + (MODULUS - 1) / TABLE_LENGTH)

/* One step of the minimal standard generator by Schrage's factorization, which maps the degenerate state MODULUS to 0.
 */
static int64_t next_state(int64_t s) {
    int64_t k = s / SCHRAGE_Q;
    s = MULTIPLIER * (s - k * SCHRAGE_Q) - SCHRAGE_R * k;
    return s < 0 ? s + MODULUS : s;
}

/* A fresh state: nothing drawn, no spare deviate, empty Poisson cache.
 *
 * Reference: docs/random_numbers.md, Streams.
 */
void nb_rng_init(nb_rng *rng) {
    for (int i = 0; i < TABLE_LENGTH; i++)
        rng->table[i] = 0;
    rng->last = 0;
    rng->has_spare = 0;
    rng->spare = 0.0f;
    rng->poisson_mean = -1.0f;
    rng->poisson_g = rng->poisson_sq = rng->poisson_log = 0.0f;
}

/* Uniform deviate.
 *
 * Given and returned:
 *   rng    shared shuffle table
 *   state  integer state of the stream; <= 0 (re)initializes the table
 * Returned: u in [0, 1 - 2^-23]; 0 only for the degenerate state 2^31 - 1
 * Note: states beyond 2^31 - 1 in size, which the original cannot be given, are reduced modulo 2^31 - 1, so that every
 *   int64_t is safe.
 * Reference: Park & Miller, CACM 31 (1988) 1192; Bays & Durham, ACM TOMS 2 (1976) 59; docs/random_numbers.md.
 */
float nb_uniform(nb_rng *rng, int64_t *state) {
    int64_t s = *state;
    if (s > MODULUS || s < -MODULUS) s %= MODULUS;
    if (s <= 0 || rng->last == 0) {
        s = -s < 1 ? 1 : -s;
        for (int j = TABLE_LENGTH + WARM_UP - 1; j >= 0; j--) {
            s = next_state(s);
            if (j < TABLE_LENGTH) rng->table[j] = s;
        }
        rng->last = rng->table[0];
    }
    s = next_state(s);
    int64_t j = rng->last / DIVISOR;
    rng->last = rng->table[j];
    rng->table[j] = s;
    *state = s;

    const double largest = 1.0 - 1.2e-7;
    float u = (float)((1.0 / (double)MODULUS) * (double)rng->last);
    return (double)u > largest ? (float)largest : u;
}

/* Gaussian deviate of mean 0 and variance 1.
 *
 * Given and returned:
 *   rng    holds the spare deviate, which re-seeding does not clear
 *   state  integer state of the stream
 * Reference: Marsaglia & Bray, SIAM Rev. 6 (1964) 260; docs/random_numbers.md. The second variate of a pair is returned
 * first.
 */
float nb_gaussian(nb_rng *rng, int64_t *state) {
    if (rng->has_spare) {
        rng->has_spare = 0;
        return rng->spare;
    }
    float v1, v2, rho;
    do {
        v1 = (float)(2.0 * (double)nb_uniform(rng, state) - 1.0);
        v2 = (float)(2.0 * (double)nb_uniform(rng, state) - 1.0);
        rho = (float)((float)(v1 * v1) + (float)(v2 * v2));
    } while (!(rho < 1.0f) || rho == 0.0f);
    float c = (float)sqrt((-2.0 * log((double)rho)) / (double)rho);
    rng->spare = (float)(v1 * c);
    rng->has_spare = 1;
    return (float)(v2 * c);
}

/* Logarithm of the gamma function.
 *
 * Given:    x > 0
 * Returned: ln gamma(x), rounded to float32
 * Reference: Lanczos, SIAM J. Numer. Anal. B 1 (1964) 86, six coefficients; docs/random_numbers.md, Poisson deviate.
 */
float nb_log_gamma(float x) {
    static const double coefficient[6] = {76.18009172947146,  -86.50532032941677,    24.01409824083091,
                                          -1.231739572450155, 0.1208650973866179e-2, -0.5395239384953e-5};
    double d = (double)x;
    double w = d + 5.5;
    w = w - (d + 0.5) * log(w);
    double sum = 1.000000000190015;
    for (int i = 0; i < 6; i++) {
        d = d + 1.0;
        sum = sum + coefficient[i] / d;
    }
    return (float)(-w + log(2.5066282746310005 * sum / (double)x));
}

/* Regime 2: count how many uniform factors keep the product above exp(-mean). */
static float poisson_small(nb_rng *rng, int64_t *state, float mean) {
    if (mean != rng->poisson_mean) {
        rng->poisson_mean = mean;
        rng->poisson_g = (float)exp(-(double)mean);
    }
    float count = -1.0f, product = 1.0f;
    do {
        count = count + 1.0f;
        product = (float)(product * nb_uniform(rng, state));
    } while (product > rng->poisson_g);
    return count;
}

/* Regime 3: rejection from a Lorentzian comparison function. */
static float poisson_rejection(nb_rng *rng, int64_t *state, float mean) {
    if (mean != rng->poisson_mean) {
        rng->poisson_mean = mean;
        rng->poisson_sq = (float)sqrt(2.0 * (double)mean);
        rng->poisson_log = (float)log((double)mean);
        float lg = nb_log_gamma((float)(mean + 1.0f));
        rng->poisson_g = (float)((float)(mean * rng->poisson_log) - lg);
    }
    for (;;) {
        float y, e;
        do {
            y = (float)tan(NB_PI * (double)nb_uniform(rng, state));
            e = (float)((float)(rng->poisson_sq * y) + mean);
        } while (e < 0.0f);
        e = floorf(e);
        float lg = nb_log_gamma((float)(e + 1.0f));
        float z = (float)((float)((float)(e * rng->poisson_log) - lg) - rng->poisson_g);
        float t = (float)(0.9 * (1.0 + (double)(float)(y * y)) * exp((double)z));
        if (!(nb_uniform(rng, state) > t)) return e;
    }
}

/* Poisson deviate.
 *
 * Given:
 *   mean   expected count; any float32. Below 12, negative included: product of uniform deviates; up to 1e6: rejection;
 * above: a Gaussian of that mean and variance, not rounded to an integer. A NaN mean gives NaN. Given and returned: rng
 * holds the cache of the last mean state  integer state of the stream Reference: Knuth, TAOCP 2, 3.4.1; Devroye,
 * Non-Uniform Random Variate Generation (1986), ch. X; docs/random_numbers.md, Poisson deviate.
 */
float nb_poisson(nb_rng *rng, int64_t *state, float mean) {
    if ((double)mean > 1000000.0) {
        double deviate = (double)nb_gaussian(rng, state);
        return (float)((double)mean + sqrt((double)mean) * deviate);
    }
    if (mean < 12.0f) return poisson_small(rng, state, mean);
    return poisson_rejection(rng, state, mean);
}
