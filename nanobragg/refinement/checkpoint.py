"""Results of images that are finished, kept in a folder: a work that was cut off goes on with the others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.config import Experiment
from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.version import installed_version

_NUMPY = {"ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar"}
_BUILTINS = {"set", "frozenset", "slice", "complex", "bytearray"}


def kept(folder: str | PathLike[str] | None, key: str, made: Callable[[], Any]) -> Any:
    """What a folder holds under a key, or made now and put there; None: made now.

    A file is written under another name and renamed, so that it is whole or not there.

    Raises
    ------
    FileFormatError
        For a file that is damaged, or holds what is no result of a refinement.
    """
    if folder is None:
        return made()
    path = os.path.join(fspath(folder), f"{key}.kept")
    if os.path.exists(path):
        try:
            return _Records(io.BytesIO(read_bytes(path))).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError) as error:
            raise FileFormatError(path, f"is no result of a refinement: {error}; remove it") from None
    os.makedirs(folder, exist_ok=True)
    found = made()
    write_bytes(path, [pickle.dumps(found)])
    return found


def key_of(image: Any, experiment: Experiment, options: Mapping[str, Any]) -> str:
    """The name under which the result for an image, a start and options is kept: 32 hexadecimal digits.

    Of a file its size and time count, of an array its numbers.
    """
    digest = hashlib.sha256(f"{installed_version()} {experiment.to_json()}".encode())
    digest.update(json.dumps({name: _plain(value) for name, value in sorted(options.items())}).encode())
    digest.update(json.dumps(_plain(image)).encode())
    return digest.hexdigest()[:32]


def _plain(value: Any) -> Any:
    """What tells one value from another, as JSON has it."""
    if isinstance(value, str | PathLike):
        path = os.path.abspath(fspath(value))
        if os.path.exists(path):
            there = os.stat(path)
            return [path, there.st_size, there.st_mtime_ns]
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    for name in ("counts", "table"):
        value = getattr(value, name, value)
    if hasattr(value, "fast"):
        return [_plain(getattr(value, name)) for name in ("panel", "fast", "slow", "intensity")]
    array = np.ascontiguousarray(value)
    return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]


class _Records(pickle.Unpickler):
    """Makes records of this package and arrays alone: a file that would run anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler.find_class`."""
        if module.startswith("nanobragg."):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        if (module.split(".")[0] == "numpy" and name in _NUMPY) or (module == "builtins" and name in _BUILTINS):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of one")
