"""Lists of spots as text: comma-separated columns with a head line."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.text import Path


def write_csv(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of numbers; floats with the digits that give them back."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_bytes(path, [text.getvalue().encode()])


def read_csv(path: Path) -> dict[str, NDArray[np.float64]]:
    """The columns of a file by name; NaN where a cell is empty.

    Raises
    ------
    FileFormatError
        For a file without a head line, a row of another length, or a cell that is no number.
    """
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(path).decode())))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(path, f"is not comma-separated text: {error}") from None
    rows = [[cell.strip() for cell in row] for row in rows if row]
    if not rows or any(_is_number(cell) for cell in rows[0]):
        raise FileFormatError(path, "has no head line with the names of its columns", 1)
    head, body = rows[0], rows[1:]
    values = np.full((len(body), len(head)), np.nan)
    for i, row in enumerate(body):
        if len(row) != len(head):
            raise FileFormatError(path, f"has {len(row)} cells where the head line has {len(head)}", i + 2)
        for j, cell in enumerate(row):
            if cell:
                if not _is_number(cell):
                    raise FileFormatError(path, f"{head[j]}: {cell!r} is no number", i + 2)
                values[i, j] = float(cell)
    return {name: values[:, j] for j, name in enumerate(head)}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
