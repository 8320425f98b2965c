/* Derivatives of positions, solid angles, capture fractions and polarization, in reverse (pull) and forward mode
 * (push).
 *
 * Gradients and tangents of small fields are never NULL here.
 */
#include "geometry_slopes.h"
#include "detector.h"
#include "vector.h"

#include <stddef.h>

static void add(double factor, const double x[3], double sum[3]) {
    for (int i = 0; i < 3; i++)
        sum[i] += factor * x[i];
}

/* Coordinates of the point along fast and slow [m]. */
static void coordinates(const nb_scene *scene, const nb_point *point, double along[2]) {
    const int64_t at[2] = {point->fast, point->slow};
    for (int i = 0; i < 2; i++) {
        double step = scene->pixel_size[i] / (double)scene->oversample;
        along[i] = step * (double)at[i] + step / 2.0;
    }
}

/* The point of a pixel, with its solid angle and capture fraction. */
void nb_point_make(const nb_scene *scene, int64_t flat_index, int32_t sub_fast, int32_t sub_slow, int32_t layer,
                   nb_point *point) {
    const int64_t fast = flat_index % scene->n_fast, slow = flat_index / scene->n_fast;
    point->fast = fast * scene->oversample + sub_fast, point->slow = slow * scene->oversample + sub_slow;
    point->layer = layer;
    double along[2], depth = (double)layer * scene->layer_thickness;
    coordinates(scene, point, along);
    for (int i = 0; i < 3; i++)
        point->flat[i] =
            along[0] * scene->fast[i] + along[1] * scene->slow[i] + depth * scene->normal[i] + scene->pix0[i];
    nb_position(scene, fast, slow, sub_fast, sub_slow, layer, point->position);
    point->airpath = nb_norm(point->position);
    for (int i = 0; i < 3; i++)
        point->direction[i] = point->position[i] / point->airpath;
    point->solid_angle = nb_solid_angle(scene, point->airpath);
    point->capture = nb_capture_fraction(scene, point->direction, layer);
    point->cosine = nb_dot(point->direction, scene->normal);
    double absorption = scene->layer_thickness * scene->attenuation / point->cosine;
    point->front = exp(-(double)layer * absorption), point->back = exp(-(double)(layer + 1) * absorption);
}

/* --- the curved detector ---------------------------------------------------------------------------------------- */

/* A rotation of v about e by phi as nb_rotate has it. */
typedef struct {
    double v[3], e[3], phi;
} rotation;

/* d(rotated v)/d phi */
static void rotation_slope(const rotation *r, double out[3]) {
    double s = sin(r->phi), c = cos(r->phi), along = nb_dot(r->e, r->v), across[3];
    nb_cross(r->e, r->v, across);
    for (int i = 0; i < 3; i++)
        out[i] = r->e[i] * along * s - r->v[i] * s + across[i] * c;
}

/* From the gradient of the rotated vector to those of v (returned in place) and phi (returned); adds that of e. */
static double pull_rotation(const rotation *r, double grad[3], double *by_e) {
    double turn = 1.0 - cos(r->phi), s = sin(r->phi), slope[3], across[3];
    rotation_slope(r, slope);
    double by_phi = nb_dot(slope, grad);
    nb_cross(r->v, grad, across);
    add(nb_dot(r->e, r->v) * turn, grad, by_e);
    add(nb_dot(r->e, grad) * turn, r->v, by_e);
    add(s, across, by_e);
    nb_rotate(grad, r->e, -r->phi, grad);
    return by_phi;
}

/* Tangent of the rotated vector. */
static void push_rotation(const rotation *r, const double dv[3], const double de[3], double d_phi, double out[3]) {
    double turn = 1.0 - cos(r->phi), s = sin(r->phi), slope[3], across[3], moved[3];
    rotation_slope(r, slope);
    nb_cross(de, r->v, across);
    nb_rotate(dv, r->e, r->phi, moved);
    for (int i = 0; i < 3; i++)
        out[i] = moved[i] + slope[i] * d_phi + de[i] * (nb_dot(r->e, r->v) * turn) +
                 r->e[i] * (nb_dot(de, r->v) * turn) + across[i] * s;
}

