# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The C core, thinly: scenes are checked and converted here, arrays are numpy arrays, errors are exceptions.

With _core_fields.pxi, _core_derivatives.pxi, _core_stored.pxi and _core_diffuse.pxi; nothing in them computes.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t

import numpy as np

from nanobragg.errors import CoreError


cdef extern from "nanobragg.h" nogil:
    ctypedef struct nb_scene:
        int64_t n_pixels, n_sources, n_phi, n_domains
        int32_t n_layers, oversample

    ctypedef struct nb_channels:
        int64_t n
        const double *weight
        double *out

    ctypedef enum nb_field_kind:
        NB_FIELD_INTEGER, NB_FIELD_SMALL, NB_FIELD_FLAG, NB_FIELD_BITS, NB_FIELD_NUMBER, NB_FIELD_INTEGERS
        NB_FIELD_ARRAY, NB_FIELD_OPTIONAL, NB_FIELD_INDICES, NB_FIELD_CHOICES, NB_FIELD_COUNT

    ctypedef struct nb_field:
        const char *name
        nb_field_kind kind
        int64_t offset, length
        const char *shape

    const double NB_PI, NB_ROUND_SCALE, NB_GAUSS_WIDTH, NB_TOPHAT_CUT, NB_SINCG_NOISE, NB_SINC3_NOISE
    const int64_t NB_MAX_STEPS

    ctypedef struct nb_fault:
        const char *field
        int64_t index

    ctypedef enum nb_quantity:
        NB_N_QUANTITIES

    ctypedef struct nb_recorder:
        int (*record)(void *context, nb_quantity quantity, const int64_t *index, const double *values, int64_t n) noexcept nogil
        void *context

    ctypedef struct nb_prescan_result:
        int64_t first_pass[2]
        int32_t look_up
        int64_t off[2]
        double hkl[3]

    enum:
        NB_OK, NB_ERR_CANCELLED, NB_ERR_RECORDER
        NB_CURVED_DET_AXES, NB_GAUSS_TOPHAT_WIDTH, NB_SINC3_CANCELLATION, NB_SINCG_ROUNDOFF
        NB_LATTICE_ZERO_SKIP, NB_DMIN_ZEROES_WATER, NB_INTERP_LOW_EDGE

    ctypedef enum nb_kernel:
        NB_N_KERNELS

    const nb_field *nb_scene_field(int number)
    const char *nb_version()
    const char *nb_strerror(int status)
    int nb_scene_validate(const nb_scene *scene, nb_fault *fault)
    const char *nb_kernel_name(nb_kernel kernel)
    int nb_kernel_available(nb_kernel kernel)
    const char *nb_simd_obstacle(const nb_scene *scene)
    const char *nb_simd_exception(const nb_scene *scene)
    int nb_render_channels(const nb_scene *scene, nb_kernel kernel, int64_t begin, int64_t end, double *out,
                           const nb_channels *channels, const int *cancel)
    int nb_prescan(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int64_t pass_begin, int64_t pass_end,
                   nb_prescan_result *result)
    int nb_solid_angles(const nb_scene *scene, int64_t pixel_begin, int64_t pixel_end, int32_t n_layers, int32_t n_sub,
                        double *sum)
    int nb_trace(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out)
    const char *nb_quantity_name(nb_quantity quantity)
    int64_t nb_read_plain_hkl(const char *data, int64_t length, int64_t capacity, int64_t *hkl, double *amplitude, int64_t *box)


version = (<bytes>nb_version()).decode()
"""Version of the package, as compiled."""

PI, ROUND_SCALE, GAUSS_WIDTH, TOPHAT_CUT, MAX_STEPS = NB_PI, NB_ROUND_SCALE, NB_GAUSS_WIDTH, NB_TOPHAT_CUT, NB_MAX_STEPS
SINCG_NOISE, SINC3_NOISE = NB_SINCG_NOISE, NB_SINC3_NOISE

quantity_names = tuple([(<bytes>nb_quantity_name(<nb_quantity>i)).decode() for i in range(NB_N_QUANTITIES)])
"""Names of what a trace records, by quantity number."""

_KERNEL_NUMBERS = {(<bytes>nb_kernel_name(<nb_kernel>i)).decode(): i for i in range(NB_N_KERNELS)}

kernel_names = tuple(_KERNEL_NUMBERS)
"""Names of all kernels, in this build or not."""

available_kernels = tuple([name for name, i in _KERNEL_NUMBERS.items() if nb_kernel_available(<nb_kernel><int>i)])
"""Names of the kernels of this build that this machine can run; the vector kernels "simd-..." from narrow to wide."""

