"""CPU time of the torch engine per evaluation, beside the scalar C kernel.

Every contender takes its turn in every round (A B C ... A B C ...), on one thread; the figure is user CPU time, the median over
the rounds. The workloads are those of docs/performance.md; W3 is rendered on a band of rows. "12 parameters" are orientation,
cell, beam center and distance, and the figure includes the derivation.

    python benchmarks/torch_speed.py [--rounds 7] [--workloads W1,W2,W3] [--compile] [--device cuda] [--json out.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from nanobragg.torch_backend import simulate
from nanobragg.torch_backend.ops import TORCH_OPS

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


def with_parameters(decided: nb.Experiment) -> tuple[nb.Experiment, list[torch.Tensor]]:
    """The experiment with its twelve parameters as leaves."""
    leaves = []
    for path in PARAMETERS:
        leaf = torch.tensor(decided.get(path), dtype=torch.float64, requires_grad=True)
        decided = decided.replace(path, leaf)
        leaves.append(leaf)
    assert sum(leaf.numel() for leaf in leaves) == 12
    return decided, leaves


def contenders(decided: nb.Experiment, device: str, compiled: bool) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""

    def forward(dtype: torch.dtype, **options: object) -> Callable[[], object]:
        return lambda: simulate(decided, dtype=dtype, device=device, **options)  # type: ignore[arg-type]

    def gradient(dtype: torch.dtype, **options: object) -> Callable[[], object]:
        refined, leaves = with_parameters(decided)
        return lambda: torch.autograd.grad(simulate(refined, dtype=dtype, device=device, **options).sum(), leaves)  # type: ignore[arg-type]

    found: dict[str, Callable[[], object]] = {
        "torch float64": forward(torch.float64),
        "torch float32": forward(torch.float32),
        "torch float32, f32x2": forward(torch.float32, phase="f32x2"),
        "torch float64, forward + 12 gradients": gradient(torch.float64),
        "torch float32, forward + 12 gradients": gradient(torch.float32),
        "C scalar": lambda: nb.simulate(decided, backend="c", kernel="scalar", n_threads=1),
    }
    if compiled:
        for dtype in (torch.float64, torch.float32):
            name = str(dtype).removeprefix("torch.")
            found[f"torch {name}, compiled"] = forward(dtype, kernel="compiled")
            found[f"torch {name}, compiled, forward + 12 gradients"] = gradient(dtype, kernel="compiled")
    return found


def cpu_time(call: Callable[[], object], device: str) -> float:
    """User CPU seconds of a call; wall seconds on a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        return time.perf_counter() - began
    began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - began


def main() -> None:
    """Time and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workloads", default="W1,W2,W3")
    parser.add_argument("--compile", action="store_true", help="also the evaluation through torch.compile")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table = {}
    for name in options.workloads.split(","):
        decided = resolve(workloads()[name])
        evaluations = derive(decided, TORCH_OPS).evaluations
        calls = contenders(decided, options.device, options.compile)
        times: dict[str, list[float]] = {contender: [] for contender in calls}
        for call in calls.values():
            call()
        for _ in range(options.rounds):
            for contender, call in calls.items():
                times[contender].append(cpu_time(call, options.device))
        table[name] = {c: statistics.median(t) / evaluations * 1e9 for c, t in times.items()}
        table[name]["evaluations"] = evaluations
    print(
        f"\n{platform.processor() or platform.machine()}, torch {torch.__version__}, {options.rounds} rounds, {options.device}\n"
    )
    print("ns per evaluation | " + " | ".join(table))
    print("|".join(["---"] * (len(table) + 1)))
    for contender in next(iter(table.values())):
        if contender != "evaluations":
            print(f"{contender} | " + " | ".join(f"{column[contender]:.1f}" for column in table.values()))
    for dtype in ("float64", "float32"):
        ratios = [c[f"torch {dtype}, forward + 12 gradients"] / c[f"torch {dtype}"] for c in table.values()]
        print(f"(forward + gradients)/forward, {dtype} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
