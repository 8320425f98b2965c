"""Text to number: as C's atof and atoi read it, and strictly."""

from __future__ import annotations

import math
import re

_DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_HEX = r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)([pP][+-]?\d+)?"
_WORD = r"(?i:[+-]?(infinity|inf|nan(\([0-9A-Za-z_]*\))?))"
_INTEGER = r"[+-]?\d+"
LARGEST_INT = 2**31 - 1
"""Largest magnitude of an integer that is typed."""
_SPACE = " \t\n\v\f\r"


def atof(text: str) -> tuple[float, bool]:
    """The number at the start of `text` (0 if there is none), and whether it is the whole text (C's ``atof``)."""
    body = text.lstrip(_SPACE)
    if re.fullmatch(_DECIMAL, body):
        return float(body), True
    for pattern, convert in ((_WORD, _word), (_HEX, float.fromhex), (_DECIMAL, float)):
        match = re.match(pattern, body)
        if match:
            try:
                return convert(match.group()), match.end() == len(body)
            except OverflowError:  # a hexadecimal number beyond float64
                return math.copysign(math.inf, -1 if body.startswith("-") else 1), match.end() == len(body)
    return 0.0, False


def _word(text: str) -> float:
    return float(text.partition("(")[0])


def atoi(text: str) -> tuple[int, bool]:
    """The 32-bit integer at the start of `text` (0 if there is none), and whether it is the whole text (C's ``atoi``)."""
    body = text.lstrip(_SPACE)
    match = re.match(_INTEGER, body)
    if not match:
        return 0, False
    value = min(max(int(match.group()[:25]), -(2**63)), 2**63 - 1)
    return (value + 2**31) % 2**32 - 2**31, match.end() == len(body)


def strict_float(text: str) -> float | None:
    """The finite number that `text` is, or None."""
    match = re.fullmatch(_DECIMAL, text.strip())
    value = float(match.group()) if match else math.nan
    return value if math.isfinite(value) else None


def is_too_large(text: str) -> bool:
    """Whether `text` is a whole number that no flag for integers takes."""
    value = strict_float(text)
    return value is not None and value == math.floor(value) and abs(value) > LARGEST_INT


def strict_int(text: str) -> int | None:
    """The integer that `text` is, integral floats such as ``1e3`` and ``10.0`` included, or None."""
    value = strict_float(text)
    if value is None or value != math.floor(value) or abs(value) > LARGEST_INT:
        return None
    return int(text) if re.fullmatch(_INTEGER, text.strip()) else int(value)
