"""Columns of numbers as the original programs read them: source files and tables of structure factors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nanobragg.io import text

_DELIMITERS = b" \t,;:!"
_LINE = rb"[^\n]*\n|[^\n]+"
_FIELD = rb"^[^ \t,;:!]*"
_LONGEST_LINE = 10239
"""Bytes that the original programs read at a time."""


def legacy_rows(data: bytes, n_columns: int) -> Iterator[tuple[int, list[float]]]:
    """Line number and columns of every row.

    There are no comments, a column that is not a number is 0, and columns missing from a line are 0 too unless its last
    value is followed by a plain line feed; then the row is shorter. Lines of delimiters alone are skipped.
    """
    for number, line in enumerate(re.findall(_LINE, data), 1):
        for start in range(0, len(line), _LONGEST_LINE):
            row = _row(line[start : start + _LONGEST_LINE], n_columns)
            if row is not None:
                yield number, row


def _row(line: bytes, n_columns: int) -> list[float] | None:
    """Columns of one line; None for a line of delimiters and a line feed."""
    row: list[float] = []
    rest = line.lstrip(_DELIMITERS)
    if rest == b"\n":
        return None
    while len(row) < n_columns and not (row and rest == b"\n"):
        value, used = text.c_atof(rest)
        row.append(value)
        rest = rest[used:]
        if rest != b"\n":
            rest = re.sub(_FIELD, b"", rest, count=1).lstrip(_DELIMITERS)
    return row
