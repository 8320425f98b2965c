"""The screens that look at a session: each has a view of its own, and gets tiles as fast as it takes them."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from nanobragg.explorer.drawing.tiles import Tile, View
from nanobragg.explorer.serving.messages import as_text, mistake
from nanobragg.explorer.session import Picture, Session

Limits = tuple[float, float]
Draw = Callable[[Picture, View, Limits | None], list[tuple[str, Tile]]]
"""Names and tiles of what a view shows, with the limits of the first tile before."""

_MOST_PENDING = 2
"""Tiles on their way to a screen, so that a slow one gets the newest picture and no queue."""


class Screen:
    """One page in a browser."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send
        self.view = View()
        self.pending = 0
        self.dirty = False
        self.limits: tuple[Any, Limits] | None = None
        """of the last picture, and what they depend on beside its values"""


class Screens:
    """All pages of a session, and the thread that draws for them."""

    def __init__(self, session: Session, draw: Draw) -> None:
        self._session, self._draw = session, draw
        self._changed = threading.Condition()
        self._screens: list[Screen] = []
        self._closed = False
        session.redraw = self.redraw
        self._thread = threading.Thread(target=self._work, name="nanobragg-screens", daemon=True)
        self._thread.start()

    def add(self, screen: Screen) -> None:
        """A page has opened."""
        with self._changed:
            self._screens.append(screen)

    def remove(self, screen: Screen) -> None:
        """A page has gone."""
        with self._changed:
            if screen in self._screens:
                self._screens.remove(screen)

    def __len__(self) -> int:
        return len(self._screens)

    def redraw(self, screen: Screen | None = None) -> None:
        """Draw again for one page or for all."""
        with self._changed:
            for one in self._screens if screen is None else [screen]:
                one.dirty = True
            self._changed.notify()

    def taken(self, screen: Screen) -> None:
        """A page has drawn a tile."""
        with self._changed:
            screen.pending = max(0, screen.pending - 1)
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(5)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (screen := self._next()) is None:
                    self._changed.wait()
                if self._closed:
                    return
                assert screen is not None
                screen.dirty = False
                screen.pending += 1
            try:
                screen.send(self._drawn(screen))
            except Exception as error:  # a page that has gone, or a view of another detector: the others go on
                self.taken(screen)
                self._session.tell(mistake(f"the picture cannot be drawn: {error}"))

    def _next(self) -> Screen | None:
        if self._session.picture is None:
            return None
        return next((s for s in self._screens if s.dirty and s.pending < _MOST_PENDING), None)

    def _drawn(self, screen: Screen) -> bytes:
        picture, view = self._session.picture, screen.view
        assert picture is not None
        key = (view.scale, view.low, view.high, view.layer, picture.unit, picture.layout.shape)
        last = screen.limits[1] if screen.limits is not None and screen.limits[0] == key else None
        if view.scale == "percentile" and picture.frame.exact:
            last = None  # they are what was asked for
        with np.errstate(all="ignore"):
            tiles = self._draw(picture, view, last)
        screen.limits = (key, (tiles[0][1].low, tiles[0][1].high)) if tiles and tiles[0][1].shades.size else None
        alone = [name for name, _ in tiles] == ["simulated"]  # also where there is no measured image that fits
        header = {
            "kind": "tiles", "number": picture.number, "event": picture.event, "exact": picture.frame.exact,
            "said": picture.frame.said, "seconds": picture.frame.seconds,
            "unit": picture.unit if alone else "counts", "shape": picture.layout.shape,
            "layer": "simulated" if alone else view.layer, "tiles": [_described(name, one) for name, one in tiles],
        }  # fmt: skip
        text = as_text(header).encode()
        return b"".join([struct.pack("<I", len(text)), text, *(one.shades.tobytes() for _, one in tiles)])


def _described(name: str, one: Tile) -> dict[str, Any]:
    return {"name": name, "rows": one.shades.shape[0], "columns": one.shades.shape[1], "fast": one.fast, "slow": one.slow,
            "low": one.low, "high": one.high}  # fmt: skip
