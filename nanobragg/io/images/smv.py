"""SMV (ADSC) images: a text header of ``KEY=value;`` lines, then unsigned 16-bit counts (docs/file_formats.md, SMV images)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io import text
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.packing import read_unpacked
from nanobragg.lazy import dataclass

_BLOCK = 512
"""A header fills a whole number of these [bytes]."""
_MOST_FILLED = 2**31 - 1
"""Largest image whose missing data are filled with 0 [pixels]: as many as the original can count."""
_START, _START_CRLF = b"{\nHEADER_BYT", b"{\r\nHEADER_BYT"
_UNSIGNED_SHORT = ("unsigned short", "unsigned short int")
_ENTRY = r"\s*([A-Za-z0-9_]+)\s*=\s*([^;\n]*)"
_BYTE_ORDERS = {"little_endian": "<", "big_endian": ">"}
_NATIVE_ORDER = f"{sys.byteorder}_endian"


@dataclass(frozen=True, kw_only=True)
class SmvImage:
    """An SMV file taken apart."""

    pixels: NDArray[np.uint16]
    """(n_slow, n_fast) counts in native byte order"""
    header: dict[str, str]
    """values by whole key; of a repeated key the last"""
    text: str
    """the header as it stands in the file"""


def read_smv(path: str | PathLike[str]) -> tuple[NDArray[np.uint16], dict[str, str]]:
    """Read an SMV image of unsigned 16-bit counts; big-endian files are swapped, packed ones (.gz, .bz2) unpacked.

    Returns
    -------
    pixels : (n_slow, n_fast) uint16
        Counts.
    header : dict
        Values by key, as text.

    Raises
    ------
    FileFormatError
        When the file is missing, is no SMV, lacks HEADER_BYTES, BYTE_ORDER, SIZE1 or SIZE2, has another data type,
        or is short.
    """
    image = load_smv(path, strict=True)
    return image.pixels, image.header


def load_smv(path: str | PathLike[str], *, strict: bool) -> SmvImage:
    """Read an SMV file with the text of its header.

    Parameters
    ----------
    path : path
        The file.
    strict : bool
        False: as the original program, which fills missing data with 0, takes the last occurrence of a key as a
        piece of text, and believes HEADER_BYTES where the header is longer (data are swapped all the same).

    Raises
    ------
    FileFormatError
        As `read_smv`; a short file only if `strict`.
    """
    data = read_unpacked(path) if strict else read_bytes(path)
    if not data.startswith((_START, _START_CRLF) if strict else _START):
        raise FileFormatError(path, "is not an SMV image: does not start with '{', line feed, HEADER_BYTES", 1)
    if len(data) < _BLOCK:
        raise FileFormatError(path, f"is not an SMV image: {len(data)} bytes, its header alone takes {_BLOCK}")
    first = data[:_BLOCK].decode("latin-1")
    length = _whole_number(path, lookup(first, "HEADER_BYTES", strict), "HEADER_BYTES")
    if not len(_START) <= length <= len(data):
        raise FileFormatError(
            path, f"HEADER_BYTES is {length}, must be within {len(_START)} and the file's {len(data)} bytes"
        )
    header = data[:length].decode("latin-1")
    order = _byte_order(path, header, strict)
    n_fast, n_slow = _size(path, header, strict)
    if strict:
        header, length = _overflowing(data, header, length, n_fast * n_slow)
        entries = parse_header(header)
        for key in ("TYPE", "Data_type"):
            if entries.get(key, "unsigned_short").replace("_", " ").lower() not in _UNSIGNED_SHORT:
                raise FileFormatError(path, f"{key} is {entries[key]}, only unsigned_short is read")
        if entries.get("Compression", "None").lower() not in ("none", ""):
            raise FileFormatError(path, f"Compression is {entries['Compression']}; only None is read: unpack it first")
    found = (len(data) - length) // 2
    if strict and found < n_fast * n_slow:
        raise FileFormatError(
            path, f"{found} pixels, expected {n_fast} x {n_slow} = {n_fast * n_slow}; is it truncated?"
        )
    if n_fast * n_slow > max(found, _MOST_FILLED):
        raise FileFormatError(
            path, f"the header promises {n_fast} x {n_slow} pixels, the file holds {found}; correct SIZE1 and SIZE2"
        )
    try:
        pixels = np.zeros(n_fast * n_slow, np.uint16)
    except MemoryError:
        raise FileFormatError(path, f"{n_fast} x {n_slow} pixels do not fit in memory") from None
    stored = np.frombuffer(data, f"{order}u2", min(found, len(pixels)), length)
    pixels[: len(stored)] = stored
    return SmvImage(pixels=pixels.reshape(n_slow, n_fast), header=parse_header(header), text=header)


def parse_header(header: str) -> dict[str, str]:
    """Values by whole key; an entry ends at ``;`` or at the end of its line; of a repeated key the last one holds."""
    body = header.partition("{")[2].partition("}")[0]
    return {match[1]: match[2].strip() for entry in re.split("[;\n]", body) if (match := re.match(_ENTRY, entry))}


def lookup(header: str, key: str, strict: bool) -> str | None:
    """The text of a key; None when it is absent.

    With `strict` the key must stand alone. Otherwise as the original: the text after the first ``=`` that follows the
    last place where the key occurs, even inside another key; empty when no ``=`` follows.
    """
    if strict:
        return parse_header(header).get(key)
    _, found, rest = header.rpartition(key)
    return rest.partition("=")[2] if found else None


def header_values(path: str | PathLike[str], header: str, keys: Iterable[str], strict: bool) -> dict[str, float]:
    """Numbers of the keys that a header has.

    Raises
    ------
    FileFormatError
        If `strict` and a value is not a finite number (otherwise such a value counts as C's atof reads it).
    """
    values = {}
    for key in keys:
        found = lookup(header, key, strict)
        if found is None:
            continue
        raw = found.encode("latin-1")
        values[key] = text.strict_number(path, raw.strip(), key, None) if strict else text.c_atof(raw)[0]
    return values


def save_smv(
    path: str | PathLike[str], counts: Any, header: bytes | Mapping[str, object] | Iterable[tuple[str, object]] = ()
) -> None:
    """Write an SMV image in native byte order.

    Parameters
    ----------
    path : path
        The file.
    counts : (n_slow, n_fast) uint16
        Pixels.
    header : bytes, mapping or iterable of (key, value)
        Either the whole header (from `smv_header.nanobragg_header`), or entries that follow the mandatory ones; of a
        mapping, as `read_smv` gives, the mandatory ones are passed over.

    Raises
    ------
    ConfigError
        When `counts` is not a 2-d uint16 array.
    FileFormatError
        When the file cannot be written.
    """
    pixels = np.asarray(counts)
    if pixels.ndim != 2 or pixels.dtype.newbyteorder("=") != np.uint16:
        raise ConfigError(
            "counts", f"{pixels.dtype} array of shape {pixels.shape}", "must be (n_slow, n_fast) uint16",
            "nanobragg.add_noise makes counts of an image",
        )  # fmt: skip
    if not isinstance(header, bytes):
        n_slow, n_fast = pixels.shape
        header = padded_header([*mandatory_entries(n_fast, n_slow), *entries_of(header)])
    write_bytes(path, [header, np.ascontiguousarray(pixels, dtype=np.uint16).data])


def entries_of(header: Mapping[str, object] | Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Entries of a header, without the mandatory ones where it was read from a file."""
    if not isinstance(header, Mapping):
        return list(header)
    ours = {"HEADER_BYTES", *(key for key, _ in mandatory_entries(0, 0))}
    return [(key, value) for key, value in header.items() if key not in ours]


def mandatory_entries(n_fast: int, n_slow: int) -> list[tuple[str, object]]:
    """The entries that every SMV header of ours starts with, after HEADER_BYTES."""
    return [("DIM", 2), ("BYTE_ORDER", _NATIVE_ORDER), ("TYPE", "unsigned_short"), ("SIZE1", n_fast), ("SIZE2", n_slow)]


def padded_header(entries: Iterable[tuple[str, object]]) -> bytes:
    """A header of terminated lines that grows in steps of 512 bytes and says so in HEADER_BYTES."""
    lines = "".join(f"{key}={value};\n" for key, value in entries)
    length = _BLOCK
    while len(block := f"{{\nHEADER_BYTES={length};\n{lines}}}\f".encode("latin-1", "replace")) > length:
        length += _BLOCK
    return block.ljust(length)


def _whole_number(path: text.Path, found: str | None, key: str) -> int:
    if found is None:
        raise FileFormatError(path, f"the SMV header has no {key}")
    value = text.c_atof(found.encode("latin-1"))[0]
    if not 0 <= value <= 2**31 or value != int(value):
        raise FileFormatError(path, f"{key} is {value:g}, must be a positive integer")
    return int(value)


def _byte_order(path: text.Path, header: str, strict: bool) -> str:
    found = lookup(header, "BYTE_ORDER", strict)
    if found is None:
        raise FileFormatError(path, "the SMV header has no BYTE_ORDER; add BYTE_ORDER=little_endian; or big_endian;")
    name = found.partition(";")[0].strip()
    if name not in _BYTE_ORDERS:
        raise FileFormatError(path, f"BYTE_ORDER is {name!r}, must be little_endian or big_endian")
    return _BYTE_ORDERS[name]


def _size(path: text.Path, header: str, strict: bool) -> tuple[int, int]:
    n_fast = _whole_number(path, lookup(header, "SIZE1", strict), "SIZE1")
    if n_fast == 0:
        n_fast = n_slow = _whole_number(path, lookup(header, "DETECTOR_DIMENSIONS", strict), "DETECTOR_DIMENSIONS")
    else:
        n_slow = _whole_number(path, lookup(header, "SIZE2", strict), "SIZE2")
    if n_fast < 1 or n_slow < 1:
        raise FileFormatError(path, f"the image is {n_fast} x {n_slow} pixels, must be at least 1 x 1")
    return n_fast, n_slow


def _overflowing(data: bytes, header: str, length: int, n_pixels: int) -> tuple[str, int]:
    """Header and start of the data where the text is longer than HEADER_BYTES says, as the original may write it."""
    end = data.find(b"}\f", length - 1)
    if "}" in header or end < 0 or len(data) != end + 2 + 2 * n_pixels:
        return header, length
    return data[: end + 2].decode("latin-1"), end + 2
