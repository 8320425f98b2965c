/* Elementary functions on vectors: polynomials found by minimax fits, the same order of operations everywhere. */
#ifndef NB_SIMD_MATH_H
#define NB_SIMD_MATH_H

#include "simd_vector.h"

/* sin(pi x)/x as a function of x^2, |x| <= 1/2. Largest relative error 6.3e-14. */
NB_INLINE vd sinpi_over_x(vd x_sqr) {
    vd p = vd_all(0.000447200286308100639);
    p = vd_fma(p, x_sqr, vd_all(-0.00736378502075843286));
    p = vd_fma(p, x_sqr, vd_all(0.0821447321133298776));
    p = vd_fma(p, x_sqr, vd_all(-0.599264425735500238));
    p = vd_fma(p, x_sqr, vd_all(2.55016403541931408));
    p = vd_fma(p, x_sqr, vd_all(-5.16771277997731159));
    return vd_fma(p, x_sqr, vd_all(3.14159265358959708));
}

/* The same with one more term. Largest relative error 1.5e-16 before rounding. */
NB_INLINE vd sinpi_over_x_exact(vd x_sqr) {
    vd p = vd_all(-0.0000211229529647453127);
    p = vd_fma(p, x_sqr, vd_all(0.000465977617018617395));
    p = vd_fma(p, x_sqr, vd_all(-0.00737036107168495531));
    p = vd_fma(p, x_sqr, vd_all(0.0821458782565534028));
    p = vd_fma(p, x_sqr, vd_all(-0.59926452877570981));
    p = vd_fma(p, x_sqr, vd_all(2.55016403985977627));
    p = vd_fma(p, x_sqr, vd_all(-5.16771278004975257));
    return vd_fma(p, x_sqr, vd_all(3.14159265358979279));
}

/* cos(pi x) as a function of x^2, |x| <= 1/2. Largest absolute error 2e-15. */
NB_INLINE vd cospi(vd x_sqr) {
    vd p = vd_all(-0.000100417513848838538);
    p = vd_fma(p, x_sqr, vd_all(0.00192787097122971668));
    p = vd_fma(p, x_sqr, vd_all(-0.0258065322917101989));
    p = vd_fma(p, x_sqr, vd_all(0.23533058836701522));
    p = vd_fma(p, x_sqr, vd_all(-1.33526276618647518));
    p = vd_fma(p, x_sqr, vd_all(4.05871212633349119));
    p = vd_fma(p, x_sqr, vd_all(-4.93480220054368897));
    return vd_fma(p, x_sqr, vd_all(0.999999999999998068));
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

/* The square of 3 (sin x/x - cos x)/x^2 at x = pi y, from y^2. Below x = 1 the series of nb_sinc3. */
NB_INLINE vd sinc3_sqr(vd y_sqr) {
    vd y = vd_sqrt(y_sqr);
    vd r = y - vd_round(y); /* sine and cosine change sign together with the parity of round(y) */
    vd r_sqr = r * r;
    vd x = vd_all(3.14159265358979324) * y;
    vd x_sqr = x * x;
    vd sine = r * sinpi_over_x_exact(r_sqr);
    vd far = vd_all(3.0) * vd_fnma(x, cospi(r_sqr), sine) / (x * x_sqr);
    vd near = vd_all(4.4391e-16); /* (-1)^m 6 (m+1)/(2m+3)! */
    near = vd_fma(near, x_sqr, vd_all(-48.0 / 355687428096000.0));
    near = vd_fma(near, x_sqr, vd_all(42.0 / 1307674368000.0));
    near = vd_fma(near, x_sqr, vd_all(-36.0 / 6227020800.0));
    near = vd_fma(near, x_sqr, vd_all(30.0 / 39916800.0));
    near = vd_fma(near, x_sqr, vd_all(-24.0 / 362880.0));
    near = vd_fma(near, x_sqr, vd_all(18.0 / 5040.0));
    near = vd_fma(near, x_sqr, vd_all(-0.1));
    near = vd_fma(near, x_sqr, vd_all(1.0));
    vd form = vd_select(x_sqr < vd_all(1.0), near, far);
    return form * form;
}

#endif
