"""Standard output and error, in whatever state they were inherited."""

from __future__ import annotations

import codecs
import os
import sys


def open_streams() -> bool:
    """Make both streams fit to write to; returns False when standard output was closed, so that what is said is lost.

    A stream whose descriptor the caller closed (``>&-``) is None in Python. The null device takes its place and, being
    opened first, its descriptor too: an image file that got it would receive whatever a library prints.
    """
    heard = sys.stdout is not None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, stream := open(os.devnull, "w"))
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)
    return heard


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """The bytes that a file name was read from; anything else that the encoding lacks as ``\\u....``."""
    assert isinstance(error, UnicodeEncodeError)
    one = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    try:
        return codecs.lookup_error("surrogateescape")(one)
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(one)


_ERRORS = "nanobragg.escaped"
codecs.register_error(_ERRORS, _escaped)
