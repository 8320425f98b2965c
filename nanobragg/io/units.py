"""Units as files spell them, in lower case, and what they are in ours."""

from __future__ import annotations

import math
from collections.abc import Mapping

_PREFIXES = {"": 1.0, "centi": 1e-2, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12}


def _spelled(stems: tuple[str, ...], shorts: dict[str, float]) -> dict[str, float]:
    """The short spellings, then prefixes with stems, singular and plural."""
    return shorts | {
        f"{prefix}{stem}{s}": size for prefix, size in _PREFIXES.items() for stem in stems for s in ("", "s")
    }


_METRES = _spelled(
    ("metre", "meter"),
    {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "microns": 1e-6, "nm": 1e-9,
     "pm": 1e-12, "angstrom": 1e-10, "angstroms": 1e-10, "a": 1e-10, "å": 1e-10, "ang": 1e-10},
)  # fmt: skip
MILLIMETRES = {name: 1e3 * size for name, size in _METRES.items()}
ANGSTROMS = {name: 1e10 * size for name, size in _METRES.items()}
DEGREES = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0, "rad": math.degrees(1), "radian": math.degrees(1),
           "radians": math.degrees(1), "mrad": math.degrees(1e-3)}  # fmt: skip
SECONDS = _spelled(("second", "sec"), {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0})


def known(units: Mapping[str, float]) -> str:
    """Some spellings for a message, those of our own unit first."""
    return ", ".join(sorted(units, key=lambda name: units[name] != 1.0)[:6])
