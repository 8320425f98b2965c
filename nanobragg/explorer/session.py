"""What an explorer holds: the experiment and its history, the thread that renders it, and the pictures of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.config.image_chain.readout import Psf, Readout
from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.explorer.changes import added, emptied, fixed, replaced, turned
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.readouts import has_spread, spread_um, with_value
from nanobragg.explorer.rendering import (
    Prepared,
    Renderer,
    Shot,
    Superseded,
    TooLong,
    as_images,
    doubts,
    without_background,
)  # fmt: skip
from nanobragg.exposure import expose
from nanobragg.lazy import dataclass

Tell = Callable[[dict[str, Any]], None]
"""Sends a message to every page."""

_STILL_SECONDS = 0.2
"""Without a change for so long, values are taken to be still."""
_TOGETHER_SECONDS = 1.0
"""Changes of one value that follow each other within are one step of the history."""
_MOST_STEPS = 200
SEED = 1
"""Of the noise; other noise is that of another frame."""
_SWITCHES_AT_FIRST = {"background": True, "spread": False, "noise": False}
SWITCHES = tuple(_SWITCHES_AT_FIRST)
_READ_OUT = {"spread": "point spread", "noise": "noise"}
_READOUT_SECONDS = 0.12
"""A response that takes no longer is that of pictures while values move, too."""


class Scaling(NamedTuple):
    """The scale of measured images went into the flux."""

    series: object
    """of images that share their scale"""
    before: tuple[float, float]
    """factor and offset"""
    after: tuple[float, float]


@dataclass(frozen=True, eq=False)
class State:
    """What undo goes back to."""

    experiment: Experiment
    readout: Readout
    scaled: tuple[Scaling, ...] = ()
    """what went into the flux up to here; with the flux it comes back"""


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame on its layout."""

    frame: Shot
    plan: Prepared
    layout: Layout
    values: Any
    """photons, or what the detector makes of them; as `nanobragg.simulate` returns images"""
    unit: str
    number: int
    event: int
    """number of the page's change that it shows"""


