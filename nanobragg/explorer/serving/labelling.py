"""The indices of predicted reflections: on a thread of their own, because with many sources they take seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.explorer.drawing.overlay import labels, smallest_spacing
from nanobragg.explorer.serving.afterwards import Afterwards
from nanobragg.explorer.session import Picture, Tell
from nanobragg.prediction.predict import predict
from nanobragg.prediction.table import Reflections

_COARSER = 2.0
"""How many times a larger smallest spacing is tried where there would be too many reflections."""
_TRIES = 6
_MOST_TERMS = 2000
"""Orientations and sources of which reflections are predicted before the exact image is there: in some seconds."""
_NONE: dict[str, Any] = {"kind": "labels", "labels": [], "number": -1, "said": ""}
"""There are none, or none yet."""


class Labelling:
    """Tells the labels of the newest picture to the pages that want them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: list[Tell] = []
        self._last: dict[str, Any] = _NONE
        self._thread = Afterwards(self._label, lambda text: self._say([], 0, f"no labels: {text}"))
        self.take, self.close = self._thread.take, self._thread.close

    def switch(self, page: Tell, on: bool) -> None:
        """Whether a page wants them; they are found once for all pages."""
        with self._lock:
            first = not self._pages
            if page in self._pages:
                self._pages.remove(page)
            if on:
                self._pages.append(page)
            page(self._last if on else _NONE)
        if on and first:  # else the thread finds them, or has found them
            self._thread.again()

    def _say(self, found: list[list[Any]], number: int, said: str, *, last: bool = True) -> None:
        message = {"kind": "labels", "labels": found, "number": number, "said": said}
        with self._lock:
            if last:
                self._last = message
            for page in self._pages:
                page(message)

    def _label(self, picture: Picture) -> None:
        last = self._last
        if not self._pages:
            return
        if picture.number == last["number"]:  # as of its coarse picture, or they are wanted again
            self._say(last["labels"], last["number"], last["said"])
        elif not picture.frame.exact and _terms(picture) > _MOST_TERMS:
            self._say([], picture.number, "labels come with the exact image", last=False)
        elif picture.layout.scenes[0].curved:
            self._say([], picture.number, "on a bent detector reflections are not predicted")
        else:
            self._say([], picture.number, "reflections are being predicted")
            try:
                spots, spacing = _predicted(picture, self._go_on)
            except _Superseded:
                self._last = _NONE
                return
            except NanoBraggError as error:
                self._say([], picture.number, f"no labels: {error}")
                return
            said = "" if spacing is None else f"of so large a cell, reflections to {spacing:.2g} Å alone"
            self._say(labels(picture.layout, spots), picture.number, said)

    def _go_on(self, *_: object) -> None:
        if self._thread.superseded or not self._pages:
            raise _Superseded


class _Superseded(Exception):
    """Nobody waits for these labels any more."""


def _terms(picture: Picture) -> int:
    return max(scene.n_phi * scene.n_domains * scene.n_sources for scene in picture.plan.scenes[0][0])


def _predicted(picture: Picture, progress: Callable[..., object]) -> tuple[Reflections, float | None]:
    """The reflections, and down to which spacing [Angstrom]; None: all of the picture."""
    experiment, spacing = picture.frame.experiment, None
    for _ in range(_TRIES):
        try:
            return predict(experiment, d_min=spacing, progress=progress), spacing
        except ConfigError as error:
            if error.path != "d_min":
                raise
        spacing = _COARSER * (spacing or smallest_spacing(picture.layout))
    raise ConfigError("crystal.unit_cell", "this cell", "has too many reflections to be named")
