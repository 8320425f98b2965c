/* Squared forms of the spot shapes and their slopes for vectors, as functions of y (spots.h). */
#ifndef NB_SIMD_SPOTS_H
#define NB_SIMD_SPOTS_H

#include "simd_math.h"
#include "spots.h"

/* Every shape but SQUARE, for what is compiled once for each. */
#define SPOT_SHAPES(F)                                                                                                 \
    F(round, NB_ROUND)                                                                                                 \
    F(gauss, NB_GAUSS)                                                                                                 \
    F(tophat, NB_TOPHAT)

/* 3 (sin x/x - cos x)/x^2 below x = 1, from x^2: the series sum_m (-1)^m 6 (m+1) x^(2m)/(2m+3)! of nb_sinc3. */
NB_INLINE vd sinc3_series(vd x_sqr) {
    static const double S[9] = {1.0,
                                -0.1,
                                18.0 / 5040.0,
                                -24.0 / 362880.0,
                                30.0 / 39916800.0,
                                -36.0 / 6227020800.0,
                                42.0 / 1307674368000.0,
                                -48.0 / 355687428096000.0,
                                54.0 / 121645100408832000.0};
    vd sum = vd_all(S[8]);
    for (int term = 7; term >= 0; term--)
        sum = vd_fma(sum, x_sqr, vd_all(S[term]));
    return sum;
}

/* The square of 3 (sin x/x - cos x)/x^2 at x = pi y, from y^2; clears `apart` in lanes where y^2 is below `noise`. */
NB_INLINE void sinc3_sqr(const vd y_sqr[GROUP], double noise, vd out[GROUP], vi *apart) {
    vd y[GROUP], r[GROUP], r_sqr[GROUP], sine[GROUP], cosine[GROUP];
    vi close = vi_all(0);
    for (int v = 0; v < GROUP; v++) {
        y[v] = vd_sqrt(y_sqr[v]);
        r[v] = y[v] - vd_round(y[v]); /* sine and cosine change sign together with the parity of round(y) */
        r_sqr[v] = r[v] * r[v];
        close |= y_sqr[v] < vd_all(1.0 / (NB_PI * NB_PI));
    }
    sinpi_over_x(r_sqr, 1.0, 0, sine);
    cospi(r_sqr, cosine);
    for (int v = 0; v < GROUP; v++) {
        vd x = vd_all(NB_PI) * y[v];
        out[v] = vd_fnma(x, cosine[v], r[v] * sine[v]) / (y[v] * y_sqr[v]);
        out[v] = out[v] * vd_all(3.0 / (NB_PI * NB_PI * NB_PI));
    }
    if (vi_any(close)) {
        for (int v = 0; v < GROUP; v++) {
            out[v] = vd_select(y_sqr[v] < vd_all(1.0 / (NB_PI * NB_PI)), sinc3_series(vd_all(NB_PI * NB_PI) * y_sqr[v]),
                               out[v]);
            *apart &= ~(y_sqr[v] < vd_all(noise));
        }
    }
    for (int v = 0; v < GROUP; v++)
        out[v] = out[v] * out[v];
}

/* d s3/d(x^2) below x = 1, from x^2: the derivative of sinc3_series. */
NB_INLINE vd sinc3_series_slope(vd x_sqr) {
    static const double S[8] = {-0.1,
                                2.0 * 18.0 / 5040.0,
                                -3.0 * 24.0 / 362880.0,
                                4.0 * 30.0 / 39916800.0,
                                -5.0 * 36.0 / 6227020800.0,
                                6.0 * 42.0 / 1307674368000.0,
                                -7.0 * 48.0 / 355687428096000.0,
                                8.0 * 54.0 / 121645100408832000.0};
    vd sum = vd_all(S[7]);
    for (int term = 6; term >= 0; term--)
        sum = vd_fma(sum, x_sqr, vd_all(S[term]));
    return sum;
}

/* The square of s3(x) = 3 (sin x/x - cos x)/x^2 at x = pi y, and its derivative by y^2. */
NB_INLINE void sinc3_slopes(const vd y_sqr[GROUP], vd out[GROUP], vd rate[GROUP]) {
    vd y[GROUP], r[GROUP], sine[GROUP], cosine[GROUP];
    for (int v = 0; v < SLOPE_GROUP; v++) {
        y[v] = vd_sqrt(y_sqr[v]);
        r[v] = y[v] - vd_round(y[v]); /* sine and cosine change sign together with the parity of round(y) */
    }
    sincospi(r, vd_all(0.0), FINE, sine, cosine);
    for (int v = 0; v < SLOPE_GROUP; v++) {
        const vd x_sqr = vd_all(NB_PI * NB_PI) * y_sqr[v];
        const vi close = x_sqr < vd_all(1.0);
        vd sinc = sine[v] / (vd_all(NB_PI / SINE_UNIT(FINE)) * y[v]);
        vd form = vd_all(3.0) * vd_fnma(vd_all(COSINE_UNIT(FINE)), cosine[v], sinc) / x_sqr,
           slope = vd_all(1.5) * (sinc - form) / x_sqr;
        form = vd_select(close, sinc3_series(x_sqr), form);
        slope = vd_select(close, sinc3_series_slope(x_sqr), slope);
        out[v] = form * form;
        rate[v] = vd_all(2.0 * NB_PI * NB_PI) * form * slope;
    }
}

/* peak times the squared form at y. Given: shape; noise (round): see sinc3_sqr; group: vectors in use. */
NB_INLINE void spot_form_sqr(const int shape, vd peak, const vd y[GROUP], double noise, vd out[GROUP], vi *apart,
                             const int group) {
    if (shape == NB_ROUND) sinc3_sqr(y, noise, out, apart);
    for (int v = 0; v < group; v++) {
        if (shape == NB_ROUND) out[v] = peak * out[v];
        if (shape == NB_GAUSS)
            out[v] = vd_select(y[v] > vd_all(NB_SPOTS[NB_GAUSS].end), vd_all(0.0), peak * vd_exp(-y[v]));
        if (shape == NB_TOPHAT) out[v] = vd_select(y[v] < vd_all(1.0), peak, vd_all(0.0));
    }
}

/* The same for SLOPE_GROUP vectors with the derivative by y. */
NB_INLINE void spot_form_slopes(const int shape, vd peak, const vd y[GROUP], vd out[GROUP], vd rate[GROUP]) {
    if (shape == NB_ROUND) sinc3_slopes(y, out, rate);
    for (int v = 0; v < SLOPE_GROUP; v++) {
        if (shape == NB_ROUND) out[v] = peak * out[v], rate[v] = peak * rate[v];
        if (shape == NB_GAUSS) {
            out[v] = vd_select(y[v] > vd_all(NB_SPOTS[NB_GAUSS].end), vd_all(0.0), peak * vd_exp(-y[v]));
            rate[v] = -out[v];
        }
        if (shape == NB_TOPHAT) out[v] = vd_select(y[v] < vd_all(1.0), peak, vd_all(0.0)), rate[v] = vd_all(0.0);
    }
}

#endif
