"""A refinement against the measured image, whose steps are seen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.explorer.comparison.measured import Measured
from nanobragg.explorer.session import Session
from nanobragg.refinement.refine import refine
from nanobragg.refinement.results.result import Refinement

PATHS = {
    "crystal.misset_deg": True, "crystal.unit_cell": False, "crystal.n_cells": False, "crystal.mosaic.spread_deg": False,
    "beam.fluence_per_m2": True, "beam.wavelength_angstrom": False, "detector.distance_mm": False,
    "detector_pose.shift_mm": False,
}  # fmt: skip
"""What is offered, and whether it is chosen at first."""
_ROUNDS = (2, 4, 30)
"""Evaluations of each stage: what comes out of each round is seen before the next one begins."""


class Refining:
    """A refinement on a thread of its own; its rounds become steps of the session's history."""

    def __init__(self, session: Session, tell: Callable[[dict[str, Any]], None]) -> None:
        self._session, self._tell = session, tell
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._costs: list[float] = []

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, measured: Measured, paths: Sequence[str]) -> None:
        """Begin.

        Raises
        ------
        ConfigError
            While one is running, and without anything to refine.
        """
        if self.running:
            raise ConfigError("refine", "a second one", "waits until the first has ended", "stop it")
        if not paths:
            raise ConfigError("refine", [], "needs a path", "choose what may change")
        self._stop.clear()
        self._costs = []
        self._thread = threading.Thread(
            target=self._run, args=(measured, list(paths)), name="nanobragg-refine", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it; what it has found so far stays."""
        self._stop.set()

    def _run(self, measured: Measured, paths: list[str]) -> None:
        try:
            self._rounds(measured, paths)
        except NanoBraggError as error:
            self._say("stopped" if self._stop.is_set() else str(error), running=False)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            self._say(f"the refinement failed: {error}", running=False)

    def _rounds(self, measured: Measured, paths: list[str]) -> None:
        for number, steps in enumerate(_ROUNDS, 1):
            state = self._session.state
            self._say(f"round {number} of {len(_ROUNDS)}", running=True)
            # counts are photons times the factor, and the fluence takes the rest
            found = refine(
                measured.counts, state.experiment, refine=paths, gain=measured.factor, offset=measured.offset,
                saturation=measured.high, mask=measured.counted(), max_steps=steps, positions=number == 1,
                cancel=self._stop.is_set, progress=partial(self._report, number),
            )  # fmt: skip
            if self._session.state.experiment is not state.experiment:
                self._say("stopped: the experiment was changed meanwhile", running=False)
                return
            self._session.take(replace(state, experiment=found.experiment), "")
            self._costs += [float(step.cost) for step in found.steps if step.name.startswith("pixels")]
            self._say(_told(found), running=number < len(_ROUNDS))

    def _report(self, number: int, stage: str, done: int, total: int) -> None:
        self._say(f"round {number} of {len(_ROUNDS)}: {stage}, {done} of {total}", running=True)

    def _say(self, text: str, *, running: bool) -> None:
        self._tell({"kind": "refinement", "said": text, "running": running, "costs": self._costs})


def _told(found: Refinement) -> str:
    """Values with their errors, two lines each: the column of the page is narrow."""
    lines = [found.message, f"chi-squared {found.chi2:.3f}, {len(found.spots)} shoeboxes, {found.rejected} left out"]
    for name, value, error, unit in zip(found.names, found.estimate, found.errors.values(), found.units, strict=True):
        lines += [name, f"    {value:.7g} ± {error:.2g} {unit}"]
    return "\n".join(lines)
