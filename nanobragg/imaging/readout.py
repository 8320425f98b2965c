"""From expected photons to the numbers of a detector: what to expect, how it varies, and the numbers themselves.

The order of the steps: beam flicker, one factor a frame; spread before counting; efficiency; photon statistics or dead time;
gain spread of every photon; spread after counting; gain map; gain, offset and dark signal, or the stages of a switching
gain; read noise; rounding half up and clipping; flags. `expected` and `variance` follow it without the random numbers and
are differentiable, `counts` draws them.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_tensor
from nanobragg.config.fields import Config
from nanobragg.config.image_chain.readout import Readout
from nanobragg.errors import ConfigError
from nanobragg.imaging import rate
from nanobragg.imaging.maps import DEAD, GAP, GOOD, HOT, OVERLOAD, areas, bad_pixels, drawn, efficiency
from nanobragg.imaging.namespace import Namespace, namespace_of
from nanobragg.imaging.psf import spread
from nanobragg.lazy import dataclass
from nanobragg.streams import Purpose, Stream, in_parts

_ROUNDING = 1.0 / 12.0
"""Variance of rounding to whole numbers [ADU^2]."""
_SHARE = 1 << 15
"""Pixels that are stored together, so that what lies between the steps stays in the cache."""
_RAW_BITS, _RAW_STAGES = 14, (0, 1, 3)
"""Bits of the converter; what stands above them for the first, second and third stage."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the readout has to know of the exposure."""

    pixel_um: tuple[float, float] = (100.0, 100.0)
    """(slow, fast)"""
    exposure_s: float = 1.0
    photon_energy_kev: float = 12.39842
    panel: int = 0
    frame: int = 0
    n_threads: int = 1


_USUAL = Conditions()


def expected(photons: Any, readout: Readout, conditions: Conditions = _USUAL) -> Any:
    """Expected value of every pixel [ADU], without clipping.

    Parameters
    ----------
    photons : (n_slow, n_fast) array or tensor
        Expected photons.
    readout : Readout
    conditions : Conditions

    Returns
    -------
    (n_slow, n_fast) array or tensor
        Differentiable in the photons and in the fields of `readout` that take tensors.
    """
    xp = _namespace(photons, readout)
    m = _seen(xp.asarray(photons), readout, conditions, xp)
    if readout.kind == "counting":
        return (
            m
            if readout.rate.corrected or not _loses(readout)
            else rate.counted(m, readout.rate, conditions.exposure_s)[0]
        )
    m = _after(m, readout, conditions)
    c = 1.0 + drawn(readout.maps, "gain_error", Purpose.GAIN_ERROR, tuple(m.shape), conditions.panel, xp)
    if readout.stages is not None and readout.stage_output == "raw":
        k, pedestal, _ = _stage_arrays(m, readout, conditions)
        return pedestal + k * conditions.photon_energy_kev * m * c + _offsets(m, readout, conditions, xp)
    return readout.gain(conditions.photon_energy_kev) * m * c + _offsets(m, readout, conditions, xp)


def variance(photons: Any, readout: Readout, conditions: Conditions = _USUAL) -> Any:
    """Variance of every pixel [ADU^2], the flicker of the whole frame included; pixels may be correlated.

    Parameters, returned array : as for `expected`.
    """
    xp = _namespace(photons, readout)
    m = _seen(xp.asarray(photons), readout, conditions, xp)
    flicker = readout.flicker * readout.flicker
    poisson = 1.0 if readout.counting == "poisson" else 0.0
    if readout.kind == "counting":
        if not _loses(readout):
            return poisson * m + flicker * m * m
        _, raw = rate.counted(m, readout.rate, conditions.exposure_s)
        steep = rate.slope(m, readout.rate, conditions.exposure_s)
        raw = raw + flicker * (m * steep) ** 2
        return raw / steep**2 if readout.rate.corrected else raw
    mean = _after(m, readout, conditions)
    var = m * (poisson + readout.gain_spread * readout.gain_spread)
    if readout.psf.stage == "after_counting":
        var = spread(var, readout.psf, conditions.pixel_um, squared=True, n_threads=conditions.n_threads)
    c = 1.0 + drawn(readout.maps, "gain_error", Purpose.GAIN_ERROR, tuple(mean.shape), conditions.panel, xp)
    var = (var + flicker * mean * mean) * c * c
    gain: Any = readout.gain(conditions.photon_energy_kev)
    noise = readout.noise_adu * readout.noise_adu
    if readout.stages is not None:
        k, _, sigma = _stage_arrays(mean, readout, conditions)
        if readout.stage_output == "raw":
            gain = k * conditions.photon_energy_kev
            noise = sigma * sigma
        else:
            noise = (gain * sigma / (k * conditions.photon_energy_kev)) ** 2 + gain * gain * _ROUNDING / (
                k * conditions.photon_energy_kev
            ) ** 2
    return gain * gain * var + noise + _ROUNDING


