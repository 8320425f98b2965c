/* Version and texts of the status codes. */
#include "nanobragg.h"

const char *nb_version(void) {
    return NB_VERSION;
}

/* Returned: one sentence that ends with the symbol of the code; never NULL. */
const char *nb_strerror(int status) {
    switch (status) {
    case NB_OK: return "success (NB_OK)";
    case NB_ERR_NULL_ARGUMENT: return "a required pointer is null (NB_ERR_NULL_ARGUMENT)";
    case NB_ERR_PIXEL_RANGE: return "the block lies outside the list of rendered pixels (NB_ERR_PIXEL_RANGE)";
    case NB_ERR_CANCELLED: return "cancelled by the caller (NB_ERR_CANCELLED)";
    case NB_ERR_RECORDER: return "stopped by the recorder (NB_ERR_RECORDER)";
    case NB_ERR_KERNEL: return "the kernel is not available here or does not cover the scene (NB_ERR_KERNEL)";
    case NB_ERR_NOT_FINITE: return "must be a finite number (NB_ERR_NOT_FINITE)";
    case NB_ERR_NOT_POSITIVE: return "must be > 0 (NB_ERR_NOT_POSITIVE)";
    case NB_ERR_NEGATIVE: return "must be >= 0 (NB_ERR_NEGATIVE)";
    case NB_ERR_ZERO: return "must not be 0 (NB_ERR_ZERO)";
    case NB_ERR_BELOW_ONE: return "must be >= 1 (NB_ERR_BELOW_ONE)";
    case NB_ERR_TOO_LARGE: return "is too large (NB_ERR_TOO_LARGE)";
    case NB_ERR_ENUM: return "is not one of the allowed values (NB_ERR_ENUM)";
    case NB_ERR_POSITION: return "must be >= 0 and not past the last pixel (NB_ERR_POSITION)";
    case NB_ERR_NULL_ARRAY: return "the array is missing (NB_ERR_NULL_ARRAY)";
    case NB_ERR_PIXEL_OUTSIDE: return "the pixel lies outside the detector (NB_ERR_PIXEL_OUTSIDE)";
    case NB_ERR_NOT_ASCENDING: return "the pixels must be in strictly ascending order (NB_ERR_NOT_ASCENDING)";
    default: return "unknown status code (NB_ERR_UNKNOWN)";
    }
}
