# Stored numbers: statistics, counts and greys of an image (csrc/stored.c); part of _core.pyx.

cdef extern from "imaging.h" nogil:
    ctypedef struct nb_statistics:
        int64_t n
        double sum, squares, deviations
        float maximum
        int64_t position

    int nb_image_statistics(int64_t n_slow, int64_t n_fast, const float *image, const int64_t *roi, const uint8_t *mask,
                            nb_statistics *statistics)
    int nb_integer_image(int64_t n_slow, int64_t n_fast, const float *image, const int64_t *roi, double scale, double offset,
                         int32_t as_original, uint16_t *counts)
    int nb_grey_image(int64_t n_slow, int64_t n_fast, const float *image, const int64_t *roi, double scale, uint8_t *grey)


cdef int _edges(int64_t *edges, tuple region) except -1:
    """Slow begin and end, fast begin and end of a region in slices."""
    edges[0], edges[1], edges[2], edges[3] = region[0].start, region[0].stop, region[1].start, region[1].stop
    return 0


def image_statistics(const float[:, ::1] image not None, tuple region, const uint8_t[:, ::1] mask=None):
    """Sums of the rendered pixels of a region, in raster order.

    Returns
    -------
    (n, sum, squares, deviations, maximum, position) : tuple
        As nb_statistics has them (csrc/imaging.h).
    """
    cdef nb_statistics found
    cdef int64_t roi[4]
    cdef int64_t n_slow = image.shape[0], n_fast = image.shape[1]
    if n_slow * n_fast == 0:
        return 0, 0.0, 0.0, 0.0, 0.0, -1
    _edges(roi, region)
    cdef const float *pixels = &image[0, 0]
    cdef const uint8_t *shown = NULL
    if mask is not None:
        if mask.shape[0] != n_slow or mask.shape[1] != n_fast:
            raise CoreError(f"mask must have the shape ({n_slow}, {n_fast}) of the image")
        shown = &mask[0, 0]
    cdef int status
    with nogil:
        status = nb_image_statistics(n_slow, n_fast, pixels, roi, shown, &found)
    _check(status)
    return found.n, found.sum, found.squares, found.deviations, found.maximum, found.position


def integer_image(const float[:, ::1] image not None, tuple region, double scale, double offset, bint as_original,
                  uint16_t[:, ::1] counts not None):
    """Fill `counts` with scaled, offset and rounded photons; 0 outside the region."""
    cdef int64_t roi[4]
    cdef int64_t n_slow = image.shape[0], n_fast = image.shape[1]
    _same_shape(n_slow, n_fast, counts.shape[0], counts.shape[1])
    if n_slow * n_fast == 0:
        return
    _edges(roi, region)
    cdef int status
    with nogil:
        status = nb_integer_image(n_slow, n_fast, &image[0, 0], roi, scale, offset, as_original, &counts[0, 0])
    _check(status)


def grey_image(const float[:, ::1] image not None, tuple region, double scale, uint8_t[:, ::1] grey not None):
    """Fill `grey` with scaled photons, cut off; 0 outside the region."""
    cdef int64_t roi[4]
    cdef int64_t n_slow = image.shape[0], n_fast = image.shape[1]
    _same_shape(n_slow, n_fast, grey.shape[0], grey.shape[1])
    if n_slow * n_fast == 0:
        return
    _edges(roi, region)
    cdef int status
    with nogil:
        status = nb_grey_image(n_slow, n_fast, &image[0, 0], roi, scale, &grey[0, 0])
    _check(status)


cdef int _same_shape(int64_t n_slow, int64_t n_fast, int64_t out_slow, int64_t out_fast) except -1:
    if n_slow != out_slow or n_fast != out_fast:
        raise CoreError(f"the result must have the shape ({n_slow}, {n_fast}) of the image")
    return 0
