"""Spectra of two columns: photon energy or wavelength, and flux."""

from __future__ import annotations

from os import PathLike

import numpy as np
from numpy.typing import NDArray

from nanobragg.constants import EV_ANGSTROM
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io import text
from nanobragg.io.atomic import read_bytes

_COMMENT = rb"[#!]"
UNITS = ("ev", "kev", "angstrom")
_LEAST_EV = 100.0
"""Numbers from here on are energies in eV, where nothing else is said; smaller ones are Angstrom."""


def read_spectrum(
    path: str | PathLike[str], *, unit: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a spectrum, one point on each line: energy or wavelength, and flux; further columns are passed over.

    Columns are separated by white space or commas, what follows ``#`` or ``!`` is a comment. The ``.lam`` files of
    diffBragg (wavelength, flux) are such tables.

    Parameters
    ----------
    path : path
        The file.
    unit : {"ev", "kev", "angstrom"}, optional
        Of the first column; None: eV where its first number is 100 or more, else Angstrom.

    Returns
    -------
    wavelength : (n,) float64
        [Angstrom], in the order of the file.
    flux : (n,) float64
        In any unit.

    Raises
    ------
    ConfigError
        For an unknown unit.
    FileFormatError
        When the file is missing or holds no row, a line has fewer than two numbers, the first column is not positive and
        ascending, a flux is negative, or all of them are 0.
    """
    if unit is not None and unit not in UNITS:
        raise ConfigError("unit", unit, f"must be one of {', '.join(map(repr, UNITS))}")
    points: list[float] = []
    flux: list[float] = []
    data = read_bytes(path).replace(b",", b" ")
    for number, tokens in text.strict_lines(path, data, _COMMENT):
        if len(tokens) < 2:
            raise FileFormatError(path, "one column, expected energy or wavelength, and flux", number)
        point = text.strict_number(path, tokens[0], "energy or wavelength", number)
        if point <= 0 or (points and point <= points[-1]):
            before = f" after {points[-1]:g}" if points else ""
            raise FileFormatError(path, f"{point:g}{before}: must be > 0 and ascend; sort the lines", number)
        points.append(point)
        flux.append(text.strict_number(path, tokens[1], "flux", number))
        if flux[-1] < 0:
            raise FileFormatError(path, f"flux is {flux[-1]:g}, must be >= 0; take its background off", number)
    if not points:
        raise FileFormatError(path, "holds no row of energy or wavelength, and flux")
    if not any(flux):
        raise FileFormatError(path, "every flux is 0")
    column = np.array(points)
    if unit is None:
        unit = "ev" if points[0] >= _LEAST_EV else "angstrom"
    return (column if unit == "angstrom" else EV_ANGSTROM / (column * (1e3 if unit == "kev" else 1.0))), np.array(flux)
