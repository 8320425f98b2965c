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

/* x^4 + ... with two multiplications, which take longer than additions do (Knuth, The Art of Computer Programming 2,
 * section 4.6.4). */
NB_INLINE vd quartic(const double a[4], vd x) {
    const vd u = vd_fma(x + vd_all(a[0]), x, vd_all(a[1]));
    return vd_fma(u + (x + vd_all(a[2])), u, vd_all(a[3]));
}

/* How well sines are known: half a sine is a quartic or a quintic. */
enum { FINE, QUICK };

/* The leading coefficients of the polynomials in x^2 that are sin(pi x/2)/x and cos(pi x/2). */
#define HALF_SINE(how) ((how) == FINE ? -3.55620657412391837e-6 : 0.000158195074284148717)
#define HALF_COSINE -0.0000248459784120444685

/* What sincospi gives sine and cosine in. */
#define SINE_UNIT(how) (2.0 * HALF_SINE(how) * HALF_COSINE)
#define COSINE_UNIT(how) (2.0 * HALF_SINE(how) * HALF_SINE(how))

/* sin(pi x)/SINE_UNIT + nudge and cos(pi x)/COSINE_UNIT for |x| <= 1/2, by the sine and cosine of pi x/2. Largest
 * errors of the sine (relative) and the cosine: FINE 1e-13 and 2e-14; QUICK 5e-12 and 9e-12, nearly all of which are
 * functions of x that vary slowly. For SLOPE_GROUP vectors. */
NB_INLINE void sincospi(const vd x[GROUP], vd nudge, const int how, vd sine[GROUP], vd cosine[GROUP]) {
    static const double S[2][5] = {
        {-23.05621955078991401641, -3780.741481318063505498, 8369.4517814806287873, 17530371.52114311938536,
         -441705.5910712553862859},
        {-15.2958482549394461538, 277.4208309144844978777, -269.7473257894874270223, 7800.699317857343435099, 0.0}};
    static const double C[5] = {-18.99713037342945799922, -752.5632628597324139259, 2002.94473744204809895,
                                990645.0954407907227543, -40247.96220201048889224};
    for (int v = 0; v < SLOPE_GROUP; v++) {
        const vd sqr = x[v] * x[v];
        vd half = quartic(S[how], sqr);
        if (how == FINE) half = vd_fma(half, sqr, vd_all(S[how][4]));
        half = x[v] * half;
        sine[v] = vd_fma(half, vd_fma(quartic(C, sqr), sqr, vd_all(C[4])), nudge);
        cosine[v] = vd_fnma(half, half, vd_all(1.0 / COSINE_UNIT(how)));
    }
}

#endif
