"""What pages ask for, and what they are told: messages in JSON, tiles in bytes."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.explorer.comparison.comparing import Comparing
from nanobragg.explorer.comparison.layers import tiles
from nanobragg.explorer.comparison.measured import Measured
from nanobragg.explorer.controls import groups, read
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.drawing.looking import histogram, pixel_rows, pixel_value, profile
from nanobragg.explorer.drawing.overlay import marks
from nanobragg.explorer.drawing.tiles import Tile, View
from nanobragg.explorer.exports.files import MENU, exported
from nanobragg.explorer.exports.snapshot import GAP, MAPS
from nanobragg.explorer.presets import menu, with_preset
from nanobragg.explorer.serving.afterwards import Afterwards
from nanobragg.explorer.serving.bench import Bench
from nanobragg.explorer.serving.labelling import Labelling
from nanobragg.explorer.serving.memory import Memory
from nanobragg.explorer.serving.messages import as_text, mistake
from nanobragg.explorer.serving.screens import Limits, Screen, Screens
from nanobragg.explorer.session import Picture, Session
from nanobragg.inspection.tracing.trace import trace
from nanobragg.refinement.results.result import Refinement

Send = Callable[[Any], None]
_SLOW = ("trace", "profile")
"""What goes over all terms of a pixel, or all pixels: done aside, as all that has to do with the measured image."""
_NEWEST = ("measure", "fit", "trace", "profile")
"""Of several that wait, the last one counts."""


class Page:
    """A page in a browser, which sends messages and gets them."""

    def __init__(self, desk: Desk, send: Send) -> None:
        self._desk, self.send = desk, send
        self.screen = Screen(send)
        self.name = secrets.token_hex(4)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self.send(as_text(message))

    def take(self, text: str | bytes) -> None:
        """Do what a message asks for; a mistake is told."""
        event: dict[str, Any] = {}
        with self.telling(event):
            message = json.loads(text)
            if isinstance(message, dict) and "event" in message:
                event["event"] = message["event"]
            if not isinstance(message, dict):
                raise ConfigError("message", type(message).__name__, "must be an object")
            self._desk.do(self, message)

    @contextmanager
    def telling(self, event: dict[str, Any]) -> Iterator[None]:
        """Tell a mistake, with the number of the change that was one."""
        try:
            with np.errstate(all="ignore"):  # what is not finite is shown as such
                yield
        except (NanoBraggError, OSError) as error:
            self.tell(mistake(str(error)) | event)
            self.tell(self._desk.state())
        except MemoryError:
            self.tell(mistake("not enough memory") | event)
        except Exception as error:  # whatever a page sends, the others go on
            self.tell(mistake(f"not understood: {type(error).__name__}: {error}") | event)


class Desk:
    """Passes messages on between the pages and the session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._pages: list[Page] = []
        self._telling = threading.Lock()
        self._labels = Labelling()
        self._marks: tuple[Layout | None, dict[str, Any]] = (None, {})
        self.comparing = Comparing(session, self.tell, lambda: self.screens.redraw())
        self.bench, self._memory = Bench(), Memory()
        self._afterwards = Afterwards(self._settled, lambda text: self.tell(mistake(text)))
        session.tell = self.tell
        session.settled = self._settle
        self.screens = Screens(session, self._drawn)

    def opened(self, send: Send) -> Page:
        """A page has opened."""
        page = Page(self, send)
        self._pages.append(page)
        self.screens.add(page.screen)
        page.tell({"kind": "menus", "presets": menu(), "exports": MENU, "colors": MAPS, "gap": GAP, "page": page.name})
        page.tell(self.state())
        page.tell(self.comparing.state(said=False))  # that follows: it goes over all pixels
        self.comparing.refining.tell_again(page.tell)
        for remark in self.session.remarks():
            page.tell(remark)
        if self._marks[0] is not None:
            page.tell(self._marks[1])
        self.screens.redraw(page.screen)
        self._afterwards.again()
        return page

    def gone(self, page: Page) -> None:
        """A page has gone."""
        self.screens.remove(page.screen)
        self._labels.switch(page.tell, False)
        if page in self._pages:
            self._pages.remove(page)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to every page."""
        text = as_text(message)
        for page in list(self._pages):
            page.send(text)

    def close(self) -> None:
        """End the threads."""
        self.comparing.refining.stop()
        self.comparing.refining.join(2)
        self.bench.close()
        self._afterwards.close()
        self._labels.close()
        self.session.close()
        self.screens.close()

    def state(self) -> dict[str, Any]:
        """All values, as the controls show them."""
        session = self.session
        with session.lock:
            state, picture = session.state, session.picture
            undo, redo = session.can_undo
        decided = picture.plan.decided[0][0] if picture is not None else None
        return {"kind": "state", "groups": groups(state, session.start, decided), "undo": undo, "redo": redo,
                "switches": session.switches}  # fmt: skip

    def tell_state(self) -> None:
        """Tell all values; of two threads that do, the one that looked last tells last."""
        with self._telling:
            self.tell(self.state())

    def do(self, page: Page, message: dict[str, Any]) -> None:
        """Do what a message asks for."""
        name = message.get("do")
        if not isinstance(name, str):
            raise ConfigError("do", name, "is nothing that can be done")
        compares = name in Comparing.ACTIONS
        action = getattr(self.comparing, name) if compares else getattr(self, f"_do_{name}", None)
        if action is None:
            raise ConfigError("do", name, "is nothing that can be done")

        def act() -> None:
            action(message) if compares else action(page, message)

        def job() -> None:
            with page.telling({}):
                act()

        if name != "stop" and (compares or name in _SLOW):
            self.bench.put((page.name, name if name in _NEWEST else id(message)), job)
        else:
            act()

    def _settle(self, picture: Picture) -> None:
        self._afterwards.take(picture)
        self._labels.take(picture)

    def _settled(self, picture: Picture) -> None:
        """An exact picture is there: what goes with it is told."""
        counts, ends, said = histogram(picture.layout, picture.layout.picture(picture.values))
        unit = picture.unit if picture.frame.exact else f"{picture.unit}, coarse"
        self.tell({"kind": "histogram", "counts": counts, "ends": ends, "unit": unit, "said": said})
        self.tell_state()
        if self.comparing.measured is not None:
            self.tell(self.comparing.state())
        self._memory.give_back()

    def measure(self, measured: Measured) -> None:
        """Take a measured image.

        Raises
        ------
        ConfigError
            For an image of another detector.
        """
        measured.check(self.session.state.experiment)
        self.comparing.take(measured)

    def _drawn(self, picture: Picture, view: View, last: Limits | None) -> list[tuple[str, Tile]]:
        """What a view shows; where it shows another detector than before, its rings and borders are told first."""
        if self._marks[0] is not picture.layout:
            self._marks = (picture.layout, {"kind": "marks", "marks": marks(picture.layout)})
            self.tell(self._marks[1])
        return tiles(picture, view, self.comparing.comparable(picture), last)

    def export(self, name: str, page: str, colors: str) -> tuple[str, str, bytes]:
        """(name, type, content) of a file that is taken home; `page` says whose view a picture has."""
        view = next((one.screen.view for one in self._pages if one.name == page), View())
        if name == "mask":
            return "mask.npy", "application/octet-stream", self.comparing.mask_bytes()
        if name == "report":
            return "refinement.html", "text/html; charset=utf-8", self.comparing.report_bytes()
        return exported(name, self.session, view, self.comparing.shown(), colors)

    @property
    def refinement(self) -> Refinement | None:
        """What the last refinement found; None: there was none."""
        return self.comparing.refining.found

    def _do_set(self, page: Page, message: dict[str, Any]) -> None:
        moving = bool(message.get("moving"))
        value = read(str(message.get("type", "")), message["value"])
        self.session.set(str(message["path"]), value, moving=moving, event=int(message.get("event", 0)))
        if not moving:
            self.tell_state()

    def _do_view(self, page: Page, message: dict[str, Any]) -> None:
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in message["view"].items()
        }
        page.screen.view = replace(page.screen.view, **known)
        self.screens.redraw(page.screen)

    def _do_taken(self, page: Page, message: dict[str, Any]) -> None:
        self.screens.taken(page.screen)

    def _do_undo(self, page: Page, message: dict[str, Any]) -> None:
        self.session.undo(1)
        self.tell_state()

    def _do_redo(self, page: Page, message: dict[str, Any]) -> None:
        self.session.undo(-1)
        self.tell_state()

    def _do_reset(self, page: Page, message: dict[str, Any]) -> None:
        self.session.reset()
        self.tell_state()

    def _do_switch(self, page: Page, message: dict[str, Any]) -> None:
        self.session.switch(str(message["name"]), bool(message["on"]))
        self.tell_state()

    def _do_turn(self, page: Page, message: dict[str, Any]) -> None:
        x, y, roll = (float(value) for value in message["degrees"])
        moving = bool(message.get("moving"))
        self.session.turn(x, y, roll, moving=moving, event=int(message.get("event", 0)))
        if not moving:
            self.tell_state()

    def _do_add(self, page: Page, message: dict[str, Any]) -> None:
        self.session.add(str(message["path"]), event=int(message.get("event", 0)))
        self.tell_state()

    def _do_hover(self, page: Page, message: dict[str, Any]) -> None:
        if (picture := self.session.picture) is not None:
            pixel, rows = pixel_rows(picture, float(message["column"]), float(message["row"]))
            value = None if pixel is None else pixel_value(picture.frame.photons, pixel)
            if pixel is not None:
                rows += self.comparing.rows(picture, pixel)
            page.tell({"kind": "hover", "pixel": pixel, "rows": rows, "photons": value, "number": picture.number})

    def _do_trace(self, page: Page, message: dict[str, Any]) -> None:
        picture = self.session.picture
        if picture is None:
            return
        panel, slow, fast = (int(i) for i in message["pixel"])
        at = (panel, slow, fast) if picture.layout.index is not None else (slow, fast)
        found = trace(picture.frame.experiment, at)
        of = f"panel {panel}, " if picture.layout.index is not None else ""
        title = f"Trace of {of}pixel slow {slow}, fast {fast}"
        page.tell({"kind": "sheet", "title": title, "text": "\n".join(found.lines())})

    def _do_profile(self, page: Page, message: dict[str, Any]) -> None:
        picture = self.session.picture
        if picture is None:
            return
        line = [[float(x) for x in point] for point in message["line"]]
        layout = picture.layout
        found = profile(layout.picture(picture.values), layout.known, line)
        (x0, y0), (x1, y1) = line
        said = f"fast {x0 // 1:.0f}, slow {y0 // 1:.0f} to fast {x1 // 1:.0f}, slow {y1 // 1:.0f}; {len(found)} pixels"
        if np.isfinite(found).any():
            said += f"; {np.nanmin(found):.4g} to {np.nanmax(found):.4g} {picture.unit}"
        beside = None
        if (measured := self.comparing.comparable(picture)) is not None:
            found = measured.scaled(found)
            beside = _plain(profile(measured.picture(layout), measured.known(layout), line))
        page.tell({"kind": "profile", "values": _plain(found), "measured": beside, "said": said,
                   "length": float(np.hypot(x1 - x0, y1 - y0)), "first": bool(message.get("first"))})  # fmt: skip

    def _do_labels(self, page: Page, message: dict[str, Any]) -> None:
        self._labels.switch(page.tell, bool(message["on"]))

    def _do_again(self, page: Page, message: dict[str, Any]) -> None:
        self.session.draw_again()

    def _do_insist(self, page: Page, message: dict[str, Any]) -> None:
        self.session.insist()

    def _do_cancel(self, page: Page, message: dict[str, Any]) -> None:
        self.session.cancel()

    def _do_preset(self, page: Page, message: dict[str, Any]) -> None:
        group, _, name = str(message["name"]).partition("/")
        state = self.session.state
        self.session.take(replace(state, experiment=with_preset(state.experiment, group, name)), "")
        self.tell_state()


def _plain(values: Any) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]
