"""The explorer in a real browser: from the event of a slider to the frame that shows the new picture; and a soak of random input.

Events come one by one, each when the picture of the last one is seen, so that none waits for another. The time is taken in the
page: from the event to the frame of the browser in which its tile is drawn. "exact after" is from letting the slider go to the
exact image, 0.2 s in which values must be still included. Run it on a machine that has nothing else to do.

    python benchmarks/explorer.py [--events 100] [--soak MINUTES] [--json out.json]

With --soak random input goes to sliders, mouse, wheel, switches, presets and undo instead, and every 20 s a line says what
memory the server and the page take, how many pictures there were, and how often the connection was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import nanobragg as nb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "explorer"))
from browser import Browser

READY = "window.NB && NB.last && NB.last.exact && NB.values"


WORK = ((1, "crystal.misset_deg[0]"), (1, "beam.wavelength_angstrom"), (1, "detector.distance_mm"),
        (50, "crystal.misset_deg[0]"))  # fmt: skip
"""Domains, and what is moved."""


def experiment(domains: int = 1) -> nb.Experiment:
    """1024 x 1024 pixels, one sub-pixel, a protein's cell."""
    mosaic = nb.Mosaic() if domains == 1 else nb.Mosaic(spread_deg=0.3, n_domains=domains)
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(20, 20, 20), misset_deg=(10, 20, 30),
                           mosaic=mosaic, structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(fluence_per_m2=1e27), detector=nb.Detector(n_fast=1024, n_slow=1024),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


FIND = """const rows = [...document.querySelectorAll('.control')];
  const slider = rows.find((one) => one.dataset.path === '%s').querySelector('input[type=range]');"""
SLIDE = """new Promise((done) => {
  {FIND}
  NB.latencies.length = 0; NB.events.clear();
  let left = %d;
  const step = () => {
    slider.value = 300 + (Number(slider.value) + 7) %% 400;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    const before = NB.latencies.length;
    const look = () => {
      if (NB.latencies.length === before) requestAnimationFrame(look);
      else if (--left) setTimeout(step, 5);
      else done(NB.latencies.slice());
    };
    look();
  };
  step();
})""".replace("{FIND}", FIND)
"""Moves a slider so many times, each time when the last picture is seen; milliseconds."""
RELEASE = """new Promise((done) => {
  {FIND}
  const began = performance.now();
  slider.dispatchEvent(new Event('change', { bubbles: true }));
  const look = () => NB.last.exact && NB.events.size === 0 ? done(performance.now() - began) : requestAnimationFrame(look);
  setTimeout(look, 30);
})""".replace("{FIND}", FIND)


def measured(browser: Browser, domains: int, path: str, events: int) -> dict[str, Any]:
    """Latencies [ms] of one workload."""
    with nb.explore(experiment(domains)) as explorer:
        began = time.perf_counter()
        browser.open(explorer.url)
        browser.until(READY)
        opened = time.perf_counter() - began
        time.sleep(1.0)
        browser.run(SLIDE % (path, 10))
        found = sorted(browser.run(SLIDE % (path, events)))
        exact = statistics.median(browser.run(RELEASE % path) for _ in range(5))
        said = browser.run(f"({SLIDE % (path, 1)}).then(() => NB.last.said)") or "exact"
    return {"domains": domains, "path": path, "open_s": opened, "median_ms": statistics.median(found),
            "p95_ms": found[int(0.95 * (len(found) - 1))], "exact_ms": exact, "shown": said}  # fmt: skip


def soak(browser: Browser, minutes: float) -> list[dict[str, float]]:
    """Random input; what memory and connection do."""
    rows = []
    with nb.explore(experiment(1).replace("background.water_um", 1.0)) as explorer:
        browser.open(explorer.url)
        browser.until(READY)
        browser.run(
            "NB.lost = 0; NB.pictures = 0; NB.hear('closed', () => { NB.lost += 1; });"
            "NB.hear('drawn', () => { NB.pictures += 1; })"
        )
        chance, began, last = random.Random(1), time.monotonic(), 0.0
        presets = ["beam/synchrotron, 1 Angstrom", "detector/pilatus_1m"]

        def put(path: str, value: float) -> None:
            browser.run(f"NB.change({{ do: 'set', path: '{path}', value: {value} }})")

        def click(*names: str) -> None:
            browser.run(f"NB.id('{chance.choice(names)}').click()")

        actions = [
            lambda: browser.drag((500, 300), (500 + chance.randint(-150, 150), 300 + chance.randint(-150, 150))),
            lambda: browser.mouse("mouseWheel", 600, 400, deltaX=0, deltaY=chance.choice([-300, 300])),
            lambda: browser.run(f"NB.setPhi({chance.uniform(-180, 180)}, {str(chance.random() < 0.7).lower()})"),
            lambda: put("detector.distance_mm", chance.uniform(50, 400)),
            lambda: put("crystal.mosaic.n_domains", chance.randint(1, 40)),
            lambda: put("crystal.mosaic.spread_deg", chance.uniform(0, 1)),
            lambda: put("beam.wavelength_angstrom", chance.uniform(-0.5, 2)),
            lambda: click("undo", "redo", "reset", "undo", "cancel"),
            lambda: click("s-noise", "s-spread", "s-background", "o-labels"),
            lambda: browser.run(f"NB.say({{ do: 'preset', name: '{chance.choice(presets)}' }})"),
            lambda: browser.mouse("mouseMoved", chance.randint(330, 980), chance.randint(60, 740)),
            lambda: browser.run("NB.fitAll(); NB.draw(); NB.askTiles()"),
        ]
        while (spent := time.monotonic() - began) < 60 * minutes:
            chance.choice(actions)()
            time.sleep(chance.uniform(0, 0.2))
            if spent - last > 20:
                last = spent
                browser.call("HeapProfiler.collectGarbage")
                heap = browser.run("performance.memory.usedJSHeapSize") / 2**20
                counts = {name: browser.run(f"NB.{name}") for name in ("pictures", "lost")}
                rows.append({"s": round(spent), "server_mib": resident_mib(), "page_mib": heap, **counts})
                print("  ".join(f"{key} {value:.4g}" for key, value in rows[-1].items()), flush=True)
        browser.run("NB.id('reset').click()")
        browser.until("NB.last.exact && NB.id('busy').hidden")
        assert len(explorer._desk.screens) == 1 and browser.run("NB.lost") == 0
    if browser.console:
        print("on the console:", browser.console[:5])
    return rows


def resident_mib() -> float:
    """Memory of this process, in which the server runs."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="random input for so long")
    parser.add_argument("--json", type=Path, help="write the figures there")
    typed = parser.parse_args()
    with Browser() as browser:
        if typed.soak:
            rows: list[dict[str, Any]] = list(soak(browser, typed.soak))
        else:
            rows = [measured(browser, domains, path, typed.events) for domains, path in WORK]
            head = ("1 M pixels", "moved", "page opens", "median", "95 %", "exact after", "shown while it moves")
            print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
            for row in rows:
                print(f"| {row['domains']} domains | {row['path']} | {row['open_s']:.1f} s | {row['median_ms']:.0f} ms | "
                      f"{row['p95_ms']:.0f} ms | {row['exact_ms']:.0f} ms | {row['shown']} |")  # fmt: skip
    if typed.json:
        typed.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
