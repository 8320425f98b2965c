"""The quantities of a trace: their order, units and the scale on which a difference between two traces is judged.

The names of what a kernel computes are those of csrc/trace.c, those of a scene's inputs are stated in
`nanobragg.inspection.tracing.trace.scene_inputs`. A unit stands at the end of a name that has one.
"""

from __future__ import annotations

from collections.abc import Sequence

UNITS = {
    "_per_angstrom": "1/Angstrom",
    "_per_m2": "1/m^2",
    "_per_m": "1/m",
    "_m2": "m^2",
    "_m": "m",
    "_rad": "rad",
    "_sr": "sr",
    "_photons": "photons",
}
"""Ending of a name, and the unit that it stands for; the first that fits counts."""
OTHER_UNITS = {
    "F_cell": "electrons",
    "F_nodes": "electrons",
    "default_F": "electrons",
    "term": "electrons^2",
    "running_sum": "electrons^2",
    "background": "electrons^2",
    "background_input": "electrons^2",
    "sum": "electrons^2",
    "sum_per_step": "electrons^2",
    "pixel": "photons",
}

LEVELS = ("layer", "sub_slow", "sub_fast", "source", "phi", "domain")
"""The loops, outermost first (nanobragg/derivation/scene.py); an index holds one number for each, -1 where it does not apply."""
OUTSIDE = (-1,) * len(LEVELS)
"""Index of what belongs to the whole pixel."""
SCENE: tuple[int, ...] = ()
"""Index of what is known before any pixel is looked at."""


def unit_of(name: str) -> str:
    """The unit of a quantity, empty when it has none; the part of a trace may stand before the name, as "crystal[1]: term"."""
    name = name.rpartition(": ")[2]
    if name in OTHER_UNITS:
        return OTHER_UNITS[name]
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


def place_of(index: Sequence[int]) -> str:
    """Where in the loops a quantity stands, in words."""
    if not index:
        return "in the scene's inputs"
    parts = [f"{level.replace('_', '-')} {i}" for level, i in zip(LEVELS, index, strict=True) if i >= 0]
    return "at " + ", ".join(parts) if parts else "in the pixel's final product"
