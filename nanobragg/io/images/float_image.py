"""Float images: float32 without a header, native byte order, fast axis fastest (docs/file_formats.md, Float image)."""

from __future__ import annotations

import operator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.images.counts import as_array


def read_float(path: str | PathLike[str], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Read a float image of a known shape (n_slow, n_fast).

    Raises
    ------
    FileFormatError
        When the file is missing or has not exactly the bytes that the shape asks for.
    """
    data = read_bytes(path)
    try:
        n_slow, n_fast = (operator.index(n) for n in shape)
    except (TypeError, ValueError):
        raise ConfigError("shape", shape, "must be two whole numbers, (n_slow, n_fast)") from None
    if len(data) != 4 * n_slow * n_fast:
        raise FileFormatError(
            path,
            f"{len(data)} bytes, expected {4 * n_slow * n_fast} for {n_slow} x {n_fast} (slow x fast) "
            "float32 pixels; the file does not record its shape",
        )
    return np.frombuffer(data, np.float32).reshape(n_slow, n_fast).copy()


def write_float(path: str | PathLike[str], image: Any) -> None:
    """Write an image (n_slow, n_fast), array or tensor, rounded to float32.

    Raises
    ------
    FileFormatError
        When the file cannot be written.
    """
    write_bytes(path, [np.ascontiguousarray(as_array(image), dtype=np.float32).data])
