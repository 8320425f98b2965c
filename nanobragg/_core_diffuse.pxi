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

    ctypedef struct nb_diffuse_gradient:
        double *hkl
        double *forms
        double *table

    int nb_diffuse_at(const nb_diffuse *diffuse, nb_kernel kernel, int64_t n, const double *hkl, double *out)
    int nb_diffuse_pull_back(const nb_diffuse *diffuse, int64_t n, const double *hkl, const double *cotangent,
                             nb_diffuse_gradient *gradient)
    int nb_add_diffuse(const nb_scene *scene, const nb_diffuse *diffuse, nb_kernel kernel, int64_t pixel_begin,
                       int64_t pixel_end, double *photons, const int *cancel)


cdef class CoreDiffuse:
    """Diffuse scattering in the form that the C core reads.

    Parameters
    ----------
    scene : CoreScene, optional
        Detector, rays and orientations; for `add`.
    found : nanobragg.derivation.crystals.diffuse.scene.DiffuseScene
    table : (n_h, n_k, n_l) array
        Squares of the structure factors with a border, or the map.
    first : (3,) numbers
        Indices of its first value.
    """

    cdef nb_diffuse c
    cdef CoreScene scene
    cdef list owned
    cdef int64_t n_values

    def __init__(self, CoreScene scene, found, table, first):
        cdef nb_diffuse *c = &self.c
        cdef const int64_t[::1] shares
        cdef int i
        self.scene, self.owned = scene, []
        self.n_values = np.size(table)
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
        if self.scene is None:
            raise CoreError("there is no scene to add to")
        if photons.shape[0] != end - begin:
            raise CoreError(f"{photons.shape[0]} places for {end - begin} pixels")
        if begin == end:
            return True
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        with nogil:
            status = nb_add_diffuse(&self.scene.c, &self.c, number, begin, end, &photons[0], &cancel.flag)
        return _finished(status)

    def at(self, const double[:, ::1] hkl, double[::1] out, str kernel):
        """Fill the sum over reflections at the indices (3, n), without the GIL; not of a map."""
        cdef int64_t n = out.shape[0]
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        if hkl.shape[0] != 3 or hkl.shape[1] != n:
            raise CoreError(f"indices of the shape ({hkl.shape[0]}, {hkl.shape[1]}) for {n} points")
        if n > 0:
            with nogil:
                status = nb_diffuse_at(&self.c, number, n, &hkl[0, 0], &out[0])
            _check(status)

    def pull_back(self, const double[:, ::1] hkl, const double[::1] cotangent, double[:, ::1] by_hkl,
                  double[::1] by_forms, double[::1] by_table):
        """Fill the gradient by the indices (3, n), and add those by forms (n_forms 12,) and table, without the GIL."""
        cdef nb_diffuse_gradient gradient
        cdef int64_t n = cotangent.shape[0]
        cdef int status
        if not (hkl.shape[0] == by_hkl.shape[0] == 3 and hkl.shape[1] == by_hkl.shape[1] == n):
            raise CoreError(f"indices of the shape ({hkl.shape[0]}, {hkl.shape[1]}) for {n} points")
        if by_forms.shape[0] != 12 * self.c.n_forms or by_table.shape[0] != self.n_values:
            raise CoreError("gradients have not the size of forms and table")
        if n > 0:
            gradient.hkl, gradient.forms, gradient.table = &by_hkl[0, 0], &by_forms[0], &by_table[0]
            with nogil:
                status = nb_diffuse_pull_back(&self.c, n, &hkl[0, 0], &cotangent[0], &gradient)
            _check(status)
