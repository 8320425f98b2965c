# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The C functions of the image chain (csrc/imaging.h), thinly: arrays are numpy arrays, errors are exceptions.

Nothing in it computes.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t

import numpy as np

from nanobragg.errors import CoreError


cdef extern from "imaging.h" nogil:
    enum:
        NB_OK

    ctypedef enum nb_kernel:
        NB_N_KERNELS

    ctypedef struct nb_rng:
        pass

    ctypedef struct nb_stream:
        uint32_t seed, purpose, panel, frame, draw

    ctypedef struct nb_background:
        int64_t n_fast
        double pixel_size[2]
        double pix0[3]
        double fast[3]
        double slow[3]
        double normal[3]
        double beam[3]
        double pixel_area
        int32_t point_pixel, curved, curved_axes
        double distance, close_distance
        double sensor_depth
        int32_t polarized
        double kahn_factor
        double polarization_axis[3]
        const double *incident
        const double *wavelength
        const double *weight
        int64_t n_sources
        const double *stol
        const double *polynomial
        int64_t n_table
        const double *index
        int64_t n_index
        double index_scale
        int32_t index_steps
        double strength
        int32_t has_path
        double path[2]
        double stop_radius, stop_distance, depth
        int32_t oversample
        const double *node
        const double *node_weight
        int32_t n_nodes

    ctypedef struct nb_amorphous_body:
        int64_t n_fast, n_slow
        int64_t roi[4]
        double pixel_size
        double pix0[3]
        double fast[3]
        double slow[3]
        double beam[3]
        double close_distance, distance
        int32_t curved, point_pixel, oversample
        const double *source
        const double *weight
        const double *wavelength
        int64_t n_sources
        int32_t polarized
        double kahn_factor
        double polarization_axis[3]
        const double *stol
        const double *factor
        int64_t n_table
        double r_e_sqr, fluence, molecules
        int32_t map_factor

    ctypedef struct nb_amorphous_last:
        double *stol
        double *polarization
        double *solid_angle
        int64_t *interval
        double *position

    ctypedef enum nb_psf_kind:
        NB_PSF_GAUSS, NB_PSF_FIBER

    const char *nb_strerror(int status)
    void nb_rng_init(nb_rng *rng)
    float nb_gaussian(nb_rng *rng, int64_t *state)
    int nb_gaussian_array(nb_rng *rng, int64_t *state, int64_t n, float *out)
    double nb_normal_quantile(double p)
    int nb_sample_uniform(const nb_stream *stream, uint32_t first, int64_t n, double *out)
    int nb_sample_normal(const nb_stream *stream, uint32_t first, int64_t n, double *out)
    int nb_sample_poisson(const nb_stream *stream, uint32_t first, int64_t n, const double *mean, double *out)
    int nb_add_background_with(const nb_background *background, nb_kernel kernel, int64_t n_pixels,
                               const int64_t *pixels, int64_t first, double *photons, int64_t *beyond)
    const char *nb_kernel_name(nb_kernel kernel)
    int nb_original_amorphous(const nb_amorphous_body *body, float *image, const nb_amorphous_last *last, double *total)
    int nb_original_counts(nb_rng *rng, int64_t *state, int64_t *calibration_state, int64_t n, double flicker,
                           double calibration, float *photons, double *total)
    int64_t nb_original_psf_radius(nb_psf_kind kind, double width, double photons)
    int nb_original_spread(nb_psf_kind kind, double width, int64_t radius, int32_t automatic, int64_t n_fast,
                           int64_t n_slow, const float *photons, double *kernel, float *spread, double *lost)


_KERNELS = {(<bytes>nb_kernel_name(<nb_kernel>i)).decode(): i for i in range(NB_N_KERNELS)}
_PSF = {"gauss": NB_PSF_GAUSS, "fiber": NB_PSF_FIBER}


cdef int _check(int status) except -1:
    if status != NB_OK:
        raise CoreError((<bytes>nb_strerror(status)).decode(), status)
    return 0


cdef int _copy(double *target, values) except -1:
    cdef Py_ssize_t i
    for i in range(3):
        target[i] = values[i]
    return 0


cdef const double *_pointer(const double[::1] values) noexcept:
    return &values[0] if values.shape[0] > 0 else NULL


