"""Whole files in, whole files out, for every reader and writer; an OSError becomes a FileFormatError."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import BinaryIO

from nanobragg.errors import FileFormatError, NanoBraggError

Chunk = bytes | bytearray | memoryview


def read_bytes(path: str | PathLike[str]) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FileFormatError
        When it cannot be opened or read; the message says why.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileFormatError(path, f"cannot be read: {_reason(error)}; check the name and the permissions") from None


def write_bytes(path: str | PathLike[str], chunks: Iterable[Chunk]) -> None:
    """Write a file so that no reader ever sees half of it.

    A new or regular file is written under a temporary name in the same directory and renamed; devices, pipes and links
    are written through (docs/command.md, Two switches).

    Parameters
    ----------
    path : path
        The file.
    chunks : iterable of bytes
        Its content, in pieces.

    Raises
    ------
    FileFormatError
        When the directory is missing or not writable, or the disk is full. Nothing is left behind.
    """
    with _in_our_words(path, OSError, ValueError):
        if _replaceable(path):
            _write_and_rename(os.fsdecode(path), chunks)
        else:
            with open(path, "wb") as file:
                _write_all(file, chunks)


@contextlib.contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[str]:
    """A temporary name beside a file, for libraries that write files themselves; renamed when the block ends well.

    Raises
    ------
    FileFormatError
        When the directory is missing or not writable, or the disk is full. Nothing is left behind.
    """
    with _in_our_words(path, OSError, ValueError):
        target = os.fsdecode(path)
        temporary = _name_beside(target, ".part")
    try:
        with _in_our_words(path, OSError, ValueError):
            os.close(_created(temporary, target))
        with _in_our_words(path, OSError):  # a ValueError comes from what is being written
            yield temporary
            if _replaceable(target):
                os.replace(temporary, target)
            else:
                import shutil

                shutil.copyfile(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def _in_our_words(path: str | PathLike[str], *errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except NanoBraggError:  # a ValueError too, and said already
        raise
    except errors as error:
        raise FileFormatError(
            path, f"cannot be written: {_reason(error)}; check the directory and the space left"
        ) from None


def _replaceable(path: str | PathLike[str]) -> bool:
    """True for a new file and for a regular one that has no other name."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _write_and_rename(path: str, chunks: Iterable[Chunk]) -> None:
    temporary = _name_beside(path)
    try:
        with os.fdopen(_created(temporary, path), "wb") as file:
            _write_all(file, chunks)
        os.replace(temporary, path)
    except BaseException:  # an interrupt must not leave the temporary file either, however soon it comes
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _write_all(file: BinaryIO, chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        file.write(chunk)
    file.flush()


def _name_beside(target: str, suffix: str = "") -> str:
    """A name beside another that no file has."""
    return os.path.join(os.path.dirname(target), f".nanobragg-{os.urandom(8).hex()}{suffix}")


def _created(name: str, target: str) -> int:
    """Descriptor of a new file with the permissions of the target, or those of any new file here.

    `tempfile` would make it private, and the mask that says otherwise cannot be read without changing it for all threads.
    """
    mode = None
    if os.path.isfile(target):
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is write-protected")
        mode = stat.S_IMODE(os.stat(target).st_mode)
    handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if mode is not None:
        os.chmod(name, mode)
    return handle


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
