"""8-bit grey images in the PGM format (docs/file_formats.md, PGM)."""

from __future__ import annotations

import re
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import write_bytes
from nanobragg.io.packing import read_unpacked

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = rb"P5" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})\s"


def read_pgm(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read a binary PGM with at most 8 bits for a pixel.

    Returns
    -------
    grey : (n_slow, n_fast) uint8

    Raises
    ------
    FileFormatError
        When the file is missing, is no such PGM, or is short.
    """
    data = read_unpacked(path)
    match = re.match(_HEADER, data)
    if match is None:
        raise FileFormatError(path, "is not a binary PGM: no header P5, width, height, largest grey")
    n_fast, n_slow, largest = (int(token) for token in match.groups())
    if not 1 <= largest <= 255:
        raise FileFormatError(path, f"largest grey is {largest}, must be within 1 and 255")
    if len(data) - match.end() < n_slow * n_fast:
        raise FileFormatError(path, f"{len(data) - match.end()} bytes of pixels, expected {n_slow * n_fast}")
    return np.frombuffer(data, np.uint8, n_slow * n_fast, match.end()).reshape(n_slow, n_fast).copy()


def write_pgm(path: str | PathLike[str], grey: Any, *, scale: float = 1.0) -> None:
    """Write grey values (n_slow, n_fast) uint8, byte for byte as the original program does.

    Parameters
    ----------
    path : path
        The file.
    grey : (n_slow, n_fast) uint8
        For example from `nanobragg.io.images.counts.grey_image`.
    scale : float
        The scale that led to these values, noted in a comment.

    Raises
    ------
    ConfigError
        When `grey` is not a 2-d uint8 array.
    FileFormatError
        When the file cannot be written.
    """
    pixels = np.asarray(grey)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ConfigError("grey", f"{pixels.dtype} array of shape {pixels.shape}", "must be (n_slow, n_fast) uint8")
    n_slow, n_fast = pixels.shape
    header = f"P5\n{n_fast} {n_slow}\n# pixels scaled by {scale:g}\n255\n"
    write_bytes(path, [header.encode(), np.ascontiguousarray(pixels).data])
