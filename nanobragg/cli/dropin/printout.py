"""The block that -printout prints for a pixel (docs/command.md, The report)."""

# ruff: noqa: UP031  the lines are written as the C formats that define them
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanobragg.cli.dropin.report import vector_lines
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.choice import engine


def printout(d: Derivation, only: tuple[int, int] | None) -> Iterator[str]:
    """Blocks of every rendered pixel, or of the one at (fast, slow) if it is rendered.

    Indices, vectors and position are those of the last evaluation; where a term was skipped they are left over from the one
    before it.
    """
    trace = engine("c").tracer(d.scene)
    for index, pixel in enumerate(d.scene.pixels):
        slow, fast = divmod(int(pixel), d.scene.n_fast)
        if only is None or only == (fast, slow):
            records, value = trace(index)
            yield from _block(d, fast, slow, {name: result for name, _, result in records}, value)


def _block(d: Derivation, fast: int, slow: int, last: dict[str, Any], value: float) -> Iterator[str]:
    """Lines of one pixel; `last` holds the last recorded value of every quantity."""
    x, y, z = last["position_m"]
    stol0 = math.sin(math.atan2(math.sqrt(y * y + z * z), x) / 2) / wavelength_m(d.experiment, FLOAT_OPS) / 1e10
    total = last["sum"]
    yield f"{fast:4d} {slow:4d} : stol = {last['stol_per_m']:g} or {stol0:g}"
    yield f"at {x:g} {y:g} {z:g}"
    if "hkl" in last:
        hkl, nearest = last["hkl"], tuple(int(i) for i in last["hkl_nearest"])
        yield "hkl= %f %f %f  hkl0= %d %d %d" % (*hkl, *nearest)
        yield f" F_cell={last.get('F_cell', 0.0):g}  F_latt={last['F_latt']:g}   I = {total:g}"
    yield f"I/steps {total / last['steps']:15.10g}"
    yield f"polar   {_last(last, 'polarization', 'final_polarization'):15.10g}"
    yield f"omega   {_last(last, 'solid_angle_sr', 'final_solid_angle_sr'):15.10g}"
    yield f"capfrac {_last(last, 'capture_fraction', 'final_capture_fraction'):15.10g}"
    yield f"pixel   {float(np.float32(value)):15.10g}"
    if "a_m" in last:
        cell, turned = d.cell, any(d.rotation.phi) or d.mosaic_spread > 0
        vectors = (last["a_m"], last["b_m"], last["c_m"]) if turned else (cell.a, cell.b, cell.c)
        axes = tuple(tuple(1e10 * component for component in vector) for vector in vectors)
        yield from vector_lines("real-space cell vectors (Angstrom):", ("a", "b", "c"), axes)


def _last(last: dict[str, Any], running: str, final: str) -> float:
    """The factor as it stands at the end of the pixel: the cached one, else the last that was computed."""
    return float(last.get(final) or last.get(running, 1.0))
