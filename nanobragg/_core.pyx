# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The C core, thinly: scenes are checked and converted here, arrays are numpy arrays, errors are exceptions.

The only Cython module (with _core_derivatives.pxi). Nothing in it computes.
"""

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint32_t

import numpy as np

from nanobragg.errors import CoreError


cdef extern from "nanobragg.h" nogil:
    ctypedef struct nb_scene:
        int64_t n_fast, n_slow
        double pixel_size
        double pix0[3]
        double fast[3]
        double slow[3]
        double normal[3]
        double beam[3]
        double close_distance, distance
        int32_t curved, point_pixel
        double pixel_area
        int32_t has_sensor, n_layers
        double layer_thickness, attenuation
        const int64_t *pixels
        int64_t n_pixels
        const double *incident
        const double *wavelength
        const double *weight
        int64_t n_sources
        int32_t polarized
        double kahn_factor
        double polarization_axis[3]
        double r_e_sqr, fluence
        const double *orientations
        const double *orientations_first_pass
        int64_t n_phi, n_domains
        int64_t first_pass[2]
        double a_star[9]
        double n_cells[3]
        int32_t shape
        double fudge
        const double *f_table
        int64_t n_hkl[3]
        int64_t hkl_min[3]
        double default_F
        int32_t tricubic
        int64_t interpolation_off[2]
        int32_t oversample
        double d_min, steps, background
        int32_t capture_mode, polar_mode, omega_mode
        uint32_t quirks

    ctypedef struct nb_fault:
        const char *field
        int64_t index

    ctypedef struct nb_rng:
        pass

    ctypedef enum nb_quantity:
        NB_N_QUANTITIES

    ctypedef struct nb_recorder:
        int (*record)(void *context, nb_quantity quantity, const int64_t *index, const double *values, int64_t n) noexcept nogil
        void *context

    enum:
        NB_OK, NB_ERR_CANCELLED, NB_ERR_RECORDER
        NB_CURVED_DET_AXES, NB_GAUSS_TOPHAT_WIDTH, NB_SINC3_CANCELLATION, NB_SINCG_ROUNDOFF
        NB_LATTICE_ZERO_SKIP, NB_DMIN_ZEROES_WATER, NB_INTERP_LOW_EDGE

    ctypedef enum nb_kernel:
        NB_N_KERNELS

    const char *nb_version()
    const char *nb_strerror(int status)
    int nb_scene_validate(const nb_scene *scene, nb_fault *fault)
    const char *nb_kernel_name(nb_kernel kernel)
    int nb_kernel_available(nb_kernel kernel)
    const char *nb_simd_obstacle(const nb_scene *scene)
    int nb_render_with(const nb_scene *scene, nb_kernel kernel, int64_t begin, int64_t end, double *out, const int *cancel)
    int nb_trace(const nb_scene *scene, int64_t position, const nb_recorder *recorder, double *out)
    const char *nb_quantity_name(nb_quantity quantity)
    int64_t nb_read_plain_hkl(const char *data, int64_t length, int64_t capacity, int64_t *hkl, double *amplitude, int64_t *box)
    void nb_rng_init(nb_rng *rng)
    float nb_log_gamma(float x)
    int nb_uniform_array(nb_rng *rng, int64_t *state, int64_t n, float *out)
    int nb_gaussian_array(nb_rng *rng, int64_t *state, int64_t n, float *out)
    int nb_poisson_image(nb_rng *rng, int64_t *state, int64_t n, const float *means, float *out)


version = (<bytes>nb_version()).decode()
"""Version of the package, as compiled."""

quantity_names = tuple([(<bytes>nb_quantity_name(<nb_quantity>i)).decode() for i in range(NB_N_QUANTITIES)])
"""Names of what a trace records, by quantity number."""

_KERNEL_NUMBERS = {(<bytes>nb_kernel_name(<nb_kernel>i)).decode(): i for i in range(NB_N_KERNELS)}

kernel_names = tuple(_KERNEL_NUMBERS)
"""Names of all kernels, in this build or not."""

available_kernels = tuple([name for name, i in _KERNEL_NUMBERS.items() if nb_kernel_available(<nb_kernel><int>i)])
"""Names of the kernels of this build that this machine can run; the vector kernels "simd-..." from narrow to wide."""

_QUIRK_BITS = {
    "CURVED_DET_AXES": NB_CURVED_DET_AXES,
    "GAUSS_TOPHAT_WIDTH": NB_GAUSS_TOPHAT_WIDTH,
    "SINC3_CANCELLATION": NB_SINC3_CANCELLATION,
    "SINCG_ROUNDOFF": NB_SINCG_ROUNDOFF,
    "LATTICE_ZERO_SKIP": NB_LATTICE_ZERO_SKIP,
    "DMIN_ZEROES_WATER": NB_DMIN_ZEROES_WATER,
    "INTERP_LOW_EDGE": NB_INTERP_LOW_EDGE,
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


def _floats(scene, name, shape):
    """The field as a contiguous float64 array of the shape (-1: any length)."""
    value = np.asarray(getattr(scene, name))
    if value.dtype.kind not in "fiub":
        raise CoreError(f"scene.{name}: must be an array of real numbers, not of dtype {value.dtype}")
    if value.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, value.shape)):
        text = ", ".join("n" if n < 0 else str(n) for n in shape)
        raise CoreError(f"scene.{name}: must have the shape ({text}), not {value.shape}")
    return np.ascontiguousarray(value, dtype=np.float64)


def _integer(name, value):
    """The value as an integer that fits into 64 bits."""
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError):
        raise CoreError(f"scene.{name}={value!r}: must be an integer") from None
    if not -(1 << 63) <= number < 1 << 63:
        raise CoreError(f"scene.{name}={value!r}: is too large")
    return number


def _small(name, value):
    """The value as an integer that fits into 32 bits."""
    number = _integer(name, value)
    if not -(1 << 31) <= number < 1 << 31:
        raise CoreError(f"scene.{name}={value!r}: is too large")
    return number


cdef int _copy(double *target, object scene, str name, tuple shape) except -1:
    cdef double[::1] values = _floats(scene, name, shape).reshape(-1)
    cdef Py_ssize_t i
    for i in range(values.shape[0]):
        target[i] = values[i]
    return 0


cdef int _copy_integers(int64_t *target, object scene, str name, Py_ssize_t n) except -1:
    values = tuple(getattr(scene, name))
    if len(values) != n:
        raise CoreError(f"scene.{name}: must have {n} elements, not {len(values)}")
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = _integer(name, values[i])
    return 0


cdef double _number(object scene, str name) except? -1.25:
    cdef double[::1] value = _floats(scene, name, ()).reshape(-1)
    return value[0]


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
        cdef nb_scene *c = &self.c
        cdef const double[::1] floats
        cdef const int64_t[::1] indices
        self.owned = []

        c.n_fast, c.n_slow = _integer("n_fast", scene.n_fast), _integer("n_slow", scene.n_slow)
        c.pixel_size = _number(scene, "pixel_size")
        _copy(c.pix0, scene, "pix0", (3,))
        _copy(c.fast, scene, "fast", (3,))
        _copy(c.slow, scene, "slow", (3,))
        _copy(c.normal, scene, "normal", (3,))
        _copy(c.beam, scene, "beam", (3,))
        c.close_distance, c.distance = _number(scene, "close_distance"), _number(scene, "distance")
        c.curved, c.point_pixel = bool(scene.curved), bool(scene.point_pixel)
        c.pixel_area = _number(scene, "pixel_area")
        c.has_sensor, c.n_layers = bool(scene.has_sensor), _small("n_layers", scene.n_layers)
        c.layer_thickness, c.attenuation = _number(scene, "layer_thickness"), _number(scene, "attenuation")
        pixels = np.asarray(scene.pixels)
        if pixels.ndim != 1 or pixels.dtype.kind not in "iu":
            raise CoreError(f"scene.pixels: must be a vector of integers, not {pixels.dtype} of shape {pixels.shape}")
        pixels = np.ascontiguousarray(pixels, dtype=np.int64)
        self.owned.append(pixels)
        indices = pixels
        c.n_pixels = indices.shape[0]
        c.pixels = &indices[0] if c.n_pixels > 0 else NULL

        incident = _floats(scene, "incident", (-1, 3))
        c.n_sources = incident.shape[0]
        c.incident = self._pointer(incident)
        c.wavelength = self._pointer(_floats(scene, "wavelength", (incident.shape[0],)))
        c.weight = self._pointer(_floats(scene, "weight", (incident.shape[0],)))
        c.polarized = bool(scene.polarized)
        c.kahn_factor = _number(scene, "kahn_factor")
        _copy(c.polarization_axis, scene, "polarization_axis", (3,))
        c.r_e_sqr, c.fluence = _number(scene, "r_e_sqr"), _number(scene, "fluence")

        orientations = _floats(scene, "orientations", (-1, -1, 3, 3))
        c.n_phi, c.n_domains = orientations.shape[0], orientations.shape[1]
        c.orientations = self._pointer(orientations)
        c.orientations_first_pass = NULL
        if scene.orientations_first_pass is not None:
            c.orientations_first_pass = self._pointer(_floats(scene, "orientations_first_pass", orientations.shape))
        _copy_integers(c.first_pass, scene, "first_pass", 2)
        _copy(c.a_star, scene, "a_star", (3, 3))
        _copy(c.n_cells, scene, "n_cells", (3,))
        c.shape = _small("shape", scene.shape)
        c.fudge = _number(scene, "fudge")
        table = _floats(scene, "f_table", (-1, -1, -1))
        c.f_table = self._pointer(table)
        c.n_hkl[0], c.n_hkl[1], c.n_hkl[2] = table.shape
        _copy_integers(c.hkl_min, scene, "hkl_min", 3)
        c.default_F = _number(scene, "default_F")
        c.tricubic = bool(scene.tricubic)
        _copy_integers(c.interpolation_off, scene, "interpolation_off", 2)

        c.oversample = _small("oversample", scene.oversample)
        c.d_min, c.steps = _number(scene, "d_min"), _number(scene, "steps")
        c.background = _number(scene, "background")
        c.capture_mode = _small("capture_mode", scene.capture_mode)
        c.polar_mode = _small("polar_mode", scene.polar_mode)
        c.omega_mode = _small("omega_mode", scene.omega_mode)
        c.quirks = 0
        for quirk in scene.quirks:
            if quirk.name not in _QUIRK_BITS:
                raise CoreError(f"scene.quirks: {quirk.name} is not one that a kernel knows")
            c.quirks |= <uint32_t>_QUIRK_BITS[quirk.name]
        self._validate(scene)

    cdef const double *_pointer(self, array) except? NULL:
        """Keep the array and return its address; NULL for an empty one."""
        self.owned.append(array)
        cdef const double[::1] values = array.reshape(-1)
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

    def render(self, int64_t begin, int64_t end, double[::1] out, CancelFlag cancel not None, str kernel="scalar"):
        """Render the pixels [begin, end) of `pixels` into out[begin:end], without the GIL.

        Returns
        -------
        bool
            False if cancelled; then the block is unspecified.
        """
        if not 0 <= begin <= end <= self.c.n_pixels:
            raise CoreError(f"block [{begin}, {end}) lies outside the {self.c.n_pixels} rendered pixels")
        if out.shape[0] != self.c.n_pixels:
            raise CoreError(f"out has {out.shape[0]} elements, not one for each of the {self.c.n_pixels} rendered pixels")
        if begin == end:
            return True
        cdef double *target = &out[begin]
        cdef nb_kernel number = <nb_kernel><int>_KERNEL_NUMBERS[kernel]
        cdef int status
        with nogil:
            status = nb_render_with(&self.c, number, begin, end, target, &cancel.flag)
        return _finished(status)

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


def log_gamma(x):
    """Logarithm of the gamma function in the original's float32 form; x and the result are float32 values."""
    return np.float32(nb_log_gamma(<float>x))


