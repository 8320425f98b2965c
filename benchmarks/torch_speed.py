"""CPU time of the torch engine per evaluation, beside the C kernels.

Every contender takes its turn in every round (A B C ... A B C ...), on one thread; the figure is user CPU time, the median over
the rounds. The workloads are those of docs/performance.md; W3 is rendered on a band of rows. "12 parameters" are orientation,
cell, beam center and distance. The figures of kernels "core" and "simd" are less the fixed cost, that of the same call on one
pixel; the others include it. Ratios are medians of the ratios within a round.

    python benchmarks/torch_speed.py [--rounds 7] [--workloads W1,W2,W3] [--compile] [--core] [--json out.json]
    python benchmarks/torch_speed.py --device cuda [--peak 33.5]

``--core`` leaves out everything but the C engine, alone and under autograd. On a GPU (see on_gpu.py) plain torch and the kernels
in Triton are timed, in wall time: image, twelve gradients, the orientation's alone, a Jacobian, and a prepared image with a new
orientation; in G evaluations per second, with the share of the card's peak, given in TFLOP/s of float64 vector arithmetic
(33.5: an H100), that the 125 floating point operations of an evaluation make.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import nanobragg as nb
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve

PARAMETERS = {
    "crystal.misset_deg": 3, "crystal.unit_cell.a": 1, "crystal.unit_cell.b": 1, "crystal.unit_cell.c": 1,
    "crystal.unit_cell.alpha": 1, "crystal.unit_cell.beta": 1, "crystal.unit_cell.gamma": 1,
    "detector.beam_center_mm": 2, "detector.distance_mm": 1,
}  # fmt: skip


def protein() -> dict[str, object]:
    """The crystal of W2 and W3: 78 x 78 x 37 Angstrom, amplitudes to 2 Angstrom."""
    axes = np.meshgrid(np.arange(-39, 40), np.arange(-39, 40), np.arange(-19, 20), indexing="ij")
    sphere = (axes[0] / 78) ** 2 + (axes[1] / 78) ** 2 + (axes[2] / 37) ** 2 <= 0.25
    amplitude = np.where(sphere, np.random.default_rng(1).uniform(10, 500, sphere.shape), 0.0)
    table = nb.StructureFactors(amplitude=amplitude, hkl_min=(-39, -39, -19))
    cell = nb.UnitCell(78, 78, 37, 90, 90, 90)
    return {"unit_cell": cell, "misset_deg": (10.0, 20.0, 30.0), "n_cells": (20,) * 3, "structure_factors": table}


def workloads() -> dict[str, nb.Experiment]:
    """W1, W2 and W3 of docs/performance.md."""
    center, distance = {"beam_center_mm": (51.25, 51.25)}, {"distance_mm": 100.0}
    cubic = nb.Crystal(
        unit_cell=nb.UnitCell(100, 100, 100, 90, 90, 90), n_cells=(5,) * 3,
        structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    mosaic = nb.Crystal(**protein(), mosaic=nb.Mosaic(spread_deg=0.3, n_domains=50))  # type: ignore[arg-type]
    return {
        "W1": nb.Experiment(
            crystal=cubic, detector=nb.Detector(**center, **distance), sampling=nb.Sampling(oversample=1)
        ),
        "W2": nb.Experiment(
            crystal=nb.Crystal(**protein()), detector=nb.Detector(**center, **distance),  # type: ignore[arg-type]
            sampling=nb.Sampling(oversample=2),
        ),
        "W3": nb.Experiment(
            crystal=mosaic, detector=nb.Detector(n_fast=512, n_slow=512, beam_center_mm=(25.65, 25.65), **distance),
            goniometer=nb.Goniometer(osc_deg=1.0, n_steps=10),
            sampling=nb.Sampling(oversample=1, roi=(slice(244, 268), slice(0, 512))),
        ),
    }  # fmt: skip


def with_parameters(experiment: nb.Experiment) -> tuple[nb.Experiment, list[torch.Tensor]]:
    """The experiment with its twelve parameters as leaves."""
    leaves = []
    for path in PARAMETERS:
        leaf = torch.tensor(experiment.get(path), dtype=torch.float64, requires_grad=True)
        experiment = experiment.replace(path, leaf)
        leaves.append(leaf)
    assert sum(leaf.numel() for leaf in leaves) == 12
    return experiment, leaves


def gradients(experiment: nb.Experiment, **options: Any) -> Callable[[], object]:
    """The image and the gradients of its sum."""
    refined, leaves = with_parameters(experiment)
    return lambda: torch.autograd.grad(nb.simulate(refined, backend="torch", **options).sum(), leaves)


def jacobian(experiment: nb.Experiment, **options: Any) -> Callable[[], object]:
    """The derivatives of every pixel."""
    render = nb.prepare(experiment, backend="torch", **options)
    values = tuple(torch.tensor(experiment.get(path), dtype=torch.float64) for path in PARAMETERS)
    places = tuple(range(len(values)))
    return lambda: torch.func.jacfwd(lambda *v: render(dict(zip(PARAMETERS, v, strict=True))), argnums=places)(*values)


def contenders(experiment: nb.Experiment, compiled: bool) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""

    def forward(**options: Any) -> Callable[[], object]:
        return lambda: nb.simulate(experiment, backend="torch", **options)

    eager: dict[str, Any] = {"kernel": "eager"}
    found: dict[str, Callable[[], object]] = {
        "torch float64": forward(kernel="eager"),
        "torch float32": forward(kernel="eager", dtype=torch.float32),
        "torch float32, f32x2": forward(kernel="eager", dtype=torch.float32, phase="f32x2"),
        "torch float64, forward + 12 gradients": gradients(experiment, **eager),
        "torch float32, forward + 12 gradients": gradients(experiment, dtype=torch.float32, **eager),
        "C scalar": lambda: nb.simulate(experiment, backend="c", kernel="scalar", n_threads=1),
    }
    if compiled:
        for dtype in (torch.float64, torch.float32):
            name = str(dtype).removeprefix("torch.")
            found[f"torch {name}, compiled"] = forward(dtype=dtype, kernel="compiled")
            found[f"torch {name}, compiled, forward + 12 gradients"] = gradients(
                experiment, dtype=dtype, kernel="compiled"
            )
    return found


FORWARD, GRADIENTS, JACOBIAN = "C simd", "core, forward + 12 gradients", "core, Jacobian of 12"


def core_contenders(experiment: nb.Experiment) -> dict[str, Callable[[], object]]:
    """What is timed less its fixed cost, by name."""
    return {
        FORWARD: lambda: nb.simulate(experiment, backend="c", n_threads=1),
        GRADIENTS: gradients(experiment, kernel="core", n_threads=1),
        JACOBIAN: jacobian(experiment, kernel="core", n_threads=1),
    }


def one_pixel(experiment: nb.Experiment) -> nb.Experiment:
    """The same with one rendered pixel, in the middle."""
    detector = experiment.detector
    assert isinstance(detector, nb.Detector)
    slow, fast = detector.n_slow // 2, detector.n_fast // 2
    return experiment.replace("sampling.roi", (slice(slow, slow + 1), slice(fast, fast + 1)))


LEAST = 0.1
"""Seconds that a contender runs at least when its turn comes: the system tells user CPU time in steps of some milliseconds."""


def cpu_time(call: Callable[[], object], often: int) -> float:
    """User CPU seconds of a call, out of as many as are asked for."""
    began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(often):
        call()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_utime - began) / often


def times_at_least(call: Callable[[], object]) -> int:
    """How many calls take as long as `LEAST`."""
    call()
    began = time.perf_counter()
    call()
    return max(1, math.ceil(LEAST / (time.perf_counter() - began)))


OPERATIONS = 125
"""Floating point operations of an evaluation (docs/performance.md)."""


def print_gpu(device: str, rounds: int, peak: float | None) -> None:
    """The report of a GPU, line by line as it is measured."""
    import on_gpu

    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, {rounds} rounds")
    for line in on_gpu.lines(on_gpu.workloads(), device, rounds, peak, on_gpu.KINDS):
        print(line, flush=True)


def main() -> None:
    """Time and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workloads", default="W1,W2,W3")
    parser.add_argument("--compile", action="store_true", help="also the evaluation through torch.compile")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--core", action="store_true", help="the C engine alone and under autograd")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the GPU, for the share that is reached")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.device != "cpu":
        print_gpu(options.device, options.rounds, options.peak)
        return
    table: dict[str, dict[str, float]] = {}
    ratios: dict[str, list[float]] = {}
    for name in options.workloads.split(","):
        experiment = workloads()[name]
        evaluations = derive(resolve(experiment)).evaluations
        calls = {} if options.core else contenders(experiment, options.compile)
        small = core_contenders(one_pixel(experiment))
        calls |= core_contenders(experiment) | {f"{contender}, fixed": call for contender, call in small.items()}
        times: dict[str, list[float]] = {contender: [] for contender in calls}
        often = {contender: times_at_least(call) for contender, call in calls.items()}
        for _ in range(options.rounds):
            for contender, call in calls.items():
                times[contender].append(cpu_time(call, often[contender]))
        for contender in small:
            fixed = times.pop(f"{contender}, fixed")
            times[contender] = [t - f for t, f in zip(times[contender], fixed, strict=True)]
        table[name] = {c: statistics.median(t) / evaluations * 1e9 for c, t in times.items()}
        table[name]["evaluations"] = evaluations
        for contender, base in ((GRADIENTS, FORWARD), (JACOBIAN, FORWARD)):
            pairs = zip(times[contender], times[base], strict=True)
            ratios.setdefault(f"({contender})/({base})", []).append(statistics.median(a / b for a, b in pairs))
    print(f"\n{platform.processor() or platform.machine()}, torch {torch.__version__}, {options.rounds} rounds\n")
    print("ns per evaluation | " + " | ".join(table))
    print("|".join(["---"] * (len(table) + 1)))
    for contender in next(iter(table.values())):
        if contender != "evaluations":
            print(f"{contender} | " + " | ".join(f"{column[contender]:.1f}" for column in table.values()))
    for pair, values in ratios.items():
        print(f"{pair} | " + " | ".join(f"{ratio:.2f}" for ratio in values))
    for dtype in () if options.core else ("float64", "float32"):
        slower = [c[f"torch {dtype}, forward + 12 gradients"] / c[f"torch {dtype}"] for c in table.values()]
        print(f"(forward + gradients)/forward, {dtype} | " + " | ".join(f"{ratio:.2f}" for ratio in slower))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
