"""What a small image costs: how often an experiment is decided and placed, and CPU time per call.

    python benchmarks/small.py [--rounds N] [--command FOLDER]

Prints the calls of a simulation, medians of CPU time for an image of 64 x 64 pixels (one crystal, one step) in both
fidelities, rendered again after `nanobragg.prepare`, with a new orientation each time, and with the gradients of twelve
parameters. ``--command`` also runs the
command line recorded in a folder of the golden set as a process: its CPU time above that of a Python that imports numpy.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
import torch_speed
from command import breakdown, process_times
from workloads import WORKLOADS, prepare, recorded_run

import nanobragg as nb
from nanobragg.derivation.cell import oriented_cell
from nanobragg.derivation.placement import place
from nanobragg.derivation.resolve import resolve

COUNTED: tuple[Callable[..., Any], ...] = (resolve, place, oriented_cell)
BATCH = 20
"""calls that are timed together"""


def experiment(fidelity: str) -> nb.Experiment:
    """A small protein crystal on 64 x 64 pixels."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(70, 80, 90, 90, 95, 90), misset_deg=(10, 20, 30), n_cells=(5, 5, 5),
        structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    detector = nb.Detector(n_fast=64, n_slow=64, pixel_size_mm=0.4, distance_mm=100.0)
    beam, sampling = nb.Beam(wavelength_angstrom=1.0), nb.Sampling(oversample=1)
    return nb.Experiment(crystal=crystal, detector=detector, beam=beam, sampling=sampling).with_fidelity(fidelity)


def gradients() -> Callable[[], object]:
    """The image, and the gradients of its sum by orientation, cell, beam center and distance."""
    torch.set_num_threads(1)
    centered = experiment("corrected").replace("detector.beam_center_mm", (13.0, 12.0))
    return torch_speed.gradients(centered, n_threads=1)


def calls(function: Callable[[], object]) -> Counter[str]:
    """How often each of `COUNTED` is called."""
    names, found = {counted.__code__: counted.__name__ for counted in COUNTED}, Counter[str]()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    sys.setprofile(look)
    try:
        function()
    finally:
        sys.setprofile(None)
    return found


def cpu_ms(function: Callable[[], object], rounds: int) -> float:
    """Median CPU time of a call [ms]."""
    times = []
    function()
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(BATCH):
            function()
        times.append((time.process_time() - start) / BATCH)
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--command", type=recorded_run, metavar="FOLDER")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for fidelity in ("corrected", "reference"):
        made = experiment(fidelity)
        render = nb.prepare(made)
        angles = iter(np.linspace(0, 1, 10**6))
        counts = ", ".join(f"{name} {n}" for name, n in calls(lambda made=made: nb.simulate(made)).items())
        print(f"{fidelity}: calls per simulate: {counts}")
        for label, function in (
            ("simulate", lambda made=made: nb.simulate(made)),
            ("prepared, new misset", lambda render=render, angles=angles: render({"crystal.misset_deg": (next(angles), 2, 3)})),
            ("prepared, the same", render),
        ):  # fmt: skip
            print(f"  {label}: {cpu_ms(function, options.rounds):.2f} ms")
    print(f"corrected, image and 12 gradients through autograd: {cpu_ms(gradients(), options.rounds):.2f} ms")
    if options.command:
        _command(options.command, options.rounds)


def _command(recorded: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, here = Path(name), Path.cwd()
        args = prepare(WORKLOADS["W4"], folder, recorded)
        runs = {
            "nanoBragg": ["-m", "nanobragg", *args],
            "start-up": ["-c", "import nanobragg.cli.main, nanobragg.cli.dropin.usage, nanobragg.cli.dropin.run"],
            "import numpy": ["-c", "import numpy"],
        }
        cpu: dict[str, list[float]] = {label: [] for label in runs}
        for _ in range(rounds):  # in turn, so that a busy machine slows all of them
            for label, command in runs.items():
                cpu[label].append(process_times([sys.executable, *command], folder)[1])
        found = {label: float(np.median(times)) for label, times in cpu.items()}
        print(f"{recorded.name}: {found['nanoBragg'] - found['import numpy']:.3f} s of CPU time above importing numpy")
        print(f"  start-up: {found['start-up'] - found['import numpy']:.3f} s above importing numpy")
        for part, seconds in breakdown(args, folder, rounds).items():
            print(f"  {part}: {seconds:.3f} s")
        os.chdir(here)


if __name__ == "__main__":
    main()