@dataclass(frozen=True)
class Counts:
    """One panel as it is read out."""

    counts: NDArray[Any]
    """(n_slow, n_fast), type of the readout"""
    flags: NDArray[np.uint8]
    """(n_slow, n_fast): 0 good, 1 gap, 2 dead, 3 hot, 4 overload"""
    overloads: int
    """good pixels at or above the largest value"""


def counts(
    photons: Any, readout: Readout, seed: int, conditions: Conditions = _USUAL, *, rendered: Any = None
) -> Counts:
    """Numbers as the detector writes them.

    Parameters
    ----------
    photons : (n_slow, n_fast) array or tensor
        Expected photons >= 0.
    readout : Readout
    seed : int
        0 to 2^32 - 1; the same seed, frame and panel give the same numbers, whatever the number of threads.
    conditions : Conditions
    rendered : (n_slow, n_fast) bool, optional
        False: a gap.

    Raises
    ------
    ConfigError
        For photons that are negative or no numbers, in how many pixels.
    """
    xp = namespace_of()
    readout = _without_tensors(readout)
    mu = _checked(photons, rendered)
    shape, threads = mu.shape, conditions.n_threads

    def stream(purpose: Purpose) -> Stream:
        return Stream(seed, purpose, conditions.panel, conditions.frame)

    if readout.flicker > 0:
        lot = Stream(seed, Purpose.FRAME_FACTOR, 0, conditions.frame).normal(1)[0]
        mu = mu * max(1.0 + readout.flicker * lot, 0.0)
    mu = np.maximum(_seen(mu, readout, conditions, xp), 0.0)
    photon_noise = readout.counting == "poisson"
    if readout.kind == "counting":
        adu = _count(mu, readout, conditions, stream(Purpose.PHOTONS)) if photon_noise else mu
    else:
        n = stream(Purpose.PHOTONS).poisson(mu, n_threads=threads) if photon_noise else mu
        if readout.gain_spread > 0:
            n = n + readout.gain_spread * np.sqrt(n) * stream(Purpose.GAIN_SPREAD).normal(shape, n_threads=threads)
        n = _after(n, readout, conditions)
        c = 1.0 + drawn(readout.maps, "gain_error", Purpose.GAIN_ERROR, shape, conditions.panel, xp)
        adu = _digitized(n * c, readout, conditions, stream(Purpose.READ_NOISE))
    return _stored(adu, readout, conditions, rendered)


def _checked(photons: Any, rendered: Any) -> NDArray[np.float64]:
    found = np.asarray(photons.detach().cpu() if is_tensor(photons) else photons)
    if found.dtype.kind not in "fiub":
        raise ConfigError("photons", f"dtype {found.dtype}", "must be real numbers")
    mu = np.ascontiguousarray(found, np.float64)
    if mu.ndim != 2:
        raise ConfigError("photons", f"shape {mu.shape}", "must have the shape (n_slow, n_fast)")
    if rendered is not None and np.shape(rendered) != mu.shape:
        raise ConfigError("detector.mask", f"shape {np.shape(rendered)}", f"must have the image's shape {mu.shape}")
    low, high = mu.min(initial=0.0), mu.max(initial=0.0)
    if not (low >= 0 and np.isfinite(high)):
        wrong = ~((mu >= 0) & np.isfinite(mu))
        slow, fast = np.argwhere(wrong)[0]
        raise ConfigError(f"photons[{slow}, {fast}]", float(mu[slow, fast]),
                          f"must be a finite number >= 0; {int(wrong.sum())} pixels are not")  # fmt: skip
    return mu


def _namespace(photons: Any, readout: Readout) -> Namespace:
    parts = (readout, readout.psf, readout.maps, readout.rate, *(readout.stages or ()))
    return namespace_of(photons, *(value for part in parts for value in vars(part).values() if is_tensor(value)))


def _seen(mu: Any, readout: Readout, conditions: Conditions, xp: Namespace) -> Any:
    """Photons that reach the statistics of every pixel."""
    if readout.maps.area is not None:
        mu = mu * areas(readout.maps, tuple(mu.shape), xp)
    if readout.psf.stage == "before_counting":
        mu = spread(mu, readout.psf, conditions.pixel_um, n_threads=conditions.n_threads)
    seen = efficiency(readout.maps, tuple(mu.shape), conditions.panel, xp)
    return mu if isinstance(seen, float) else mu * seen


def _after(n: Any, readout: Readout, conditions: Conditions) -> Any:
    if readout.psf.stage != "after_counting":
        return n
    return spread(n, readout.psf, conditions.pixel_um, n_threads=conditions.n_threads)


