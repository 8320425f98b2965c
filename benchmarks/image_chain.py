"""What comes around the spots: background, Poisson deviates, point spread, the whole chain on an Eiger 4M frame.

    python benchmarks/image_chain.py [--rounds N] [--threads N]

Prints the smallest CPU time of one thread, and how many times as fast several threads are (smallest wall times).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.imaging.background import with_background
from nanobragg.imaging.psf import spread
from nanobragg.streams import Purpose, Stream

DETECTOR = "eiger_4m"
MEANS = (0.01, 0.5, 2.0, 4.9, 5.0, 10.0, 17.9, 20.0, 35.0, 50.0, 100.0, 1e4)
CCD = nb.Readout(
    gain_adu_per_photon=2.0, noise_adu=3.0, offset_adu=40.0, flicker=0.02, maps=nb.Maps(efficiency=0.01, gain_error=0.03),
    psf=nb.Psf(kind="fiber", fwhm_um=80.0),
)  # fmt: skip


def least(function: Callable[[], object], rounds: int, clock: Callable[[], float] = time.process_time) -> float:
    """Smallest time of a call [s]."""
    times = []
    for _ in range(rounds + 1):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times[1:])


def experiment(*components: nb.Amorphous) -> nb.Experiment:
    """The detector without its gaps, and a crystal that gives nothing."""
    crystal = nb.Crystal(unit_cell=nb.UnitCell(79, 79, 38, 90, 90, 90), n_cells=(1, 1, 1),
                         structure_factors=nb.StructureFactors.constant(1e-9))  # fmt: skip
    detector = nb.Detector.preset(DETECTOR, distance_mm=150.0, mask=None)
    return nb.Experiment(crystal=crystal, detector=detector, sampling=nb.Sampling(oversample=1),
                         background=nb.Background(components=components))  # fmt: skip


def background(one: nb.Amorphous) -> tuple[int, Callable[..., Any]]:
    """Pixels, and a call that adds one component to an image that exists."""
    d = derivation(resolve(experiment(one)))
    image = np.zeros((d.scene.n_slow, d.scene.n_fast))

    def run(kernel: str, n_threads: int = 1) -> Any:
        return with_background(image, d.experiment, d.scene, FLOAT_OPS, n_threads=n_threads, kernel=kernel)

    return image.size, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rounds, threads = options.rounds, options.threads
    warnings.simplefilter("ignore")

    def faster(run: Callable[[int], object]) -> str:
        one, several = (least(lambda n=n: run(n), rounds, time.perf_counter) for n in (1, threads))
        return f"{threads} threads {one / several:.2f} times as fast"

    table = np.column_stack([np.sort(np.random.default_rng(1).random(400)), np.linspace(5, 1, 400)])
    bodies = {
        "water": nb.Amorphous(thickness_mm=0.1),
        "a table with uneven steps": nb.Amorphous(table=table, thickness_mm=0.1, density_g_cm3=1.0, molar_mass_g=18.0),
        "absorbing ice": nb.Amorphous(table="ice", thickness_mm=0.3, attenuation_mm=0.7),
        "air, 50 mm of path, a stop": nb.Amorphous(
            table="air", along_beam_mm=(-30, 20), beamstop=nb.Beamstop(radius_mm=0.5, distance_mm=25)
        ),
    }
    for name, body in bodies.items():
        n, run = background(body)
        print(f"background, {name}, {n / 1e6:.2f} M pixels")
        for kernel in _core.available_kernels:
            if kernel != "fast":
                print(f"  {kernel}: {1000 * least(lambda k=kernel, f=run: f(k), rounds):.1f} ms")
        print(f"  {faster(lambda n, f=run: f('auto', n))}")

    print("Poisson deviates, M/s (numpy's PCG64)")
    stream, generator = Stream(1, Purpose.PHOTONS), np.random.default_rng(1)
    for mean in MEANS:
        means = np.full((1000, 1000), mean)
        own = least(lambda m=means: stream.poisson(m), rounds)
        other = least(lambda m=means: generator.poisson(m), 1)
        print(f"  mean {mean:g}: {1 / own:.1f} ({1 / other:.1f})")
    means = np.random.default_rng(1).gamma(1.0, 3.0, (2167, 2070))
    print(f"  {faster(lambda n: stream.poisson(means, n_threads=n))}")

    print(f"point spread of {means.size / 1e6:.2f} M pixels")
    for kind in ("gauss", "fiber"):
        psf = nb.Psf(kind=kind, fwhm_um=80.0)
        print(f"  {kind}: {least(lambda p=psf: spread(means, p, (75.0, 75.0)), rounds):.3f} s")
    print(f"  {faster(lambda n: spread(means, psf, (75.0, 75.0), n_threads=n))}")

    print(f"the chain after the spots, {DETECTOR}: background, and everything up to the counts")
    made = experiment(bodies["water"])
    n, run = background(bodies["water"])
    for name, readout in (("counting", nb.Readout.preset(DETECTOR)), ("integrating, all stages", CCD)):

        def chain(n_threads: int = 1, readout: nb.Readout = readout) -> None:
            run("auto", n_threads)
            nb.expose(made, readout, seed=1, photons=means, n_threads=n_threads)

        print(f"  {name}: {least(chain, rounds):.3f} s; {faster(chain)}")


if __name__ == "__main__":
    main()
