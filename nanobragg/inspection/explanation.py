"""What a run will do and why: decisions, ineffective settings, quirks at work, size and kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from typing import TypeVar

from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation import panels
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.decisions.notes import Decision, Ineffective
from nanobragg.derivation.derive import Derivation, derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import Engine
from nanobragg.inspection.convergence import diffuse_sampling, sampling
from nanobragg.inspection.foresight.cost import estimate
from nanobragg.inspection.foresight.long_run import Name, duration, long_run
from nanobragg.inspection.foresight.plausible import decided_doubts, typed_doubts
from nanobragg.inspection.named_detector import named_detectors
from nanobragg.inspection.quirk_cost import QuirkCost, quirk_costs
from nanobragg.inspection.triggers import Trigger, triggered
from nanobragg.lazy import dataclass

T = TypeVar("T")


@dataclass(frozen=True)
class Explanation:
    """The record that `explain` returns; ``str()`` gives readable text."""

    experiment: Experiment
    """decided"""
    decisions: list[Decision]
    ineffective: list[Ineffective]
    quirks: list[Trigger]
    pixels: int
    """rendered"""
    evaluations: int
    kernel: str
    gradients: str
    """the kernel of backend="torch" that gives them"""
    factors: dict[str, int] = field(default_factory=dict)
    """the loops of one pixel, whose product with the pixels is the number of evaluations"""
    seconds: float | None = None
    """how long it will take; None: not estimated"""
    threads: int = 1
    costs: list[QuirkCost] = field(default_factory=list)
    """what each quirk costs, when that was measured"""
    memory_bytes: int = 0
    """peak, beside the interpreter"""
    doubts: list[str] = field(default_factory=list)
    """values that are hardly ever meant, and why the run is long"""
    sampling: list[str] = field(default_factory=list)
    """how well the mosaic domains stand for all of them, and what diffuse scattering leaves out"""
    detectors: list[str] = field(default_factory=list)
    """of `Detector.preset`, with the sources of their numbers"""

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Readable text."""
        yield f"fidelity: {self.experiment.fidelity}"
        yield f"rendered pixels: {self.pixels}"
        loops = " x ".join(f"{count} {name}" for name, count in self.factors.items() if count > 1)
        yield f"evaluations: {self.evaluations}" + (f" = {self.pixels} pixels x {loops}" if loops else "")
        yield f"kernel: {self.kernel}"
        yield f"gradients: {self.gradients}"
        if self.seconds is not None:
            yield f"time: about {duration(self.seconds)} on {self.threads} thread{'s' if self.threads > 1 else ''}"
        if self.memory_bytes:
            yield f"memory: about {self.memory_bytes / 2**20:.0f} MiB"
        yield from (f"detector: {text}" for text in self.detectors)
        yield from (f"doubtful: {text}" for text in self.doubts)
        yield from (f"sampling: {text}" for text in self.sampling)
        yield from (f"decided: {d.path} = {d.value}  ({d.rule})" for d in self.decisions)
        yield from (f"no effect: {note}" for note in self.ineffective)
        measured = {cost.quirk: cost for cost in self.costs}
        if not self.quirks:
            yield "quirks: none"
        for trigger in self.quirks:
            cost = measured.get(trigger.quirk)
            refused = " [refused when corrected]" if trigger.refused and cost is None else ""
            yield f"quirk: {trigger.quirk.name}: {trigger.quirk.text.original} ({trigger.reason}){refused}"
            if cost is not None:
                yield f"       {cost}"


def explain(experiment: Experiment, *, measure: bool = False) -> Explanation:
    """Say what was decided automatically, what has no effect, which quirks change pixels, and how much work it is.

    Parameters
    ----------
    experiment : Experiment
        What would be simulated.
    measure : bool
        Also render a coarse grid of pixels without each quirk in turn, and say what it costs; of several panels, where it
        costs most.

    Returns
    -------
    Explanation
        A record; ``print(explain(experiment))`` shows it. Of a detector of several panels, which are decided one by one:
        counts, time and memory of all; what is decided alike for all of them stands there once.
    """
    crystals = lattices.experiments(experiment)
    if len(crystals) > 1:
        return _together([explain(one) for one in crystals])
    parts = [derivation(resolve(part), glance=not measure) for part in panels.experiments(experiment)]
    found = list({trigger.quirk: trigger for d in reversed(parts) for trigger in reversed(triggered(d))}.values())[::-1]
    costs: dict[Quirk, QuirkCost] = {}
    for part in panels.experiments(experiment) if measure else ():
        for cost in quirk_costs(part, [trigger.quirk for trigger in found]):
            known = costs.get(cost.quirk)
            costs[cost.quirk] = cost if known is None or cost.rms > known.rms else known
    return explanation_of(parts, found, engine(DEFAULT_BACKEND), costs=list(costs.values()))


