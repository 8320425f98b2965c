"""Previews as 8-bit grey PNG (ISO/IEC 15948), with a contrast that suits diffraction images."""

from __future__ import annotations

import struct
import zlib
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.images.counts import as_array

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FLOOR_PERCENTILE = 50.0
"""Of all pixels; what is darker is white. It takes away a detector offset and a flat background."""
_SOFTENING_PERCENTILE = 95.0
"""Of the pixels above the floor: below this the grey is linear, above it logarithmic."""
_BRIGHT_PERCENTILE = 99.99
"""Of the pixels above the floor; what is brighter is black."""


def preview(image: Any) -> NDArray[np.uint8]:
    """Grey values that show weak and strong spots together: dark spots on white.

    Spots span many decades, so the grey is asinh(v/s)/asinh(top/s), with v the height above a floor: linear below the
    softening s, logarithmic above. Floor, s and top are percentiles, so that the picture does not depend on fluence.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor
        Any positive scale; negative and undefined pixels are white.

    Returns
    -------
    grey : (n_slow, n_fast) uint8
        255 for nothing, 0 for the brightest.
    """
    values = np.nan_to_num(as_array(image).astype(np.float64), nan=0.0, posinf=np.finfo(np.float64).max)
    values = np.maximum(values, 0.0)
    values = np.maximum(values - np.percentile(values, _FLOOR_PERCENTILE), 0.0)
    lit = values[values > 0]
    if lit.size == 0:
        return np.full(values.shape, 255, np.uint8)
    soft, top = np.percentile(lit, [_SOFTENING_PERCENTILE, _BRIGHT_PERCENTILE])
    dark = np.arcsinh(np.minimum(values, top) / soft) / np.arcsinh(top / soft)
    return (255 - np.rint(255 * dark)).astype(np.uint8)


def write_png(path: str | PathLike[str], image: Any) -> None:
    """Write an 8-bit grey PNG: a uint8 image as it stands, anything else through `preview`.

    Raises
    ------
    FileFormatError
        When the file cannot be written.
    """
    pixels = as_array(image)
    write_bytes(path, [encode_png(pixels if pixels.dtype == np.uint8 else preview(pixels))])


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of an 8-bit PNG: grey (n_slow, n_fast), or red, green, blue (n_slow, n_fast, 3)."""
    n_slow, n_fast = pixels.shape[:2]
    rows = pixels.reshape(n_slow, -1)
    unfiltered = np.pad(rows, ((0, 0), (1, 0)))  # every row starts with its filter type, 0
    color = 2 if pixels.ndim == 3 else 0
    chunks = (
        _SIGNATURE,
        _chunk(b"IHDR", struct.pack(">IIBBBBB", n_fast, n_slow, 8, color, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(unfiltered.tobytes(), 6)),
        _chunk(b"IEND", b""),
    )
    return b"".join(chunks)


def read_png(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read an 8-bit grey PNG without interlacing, such as `write_png` writes.

    Returns
    -------
    grey : (n_slow, n_fast) uint8

    Raises
    ------
    FileFormatError
        For a file that is missing, damaged, truncated, or of another kind of PNG.
    """
    data = read_bytes(path)
    if not data.startswith(_SIGNATURE):
        raise FileFormatError(path, "is not a PNG: it does not start with the PNG signature")
    header, packed, at = b"", b"", len(_SIGNATURE)
    while True:
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if len(data) < at + 12 + length:
            raise FileFormatError(path, "ends in the middle of a PNG chunk; is it truncated?")
        if data[at + 8 + length : at + 12 + length] != _chunk(kind, body)[-4:]:
            raise FileFormatError(path, f"is damaged: checksum of chunk {kind.decode('latin-1')}")
        at += 12 + length
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed += body
        elif kind == b"IEND":
            break
    if len(header) != 13 or header[8:] != bytes([8, 0, 0, 0, 0]):
        raise FileFormatError(path, "must be an 8-bit grey PNG without interlacing")
    n_fast, n_slow = struct.unpack(">II", header[:8])
    try:
        raw = zlib.decompressobj().decompress(packed, n_slow * (n_fast + 1) + 1)
    except (zlib.error, OverflowError, MemoryError) as error:
        raise FileFormatError(path, f"its pixels cannot be unpacked: {error}") from None
    if not n_fast or not n_slow or len(raw) != n_slow * (n_fast + 1):
        raise FileFormatError(path, f"does not hold the {n_slow} x {n_fast} pixels of its header")
    rows = np.frombuffer(raw, np.uint8).reshape(n_slow, n_fast + 1)
    grey = np.zeros((n_slow, n_fast), np.uint8)
    above = np.zeros(n_fast, np.uint8)
    for row, target in zip(rows, grey, strict=True):
        if row[0] > 4:
            raise FileFormatError(path, f"has a row with the unknown filter {row[0]}")
        above = target[:] = _unfiltered(int(row[0]), row[1:], above)
    return grey


def _unfiltered(kind: int, row: NDArray[np.uint8], above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the filter of a row (ISO/IEC 15948 section 9): none, left, above, mean, Paeth."""
    if kind == 0:
        return row
    if kind == 1:
        return np.cumsum(row, dtype=np.uint8)
    if kind == 2:
        return row + above
    out = bytearray(len(row))
    left = corner = 0
    for x, (value, up) in enumerate(zip(row.tolist(), above.tolist(), strict=True)):
        guess = (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
        left, corner = (value + guess) & 255, up
        out[x] = left
    return np.frombuffer(bytes(out), np.uint8)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda near: abs(guess - near))  # the first of equals, as the standard has it


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