/* The two rotations of bend (detector.c): about slow, then about fast; returns the sign of the arcs. */
static double bending(const nb_scene *scene, const double flat[3], double offset[3], rotation *first,
                      rotation *second) {
    double axis[3];
    nb_cross(scene->slow, scene->beam, axis);
    double sign = nb_dot(axis, scene->fast) > 0.0 ? 1.0 : -1.0;
    for (int i = 0; i < 3; i++) {
        first->v[i] = scene->distance * scene->beam[i];
        offset[i] = flat[i] - first->v[i];
        first->e[i] = scene->slow[i], second->e[i] = scene->fast[i];
    }
    first->phi = sign * nb_dot(offset, scene->fast) / scene->distance;
    second->phi = -sign * nb_dot(offset, scene->slow) / scene->distance;
    nb_rotate(first->v, first->e, first->phi, second->v);
    return sign;
}

/* From the gradient of the bent position to that of the flat one, in place; adds those of the frame. */
static void pull_bend(const nb_scene *scene, const double flat[3], double grad[3], const nb_gradient *gradient) {
    double offset[3], by_offset[3] = {0.0, 0.0, 0.0};
    rotation first, second;
    double sign = bending(scene, flat, offset, &first, &second);
    double about_fast = pull_rotation(&second, grad, gradient->fast) / scene->distance;
    double about_slow = pull_rotation(&first, grad, gradient->slow) / scene->distance; /* grad: of distance x beam */
    add(sign * about_slow, scene->fast, by_offset);
    add(-sign * about_fast, scene->slow, by_offset);
    add(sign * about_slow, offset, gradient->fast);
    add(-sign * about_fast, offset, gradient->slow);
    add(-1.0, by_offset, grad);
    *gradient->distance += nb_dot(grad, scene->beam) - first.phi * about_slow - second.phi * about_fast;
    add(scene->distance, grad, gradient->beam);
    for (int i = 0; i < 3; i++)
        grad[i] = by_offset[i];
}

/* From the tangent of the flat position to that of the bent one, in place. */
static void push_bend(const nb_scene *scene, const double flat[3], const nb_gradient *tangent, double moved[3]) {
    double offset[3], d_offset[3], dv[3], once[3];
    rotation first, second;
    double sign = bending(scene, flat, offset, &first, &second), d_distance = *tangent->distance;
    for (int i = 0; i < 3; i++) {
        dv[i] = d_distance * scene->beam[i] + scene->distance * tangent->beam[i];
        d_offset[i] = moved[i] - dv[i];
    }
    double about_slow = sign * (nb_dot(d_offset, scene->fast) + nb_dot(offset, tangent->fast));
    double about_fast = -sign * (nb_dot(d_offset, scene->slow) + nb_dot(offset, tangent->slow));
    push_rotation(&first, dv, tangent->slow, (about_slow - first.phi * d_distance) / scene->distance, once);
    push_rotation(&second, once, tangent->fast, (about_fast - second.phi * d_distance) / scene->distance, moved);
}

/* --- points ----------------------------------------------------------------------------------------------------- */

/* Exponent of 1/airpath in the solid angle, and the derivatives by its area and distance. */
static double solid_angle_slopes(const nb_scene *scene, double airpath, double *by_area, double *by_distance) {
    double sqr = airpath * airpath;
    *by_area = scene->point_pixel ? 1.0 / sqr : scene->close_distance / (sqr * airpath);
    *by_distance = scene->point_pixel ? 0.0 : scene->pixel_area / (sqr * airpath);
    return scene->point_pixel ? 2.0 : 3.0;
}

/* Derivative of the capture fraction by layer thickness x attenuation / cosine. */
static double capture_slope(const nb_point *point) {
    double layer = (double)point->layer;
    return (layer + 1.0) * point->back - layer * point->front;
}