class Session:
    """An experiment that is rendered by a thread of its own whenever it changes."""

    def __init__(self, experiment: Experiment, readout: Readout | None = None) -> None:
        check_experiment(experiment)
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self.start = self.state = State(fixed(experiment), readout or Readout())
        self.switches = dict(_SWITCHES_AT_FIRST)
        self.noise_frame = 0
        self._past: list[State] = []
        self._future: list[State] = []
        self._last_change: tuple[str, float] = ("", 0.0)
        self._revision, self._event, self._moved = 1, 0, 0.0
        self._moving = False
        self._insisted = self._ended = self._cancelled = 0
        self._closed = False
        self._renderer = Renderer()
        self._readout_rate = 5e-8  # seconds a pixel
        self._layouts: dict[Any, Layout] = {}
        self.picture: Picture | None = None
        self.exact: Picture | None = None
        self.trouble = ""
        self._level = "error"
        self.tell: Tell = lambda message: None
        self.redraw: Callable[[], None] = lambda: None
        self.settled: Callable[[Picture], None] = lambda picture: None
        self.rescaled: Callable[[State, State], None] = lambda before, now: None
        self._thread = threading.Thread(target=self._work, name="nanobragg-explorer", daemon=True)

    def begin(self) -> None:
        """Begin to render: whoever wants to hear of it has said so."""
        self._thread.start()

    # what is changed

    def set(self, path: str, value: Any, *, moving: bool = False, event: int = 0) -> None:
        """Put a value at a path of the experiment, or of the readout; None stands for the default of the field.

        Raises
        ------
        ConfigError
            For a value that the field refuses; nothing is changed then.
        """
        with self.lock:
            state = self.state
            if value is None:
                value = emptied(state, path) if path.startswith("readout") else emptied(state.experiment, path)
            psf = state.readout.psf
            if path == "readout.psf.kind" and value in ("gauss", "fiber") and psf.fwhm_um is None:
                # neither can be given before the other
                path, value = "readout.psf", Psf(kind=value, fwhm_um=spread_um(state.experiment), stage=psf.stage)
            elif path == "readout.psf.kind" and value != "array" and psf.kernel is not None:
                path, value = "readout.psf", psf.with_values({"kind": value, "kernel": None})
            if path == "readout" or path.startswith("readout."):
                new = replace(
                    state, readout=with_value(state.readout, path.removeprefix("readout").removeprefix("."), value)
                )
            else:
                new = replace(state, experiment=replaced(state.experiment, path, value))
            self.take(new, path, moving=moving, event=event)

    def turn(self, across: float, down: float, about: float, *, moving: bool = False, event: int = 0) -> None:
        """Rotate the crystal about the edges of the detector and the beam [degrees]: as a hand that drags the picture.

        Raises
        ------
        ConfigError
            Where the first panel cannot be placed.
        """
        with self.lock:
            self.take(replace(self.state, experiment=turned(self.state.experiment, across, down, about)), "turn", moving=moving,
                      event=event)  # fmt: skip

    def add(self, path: str, *, event: int = 0) -> None:
        """A part that was not there, with its defaults.

        Raises
        ------
        ConfigError
            For a path of no such part.
        """
        with self.lock:
            self.take(replace(self.state, experiment=added(self.state.experiment, path)), path, event=event)

    def take(self, state: State, what: str, *, moving: bool = False, event: int = 0, together: bool = False) -> None:
        """Another state; one step of the history, unless it goes on with the last one (`together`: however long ago)."""
        with self.lock:
            now = time.monotonic()
            last, when = self._last_change
            if not (what and what == last and (together or now - when < _TOGETHER_SECONDS)):
                self._past = [*self._past[-_MOST_STEPS:], self.state]
            self._future = []
            self._last_change = (what, now)
            self._become(replace(state, experiment=fixed(state.experiment)))
            self._wake(moving, event)

    def undo(self, steps: int = 1) -> bool:
        """Go back (or, with -1, forth again) in the history; False: there is nothing."""
        with self.lock:
            source, target = (self._past, self._future) if steps > 0 else (self._future, self._past)
            if not source:
                return False
            target.append(self.state)
            had = has_spread(self.state.readout)
            self._become(source.pop())
            if (has := has_spread(self.state.readout)) != had:
                self.switches = {**self.switches, "spread": has}
            self._last_change = ("", 0.0)
            self._wake()
            return True

    def reset(self) -> None:
        """The state of the beginning, as a step that can be undone; and its switches."""
        with self.lock:
            self.switches = dict(_SWITCHES_AT_FIRST)
            self.take(self.start, "")

    def _become(self, state: State) -> None:
        before, self.state = self.state, state
        if state.scaled != before.scaled:
            self.rescaled(before, state)

    @property
    def shown(self) -> Experiment:
        """The experiment whose image is shown: without background, where that is switched off."""
        with self.lock:
            experiment = self.state.experiment
            return experiment if self.switches["background"] else without_background(experiment)

    @property
    def shown_readout(self) -> Readout:
        """The readout that makes the counts: without point spread, where that is switched off."""
        with self.lock:
            readout = self.state.readout
            return readout if self.switches["spread"] else with_value(readout, "psf", Psf())

    @property
    def reads_out(self) -> bool:
        """Whether counts are shown, not photons."""
        return any(self.switches[name] for name in _READ_OUT)

    @property
    def present(self) -> Picture | None:
        """The exact picture of the present state; None: it is not there yet."""
        with self.lock:
            return self.exact if self.exact is not None and self.exact.number == self._revision else None

    @property
    def can_undo(self) -> tuple[bool, bool]:
        """Whether there is something to undo, and to do again."""
        return bool(self._past), bool(self._future)

    def switch(self, name: str, on: bool) -> None:
        """Background, point spread or noise on or off.

        Raises
        ------
        ConfigError
            For another name.
        """
        if name not in SWITCHES:
            raise ConfigError("switch", name, f"must be one of {', '.join(SWITCHES)}")
        with self.lock:
            self.switches = {**self.switches, name: bool(on)}
            if name == "spread" and on and not has_spread(self.state.readout):
                stage = "before_counting" if self.state.readout.kind == "counting" else "after_counting"
                psf = Psf(kind="gauss", fwhm_um=spread_um(self.state.experiment), stage=stage)
                readout = with_value(self.state.readout, "psf", psf)
                self.take(replace(self.state, readout=readout), "readout.psf")
            self._wake()

    def draw_again(self) -> None:
        """Other noise."""
        with self.lock:
            self.noise_frame += 1
            self._wake()

    def insist(self) -> None:
        """Render what was held back because it takes long, or what was ended."""
        with self.lock:
            if self._ended == self._revision and self._cancelled == self._revision:
                self._wake()
            self._insisted, self._ended = self._revision, 0
            self._changed.notify_all()

    def cancel(self) -> None:
        """End the rendering; the last picture stays."""
        with self.lock:
            self._cancelled = self._revision
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self.lock:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(5)

    def wait(self, timeout: float | None = None) -> Picture:
        """The exact picture of the present state, or of a later one: while values go on moving, nobody waits for their end.

        Raises
        ------
        TimeoutError
            Where it takes longer.
        ConfigError
            Where there is none, because the experiment cannot be rendered, would take too long, or was ended; and after the
            session was closed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self.lock:
            asked = self._revision
            while not (self.exact is not None and self.exact.number >= asked):
                if self.trouble and self._ended >= asked:
                    raise ConfigError("experiment", "the present state", "has no exact image", self.trouble)
                if self._closed:
                    raise ConfigError("explorer", "closed", "renders no more", "open another one")
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError("the exact image is not there yet")
                self._changed.wait(left)
            return self.exact

    def _wake(self, moving: bool = False, event: int = 0) -> None:
        self._revision += 1
        self._event = event or self._event
        self._moving, self._moved = moving, time.monotonic()
        self._changed.notify_all()

    # the thread

    def _work(self) -> None:
        done = 0
        while True:
            with self.lock:
                while self._revision == done and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                done, event, state, switches = self._revision, self._event, self.state, self.switches
            try:
                with np.errstate(all="ignore"):  # what is not finite is drawn as such
                    self._render(state, switches, done, event)
            except Superseded:
                if self._cancelled == done and not self._closed:
                    self._fail(done, "the rendering was canceled", "ask")  # whoever waits for it need not any longer
                else:
                    self.tell({"kind": "progress", "part": None})
            except NanoBraggError as error:
                self._fail(done, str(error))
            except ArithmeticError:
                self._fail(
                    done,
                    "the geometry is degenerate or not finite; look at the cell, the vectors, the angles and the distances",
                )
            except MemoryError:
                self._fail(done, "not enough memory; use a smaller detector or fewer structure factors")
            except Exception as error:  # the thread goes on: the next value may be one that works
                self._fail(done, f"{type(error).__name__}: {error}; this is a defect of nanobragg, please report it")

    def _fail(self, number: int, text: str, level: str = "error") -> None:
        with self.lock:
            self.trouble, self._level, self._ended = text, level, number
            self._changed.notify_all()
        self.tell({"kind": "progress", "part": None})
        self.tell({"kind": "message", "level": level, "text": text})

    def remarks(self) -> list[dict[str, Any]]:
        """What was told of the present state: why it has no exact picture, or what is probably not meant."""
        with self.lock:
            if self.trouble and self._ended == self._revision:
                return [{"kind": "message", "level": self._level, "text": self.trouble}]
            exact = self.present
        return [] if exact is None else [_doubted(exact)]

    def _render(self, state: State, switches: dict[str, bool], number: int, event: int) -> None:
        def ended() -> bool:
            return self._revision != number or self._closed or self._cancelled == number

        def gone() -> bool:  # what is quick is rendered to its end, or there were no picture while values move
            return self._closed

        experiment = state.experiment if switches["background"] else without_background(state.experiment)
        plan = self._renderer.plan(experiment)
        told = False
        quick = self._renderer.is_quick(plan) and self._readout_is_quick(plan, switches)
        if not quick:
            self._show(self._renderer.coarse(plan, gone), plan, state, number, event, coarse=True)
            self._until_still(ended)
            if self.exact is not None and self.exact.number == number:  # nothing was left out
                self._tell_about(self.exact)
                return
            if self.picture is not None:
                self.settled(self.picture)  # the exact one may take long, or not be wanted
            try:
                self._renderer.check(plan)
            except TooLong as held:
                self._fail(number, str(held), "ask")
                self._until_insisted(number, ended)
            told = True
        report = _Reporter(self.tell) if told else None
        if told:
            self.tell({"kind": "progress", "part": 0.0})
        frame = self._renderer.exact(plan, gone if quick else ended, report)
        if told:
            self.tell({"kind": "progress", "part": None})
        self._show(frame, plan, state, number, event)
        if self._revision != number or (quick and self._moving):
            return  # what goes with a picture is told of pictures that stay
        if self.exact is not None:
            self._tell_about(self.exact)

    def _tell_about(self, picture: Picture) -> None:
        self.settled(picture)
        self.tell(_doubted(picture))

    def _until_still(self, ended: Callable[[], bool]) -> None:
        with self.lock:
            while not ended():
                left = self._moved + _STILL_SECONDS - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)
        raise Superseded

    def _until_insisted(self, number: int, ended: Callable[[], bool]) -> None:
        with self.lock:
            while self._insisted != number:
                if ended():
                    raise Superseded
                self._changed.wait()

    def _show(
        self, frame: Shot, plan: Prepared, state: State, number: int, event: int, *, coarse: bool = False
    ) -> None:
        layout = self._layout(plan)
        values, unit = frame.photons, "photons"
        names = [_READ_OUT[name] for name in _READ_OUT if self.switches[name]]
        if names and coarse and not self._readout_is_quick(plan, self.switches):
            frame = replace(
                frame, exact=False, said=", ".join([frame.said, *(f"no {name}" for name in names)]).lstrip(", ")
            )
        elif names:
            values, unit = self._read_out(frame, state.readout)
        picture = Picture(frame, plan, layout, values, unit, number, event)
        with self.lock:
            self.picture = picture
            if frame.exact:
                self.exact, self.trouble = picture, ""
            self._changed.notify_all()
        self.redraw()

    def _read_out(self, frame: Shot, readout: Readout) -> tuple[Any, str]:
        own = readout if self.switches["spread"] else with_value(readout, "psf", Psf())
        began = time.perf_counter()
        exposure = expose(frame.experiment, own, photons=frame.photons, seed=SEED, frame=self.noise_frame)
        found = (exposure.counts, "counts") if self.switches["noise"] else (exposure.expected, "expected counts")
        self._readout_rate = (time.perf_counter() - began) / max(sum(map(np.size, as_images(frame.photons))), 1)
        return found

    def _readout_is_quick(self, plan: Prepared, switches: dict[str, bool]) -> bool:
        """Whether the detector's response is quick enough for pictures while values move."""
        if not any(switches[name] for name in _READ_OUT):
            return True
        return self._readout_rate * plan.pixels <= _READOUT_SECONDS

    def _layout(self, plan: Prepared) -> Layout:
        """The layout of a plan; the same object as long as detector, region and beam stay as they are."""
        experiment = plan.experiment
        region = str(experiment.sampling.roi)  # slices have no hash
        key = (experiment.detector, experiment.detector_pose, experiment.beam, experiment.quirks, region)
        found = self._layouts.get(key)
        if found is None:
            self._layouts = {key: (found := Layout(plan))}
        return found


class _Reporter:
    """Progress, told a few times a second."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._last = tell, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last > 0.15:
            self._last = now
            self._tell({"kind": "progress", "part": done / max(total, 1)})


def _doubted(picture: Picture) -> dict[str, Any]:
    return {"kind": "doubts", "texts": doubts(picture.plan)}
