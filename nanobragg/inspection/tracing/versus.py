"""Where two traces part: the first quantity that differs, and how the difference grows from there.

A difference is judged on the quantity's own scale, so that 1e-9 means the same everywhere:

    vectors                 the norm of the vector
    h, k, l                 max(1, |h|), element by element
    factors of an axis      N of that axis (square crystals), Na Nb Nc (others)
    F_latt                  Na Nb Nc
    term                    F_cell^2 |F_latt| Na Nb Nc g, by which F_latt^2 moves when F_latt moves on its scale
    running sum, sum        the terms' scales, carried along with the sum
    pixel                   the sum's scale, in photons
    anything else           its own size
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import field, replace
from itertools import zip_longest
from numbers import Real

from nanobragg import _core
from nanobragg.errors import ConfigError
from nanobragg.inspection.tracing.quantities import place_of, unit_of
from nanobragg.inspection.tracing.trace import Trace, TraceStep, Value
from nanobragg.lazy import dataclass

DEFAULT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """One quantity in two traces."""

    name: str
    index: tuple[int, ...]
    a: Value | None
    """None: this trace does not have it"""
    b: Value | None
    difference: float
    """on the quantity's own scale; infinite where one trace lacks it, or a word or NaN differs"""

    def __str__(self) -> str:
        if self.a is None or self.b is None:
            holder, value = ("second", self.b) if self.a is None else ("first", self.a)
            return f"{self.name} {place_of(self.index)}: only the {holder} has it ({_show(value)})"
        unit = f" {unit_of(self.name)}" if unit_of(self.name) else ""
        return (f"{self.name} {place_of(self.index)}: {_show(self.a)} against {_show(self.b)}{unit}, "
                f"{self.difference:.3g} of its scale")  # fmt: skip


