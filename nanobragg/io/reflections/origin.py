"""Which file a table was read from, so that a record of the table may name the file in place of the numbers."""

from __future__ import annotations

import hashlib
import os
from os import PathLike, fspath
from typing import Any

from nanobragg.io.atomic import read_bytes
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Origin:
    """A file, how it was read, and what it looked like then."""

    path: str
    """absolute"""
    format: str
    """the reader: ``StructureFactors.from_`` and this"""
    options: dict[str, Any]
    """of the reader, plain values"""
    state: tuple[int, int]
    """size [bytes] and time of the last change [ns]"""

    def checksum(self) -> str | None:
        """SHA-256 of the file as it was read; None: it is gone or has changed since."""
        try:
            return checksum(self.path) if _state(self.path) == self.state else None
        except OSError:
            return None


def origin_of(path: str | PathLike[str], format: str, **options: Any) -> Origin | None:
    """The origin of a table that has just been read; None: where an option is a tensor, or the file is gone."""
    options = {name: value for name, value in options.items() if value is not None}
    if not all(isinstance(value, bool | int | float | str) for value in options.values()):
        return None
    try:
        return Origin(os.path.abspath(fspath(path)), format, options, _state(path))
    except OSError:
        return None


def checksum(path: str | PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises
    ------
    FileFormatError
        When it cannot be read.
    """
    return hashlib.sha256(read_bytes(path)).hexdigest()


def _state(path: str | PathLike[str]) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns
