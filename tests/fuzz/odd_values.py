"""Odd numbers, odd tokens, odd objects."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

_NUMBERS = (
    math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 2.3e-308, 1e-160, 1e-38, 1e38, 1e160, 1.7e308, -1.7e308,
    1.0, -1.0, 0.5, 2.0, 1e3, 1e6, 1e9, 90.0, 180.0, 360.0, 2.0**31, -(2.0**31), 2.0**53, 2.0**63,
)  # fmt: skip
_INTEGERS = (0, -1, 1, 2, 3, 2**31 - 1, -(2**31), 2**31, 2**32 + 1, 2**62, 2**63, -(2**63) - 1, 2**64, 10**400)
TOKENS = (
    "", " ", "-", "--", "---", "abc", "nan", "-nan", "inf", "-inf", "1e3", "10.0", "1e999", "-1e999", "1e-320", "0x10",
    "0x1p5", "1,5", "1_000", "٣", "²", "5junk", " 5", "+7", "0", "-0", "-1", "00", "1e", ".", "-.5", "random", "True",
    "2147483647", "2147483648", "-2147483649", "99999999999999999999", "1e308", "-hkl", "-N", "-lambda", "--strict", "=",
    "-pixel=0.4", "--N", "-roi", "\udcff", "%s%n", "a b", "\n", "-dist",
)  # fmt: skip
"""What may stand where the command expects a value or a flag."""


def number(r: random.Random) -> float:
    """Any float."""
    if r.random() < 0.6:
        return r.choice(_NUMBERS)
    return r.choice((-1, 1)) * r.uniform(1, 10) * 10.0 ** r.randint(-40, 40)


def integer(r: random.Random) -> int:
    """Any integer."""
    return r.choice(_INTEGERS) if r.random() < 0.7 else r.randint(-20, 20)


def thing(r: random.Random) -> Any:
    """Anything that a user might put into a field."""
    return r.choice(
        (
            number(r), number(r), number(r), integer(r), integer(r), None, True, "random", "", "abc", "1.0", b"1", 1j, {},
            [], (), object, np.float32(number(r)), np.int64(3), np.array(2.0), np.array([1.0]), np.zeros((0, 3)),
            np.array(["a"]), [number(r)] * 2, [number(r) for _ in range(3)], (1, None, 3), ("1", 2, 3), [[1, 2], [3]],
            np.eye(3), np.full((3, 3), number(r)), [1.0, 2.0, 3.0, 4.0], slice(0, 3), (slice(0, 3), slice(0, 3)), range(3),
        )
    )  # fmt: skip


def token(r: random.Random) -> str:
    """Any word of a command line."""
    kind = r.random()
    if kind < 0.6:
        return r.choice(TOKENS)
    return f"{number(r):.6g}" if kind < 0.85 else str(integer(r))