@dataclass(frozen=True)
class TraceComparison:
    """What `compare_traces` returns; true when the traces agree, ``str()`` gives the finding."""

    tolerance: float
    names: tuple[str, str]
    """where the traces come from"""
    pixel: tuple[int, int]
    """(slow, fast)"""
    first: Difference | None
    """the first quantity beyond the tolerance; None: the traces agree"""
    growth: list[Difference] = field(default_factory=list)
    """from the first difference on, the largest difference of every quantity, in the order of evaluation"""
    largest: Difference | None = None
    """the largest difference of all"""
    compared: int = 0
    """quantities that both traces have"""
    noise: str = ""
    """the quirk by which the original's lattice factor there is rounding noise (csrc/nanobragg.h); empty: it is not"""

    def __bool__(self) -> bool:
        return self.first is None

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The finding in readable lines."""
        slow, fast = self.pixel
        head = f"pixel slow {slow} fast {fast}, {self.names[0]} against {self.names[1]}"
        if self.first is None:
            yield f"{head}: {self.compared} quantities agree within {self.tolerance:g}"
            if self.largest is not None and self.largest.difference > 0:
                yield f"largest difference: {self.largest}"
            return
        yield f"{head}: first divergence (tolerance {self.tolerance:g})"
        yield f"  {self.first}"
        if self.noise:
            yield f"  the original's lattice factor is rounding noise here ({self.noise}), which the C engine reproduces in"
            yield "  reference fidelity and torch does not; this difference may be that and nothing else"
        yield "how the difference grows from there:"
        for grown in self.growth:
            shown = "one side only" if math.isinf(grown.difference) else f"{grown.difference:.3g}"
            yield f"  {grown.name:<30} {shown:>14}  {place_of(grown.index)}"


def compare_traces(a: Trace, b: Trace, tolerance: float = DEFAULT_TOLERANCE) -> TraceComparison:
    """Find the first quantity in which two traces of a pixel differ.

    Parameters
    ----------
    a, b : Trace
        From `trace`, or read from a printed block.
    tolerance : float
        Largest difference that counts as none, on the quantity's own scale (see `nanobragg.inspection.tracing.versus`).

    Returns
    -------
    TraceComparison

    Raises
    ------
    ConfigError
        For what is no trace, or a tolerance that is no number >= 0.
    """
    for name, given in (("a", a), ("b", b)):
        if not isinstance(given, Trace):
            raise ConfigError(name, given, "must be a Trace", "nanobragg.trace(experiment, pixel) makes one")
    if not (isinstance(tolerance, Real) and tolerance >= 0):
        raise ConfigError("tolerance", tolerance, "must be a number >= 0")
    first: Difference | None = None
    largest: Difference | None = None
    grown: dict[str, Difference] = {}
    compared = 0
    noise = ""
    for part, scales, step_a, step_b in _judged(a, b):
        found = scales.judge(step_a, step_b)
        if part:
            found = replace(found, name=f"{part}: {found.name}")
        if step_a is not None and step_b is not None:
            compared += 1
        if largest is None or found.difference > largest.difference:
            largest = found
        if first is None and found.difference > tolerance:
            first = found
            name = found.name.rpartition(": ")[2]
            noise = scales.noise if name.startswith(("F_latt", "term", "running", "sum", "pixel")) else ""
        if first is not None and (found.name not in grown or found.difference > grown[found.name].difference):
            grown[found.name] = found
    return TraceComparison(
        tolerance, (a.source, b.source), a.pixel, first, list(grown.values()), largest, compared, noise
    )


def _judged(a: Trace, b: Trace) -> Iterator[tuple[str, _Scales, TraceStep | None, TraceStep | None]]:
    """The steps of both traces side by side with the name of their part and what judges them; parts go by their number."""
    for one, other in zip_longest(a.parts, b.parts):
        here = one or replace(other, steps=[])
        there = other or replace(one, steps=[])
        scales = _Scales(here, there)
        for pair in _paired(here, there):
            yield here.name, scales, *pair
    scales = _Scales(a, b)
    for pair in _paired(a, b):
        yield "", scales, *pair


def _paired(a: Trace, b: Trace) -> Iterator[tuple[TraceStep | None, TraceStep | None]]:
    """The steps of both traces in the order of evaluation, side by side; None where a complete trace lacks a step."""
    in_a, in_b = {step.key: step for step in a.steps}, {step.key: step for step in b.steps}
    rest = iter(b.steps)
    for step in a.steps:
        if step.key in in_b:
            for other in rest:  # what only b has, up to the step that both have
                if other.key == step.key:
                    break
                if other.key not in in_a and a.complete:
                    yield None, other
            yield step, in_b[step.key]
        elif b.complete:
            yield step, None
    for other in rest:
        if other.key not in in_a and a.complete:
            yield None, other


class _Scales:
    """The scale of every quantity, from what came before it."""

    def __init__(self, a: Trace, b: Trace) -> None:
        whole = a if a.complete else b
        cells = next((step.numbers for step in whole.steps if step.name == "n_cells"), (1.0, 1.0, 1.0))
        self.shape = next((step.value for step in whole.steps if step.name == "shape"), "square")
        self.fudge = next((step.numbers[0] for step in whole.steps if step.name == "fudge"), 1.0)
        self.cells = tuple(max(1.0, n) for n in cells)
        self.n = math.prod(self.cells)
        self.axes = self.cells if self.shape == "square" else (self.n,) * 3
        self.f_latt = self.sum = 0.0  # |F_latt| of the term at hand; scale of the running sum
        self.term = 0.0
        self.total = self.running = 0.0
        self.noise = ""

    def judge(self, a: TraceStep | None, b: TraceStep | None) -> Difference:
        """The difference of two steps of the same key."""
        step = a or b
        assert step is not None
        x, y = () if a is None else a.numbers, () if b is None else b.numbers
        self._follow(step.name, x, y)
        values = (None if a is None else a.value, None if b is None else b.value)
        if a is None or b is None or len(x) != len(y) or isinstance(a.value, str):
            same = a is not None and b is not None and a.value == b.value
            return Difference(step.name, step.index, *values, 0.0 if same else math.inf)
        slacks = a.resolution or b.resolution or (0.0,) * len(x)
        ratios = (_ratio(*each) for each in zip(x, y, slacks, self._of(step.name, x, y), strict=True))
        worst = max(ratios, default=0.0)
        return Difference(step.name, step.index, *values, worst)

    def _of(self, name: str, x: tuple[float, ...], y: tuple[float, ...]) -> tuple[float, ...]:
        size = max(_norm(x), _norm(y))
        if name in ("hkl", "hkl_nearest"):
            return tuple(max(1.0, abs(p), abs(q)) for p, q in zip(x, y, strict=True))
        special = {"F_latt_axes": self.axes, "F_latt": (self.n,), "term": (self.term,), "running_sum": (self.sum,)}
        if name in special:
            return special[name]
        if name in ("sum", "sum_per_step"):
            return (max(size, self.sum * (size / abs(self.total) if self.total else 1.0)),)
        if name in ("pixel", "sum_photons"):
            return (size * max(1.0, self.sum / abs(self.total)) if self.total else size,)
        return (size,) * len(x)

    def _follow(self, name: str, x: tuple[float, ...], y: tuple[float, ...]) -> None:
        """Take note of what later scales are made of."""
        values = x or y
        if name == "hkl":
            self.noise = self._noise(values)
        elif name == "F_latt":
            self.f_latt = max(_norm(x), _norm(y))
        elif name == "term":
            size = max(_norm(x), _norm(y))
            self.term = size * max(1.0, self.n / self.f_latt) if self.f_latt else size
            self._last_term = values[0]
        elif name == "running_sum":
            before = self.running + self._last_term
            carried = abs(values[0] / before) if before else 1.0
            self.sum = max((self.sum + self.term) * carried, abs(values[0]))
            self.running = values[0]
        elif name == "background":
            self.sum += _norm(values)
        elif name == "sum":
            self.total = values[0]
            self.sum = max(self.sum, abs(values[0]))

    _last_term = 0.0

    def _noise(self, hkl: tuple[float, ...]) -> str:
        """The quirk by which the original's lattice factor at these indices is rounding noise."""
        if not all(map(math.isfinite, hkl)):
            return ""
        offsets = [h - round(h) for h in hkl]
        if self.shape == "round":
            rho_sqr = sum((f * n) ** 2 for f, n in zip(offsets, self.cells, strict=True)) * self.fudge
            return "SINC3_CANCELLATION" if 0 <= rho_sqr < (_core.SINC3_NOISE / math.pi) ** 2 else ""
        axes = (a for a in zip(hkl, offsets, self.cells, strict=True) if math.frexp(a[2])[0] != 0.5)  # no power of two
        noisy = any(abs(f) < _core.SINCG_NOISE * abs(h) for h, f, _ in axes)
        return "SINCG_ROUNDOFF" if self.shape == "square" and noisy else ""


def _ratio(p: float, q: float, slack: float, scale: float) -> float:
    if p == q or (math.isnan(p) and math.isnan(q)):
        return 0.0
    difference = abs(p - q) - slack
    if not math.isfinite(difference):
        return math.inf
    difference = max(0.0, difference)
    return difference / scale if scale > 0 else (math.inf if difference > 0 else 0.0)


def _norm(values: tuple[float, ...]) -> float:
    return math.sqrt(sum(v * v for v in values))


def _show(value: Value | None) -> str:
    if isinstance(value, tuple):
        shown = [f"{x:.17g}" for x in value[:6]]
        return "(" + ", ".join(shown + (["..."] if len(value) > 6 else [])) + ")"
    return f"{value:.17g}" if isinstance(value, float) else str(value)
