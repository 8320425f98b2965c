"""From photons to stored numbers: scale, offset, rounding, and the statistics of a report (docs/model.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.errors import ConfigError

Region = tuple[slice, slice]
MAX_COUNT = 65535
_AUTO_FULL_SCALE = 55000.0
"""Count that the brightest pixel gets when no scale is given."""
_PGM_GREY, _PGM_SIGMAS = 250.0, 5.0
"""Grey of a pixel this many rmsd above 0 when no scale is given."""
_BLOCK = 1 << 16
"""Pixels that are worked on together: few enough to stay in the cache."""


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
    pixels = as_array(image).astype(np.float32, copy=False)
    region = checked_region(roi, pixels.shape)
    inside = np.ascontiguousarray(pixels[region]).ravel()
    rendered = inside if mask is None else inside[np.asarray(mask, bool)[region].ravel()]
    mean = _running_sum(rendered, lambda v: v) / max(len(rendered), 1)
    squares = _running_sum(rendered, lambda v: v * v)
    deviations = _running_sum(inside, lambda v: (v.astype(np.float64) - mean) ** 2)
    position = None
    maximum = 0.0
    if len(rendered):
        shown = pixels[region] if mask is None else np.where(np.asarray(mask, bool)[region], pixels[region], -np.inf)
        slow, fast = np.unravel_index(int(np.argmax(shown)), shown.shape)
        if shown[slow, fast] > 0:
            maximum = float(shown[slow, fast])
            position = (int(slow) + region[0].start, int(fast) + region[1].start)
    return ImageStatistics(
        maximum=maximum,
        position=position,
        mean=mean,
        rms=float(np.sqrt(squares / (max(len(rendered), 2) - 1))),
        rmsd=float(np.sqrt(deviations / (max(len(inside), 2) - 1))),
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
        Expected photons.
    scale, adc_offset : float
        ``count = round(image scale + adc_offset)``.
    roi : (slow slice, fast slice), optional
        Rendered region, half-open; masked pixels in it get the offset.
    as_original : bool
        Start from the float32 image and round count + 1/2 to float32 before taking the floor, as the original does
        (INT_F32_ROUND).
    """
    pixels = as_array(image)
    region = checked_region(roi, pixels.shape)
    counts = np.zeros(pixels.shape, np.uint16)
    for target, inside in _row_blocks(counts[region], pixels[region]):
        z = (inside.astype(np.float32) if as_original else inside).astype(np.float64)
        z *= scale
        z += adc_offset
        np.clip(z, 0.0, MAX_COUNT, out=z)
        z += 0.5
        rounded = np.floor(z.astype(np.float32) if as_original else z)
        target[...] = np.minimum(rounded, MAX_COUNT, out=rounded)
    return counts


def grey_image(image: Any, *, scale: float, roi: Region | None = None) -> NDArray[np.uint8]:
    """Grey values of a PGM: the float32 image times `scale`, truncated, at most 255; 0 outside the region."""
    pixels = as_array(image)
    region = checked_region(roi, pixels.shape)
    grey = np.zeros(pixels.shape, np.uint8)
    for target, inside in _row_blocks(grey[region], pixels[region]):
        z = inside.astype(np.float32).astype(np.float64)
        z *= scale
        target[...] = np.clip(z, 0.0, 255.0, out=z)
    return grey


def _row_blocks(*images: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    """The same few rows of every image, one block after the other."""
    rows = max(1, _BLOCK // max(1, images[0].shape[1]))
    for start in range(0, len(images[0]), rows):
        yield tuple(image[start : start + rows] for image in images)


def _running_sum(values: NDArray[np.float32], term: Callable[[Any], Any]) -> float:
    """Sum of term(v) in float64, one after the other; in blocks, to spare memory."""
    total = 0.0
    for start in range(0, len(values), _BLOCK):
        terms = term(values[start : start + _BLOCK]).astype(np.float64)
        terms[0] += total
        total = float(np.add.accumulate(terms)[-1])
    return total
