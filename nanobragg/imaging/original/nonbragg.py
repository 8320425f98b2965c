"""The amorphous scatter of the program nonBragg, and its way back from an image to a table.

The models to use are the components of `nanobragg.config.Background`; here are the numbers of the original, defects and all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _imaging
from nanobragg.lazy import dataclass

_GUARDS = (-1e99, -1e98), (1e98, 1e99)
_FEWEST = 100
"""A bin of the inverse mode counts when it has more pixels than that."""


@dataclass(frozen=True)
class AmorphousBody:
    """What scatters, and where to; lengths in meters. The fields are those of nb_amorphous_body in csrc/imaging.h."""

    n_fast: int
    n_slow: int
    pixel_size: float
    pix0: tuple[float, float, float]
    fast: tuple[float, float, float]
    slow: tuple[float, float, float]
    beam: tuple[float, float, float]
    close_distance: float
    distance: float
    curved: bool
    point_pixel: bool
    oversample: int
    source: NDArray[np.float64]
    """(n, 3) position"""
    weight: NDArray[np.float64]
    wavelength: NDArray[np.float64]
    polarized: bool
    kahn_factor: float
    polarization_axis: tuple[float, float, float]
    stol: NDArray[np.float64]
    """guarded abscissae [1/m], see `guarded`"""
    factor: NDArray[np.float64]
    """F [electrons]"""
    r_e_sqr: float
    fluence: float
    molecules: float
    map_factor: bool
    """the pixels receive F of the last source in place of photons (NB_FMAP_LAST)"""

    @property
    def steps(self) -> int:
        """Terms of the sum for one pixel."""
        return len(self.source) * self.oversample**2


def guarded(stol: NDArray[np.float64], factor: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The table with two points before and two after it, which have the first and the last F that is given; others are 0."""
    given = factor[~np.isnan(factor)]
    first, last = (given[0], given[-1]) if len(given) else (0.0, 0.0)
    return (
        np.concatenate([_GUARDS[0], stol, _GUARDS[1]]),
        np.concatenate([[first, first], np.nan_to_num(factor), [last, last]]),
    )


@dataclass(frozen=True)
class AmorphousImage:
    """The image of an amorphous body."""

    pixels: NDArray[np.float32]
    """(n_slow, n_fast) expected photons"""
    solid_angle_sum: float
    """over all sub-pixels [sr]"""
    last: dict[str, Any]
    """(n_slow, n_fast) arrays of what the last sub-pixel and source left behind: stol [1/m], polarization, solid_angle [sr],
    interval of the table, position (3) [m]; empty unless asked for"""


def amorphous_image(body: AmorphousBody, roi: tuple[int, int, int, int], *, keep_last: bool = False) -> AmorphousImage:
    """Render the region of first and last fast, first and last slow pixel, inclusive; 0 outside."""
    if roi[0] > roi[1] or roi[2] > roi[3]:
        return AmorphousImage(np.zeros((body.n_slow, body.n_fast), np.float32), 0.0, {})
    pixels, last, total = _imaging.original_amorphous(body, roi, keep_last)
    return AmorphousImage(pixels, total, last)


@dataclass(frozen=True)
class Bin:
    """One point of the table that comes back from an image."""

    index: int
    """in the guarded table"""
    n: int
    mean: float
    """F"""
    rms: float
    enough: bool
    """more pixels than the program wants"""


def factor_bins(
    body: AmorphousBody, image: AmorphousImage, region: tuple[slice, slice], counts: NDArray[np.uint16],
    ignored: list[int], gain: float, offset: float,
) -> Iterator[Bin]:  # fmt: skip
    """F of every table point from the pixels that lie nearest to it.

    Parameters
    ----------
    body : AmorphousBody
    image : AmorphousImage
        With what the last sub-pixels left behind.
    region : (slow slice, fast slice)
    counts : (n_slow, n_fast) uint16
        The image to take apart.
    ignored : list of int
        Values of pixels that do not count.
    gain, offset : float
        [ADU/photon], [ADU]
    """
    last = {name: values[region].reshape(-1) for name, values in image.last.items() if name != "position"}
    value = counts[region].reshape(-1)
    photons = ((value.astype(np.float64) - offset) / gain).astype(np.float32)
    size = np.abs(photons.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        size = (
            size
            / last["polarization"]
            / last["solid_angle"]
            / body.fluence
            / body.r_e_sqr
            / body.molecules
            * body.steps
        )
        factor = (np.where(photons < 0, -1.0, 1.0) * np.sqrt(size)).astype(np.float32)
    lower = last["interval"]
    nearest = lower + (last["stol"] > (body.stol[lower] + body.stol[lower + 1]) / 2.0)
    nearest[np.isin(value, [v & 0xFFFF for v in ignored])] = 0
    for index in range(2, len(body.stol) - 2):
        inside = factor[nearest == index]
        n = len(inside)
        mean = _running_sum(inside) / np.float32(n) if n else np.float32(0)
        deviation = np.abs(inside - mean)
        rms = np.sqrt(_running_sum(deviation * deviation) / np.float32(n)) if n else np.float32(0)
        yield Bin(index, n, float(mean), float(rms), n > _FEWEST)


def _running_sum(values: NDArray[np.float32]) -> np.float32:
    """One float32 after the other."""
    return np.add.accumulate(values, dtype=np.float32)[-1] if len(values) else np.float32(0)
