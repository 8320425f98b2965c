# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The random numbers of the original program (csrc/rng.c, csrc/noise.c), thinly: deviates are numpy arrays.

Nothing in it computes.
"""

from libc.stdint cimport int64_t

import numpy as np

from nanobragg.errors import CoreError


cdef extern from "nanobragg.h" nogil:
    ctypedef struct nb_rng:
        pass

    enum:
        NB_OK

    const char *nb_strerror(int status)
    void nb_rng_init(nb_rng *rng)
    float nb_log_gamma(float x)
    int nb_uniform_array(nb_rng *rng, int64_t *state, int64_t n, float *out)
    int nb_gaussian_array(nb_rng *rng, int64_t *state, int64_t n, float *out)
    int nb_poisson_image(nb_rng *rng, int64_t *state, int64_t n, const float *means, float *out)


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
        raise CoreError((<bytes>nb_strerror(status)).decode(), status)
    return 0
