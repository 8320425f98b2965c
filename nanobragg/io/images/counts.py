"""From photons to stored numbers: scale, offset, rounding, and the statistics of a report (docs/model.md)."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core
from nanobragg.arrays import is_tensor
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

Region = tuple[slice, slice]
MAX_COUNT = 65535
_AUTO_FULL_SCALE = 55000.0
"""Count that the brightest pixel gets when no scale is given."""
_PGM_GREY, _PGM_SIGMAS = 250.0, 5.0
"""Grey of a pixel this many rmsd above 0 when no scale is given."""


def largest_count(image: Any) -> int:
    """Largest count that images of this type can hold, in files of at most 32 bits with a sign; of a list of panels too."""
    while isinstance(image, list | tuple) and image:
        image = image[0]
    dtype = getattr(image, "dtype", None)
    most = np.iinfo(np.int32).max
    if isinstance(dtype, np.dtype) and dtype.kind in "iu":
        most = min(most, np.iinfo(dtype).max)
    return int(most)


def as_array(image: Any) -> NDArray[Any]:
    """An image as a 2-d numpy array; a tensor is detached and brought to the CPU."""
    try:
        array = np.asarray(image.detach().cpu() if is_tensor(image) else image)
    except ValueError:  # rows that differ in length
        raise ConfigError("image", image, "must be numbers in rows of one length") from None
    if array.ndim != 2:
        raise ConfigError("image", f"shape {array.shape}", "must have shape (n_slow, n_fast)")
    if array.dtype.kind not in "fiub":
        raise ConfigError("image", f"dtype {array.dtype}", "must be numbers")
    return array


def checked_region(roi: Region | None, shape: tuple[int, ...]) -> Region:
    """The region as slices inside an image of this shape; None: all of it.

    Raises
    ------
    ConfigError
        When it is not two slices with step 1, or reaches outside the image, or is empty.
    """
    if roi is None:
        return slice(0, shape[0]), slice(0, shape[1])
    if not (isinstance(roi, (tuple, list)) and len(roi) == 2 and all(isinstance(part, slice) for part in roi)):
        raise ConfigError("roi", roi, "must be (slow slice, fast slice)", "for example (slice(0, 100), slice(50, 150))")
    parts = []
    for part, size, name in zip(roi, shape, ("slow", "fast"), strict=True):
        start, stop = 0 if part.start is None else part.start, size if part.stop is None else part.stop
        whole = all(isinstance(end, Integral) for end in (start, stop))
        if not whole or part.step not in (None, 1) or not 0 <= start < stop <= size:
            raise ConfigError(
                "roi",
                roi,
                f"the {name} slice must lie within 0 and {size}, whole numbers, half-open, not empty, step 1",
            )
        parts.append(slice(start, stop))
    return parts[0], parts[1]


@dataclass(frozen=True, kw_only=True)
class ImageStatistics:
    """Statistics of the rendered pixels as the original program reports them."""

    maximum: float
    """largest pixel, 0 when none is positive"""
    position: tuple[int, int] | None
    """(slow, fast) of the first pixel that has the maximum; None when none is positive"""
    mean: float
    rms: float
    """sqrt(sum(v^2)/(n - 1)), each square rounded to float32"""
    rmsd: float
    """sqrt(sum((v - mean)^2)/(m - 1)) over the whole region, masked pixels included"""


def image_statistics(image: Any, *, roi: Region | None = None, mask: Any = None) -> ImageStatistics:
    """Statistics over the rendered pixels of an image.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor
        Expected photons; rounded to float32 first.
    roi : (slow slice, fast slice), optional
        Rendered region, half-open.
    mask : (n_slow, n_fast) bool, optional
        True = rendered.

    Notes
    -----
    Sums run over the pixels one after the other, so that they agree with the original to the last bit
    (docs/model.md, Statistics and counts).
    """
    pixels = _float32(image)
    region = checked_region(roi, pixels.shape)
    shown = None if mask is None else np.ascontiguousarray(mask, bool).view(np.uint8)
    n, total, squares, deviations, maximum, at = _core.image_statistics(pixels, region, shown)
    inside = (region[0].stop - region[0].start) * (region[1].stop - region[1].start)
    return ImageStatistics(
        maximum=maximum,
        position=None if at < 0 else divmod(at, pixels.shape[1]),
        mean=total / max(n, 1),
        rms=math.sqrt(squares / (max(n, 2) - 1)),
        rmsd=math.sqrt(deviations / (max(inside, 2) - 1)),
    )


def automatic_scale(maximum: float) -> float:
    """Scale of the integer image when none is given: the brightest pixel gets 55000."""
    return _AUTO_FULL_SCALE / maximum if maximum > 0 else 1.0


def automatic_pgm_scale(rmsd: float, integer_scale: float) -> float:
    """Scale of the PGM when none is given: five rmsd above 0 is grey 250."""
    return _PGM_GREY / (_PGM_SIGMAS * rmsd) if rmsd > 0 else integer_scale


def integer_image(
    image: Any, *, scale: float, adc_offset: float = 0.0, roi: Region | None = None, as_original: bool = False
) -> NDArray[np.uint16]:
    """Scaled, offset and rounded counts; 0 outside the region, clipped to 0 and 65535.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor
        Expected photons; rounded to float32 first.
    scale, adc_offset : float
        ``count = round(image scale + adc_offset)``.
    roi : (slow slice, fast slice), optional
        Rendered region, half-open; masked pixels in it get the offset.
    as_original : bool
        Round count + 1/2 to float32 before taking the floor, as the original does (INT_F32_ROUND).
    """
    pixels = _float32(image)
    region = checked_region(roi, pixels.shape)
    counts = np.empty(pixels.shape, np.uint16)
    _core.integer_image(pixels, region, scale, adc_offset, as_original, counts)
    return counts


def grey_image(image: Any, *, scale: float, roi: Region | None = None) -> NDArray[np.uint8]:
    """Grey values of a PGM: the float32 image times `scale`, truncated, at most 255; 0 outside the region."""
    pixels = _float32(image)
    region = checked_region(roi, pixels.shape)
    grey = np.empty(pixels.shape, np.uint8)
    _core.grey_image(pixels, region, scale, grey)
    return grey


def _float32(image: Any) -> NDArray[np.float32]:
    """The image as the C core takes it."""
    return np.ascontiguousarray(as_array(image), dtype=np.float32)
