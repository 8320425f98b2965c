"""TIFF and EDF images through fabio: numbers as they are, the provenance in the header."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, replacing
from nanobragg.io.images.counts import as_array
from nanobragg.io.images.embedded import TIFF_KEY, packed
from nanobragg.io.optional import needed


def save_tiff(path: str | PathLike[str], image: Any, text: str | None = None) -> None:
    """Write a TIFF image: float32, or the integers as they are; a text of our own is the description."""
    _save("tifimage.TifImage", path, image, text)


def save_edf(path: str | PathLike[str], image: Any, text: str | None = None) -> None:
    """Write an EDF image: float32, or the integers as they are; a text of our own is in the header."""
    _save("edfimage.EdfImage", path, image, text)


def _save(kind: str, path: str | PathLike[str], image: Any, text: str | None) -> None:
    module, _, name = kind.partition(".")
    writer = getattr(needed(f"fabio.{module}", f"writing {name[:3].upper()}"), name)
    array = as_array(image)
    kinds: dict[str, np.dtype[Any]] = {"f": np.dtype(np.float32), "b": np.dtype(np.uint8)}
    array = array.astype(kinds.get(array.dtype.kind, array.dtype.newbyteorder("=")))
    header = {} if text is None else {TIFF_KEY: packed(text)}
    with replacing(path) as temporary:
        writer(data=np.ascontiguousarray(array), header=header).write(temporary)


def read_with_fabio(path: str | PathLike[str]) -> tuple[NDArray[Any], str | None]:
    """The first frame of any image that fabio reads, and our record in it (packed).

    Raises
    ------
    FileFormatError
        When fabio cannot read it.
    """
    fabio = needed("fabio", "reading this image format")
    read_bytes(path)  # the errors of opening, in our words
    try:
        image = fabio.open(fspath(path))
        pixels = np.asarray(image.data)
        header = {str(key): str(value) for key, value in image.header.items()}
    except Exception as error:  # fabio raises whatever its many readers raise
        hint = "; a raw float image needs its shape: nanobragg.io.read_float" if fspath(path).endswith(".bin") else ""
        raise FileFormatError(path, f"cannot be read as an image: {type(error).__name__}: {error}{hint}") from None
    # a TIFF keeps it as "key=value" in its description
    text = header.get(TIFF_KEY) or next(
        (v.partition("=")[2] for v in header.values() if v.startswith(f"{TIFF_KEY}=")), None
    )
    return pixels, text.strip() if text else None
