"""Readers and writers, one file per format; each name is loaded from its file when it is first used."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "read_float": "nanobragg.io.images.float_image",
    "write_float": "nanobragg.io.images.float_image",
    "read_smv": "nanobragg.io.images.smv",
    "write_smv": "nanobragg.io.images.smv",
    "read_pgm": "nanobragg.io.images.pgm",
    "write_pgm": "nanobragg.io.images.pgm",
    "read_png": "nanobragg.io.images.png",
    "write_png": "nanobragg.io.images.png",
    "read_hkl": "nanobragg.io.reflections.hkl",
    "write_hkl": "nanobragg.io.reflections.hkl",
    "read_matrix": "nanobragg.io.matrix",
    "write_matrix": "nanobragg.io.matrix",
    "read_fdump": "nanobragg.io.reflections.fdump",
    "write_fdump": "nanobragg.io.reflections.fdump",
    "read_sourcefile": "nanobragg.io.sourcefile",
    "write_sourcefile": "nanobragg.io.sourcefile",
    "read_image": "nanobragg.io.images.image_file",
    "read_cbf": "nanobragg.io.images.cbf",
    "write_cbf": "nanobragg.io.images.cbf",
    "write_nxmx": "nanobragg.io.images.nxmx",
    "write_tiff": "nanobragg.io.images.fabio_images",
    "write_edf": "nanobragg.io.images.fabio_images",
    "write_frames": "nanobragg.exchange.numbered_files",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