/* Add what the gradients of a point's direction, solid angle and capture fraction mean for the frame and the sensor. */
void nb_pull_point(const nb_scene *scene, const nb_point *point, const double direction[3], double solid_angle,
                   double capture, const nb_gradient *gradient) {
    double along[2], by_area, by_distance, by_direction[3] = {direction[0], direction[1], direction[2]}, moved[3];
    if (scene->has_sensor) {
        double slope = capture * capture_slope(point) / point->cosine;
        double by_cosine = -slope * scene->layer_thickness * scene->attenuation / point->cosine;
        *gradient->layer_thickness += slope * scene->attenuation;
        *gradient->attenuation += slope * scene->layer_thickness;
        add(by_cosine, point->direction, gradient->normal);
        add(by_cosine, scene->normal, by_direction);
    }
    double power = solid_angle_slopes(scene, point->airpath, &by_area, &by_distance);
    *gradient->pixel_area += solid_angle * by_area;
    *gradient->close_distance += solid_angle * by_distance;
    double radial = nb_dot(point->direction, by_direction) + power * solid_angle * point->solid_angle;
    for (int i = 0; i < 3; i++)
        moved[i] = (by_direction[i] - point->direction[i] * radial) / point->airpath;
    if (scene->curved) pull_bend(scene, point->flat, moved, gradient);
    coordinates(scene, point, along);
    gradient->pixel_size[0] += ((double)point->fast + 0.5) * nb_dot(moved, scene->fast) / scene->oversample;
    gradient->pixel_size[1] += ((double)point->slow + 0.5) * nb_dot(moved, scene->slow) / scene->oversample;
    *gradient->layer_thickness += (double)point->layer * nb_dot(moved, scene->normal);
    add(along[0], moved, gradient->fast);
    add(along[1], moved, gradient->slow);
    add((double)point->layer * scene->layer_thickness, moved, gradient->normal);
    add(1.0, moved, gradient->pix0);
}

/* Tangents of a point's direction, solid angle and capture fraction. */
void nb_push_point(const nb_scene *scene, const nb_point *point, const nb_gradient *tangent, double direction[3],
                   double *solid_angle, double *capture) {
    double along[2], by_area, by_distance, moved[3];
    coordinates(scene, point, along);
    double d_fast = tangent->pixel_size[0] / scene->oversample * ((double)point->fast + 0.5);
    double d_slow = tangent->pixel_size[1] / scene->oversample * ((double)point->slow + 0.5);
    double layer = (double)point->layer;
    for (int i = 0; i < 3; i++)
        moved[i] =
            d_fast * scene->fast[i] + along[0] * tangent->fast[i] + d_slow * scene->slow[i] +
            along[1] * tangent->slow[i] +
            layer * (*tangent->layer_thickness * scene->normal[i] + scene->layer_thickness * tangent->normal[i]) +
            tangent->pix0[i];
    if (scene->curved) push_bend(scene, point->flat, tangent, moved);
    double radial = nb_dot(point->direction, moved) / point->airpath;
    for (int i = 0; i < 3; i++)
        direction[i] = moved[i] / point->airpath - point->direction[i] * radial;
    double power = solid_angle_slopes(scene, point->airpath, &by_area, &by_distance);
    *solid_angle =
        *tangent->pixel_area * by_area + *tangent->close_distance * by_distance - power * radial * point->solid_angle;
    *capture = 0.0;
    if (!scene->has_sensor) return;
    double absorption = scene->layer_thickness * scene->attenuation;
    double d_absorption =
        *tangent->layer_thickness * scene->attenuation + scene->layer_thickness * *tangent->attenuation;
    double d_cosine = nb_dot(direction, scene->normal) + nb_dot(point->direction, tangent->normal);
    *capture = capture_slope(point) * (d_absorption - d_cosine * absorption / point->cosine) / point->cosine;
}

/* --- polarization ----------------------------------------------------------------------------------------------- */

/* Kahn's factor (polarization.c) as a quadratic form: with k, E and B along the beam, the electric and the magnetic
 * field, cos 2 psi sin^2 2 theta = (D.E)^2 - (D.B)^2, so that the factor is (1 + D . M . D)/2 with
 * M = k k - K (E E - B B). Where the axis lies along the beam, psi is 0 and M = k k - K (1 - k k). */
void nb_polarizer_make(const nb_scene *scene, const double *incident, nb_polarizer *p) {
    p->incident_length = nb_norm(incident);
    nb_unit(incident, p->beam);
    nb_cross(scene->polarization_axis, p->beam, p->magnetic);
    p->magnetic_length = nb_norm(p->magnetic);
    p->along_beam = p->magnetic_length == 0.0;
    nb_unit(p->magnetic, p->magnetic);
    nb_cross(p->beam, p->magnetic, p->electric);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            double along = p->beam[i] * p->beam[j];
            double split =
                p->along_beam ? (i == j) - along : p->electric[i] * p->electric[j] - p->magnetic[i] * p->magnetic[j];
            p->matrix[i][j] = along - scene->kahn_factor * split;
        }
    }
}

