/* Derivatives by the size of blocks that are not square, from the moments of the offsets (simd_slopes.h); their shape
 * may be a matrix M. */
#ifndef NB_SIMD_MATRIX_H
#define NB_SIMD_MATRIX_H

#include "simd_model.h"
#include "spots.h"

/* Moments that are collected: all six of a quadratic form, or those of its squares, or none. */
static int n_moments(const nb_model *model) {
    return IS_SQUARE(model->lattice) ? 0 : model->skewed ? 6 : 3;
}

/* A moment times this is its share of the derivative by log y. */
static double moment_share(const nb_model *model, int k) {
    return model->skewed ? model->gram[k] : 0.5;
}

/* Of M f . M f times this is what the forms are functions of; the derivative of that by M is M (f f^T + (f f^T)^T). */
static double spot_unit(const nb_scene *scene) {
    return NB_SPOTS[scene->shape].times * scene->fudge / NB_SPOTS[scene->shape].width;
}

/* Places of the elements of a symmetric matrix among its six values. */
static const int SYMMETRIC[3][3] = {{0, 3, 4}, {3, 1, 5}, {4, 5, 2}};

/* What the matrix of a block gets: from the determinant in `all`, the sum of the terms times their weights, and from
 * the moments. */
static void pull_matrix(const nb_scene *scene, double all, const double moment[6], double *by_matrix) {
    const double unit = spot_unit(scene), cells = nb_block_cells(scene);
    double minors[9];
    nb_block_minors(scene, minors);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            double sum = 0.0;
            for (int k = 0; k < 3; k++)
                sum += scene->block_matrix[3 * i + k] * moment[SYMMETRIC[k][j]];
            by_matrix[3 * i + j] += 2.0 * (all * minors[3 * i + j] / cells + unit * sum);
        }
    }
}

/* The relative change of the terms with the determinant; adds what the moments get. */
static double move_matrix(const nb_scene *scene, const double *matrix, double moment[6]) {
    const double unit = spot_unit(scene), cells = nb_block_cells(scene);
    double minors[9], sum = 0.0;
    nb_block_minors(scene, minors);
    for (int i = 0; i < 9; i++) {
        sum += 2.0 * minors[i] * matrix[i] / cells;
        for (int k = 0; k < 3; k++)
            moment[SYMMETRIC[i % 3][k]] += 2.0 * unit * matrix[i] * scene->block_matrix[i / 3 * 3 + k];
    }
    return sum;
}

#endif
