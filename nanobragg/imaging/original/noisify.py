"""The image chain of the program noisify: spread, count and digitize by its rules and with its generators.

The order of its steps: photons of the float image; calibration and flicker as factors of every pixel before the Poisson
deviate; point spread over the counts; gain, offset and read noise; truncation.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nanobragg import _imaging
from nanobragg._imaging import OriginalNoise
from nanobragg.lazy import dataclass

__all__ = ["Blur", "Generator", "NumpyNoise", "OriginalNoise", "Spread", "Stored", "spread", "stored", "wrapped"]

LARGEST_16, LARGEST_32 = 65535.0, 2147483647.0
"""Where pixels are clipped in both depths; where they are clipped before they become 32 bits [ADU]."""


@dataclass(frozen=True)
class Blur:
    """The point spread of noisify."""

    kind: str
    """gauss or fiber"""
    width: float
    """full width at half maximum [pixels]"""
    radius: int
    """[pixels]; 0: by the photons of each pixel"""


@dataclass(frozen=True)
class Spread:
    """Photons after the point spread."""

    photons: NDArray[np.float32]
    brightest: float
    """photons of the brightest pixel before"""
    radius: int
    """radius that the brightest pixel chose; 0 where it was given"""
    lost: float
    """photons beyond the radii, which are spread evenly over the image"""


def spread(photons: NDArray[np.float32], psf: Blur) -> Spread:
    """Spread the photons of every pixel; pixels that are not above 0 vanish.

    Notes
    -----
    Photons beyond the right edge come out in the next row (NF_PSF_WRAP). With a radius by the photons of each pixel the
    result is not linear in the image.
    """
    brightest = max(float(photons.max(initial=0.0)), 0.0)
    automatic = psf.radius <= 0
    if automatic and brightest <= 0:
        return Spread(np.zeros_like(photons), 0.0, 0, 0.0)
    chosen = _imaging.original_psf_radius(psf.kind, psf.width, brightest) if automatic else psf.radius
    radius = max(1, min(chosen, max(photons.shape)))
    image, lost = _imaging.original_spread(np.ascontiguousarray(photons), psf.kind, psf.width, radius, automatic)
    return Spread(image, brightest, chosen if automatic else 0, lost)


class Generator(Protocol):
    """Where the deviates come from."""

    def count(self, photons: NDArray[np.float32], flicker: float, calibration: float) -> float:
        """Replace expected photons by counts; returns their sum."""

    def gaussian(self, n: int) -> NDArray[Any]:
        """(n,) normal deviates."""


class NumpyNoise:
    """The same noise from numpy's PCG64."""

    def __init__(self, seed: int, calibration_seed: int) -> None:
        self._main = np.random.Generator(np.random.PCG64(np.random.SeedSequence(abs(seed))))
        self._calibration = np.random.Generator(np.random.PCG64(np.random.SeedSequence([abs(calibration_seed), 1])))

    def count(self, photons: NDArray[np.float32], flicker: float, calibration: float) -> float:
        """See `Generator.count`."""
        means = photons.astype(np.float64)
        if flicker > 0:
            means *= 1.0 + flicker * self._main.standard_normal(means.shape)
        if calibration > 0:
            means *= 1.0 + calibration * self._calibration.standard_normal(means.shape)
        photons[...] = self._main.poisson(np.clip(np.nan_to_num(means), 0.0, 2.0**62))
        return float(photons.sum(dtype=np.float64))

    def gaussian(self, n: int) -> NDArray[Any]:
        """See `Generator.gaussian`."""
        return self._main.standard_normal(n)


@dataclass(frozen=True)
class Stored:
    """Pixels as they go into files of 16 and of 32 bits."""

    bits16: NDArray[np.uint16]
    bits32: NDArray[np.uint32]
    overloads16: int
    overloads32: int


def stored(photons: NDArray[np.float32], gain: float, offset: float, noise: NDArray[Any] | None = None) -> Stored:
    """Gain, offset and read noise, then truncation (NF_TRUNCATES); negative pixels wrap (NF_NEGATIVE_WRAP).

    Parameters
    ----------
    photons : (n_slow, n_fast) float32
    gain, offset : float
        [ADU/photon], [ADU]
    noise : (n_slow, n_fast), optional
        Read noise [ADU]; None: the image without noise, which is clipped to 16 bits for both depths (NF_INT32_CLIPPED).
    """
    adu = photons.astype(np.float64) * gain + offset
    if noise is None:
        adu = np.minimum(adu, LARGEST_16)
        above = 0
    else:
        adu += noise
        above = int((adu > LARGEST_32).sum())
        adu = np.minimum(adu, LARGEST_32)
    short = np.minimum(adu, LARGEST_16)
    return Stored(
        wrapped(short).astype(np.uint16), wrapped(adu).astype(np.uint32), int((adu > LARGEST_16).sum()), above
    )


def wrapped(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers truncated to 64 bits, from which a narrower type takes its lowest; 0 where that is not defined."""
    inside = np.abs(values) < 2.0**63
    return np.where(inside, np.trunc(np.where(inside, values, 0.0)), 0.0).astype(np.int64)
