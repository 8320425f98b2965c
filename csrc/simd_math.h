/* Elementary functions on vectors: polynomials found by minimax fits, the same order of operations everywhere. */
#ifndef NB_SIMD_MATH_H
#define NB_SIMD_MATH_H

#include "nanobragg.h"
#include "simd_vector.h"

/* scale sin(pi x)/x as a function of x^2, |x| <= 1/2. Largest relative error 6.3e-14; 1.4e-16 with one more term,
 * `fine`.
 *
 * The vectors of a group advance together, so that each step has independent operations to hide its latency behind.
 */
NB_INLINE void sinpi_over_x(const vd x_sqr[GROUP], const double scale, const int fine, vd out[GROUP]) {
    static const double P[2][8] = {
        {3.14159265358959708, -5.16771277997731159, 2.55016403541931408, -0.599264425735500238, 0.0821447321133298776,
         -0.00736378502075843286, 0.000447200286308100639, 0.0},
        {3.141592653589792792, -5.167712780049752567, 2.550164039859776252, -0.5992645287757094871,
         0.08214587825655008974, -0.007370361071668178888, 0.0004659776169780521495, -0.00002112295292777124358}};
    const int last = fine ? 7 : 6;
    for (int v = 0; v < GROUP; v++)
        out[v] = vd_all(scale * P[fine][last]);
    for (int term = last - 1; term >= 0; term--) {
        for (int v = 0; v < GROUP; v++)
            out[v] = vd_fma(out[v], x_sqr[v], vd_all(scale * P[fine][term]));
    }
}

/* cos(pi x) as a function of x^2, |x| <= 1/2. Largest absolute error 2e-15. */
NB_INLINE void cospi(const vd x_sqr[GROUP], vd out[GROUP]) {
    static const double P[8] = {0.999999999999998068,   -4.93480220054368897,    4.05871212633349119,
                                -1.33526276618647518,   0.23533058836701522,     -0.0258065322917101989,
                                0.00192787097122971668, -0.000100417513848838538};
    for (int v = 0; v < GROUP; v++)
        out[v] = vd_all(P[7]);
    for (int term = 6; term >= 0; term--) {
        for (int v = 0; v < GROUP; v++)
            out[v] = vd_fma(out[v], x_sqr[v], vd_all(P[term]));
    }
}

/* exp(x): within 2 units of the last place for results in the normal range, 0 below it, infinite above, NaN for NaN. */
NB_INLINE vd vd_exp(vd x) {
    vd within = vd_clamp(x, vd_all(-708.0), vd_all(709.5));
    vd scaled = vd_fma(within, vd_all(1.4426950408889634), vd_all(MAGIC));
    vd whole = scaled - vd_all(MAGIC);
    vd r = vd_fnma(whole, vd_all(6.93147180369123816490e-01), within); /* ln 2 in two parts, the first one short */
    r = vd_fnma(whole, vd_all(1.90821492927058770002e-10), r);
    vd p = vd_all(2.49943043474805265e-8);
    p = vd_fma(p, r, vd_all(2.76322932986849656e-7));
    p = vd_fma(p, r, vd_all(2.75576225333665511e-6));
    p = vd_fma(p, r, vd_all(0.0000248014865213821072));
    p = vd_fma(p, r, vd_all(0.000198412694326750799));
    p = vd_fma(p, r, vd_all(0.00138888889512240146));
    p = vd_fma(p, r, vd_all(0.00833333333355927433));
    p = vd_fma(p, r, vd_all(0.0416666666664927673));
    p = vd_fma(p, r, vd_all(0.166666666666661687));
    p = vd_fma(p, r, vd_all(0.500000000000001769));
    p = vd_fma(p, r, vd_all(1.0));
    p = vd_fma(p, r, vd_all(1.0));
    vi power = ((vi)scaled - vi_all(MAGIC_BITS) + vi_all(1023)) << 52;
    vd value = p * (vd)power;
    value = vd_select(x < vd_all(-708.0), vd_all(0.0), value);
    value = vd_select(x > vd_all(709.5), vd_all(INFINITY), value);
    return vd_select(x == x, value, x);
}

/* How well a sine and cosine are known; the leading coefficients are always exact, so that what cancels near 0 does.
 * Largest errors of the sine (relative) and the cosine: 6.9e-14 and 8.2e-13; 2.4e-11 and 8.2e-13; 6.3e-11 and 6.6e-10,
 * but 4e-12 and 4e-11 within 1/10 of a spot, for what only counts there. */
enum { FINE, PLAIN, NEAR_SPOTS };

/* sin(pi x) + nudge and times cos(pi x) for |x| <= 1/2; group: vectors in use. */
NB_INLINE void sincospi(const vd x[GROUP], vd nudge, const double times, const int how, const int group, vd sine[GROUP],
                        vd cosine[GROUP]) {
    static const double S[3][7] = {{3.14159265358979324, -5.16771277999972061, 2.5501640361298043,
                                    -0.599264435342760941, 0.0821447952625194407, -0.00736398449162243941,
                                    0.000447442954284567459},
                                   {3.14159265358979324, -5.16771276748674757, 2.5501633590601228,
                                    -0.599252398874862771, 0.0820506920884899416, -0.00702821378845763182, 0.0},
                                   {3.14159265358979324, -5.16771277635929282, 2.55016371613943863,
                                    -0.599256799542542694, 0.0820719124229548099, -0.00706334734055153654, 0.0}};
    static const double C[3][7] = {{1.0, -4.93480220034120843, 4.05871211056823916, -1.33526235770815407,
                                    0.235325723539175347, -0.0257772439310938816, 0.00184113969636277665},
                                   {1.0, -4.93480220034120843, 4.05871211056823916, -1.33526235770815407,
                                    0.235325723539175347, -0.0257772439310938816, 0.00184113969636277665},
                                   {1.0, -4.93480218780796501, 4.05871094744408144, -1.33523337511551874,
                                    0.235039679640258394, -0.024565945011968095, 0.0}};
    const int s_last = how == FINE ? 6 : 5, c_last = how == NEAR_SPOTS ? 5 : 6;
    vd sqr[GROUP];
    for (int v = 0; v < group; v++) {
        sqr[v] = x[v] * x[v];
        sine[v] = vd_all(S[how][s_last]), cosine[v] = vd_all(times * C[how][c_last]);
    }
    for (int term = 5; term >= 0; term--) {
        for (int v = 0; v < group; v++) {
            if (term < s_last) sine[v] = vd_fma(sine[v], sqr[v], vd_all(S[how][term]));
            if (term < c_last) cosine[v] = vd_fma(cosine[v], sqr[v], vd_all(times * C[how][term]));
        }
    }
    for (int v = 0; v < group; v++)
        sine[v] = vd_fma(x[v], sine[v], nudge);
}

#endif
