"""Numbers in text, read as C reads them (for the lenient readers) or completely (for the strict ones)."""

from __future__ import annotations

import math
import re
from os import PathLike

from nanobragg.errors import FileFormatError

Path = str | PathLike[str]
SPACE = " \t\n\v\f\r"
"""White space of C."""
# Atomic groups: a number is taken whole or not at all, as C does, never split to please the rest of a pattern.
INTEGER = r"(?>[+-]?\d+)"
"""Pattern of what C's %d reads."""
REAL = (
    r"(?>[+-]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][+-]?\d+)?"
    r"|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]))"
)
"""Pattern of what C's %lf reads."""
_ATOF = f"[{SPACE}]*({REAL})".encode()
COMMENT = rb"[#!;]"
"""What starts a comment in the strict readers."""


def real(token: bytes) -> float:
    """The value of a token that matches `REAL`; infinite where it is too large for a float."""
    if b"x" not in token.lower():
        return float(token)
    try:
        return float.fromhex(token.decode())
    except OverflowError:
        return -math.inf if token.startswith(b"-") else math.inf


def c_atof(text: bytes) -> tuple[float, int]:
    """C's atof: the number at the start of the text (0 if there is none) and the offset of what follows it."""
    match = re.match(_ATOF, text)
    return (real(match[1]), match.end()) if match else (0.0, 0)


def line_number(data: bytes, offset: int) -> int:
    """Number of the line, from 1, that holds the byte at an offset."""
    return data.count(b"\n", 0, offset) + 1


def strict_lines(path: Path, data: bytes, comment: bytes = COMMENT) -> list[tuple[int, list[bytes]]]:
    """Numbered lines split at white space, without comments and blank lines.

    Raises
    ------
    FileFormatError
        When the file is empty or holds NUL bytes.
    """
    if not data.strip():
        raise FileFormatError(path, "is empty")
    if b"\0" in data:
        line = line_number(data, data.index(b"\0"))
        raise FileFormatError(path, "is a binary file, expected text", line)
    split = (
        (number, re.split(comment, line, maxsplit=1)[0].split()) for number, line in enumerate(data.splitlines(), 1)
    )
    return [(number, tokens) for number, tokens in split if tokens]


def strict_number(path: Path, token: bytes, what: str, line: int | None) -> float:
    """The finite number that a whole token means; anything else is a FileFormatError."""
    try:
        value = float(token) if b"_" not in token else None
    except ValueError:
        value = None
    if value is None:
        raise FileFormatError(path, f"{what} is {show(token)}, not a number", line)
    if value - value != 0:
        raise FileFormatError(path, f"{what} is {show(token)}, must be finite", line)
    return value


def show(token: bytes) -> str:
    """A token for a message: printable and short."""
    text = token.decode("ascii", "backslashreplace")
    return repr(text if len(text) <= 40 else text[:37] + "...")
