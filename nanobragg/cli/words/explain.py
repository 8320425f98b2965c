"""`nanoBragg explain`: what every flag did, what was decided, which quirks are at work, and how long it will take."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nanobragg.cli.dropin.named_flags import doubts_in_flags, name_in_flags, note_doubtful_values
from nanobragg.cli.dropin.render import engine_of
from nanobragg.cli.said import complain
from nanobragg.cli.words.common.flag_effects import FlagEffect, flag_effects, parser_quirks, without_collision
from nanobragg.cli.words.common.tool import AGREE, Options, with_status
from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.decisions.notes import Decision
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.orientations import seeded
from nanobragg.derivation.placement import Placement, apart
from nanobragg.derivation.resolve import resolve
from nanobragg.errors import ConfigError, NanoBraggError, PlausibilityWarning
from nanobragg.exchange.command_line.files import ReflectionInput, read_reflections
from nanobragg.exchange.command_line.meaning import build_experiment
from nanobragg.exchange.command_line.reading import read_command, require_inputs
from nanobragg.inspection.explanation import Explanation, explain, explanation_of
from nanobragg.inspection.quirk_cost import quirk_costs
from nanobragg.inspection.triggers import Trigger, triggered


def run_explain(args: Sequence[str]) -> int:
    """Run the subcommand; see `nanobragg.cli.words.common.tool` for the exit status."""
    return with_status(_run, args)


def _options() -> Options:
    options = Options("explain", "What a command line or an experiment file means, and what it would do; nothing is written.",
                      "EXPERIMENT.toml | -- FLAGS")  # fmt: skip
    options.add_experiment()
    options.add_argument(
        "--measure", action="store_true", help="render a coarse grid of pixels without each quirk in turn, and say what it costs"
    )  # fmt: skip
    options.add_argument("--json", action="store_true", help="print a record for programs")
    return options


def _run(args: Sequence[str]) -> int:
    options = _options()
    typed, flags = options.read(args)
    experiment = options.experiment_in(typed, flags)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # everything is told below
        try:
            if experiment is None:
                effects, explanation, notes = explain_flags(flags, measure=typed.measure)
            else:
                effects, explanation, notes = [], explain(experiment, measure=typed.measure), []
        except ConfigError:
            if experiment is not None:
                raise
            note_doubtful_values(line := read_command(flags))
            for note in line.notes:
                if issubclass(note.category, PlausibilityWarning):
                    complain(f"warning: {note.text}")
            raise
    if typed.json:
        sys.stdout.write(json.dumps(_record(effects, explanation, notes), indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(effects, explanation, notes)) + "\n")
    return AGREE


def explain_flags(flags: Sequence[str], *, measure: bool = False) -> tuple[list[FlagEffect], Explanation, list[str]]:
    """What the flags did, the explanation of the run, and everything else that there is to tell.

    Raises
    ------
    UsageError, ConfigError, FileFormatError
        For a command line that would not run.
    """
    line = read_command(flags)
    require_inputs(line)
    reflections = read_reflections(line)
    typed = build_experiment(line, reflections)
    experiment = seeded(typed)
    effects = flag_effects(line)
    chosen = engine_of(line)
    decided = resolve(experiment)
    if experiment is not typed:
        rule = "entropy from the system, drawn anew by each run"
        decided.notes.decisions.insert(0, Decision("crystal.misset_seed", experiment.crystal.misset_seed, rule))
    d = derivation(decided, glance=not measure)
    found = [Trigger(quirk, reason) for quirk, reason in parser_quirks(line)]
    found += triggered(d)
    found += _read_differently(flags, decided, reflections, {trigger.quirk for trigger in found})
    costs = []
    if measure:
        seed = experiment.crystal.misset_seed

        def without(quirk: Quirk) -> Experiment:
            return seeded(_without(flags, quirk, experiment.quirks, reflections), seed)

        costs = quirk_costs(experiment, [trigger.quirk for trigger in found], without)
    explanation = explanation_of(
        [d],
        found,
        chosen,
        costs=costs,
        doubts=doubts_in_flags(line, experiment),
        name=lambda path: name_in_flags(line, path),
    )
    return effects, explanation, [note.text for note in line.notes]


def _read_differently(
    flags: Sequence[str], decided: Decided, reflections: ReflectionInput, known: set[Quirk]
) -> Iterator[Trigger]:
    """The quirks that move something because of how the flags are read, so that the experiment alone does not show it."""
    for quirk in (Quirk.PIVOT_FORCED, Quirk.CUSTOM_CHANGES_CENTRE):
        quirks = decided.experiment.quirks
        if quirk in quirks and quirk not in known:
            try:
                other = resolve(_without(flags, quirk, quirks, reflections)).placement
            except NanoBraggError:
                yield Trigger(quirk, "the flags are read differently", refused=True)
                continue
            if _placed_apart(decided.placement, other):
                yield Trigger(quirk, "the flags are read differently")


def _placed_apart(one: Placement, other: Placement) -> bool:
    """Whether beam, spindle or detector stand differently."""
    names = ("pix0", "fast", "slow", "normal", "beam", "polarization_axis", "spindle")
    return any(apart(getattr(one, name), getattr(other, name)) for name in names)


def _without(flags: Sequence[str], quirk: Quirk, quirks: frozenset[Quirk], reflections: ReflectionInput) -> Experiment:
    """The experiment that the flags mean without one quirk: they are read again, for some quirks change how."""
    names = ",".join(sorted(member.name or "" for member in quirks - {quirk})) or "none"
    line = read_command([*flags, "--quirks", names])
    if quirk in (Quirk.MISSET_SEED_SETS_MISSET, Quirk.TWOTHETA_AXIS_SETS_ANGLE):
        line = without_collision(line, quirk)
    return build_experiment(line, reflections)


def _lines(effects: list[FlagEffect], explanation: Explanation, notes: list[str]) -> Iterator[str]:
    if effects:
        yield "flags:"
    width = max((len(effect.typed) for effect in effects), default=0)
    width = min(width, 40)
    for effect in effects:
        yield f"  {effect.typed:<{width}}  {effect.text}"
    if notes:
        yield "notes:"
        yield from (f"  {text}" for text in notes)
    yield "run:"
    yield from (f"  {text}" for text in explanation.lines())


def _record(effects: list[FlagEffect], explanation: Explanation, notes: list[str]) -> dict[str, Any]:
    costs = {cost.quirk: cost for cost in explanation.costs}
    quirks = []
    for trigger in explanation.quirks:
        cost = costs.get(trigger.quirk)
        measured = None if cost is None else {**asdict(cost), "quirk": cost.quirk.name}
        refused = trigger.refused or bool(cost and cost.refused)
        quirks.append({"name": trigger.quirk.name, "reason": trigger.reason, "refused": refused, "cost": measured})
    return {
        "fidelity": explanation.experiment.fidelity,
        "flags": [asdict(effect) for effect in effects],
        "notes": notes,
        "decisions": [{"path": d.path, "value": _json(d.value), "rule": d.rule} for d in explanation.decisions],
        "ineffective": [str(note) for note in explanation.ineffective],
        "quirks": quirks,
        "pixels": explanation.pixels,
        "evaluations": explanation.evaluations,
        "loops": explanation.factors,
        "kernel": explanation.kernel,
        "threads": explanation.threads,
        "seconds": explanation.seconds,
        "memory_bytes": explanation.memory_bytes,
        "gradients": explanation.gradients,
        "detectors": explanation.detectors,
        "doubts": explanation.doubts,
        "sampling": explanation.sampling,
    }  # fmt: skip


def _json(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
