"""Pulses of a free-electron laser that starts from noise: the partial-coherence model (docs/spectra.md).

Complex white noise times the root of the mean spectrum S is taken to the time domain, multiplied with the root of the mean
pulse shape T, and taken back: the squared modulus is the spectrum of one shot. Source: Pfeifer et al., Opt. Lett. 35 (2010)
3441; statistics: Saldin, Schneidmiller & Yurkov, The Physics of Free Electron Lasers (2000).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import read_only
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass
from nanobragg.streams import Purpose, Stream, checked_seed

HBAR = 0.6582119569
"""[eV fs]"""
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a gaussian over its standard deviation."""
_LARGEST = 1 << 20
"""Points of the simulation."""


@dataclass(frozen=True)
class Envelopes:
    """The points of the simulation, and what a pulse is on the average."""

    offset: NDArray[np.float64]
    """(N,) energies from the center [eV], ascending"""
    step: float
    """between them [eV]"""
    amplitude: NDArray[np.float64]
    """(N,) root of S, scaled so that the mean pulse has the sum 1"""
    shape: NDArray[np.float64]
    """(N,) root of T, in the order of FFT times"""
    mean: NDArray[np.float64]
    """(N,) mean spectrum, sum 1"""

    @property
    def rms(self) -> float:
        """Standard deviation of the mean spectrum [eV]."""
        return float(np.sqrt((self.mean * self.offset**2).sum()))


@lru_cache(16)
def envelopes(sigma_ev: float, sigma_fs: float) -> Envelopes:
    """The envelopes of pulses.

    Parameters
    ----------
    sigma_ev : float
        Standard deviation of S [eV]; the mean spectrum is wider, sqrt(sigma^2 + (hbar/2 sigma_t)^2).
    sigma_fs : float
        Standard deviation of T, sigma_t [fs].

    Raises
    ------
    ConfigError
        For a spectrum so much wider than its spikes that it takes more than a million points.
    """
    spike = HBAR / (2.0 * sigma_fs)
    step = min(spike, sigma_ev) / 2.0
    span = 2.0 * (6.0 * sigma_ev + 9.0 * spike)
    n = 1 << math.ceil(math.log2(max(span / step, 16.0)))
    if n > _LARGEST:
        raise ConfigError(
            "beam.spectrum.duration_fs", FWHM * sigma_fs, f"makes spikes of {FWHM * spike:.2g} eV, too fine for the spectrum",
            "shorten it, or make the spectrum narrower",
        )  # fmt: skip
    offset = (np.arange(n) - (n - 1) / 2.0) * step
    time = np.fft.fftfreq(n, step / (2.0 * math.pi * HBAR))
    spectrum, duration = np.exp(-0.5 * (offset / sigma_ev) ** 2), np.exp(-0.5 * (time / sigma_fs) ** 2)
    spectrum *= n / (spectrum.sum() * duration.sum())
    shape = np.sqrt(duration)
    kernel = np.abs(np.fft.fft(shape) / n) ** 2
    mean = np.fft.ifft(np.fft.fft(spectrum) * np.fft.fft(kernel)).real
    amplitude = read_only(np.sqrt(spectrum), np.float64)
    return Envelopes(
        read_only(offset, np.float64), step, amplitude, read_only(shape, np.float64), read_only(mean, np.float64)
    )


def pulse(found: Envelopes, seed: int, shot: int) -> NDArray[np.float64]:
    """(N,) spectrum of a shot on the points of the simulation; its sum is the energy of the pulse, 1 on the average."""
    stream = Stream(checked_seed("beam.spectrum.seed", seed), Purpose.SASE, frame=shot)
    noise = stream.normal((2, len(found.offset)))
    field = (noise[0] + 1j * noise[1]) * math.sqrt(0.5) * found.amplitude
    return np.asarray(np.abs(np.fft.fft(np.fft.ifft(field) * found.shape)) ** 2)


def jitter(seed: int, shot: int) -> float:
    """Standard normal deviate of a shot, for its center."""
    stream = Stream(checked_seed("beam.spectrum.seed", seed), Purpose.SASE, frame=shot)
    return float(stream.normal(1, draw=1)[0])


@lru_cache(64)
def samples(
    sigma_ev: float, sigma_fs: float, n: int, reach: float, seed: int, shot: int, fixed_energy: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A shot as sums over n equal steps of energy; kept, because every derivation of an experiment asks for the same one.

    Parameters
    ----------
    sigma_ev, sigma_fs : float
        As for `envelopes`.
    n : int
        Samples over the mean spectrum.
    reach : float
        Its standard deviations to either side that they cover.
    seed, shot : int
        The shot is a function of both, whatever n.
    fixed_energy : bool
        Scale every pulse to the same energy.

    Returns
    -------
    offset : (n,) float64
        From the center of the spectrum [eV], ascending.
    weight : (n,) float64
        Their sum is the energy of the pulse, with mean 1 over all shots.
    """
    found = envelopes(sigma_ev, sigma_fs)
    edges = np.linspace(-reach, reach, n + 1) * found.rms
    weight = _between(found, pulse(found, seed, shot), edges)
    weight = weight / (weight.sum() if fixed_energy else _between(found, found.mean, edges).sum())
    return read_only((edges[:-1] + edges[1:]) / 2.0, np.float64), read_only(weight, np.float64)


def mean_samples(sigma_ev: float, sigma_fs: float, n: int, reach: float) -> NDArray[np.float64]:
    """(n,) weights of `samples` in the mean over all shots; their sum is 1."""
    found = envelopes(sigma_ev, sigma_fs)
    weight = _between(found, found.mean, np.linspace(-reach, reach, n + 1) * found.rms)
    return np.asarray(weight / weight.sum())


def _between(found: Envelopes, values: NDArray[np.float64], edges: NDArray[np.float64]) -> Any:
    """Sums of values between edges; a value covers the step around its point evenly."""
    ends = np.append(found.offset - found.step / 2.0, found.offset[-1] + found.step / 2.0)
    return np.diff(np.interp(edges, ends, np.concatenate([[0.0], np.cumsum(values)])))
