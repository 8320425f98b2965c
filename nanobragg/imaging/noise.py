"""Photon counting noise: from expected photons to counts (docs/random_numbers.md, Poisson deviate)."""

from __future__ import annotations

import math
import warnings
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.rng import LegacyRandom, checked_seed
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.io.images.counts import MAX_COUNT, Region, as_array, checked_region
from nanobragg.lazy import dataclass

GENERATORS = ("pcg64", "nanobragg")
DTYPES = ("uint8", "uint16", "uint32", "int16", "int32")
"""Of the counts."""
_NOISE_STREAM = 1
"""Spawn key of the noise, so that other uses of the same seed draw other numbers."""
_SEED_BITS = 64
_MAX_MEAN = 2.0**62
"""numpy draws int64 counts; a brighter pixel is saturated anyway."""


class LegacyStream(Protocol):
    """The part of `nanobragg.derivation.rng.LegacyRandom` that is used here."""

    def poisson(self, stream: str, means: Any) -> NDArray[np.float32]:
        """One deviate for each mean, in order, from the named stream."""


@dataclass(frozen=True, kw_only=True)
class NoiseImage:
    """A counted image and what the report says about it."""

    counts: NDArray[Any]
    """(n_slow, n_fast)"""
    photons: float
    """sum of the deviates before offset and clipping"""
    overloads: int
    """pixels above the saturation, which were clipped"""
    seed: int | None
    """the seed used, drawn from the system when none was given; None: the stream of the caller went on"""


def add_noise(
    image: Any,
    *,
    seed: int | None = None,
    adc_offset: float = 0.0,
    roi: Region | None = None,
    mask: Any = None,
    generator: str = "pcg64",
    dtype: Any = None,
    saturation: int | None = None,
) -> NDArray[Any]:
    """Draw a Poisson-distributed count for every pixel.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor
        Expected photons per pixel.
    seed : int, optional
        Equal seeds give equal images; None: from the system.
    adc_offset : float
        Added to every pixel of the region.
    roi : (slow slice, fast slice), optional
        Region that is counted, half-open; 0 outside.
    mask : (n_slow, n_fast) bool, optional
        True = rendered; other pixels of the region expect no photons, and so get the offset.
    generator : {"pcg64", "nanobragg"}
        numpy's PCG64 with clamped integer counts, or the original program's generator, bit for bit.
    dtype : {"uint8", "uint16", "uint32", "int16", "int32"}, optional
        Of the counts; None: uint16. The same seed draws the same counts in each, up to the largest that it holds.
    saturation : int, optional
        Largest count [ADU]; None: the largest of the type. What is above is clipped, with a warning that says how many
        pixels.

    Returns
    -------
    counts : (n_slow, n_fast) of `dtype`

    Raises
    ------
    ConfigError
        When an expected count is negative or not a number, or an argument is out of range.
    """
    noise = noise_image(
        image,
        seed=seed,
        adc_offset=adc_offset,
        roi=roi,
        mask=mask,
        generator=generator,
        dtype=dtype,
        saturation=saturation,
    )
    if noise.overloads:
        largest, kind = checked_saturation(dtype, saturation)
        wider = "" if kind.itemsize > 2 or saturation is not None else "; dtype='uint32' holds more"
        many = "1 pixel is" if noise.overloads == 1 else f"{noise.overloads} pixels are"
        warnings.warn(f"{many} above {largest} and clipped{wider}", NanoBraggWarning, stacklevel=2)
    return noise.counts


