"""Traces from the block that the original program prints for a pixel under ``-printout`` (docs/command.md, The report)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nanobragg.inspection.tracing.quantities import OUTSIDE
from nanobragg.inspection.tracing.trace import Trace, TraceStep, Value
from nanobragg.lazy import dataclass

_HEAD = re.compile(r"^\s*(\d+)\s+(\d+) : stol = (\S+) or (\S+)\s*$")
_FLOAT32 = 2.0**-24
"""Relative rounding of a pixel, which the original keeps as float32."""


@dataclass(frozen=True)
class Printed:
    """One block."""

    pixel: tuple[int, int]
    """(slow, fast)"""
    values: dict[str, tuple[Value, tuple[float, ...]]]
    """quantity: value, and what it may be off by the rounding of its last printed digit"""


def read_printout(text: str | Iterable[str]) -> list[Printed]:
    """All blocks in the output of a run with ``-printout``; everything else in it is passed over.

    Parameters
    ----------
    text : str or iterable of str
        The console output.
    """
    lines = text.splitlines() if isinstance(text, str) else [line.rstrip("\n") for line in text]
    starts = [i for i, line in enumerate(lines) if _HEAD.match(line)]
    return [_block(lines[i:j]) for i, j in zip(starts, [*starts[1:], len(lines)], strict=True)]


def _block(lines: list[str]) -> Printed:
    head = _HEAD.match(lines[0])
    assert head is not None
    fast, slow = int(head[1]), int(head[2])
    values: dict[str, tuple[Value, tuple[float, ...]]] = {
        "stol_per_m": _general(head[3]),
        "stol_of_position_per_angstrom": _general(head[4]),
    }
    rows: list[list[str]] = []
    for line in lines[1:]:
        words = line.replace("=", "= ").split()
        if not words:
            continue
        if words[0] == "at":
            position = [_general(word) for word in words[1:4]]
            values["position_m"] = tuple(x for x, _ in position), tuple(half for _, (half,) in position)
        elif words[0] == "hkl=":
            values["hkl"], values["hkl_nearest"] = _fixed(words[1:4]), (tuple(map(float, words[5:8])), ())
        elif words[0] == "F_cell=":
            values["F_cell"], values["F_latt"] = _general(words[1]), _general(words[3])
            values["sum"] = _general(words[-1])
        elif words[0] in _SINGLE:
            values[_SINGLE[words[0]]] = _general(words[1], 10)
        elif words[0] in ("X:", "Y:", "Z:") and len(rows) < 3:
            rows.append(words[1:4])
    if "pixel" in values:
        value, (half,) = values["pixel"]
        assert isinstance(value, float)
        values["pixel"] = value, (half + _FLOAT32 * abs(value),)
    if len(rows) == 3:
        for name, column in zip(("a_m", "b_m", "c_m"), zip(*rows, strict=True), strict=True):
            vector, halves = _fixed(column)
            values[name] = tuple(1e-10 * x for x in vector), tuple(1e-10 * half for half in halves)
    return Printed((slow, fast), values)


_SINGLE = {"I/steps": "sum_per_step", "polar": "polarization", "omega": "solid_angle_sr", "capfrac": "capture_fraction",
           "pixel": "pixel"}  # fmt: skip


def _general(token: str, digits: int = 6) -> tuple[float, tuple[float]]:
    """A number printed by %g with so many significant digits, and half a unit of the last; trailing zeros are dropped."""
    value = float(token)
    if value == 0 or not math.isfinite(value):
        return value, (0.0,)
    return value, (0.5 * 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1),)


def _fixed(tokens: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numbers printed by %f, and half a unit of their last digit."""
    halves = tuple(0.5 * 10.0 ** -len(token.partition(".")[2]) for token in tokens)
    return tuple(float(token) for token in tokens), halves


def as_trace(printed: Printed, whole: Trace, source: str = "printout") -> Trace:
    """The printed quantities at the places where a complete trace of the same pixel (`with_printed`) has them.

    The original prints the last value of every quantity. Factors that are evaluated once per pixel stand among the final
    product; what only the printed block has is left out. Indices and lattice factors of a last term that was skipped are
    left over from the term before, in the original and here.
    """
    steps = [TraceStep(name, index, *printed.values[wanted]) for wanted, name, index in _places(printed.values, whole)]
    order = {step.key: i for i, step in enumerate(whole.steps)}
    return Trace(printed.pixel, source, sorted(steps, key=lambda step: order[step.key]), complete=False)


_FINAL = {"polarization": "final_polarization", "solid_angle_sr": "final_solid_angle_sr",
          "capture_fraction": "final_capture_fraction"}  # fmt: skip


def _places(values: dict[str, Any], whole: Trace) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    last = {step.name: step for step in whole.steps if step.index}
    for wanted in values:
        name = wanted
        final = _FINAL.get(wanted)
        if final in last and last[final].value:
            name = final
        if name in last:
            yield wanted, name, last[name].index


def with_printed(whole: Trace) -> Trace:
    """The trace with the two quantities that are computed for the printed block alone."""
    x, y, z = whole.last("position_m")
    stol = math.sin(math.atan2(math.sqrt(y * y + z * z), x) / 2) / whole.last("wavelength_central_m") / 1e10
    extra = [
        TraceStep("stol_of_position_per_angstrom", OUTSIDE, stol),
        TraceStep("sum_per_step", OUTSIDE, whole.last("sum") / whole.last("steps")),
    ]
    return Trace(whole.pixel, whole.source, [*whole.steps[:-1], *extra, whole.steps[-1]], whole.complete)
