"""Random input to the explorer for a long time: what memory, descriptors, threads and the connection do.

Every control of the page is moved, typed into and chosen from; presets, undo, zoom, play, traces, profiles, exports, a measured
image with its layers, masks, fits and refinements that are stopped, other window sizes, connections that are cut and pages that
are loaded again. Every 20 s the page is put back to its beginning, so that what is measured then is the same state each time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser

import nanobragg as nb

READY = "window.NB && NB.last && NB.last.exact && NB.values"
JUNK = ("", "nan", "inf", "1e400", "-5", "\N{MINUS SIGN}3", "1,5", "abc", "9" * 300, "1e-300", "1e300", "0")
SELECTS = ("scale", "map", "tool", "layer", "mask-tool")
CHECKS = ("s-noise", "s-spread", "s-background", "o-labels", "o-rings", "o-center", "o-borders")
LARGEST = 1500
"""Pixels along an edge, or a soak would measure how large an image fits into memory."""
READ_ONLY = ("Failed to load resource: the server responded with a status of 400",)
"""What a browser says of an export that was refused."""


class Soak:
    """A page that is played with."""

    def __init__(self, browser: Browser, explorer: nb.Explorer, image: str, downloads: str) -> None:
        self.browser, self.explorer, self.image, self.downloads = browser, explorer, image, downloads
        self.chance = random.Random(1)
        self.cuts = self.lost = self.loaded = self.pictures = 0
        self.done: dict[str, int] = {}
        browser.call("Performance.enable")
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=downloads)
        self.load()
        self.read()

    def load(self) -> None:
        """Load the page, which counts its pictures and lost connections."""
        self.browser.open(self.explorer.url)
        self.browser.until(READY)
        self.browser.run(
            "NB.lost = NB.pictures = 0; NB.hear('closed', () => { NB.lost += 1; });"
            "NB.hear('drawn', () => { NB.pictures += 1; })"
        )

    def run(self, script: str) -> Any:
        """An expression of the page."""
        return self.browser.run(script)

    def step(self) -> None:
        """One random action."""
        name, action = self.chance.choice(self._actions())
        self.done[name] = self.done.get(name, 0) + 1
        action()
        time.sleep(self.chance.uniform(0, 0.2))

    def _actions(self) -> list[tuple[str, Callable[[], Any]]]:
        names = ("drag", "line", "wheel", "hover", "phi", "slide", "slide", "slide", "type", "check", "check", "choose", "choose",
                 "click", "preset", "part", "play", "trace", "export", "read", "layers", "fit", "refine", "resize", "cut",
                 "load_again", "limits", "keys")  # fmt: skip
        return [(name, getattr(self, name)) for name in names]

    def drag(self) -> None:
        """Turn, move or mask, whatever dragging does."""
        self.browser.drag((600, 300), (600 + self.chance.randint(-150, 150), 300 + self.chance.randint(-150, 150)))

    def line(self) -> None:
        """A profile."""
        self.browser.drag((500, 250), (self.chance.randint(400, 900), self.chance.randint(150, 600)), modifiers=8)

    def wheel(self) -> None:
        """Zoom, now and then out again."""
        self.browser.mouse("mouseWheel", 600, 400, deltaX=0, deltaY=self.chance.choice([-300, 300]))
        if self.chance.random() < 0.3:
            self.run("NB.fitAll(); NB.draw(); NB.askTiles()")

    def hover(self) -> None:
        """Move the mouse over the image."""
        for _ in range(5):
            self.browser.mouse("mouseMoved", self.chance.randint(330, 980), self.chance.randint(60, 740))

    def phi(self) -> None:
        """Turn the spindle."""
        self.run(f"NB.setPhi({self.chance.uniform(-180, 180)}, {str(self.chance.random() < 0.7).lower()})")

    def slide(self) -> None:
        """Any slider of any control, a few times, and let it go."""
        places = [self.chance.randint(0, 1000) for _ in range(4)]
        self.run(f"""(() => {{
          const rows = [...document.querySelectorAll('#controls .control')].filter(
            (one) => one.querySelector('input[type=range]') && !one.querySelector('input[type=range]').disabled);
          if (!rows.length) return;
          const row = rows[Math.floor({self.chance.random()} * rows.length)], slider = row.querySelector('input[type=range]');
          const large = /n_fast|n_slow/.test(row.dataset.path);
          for (const place of {places}) {{
            slider.value = large ? place * 0.14 : place;
            slider.dispatchEvent(new Event('input', {{ bubbles: true }}));
          }}
          slider.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()""")

    def type(self) -> None:
        """What is no value, or one beyond all measure."""
        self.run(f"""(() => {{
          const boxes = [...document.querySelectorAll('#controls input.number')];
          const box = boxes[Math.floor({self.chance.random()} * boxes.length)];
          box.value = {self.chance.choice(JUNK)!r};
          box.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()""")

    def check(self) -> None:
        """A box."""
        self.run(f"NB.id('{self.chance.choice(CHECKS)}').click()")

    def choose(self) -> None:
        """From any list: of the controls, of the display."""
        self.run(f"""(() => {{
          const lists = [...document.querySelectorAll('#controls select'), ...{list(SELECTS)!r}.map(NB.id)].filter(Boolean);
          const list = lists[Math.floor({self.chance.random()} * lists.length)];
          list.selectedIndex = Math.floor({self.chance.random()} * list.options.length);
          list.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()""")

    def click(self) -> None:
        """A button of the bar or of a message."""
        self.run(
            f"NB.id('{self.chance.choice(['undo', 'redo', 'reset', 'undo', 'redraw', 'cancel', 'dismiss', 'insist'])}').click()"
        )

    def preset(self) -> None:
        """Values by name; detectors of a few megapixels are among them."""
        self.run(f"""(() => {{
          const list = NB.id('preset');
          list.selectedIndex = 1 + Math.floor({self.chance.random()} * (list.options.length - 1));
          if (/16m|9m|6m|4m/i.test(list.value)) list.selectedIndex = 1;
          list.dispatchEvent(new Event('change', {{ bubbles: true }}));
        }})()""")

    def part(self) -> None:
        """Parts that are added and removed."""
        self.run(f"""(() => {{
          const all = [...document.querySelectorAll('#controls h3 button, #controls .control > input[type=checkbox]')];
          if (all.length) all[Math.floor({self.chance.random()} * all.length)].click();
        }})()""")

    def play(self) -> None:
        """Turn the spindle for a while."""
        self.run("NB.id('play').click()")
        time.sleep(self.chance.uniform(0.2, 1.5))
        self.run("NB.playing && NB.id('play').click()")

    def trace(self) -> None:
        """What goes on in a pixel."""
        self.browser.mouse("mouseMoved", self.chance.randint(500, 800), self.chance.randint(200, 600))
        self.run("NB.id('trace').click()")
        time.sleep(0.3)
        self.run("NB.id('sheet').open && NB.id('sheet-close').click()")

    def export(self) -> None:
        """Take something home; not always wait for it."""
        names = ("toml", "python", "command", "png", "cbf", "nxmx", "html")
        self.run(f"void NB.take('{self.chance.choice(names)}')")
        if self.chance.random() < 0.3:
            self.run("NB.id('cancel').click()")

    def read(self) -> None:
        """A measured image, or what is none."""
        name = self.image if self.chance.random() < 0.8 else self.chance.choice(["/no/such.cbf", "/dev/zero", "/"])
        self.run(f"NB.id('file').value = '{name}'; NB.id('load').click()")

    def layers(self) -> None:
        """Measured, beside, blended, difference."""
        self.run(f"""(() => {{ const list = NB.id('layer');
          list.selectedIndex = Math.floor({self.chance.random()} * list.options.length); list.onchange(); }})()""")

    def fit(self) -> None:
        """The scale; masks by hand."""
        self.run(f"NB.id('{self.chance.choice(['fit', 'light', 'mask-clear', 'frame-on', 'frame-back'])}').click()")

    def refine(self) -> None:
        """Begin a refinement, and stop it."""
        self.run("NB.id('refine-start').click()")
        time.sleep(self.chance.uniform(0.1, 3.0))
        self.run("NB.id('refine-stop').click()")

    def resize(self) -> None:
        """Another size of the window."""
        width, height = self.chance.choice([(1280, 800), (1600, 1000), (1100, 700)])
        self.browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def cut(self) -> None:
        """Cut the connection, now and then: the page opens another."""
        if self.chance.random() < 0.3:
            self.browser.until("NB.socket.readyState === 1")
            self.run("NB.socket.close()")
            self.cuts += 1

    def load_again(self) -> None:
        """Load the page again, now and then."""
        if self.chance.random() < 0.2:
            self.settle()
            self.load()
            self.loaded += 1

    def limits(self) -> None:
        """Limits of the contrast."""
        self.run(f"NB.id('low').value = {self.chance.choice(JUNK)!r}; NB.id('low').onchange()")
        self.run("NB.id('low').value = ''; NB.id('low').onchange()")

    def keys(self) -> None:
        """Keys."""
        self.run("document.activeElement.blur()")
        for _ in range(3):
            self.browser.key(
                self.chance.choice(["ArrowLeft", "ArrowUp", "[", "+", "-", "0", "n", "t", "l", "p", "Escape"])
            )

    def settle(self) -> None:
        """Back to the beginning, as a page that was just opened shows it."""
        self.browser.call(
            "Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False
        )
        self.browser.until("NB.socket.readyState === 1")
        self.run("NB.playing && NB.id('play').click(); NB.id('refine-stop').click()")
        self.run("NB.id('sheet').open && NB.id('sheet-close').click(); NB.message('')")
        self.run("for (const name of ['noise', 'spread']) NB.say({ do: 'switch', name, on: false })")
        self.run("NB.say({ do: 'switch', name: 'background', on: true }); NB.id('reset').click()")
        session, end = self.explorer._session, time.monotonic() + 60
        while session.state.experiment is not session.start.experiment and time.monotonic() < end:
            time.sleep(0.02)  # until the server has heard of it
        try:
            self.browser.until("NB.last.exact && NB.id('busy').hidden && NB.events.size === 0")
        except AssertionError:
            print("stuck:", self.run("[NB.last, NB.events.size, NB.id('busy').hidden, NB.id('message').textContent, "
                                     "NB.id('quality').textContent, NB.socket.readyState].map(String)"),
                  self.explorer._session.trouble, list(self.done)[-3:], flush=True)  # fmt: skip
            raise
        lost, pictures = self.run("[NB.lost, NB.pictures]")
        self.run("NB.lost = NB.pictures = 0")
        self.lost, self.pictures = self.lost + lost, self.pictures + pictures


def soak(browser: Browser, minutes: float) -> list[dict[str, Any]]:
    """Random input for so long; a row every 20 s, and what it comes to."""
    start = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(20, 20, 20), misset_deg=(10, 20, 30),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(fluence_per_m2=1e27), detector=nb.Detector(n_fast=1024, n_slow=1024),
        sampling=nb.Sampling(oversample=1), background=nb.Background(water_um=1.0),
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, nb.explore(start) as explorer:
        image = os.path.join(folder, "measured_00001.cbf")
        nb.io.write_cbf(image, nb.expose(start.replace("crystal.misset_deg", (10.1, 20, 30)), seed=1).counts, start)
        one = Soak(browser, explorer, image, folder)
        began, last = time.monotonic(), 0.0
        while (spent := time.monotonic() - began) < 60 * minutes:
            one.step()
            if spent - last > 20:
                last = spent
                one.settle()
                rows.append({"s": round(spent), **figures(browser), "pages": len(explorer._desk.screens),
                             "pictures": one.pictures, "cut": one.cuts, "lost": one.lost - one.cuts})  # fmt: skip
                print("  ".join(f"{key} {value:.4g}" for key, value in rows[-1].items()), flush=True)
                for path in Path(folder).glob("*"):
                    if str(path) != image:
                        path.unlink()
                browser.responses.clear()
        one.settle()
        assert len(explorer._desk.screens) == 1
        assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment)), (
            "the last image is not the exact one"
        )
    said = [text for text in browser.console if not text.startswith(READ_ONLY)]
    print(f"{sum(one.done.values())} actions, the page loaded {one.loaded} times: {one.done}")
    print("\n".join(summary(rows)))
    print(f"on the console: {said[:5] or 'nothing'}")
    return rows


def figures(browser: Browser) -> dict[str, float]:
    """Memory of server and page [MiB], and what else may grow."""
    gc.collect()
    browser.call("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in browser.call("Performance.getMetrics")["metrics"]}
    return {
        "server_mib": resident_mib(os.getpid()), "live_mib": live_mib(),
        "page_mib": browser.run("performance.memory.usedJSHeapSize") / 2**20,
        "nodes": found.get("Nodes", 0), "listeners": found.get("JSEventListeners", 0),
        "files": len(os.listdir("/proc/self/fd")), "threads": threading.active_count(),
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What the figures did in the last two thirds of the time."""
    late = rows[len(rows) // 3 :]
    if len(late) < 3:
        return
    minutes = np.array([row["s"] for row in late]) / 60
    for key in ("server_mib", "live_mib", "page_mib", "nodes", "listeners", "files", "threads"):
        values = np.array([row[key] for row in late], float)
        slope = np.polyfit(minutes, values, 1)[0]
        yield f"{key}: {values.min():.4g} to {values.max():.4g}, slope {slope:+.3g} a minute"


class _Heap(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"))  # fmt: skip


def live_mib() -> float:
    """Memory that is in use and not only kept by the C library for what comes; NaN where it does not say."""
    tell = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if tell is None:
        return float("nan")
    tell.restype = _Heap
    found = tell()
    return (found.uordblks + found.hblkhd) / 2**20


def resident_mib(process: int) -> float:
    """Memory of a process."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
