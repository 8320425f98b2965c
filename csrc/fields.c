/* The fields of a scene as a table, for those who check and convert them all. */
#include "nanobragg.h"

#include <stddef.h>

#define ENTRY(kind, name, length, shape) {#name, NB_FIELD_##kind, offsetof(nb_scene, name), length, shape},

static const nb_field FIELDS[] = {NB_SCENE_FIELDS(ENTRY)};

const nb_field *nb_scene_field(int number) {
    return number >= 0 && number < (int)(sizeof FIELDS / sizeof *FIELDS) ? FIELDS + number : NULL;
}
