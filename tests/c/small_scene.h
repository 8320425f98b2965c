/* A small valid scene with one of everything; tests change single fields of it. */
#ifndef SMALL_SCENE_H
#define SMALL_SCENE_H

#include "nanobragg.h"

#include <string.h>

enum { SMALL_FAST = 4, SMALL_SLOW = 3, SMALL_PIXELS = SMALL_FAST * SMALL_SLOW, SMALL_TABLE = 9 };

typedef struct {
    nb_scene scene;
    int64_t pixels[SMALL_PIXELS];
    int64_t source_table[2]; /* c->source_table = s->source_table takes them */
    double incident[2][3], wavelength[2], weight[2];
    double orientations[2][2][9], first[2][2][9];
    double domain_weight[2];
    double table[SMALL_TABLE * SMALL_TABLE * SMALL_TABLE];
} small_scene;

static inline void make_small_scene(small_scene *s) {
    memset(s, 0, sizeof *s);
    nb_scene *c = &s->scene;
    c->n_fast = SMALL_FAST, c->n_slow = SMALL_SLOW, c->pixel_size[0] = c->pixel_size[1] = 1e-3;
    c->pix0[0] = 0.1, c->pix0[1] = 0.0012, c->pix0[2] = -0.0017;
    c->fast[2] = 1.0, c->slow[1] = -1.0, c->normal[0] = 1.0, c->beam[0] = 1.0;
    c->close_distance = c->distance = 0.1;
    c->pixel_area = 1e-6;
    c->has_sensor = 1, c->n_layers = 2, c->layer_thickness = 1e-4, c->attenuation = 4e3;
    for (int i = 0; i < SMALL_PIXELS; i++)
        s->pixels[i] = i;
    c->pixels = s->pixels, c->n_pixels = SMALL_PIXELS;
    for (int i = 0; i < 2; i++) {
        s->incident[i][0] = 1.0, s->wavelength[i] = 1e-10 * (1.0 + 0.01 * i), s->weight[i] = 1.0 + i;
    }
    c->incident = &s->incident[0][0], c->wavelength = s->wavelength, c->weight = s->weight, c->n_sources = 2;
    c->polarized = 1, c->kahn_factor = 0.5, c->polarization_axis[2] = 1.0;
    c->r_e_sqr = 7.94079248018965e-30, c->fluence = 1e29;
    for (int i = 0; i < 4; i++) {
        double *cell = &s->orientations[0][0][0] + 9 * i;
        cell[0] = 5e-9, cell[4] = 6e-9 * (1.0 + 0.02 * i), cell[8] = 7e-9;
        cell[1] = 1e-10 * i;
    }
    memcpy(s->first, s->orientations, sizeof s->first);
    c->orientations = &s->orientations[0][0][0], c->n_phi = 2, c->n_domains = 2;
    c->a_star[0] = 1.0 / 50, c->a_star[4] = 1.0 / 60, c->a_star[8] = 1.0 / 70;
    s->domain_weight[0] = 0.5, s->domain_weight[1] = 1.5; /* c->domain_weight = s->domain_weight takes them */
    for (int i = 0; i < 3; i++)
        c->block_matrix[4 * i] = 3.5 + i;
    c->block_matrix[1] = c->block_matrix[3] = 0.5;
    c->n_cells[0] = 3, c->n_cells[1] = 4, c->n_cells[2] = 5;
    c->shape = NB_SQUARE, c->fudge = 1.0;
    for (int i = 0; i < SMALL_TABLE * SMALL_TABLE * SMALL_TABLE; i++)
        s->table[i] = 10.0 + (7 * i) % 97;
    c->f_table = s->table, c->n_tables = 1;
    for (int i = 0; i < 3; i++)
        c->n_hkl[i] = SMALL_TABLE, c->hkl_min[i] = -4;
    c->default_F = 3.0;
    c->interpolation_off[0] = SMALL_PIXELS;
    c->oversample = 2, c->steps = 2 * 2 * 4 * 3, c->background = 0.1;
}

#endif
