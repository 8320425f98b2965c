"""Tables of an amorphous structure factor: sin(theta)/lambda and F, one pair on each line."""

from __future__ import annotations

import math
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io import text
from nanobragg.io.atomic import read_bytes
from nanobragg.io.columns import legacy_rows

_COMMENT = rb"[#!]"


def read_stol(path: str | PathLike[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a table with comments behind ``#`` or ``!``; columns after the second are passed over.

    Returns
    -------
    stol : (n,) float64
        sin(theta)/lambda [1/Angstrom], ascending.
    factor : (n,) float64
        F [electrons].

    Raises
    ------
    FileFormatError
        When the file is missing or holds no row, a line has fewer than two numbers, or the first column does not ascend.
    """
    stol: list[float] = []
    factor: list[float] = []
    for number, tokens in text.strict_lines(path, read_bytes(path), _COMMENT):
        if len(tokens) < 2:
            raise FileFormatError(path, "one column, expected sin(theta)/lambda [1/Angstrom] and F [electrons]", number)
        s = text.strict_number(path, tokens[0], "sin(theta)/lambda", number)
        if stol and s <= stol[-1]:
            raise FileFormatError(
                path, f"sin(theta)/lambda is {s:g} after {stol[-1]:g}, must ascend; sort the table", number
            )
        stol.append(s)
        factor.append(text.strict_number(path, tokens[1], "F", number))
    if not stol:
        raise FileFormatError(path, "holds no row of sin(theta)/lambda and F")
    return np.array(stol), np.array(factor)


def read_stol_legacy(path: str | PathLike[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a table as the original program does: comments are rows of zeros (NB_TABLE_COMMENTS), nothing is sorted.

    Returns
    -------
    abscissa, factor : (n,) float64
        As they stand in the file; NaN for a missing F.

    Raises
    ------
    FileFormatError
        When the file is missing or holds no row.
    """
    rows = [row if len(row) == 2 else [*row, math.nan] for _, row in legacy_rows(read_bytes(path), 2)]
    if not rows:
        raise FileFormatError(path, "holds no row of sin(theta)/lambda and F")
    table = np.array(rows)
    return table[:, 0].copy(), table[:, 1].copy()
