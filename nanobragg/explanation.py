"""What a run will do and why: decisions, ineffective settings, quirks at work, size and kernel."""

from __future__ import annotations

from dataclasses import dataclass

from nanobragg.config import Experiment
from nanobragg.derive import derivation
from nanobragg.resolve import Decision, Notes, resolve
from nanobragg.triggers import Trigger, triggered


@dataclass(frozen=True)
class Explanation:
    """The record that `explain` returns; ``str()`` gives readable text."""

    experiment: Experiment
    """decided"""
    decisions: list[Decision]
    ineffective: list[str]
    quirks: list[Trigger]
    pixels: int
    evaluations: int
    kernel: str

    def __str__(self) -> str:
        lines = [
            f"fidelity: {self.experiment.fidelity}",
            f"rendered pixels: {self.pixels}",
            f"evaluations: {self.evaluations}",
            f"kernel: {self.kernel}",
        ]
        lines += [f"decided: {d.path} = {d.value}  ({d.rule})" for d in self.decisions]
        lines += [f"no effect: {text}" for text in self.ineffective]
        for trigger in self.quirks:
            tail = " [refused when corrected]" if trigger.refused else ""
            lines.append(f"quirk: {trigger.quirk.name}: {trigger.quirk.text.original} ({trigger.reason}){tail}")
        return "\n".join(lines)


def explain(experiment: Experiment) -> Explanation:
    """Say what was decided automatically, what has no effect, which quirks change pixels, and how much work it is.

    Parameters
    ----------
    experiment : Experiment
        What would be simulated.

    Returns
    -------
    Explanation
        A record; ``print(explain(experiment))`` shows it.
    """
    from nanobragg.backend_c import chosen_kernel

    notes = Notes()
    decided = resolve(experiment, notes)
    scene = derivation(decided).scene
    return Explanation(
        decided,
        notes.decisions,
        notes.ineffective,
        triggered(experiment, decided),
        scene.n_pixels,
        scene.evaluations,
        chosen_kernel(scene, "auto"),
    )
