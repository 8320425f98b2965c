"""CBF images, read: byte-offset compression by fabio, packed by `packed`."""

from __future__ import annotations

import re
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.images.cbf.packed import unpack
from nanobragg.io.optional import needed
from nanobragg.io.packing import read_unpacked

_START = b"\x0c\x1a\x04\xd5"
"""What comes before the compressed data."""
_TYPES = {"signed 8-bit integer": "i1", "signed 16-bit integer": "i2", "signed 32-bit integer": "i4",
          "unsigned 8-bit integer": "u1", "unsigned 16-bit integer": "u2", "unsigned 32-bit integer": "u4"}  # fmt: skip


def read_cbf(path: str | PathLike[str]) -> tuple[NDArray[Any], str]:
    """Read a CBF image, byte offset or packed, perhaps in a file that is packed as a whole (.gz, .bz2).

    Returns
    -------
    pixels : (n_slow, n_fast) integers
        As stored; masked pixels are negative.
    header : str
        The text before the data.

    Raises
    ------
    FileFormatError
        When the file is no CBF, is truncated, or is compressed otherwise.
    """
    header, data = _parts(path)
    scheme = re.search(r"conversions\s*=\s*\"?([\w.-]+)", header, re.IGNORECASE)
    name = scheme[1] if scheme else "none"
    if name.lower() not in ("x-cbf_byte_offset", "x-cbf_packed") or "uncorrelated" in header:
        raise FileFormatError(path, f"is compressed with {name}; x-CBF_BYTE_OFFSET and x-CBF_PACKED are read: rewrite it with "
                              "cif2cbf of CBFlib (cif2cbf -c byte_offset)")  # fmt: skip
    size, n_fast, n_slow = (
        _number(path, header, key)
        for key in ("X-Binary-Size", "X-Binary-Size-Fastest-Dimension", "X-Binary-Size-Second-Dimension")
    )
    if len(data) < size:
        raise FileFormatError(path, f"{len(data)} bytes of compressed pixels, expected {size}; is it truncated?")
    kind = re.search(r'X-Binary-Element-Type:\s*"([^"]+)"', header)
    kind_name = kind[1] if kind else "signed 32-bit integer"
    if kind_name not in _TYPES:
        raise FileFormatError(path, f"holds {kind_name} pixels; only integers are read")
    if name.lower() == "x-cbf_packed":
        try:
            return unpack(data[:size], n_slow, n_fast).astype(_TYPES[kind_name]), header
        except ValueError as error:
            raise FileFormatError(path, f"its packed pixels cannot be read: {error}; is it damaged?") from None
    if n_fast * n_slow > size:  # every pixel takes a byte at least
        raise FileFormatError(path, f"{size} bytes are too few for {n_fast} x {n_slow} pixels; is it damaged?")
    compression = needed("fabio.compression", "reading CBF")
    pixels = compression.decByteOffset(data[:size], size=n_fast * n_slow)
    if pixels.size != n_fast * n_slow:
        raise FileFormatError(path, f"{pixels.size} pixels, expected {n_fast} x {n_slow}; is it damaged?")
    return np.asarray(pixels).astype(_TYPES[kind_name]).reshape(n_slow, n_fast), header


def cbf_header(path: str | PathLike[str]) -> tuple[str, tuple[int, int]]:
    """The text before the data, and (n_slow, n_fast) as it says; pixels need not be readable.

    Raises
    ------
    FileFormatError
        When the file is no CBF.
    """
    header, _ = _parts(path)
    n_fast, n_slow = (_number(path, header, f"X-Binary-Size-{axis}-Dimension") for axis in ("Fastest", "Second"))
    return header, (n_slow, n_fast)


def _parts(path: str | PathLike[str]) -> tuple[str, bytes]:
    data = read_unpacked(path)
    if not data.startswith(b"###CBF"):
        raise FileFormatError(path, "is not a CBF image: does not start with ###CBF", 1)
    begin = data.find(_START)
    if begin < 0:
        raise FileFormatError(path, "has no binary section; is it truncated?")
    return data[:begin].decode("latin-1"), data[begin + len(_START) :]


def _number(path: str | PathLike[str], header: str, key: str) -> int:
    found = re.search(rf"^{key}:\s*(\d+)\s*$", header, re.MULTILINE)
    if not found:
        raise FileFormatError(path, f"the CBF header has no {key}")
    return int(found[1])
