# Diffuse scattering of a crystal (csrc/diffuse.c); part of _core.pyx.

cdef extern from "imaging.h" nogil:
    ctypedef struct nb_diffuse:
        double strength
        const double *forms
        const double *form_weight
        int64_t n_forms
        const double *turns
        const int64_t *counts
        int64_t n_turns
        int32_t stencil, n_orders
        const double *table
        int64_t n_table[3]
        double first[3]
        int32_t is_map
        double grid

    int nb_add_diffuse(const nb_scene *scene, const nb_diffuse *diffuse, nb_kernel kernel, int64_t pixel_begin,
                       int64_t pixel_end, double *photons, const int *cancel)


cdef class CoreDiffuse:
    """Diffuse scattering in the form that the C core reads.

    Parameters
    ----------
    scene : CoreScene
        Detector, rays and orientations.
    found : nanobragg.derivation.crystals.diffuse.scene.DiffuseScene
    table : (n_h, n_k, n_l) array
        Squares of the structure factors with a border, or the map.
    first : (3,) numbers
        Indices of its first value.
    """

    cdef nb_diffuse c
    cdef CoreScene scene
    cdef list owned

    def __init__(self, CoreScene scene not None, found, table, first):
        cdef nb_diffuse *c = &self.c
        cdef const int64_t[::1] shares
        cdef int i
        self.scene, self.owned = scene, []
        c.strength, c.stencil, c.n_orders = found.strength, found.stencil, found.n_orders
        c.n_forms, c.is_map, c.grid = len(found.form_weight), found.map is not None, found.grid
        if np.shape(found.forms) != (c.n_forms, 2, 6):
            raise CoreError(f"forms have the shape {np.shape(found.forms)}, not ({c.n_forms}, 2, 6)")
        turns = np.stack([found.turns, np.rint(np.linalg.inv(found.turns))], 1) if len(found.turns) else np.empty(0)
        counts = np.array(found.counts, np.int64)
        if len(counts) != len(found.turns):
            raise CoreError(f"{len(counts)} counts of forms for {len(found.turns)} turns")
        c.n_turns, c.turns = len(counts), self._pointer(turns)
        self.owned.append(counts)
        shares = counts
        c.counts = &shares[0] if c.n_turns > 0 else NULL
        c.forms, c.form_weight = self._pointer(found.forms), self._pointer(found.form_weight)
        for i in range(3):
            c.n_table[i], c.first[i] = table.shape[i], first[i]
        c.table = self._pointer(table)

    cdef const double *_pointer(self, values) except? NULL:
        """Keep the numbers and return their address; NULL where there are none."""
        array = np.ascontiguousarray(values, np.float64)
        self.owned.append(array)
        cdef const double[::1] flat = array.reshape(-1)
        return &flat[0] if flat.shape[0] > 0 else NULL

    def add(self, int64_t begin, int64_t end, double[::1] photons, CancelFlag cancel not None, str kernel):
        """Add to the photons (end - begin,) of the pixels [begin, end) of `pixels`, without the GIL.

        Returns
        -------
        bool
            False if cancelled.
        """
        if photons.shape[0] != end - begin:
            raise CoreError(f"{photons.shape[0]} places for {end - begin} pixels")
        if begin == end:
            return True
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        with nogil:
            status = nb_add_diffuse(&self.scene.c, &self.c, number, begin, end, &photons[0], &cancel.flag)
        return _finished(status)
