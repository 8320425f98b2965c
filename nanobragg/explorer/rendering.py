"""From an experiment to a picture: coarse while values move, exact when they are still, with an end before its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import Request, decide, rendered
from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.config import Background, Experiment
from nanobragg.derivation import panels
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.decisions.limits import needed_bytes
from nanobragg.derivation.scene import Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import CANCELLED, Progress, RenderOptions
from nanobragg.errors import ConfigError, CoreError
from nanobragg.explorer.coarse import coarser, evaluations, spread
from nanobragg.inspection.foresight.cost import Estimate, estimate
from nanobragg.inspection.foresight.long_run import duration, long_run
from nanobragg.inspection.foresight.plausible import decided_doubts, typed_doubts
from nanobragg.lazy import dataclass

COARSE_SECONDS = 0.05
"""Aimed at while values move."""
_DIRECT_SECONDS = 0.08
"""An exact image that takes no longer is rendered at once."""
ASKED_SECONDS = 60.0
"""Beyond, an exact image is rendered when it is asked for."""
_MOST_BYTES = 2**30
"""Of one kind; orientations of so many bytes take some seconds to derive, in which nothing can be cancelled."""
_FIXED_SECONDS, _PIXEL_SECONDS = 0.003, 4e-9
"""Of an image, and of each of its pixels: what is no evaluation."""
_THINNING_SECONDS = 1.5e-8
"""A pixel, for leaving out some of them and filling their places."""
_FACTORS = (0.02, 50.0)
"""How much quicker and slower than the table says a machine may be."""


class Superseded(Exception):
    """The rendering was ended: nobody wants its image any more."""


class TooLong(Exception):
    """The rendering was not begun; the text says how long it takes, and which setting makes it so."""


@dataclass(frozen=True, eq=False)
class Shot:
    """An image with what it is an image of."""

    experiment: Experiment
    photons: Any
    """as `nanobragg.simulate` returns it"""
    exact: bool
    said: str
    """what was left out, in words"""
    seconds: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """An experiment that is decided and derived, and what its image takes."""

    experiment: Experiment
    decided: list[list[Decided]]
    scenes: list[list[list[Scene]]]
    """of every panel, of every lattice"""
    estimate: Estimate

    @property
    def pixels(self) -> int:
        """Of all panels, rendered or not."""
        return sum(own[0][0].n_fast * own[0][0].n_slow for own in self.scenes)

    @property
    def evaluations(self) -> int:
        """Terms of the sums of all panels."""
        return sum(map(evaluations, self.scenes))


class Renderer:
    """Renders with the C engine, and learns how quick this machine is."""

    def __init__(self) -> None:
        self._engine = engine(DEFAULT_BACKEND, RenderOptions())
        self._factor: float | None = None  # measured seconds, by those of the estimate

    def plan(self, experiment: Experiment) -> Prepared:
        """Decide and derive.

        Raises
        ------
        ConfigError
            For an experiment that cannot be simulated, or that takes more memory than a page should.
        """
        decided = decide(experiment)
        _check_memory(decided)
        derived = [[self._engine.derivation(one) for one in part] for part in decided]
        scenes = [[list(d.scenes) for d in part] for part in derived]
        pairs = [
            (one, s)
            for part, own in zip(decided, scenes, strict=True)
            for one, d in zip(part, own, strict=True)
            for s in d
        ]
        probe = None if self._factor is None else False  # which takes time, and is known already
        found = estimate([one for one, _ in pairs], [s for _, s in pairs], self._engine, probe=probe)
        return Prepared(experiment, decided, scenes, found)

    def seconds(self, plan: Prepared) -> float:
        """What the exact image is expected to take."""
        return plan.estimate.seconds * (1.0 if self._factor is None else self._factor) + _PIXEL_SECONDS * plan.pixels

    def is_quick(self, plan: Prepared) -> bool:
        """Whether the exact image is as quick as a coarse one needs to be."""
        return self.seconds(plan) <= _DIRECT_SECONDS

    def check(self, plan: Prepared) -> None:
        """Refuse what would take minutes.

        Raises
        ------
        TooLong
        """
        seconds = self.seconds(plan)
        if seconds > ASKED_SECONDS:
            cause = self._cause(plan)
            raise TooLong(f"the exact image takes about {duration(seconds)}{': ' if cause else ''}{cause}")

    def _cause(self, plan: Prepared) -> str:
        parts = [
            (one, s)
            for part, own in zip(plan.decided, plan.scenes, strict=True)
            for one, d in zip(part, own, strict=True)
            for s in d
        ]
        long = Estimate(plan.estimate.evaluations, 1e9, 1, plan.estimate.bytes)
        return long_run(long, [one for one, _ in parts], [s for _, s in parts]).partition(": ")[2]

    def coarse(self, plan: Prepared, ended: Callable[[], bool]) -> Shot:
        """An image within `COARSE_SECONDS` or so."""
        began = time.perf_counter()
        rate = max(self.seconds(plan) / max(plan.evaluations, 1), 1e-12)
        share = COARSE_SECONDS / rate / len(plan.scenes)
        parts = [coarser(own, share, _THINNING_SECONDS / rate) for own in plan.scenes]
        scenes = [part.scenes for part in parts]
        photons = self._photons(plan, scenes, ended)
        several = panels.several(plan.experiment)
        for image, part in zip(list(photons) if several else [photons], parts, strict=True):
            spread(image, part.step)
        said = next((part.said for part in parts if part.said), "")
        seconds = time.perf_counter() - began
        if said:
            done = sum(evaluations(part.scenes) for part in parts) / max(plan.evaluations, 1)
            self._learn(plan.estimate.seconds * done, seconds, plan)
        return Shot(plan.experiment, photons, not said, said, seconds)

    def exact(self, plan: Prepared, ended: Callable[[], bool], progress: Progress | None = None) -> Shot:
        """The image that `nanobragg.simulate` gives, bit for bit."""
        began = time.perf_counter()
        photons = self._photons(plan, plan.scenes, ended, progress)
        seconds = time.perf_counter() - began
        self._learn(plan.estimate.seconds, seconds, plan)
        return Shot(plan.experiment, photons, True, "", seconds)

    def _learn(self, expected: float, seconds: float, plan: Prepared) -> None:
        """Compare what an image took with what it was expected to take; a small one says nothing about a large one."""
        fixed = _FIXED_SECONDS + _PIXEL_SECONDS * plan.pixels
        if expected < fixed:
            return
        factor = float(np.clip((seconds - fixed) / expected, *_FACTORS))
        self._factor = factor if self._factor is None else 0.5 * (self._factor + factor)

    def _photons(self, plan: Prepared, scenes: Any, ended: Callable[[], bool], progress: Progress | None = None) -> Any:
        request = Request(None, None, False, None, progress, ended)
        try:
            return rendered(self._engine, plan.experiment, plan.decided, request, scenes=scenes)
        except CoreError as error:
            if error.status == CANCELLED:
                raise Superseded from None
            raise


def _check_memory(decided: list[list[Decided]]) -> None:
    """Refuse what takes more memory than a page should; all panels have their image at once."""
    most: dict[str, int] = {}
    for part in decided:
        for path, needed in needed_bytes(part[0].experiment).items():
            before = most.get(path, 0)
            most[path] = before + needed if path == "detector.n_fast" else max(before, needed)
    for path, needed in most.items():
        if needed > _MOST_BYTES:
            gib = f"needs {needed / 2**30:.1f} GiB of memory, of {_MOST_BYTES / 2**30:.0f} GiB that the explorer takes"
            raise ConfigError(path, decided[0][0].experiment.get(path), gib, "lower it")


def without_background(experiment: Experiment) -> Experiment:
    """The crystal alone."""
    return experiment.replace(background=Background())


def doubts(plan: Prepared) -> list[str]:
    """What is probably not meant."""
    found = [str(doubt) for doubt in typed_doubts(plan.experiment)]
    if not found:
        found = [str(text) for text in decided_doubts([part[0] for part in plan.decided])]
    return found


def as_images(photons: Any) -> list[NDArray[np.float64]]:
    """One image a panel."""
    return list(photons) if isinstance(photons, list) or np.ndim(photons) == 3 else [photons]
