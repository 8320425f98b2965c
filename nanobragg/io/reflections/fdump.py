"""The binary table of structure factors that the original program keeps as ``Fdump.bin`` (docs/file_formats.md, Fdump.bin).

A line ``h_min h_max k_min k_max l_min l_max``, a form feed, then native float64 with l fastest; every axis is one
element longer than its range, and these extra planes are 0.
"""

from __future__ import annotations

import math
import re
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import MAX_TABLE_BYTES, checked_table_bytes, is_tensor, too_large_in
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes

_HEADER = rb" ".join([rb"(-?\d{1,9})"] * 6) + rb"\n\f"


def read_fdump(
    path: str | PathLike[str], *, max_bytes: int = MAX_TABLE_BYTES
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Read a dump exactly: the data start right after the form feed, whatever their first bytes are.

    Returns
    -------
    amplitude : (n_h, n_k, n_l) float64
        Amplitudes [electrons]; the default of the run that wrote the file is baked in.
    hkl_min : tuple of 3 int
        Indices of ``amplitude[0, 0, 0]``.

    Raises
    ------
    FileFormatError
        When the file is missing, its header is malformed, its size is not what the header says, a value is not finite,
        or the table is larger than `max_bytes`.
    """
    data = read_bytes(path)
    match = re.match(_HEADER, data)
    if match is None:
        raise FileFormatError(
            path, "is not a dump of structure factors: no line of six integers and a form feed at its start"
        )
    numbers = [int(token) for token in match.groups()]
    low, high = numbers[0::2], numbers[1::2]
    if any(b < a for a, b in zip(low, high, strict=True)):
        raise FileFormatError(path, f"corrupt dump: indices from {low} to {high}")
    stored = tuple(b - a + 2 for a, b in zip(low, high, strict=True))
    with too_large_in(path):
        checked_table_bytes(stored, max_bytes)
    expected, found = 8 * math.prod(stored), len(data) - match.end()
    if found != expected:
        raise FileFormatError(
            path, f"corrupt dump: {found} bytes of data, expected {expected} for indices {low} to {high}"
        )
    table = np.frombuffer(data, np.float64, offset=match.end()).reshape(stored)[:-1, :-1, :-1].copy()
    if not np.isfinite(table).all():
        raise FileFormatError(path, "corrupt dump: holds values that are not finite")
    return table, (low[0], low[1], low[2])


def write_fdump(path: str | PathLike[str], structure_factors: Any) -> None:
    """Write the table of a `StructureFactors` byte for byte as the original program does.

    Raises
    ------
    FileFormatError
        When there is no table to write, or the file cannot be written.
    """
    if not hasattr(structure_factors, "has_table"):
        raise ConfigError("structure_factors", structure_factors, "must be nanobragg.StructureFactors")
    if not structure_factors.has_table:
        raise FileFormatError(path, "not written: the structure factors have no table")
    table = structure_factors.amplitude
    table = np.asarray(table.detach().cpu() if is_tensor(table) else table, dtype=np.float64)
    edges = zip(structure_factors.hkl_min, structure_factors.hkl_max, strict=True)
    header = " ".join(f"{low} {high}" for low, high in edges) + "\n\f"
    write_bytes(path, [header.encode(), np.pad(table, (0, 1)).tobytes()])
