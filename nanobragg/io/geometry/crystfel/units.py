"""Numbers with units as CrystFEL writes them: ``50 mm``, ``9 keV``; the unit stands after a blank."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from nanobragg.constants import ELECTRON_REST_EV, EV_ANGSTROM, PLANCK_C_EV_ANGSTROM
from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.record import Path

METRES = {"": 1.0, "m": 1.0, "mm": 1e-3}
BARE = {"": 1.0}
_WAVELENGTHS = {"A": 1.0, "m": 1e10}
_ENERGIES = {"": 1.0, "eV": 1.0, "keV": 1e3}
_VOLTAGES = {"V": 1.0, "kV": 1e3}


def measured(path: Path, key: str, text: str, units: Mapping[str, float]) -> float | None:
    """A number in the first of the units; None for a place in the image files.

    Raises
    ------
    FileFormatError
        For another unit, or none where one is needed, and for numbers that are none.
    """
    word, _, unit = text.strip().partition(" ")
    unit = unit.strip()
    try:
        value = float(word)
    except ValueError:
        if word[:1] not in "0123456789+-.":
            return None
        raise FileFormatError(path, f"{key} = {text}: is not a number; {_expected(units)} after a blank") from None
    if not math.isfinite(value):
        raise FileFormatError(path, f"{key} = {text}: is not finite")
    if unit not in units:
        raise FileFormatError(path, f"{key} = {text}: CrystFEL does not know {unit or 'it without a unit'!r}; "
                              + _expected(units))  # fmt: skip
    return value * units[unit]


def _expected(units: Mapping[str, float]) -> str:
    names = [name for name in units if name]
    return "write " + (" or ".join([*(["no unit"] if "" in units else []), *names]))


def wavelength(path: Path, values: Mapping[str, str]) -> float | None:
    """[Angstrom] from wavelength, photon_energy or electron_voltage; None: none is there.

    Raises
    ------
    FileFormatError
        For other units, and for places in the image files.
    """
    kinds = (("wavelength", _WAVELENGTHS), ("photon_energy", _ENERGIES), ("electron_voltage", _VOLTAGES))
    given = [key for key, _ in kinds if key in values]
    if len(given) > 1:
        warnings.warn(f"{path}: {' and '.join(given)} are there; {given[0]} is taken", NanoBraggWarning, stacklevel=2)
    for key, units in kinds:
        if key not in values:
            continue
        value = measured(path, key, values[key], units)
        if value is None:
            raise FileFormatError(
                path, f"{key} = {values[key]}: is a place in the image files; give wavelength_angstrom="
            )
        if not value > 0:
            raise FileFormatError(path, f"{key} = {values[key]}: must be > 0")
        if key == "wavelength":
            return value
        return of_electrons(value) if key == "electron_voltage" else EV_ANGSTROM / value
    return None


def of_electrons(volts: float) -> float:
    """Wavelength of electrons after a voltage [Angstrom]: h / sqrt(2 m e V (1 + e V / (2 m c^2)))."""
    return PLANCK_C_EV_ANGSTROM / math.sqrt(volts * (2 * ELECTRON_REST_EV + volts))
