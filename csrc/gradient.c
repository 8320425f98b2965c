/* The continuous fields of a scene: names, sizes, places. */
#include "gradient.h"

#include <stddef.h>

#define SIZE(name, size)                                                                                               \
    case offsetof(nb_gradient, name): return size;
#define NAME(name, size) {#name, offsetof(nb_gradient, name)},

static const struct {
    const char *name;
    size_t offset;
} MEMBERS[] = {NB_SMALL_FIELDS(NAME) NB_LARGE_FIELDS(NAME)};

enum { N_MEMBERS = sizeof MEMBERS / sizeof *MEMBERS };

/* Name of a continuous field; NULL past the last one. */
const char *nb_gradient_name(int number) {
    return number >= 0 && number < N_MEMBERS ? MEMBERS[number].name : NULL;
}

/* Number of its values in a scene that passed nb_scene_validate. */
int64_t nb_gradient_size(const nb_scene *scene, int number) {
    switch (MEMBERS[number].offset) {
        NB_SMALL_FIELDS(SIZE)
        NB_LARGE_FIELDS(SIZE)
    default: return 0;
    }
}

/* Let a member point to an array of that size, or of K times it for K tangents. */
void nb_gradient_set(nb_gradient *gradient, int number, double *values) {
    *(double **)((char *)gradient + MEMBERS[number].offset) = values;
}

nb_gradient nb_gradient_complete(const nb_gradient *gradient, double scratch[NB_LARGEST_SMALL_FIELD]) {
    nb_gradient complete = *gradient;
#define FILL(name, size)                                                                                               \
    if (complete.name == NULL) complete.name = scratch;
    NB_SMALL_FIELDS(FILL)
#undef FILL
    return complete;
}

nb_gradient nb_tangent_at(const nb_scene *scene, const nb_gradient *tangents, int64_t k) {
    static double zeros[NB_LARGEST_SMALL_FIELD]; /* never written: tangents are read only */
    nb_gradient tangent = {.entries = NULL};
#define SMALL(name, size) tangent.name = tangents->name == NULL ? zeros : tangents->name + k * (size);
#define LARGE(name, size) tangent.name = tangents->name == NULL ? NULL : tangents->name + k * (size);
    NB_SMALL_FIELDS(SMALL)
    NB_LARGE_FIELDS(LARGE)
#undef SMALL
#undef LARGE
    return tangent;
}