def checked_saturation(dtype: Any, saturation: int | None) -> tuple[int, np.dtype[Any]]:
    """The largest count, and the type of the counts.

    Raises
    ------
    ConfigError
        For a type that holds no counts, or a saturation that does not fit into it.
    """
    try:
        kind = np.dtype(np.uint16 if dtype is None else dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.name not in DTYPES:
        raise ConfigError("dtype", dtype, f"must be one of {', '.join(map(repr, DTYPES))}")
    most = int(np.iinfo(kind).max)
    if saturation is None:
        return most, kind
    if isinstance(saturation, bool) or not isinstance(saturation, Integral) or not 0 < saturation <= most:
        raise ConfigError("saturation", saturation, f"must be a whole number from 1 to {most}, what {kind.name} holds")
    return int(saturation), kind


def noise_image(
    image: Any,
    *,
    seed: int | None = None,
    adc_offset: float = 0.0,
    roi: Region | None = None,
    mask: Any = None,
    generator: str = "pcg64",
    dtype: Any = None,
    saturation: int | None = None,
    stream: LegacyStream | None = None,
) -> NoiseImage:
    """As `add_noise`, with the totals of the report.

    Parameters
    ----------
    stream : LegacyRandom, optional
        State to go on from, its "noise" stream seeded already; generator "nanobragg" only, and instead of `seed`.
    """
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, Integral)):
        raise ConfigError("seed", seed, "must be an integer", "None takes one from the system")
    if generator not in GENERATORS:
        raise ConfigError("generator", generator, f"must be one of {', '.join(map(repr, GENERATORS))}")
    if not _is_finite_number(adc_offset):
        raise ConfigError("adc_offset", adc_offset, "must be a finite number")
    if stream is not None and (seed is not None or generator != "nanobragg"):
        raise ConfigError("stream", stream, "goes with generator='nanobragg' and without a seed")
    largest, kind = checked_saturation(dtype, saturation)
    if generator == "nanobragg" and (kind != np.uint16 or largest != MAX_COUNT):
        raise ConfigError(
            "generator",
            generator,
            "counts as the original does, in 16 bits up to 65535",
            "leave out dtype and saturation",
        )
    pixels = as_array(image)
    region = checked_region(roi, pixels.shape)
    means = _means(pixels, region, mask, generator)
    if stream is None and seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0]) >> 1  # 31 bits: a C int in the original
    if generator == "pcg64":
        assert seed is not None
        deviates = _generator(seed).poisson(np.minimum(means, _MAX_MEAN)).astype(np.float64)
        stored = np.floor(np.clip(deviates + adc_offset, 0, largest) + 0.5)
        photons = float(deviates.sum())
    else:
        if stream is None:
            assert seed is not None
            stream = _legacy_stream(seed)
        deviates = stream.poisson("noise", means.astype(np.float32).ravel()).reshape(means.shape).astype(np.float64)
        # below 0 the original wraps modulo 2^16 (NOISE_NEGATIVE_WRAP), which int64 makes explicit
        stored = np.trunc(np.minimum(deviates + adc_offset, MAX_COUNT)).astype(np.int64) & MAX_COUNT
        photons = float(np.add.accumulate(deviates.ravel())[-1])
    counts = np.zeros(pixels.shape, kind)
    counts[region] = stored
    return NoiseImage(counts=counts, photons=photons, overloads=int((deviates + adc_offset > largest).sum()), seed=seed)


def _means(pixels: NDArray[Any], region: Region, mask: Any, generator: str) -> NDArray[np.float64]:
    means = pixels[region].astype(np.float64)
    if mask is not None:
        rendered = np.asarray(mask, bool)
        if rendered.shape != pixels.shape:
            raise ConfigError("mask", f"shape {rendered.shape}", f"must have the image's shape {pixels.shape}")
        means = np.where(rendered[region], means, 0.0)
    # the original draws 0 for a negative mean; only a number that is none has no meaning there
    wrong = ~np.isfinite(means) if generator == "nanobragg" else ~(np.isfinite(means) & (means >= 0))
    if wrong.any():
        slow, fast = np.argwhere(wrong)[0]
        path = f"image[{region[0].start + slow}, {region[1].start + fast}]"
        raise ConfigError(path, float(means[slow, fast]), "must be a finite number of photons >= 0")
    return means


def _is_finite_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and not getattr(value, "ndim", 0) and math.isfinite(value)
    except TypeError:
        return False


def _generator(seed: int) -> np.random.Generator:
    entropy = int(seed) & (
        2**_SEED_BITS - 1
    )  # SeedSequence takes no negative numbers; every seed keeps a state of its own
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=(_NOISE_STREAM,))))


def _legacy_stream(seed: int) -> LegacyStream:
    stream = LegacyRandom()
    stream.seed("noise", -checked_seed("seed", seed))
    return stream
