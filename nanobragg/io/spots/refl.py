"""Reflection tables of DIALS (``.refl``, MessagePack), without dxtbx.

A file is ``["dials::af::reflection_table", 1, {identifiers, nrows, data}]``; a column is ``[type, [rows, bytes]]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.spots.packed import pack, unpack
from nanobragg.io.text import Path

_KIND = "dials::af::reflection_table"
_TYPES: dict[str, tuple[str, int]] = {
    "int": ("<i4", 1), "std::size_t": ("<u8", 1), "double": ("<f8", 1), "bool": ("?", 1), "vec2<double>": ("<f8", 2),
    "vec3<double>": ("<f8", 3), "mat3<double>": ("<f8", 9), "int6": ("<i4", 6), "cctbx::miller::index<>": ("<i4", 3),
}  # fmt: skip
"""Storage and numbers a row of the types of columns."""
PREDICTED, STRONG = 1, 32
"""Flags of reflections."""


def write_refl(path: Path, columns: dict[str, tuple[str, NDArray[Any]]]) -> None:
    """Write a table.

    Parameters
    ----------
    path : path
        The file.
    columns : dict
        By name: the type as DIALS calls it, and the values, one row a reflection.
    """
    rows = {len(values) for _, values in columns.values()}
    (n,) = rows or {0}
    data = {
        name: [kind, [n, np.ascontiguousarray(values, dtype=_TYPES[kind][0]).tobytes()]]
        for name, (kind, values) in columns.items()
    }
    write_bytes(path, [pack([_KIND, 1, {"identifiers": {}, "nrows": n, "data": data}])])


def read_refl(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a table by name, as far as their types are numbers.

    Raises
    ------
    FileFormatError
        For a file that is no such table, or is damaged.
    """
    try:
        value = unpack(read_bytes(path))
        kind, _, table = value
        if kind != _KIND:
            raise ValueError(f"it begins with {kind!r}")
        columns = {str(name): _column(column) for name, column in table["data"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(path, f"is no reflection table of DIALS: {error}") from None
    found = {name: column for name, column in columns.items() if column is not None}
    if len({len(column) for column in found.values()}) > 1:
        raise FileFormatError(path, "its columns differ in length")
    return found


def _column(column: Any) -> NDArray[Any] | None:
    kind, (n, data) = column
    if kind not in _TYPES:
        return None
    form, width = _TYPES[kind]
    values = np.frombuffer(data, form)
    if len(values) != n * width:
        raise ValueError(f"a column of {n} rows has {len(values)} numbers")
    return values.reshape(n, width) if width > 1 else values
