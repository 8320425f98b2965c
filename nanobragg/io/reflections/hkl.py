"""Reflections as text, one line ``h k l F`` each, read strictly or as the original does (docs/file_formats.md)."""

from __future__ import annotations

import math
import re
import warnings
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core
from nanobragg.arrays import float_array
from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io import text
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.reflections.intensity_lists import hklf4, refuse_unmerged
from nanobragg.lazy import dataclass

Listed = tuple[NDArray[np.int64], NDArray[np.float64]]
_MAX_INDEX = 2**31 - 1
_NUMERIC = np.zeros(256, bool)
_NUMERIC[list(b"0123456789+-.eE \t\n")] = True
_REAL_MARK = np.zeros(256, bool)
_REAL_MARK[list(b".eE")] = True
_REAL = f"[{text.SPACE}]*({text.REAL})"
_REAL_RECORD = (4 * _REAL).encode()
_INTEGER_RECORD = (3 * f"[{text.SPACE}]*({text.INTEGER})" + _REAL).encode()


def read_hkl(path: str | PathLike[str]) -> Listed:
    """Read reflections, one on each line: ``h k l F`` and perhaps more columns, which are passed over.

    A list of SHELX in the format HKLF 4 (fixed columns, intensities) is seen and read as such, with a warning; its symmetry
    is not known, so that only what it lists is there.

    Indices may be written 1 or 1.0. Blank lines and whatever follows ``#``, ``!`` or ``;`` are passed over.

    Returns
    -------
    hkl : (n, 3) int64
        Miller indices, in the order of the file, duplicates included.
    amplitude : (n,) float64
        Amplitudes [electrons].

    Raises
    ------
    FileFormatError
        When the file is missing, empty or binary, is an unmerged list of XDS, or a line is short, not numeric, or has an
        index that is no integer.
    """
    data = read_bytes(path)
    refuse_unmerged(path, data)
    fixed = hklf4(path, data)
    return _told(path, *(_read(path, data) if fixed is None else fixed))


def _told(path: str | PathLike[str], hkl: NDArray[np.int64], amplitude: NDArray[np.float64]) -> Listed:
    """With a warning of negative values, which no amplitude has."""
    negative = int((amplitude < 0).sum())
    if negative:
        warnings.warn(f"{path}: {negative} of {len(amplitude)} amplitudes are negative; are they intensities?",
                      NanoBraggWarning, stacklevel=3)  # fmt: skip
    return hkl, amplitude


def _read(path: str | PathLike[str], data: bytes) -> Listed:
    plain = _core.read_plain_hkl(data)
    if plain is not None:
        return plain[0], plain[1]
    table = _clean_table(data)
    if table is not None:
        hkl, amplitude = table[:, :3], table[:, 3]
        if (np.abs(hkl) <= _MAX_INDEX).all() and np.isfinite(amplitude).all() and (hkl == np.rint(hkl)).all():
            return hkl.astype(np.int64), amplitude.copy()
    lines = text.strict_lines(path, data)
    indices, amplitudes = [], []
    for number, tokens in lines:
        if len(tokens) < 4:
            raise FileFormatError(path, f"{len(tokens)} columns, expected h k l F", number)
        indices.append([_index(path, token, name, number) for token, name in zip(tokens[:3], "hkl", strict=True)])
        amplitudes.append(text.strict_number(path, tokens[3], "F", number))
    if not indices:
        raise FileFormatError(path, "holds no reflection, only comments")
    return np.array(indices, np.int64), np.array(amplitudes)


@dataclass(frozen=True, kw_only=True)
class LegacyReflections:
    """What the original program makes of a reflection file."""

    hkl: NDArray[np.int64]
    """(n, 3) indices stored by the second pass; n may be less than `n_records`"""
    amplitude: NDArray[np.float64]
    """(n,) [electrons]"""
    hkl_min: tuple[int, int, int]
    """smallest indices seen by the first pass, truncated toward 0"""
    hkl_max: tuple[int, int, int]
    n_records: int
    """records counted by the first pass"""
    stopped_at_line: int | None
    """line at which the second pass stopped although the file goes on; None: it read everything"""
    non_integer: list[tuple[str, float, int]]
    """(letter, value, record number from 0) of every index that is not an integer"""


def read_hkl_legacy(path: str | PathLike[str]) -> LegacyReflections:
    """Read reflections as the original program does: twice, as a stream of numbers without lines (docs/model.md).

    The first pass takes four reals at a time to count the records and find the box of indices; the second takes three
    integers and a real, and stores. Each stops at the first record that does not parse.

    Raises
    ------
    FileFormatError
        When the file is missing or unreadable, not one record parses, a number is not finite, or the second pass would
        store outside the box.
    """
    data = read_bytes(path)
    plain = _core.read_plain_hkl(data)
    if plain is not None:
        return LegacyReflections(
            hkl=plain[0], amplitude=plain[1], hkl_min=plain[2], hkl_max=plain[3],
            n_records=len(plain[0]), stopped_at_line=None, non_integer=[],
        )  # fmt: skip
    non_integer: list[tuple[str, float, int]] = []
    table = _clean_table(data, integer_columns=3)
    if table is not None and table.shape[1] == 4 and (np.abs(table[:, :3]) <= _MAX_INDEX).all():
        hkl, amplitude, end = table[:, :3].astype(np.int64), table[:, 3].copy(), len(data)
        low, high, n_records = hkl.min(0).tolist(), hkl.max(0).tolist(), len(hkl)
    else:
        low, high, n_records, non_integer = _first_pass(path, data)
        hkl, amplitude, end = _second_pass(data)
    if not np.isfinite(amplitude).all():
        record = int(np.argmin(np.isfinite(amplitude)))
        line = _line(_INTEGER_RECORD, data, record)
        raise FileFormatError(path, f"F is {amplitude[record]}, must be finite", line)
    outside = ((hkl < low) | (hkl > high)).any(1)
    if outside.any():
        record = int(np.argmax(outside))
        raise FileFormatError(
            path,
            f"the indices read as {hkl[record].tolist()}, outside the box {low} to {high} of the first pass; write every "
            "index as an integer",
            _line(_INTEGER_RECORD, data, record),
        )
    rest = data[end:].lstrip(text.SPACE.encode())
    return LegacyReflections(
        hkl=hkl,
        amplitude=amplitude,
        hkl_min=_triple(low),
        hkl_max=_triple(high),
        n_records=n_records,
        stopped_at_line=text.line_number(data, len(data) - len(rest)) if rest else None,
        non_integer=non_integer,
    )


