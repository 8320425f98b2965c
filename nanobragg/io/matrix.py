"""Orientation matrices in the layout of MOSFLM (docs/file_formats.md, Orientation matrix).

Rows are the x, y, z components, columns are a*, b*, c*, each number is in 1/Angstrom times the wavelength in Angstrom.
"""

from __future__ import annotations

import re
from numbers import Real
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import float_array
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io import text
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.lazy import dataclass

_SINGULAR = 1e-9
"""Smallest volume of the reduced cell, relative to the product of the edges, that is not called flat."""
_NUMBER = f"[{text.SPACE}]*({text.REAL})".encode()


def read_matrix(path: str | PathLike[str]) -> NDArray[np.float64]:
    """Read the nine numbers at the start of a matrix file; what follows them is passed over.

    Returns
    -------
    matrix : (3, 3) float64
        As in the file: rows x, y, z; columns a*, b*, c* [wavelength/Angstrom]. For ``Crystal.a_star_matrix`` transpose
        it and divide by the wavelength.

    Raises
    ------
    FileFormatError
        When the file is missing, empty or binary, has fewer than nine numbers, or its three vectors lie in a plane.
    """
    tokens = [(number, token) for number, line in text.strict_lines(path, read_bytes(path)) for token in line][:9]
    values = [
        text.strict_number(path, token, f"matrix element {i + 1}", line) for i, (line, token) in enumerate(tokens)
    ]
    if len(values) < 9:
        raise FileFormatError(path, f"holds {len(values)} numbers, expected nine: x, y, z components of a*, b*, c*")
    matrix = np.array(values).reshape(3, 3)
    with np.errstate(all="ignore"):  # absurd numbers overflow, and count as singular
        spans_space = abs(np.linalg.det(matrix)) > _SINGULAR * np.prod(np.linalg.norm(matrix, axis=0))
    if not spans_space:
        raise FileFormatError(path, "the matrix is singular: a*, b*, c* lie in a plane")
    return matrix


@dataclass(frozen=True, kw_only=True)
class LegacyMatrix:
    """What the original program makes of a matrix file."""

    values: tuple[float, ...]
    """up to nine numbers, in the order of the file"""
    stopped_at_line: int | None
    """line of the first thing that is no number; None: nine numbers were read, or the file ended"""

    @property
    def complete(self) -> bool:
        """True when there are nine numbers."""
        return len(self.values) == 9


def read_matrix_legacy(path: str | PathLike[str]) -> LegacyMatrix:
    """Read as the original program does: the first nine numbers, up to the first thing that is none.

    Raises
    ------
    FileFormatError
        When the file cannot be read.
    """
    data = read_bytes(path)
    values: list[float] = []
    rest = data
    while len(values) < 9 and (match := re.match(_NUMBER, rest)):
        values.append(text.real(match[1]))
        rest = rest[match.end() :]
    rest = rest.lstrip(text.SPACE.encode())
    stopped = len(values) < 9 and rest
    return LegacyMatrix(
        values=tuple(values), stopped_at_line=text.line_number(data, len(data) - len(rest)) if stopped else None
    )


def write_matrix(path: str | PathLike[str], a_star_matrix: Any, wavelength_angstrom: float) -> None:
    """Write a matrix file as MOSFLM does: matrix, missets, U, cell, missets.

    Parameters
    ----------
    path : path
        The file.
    a_star_matrix : (3, 3) array
        Rows a*, b*, c* [1/Angstrom].
    wavelength_angstrom : float
        Wavelength folded into the matrix [Angstrom].

    Raises
    ------
    ConfigError
        When the matrix is singular, or the wavelength no number > 0.
    """
    if not (isinstance(wavelength_angstrom, Real) and 0 < wavelength_angstrom < np.inf):
        raise ConfigError("wavelength_angstrom", wavelength_angstrom, "must be a finite number > 0")
    rows = float_array(a_star_matrix, "a_star_matrix")
    if rows.shape != (3, 3) or not abs(np.linalg.det(rows)) > _SINGULAR * np.prod(np.linalg.norm(rows, axis=1)):
        raise ConfigError("a_star_matrix", rows.tolist(), "must be three vectors that do not lie in a plane")
    # A = U B, B upper triangular of positive diagonal (Busing & Levy, Acta Cryst. 22 (1967) 457): a QR factorization
    q, r = np.linalg.qr(rows.T)
    rotation = q * np.sign(np.diag(r))
    direct = np.linalg.inv(rows).T
    a, b, c = edges = np.linalg.norm(direct, axis=1)
    cosines = [direct[1] @ direct[2] / (b * c), direct[0] @ direct[2] / (a * c), direct[0] @ direct[1] / (a * b)]
    lines = [
        *("".join(f"{x:14.8f}" for x in row) for row in rows.T * wavelength_angstrom),
        _MISSETS,
        *("".join(f"{x:12.7f}" for x in row) for row in rotation),
        "".join(f"{x:12.4f}" for x in (*edges, *np.degrees(np.arccos(cosines)))),
        _MISSETS,
    ]
    write_bytes(path, ["\n".join([*lines, ""]).encode()])


_MISSETS = "".join(f"{0.0:12.3f}" for _ in range(3))
