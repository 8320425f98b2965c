"""Makes docs/pictures/explorer*.png: the explorer in Chromium, and what a notebook shows of it.

python docs/explorer_pictures.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
import html
import sys
import tempfile
import threading
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import nanobragg as nb
from nanobragg.explorer.presets import example

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "explorer"))
from browser import Browser

PICTURES = Path(__file__).parent / "pictures"
READY = "window.NB && NB.last && NB.last.exact && NB.values && NB.id('busy').hidden"
STYLE = """body{font:14px/1.4 system-ui,'DejaVu Sans',sans-serif;margin:14px;background:#fff;color:#1b1f24}
.cell{display:flex;gap:10px;margin-bottom:12px}.in,.out{flex:1}pre{font:12.5px/1.4 'DejaVu Sans Mono',monospace;margin:0}
.prompt{color:#57606a;font:12px monospace;width:60px;text-align:right;flex-shrink:0}
.in{background:#f6f8fa;border:1px solid #d0d7de;padding:8px}"""
CELL = "explorer = nb.explore(experiment)\nexplorer"


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURES)
    typed = parser.parse_args()
    warnings.simplefilter("ignore")
    experiment = example()
    with Browser() as browser:
        turning(browser, experiment, typed.out / "explorer.png")
        comparing(browser, experiment, typed.out / "explorer_measured.png")
        notebook(browser, experiment, typed.out / "explorer_notebook.png")


def turning(browser: Browser, experiment: nb.Experiment, path: Path) -> None:
    """The page, zoomed a little, with labels, a pixel under the cursor and a profile."""
    with nb.explore(experiment) as explorer:
        browser.open(explorer.url)
        browser.until(READY)
        browser.run("NB.id('o-labels').click()")
        browser.until("NB.labels.length > 0")
        browser.run("NB.setPhi(12.5, false)")
        browser.until(f"NB.events.size === 0 && {READY}")
        browser.mouse("mouseWheel", 620, 330, deltaX=0, deltaY=-350)
        browser.run("NB.profileLine = [[300, 420], [620, 640]]; NB.say({ do: 'profile', line: NB.profileLine })")
        browser.until("!NB.id('profile-section').hidden")
        browser.mouse("mouseMoved", 700, 300)
        browser.until("NB.pixel")
        browser.run("new Promise((done) => setTimeout(done, 1500))")
        taken(browser, path)


def comparing(browser: Browser, experiment: nb.Experiment, path: Path) -> None:
    """A measured image of a crystal that is turned a little, beside the simulated one, after a refinement."""
    truth = experiment.replace("crystal.misset_deg", (17.15, 33.1, 51.9)).replace("beam.fluence_per_m2", 2.5e26)
    counts = nb.expose(truth, nb.Readout(kind="counting", bits=32), seed=3).counts.astype(np.int32)
    counts[~truth.detector.mask] = -1
    with nb.explore(experiment, measured=counts) as explorer:
        browser.open(explorer.url)
        browser.until(READY)
        browser.run(
            "NB.id('layer').value = 'beside'; NB.id('layer').onchange(); NB.id('o-rings').click();"
            "NB.id('refine').open = true; NB.id('refine-start').click()"
        )
        browser.until("!NB.id('refine-stop').hidden")
        browser.until("NB.id('refine-stop').hidden")
        browser.until(f"{READY} && NB.last.layer === 'beside'")
        browser.mouse("mouseWheel", 480, 380, deltaX=0, deltaY=-600)
        browser.mouse("mouseMoved", 500, 300)
        browser.run("NB.id('compare').scrollIntoView(); new Promise((done) => setTimeout(done, 1500))")
        taken(browser, path)


def notebook(browser: Browser, experiment: nb.Experiment, path: Path) -> None:
    """The output of a cell, on a page that stands for the notebook."""
    with nb.explore(experiment) as explorer, tempfile.TemporaryDirectory() as folder:
        explorer.image(120)
        rows = [("In [1]:", "in", f"<pre>{html.escape(CELL)}</pre>"), ("Out[1]:", "out", explorer._repr_html_())]
        cells = "".join(
            f"<div class=cell><div class=prompt>{prompt}</div><div class={kind}>{text}</div></div>"
            for prompt, kind, text in rows
        )
        page = Path(folder) / "index.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{cells}", encoding="utf-8")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SilentHandler, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{server.server_port}/index.html")
        browser.run("new Promise((done) => setTimeout(done, 5000))")
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=1010, deviceScaleFactor=1, mobile=False)
        browser.run("new Promise((done) => setTimeout(done, 1500))")
        taken(browser, path)
        server.shutdown()


def taken(browser: Browser, path: Path) -> None:
    """A screenshot in 256 colors, rare ones too, which is a third of the size."""
    from PIL import Image

    browser.screenshot(path)
    Image.open(path).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)


class SilentHandler(SimpleHTTPRequestHandler):
    """Serves the page that stands for the notebook."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    main()
