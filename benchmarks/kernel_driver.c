/* Runs one kernel on a scene like those of the workloads, without Python: for callgrind and for the share of the peak.
 *
 *   kernel_driver count KERNEL             one run, for valgrind --tool=callgrind --toggle-collect=nb_render_with
 *   kernel_driver peak KERNEL [rounds]     alternates the kernel and the FMA probe; prints one line for each round:
 *                                          ns per evaluation, flop per second of the probe
 */
#include "fma_peak.h"
#include "nanobragg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 512, ROWS = 16, DOMAINS = 50, REACH = 20, TABLE = 2 * REACH + 1 };

static struct {
    nb_scene scene;
    int64_t pixels[SIDE * ROWS];
    double orientations[DOMAINS][9], table[TABLE * TABLE * TABLE], image[SIDE * ROWS];
} s;

/* Cell 78 78 37, N 20, lambda 1, 100 mm, 0.1 mm pixels; a row through the beam. */
static void make_scene(int domains, int oversample, int with_table) {
    static const double INCIDENT[3] = {1.0, 0.0, 0.0}, WAVELENGTH = 1e-10, WEIGHT = 1.0;
    static const double CELL[3] = {78e-10, 78e-10, 37e-10};
    nb_scene *c = &s.scene;
    memset(&s, 0, sizeof s);
    c->n_fast = c->n_slow = SIDE, c->pixel_size[0] = c->pixel_size[1] = 1e-4;
    c->pix0[0] = 0.1, c->pix0[1] = 0.0256, c->pix0[2] = -0.0256;
    c->fast[2] = 1.0, c->slow[1] = -1.0, c->normal[0] = 1.0, c->beam[0] = 1.0;
    c->close_distance = c->distance = 0.1, c->pixel_area = 1e-8;
    c->n_layers = 1;
    for (int i = 0; i < SIDE * ROWS; i++)
        s.pixels[i] = SIDE * (SIDE / 2 + 40) + i;
    c->pixels = s.pixels, c->n_pixels = SIDE * ROWS;
    c->incident = INCIDENT, c->wavelength = &WAVELENGTH, c->weight = &WEIGHT, c->n_sources = 1;
    c->n_tables = 1;
    c->polarized = 1, c->polarization_axis[2] = 1.0;
    c->r_e_sqr = 7.94079248018965e-30, c->fluence = 1e29;
    for (int d = 0; d < domains; d++) {
        const double x = 0.3 + 1e-4 * d, y = 0.2 + 7e-5 * d; /* rotations about x, then y */
        const double rows[3][3] = {{cos(y), 0.0, -sin(y)},
                                   {sin(x) * sin(y), cos(x), sin(x) * cos(y)},
                                   {cos(x) * sin(y), -sin(x), cos(x) * cos(y)}};
        for (int i = 0; i < 9; i++)
            s.orientations[d][i] = CELL[i / 3] * rows[i / 3][i % 3];
    }
    c->orientations = &s.orientations[0][0], c->n_phi = 1, c->n_domains = domains;
    c->n_cells[0] = c->n_cells[1] = c->n_cells[2] = 20.0;
    c->shape = NB_SQUARE, c->fudge = 1.0, c->default_F = 100.0;
    if (with_table) {
        for (int i = 0; i < TABLE * TABLE * TABLE; i++)
            s.table[i] = 10.0 + (7 * i) % 97;
        c->f_table = s.table;
        for (int i = 0; i < 3; i++)
            c->n_hkl[i] = TABLE, c->hkl_min[i] = -REACH;
    }
    c->interpolation_off[0] = c->n_pixels;
    c->oversample = oversample, c->steps = (double)domains * oversample * oversample;
    c->capture_mode = c->polar_mode = c->omega_mode = NB_CACHED;
}

static nb_kernel kernel_of(const char *name) {
    for (nb_kernel kernel = 0; kernel < NB_N_KERNELS; kernel++) {
        if (strcmp(nb_kernel_name(kernel), name) == 0 && nb_kernel_available(kernel)) return kernel;
    }
    fprintf(stderr, "kernel_driver: no kernel %s here\n", name);
    exit(2);
}

static double evaluations(void) {
    const nb_scene *c = &s.scene;
    return (double)(c->n_pixels * c->oversample * c->oversample * c->n_domains);
}

static void render(nb_kernel kernel) {
    int status = nb_render_with(&s.scene, kernel, 0, s.scene.n_pixels, s.image, NULL);
    if (status == NB_OK) return;
    fprintf(stderr, "kernel_driver: %s\n", nb_strerror(status));
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const nb_kernel kernel = kernel_of(argv[2]);
    if (strcmp(argv[1], "count") == 0) {
        make_scene(1, 2, 1);
        render(kernel);
        printf("%.0f evaluations\n", evaluations());
        return 0;
    }
    const char *dash = strchr(argv[2], '-');
    const char *isa = dash == NULL ? "baseline" : dash + 1;
    make_scene(DOMAINS, 1, 0);
    for (int round = argc > 3 ? atoi(argv[3]) : 15; round > 0; round--) {
        const double start = process_seconds();
        for (int i = 0; i < 20; i++)
            render(kernel);
        const double seconds = process_seconds() - start;
        printf("%.4f %.4g\n", seconds / (20.0 * evaluations()) * 1e9, fma_peak(isa, 3000000));
    }
    return 0;
}
