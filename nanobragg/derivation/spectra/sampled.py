"""The spectrum of a beam as arrays, as the sources of an image have it."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Beam, Spectrum
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation.sources import center_m
from nanobragg.derivation.spectra.lines import counted, lines_of
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False)
class SampledSpectrum:
    """The wavelengths of a beam and what share of the fluence each of them has."""

    wavelength_angstrom: NDArray[np.float64]
    """(n,) [Angstrom]"""
    weight: NDArray[np.float64]
    """(n,); the sum is 1, and for a pulse its energy over that of the mean pulse"""

    @property
    def energy_ev(self) -> NDArray[np.float64]:
        """(n,) photon energies [eV]."""
        return EV_ANGSTROM / self.wavelength_angstrom


def sampled_spectrum(beam: Beam, *, shot: int | None = None) -> SampledSpectrum:
    """The wavelengths of a beam and their weights.

    Parameters
    ----------
    beam : Beam
        With a spectrum, or a dispersion, or neither.
    shot : int, optional
        Number of a pulse of kind sase, in place of ``beam.spectrum.shot``: a pulse is a function of (seed, shot).

    Returns
    -------
    SampledSpectrum
        Arrays of n wavelengths [Angstrom] and weights, without gradients.

    Raises
    ------
    ConfigError
        For a beam of explicit sources, and a shot of a spectrum that has none.
    """
    if beam.sources is not None:
        raise ConfigError("beam.sources", "given", "are a list of wavelengths already", "read beam.sources")
    spectrum = beam.spectrum
    if spectrum is None and detached(beam.dispersion_percent) > 0:
        width = detached(beam.dispersion_percent)
        spectrum = Spectrum(kind="tophat", fwhm_percent=width, n_wavelengths=beam.n_wavelengths or 2)
    spectrum = spectrum or Spectrum()
    if shot is not None:
        if spectrum.kind != "sase":
            raise ConfigError("shot", shot, f"has no part in kind {spectrum.kind!r}", "leave it out")
        spectrum = dataclasses.replace(spectrum, shot=shot)
    found = lines_of(spectrum, center_m(beam, FLOAT_OPS), counted(spectrum)[0], FLOAT_OPS)
    share = found.energy / len(found.wavelength)
    return SampledSpectrum(1e10 * np.array(found.wavelength, np.float64), share * np.asarray(found.weight))
