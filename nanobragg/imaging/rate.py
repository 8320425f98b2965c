"""Counting detectors at high rates: what is lost, what it does to the noise, and how counts are corrected.

With x = rate times dead time: nonparalyzable, mean mu/(1 + x), variance mu/(1 + x)^3; paralyzable, mean mu exp(-x), variance
mean (1 - 2 x exp(-x)). Of a source in bunches that are further apart than the dead time every bunch gives one count at most.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config.image_chain.readout import Rate
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.imaging.namespace import namespace_of

_NORMAL_FROM = 20.0
"""Mean count above which a rounded normal deviate stands for the distribution."""
_MOST_TERMS = 400
"""Counts that the inversion looks at; beyond, the probability of a mean below 20 is nothing."""


def bunches(rate: Rate, exposure_s: float) -> int | None:
    """Bunches of the source in the exposure; None: it is continuous.

    Raises
    ------
    ConfigError
        When the dead time is longer than the time between bunches, or there is no exposure.
    """
    if not exposure_s > 0:
        raise ConfigError(
            "beam.exposure_s", exposure_s, "must be > 0 where counts are lost at high rates", "readout.rate"
        )
    if rate.pulse_rate_hz is None:
        return None
    if detached(rate.dead_time_s) * rate.pulse_rate_hz > 1:
        raise ConfigError(
            "readout.rate.pulse_rate_hz", rate.pulse_rate_hz, "bunches come within the dead time", "set it to None"
        )
    return max(1, round(rate.pulse_rate_hz * exposure_s))


def counted(mu: Any, rate: Rate, exposure_s: float) -> tuple[Any, Any]:
    """Mean and variance of the counts of pixels that mu photons reach, before any correction."""
    xp = namespace_of(mu)
    n = bunches(rate, exposure_s)
    if n is not None:
        hit = 1.0 - xp.exp(-mu / n)
        return n * hit, n * hit * (1.0 - hit)
    x = mu * (rate.dead_time_s / exposure_s)
    if rate.model == "nonparalyzable":
        return mu / (1.0 + x), mu / (1.0 + x) ** 3
    mean = mu * xp.exp(-x)
    return mean, mean * (1.0 - 2.0 * x * xp.exp(-x))


def corrected(counts: Any, rate: Rate, exposure_s: float) -> Any:
    """Photons that the counts stand for; infinite where no rate gives so many counts."""
    n = bunches(rate, exposure_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        if n is not None:
            return np.where(counts < n, -n * np.log1p(-np.minimum(counts, n) / n), math.inf)
        x = counts * (rate.dead_time_s / exposure_s)
        if rate.model == "nonparalyzable":
            return np.where(x < 1, counts / (1.0 - x), math.inf)
    from scipy.special import lambertw

    y = -lambertw(-np.minimum(x, math.exp(-1.0))).real  # the lower branch of x = y exp(-y)
    return np.where(x <= math.exp(-1.0), np.where(counts > 0, counts * np.exp(y), 0.0), math.inf)


def slope(mu: Any, rate: Rate, exposure_s: float) -> Any:
    """Derivative of the mean count by mu, which the correction divides by."""
    xp = namespace_of(mu)
    n = bunches(rate, exposure_s)
    if n is not None:
        return xp.exp(-mu / n)
    x = mu * (rate.dead_time_s / exposure_s)
    return 1.0 / (1.0 + x) ** 2 if rate.model == "nonparalyzable" else (1.0 - x) * xp.exp(-x)


def sample(mu: NDArray[np.float64], rate: Rate, exposure_s: float, uniform: Any, normal: Any) -> NDArray[np.float64]:
    """Counts of pixels that mu photons reach.

    Parameters
    ----------
    mu : (...) array
        Expected photons in the exposure.
    rate : Rate
    exposure_s : float
    uniform, normal : callable
        Give an array of deviates for every pixel.

    Notes
    -----
    Means above 20 from a rounded normal deviate; smaller ones from the binomial distribution that has the mean and, as
    closely as a whole number of trials can, the variance. Bunches are binomial by nature.
    """
    n = bunches(rate, exposure_s)
    if n == 1:
        warnings.warn("readout.rate: with one bunch in the exposure a counting detector sees one photon a pixel at most",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
    mean, variance = counted(mu, rate, exposure_s)
    result = np.floor(mean + np.sqrt(np.maximum(variance, 0.0)) * normal() + 0.5)
    small = mean <= _NORMAL_FROM
    if small.any():
        m, v = mean[small], variance[small]
        with np.errstate(divide="ignore", invalid="ignore"):
            trials = np.full(m.shape, float(n)) if n is not None else np.round(m * m / np.maximum(m - v, 1e-300))
        trials = np.maximum(np.where(m > 0, trials, 1.0), np.ceil(m))
        result[small] = _binomial(trials, m / np.maximum(trials, 1.0), uniform()[small])
    return np.maximum(result, 0.0)


def _binomial(n: NDArray[np.float64], p: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first k whose cumulative probability reaches u."""
    safe = np.minimum(p, 1.0 - 1e-16)
    term = np.exp(n * np.log1p(-safe))
    total, k = term.copy(), np.zeros_like(n)
    odds = safe / (1.0 - safe)
    for i in range(_MOST_TERMS):
        open_ = (u > total) & (k < n)
        if not open_.any():
            break
        term = np.where(open_, term * odds * (n - i) / (i + 1), term)
        total = np.where(open_, total + term, total)
        k[open_] += 1
    return np.where(p >= 1, n, k)
