"""MOSFLM orientation matrices: the crystal alone, in the MOSFLM frame, times the wavelength (docs/file_formats.md)."""

from __future__ import annotations

import math
import warnings

import numpy as np

from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.geometry.axes import FROM_MOSFLM, rotation
from nanobragg.io.geometry.record import Geometry, Path, one_crystal, tell_lost_group
from nanobragg.io.matrix import read_matrix, write_matrix

_FILE_DIGITS = 8
"""Decimals that MOSFLM reads."""


def read_mosflm(path: Path, wavelength: float) -> Geometry:
    """Read a matrix file.

    Parameters
    ----------
    path : path
        The file.
    wavelength : float
        Wavelength that is folded into the matrix [Angstrom].

    Raises
    ------
    FileFormatError
        When the file is malformed.

    Notes
    -----
    Misset angles other than 0 turn the crystal of the matrix about x, then y, then z of MOSFLM, right-handed, with a warning.
    """
    matrix = read_matrix(path)
    missets = [_number(token) for token in read_bytes(path).split()[9:12]]
    if any(missets):
        angles = " ".join(f"{angle:g}" for angle in missets)
        warnings.warn(f"{path}: the missets {angles} degrees turn the crystal of the matrix about x, then y, then z",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
        for axis, angle in zip(np.eye(3), missets, strict=False):
            matrix = rotation(axis, angle) @ matrix
    return Geometry(wavelength=wavelength, a_star=matrix.T / wavelength).turned(FROM_MOSFLM)


def write_mosflm(path: Path, geometry: Geometry, digits: int = _FILE_DIGITS) -> None:
    """Write a matrix file.

    Parameters
    ----------
    path : path
        The file.
    geometry : Geometry
        With crystal and wavelength.
    digits : int
        Decimals: 8 as MOSFLM has it; 17 keeps the matrix exactly, for readers of free format.
    """
    if geometry.a_star is None or geometry.wavelength is None:
        raise ConfigError("crystal", None, "a MOSFLM matrix needs a crystal and a wavelength")
    one_crystal(geometry, "MOSFLM")
    tell_lost_group(path, geometry)
    a_star = geometry.turned(FROM_MOSFLM.T).a_star
    assert a_star is not None
    write_matrix(path, a_star, geometry.wavelength)
    if digits != _FILE_DIGITS:
        rest = read_bytes(path).splitlines(keepends=True)[3:]
        rows = "".join(" ".join(f"{x:.{digits}g}" for x in row) + "\n" for row in a_star.T * geometry.wavelength)
        write_bytes(path, [rows.encode(), *rest])


def is_matrix(path: Path) -> bool:
    """Whether a file begins like a matrix: nine numbers."""
    try:
        return bool(np.isfinite(read_matrix(path)).all())
    except FileFormatError:
        return False


def _number(token: bytes) -> float:
    """A number, or 0 for what is none: readers pass over what follows the matrix."""
    try:
        return float(token) if math.isfinite(float(token)) else 0.0
    except ValueError:
        return 0.0
