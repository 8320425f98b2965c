"""TIFF and EDF images through fabio: numbers as they are, the provenance in the header."""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, replacing
from nanobragg.io.images.counts import as_array
from nanobragg.io.optional import needed

if TYPE_CHECKING:
    from nanobragg.config import Experiment

_KEY = "nanobragg"


def write_tiff(
    path: str | PathLike[str], image: Any, experiment: Experiment | None = None, *, provenance: Any = None
) -> None:
    """Write a TIFF image: float32, or the integers as they are; with an experiment, its record is the description."""
    _write("tifimage.TifImage", path, image, experiment, provenance)


def write_edf(
    path: str | PathLike[str], image: Any, experiment: Experiment | None = None, *, provenance: Any = None
) -> None:
    """Write an EDF image: float32, or the integers as they are; with an experiment, its record is in the header."""
    _write("edfimage.EdfImage", path, image, experiment, provenance)


def _write(kind: str, path: str | PathLike[str], image: Any, experiment: Experiment | None, more: Any) -> None:
    from nanobragg.exchange.provenance import packed, provenance_json

    module, _, name = kind.partition(".")
    writer = getattr(needed(f"fabio.{module}", f"writing {name[:3].upper()}"), name)
    array = as_array(image)
    kinds: dict[str, np.dtype[Any]] = {"f": np.dtype(np.float32), "b": np.dtype(np.uint8)}
    array = array.astype(kinds.get(array.dtype.kind, array.dtype.newbyteorder("=")))
    record = {} if experiment is None else {_KEY: packed(provenance_json(experiment, **(more or {})))}
    with replacing(path) as temporary:
        writer(data=np.ascontiguousarray(array), header=record).write(temporary)


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
    text = header.get(_KEY) or next((v.partition("=")[2] for v in header.values() if v.startswith(f"{_KEY}=")), None)
    return pixels, text.strip() if text else None