def _together(parts: list[Explanation]) -> Explanation:
    """What there is to tell of several lattices: decisions by crystal, sums of the work."""

    def of(i: int, text: str) -> str:
        return re.sub(r"^crystal\b", f"crystal[{i}]", text)

    decisions = [Decision(of(i, d.path), d.value, d.rule) for i, part in enumerate(parts) for d in part.decisions]
    notes = [
        Ineffective(tuple(of(i, path) for path in note.paths), note.reason)
        for i, part in enumerate(parts)
        for note in part.ineffective
    ]
    told = {(d.path, str(d.value)): d for d in decisions}  # what all share once
    seconds = [part.seconds for part in parts if part.seconds is not None]
    first = parts[0]
    whole = replace(first.experiment, crystal=tuple(part.experiment.crystal for part in parts))
    return Explanation(
        whole, list(told.values()), list({str(note): note for note in notes}.values()), [], first.pixels,
        sum(part.evaluations for part in parts), "; ".join(dict.fromkeys(part.kernel for part in parts)),
        "; ".join(dict.fromkeys(part.gradients for part in parts)), {"lattices": len(parts)}, sum(seconds) if seconds else None,
        first.threads, [], max(part.memory_bytes for part in parts), list(dict.fromkeys(t for p in parts for t in p.doubts)),
        [f"crystal[{i}]: {text}" for i, part in enumerate(parts) for text in part.sampling], first.detectors,
    )  # fmt: skip


def explanation_of(
    parts: Sequence[Derivation],
    found: Sequence[Trigger],
    chosen: Engine,
    *,
    costs: Sequence[QuirkCost] = (),
    doubts: Sequence[str] | None = None,
    name: Name = str,
) -> Explanation:
    """The record for an experiment whose parts, one a panel, were derived already, to be rendered by an engine.

    Doubts about typed values, and the words for fields, are those of Python unless they are given.
    """
    decided, scenes = [d.decided for d in parts], [d.scene for d in parts]
    found_cost = estimate(decided, scenes, chosen, probe=True)
    told = [str(doubt) for one in decided for doubt in typed_doubts(one.typed)] if doubts is None else list(doubts)
    told = told or decided_doubts(decided)
    told += filter(None, [long_run(found_cost, decided, scenes, name)])
    sizes, alike = len(parts[0].scenes), {tuple(loops(scene).items()) for scene in scenes}
    return Explanation(
        _whole(parts), _decisions(parts), _once(note for one in decided for note in one.notes.ineffective), list(found),
        sum(scene.n_pixels for scene in scenes), sizes * sum(scene.evaluations for scene in scenes),
        "; ".join(_once(chosen.kernel(scene) for scene in scenes)),
        "; ".join(_once(gradients(scene) for scene in scenes)),
        {"sizes": sizes, **loops(scenes[0])} if len(alike) == 1 else {},
        None if found_cost.seconds is None else sizes * found_cost.seconds, found_cost.threads, list(costs), found_cost.bytes,
        _once(told), _once(text for d in parts for text in [*sampling(d), *diffuse_sampling(d)]),
        _once(text for one in decided for text in named_detectors(one.experiment.detector)),
    )  # fmt: skip


def _once(values: Iterable[T]) -> list[T]:
    """Values in order, of those that read alike the first."""
    return list({str(value): value for value in reversed(list(values))}.values())[::-1]


def _whole(parts: Sequence[Derivation]) -> Experiment:
    """The decided experiment with all its panels."""
    first = parts[0].experiment
    return first if len(parts) == 1 else replace(first, detector=tuple(d.experiment.detector for d in parts))


def _decisions(parts: Sequence[Derivation]) -> list[Decision]:
    """The decisions, each with the panels that it was made for where it was not made for all of them."""
    made: dict[tuple[str, str, str], tuple[Decision, list[int]]] = {}
    for i, d in enumerate(parts):
        for one in d.decided.notes.decisions:
            made.setdefault((one.path, str(one.value), one.rule), (one, []))[1].append(i)
    return [
        one if len(where) == len(parts) else replace(one, rule=f"{one.rule}; panels {', '.join(map(str, where))}")
        for one, where in made.values()
    ]


def gradients(scene: Scene) -> str:
    """The kernel that backend="torch" takes where gradients are wanted, with the reason if it is not the C core."""
    obstacle = engine(DEFAULT_BACKEND).derivative_obstacle(scene)
    return "core" if obstacle is None else f"eager ({obstacle})"


def loops(scene: Scene) -> dict[str, int]:
    """The loops of one pixel, by name."""
    return {
        "layers": scene.n_layers, "sub-pixels": scene.oversample**2, "sources": scene.n_sources,
        "phi steps": scene.n_phi, "domains": scene.n_domains,
    }  # fmt: skip
