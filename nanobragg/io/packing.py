"""Files that are packed as a whole with gzip or bzip2, seen from their first bytes."""

from __future__ import annotations

from os import PathLike
from typing import Any

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
MAX_UNPACKED_BYTES = 2**30
"""Largest content that is unpacked, several times that of the largest detector."""


def read_unpacked(path: str | PathLike[str]) -> bytes:
    """The content of a file, unpacked where it is packed.

    Raises
    ------
    FileFormatError
        When it cannot be read, is damaged, or unpacks to more than `MAX_UNPACKED_BYTES`.
    """
    return _unpacked(path, read_bytes(path), MAX_UNPACKED_BYTES, whole=True)


def first_bytes(path: str | PathLike[str], n: int) -> bytes:
    """The first n bytes of the content; of a packed file those that unpack from its beginning.

    Raises
    ------
    FileFormatError
        When the file cannot be read, or is damaged at its beginning.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(n)
            if is_packed(start):
                start += file.read(2**20)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(path, f"cannot be read: {reason}; check the name and the permissions") from None
    return _unpacked(path, start, n, whole=False)[:n]


def is_packed(start: bytes) -> bool:
    """Whether a content that starts so is packed."""
    return start.startswith((_GZIP, _BZIP2))


def _unpacked(path: str | PathLike[str], data: bytes, most: int, *, whole: bool) -> bytes:
    if not is_packed(data):
        return data
    import bz2
    import zlib

    parts, size = [], 0
    try:
        while data and is_packed(data) and size < most + 1:  # a file may be several packed ones in a row
            unpacker: Any = zlib.decompressobj(wbits=31) if data.startswith(_GZIP) else bz2.BZ2Decompressor()
            parts.append(unpacker.decompress(data, most + 1 - size))
            size += len(parts[-1])
            if not unpacker.eof:
                if size < most or (whole and size == most):
                    raise FileFormatError(path, "its packed content ends early; is it truncated?")
                break
            data = unpacker.unused_data
    except (zlib.error, OSError, EOFError) as error:
        raise FileFormatError(path, f"cannot be unpacked: {error}; is it damaged?") from None
    if whole and size > most:
        raise FileFormatError(path, f"unpacks to more than {most} bytes, which is not an image; unpack it first")
    return b"".join(parts)