cdef int64_t _UNHEARD = 10_000_000
"""Points looked at between two looks for a signal: some 0.3 s."""

_QUIRK_BITS = {
    "CURVED_DET_AXES": NB_CURVED_DET_AXES, "GAUSS_TOPHAT_WIDTH": NB_GAUSS_TOPHAT_WIDTH,
    "SINC3_CANCELLATION": NB_SINC3_CANCELLATION, "SINCG_ROUNDOFF": NB_SINCG_ROUNDOFF,
    "LATTICE_ZERO_SKIP": NB_LATTICE_ZERO_SKIP, "DMIN_ZEROES_WATER": NB_DMIN_ZEROES_WATER, "INTERP_LOW_EDGE": NB_INTERP_LOW_EDGE,
}


def strerror(int status):
    """Text of a status code; ends with its symbol."""
    return (<bytes>nb_strerror(status)).decode()


cdef class CancelFlag:
    """A flag that a running `CoreScene.render` looks at once per source pass."""

    cdef int flag

    def set(self):
        """Make every render that holds this flag return soon."""
        self.flag = 1

    def __bool__(self):
        return self.flag != 0


include "_core_fields.pxi"


cdef class CoreScene:
    """A validated scene in the form that the C core reads; holds the arrays that it points to.

    Parameters
    ----------
    scene : nanobragg.derivation.scene.Scene
        Or any object with the same attributes.

    Raises
    ------
    CoreError
        For a field of the wrong type or shape, or one that the core refuses.
    """

    cdef nb_scene c
    cdef list owned

    def __init__(self, scene):
        cdef char *base = <char *>&self.c
        cdef _Field field
        self.owned = []
        counts = {}
        for field in _FIELDS:
            self._take(base + field.offset, field, getattr(scene, field.name), counts)
        for name, offset in _COUNTS.items():
            (<int64_t *>(base + <Py_ssize_t>offset))[0] = counts.get(name, 0)
        self._validate(scene)

    cdef int _take(self, char *place, _Field field, object value, dict counts) except -1:
        """Write the value of a field to its place; the lengths of arrays are noted in `counts`."""
        cdef Py_ssize_t i
        if field.kind == NB_FIELD_NUMBER and field.length == 1:
            (<double *>place)[0] = value if isinstance(value, float) else _floats(field.name, value, ()).item()
        elif field.kind == NB_FIELD_NUMBER:
            numbers = _floats(field.name, value, field.shape).reshape(-1).tolist()
            for i in range(field.length):
                (<double *>place)[i] = numbers[i]
        elif field.kind == NB_FIELD_INTEGER:
            (<int64_t *>place)[0] = _integer(field.name, value)
        elif field.kind == NB_FIELD_SMALL:
            (<int32_t *>place)[0] = _small(field.name, value)
        elif field.kind == NB_FIELD_FLAG:
            (<int32_t *>place)[0] = bool(value)
        elif field.kind == NB_FIELD_BITS:
            (<uint32_t *>place)[0] = _bits(value)
        elif field.kind == NB_FIELD_INTEGERS:
            whole = tuple(value)
            if len(whole) != field.length:
                raise CoreError(f"scene.{field.name}: must have {field.length} elements, not {len(whole)}")
            for i in range(field.length):
                (<int64_t *>place)[i] = _integer(field.name, whole[i])
        elif value is None and field.kind in (NB_FIELD_OPTIONAL, NB_FIELD_CHOICES):
            (<const double **>place)[0] = NULL
        else:
            shape = tuple([counts.get(n, -1) if isinstance(n, str) else n for n in field.shape])
            if field.kind in (NB_FIELD_INDICES, NB_FIELD_CHOICES):
                array = _indices(field.name, value, shape)
                (<const int64_t **>place)[0] = self._integers(array)
            else:
                array = _floats(field.name, value, shape)
                (<const double **>place)[0] = self._doubles(array)
            for n, length in zip(field.shape, array.shape):
                counts[n] = length
        return 0

    cdef const double *_doubles(self, array) except? NULL:
        """Keep the array and return its address; NULL for an empty one."""
        self.owned.append(array)
        cdef const double[::1] values = array.reshape(-1)
        return &values[0] if values.shape[0] > 0 else NULL

    cdef const int64_t *_integers(self, array) except? NULL:
        """As `_doubles`."""
        self.owned.append(array)
        cdef const int64_t[::1] values = array
        return &values[0] if values.shape[0] > 0 else NULL

    def _validate(self, scene):
        cdef nb_fault fault
        cdef int status = nb_scene_validate(&self.c, &fault)
        if status == NB_OK:
            return
        name = (<bytes>fault.field).decode()
        where = f"scene.{name}" if fault.index < 0 else f"scene.{name}[{fault.index}]"
        value = getattr(scene, name)
        if fault.index >= 0 and name != "f_table":
            value = np.asarray(value).reshape(-1)[fault.index]
        if np.size(value) == 1:
            where = f"{where}={np.asarray(value).reshape(-1)[0]}"
        raise CoreError(f"{where}: {strerror(status)}", status)

    @property
    def n_pixels(self):
        """Rendered pixels."""
        return self.c.n_pixels

    @property
    def simd_obstacle(self):
        """Why the vector kernels leave this scene to the scalar one; empty where they cover it."""
        cdef const char *text = nb_simd_obstacle(&self.c)
        return "" if text == NULL else (<bytes>text).decode()

    @property
    def simd_exception(self):
        """Which lattice factors the vector kernels leave to the scalar one; empty where they leave none."""
        return (<bytes>nb_simd_exception(&self.c)).decode()

    def render(self, int64_t begin, int64_t end, double[::1] out, CancelFlag cancel not None, str kernel="scalar",
               const double[:, ::1] weights=None, double[:, ::1] channels=None):
        """Render the pixels [begin, end) of `pixels` into `out` (end - begin,), without the GIL.

        Parameters
        ----------
        weights : ndarray, shape (n, n_sources), optional
            Weights of the sources in further sums over the spots.
        channels : ndarray, shape (n, n_pixels), optional
            Those sums, filled in [:, begin:end].

        Returns
        -------
        bool
            False if cancelled; then the block is unspecified.
        """
        if not 0 <= begin <= end <= self.c.n_pixels:
            raise CoreError(f"block [{begin}, {end}) lies outside the {self.c.n_pixels} rendered pixels")
        if out.shape[0] != end - begin:
            raise CoreError(f"out has {out.shape[0]} elements, not one for each of the {end - begin} pixels of the block")
        if begin == end:
            return True
        cdef double *target = &out[0]
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        cdef nb_channels more
        cdef const nb_channels *wanted = NULL
        if channels is not None and channels.shape[0] > 0:
            if weights is None or weights.shape[0] != channels.shape[0] or weights.shape[1] != self.c.n_sources:
                raise CoreError(f"weights must have the shape ({channels.shape[0]}, {self.c.n_sources})")
            if channels.shape[1] != self.c.n_pixels:
                raise CoreError(f"channels has {channels.shape[1]} columns, not one for each of the {self.c.n_pixels} rendered pixels")
            more.n, more.weight, more.out = channels.shape[0], &weights[0, 0], &channels[0, 0]
            wanted = &more
        with nogil:
            status = nb_render_channels(&self.c, number, begin, end, target, wanted, &cancel.flag)
        return _finished(status)

    def prescan(self, bint wants_pass, bint wants_lookup, int64_t most=INT64_MAX):
        """Find the first pass that d_min does not leave out, and the first lookup that leaves the table.

        Parameters
        ----------
        wants_pass, wants_lookup : bool
            Which of the two; without `wants_pass` the first pass of all counts as the first.
        most : int
            Evaluations after which nothing more is looked at, rounded up to whole steps.

        Returns
        -------
        first_pass : (int, int)
            Position in `pixels`, and pass; None: d_min leaves all of them out.
        lookup : (int, int)
            Position in `pixels`, and evaluation; None: there is none.
        hkl : (float, float, float)
            Real indices of the lookup.
        through : bool
            Whether everything was looked at that could matter.
        """
        cdef nb_prescan_result found
        cdef const nb_scene *c = &self.c
        cdef int64_t passes = <int64_t>c.n_layers * c.oversample * c.oversample * c.n_sources
        cdef int64_t terms = c.n_phi * c.n_domains, pixel, first, pixel_end, pass_end, left = most
        cdef int64_t pixels = max(1, _UNHEARD // terms // passes), step = max(1, _UNHEARD // terms)
        cdef int status
        cdef bint through = True
        found.first_pass[0], found.first_pass[1], found.look_up, found.off[0] = -wants_pass, 0, wants_lookup, -1
        for pixel in range(0, c.n_pixels, pixels):
            pixel_end = min(pixel + pixels, c.n_pixels)
            for first in range(0, passes, step):
                if left <= 0:
                    through = False
                    break
                pass_end = min(first + step, passes)
                left -= (pixel_end - pixel) * (pass_end - first) * terms
                with nogil:
                    status = nb_prescan(c, pixel, pixel_end, first, pass_end, &found)
                _check(status)
                PyErr_CheckSignals()
            if found.first_pass[0] >= 0 and (not wants_lookup or found.off[0] >= 0):
                through = True
                break
            if not through:
                break
        return (
            None if found.first_pass[0] < 0 else (found.first_pass[0], found.first_pass[1]),
            None if found.off[0] < 0 else (found.off[0], found.off[1]),
            (found.hkl[0], found.hkl[1], found.hkl[2]),
            through,
        )

    def solid_angle(self, int32_t n_layers, int32_t n_sub):
        """Sum of the solid angles of n_sub x n_sub sub-pixels of every pixel, in n_layers layers [steradian]."""
        cdef const nb_scene *c = &self.c
        cdef double total = 0.0
        cdef int64_t begin, end, step = max(1, _UNHEARD // n_layers // n_sub // n_sub)
        cdef int status
        for begin in range(0, c.n_pixels, step):
            end = min(begin + step, c.n_pixels)
            with nogil:
                status = nb_solid_angles(c, begin, end, n_layers, n_sub, &total)
            _check(status)
            PyErr_CheckSignals()
        return total

    def trace(self, int64_t position, int64_t max_records=INT64_MAX):
        """Record everything that is computed on the way to one pixel, on the code path of `render`.

        Parameters
        ----------
        position : int
            Index in `pixels`.
        max_records : int, optional
            More records than that are an error.

        Returns
        -------
        records : list of (str, tuple of int, float or tuple of float)
            Name of the quantity; (layer, sub slow, sub fast, source, phi, domain), -1 where it does not apply; value.
        pixel : float
            Expected photons.

        Raises
        ------
        CoreError
            Position outside, or too many records.
        """
        cdef _Records records = _Records(max_records)
        cdef nb_recorder recorder
        cdef double value = 0.0
        recorder.record = _record
        recorder.context = <void *>records
        cdef int status = nb_trace(&self.c, position, &recorder, &value)
        if status == NB_ERR_RECORDER and records.error is not None:
            raise records.error
        if status != NB_OK:
            raise CoreError(strerror(status), status)
        return records.rows, value


cdef class _Records:
    cdef list rows
    cdef int64_t limit
    cdef object error

    def __init__(self, int64_t limit):
        self.rows, self.limit, self.error = [], limit, None

    cdef int add(self, int quantity, const int64_t *index, const double *values, int64_t n) except -1:
        cdef Py_ssize_t i
        if len(self.rows) >= self.limit:
            raise CoreError(f"the trace has more than {self.limit} records")
        place = (index[0], index[1], index[2], index[3], index[4], index[5])
        value = values[0] if n == 1 else tuple([values[i] for i in range(n)])
        self.rows.append((quantity_names[quantity], place, value))
        return 0


cdef int _record(void *context, nb_quantity quantity, const int64_t *index, const double *values,
                 int64_t n) noexcept with gil:
    cdef _Records records = <_Records>context
    try:
        records.add(<int>quantity, index, values, n)
        return 0
    except BaseException as error:
        records.error = error
        return 1


def read_plain_hkl(bytes data not None):
    """Reflections of a text with four plain numbers on every line.

    Returns
    -------
    (hkl, amplitude, smallest, largest) or None
        (n, 3) int64, (n,) float64 and two tuples of three indices; None where the text is anything else, or empty.
    """
    cdef int64_t length = len(data), capacity = data.count(b"\n") + 1, n
    cdef const char *chars = data
    hkl, amplitude, box = np.empty((capacity, 3), np.int64), np.empty(capacity), np.empty((2, 3), np.int64)
    cdef int64_t[:, ::1] indices = hkl
    cdef double[::1] values = amplitude
    cdef int64_t[:, ::1] edges = box
    with nogil:
        n = nb_read_plain_hkl(chars, length, capacity, &indices[0, 0], &values[0], &edges[0, 0])
    if n < 1:
        return None
    return hkl[:n], amplitude[:n], tuple(box[0].tolist()), tuple(box[1].tolist())


cdef int _check(int status) except -1:
    if status != NB_OK:
        raise CoreError(strerror(status), status)
    return 0


include "_core_derivatives.pxi"
include "_core_stored.pxi"
include "_core_diffuse.pxi"
