"""What structure factors by energy cost: 100 wavelengths with two tables against one, CPU time.

    python benchmarks/spectra.py [--side 128] [--rounds 9]

A and B are timed in turn, so that a busy machine slows both; the aim is a ratio of 1.1 at most.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import Scene

ENERGIES = (9450.0, 9550.0)
CRYSTALS = (("square", 20), ("gauss", 20), ("square", 5))


def scene(n_tables: int, shape: str, n_cells: int, side: int) -> Scene:
    """100 wavelengths over 1 %, a table for all or one for each half of them."""
    amplitude = np.random.default_rng(1).uniform(10, 100, (2, 61, 61, 41))[:n_tables]
    factors = nb.StructureFactors(amplitude=amplitude, hkl_min=(-30, -30, -20), energy_ev=ENERGIES[:n_tables])
    return derive(resolve(nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(78, 78, 38, 90, 90, 90), misset_deg=(10, 20, 30), shape=shape,
                           n_cells=(n_cells,) * 3, structure_factors=factors),
        beam=nb.Beam(energy_ev=9500.0, spectrum=nb.Spectrum(kind="tophat", fwhm_percent=1.0, n_wavelengths=100)),
        detector=nb.Detector(n_fast=side, n_slow=side, pixel_size_mm=60 / side, distance_mm=60),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )))  # fmt: skip


def rendering(one: Scene, kernel: str) -> Callable[[], object]:
    """Render it on this thread."""
    core, out = _core.CoreScene(one), np.zeros(one.n_pixels)
    return lambda: core.render(0, one.n_pixels, out, _core.CancelFlag(), kernel)


def pulling(one: Scene, kernel: str) -> Callable[[], object]:
    """The gradients of orientations and table."""
    core, cotangent = _core.CoreScene(one), np.ones(one.n_pixels)

    def call() -> object:
        gradients = _core.Gradients(core, ["orientations", "f_table"])
        return gradients.pull_back(0, one.n_pixels, cotangent, _core.CancelFlag(), kernel)

    return call


def seconds(call: Callable[[], object]) -> float:
    """Of CPU."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def main() -> None:
    """Print a line for each crystal, kernel and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="pixels along each edge")
    parser.add_argument("--rounds", type=int, default=9)
    typed = parser.parse_args()
    warnings.simplefilter("ignore", nb.NanoBraggWarning)
    for shape, n_cells in CRYSTALS:
        one, two = (scene(n, shape, n_cells, typed.side) for n in (1, 2))
        for kernel in _core.available_kernels:
            for name, make in (("image", rendering), ("gradient", pulling)):
                calls = [make(which, kernel) for which in (one, two)]
                times = [[seconds(call) for call in calls] for _ in range(typed.rounds + 1)][1:]
                ratio = statistics.median(b / a for a, b in times)
                print(
                    f"{shape} of {n_cells}, {kernel}, {name}: {1e3 * min(a for a, _ in times):.1f} ms, times {ratio:.3f}"
                )


if __name__ == "__main__":
    main()