cdef class Sampler:
    """Deviates by Philox4x32-10, key (seed, purpose), counter (pixel, panel, frame, draw); all of them below 2^32.

    The methods fill `out` for the pixels `first`, `first` + 1, ... and run without the GIL.
    """

    cdef nb_stream c

    def __cinit__(self, uint32_t seed, uint32_t purpose, uint32_t panel, uint32_t frame, uint32_t draw):
        self.c.seed, self.c.purpose, self.c.panel, self.c.frame, self.c.draw = seed, purpose, panel, frame, draw

    def uniform(self, uint32_t first, double[::1] out):
        """Within 0 and 1, both excluded."""
        cdef int64_t n = out.shape[0]
        cdef int status
        if n > 0:
            with nogil:
                status = nb_sample_uniform(&self.c, first, n, &out[0])
            _check(status)

    def normal(self, uint32_t first, double[::1] out):
        """Mean 0, variance 1."""
        cdef int64_t n = out.shape[0]
        cdef int status
        if n > 0:
            with nogil:
                status = nb_sample_normal(&self.c, first, n, &out[0])
            _check(status)

    def poisson(self, uint32_t first, const double[::1] mean, double[::1] out):
        """Counts of the given means; NaN and negative means give 0."""
        cdef int64_t n = out.shape[0]
        cdef int status
        if mean.shape[0] != n:
            raise CoreError(f"{mean.shape[0]} means for {n} pixels")
        if n > 0:
            with nogil:
                status = nb_sample_poisson(&self.c, first, n, &mean[0], &out[0])
            _check(status)


def normal_quantile(double p):
    """The normal deviate below which a fraction p lies."""
    return nb_normal_quantile(p)


cdef class Background:
    """An amorphous body before a detector.

    Parameters
    ----------
    scene : nanobragg.derivation.scene.Scene
        Detector and polarization.
    background : nanobragg.derivation.background.BackgroundScene
        Rays.
    component : nanobragg.derivation.background.Component
    nodes, weights : (n,) arrays
        Of an integral over -1 ... 1.
    curved_axes : bool
        Whether the quirk CURVED_DET_AXES is in force.
    """

    cdef nb_background c
    cdef list owned

    def __init__(self, scene, background, component, nodes, weights, bint curved_axes):
        cdef nb_background *c = &self.c
        self.owned = []
        c.n_fast, c.pixel_area = scene.n_fast, scene.pixel_area
        c.pixel_size[0], c.pixel_size[1] = scene.pixel_size
        _copy(c.pix0, scene.pix0)
        _copy(c.fast, scene.fast)
        _copy(c.slow, scene.slow)
        _copy(c.normal, scene.normal)
        _copy(c.beam, scene.beam)
        _copy(c.polarization_axis, scene.polarization_axis)
        c.curved, c.curved_axes = scene.curved, curved_axes
        c.distance, c.close_distance = scene.distance, scene.close_distance
        c.point_pixel, c.polarized, c.kahn_factor = scene.point_pixel, scene.polarized, scene.kahn_factor
        c.sensor_depth = scene.attenuation * scene.layer_thickness * scene.n_layers if scene.has_sensor else 0.0
        c.n_sources = len(background.weight)
        c.incident, c.wavelength = self._pointer(background.incident), self._pointer(background.wavelength)
        c.weight = self._pointer(background.weight)
        stol, polynomial, found, c.index_scale, c.index_steps = component.lookup
        c.n_table = len(stol)
        c.stol, c.polynomial = self._pointer(stol), self._pointer(polynomial)
        c.n_index = 0 if found is None else len(found)
        c.index = NULL
        if found is not None:
            c.index = self._pointer(found)
        c.strength, c.depth, c.oversample = component.strength, component.depth, component.oversample
        c.has_path = component.path is not None
        c.path[0], c.path[1] = component.path if c.has_path else (0.0, 0.0)
        c.stop_radius, c.stop_distance = component.beamstop if component.beamstop is not None else (0.0, 0.0)
        c.n_nodes = len(nodes)
        c.node, c.node_weight = self._pointer(nodes), self._pointer(weights)

    cdef const double *_pointer(self, values) except NULL:
        """Keep the numbers and return their address."""
        array = np.ascontiguousarray(values, np.float64)
        self.owned.append(array)
        cdef const double[::1] flat = array.reshape(-1)
        return &flat[0]

    def add(self, pixels, int64_t first, double[::1] photons, str kernel):
        """Add the photons of the pixels (flat indices; None: first, first + 1, ...), without the GIL.

        Returns how many lie beyond the table.
        """
        cdef int64_t n = photons.shape[0], beyond = 0
        cdef const int64_t[::1] listed
        cdef const int64_t *at = NULL
        cdef nb_kernel number = <nb_kernel><int>_KERNELS[kernel]
        cdef int status
        if n == 0:
            return 0
        if pixels is not None:
            listed = pixels
            if listed.shape[0] != n:
                raise CoreError(f"{n} places for {listed.shape[0]} pixels")
            at = &listed[0]
        with nogil:
            status = nb_add_background_with(&self.c, number, n, at, first, &photons[0], &beyond)
        _check(status)
        return beyond


