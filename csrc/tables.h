/* Several tables of structure factors, one behind the other along h: which of them the terms of a source see. */
#ifndef NB_TABLES_H
#define NB_TABLES_H

#include "nanobragg.h"

#include <stddef.h>

/* Extent of one table along h. */
static inline int64_t nb_table_rows(const nb_scene *scene) {
    return scene->n_hkl[0] / scene->n_tables;
}

/* Where the table of a source begins among the entries of all of them; 0 without one. */
static inline int64_t nb_first_entry(const nb_scene *scene, int64_t source) {
    if (scene->n_tables == 1 || scene->f_table == NULL) return 0;
    return scene->source_table[source] * nb_table_rows(scene) * scene->n_hkl[1] * scene->n_hkl[2];
}

/* The scene with one table, the first; `view` holds it where the scene has several. */
static inline const nb_scene *nb_one_table(const nb_scene *scene, nb_scene *view) {
    if (scene->n_tables == 1) return scene;
    *view = *scene;
    view->n_hkl[0] = nb_table_rows(scene), view->n_tables = 1;
    return view;
}

/* Let a scene made by nb_one_table have the table of a source. */
static inline void nb_see(const nb_scene *scene, int64_t source, nb_scene *view) {
    if (scene->n_tables > 1 && scene->f_table != NULL) view->f_table = scene->f_table + nb_first_entry(scene, source);
}

#endif
