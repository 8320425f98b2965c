"""A refinement on a busy machine: 40 steps of Adam, alone and beside one process that never rests.

Twelve parameters (orientation, cell, beam center, distance) are refined on some 42,000 pixels in shoeboxes around the spots of a
1000 x 1000 image of a gauss crystal with 10 domains. Threads that spin at barriers made such a run 40 times slower as soon as
one core was taken by something else. The ratio of the wall times is the figure; run it on a machine that has nothing else to
do. CPU times and the waits of the run are printed beside it.

    python benchmarks/busy.py [--kernels eager,core] [--steps 40] [--threads N] [--json out.json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch_speed import with_parameters

import nanobragg as nb

PIXELS = 42_000
"""In shoeboxes, about."""
_REST = "while True: pass"


def experiment() -> nb.Experiment:
    """The crystal, with the brightest pixels of its image and their neighbours as mask."""
    table = nb.StructureFactors(
        amplitude=np.random.default_rng(1).uniform(10, 500, (79, 79, 39)), hkl_min=(-39, -39, -19)
    )
    whole = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(78, 78, 37, 90, 90, 90), misset_deg=(10.0, 20.0, 30.0), n_cells=(20, 20, 20),
            shape="gauss", structure_factors=table, mosaic=nb.Mosaic(spread_deg=0.2, n_domains=10),
        ),
        detector=nb.Detector(n_fast=1000, n_slow=1000, beam_center_mm=(50.0, 50.0), distance_mm=100.0),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip
    image = nb.simulate(whole)
    mask = np.zeros(image.shape, bool)
    for flat in np.argsort(image, axis=None)[::-1]:
        slow, fast = np.unravel_index(flat, image.shape)
        mask[max(0, slow - 3) : slow + 4, max(0, fast - 3) : fast + 4] = True
        if mask.sum() >= PIXELS:
            break
    return whole.replace("detector.mask", mask)


def refined(start: nb.Experiment, kernel: str, steps: int, threads: int | None) -> dict[str, float]:
    """Seconds of the steps by the wall and by the CPU, and how often the run was made to wait."""
    with torch.no_grad():
        measured = nb.simulate(start, backend="torch", kernel=kernel, n_threads=threads)
    moved, leaves = with_parameters(start.replace("crystal.misset_deg", (10.02, 20.01, 29.98)))
    optimizer = torch.optim.Adam(leaves, lr=1e-3)
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        image = nb.simulate(moved, backend="torch", kernel=kernel, n_threads=threads)
        ((image - measured) ** 2).sum().backward()
        optimizer.step()
    wall = time.perf_counter() - wall
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "preempted": after.ru_nivcsw - before.ru_nivcsw}


def compared(start: nb.Experiment, kernel: str, steps: int, threads: int | None) -> dict[str, Any]:
    """A run alone, one beside a busy process, and one alone again."""
    refined(start, kernel, 1, threads)
    quiet = refined(start, kernel, steps, threads)
    with subprocess.Popen([sys.executable, "-c", _REST]) as other:
        try:
            busy = refined(start, kernel, steps, threads)
        finally:
            other.kill()
    again = refined(start, kernel, steps, threads)
    best = min(quiet["wall_s"], again["wall_s"])
    return {"kernel": kernel, "quiet": quiet, "busy": busy, "quiet again": again, "ratio": busy["wall_s"] / best}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernels", default="eager,core")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, help="default: what the engine decides")
    parser.add_argument("--json", metavar="FILE")
    typed = parser.parse_args()
    warnings.simplefilter("ignore", nb.NanoBraggWarning)
    start = experiment()
    print(f"{int(start.detector.mask.sum())} pixels, load {os.getloadavg()[0]:.1f} at the start")
    found = []
    for kernel in typed.kernels.split(","):
        found.append(compared(start, kernel, typed.steps, typed.threads))
        for name in ("quiet", "busy", "quiet again"):
            run = found[-1][name]
            print(
                f"{kernel:6} {name:12} {run['wall_s']:7.2f} s wall {run['cpu_s']:7.2f} s CPU {run['preempted']:8d} preemptions"
            )
        print(f"{kernel:6} busy / quiet {found[-1]['ratio']:.2f}")
    if typed.json:
        with open(typed.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
