"""A refinement against the measured image, whose steps are seen."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nanobragg.api import decide
from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError, CoreError, NanoBraggError
from nanobragg.explorer.comparison.measured import Measured, by_panel, numbers_of, shapes_of
from nanobragg.explorer.readouts import has_spread
from nanobragg.explorer.session import Session, State, Tell
from nanobragg.refinement.refine import prepared
from nanobragg.refinement.results.result import Refinement
from nanobragg.refinement.shared import DEFAULTS
from nanobragg.refinement.variables.parameters import fluence_path
from nanobragg.refinement.variables.several import variables_of

_OF_CRYSTALS = {
    "misset_deg": True, "unit_cell": False, "n_cells": False, "mosaic.spread_deg": False, "displacement.b_angstrom2": False,
}  # fmt: skip
_OF_ALL = {
    "beam.fluence_per_m2": True, "beam.flux_per_s": True, "beam.wavelength_angstrom": False, "beam.energy_ev": False,
    "detector.distance_mm": False, "detector.beam_center_mm": False, "detector_pose.shift_mm": False,
    "detector_pose.rotation_deg": False,
}  # fmt: skip
"""What is offered where it can be refined, and whether it is chosen at first."""
_SCALES = ("beam.fluence_per_m2", "beam.flux_per_s")
_SEEN = 5.0
"""Standard errors that the flux must be above 0."""
_STOPPED = "stopped; undo brings back the start"
_CHANGED = "stopped: the experiment was changed meanwhile"
_ANOTHER = "stopped: the measured image was changed meanwhile; undo brings back the start"


def offered(experiment: Experiment) -> list[tuple[str, bool]]:
    """Paths that can be refined, and whether each is chosen at first."""
    several = isinstance(experiment.crystal, tuple)
    heads = [f"crystal[{i}]" for i in range(len(experiment.crystal))] if several else ["crystal"]
    paths = {f"{head}.{name}": on for head in heads for name, on in _OF_CRYSTALS.items()} | _OF_ALL
    scale = fluence_path(experiment)
    return [(path, on) for path, on in paths.items() if path not in _SCALES or path == scale if _can(experiment, path)]


def _can(experiment: Experiment, path: str) -> bool:
    if path.endswith("mosaic.spread_deg"):
        value = experiment.get(path)
        if not np.any(np.asarray(detached(value), float) > 0):
            return False  # without a spread there is nothing whose slope would lead anywhere
    try:
        variables_of(experiment, [path])
    except (NanoBraggError, TypeError, ValueError):
        return False
    return True


class Refining:
    """A refinement on a thread of its own: its steps move the experiment, all of them together one step of the history."""

    def __init__(self, session: Session, tell: Tell) -> None:
        self._session, self._tell = session, tell
        self._stop, self._why = threading.Event(), _STOPPED
        self._telling = threading.Lock()
        self._told: dict[str, Any] | None = None
        self._counts: Any = None
        self._thread: threading.Thread | None = None
        self._costs: list[float] = []
        self._rows: list[list[str]] = []
        self._mine: State | None = None
        self._number, self._stage = 0, ""
        self.found: Refinement | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, measured: Measured, paths: Sequence[str], free: bool = False) -> None:
        """Begin; `free`: every spot has a factor of its own, so that structure factors need not be known, nor the flux.

        Raises
        ------
        ConfigError
            While one is running, without anything to refine, and for an image of another detector.
        """
        if self.running:
            raise ConfigError("refine", "a second one", "waits until the first has ended", "stop it")
        if free:
            paths = [path for path in paths if path not in _SCALES]
        if not paths:
            raise ConfigError(
                "refine", [], "needs a path", "choose what may change" + (" beside the flux" if free else "")
            )
        measured.check(self._session.state.experiment)
        self._stop.clear()
        self._counts = measured.counts
        self._costs, self._rows, self._number = [], [], self._number + 1
        self.found = None
        self._thread = threading.Thread(
            target=self._run, args=(measured, list(paths), free), name="nanobragg-refine", daemon=True
        )
        self._thread.start()

    def stop(self, why: str = _STOPPED) -> None:
        """End it; what it has found so far stays."""
        self._why = why
        self._stop.set()

    def check(self, measured: Measured | None) -> None:
        """End it, unless this is the image that it has begun with: its scale and mask may be others."""
        if self.running and (measured is None or measured.counts is not self._counts):
            self.stop(_ANOTHER)

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, measured: Measured, paths: list[str], free: bool) -> None:
        self._stage = "begins"
        self._say(self._stage, running=True)
        try:
            with np.errstate(all="ignore"):  # wild values are told by the misfit, not on the terminal
                self._refined(measured, paths, "free" if free else "model")
        except _MovedOn:
            self._say(_CHANGED, running=False)
        except CoreError as error:  # what a canceled refinement ends with
            if self._stop.is_set():
                self._say(self._why, running=False)
            elif self._ended():
                self._say(_CHANGED, running=False)
            else:
                self._say(str(error), running=False, level="error")
        except NanoBraggError as error:
            self._say(str(error), running=False, level="error")
        except MemoryError:
            self._say("not enough memory", running=False, level="error")
        except Exception as error:  # whatever goes wrong in there, the page is told that it has ended
            self._say(f"the refinement failed: {type(error).__name__}: {error}", running=False, level="error")

    def _refined(self, measured: Measured, paths: list[str], intensities: str) -> None:
        state = self._session.state
        start, readout = state.experiment, state.readout
        self._mine = state
        numbers = numbers_of(state)
        gain = numbers.gain
        factor = 1.0 if self._session.reads_out else gain
        scale, share = fluence_path(start), measured.factor / factor
        # what the page shows times the factor are counts: photons of the model are counts over the gain, or errors were wrong
        brightness = float(detached(start.get(scale) or decide(start)[0][0].experiment.get(scale)))
        lit = start if share == 1.0 else start.replace(scale, brightness * share)
        free = scale in paths
        # with the flux the scale is found: it is that of the detector from the first step on
        explained = measured.explained(factor, numbers.pedestal if self._session.reads_out else 0.0)
        scaled = (*state.scaled, explained) if free and share != 1.0 else state.scaled
        fit = prepared(by_panel(measured.counts, shapes_of(start)), lit, {
            **DEFAULTS, "refine": paths, "intensities": intensities, "gain": gain, "offset": numbers.pedestal,
            "read_noise": numbers.noise, "mask": measured.counted(shapes_of(start)),
            "progress": self._report, "cancel": self._ended,
        })  # fmt: skip

        def back(experiment: Experiment) -> Experiment:
            return experiment if free or share == 1.0 else experiment.replace(scale, start.get(scale))

        def watch(variables: Any, x: Any, misfit: float | None) -> None:
            if misfit is not None:
                self._costs.append(misfit)
            self._rows = [[name, f"{value:.7g}", "", unit] for name, value, unit in
                          zip(variables.names, variables.values(x), variables.units, strict=True)]  # fmt: skip
            # the domains of a step may be more than those of the experiment
            self._move(replace(state, experiment=back(fit.parameters.experiment(x)), scaled=scaled))
            self._say(self._stage, running=True)

        fit.watch, fit.warns = watch, False  # its remarks are told on the page
        found = fit.run(None, True)
        self._move(replace(state, experiment=back(found.experiment), scaled=scaled))
        self.found = found
        self._rows = _rows(found)
        spread = self._session.switches["spread"] and has_spread(readout)
        text, doubted = _told(found, ["point spread is not in the model of a refinement"] if spread else [])
        self._say(text, running=False, level="doubt" if doubted else "good")

    def _report(self, stage: str, done: int, total: int) -> None:
        self._stage = f"{stage}, stage {done} of {total} at most" if done < total else stage
        self._say(self._stage, running=True)

    def _ended(self) -> bool:
        return self._stop.is_set() or self._session.state is not self._mine

    def _move(self, state: State) -> None:
        """Show a step; a change by hand meanwhile ends it all."""
        session = self._session
        with session.lock:
            if session.state is not self._mine:
                raise _MovedOn
            session.take(state, f"refinement {self._number}", together=True)
            self._mine = session.state

    def _say(self, text: str, *, running: bool, level: str = "note") -> None:
        with self._telling:
            self._told = {"kind": "refinement", "said": text, "running": running, "level": level, "costs": self._costs,
                          "rows": self._rows, "report": not running and self.found is not None}  # fmt: skip
            self._tell(self._told)

    def tell_again(self, tell: Tell) -> None:
        """Tell a page that has opened what was told last."""
        with self._telling:
            if self._told is not None:
                tell(self._told)


class _MovedOn(Exception):
    """The state was changed by hand, or undone, while it was refined."""


def _rows(found: Refinement) -> list[list[str]]:
    """Name, value, error and unit."""
    return [[name, _rounded(value, error), f"{error:.2g}", unit] for name, value, error, unit in
            zip(found.names, found.estimate, found.errors.values(), found.units, strict=True)]  # fmt: skip


def _rounded(value: float, error: float) -> str:
    """A value with as many digits as its error of two digits says."""
    if not (np.isfinite(error) and error > 0 and value != 0):
        return f"{value:.7g}"
    digits = int(np.floor(np.log10(abs(value))) - np.floor(np.log10(error))) + 2
    return f"{value:.{min(max(digits, 1), 12)}g}"


def _told(found: Refinement, more: list[str]) -> tuple[str, bool]:
    """What is to be known beside the values, and whether it throws doubt on them."""
    remarks = [*found.message.split("; "), *more]
    for name, value, error in zip(found.names, found.estimate, found.errors.values(), strict=True):
        if name in _SCALES and value < _SEEN * error:
            remarks.append("the flux is hardly more than its error: is there anything of this pattern in the image?")
    # that spots were too few for their places to be fitted does not matter to pixels that are
    doubted = any("places to be fitted" not in remark for remark in remarks[1:]) or not found.converged
    text = "\n".join(remarks)
    return f"{text}\nchi-squared {found.chi2:.3f}, {len(found.spots)} shoeboxes, {found.rejected} left out", doubted
