"""Readers and writers, one file per format; each name is loaded from its file when it is first used."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "read_float": "float_image",
    "write_float": "float_image",
    "read_smv": "smv",
    "write_smv": "smv",
    "read_pgm": "pgm",
    "write_pgm": "pgm",
    "read_png": "png",
    "write_png": "png",
    "read_hkl": "hkl",
    "write_hkl": "hkl",
    "read_matrix": "matrix",
    "write_matrix": "matrix",
    "read_fdump": "fdump",
    "write_fdump": "fdump",
    "read_sourcefile": "sourcefile",
    "write_sourcefile": "sourcefile",
    "read_image": "image_file",
    "read_cbf": "cbf",
    "write_cbf": "cbf",
    "write_nxmx": "nxmx",
    "write_tiff": "fabio_images",
    "write_edf": "fabio_images",
    "write_frames": "frames",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