def write_hkl(path: str | PathLike[str], hkl: Any, amplitude: Any) -> None:
    """Write reflections, one line ``h k l F`` each, with as many digits as it takes to read the same numbers back.

    Raises
    ------
    ConfigError
        When `hkl` is no (n, 3) array of whole numbers, or `amplitude` no (n,) array of finite ones.
    """
    indices, values = float_array(hkl, "hkl"), float_array(amplitude, "amplitude")
    if indices.ndim != 2 or indices.shape[1] != 3 or not np.array_equal(indices, np.rint(indices)):
        raise ConfigError("hkl", f"array of shape {indices.shape}", "must be (n, 3) whole numbers")
    if values.shape != indices.shape[:1] or not np.isfinite(values).all():
        raise ConfigError("amplitude", f"array of shape {values.shape}", f"must be {len(indices)} finite numbers")
    rows = zip(indices.astype(np.int64).tolist(), values.tolist(), strict=True)
    lines = (f"{h} {k} {l_} {value!r}\n" for (h, k, l_), value in rows)
    write_bytes(path, ["".join(lines).encode()])


def _clean_table(data: bytes, integer_columns: int = 0) -> NDArray[np.float64] | None:
    """All numbers of a file that has the same four or more on every line, at numpy's speed; None: look closely."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    chars = np.frombuffer(data, np.uint8)
    if len(chars) == 0 or not _NUMERIC[chars].all():
        return None
    ink = chars > 32
    ink[1:] &= chars[:-1] <= 32
    starts = np.flatnonzero(ink)
    per_line = np.diff(np.searchsorted(starts, np.flatnonzero(chars == 10)), prepend=0)
    per_line = np.append(per_line, len(starts) - per_line.sum())
    columns = int(per_line.max())
    if columns < 4 or not np.isin(per_line, (0, columns)).all():
        return None
    if integer_columns:
        column = (np.searchsorted(starts, np.flatnonzero(_REAL_MARK[chars]), side="right") - 1) % columns
        if (column < integer_columns).any():
            return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's word for "stopped before the end"
        try:
            values = np.fromstring(data, dtype=np.float64, sep=" ")
        except ValueError:
            return None
    return values.reshape(-1, columns) if len(values) == len(starts) else None


def _index(path: str | PathLike[str], token: bytes, name: str, line: int) -> int:
    value = text.strict_number(path, token, name, line)
    if value != math.floor(value):
        raise FileFormatError(path, f"index {name} is {text.show(token)}, must be an integer", line)
    if abs(value) > _MAX_INDEX:
        raise FileFormatError(path, f"index {name} is {text.show(token)}, too large", line)
    return int(value)


def _first_pass(
    path: str | PathLike[str], data: bytes
) -> tuple[list[int], list[int], int, list[tuple[str, float, int]]]:
    records, _ = _records(_REAL_RECORD, data)
    values = np.array([[text.real(token) for token in record[:3]] for record in records]).reshape(-1, 3)
    if not len(values) or np.isnan(values).all(0).any():
        first = data.lstrip(text.SPACE.encode())
        problem = "not enough HKL indices: the first record does not parse" if first else "is empty"
        raise FileFormatError(path, problem, text.line_number(data, len(data) - len(first)) if first else None)
    if np.isinf(values).any():
        line = _line(_REAL_RECORD, data, int(np.argmax(np.isinf(values).any(1))))
        raise FileFormatError(path, "an index is infinite", line)
    low, high = ([int(x) for x in edge] for edge in (np.nanmin(values, 0), np.nanmax(values, 0)))
    odd = np.argwhere((values != np.ceil(values - 0.4)) & ~np.isnan(values)).tolist()
    return low, high, len(values), [("hkl"[column], float(values[row, column]), row) for row, column in odd]


def _second_pass(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    records, end = _records(_INTEGER_RECORD, data)
    hkl = [[int(max(-_MAX_INDEX, min(_MAX_INDEX, text.real(token)))) for token in record[:3]] for record in records]
    amplitude = [text.real(record[3]) for record in records]
    return np.array(hkl, np.int64).reshape(-1, 3), np.array(amplitude, np.float64), end


def _records(pattern: bytes, data: bytes) -> tuple[list[tuple[bytes, ...]], int]:
    """Consecutive matches of the pattern and the offset where they end."""
    records, offset, compiled = [], 0, re.compile(pattern)
    while match := compiled.match(data, offset):
        records.append(match.groups())
        offset = match.end()
    return records, offset


def _line(pattern: bytes, data: bytes, record: int) -> int:
    """Line, from 1, on which the last number of a record (from 0) stands."""
    offset, start, compiled = 0, 0, re.compile(pattern)
    for _ in range(record + 1):
        match = compiled.match(data, offset)
        assert match is not None
        start, offset = match.start(4), match.end()
    return text.line_number(data, start)


def _triple(values: list[int]) -> tuple[int, int, int]:
    return values[0], values[1], values[2]
