/* 3-vectors, in the order of docs/model.md, Order of operations (strictly left to right). */
#ifndef NB_VECTOR_H
#define NB_VECTOR_H

#include <math.h>

static inline double nb_dot(const double *x, const double *y) {
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
}

static inline double nb_norm(const double *x) {
    return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
}

static inline void nb_cross(const double *x, const double *y, double *out) {
    double z0 = x[1] * y[2] - x[2] * y[1];
    double z1 = x[2] * y[0] - x[0] * y[2];
    double z2 = x[0] * y[1] - x[1] * y[0];
    out[0] = z0, out[1] = z1, out[2] = z2;
}

/* x / |x|; the zero vector stays zero. */
static inline void nb_unit(const double *x, double *out) {
    double m = nb_norm(x);
    for (int i = 0; i < 3; i++)
        out[i] = m == 0.0 ? 0.0 : x[i] / m;
}

/* Rodrigues' rotation of v about the axis e by phi; the axis is not normalized. */
static inline void nb_rotate(const double *v, const double *e, double phi, double *out) {
    double s = sin(phi), c = cos(phi);
    double d = (e[0] * v[0] + e[1] * v[1] + e[2] * v[2]) * (1.0 - c);
    double x = e[0] * d + v[0] * c + (-e[2] * v[1] + e[1] * v[2]) * s;
    double y = e[1] * d + v[1] * c + (e[2] * v[0] - e[0] * v[2]) * s;
    double z = e[2] * d + v[2] * c + (-e[1] * v[0] + e[0] * v[1]) * s;
    out[0] = x, out[1] = y, out[2] = z;
}

#endif
