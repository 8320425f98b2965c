"""Lists of X-ray sources: position, weight and wavelength in meters (docs/file_formats.md, Source file)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import float_array
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io import text
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.columns import legacy_rows
from nanobragg.lazy import dataclass

_COLUMNS = ("x", "y", "z", "weight", "wavelength")
_COMMENT = rb"#"
_WAVELENGTHS = (1e-12, 1e-8)


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """The rows of a source file; NaN stands for a column that a line does not have."""

    position: NDArray[np.float64]
    """(n, 3) from the sample to the source, any unit; default: -10 beam"""
    weight: NDArray[np.float64]
    """(n,); default: 1"""
    wavelength_m: NDArray[np.float64]
    """(n,) [m]; default: the wavelength of the beam"""
    line: NDArray[np.int64]
    """(n,) line number of each row"""


def read_sourcefile(path: str | PathLike[str]) -> SourceTable:
    """Read sources, one on each line: up to five columns x, y, z, weight, wavelength [m].

    Columns are separated by white space or any of ``, ; : !``; what follows ``#`` is a comment. Any line end will do.

    Raises
    ------
    FileFormatError
        When the file is missing or holds no source, a column is not a finite number, a position is (0, 0, 0), a weight
        is negative, or a wavelength is outside 0.01 to 100 Angstrom (most likely not in meters).
    """
    data = read_bytes(path).translate(bytes.maketrans(b",;:!", b"    "))
    rows, lines = [], []
    for number, tokens in text.strict_lines(path, data, _COMMENT):
        if len(tokens) > len(_COLUMNS):
            raise FileFormatError(path, f"{len(tokens)} columns, expected at most x y z weight wavelength", number)
        row = [text.strict_number(path, token, name, number) for token, name in zip(tokens, _COLUMNS, strict=False)]
        _check_row(path, row, number)
        rows.append(row)
        lines.append(number)
    return _table(path, rows, lines)


def read_sourcefile_legacy(path: str | PathLike[str]) -> SourceTable:
    """Read sources as the original program does.

    There are no comments, a column that is not a number is 0, and columns missing from a line are 0 too unless its last
    value is followed by a plain line feed.

    Raises
    ------
    FileFormatError
        When the file is missing or holds no source, or a source makes an image of NaN: a value that is not finite, a
        wavelength of 0, a position of (0, 0, 0).
    """
    rows, lines = [], []
    for number, row in legacy_rows(read_bytes(path), len(_COLUMNS)):
        if not np.isfinite(row).all():
            raise FileFormatError(path, "a value is not finite", number)
        if len(row) >= 3 and not any(row[:3]):
            raise FileFormatError(path, "the position is 0 0 0, must point from the sample to the source", number)
        if len(row) == 5 and row[4] == 0:
            raise FileFormatError(
                path,
                "the wavelength is 0; it counts as missing only where a plain line feed follows the last value",
                number,
            )
        rows.append(row)
        lines.append(number)
    return _table(path, rows, lines)


def write_sourcefile(path: str | PathLike[str], position: Any, weight: Any, wavelength_m: Any) -> None:
    """Write sources: position (n, 3), weight (n,) and wavelength (n,) [m], with all their digits.

    Raises
    ------
    ConfigError
        When the columns do not fit together.
    FileFormatError
        For a source that `read_sourcefile` would refuse, or when the file cannot be written.
    """
    place, *others = (
        float_array(x, name) for name, x in (("position", position), ("weight", weight), ("wavelength_m", wavelength_m))
    )
    shapes = [column.shape for column in (place, *others)]
    if shapes != [(len(place), 3), (len(place),), (len(place),)]:
        raise ConfigError("position, weight, wavelength_m", shapes, "must have shapes (n, 3), (n,), (n,)")
    rows = np.column_stack([place, *others]).tolist()
    for i, row in enumerate(rows, 1):
        _check_row(path, row, i)
    write_bytes(path, ["".join(" ".join(map(repr, row)) + "\n" for row in rows).encode()])


def _check_row(path: text.Path, row: Sequence[float], line: int) -> None:
    if len(row) >= 3 and not any(row[:3]):
        raise FileFormatError(path, "the position is 0 0 0, must point from the sample to the source", line)
    if len(row) >= 4 and row[3] < 0:
        raise FileFormatError(path, f"weight is {row[3]:g}, must be >= 0", line)
    if len(row) == 5 and not _WAVELENGTHS[0] <= row[4] <= _WAVELENGTHS[1]:
        raise FileFormatError(
            path,
            f"wavelength is {row[4]:g} m, must be within 0.01 and 100 Angstrom; "
            "the column is in meters: 1e-10 means 1 Angstrom",
            line,
        )


def _table(path: text.Path, rows: list[list[float]], lines: list[int]) -> SourceTable:
    if not rows:
        raise FileFormatError(path, "holds no source")
    table = np.array([row + [math.nan] * (len(_COLUMNS) - len(row)) for row in rows])
    return SourceTable(
        position=table[:, :3], weight=table[:, 3], wavelength_m=table[:, 4], line=np.array(lines, np.int64)
    )