def original_amorphous(body, roi, bint keep_last):
    """The image of an amorphous body by the rules of nonBragg.

    Parameters
    ----------
    body : object
        With the fields of nb_amorphous_body (csrc/imaging.h), arrays contiguous float64.
    roi : (int, int, int, int)
        First and last fast, first and last slow pixel, inclusive.
    keep_last : bool
        Return what the last sub-pixel and source of every pixel left behind.

    Returns
    -------
    image : (n_slow, n_fast) float32
    last : dict of arrays, empty unless `keep_last`
    solid_angle_sum : float
    """
    cdef nb_amorphous_body c
    cdef nb_amorphous_last left
    cdef double total = 0.0
    c.n_fast, c.n_slow = body.n_fast, body.n_slow
    c.roi[0], c.roi[1], c.roi[2], c.roi[3] = roi
    c.pixel_size = body.pixel_size
    _copy(c.pix0, body.pix0)
    _copy(c.fast, body.fast)
    _copy(c.slow, body.slow)
    _copy(c.beam, body.beam)
    c.close_distance, c.distance = body.close_distance, body.distance
    c.curved, c.point_pixel, c.oversample = body.curved, body.point_pixel, body.oversample
    c.n_sources = len(body.source)
    c.source = _pointer(body.source.reshape(-1))
    c.weight, c.wavelength = _pointer(body.weight), _pointer(body.wavelength)
    c.polarized, c.kahn_factor = body.polarized, body.kahn_factor
    _copy(c.polarization_axis, body.polarization_axis)
    c.n_table = len(body.stol)
    c.stol, c.factor = _pointer(body.stol), _pointer(body.factor)
    c.r_e_sqr, c.fluence, c.molecules = body.r_e_sqr, body.fluence, body.molecules
    c.map_factor = body.map_factor
    shape = (body.n_slow, body.n_fast)
    image = np.zeros(shape, np.float32)
    last = {}
    cdef float[:, ::1] pixels = image
    cdef double[:, ::1] stol, polarization, solid_angle
    cdef int64_t[:, ::1] interval
    cdef double[:, :, ::1] position
    left.stol = left.polarization = left.solid_angle = left.position = NULL
    left.interval = NULL
    if keep_last:
        for name in ("stol", "polarization", "solid_angle"):
            last[name] = np.zeros(shape)
        last["interval"] = np.zeros(shape, np.int64)
        last["position"] = np.zeros((*shape, 3))
        stol, polarization, solid_angle = last["stol"], last["polarization"], last["solid_angle"]
        interval, position = last["interval"], last["position"]
        left.stol, left.polarization, left.solid_angle = &stol[0, 0], &polarization[0, 0], &solid_angle[0, 0]
        left.interval, left.position = &interval[0, 0], &position[0, 0, 0]
    cdef float *out = &pixels[0, 0]
    cdef int status
    with nogil:
        status = nb_original_amorphous(&c, out, &left, &total)
    _check(status)
    return image, last, total


cdef class OriginalNoise:
    """The generators of noisify: two streams that share one shuffle table and one spare deviate.

    Parameters
    ----------
    state, calibration_state : int
        Of the main and the calibration stream: minus the seed that is typed, except for the default of the latter.
    """

    cdef nb_rng rng
    cdef int64_t state, calibration_state

    def __cinit__(self, int64_t state, int64_t calibration_state):
        nb_rng_init(&self.rng)
        self.state, self.calibration_state = state, calibration_state

    def count(self, float[::1] photons, double flicker, double calibration):
        """Replace expected photons by counts; returns their sum."""
        cdef double total = 0.0
        cdef int64_t n = photons.shape[0]
        if n > 0:
            _check(nb_original_counts(&self.rng, &self.state, &self.calibration_state, n, flicker, calibration,
                                      &photons[0], &total))
        return total

    def gaussian(self, n):
        """(n,) float32 deviates of the main stream."""
        values = np.empty(n, np.float32)
        cdef float[::1] out = values
        if out.shape[0] > 0:
            _check(nb_gaussian_array(&self.rng, &self.state, out.shape[0], &out[0]))
        return values


def original_psf_radius(str kind, double width, double photons):
    """Radius [pixels] at which a pixel of so many photons stops spreading them."""
    return nb_original_psf_radius(<nb_psf_kind><int>_PSF[kind], width, photons)


def original_spread(const float[:, ::1] photons, str kind, double width, int64_t radius, bint automatic):
    """Photons spread by the rules of noisify.

    Returns
    -------
    spread : (n_slow, n_fast) float32
    lost : float
        Photons that fell outside the radii and were spread evenly.
    """
    cdef int64_t n_slow = photons.shape[0], n_fast = photons.shape[1]
    cdef double lost = 0.0
    room = np.empty((2 * radius + 1) ** 2)
    spread = np.empty(n_slow * n_fast + 1, np.float32)
    cdef double[::1] kernel = room
    cdef float[::1] out = spread
    cdef nb_psf_kind number = <nb_psf_kind><int>_PSF[kind]
    cdef int status
    with nogil:
        status = nb_original_spread(number, width, radius, automatic, n_fast, n_slow, &photons[0, 0], &kernel[0], &out[0],
                                    &lost)
    _check(status)
    return spread[:-1].reshape(n_slow, n_fast), lost