def _without_tensors(config: Any) -> Any:
    """The same with the numbers of its tensors."""
    changes: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_tensor(value):
            changes[field.name] = value.detach().cpu().numpy() if value.ndim else detached(value)
        elif isinstance(value, Config):
            changes[field.name] = _without_tensors(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Config):
            changes[field.name] = tuple(_without_tensors(one) for one in value)
    return replace(config, **changes)


def _loses(readout: Readout) -> bool:
    return readout.rate.dead_time_s > 0 or readout.rate.pulse_rate_hz is not None


def _offsets(m: Any, readout: Readout, conditions: Conditions, xp: Namespace) -> Any:
    """Offset, its map and the dark signal [ADU]."""
    own = drawn(readout.maps, "offset_adu", Purpose.OFFSET, tuple(m.shape), conditions.panel, xp)
    return readout.offset_adu + own + readout.dark_adu_per_s * conditions.exposure_s


def _count(mu: NDArray[np.float64], readout: Readout, conditions: Conditions, stream: Stream) -> NDArray[np.float64]:
    """Counts of a counting detector, infinite where the rate is beyond what it can correct."""
    threads, limits, seconds = conditions.n_threads, readout.rate, conditions.exposure_s
    if not _loses(readout):
        n = stream.poisson(mu, n_threads=threads)
    else:
        n = rate.sample(
            mu, limits, seconds, lambda: stream.uniform(mu.shape, n_threads=threads),
            lambda: stream.normal(mu.shape, draw=1, n_threads=threads),
        )  # fmt: skip
        if limits.corrected:
            n = rate.corrected(n, limits, seconds)
    if limits.max_per_s is not None:
        n = np.where(n > limits.max_per_s * seconds, np.inf, n)
    return n


def _stage_arrays(n: Any, readout: Readout, conditions: Conditions) -> tuple[Any, Any, Any]:
    """Gain [ADU/keV], pedestal and noise [ADU] of the stage that every pixel is read with; by the charge before noise."""
    stages = readout.stages
    charge = (n.detach().cpu().numpy() if is_tensor(n) else n) * conditions.photon_energy_kev
    which = np.searchsorted([stage.up_to_kev for stage in stages[:-1]], charge)
    xp = namespace_of(n)
    here = [xp.asarray((which == i).astype(np.float64)) for i in range(len(stages))]
    table = [(s.gain_adu_per_kev, s.pedestal_adu, s.noise_adu) for s in stages]
    k, pedestal, noise = (sum(a * b for a, b in zip(here, column, strict=True)) for column in zip(*table, strict=True))
    return k, pedestal, noise


def _digitized(n: NDArray[np.float64], readout: Readout, conditions: Conditions, stream: Stream) -> NDArray[np.float64]:
    """Pixels [ADU] before rounding and clipping to the limits of the type."""
    threads, noise, energy = conditions.n_threads, readout.noise_adu, conditions.photon_energy_kev
    gain, offsets = readout.gain(energy), _offsets(n, readout, conditions, namespace_of())
    if readout.stages is None:
        adu = n * gain + offsets
        return adu + noise * stream.normal(n.shape, n_threads=threads) if noise > 0 else adu
    k, pedestal, sigma = _stage_arrays(n, readout, conditions)
    raw = pedestal + k * energy * n + sigma * stream.normal(n.shape, n_threads=threads)
    raw = np.clip(np.floor(raw + 0.5), 0.0, 2.0**_RAW_BITS - 1)
    if readout.stage_output == "raw":
        ends = [stage.up_to_kev for stage in readout.stages[:-1]]
        return np.asarray(_RAW_STAGES)[np.searchsorted(ends, n * energy)] * 2.0**_RAW_BITS + raw
    return gain * (raw - pedestal) / (k * energy) + offsets


def _stored(adu: NDArray[np.float64], readout: Readout, conditions: Conditions, rendered: Any) -> Counts:
    low, high = readout.limits
    own = readout.flag_values
    values = np.zeros(OVERLOAD + 1, readout.dtype)
    values[[GAP, DEAD, HOT, OVERLOAD]] = own["gap"], own["dead"], high, own["overload"]
    flags = bad_pixels(readout.maps, adu.shape, conditions.panel)
    written = np.empty(adu.shape, readout.dtype)
    seen = None if rendered is None else np.ascontiguousarray(rendered, bool).reshape(-1)
    pixels, flat, out = np.ascontiguousarray(adu).reshape(-1), flags.reshape(-1), written.reshape(-1)

    def store(part: slice) -> None:
        value, flag = np.floor(pixels[part] + 0.5), flat[part]
        flag[(value >= high) & (flag == GOOD)] = OVERLOAD
        if seen is not None:
            flag[~seen[part]] = GAP
        np.clip(value, low, high, out=value)
        out[part] = value
        bad = np.flatnonzero(flag)
        out[part][bad] = values[flag[bad]]

    in_parts(adu.size, _SHARE, conditions.n_threads, store)
    return Counts(written, flags, int(np.count_nonzero(flags == OVERLOAD)))
