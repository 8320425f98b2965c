"""The explorer in a real browser: from the event of a slider to the frame that shows the new picture; and a soak of random input.

The time is taken in the page: from the event of the slider to the end of the frame of the browser in which its tile is painted.
First events come one by one, each when the picture of the last one is seen, so that none waits for another; then one a frame, as
of a slider that is dragged, where a picture may show that some were skipped. "exact after" is from letting the slider go to the
exact image, the longest of five, 0.2 s in which values must be still included; "page opens" from the address to the first exact
image. Run it on a machine that has nothing else to do.

    python benchmarks/explorer.py [--events 100] [--only WORD] [--soak MINUTES] [--json out.json]

With --soak random input goes to every control instead: see explorer_soak.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nanobragg as nb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "explorer"))
from browser import Browser
from explorer_soak import soak

READY = "window.NB && NB.last && NB.last.exact && NB.values"


MISSET, DISTANCE, WAVELENGTH = "crystal.misset_deg[0]", "detector.distance_mm", "beam.wavelength_angstrom"
SPREAD = "crystal.mosaic.spread_deg"


def experiment(domains: int = 1, **more: Any) -> nb.Experiment:
    """1024 x 1024 pixels, one sub-pixel, a protein's cell."""
    mosaic = nb.Mosaic() if domains == 1 else nb.Mosaic(spread_deg=0.3, n_domains=domains)
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(20, 20, 20), misset_deg=(10, 20, 30),
                           mosaic=mosaic, structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(fluence_per_m2=1e27), detector=nb.Detector(n_fast=1024, n_slow=1024),
        sampling=nb.Sampling(oversample=1),
    ).replace(**more)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """An experiment, what is switched on, and the sliders that move."""

    name: str
    experiment: nb.Experiment
    paths: tuple[str, ...]
    switches: tuple[str, ...] = ()


WORK = (
    Work("one orientation", experiment(), (MISSET, WAVELENGTH, DISTANCE, SPREAD)),
    Work("one orientation, sub-pixels by themselves", experiment(sampling=nb.Sampling()), (MISSET, DISTANCE)),
    Work("one orientation, background", experiment(background=nb.Background(water_um=100.0)), (MISSET,)),
    Work("one orientation, background, point spread, noise", experiment(background=nb.Background(water_um=100.0)),
         (MISSET, DISTANCE), ("spread", "noise")),
    Work("50 domains", experiment(50), (MISSET, WAVELENGTH, DISTANCE, SPREAD)),
    Work("50 domains, background, point spread, noise", experiment(50, background=nb.Background(water_um=100.0)), (MISSET,),
         ("spread", "noise")),
)  # fmt: skip


WATCH = """NB.firsts = []; NB.hear('drawn', (header) => {
  if (header.event !== NB.seen) NB.firsts.push(header.exact ? 'exact' : header.said);
  NB.seen = header.event;
})"""
"""Notes of which quality the first picture of each event is."""
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
      if (NB.latencies.length === before) setTimeout(look, 1);
      else if (--left) setTimeout(step, 20 * Math.random());
      else done(NB.latencies.slice());
    };
    look();
  };
  step();
})""".replace("{FIND}", FIND)
"""Moves a slider so many times, each time when the last picture is seen, anywhere within a frame; milliseconds."""
DRAG = """new Promise((done) => {
  {FIND}
  NB.latencies.length = 0; NB.events.clear();
  let left = %d;
  const step = () => {
    slider.value = 300 + (Number(slider.value) + 1) %% 400;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    if (--left) requestAnimationFrame(step);
    else setTimeout(() => done(NB.latencies.slice()), 700);
  };
  step();
})""".replace("{FIND}", FIND)
"""Moves a slider in every frame; milliseconds of the events whose picture was seen."""
RELEASE = """new Promise((done) => {
  {FIND}
  const began = performance.now();
  slider.dispatchEvent(new Event('change', { bubbles: true }));
  const look = () => NB.last.exact && NB.events.size === 0 ? done(performance.now() - began) : requestAnimationFrame(look);
  setTimeout(look, 30);
})""".replace("{FIND}", FIND)


def measured(browser: Browser, work: Work, events: int) -> Iterator[dict[str, Any]]:
    """Latencies [ms] of one experiment, a row for each slider."""
    with nb.explore(work.experiment) as explorer:
        began = time.perf_counter()
        browser.open(explorer.url)
        browser.until(READY)
        opened = time.perf_counter() - began
        browser.run(WATCH)
        for name in work.switches:
            browser.run(f"NB.id('s-{name}').click()")
        time.sleep(1.0)
        for path in work.paths:
            browser.run(SLIDE % (path, 10))
            browser.run("NB.firsts.length = 0")
            found = sorted(browser.run(SLIDE % (path, events)))
            said = "; ".join(f"{n} {text}" for text, n in Counter(browser.run("NB.firsts")).most_common())
            dragged = sorted(browser.run(DRAG % (path, 2 * events)))
            exact = max(browser.run(RELEASE % path) for _ in range(5))
            browser.run("NB.say({ do: 'reset' })")
            time.sleep(0.5)
            browser.until(READY)
            yield {"work": work.name, "path": path, "open_s": opened, "median_ms": statistics.median(found),
                   "p95_ms": found[int(0.95 * (len(found) - 1))], "drag_median_ms": statistics.median(dragged),
                   "drag_p95_ms": dragged[int(0.95 * (len(dragged) - 1))], "frames": len(dragged) / (2 * events),
                   "exact_ms": exact, "shown": said}  # fmt: skip


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--only", default="", help="experiments whose name has this word")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="random input for so long")
    parser.add_argument("--json", type=Path, help="write the figures there")
    typed = parser.parse_args()
    with Browser() as browser:
        if typed.soak:
            rows: list[dict[str, Any]] = list(soak(browser, typed.soak))
        else:
            rows = []
            head = (
                "1 M pixels",
                "moved",
                "page opens",
                "median",
                "95 %",
                "dragged: median",
                "95 %",
                "exact after",
                "shown",
            )
            print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
            for row in (
                row for work in WORK if typed.only in work.name for row in measured(browser, work, typed.events)
            ):
                rows.append(row)
                times = [
                    f"{row[key]:.0f} ms" for key in ("median_ms", "p95_ms", "drag_median_ms", "drag_p95_ms", "exact_ms")
                ]
                print(f"| {row['work']} | {row['path']} | {row['open_s']:.1f} s | {' | '.join(times)} | {row['shown']} |",
                      flush=True)  # fmt: skip
    if typed.json:
        typed.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
