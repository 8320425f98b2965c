"""Previews as 8-bit grey PNG (ISO/IEC 15948), with a contrast that suits diffraction images."""

from __future__ import annotations

import struct
import zlib
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.io.atomic import write_bytes
from nanobragg.io.counts import as_array

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
    grey = pixels if pixels.dtype == np.uint8 else preview(pixels)
    n_slow, n_fast = grey.shape
    unfiltered = np.pad(grey, ((0, 0), (1, 0)))  # every row starts with its filter type, 0
    write_bytes(
        path,
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", n_fast, n_slow, 8, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(unfiltered.tobytes(), 6)),
            _chunk(b"IEND", b""),
        ],
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
