"""The wavelengths of a spectrum and their weights (docs/spectra.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_transformed
from nanobragg.config.beams.spectrum import Spectrum
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation.spectra import sase
from nanobragg.derivation.vectors import Ops
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

SAMPLES = {"mono": 1, "tophat": 11, "gaussian": 7, "pink": 20, "two_color": 14, "sase": 50}
"""Wavelengths where their number is left open."""
GAUSS_HERMITE = 15
"""Most nodes of Gauss and Hermite for a gaussian; more samples are equal steps."""
REACH = 3.5
"""Standard deviations that equal steps cover on either side: all but 0.05 % of the photons."""


@dataclass(frozen=True)
class Lines:
    """The wavelengths of a beam, with unit-free weights."""

    wavelength: list[Any]
    """[m]"""
    weight: Any
    """(n,), mean 1"""
    energy: Any
    """of the pulse, over that of the mean pulse; 1 but for sase"""


def counted(spectrum: Spectrum) -> tuple[int, str]:
    """The number of wavelengths of a spectrum, and the rule where it was left open (else empty)."""
    if spectrum.kind == "given":
        points = spectrum.wavelength_angstrom if spectrum.energy_ev is None else spectrum.energy_ev
        return len(points), ""
    if not spectrum.varies:
        return 1, "" if spectrum.n_wavelengths == 1 or spectrum.kind == "mono" else "a width of 0"
    if spectrum.n_wavelengths is not None:
        return spectrum.n_wavelengths, ""
    if spectrum.kind == "two_color" and all(width is None for width in (spectrum.fwhm_ev, spectrum.fwhm_percent)):
        return 2, "two colors without a width"
    return SAMPLES[spectrum.kind], f"as for every {spectrum.kind} spectrum"


def lines_of(spectrum: Spectrum, center: Any, n: int, ops: Ops) -> Lines:
    """The wavelengths and weights of a spectrum.

    Parameters
    ----------
    spectrum : Spectrum
    center : scalar
        Wavelength of the beam [m].
    n : int
        Samples, as `counted`.
    ops : Ops
        Array namespace.

    Raises
    ------
    ConfigError
        For a spectrum that reaches energies of 0 and below.
    """
    if spectrum.kind == "given":
        return _given(spectrum, ops)
    ones = ops.lift(np.ones(n))
    if n == 1 and spectrum.kind != "sase":
        return Lines([center], ones, 1.0)
    if spectrum.kind == "tophat":
        width = _relative_width(spectrum, center, ops)
        return Lines([center * (1.0 + width * ((i + 0.5) / n - 0.5)) for i in range(n)], ones, 1.0)
    offset, weight = _offsets(spectrum, center, n, ops)
    wavelength = [center / (1.0 + one) for one in offset]
    if not all(is_transformed(one) or detached(one) > 0 for one in wavelength):  # those have no values here
        raise ConfigError(spectrum._path, spectrum.kind, "reaches energies of 0 and below", "make it narrower")
    energy = float(weight.sum()) if spectrum.kind == "sase" else 1.0
    return Lines(wavelength, _mean_one(weight), energy)


def _offsets(spectrum: Spectrum, center: Any, n: int, ops: Ops) -> tuple[list[Any], Any]:
    """Energies relative to that of the beam, less 1, and weights."""
    energy = EV_ANGSTROM / (center * 1e10)
    if spectrum.kind == "pink":
        low, high = (ops.lift(x) / energy for x in (spectrum.sigma_low_ev, spectrum.sigma_high_ev))
        side = (np.arange(n // 2) + 0.5) * (2.0 * REACH / n)  # middles of equal steps
        density = np.exp(-0.5 * side * side)
        offset = [-low * x for x in side[::-1].tolist()] + [high * x for x in side.tolist()]
        weight = [low * x for x in density[::-1].tolist()] + [high * x for x in density.tolist()]
        return offset, ops.stack(weight)
    if spectrum.kind == "sase":
        sigma = detached(_relative_width(spectrum, center, ops) * energy) / sase.FWHM
        at, weights = sase.samples(
            sigma, detached(spectrum.duration_fs) / sase.FWHM, n, REACH, spectrum.seed, spectrum.shot, spectrum.fixed_energy
        )  # fmt: skip
        moved = detached(spectrum.jitter_ev) * sase.jitter(spectrum.seed, spectrum.shot) if spectrum.jitter_ev else 0.0
        return [x / energy for x in (at + moved).tolist()], ops.lift(weights)
    sigma = _relative_width(spectrum, center, ops) / sase.FWHM
    colors = 2 if spectrum.kind == "two_color" else 1
    nodes, weights = _normal(n // colors)
    around = [sigma * x for x in nodes.tolist()]
    if colors == 1:
        return around, ops.lift(weights)
    half, ratio = ops.lift(spectrum.separation_ev) / energy / 2.0, ops.lift(spectrum.ratio)
    return [x - half for x in around] + [x + half for x in around], ops.stack(
        [ops.lift(w) for w in weights.tolist()] + [ratio * w for w in weights.tolist()]
    )


def _normal(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights for a normal distribution: those of Gauss and Hermite where they are few, else equal steps."""
    if n <= GAUSS_HERMITE:
        nodes, weights = np.polynomial.hermite.hermgauss(n)
        return np.sqrt(2.0) * nodes, weights
    nodes = REACH * ((2.0 * np.arange(n) + 1.0) / n - 1.0)
    return nodes, np.exp(-0.5 * nodes * nodes)


def _given(spectrum: Spectrum, ops: Ops) -> Lines:
    if spectrum.energy_ev is None:
        points = ops.lift(spectrum.wavelength_angstrom)
    else:
        points = EV_ANGSTROM / ops.lift(spectrum.energy_ev)
    n = len(points)
    weight = ops.lift(np.ones(n)) if spectrum.weight is None else _mean_one(ops.lift(spectrum.weight))
    return Lines([points[i] / 1e10 for i in range(n)], weight, 1.0)


def mean_wavelength_m(spectrum: Spectrum, ops: Ops) -> Any:
    """Weighted mean wavelength of a given spectrum [m]."""
    lines = _given(spectrum, ops)
    return (ops.stack(lines.wavelength) * lines.weight).sum() / float(len(lines.wavelength))


def _relative_width(spectrum: Spectrum, center: Any, ops: Ops) -> Any:
    """Full width at half maximum over the energy of the beam, or over its wavelength."""
    if spectrum.fwhm_ev is not None:
        return ops.lift(spectrum.fwhm_ev) / (EV_ANGSTROM / (center * 1e10))
    default = 0.2 if spectrum.kind == "sase" else 0.0
    return ops.lift(default if spectrum.fwhm_percent is None else spectrum.fwhm_percent) / 100


def _mean_one(weight: Any) -> Any:
    """Weights scaled to the mean 1; a single one is 1 exactly."""
    return weight / (weight.sum() / float(len(weight)))
