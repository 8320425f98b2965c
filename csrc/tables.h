/* Several tables of structure factors, one behind the other along h: which of them the terms of a source see. */
#ifndef NB_TABLES_H
#define NB_TABLES_H

#include "nanobragg.h"

#include <stddef.h>

#define NB_FILTER_BITS (1 << 15)

/* What entries of the tables get, all of them or a few that are wanted. */
typedef struct {
    double *values;        /* NULL: none is wanted */
    const int64_t *wanted; /* places in the table, ascending; NULL: all */
    int64_t n;             /* of those */
    double *default_F;     /* NULL: not wanted */
    int64_t first;         /* where the table begins that the source sees */
    int64_t last, place;   /* the entry that was asked for last, and its place among `values`, -1: not wanted */
    int64_t corner;        /* the first of the 4 x 4 x 4 entries that were asked for last, */
    int near;              /* and whether any of them is wanted */
    union {
        uint64_t bits[NB_FILTER_BITS / 64]; /* set for what is wanted, by nb_filter_bit; few others have the same */
        double words[NB_FILTER_BITS / 64];  /* the same, for vectors */
    } filter;
} nb_entry_sums;

static inline int64_t nb_filter_bit(int64_t entry) {
    return (entry ^ entry >> 15) & (NB_FILTER_BITS - 1);
}

/* Whether an entry may be wanted; `entry` counts from the first of all tables. */
static inline int nb_may_be_wanted(const nb_entry_sums *sums, int64_t entry) {
    const int64_t bit = nb_filter_bit(entry);
    return (int)(sums->filter.bits[bit / 64] >> bit % 64 & 1);
}

/* For the gradient of the entries of all tables. */
static inline void nb_entry_sums_make(const nb_gradient *gradient, nb_entry_sums *sums) {
    sums->values = gradient->f_table, sums->default_F = gradient->default_F;
    sums->wanted = gradient->entries, sums->n = gradient->n_entries;
    sums->first = 0, sums->last = sums->corner = -1;
    if (sums->wanted == NULL) return;
    for (int i = 0; i < NB_FILTER_BITS / 64; i++)
        sums->filter.bits[i] = 0;
    for (int64_t i = 0; i < sums->n; i++) {
        const int64_t bit = nb_filter_bit(sums->wanted[i]);
        sums->filter.bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

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

/* The number of wanted entries before this one. */
static inline int64_t nb_wanted_before(const nb_entry_sums *sums, int64_t entry) {
    int64_t low = 0, high = sums->n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sums->wanted[middle] < entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where an entry of the table that the source sees collects its gradient; NULL: it is not wanted. Neighboring pixels
 * ask for the same one. */
static inline double *nb_entry_sum(nb_entry_sums *sums, int64_t entry) {
    if (sums->values == NULL) return NULL;
    entry += sums->first;
    if (sums->wanted == NULL) return sums->values + entry;
    if (!nb_may_be_wanted(sums, entry)) return NULL;
    if (entry != sums->last) {
        const int64_t place = nb_wanted_before(sums, entry);
        sums->last = entry;
        sums->place = place < sums->n && sums->wanted[place] == entry ? place : -1;
    }
    return sums->place < 0 ? NULL : sums->values + sums->place;
}

/* Whether any of four entries of the table that the source sees is wanted, from `begin` on. */
static inline int nb_four_wanted(const nb_entry_sums *sums, int64_t begin) {
    if (sums->values == NULL || sums->wanted == NULL) return sums->values != NULL;
    begin += sums->first;
    if (!(nb_may_be_wanted(sums, begin) | nb_may_be_wanted(sums, begin + 1) | nb_may_be_wanted(sums, begin + 2) |
          nb_may_be_wanted(sums, begin + 3)))
        return 0;
    const int64_t place = nb_wanted_before(sums, begin);
    return place < sums->n && sums->wanted[place] < begin + 4;
}

/* The same for 4 x 4 x 4 entries, `stride` apart along h and k. */
static inline int nb_nodes_wanted(nb_entry_sums *sums, int64_t begin, const int64_t stride[2]) {
    if (sums->corner != begin + sums->first) {
        sums->corner = begin + sums->first, sums->near = 0;
        for (int i = 0; i < 16 && !sums->near; i++)
            sums->near = nb_four_wanted(sums, begin + i / 4 * stride[0] + i % 4 * stride[1]);
    }
    return sums->near;
}

#endif
