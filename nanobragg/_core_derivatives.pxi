# Derivatives of the image; part of _core.pyx.

cdef extern from "nanobragg.h" nogil:
    ctypedef struct nb_gradient:
        const int64_t *entries
        int64_t n_entries

    const char *nb_gradient_name(int number)
    int64_t nb_gradient_size(const nb_scene *scene, int number)
    void nb_gradient_set(nb_gradient *gradient, int number, double *values)
    const char *nb_adjoint_obstacle(const nb_scene *scene)
    int nb_pull_back(const nb_scene *scene, nb_kernel kernel, int64_t begin, int64_t end, const double *cotangent,
                     const nb_gradient *gradient, const int *cancel)
    int nb_push_forward(const nb_scene *scene, nb_kernel kernel, int64_t begin, int64_t end, int64_t n_tangents,
                        const nb_gradient *tangents, double *out, int64_t stride, const int *cancel)


def _continuous():
    cdef const char *name
    cdef int number = 0
    found = {}
    while True:
        name = nb_gradient_name(number)
        if name == NULL:
            return found
        found[(<bytes>name).decode()] = number
        number += 1


_CONTINUOUS_NUMBERS = _continuous()

continuous_fields = tuple(_CONTINUOUS_NUMBERS)
"""Names of the fields of a Scene that have gradients and tangents."""


def adjoint_obstacle(CoreScene scene not None):
    """Why a scene has neither gradients nor tangents; empty where it has."""
    cdef const char *text = nb_adjoint_obstacle(&scene.c)
    return "" if text == NULL else (<bytes>text).decode()


cdef class _ContinuousFields:
    """Arrays (K, size of the field) for some of the `continuous_fields` of a scene."""

    cdef nb_gradient c
    cdef readonly CoreScene scene
    cdef readonly dict values

    cdef int _set(self, str name, values) except -1:
        cdef int number = _CONTINUOUS_NUMBERS[name]
        cdef double[:, ::1] array = values
        self.values[name] = values
        if array.shape[0] > 0 and array.shape[1] > 0:
            nb_gradient_set(&self.c, number, &array[0, 0])
        return 0

    cdef int64_t _size(self, str name) except -1:
        if name not in _CONTINUOUS_NUMBERS:
            raise CoreError(f"scene.{name} is not continuous; these fields are: {', '.join(continuous_fields)}")
        return nb_gradient_size(&self.scene.c, _CONTINUOUS_NUMBERS[name])

    cdef int _check_block(self, int64_t begin, int64_t end) except -1:
        if not 0 <= begin <= end <= self.scene.c.n_pixels:
            raise CoreError(f"block [{begin}, {end}) lies outside the {self.scene.c.n_pixels} rendered pixels")
        return 0


cdef class Gradients(_ContinuousFields):
    """Gradients of some of the `continuous_fields` of a scene, 0 at first.

    Parameters
    ----------
    scene : CoreScene
    names : iterable of str
    entries : ndarray of int64, shape (n,), optional
        Places in the table of structure factors, ascending: the gradient of f_table is that of these entries alone.

    Attributes
    ----------
    values : dict
        float64 arrays (1, size of the field) by name; (1, n) for f_table with `entries`.

    Raises
    ------
    CoreError
        For entries that do not ascend or lie outside the table.
    """

    cdef object _entries

    def __init__(self, CoreScene scene not None, names, entries=None):
        self.scene, self.values, self._entries = scene, {}, entries
        if entries is not None:
            self._want(entries)
        for name in names:
            few = name == "f_table" and entries is not None
            self._set(name, np.zeros((1, len(entries) if few else self._size(name))))

    cdef int _want(self, const int64_t[::1] entries) except -1:
        cdef int64_t n = self._size("f_table"), i, before = -1
        for i in range(entries.shape[0]):
            if not before < entries[i] < n:
                raise CoreError(f"entries[{i}] = {entries[i]}: must be larger than the one before, and within the {n} of the table")
            before = entries[i]
        if entries.shape[0] > 0:
            self.c.entries, self.c.n_entries = &entries[0], entries.shape[0]
        return 0

    def pull_back(self, int64_t begin, int64_t end, const double[::1] cotangent, CancelFlag cancel not None,
                  str kernel="scalar"):
        """Add the gradients of the sum of cotangent x photons over the pixels [begin, end), without the GIL.

        Parameters
        ----------
        cotangent : ndarray, shape (end - begin,)

        Returns
        -------
        bool
            False if cancelled; then the gradients are unspecified.

        Raises
        ------
        CoreError
            For a cotangent that is not finite, or a scene with an `adjoint_obstacle`.
        """
        cdef nb_scene *scene = &self.scene.c
        self._check_block(begin, end)
        if cotangent.shape[0] != end - begin:
            raise CoreError(f"cotangent has {cotangent.shape[0]} elements, not one for each of the {end - begin} pixels of the block")
        if begin == end:
            return True
        cdef const double *weights = &cotangent[0]
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        with nogil:
            status = nb_pull_back(scene, number, begin, end, weights, &self.c, &cancel.flag)
        return _finished(status)


cdef class Tangents(_ContinuousFields):
    """K directions in the space of the `continuous_fields` of a scene.

    Parameters
    ----------
    scene : CoreScene
    directions : dict
        float64 arrays (K, size of the field) by name; a field that is not named does not move.
    """

    cdef readonly int64_t count

    def __init__(self, CoreScene scene not None, dict directions not None):
        self.scene, self.values = scene, {}
        counts = {len(values) for values in directions.values()}
        if len(counts) != 1:
            raise CoreError("directions: must be one or more arrays with the same number of rows")
        self.count = counts.pop()
        for name, values in directions.items():
            values = np.array(values, dtype=np.float64, order="C")
            if values.shape != (self.count, self._size(name)):
                raise CoreError(f"directions of {name}: must have the shape {(self.count, self._size(name))}, not {values.shape}")
            self._set(name, values)

    def push_forward(self, int64_t begin, int64_t end, double[:, ::1] out, CancelFlag cancel not None,
                     str kernel="scalar"):
        """Write the derivatives of the pixels [begin, end) along the directions into out[:, begin:end], without the GIL.

        Parameters
        ----------
        out : ndarray, shape (K, n_pixels)

        Returns
        -------
        bool
            False if cancelled; then the block is unspecified.

        Raises
        ------
        CoreError
            For a scene with an `adjoint_obstacle`.
        """
        cdef nb_scene *scene = &self.scene.c
        self._check_block(begin, end)
        if out.shape[0] != self.count or out.shape[1] != scene.n_pixels:
            raise CoreError(f"out: must have the shape ({self.count}, {scene.n_pixels})")
        if begin == end or self.count == 0:
            return True
        cdef double *target = &out[0, begin]
        cdef int64_t stride = out.shape[1]
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        with nogil:
            status = nb_push_forward(scene, number, begin, end, self.count, &self.c, target, stride, &cancel.flag)
        return _finished(status)


cdef bint _finished(int status) except -1:
    """Whether a call ran to its end; False if it was cancelled."""
    if status == NB_ERR_CANCELLED:
        return False
    if status != NB_OK:
        raise CoreError(strerror(status), status)
    return True