/* The factor for a unit vector, and its derivative by that. */
double nb_polarization_at(const nb_polarizer *p, const double direction[3], double slope[3]) {
    for (int i = 0; i < 3; i++)
        slope[i] = nb_dot(p->matrix[i], direction);
    return 0.5 * (1.0 + nb_dot(direction, slope));
}

static void multiply(double matrix[3][3], const double x[3], double out[3]) {
    for (int i = 0; i < 3; i++)
        out[i] = nb_dot(matrix[i], x);
}

/* Add what the gradient of M (symmetric) means for the incident ray, the degree of polarization and its axis. */
void nb_pull_polarizer(const nb_scene *scene, const nb_polarizer *p, double matrix[3][3], double *incident,
                       const nb_gradient *gradient) {
    const double kahn = scene->kahn_factor;
    double beam[3], magnetic[3], electric[3], part[3];
    multiply(matrix, p->beam, beam);
    double along = nb_dot(p->beam, beam);
    if (p->along_beam) {
        *gradient->kahn_factor += along - (matrix[0][0] + matrix[1][1] + matrix[2][2]);
        for (int i = 0; i < 3; i++)
            beam[i] *= 2.0 * (1.0 + kahn);
    } else {
        multiply(matrix, p->magnetic, magnetic);
        multiply(matrix, p->electric, electric);
        *gradient->kahn_factor += nb_dot(p->magnetic, magnetic) - nb_dot(p->electric, electric);
        for (int i = 0; i < 3; i++)
            beam[i] *= 2.0, magnetic[i] *= 2.0 * kahn, electric[i] *= -2.0 * kahn;
        nb_cross(p->magnetic, electric, part); /* electric = beam x magnetic */
        add(1.0, part, beam);
        nb_cross(electric, p->beam, part);
        add(1.0, part, magnetic);
        add(-nb_dot(p->magnetic, magnetic), p->magnetic, magnetic); /* magnetic = unit(axis x beam) */
        for (int i = 0; i < 3; i++)
            magnetic[i] /= p->magnetic_length;
        nb_cross(p->beam, magnetic, part);
        add(1.0, part, gradient->polarization_axis);
        nb_cross(magnetic, scene->polarization_axis, part);
        add(1.0, part, beam);
    }
    if (p->incident_length == 0.0) return;
    double radial = nb_dot(p->beam, beam);
    for (int i = 0; i < 3; i++)
        incident[i] += (beam[i] - p->beam[i] * radial) / p->incident_length;
}

/* Tangent of M for that of the incident ray. */
void nb_push_polarizer(const nb_scene *scene, const nb_polarizer *p, const double *incident, const nb_gradient *tangent,
                       double matrix[3][3]) {
    const double kahn = scene->kahn_factor, d_kahn = *tangent->kahn_factor;
    double beam[3] = {0.0, 0.0, 0.0}, magnetic[3], electric[3], part[3];
    for (int i = 0; i < 3 && p->incident_length > 0.0; i++)
        beam[i] = (incident[i] - p->beam[i] * nb_dot(p->beam, incident)) / p->incident_length;
    nb_cross(tangent->polarization_axis, p->beam, magnetic);
    nb_cross(scene->polarization_axis, beam, part);
    add(1.0, part, magnetic);
    add(-nb_dot(p->magnetic, magnetic), p->magnetic, magnetic);
    for (int i = 0; i < 3; i++)
        magnetic[i] = p->along_beam ? 0.0 : magnetic[i] / p->magnetic_length;
    nb_cross(beam, p->magnetic, electric);
    nb_cross(p->beam, magnetic, part);
    add(1.0, part, electric);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            double along = p->beam[i] * p->beam[j], d_along = beam[i] * p->beam[j] + p->beam[i] * beam[j];
            double split =
                p->along_beam ? (i == j) - along : p->electric[i] * p->electric[j] - p->magnetic[i] * p->magnetic[j];
            double d_split = p->along_beam ? -d_along
                                           : electric[i] * p->electric[j] + p->electric[i] * electric[j] -
                                                 magnetic[i] * p->magnetic[j] - p->magnetic[i] * magnetic[j];
            matrix[i][j] = d_along - d_kahn * split - kahn * d_split;
        }
    }
}