cdef class Rng:
    """Shuffle table, Gaussian spare and Poisson cache of the original's generators; stream states go in and out."""

    cdef nb_rng c

    def __cinit__(self):
        nb_rng_init(&self.c)

    def copy(self):
        """An independent generator in the same state."""
        cdef Rng other = Rng()
        other.c = self.c
        return other

    def uniform(self, int64_t state, n):
        """Draw n uniform deviates (float32); returns (deviates, state)."""
        values = np.empty(n, dtype=np.float32)
        cdef float[::1] out = values
        cdef int64_t length = out.shape[0]
        if length > 0:
            _check(nb_uniform_array(&self.c, &state, length, &out[0]))
        return values, state

    def gaussian(self, int64_t state, n):
        """Draw n Gaussian deviates (float32); returns (deviates, state)."""
        values = np.empty(n, dtype=np.float32)
        cdef float[::1] out = values
        cdef int64_t length = out.shape[0]
        if length > 0:
            _check(nb_gaussian_array(&self.c, &state, length, &out[0]))
        return values, state

    def poisson(self, int64_t state, means):
        """Draw one Poisson deviate (float32) for each of the means, a contiguous float32 vector; returns (deviates, state)."""
        cdef const float[::1] expected = means
        cdef int64_t length = expected.shape[0]
        values = np.empty(length, dtype=np.float32)
        cdef float[::1] out = values
        if length > 0:
            _check(nb_poisson_image(&self.c, &state, length, &expected[0], &out[0]))
        return values, state


cdef int _check(int status) except -1:
    if status != NB_OK:
        raise CoreError(strerror(status), status)
    return 0


include "_core_derivatives.pxi"
