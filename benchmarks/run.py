"""Measures the kernels on the workloads W1-W8 and prints a Markdown table; JSON and plots beside it.

    python benchmarks/run.py [--w4 FOLDER] [--rounds 7] [--only W1,W3] [--out FOLDER] [--quick]

FOLDER of --w4 holds args.json and inputs/ of the run that W4 repeats (default: golden/supervisor_cmd, smaller).
NB_C_BIN names an executable of the original program to be timed in turn with the kernels; without it the ratios are
against the figures in workloads.py. Times are CPU times on one pinned core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import in_turn, kernel_timer, original_timer, peak_memory, pin, ratio
from workloads import WORKLOADS, Workload, prepare, recorded_run

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines import c as backend_c

ROOT = Path(__file__).resolve().parents[1]
EVERY_TERM = ("W1", "W2", "W3", "W4", "W6", "W7")
FLOPS = 125
# of one evaluation by the double kernel without table: 49 FMA, 14 products, 12 sums and roundings, 1 division


def main() -> None:
    options = arguments()
    warnings.simplefilter("ignore")
    every_core = os.sched_getaffinity(0)
    report: dict[str, Any] = {"machine": machine(), "pinned_core": pin(), "workloads": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            report["workloads"][name] = measure_workload(WORKLOADS[name], Path(folder), options)
            print(row(name, report["workloads"][name]), file=sys.stderr, flush=True)
        if not options.quick:
            report["peak"] = shares_of_peak(Path(folder), options.rounds)
            report["scaling"] = scaling(Path(folder))
            os.sched_setaffinity(0, every_core)
            report["threads"] = threads(Path(folder))
            report["memory_MB"] = dict(zip(("peak", "imports"), memory(Path(folder), options.w4), strict=True))
    text = markdown(report)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "results.json").write_text(json.dumps(report, indent=1))
        (options.out / "results.md").write_text(text)
        if not options.quick:
            from plot import plot

            plot(report, options.out)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--w4", type=recorded_run, default=ROOT / "golden" / "supervisor_cmd", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(WORKLOADS))
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="the table of the workloads alone")
    return parser.parse_args()


def scene_of(args: list[str], folder: Path) -> Any:
    here = Path.cwd()
    os.chdir(folder)
    try:
        return derive(resolve(nb.Experiment.from_nanobragg_args(args)))
    finally:
        os.chdir(here)


def measure_workload(workload: Workload, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    args = prepare(workload, folder, options.w4)
    scene = scene_of(args, folder)
    contenders = {}
    for kernel in _core.available_kernels:
        most, least = (1e6, 0.0) if kernel == "scalar" else (3e7, 1e7)
        contenders[kernel] = kernel_timer(scene, kernel, most, least)
    program = os.environ.get("NB_C_BIN")
    if program:
        contenders["original"] = original_timer(program, args, folder, scene.evaluations)
    times = in_turn(contenders, options.rounds)
    ratios = {name: ratio(times, "scalar", name) for name in times if name != "scalar"}
    found: dict[str, Any] = {
        "evaluations": scene.evaluations,
        "kernel": backend_c.chosen_kernel(scene),
        "ns": times,
        "scalar_over": ratios,
    }
    for name in _core.available_kernels:
        against = ratio(times, "original", name) if program else workload.original_ns / times[name]["median"]
        found.setdefault("original_over", {})[name] = against
    return found


def shares_of_peak(folder: Path, rounds: int) -> dict[str, Any]:
    """The double kernel without table against the FMA probe, in turn."""
    build = folder / "bench"
    configure = ["cmake", "-S", str(ROOT), "-B", str(build), "-DNB_PYTHON=OFF", "-DNB_BENCHMARKS=ON"]
    for command in (configure, ["cmake", "--build", str(build)]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = {}
    for kernel in _core.available_kernels:
        if not kernel.startswith("simd-"):
            continue
        command = [str(build / "benchmarks" / "kernel_driver"), "peak", kernel, str(max(rounds, 15))]
        lines = np.array([line.split() for line in subprocess.check_output(command, text=True).splitlines()], float)
        found[kernel] = {
            "ns": float(np.median(lines[:, 0])),
            "probe_gflops": float(np.median(lines[:, 1])) / 1e9,
            "share": float(np.median(FLOPS / lines[:, 0] / (lines[:, 1] / 1e9))),
        }
    return found


def scaling(folder: Path) -> dict[str, Any]:
    """Time over evaluations, for finer pixels and for more domains; the fit from 10 M evaluations up is time = a + b x."""
    base = WORKLOADS["W2"].args or ""
    series = {
        "pixels": [f"{base} -detpixels {n} -pixel {102.4 / n}" for n in (256, 512, 1024, 1536, 2048, 3072, 4096)],
        "domains": [
            f"{base} -oversample 1 -detpixels 256 -mosaic 0.3 -mosaic_domains {n}" for n in (1, 10, 100, 200, 400, 1000)
        ],
    }
    found = {}
    for name, lines in series.items():
        scenes = [scene_of(line.split(), folder) for line in lines]
        timers = [kernel_timer(scene, auto_kernel(), 1e18) for scene in scenes]
        evaluations = np.array([scene.evaluations for scene in scenes], float)
        ns = np.median([[timer() for timer in timers] for _ in range(5)], axis=0)
        seconds = ns * evaluations / 1e9
        large = evaluations >= 1e7
        b, a = np.polyfit(evaluations[large], seconds[large], 1, w=1 / seconds[large])
        found[name] = {
            "evaluations": evaluations.tolist(),
            "seconds": seconds.tolist(),
            "a": a,
            "b_ns": b * 1e9,
            "worst_deviation": float(np.abs((a + b * evaluations) / seconds - 1)[large].max()),
        }
    return found


def threads(folder: Path) -> dict[str, Any]:
    """Best wall time of W3 with one thread over that with n, measured in turn."""
    scene = scene_of((WORKLOADS["W3"].args or "").split(), folder)
    counts = sorted({1, 2, backend_c.available_cores()})
    wall: dict[int, list[float]] = {n: [] for n in counts}
    for _ in range(9):
        for n in counts:
            start = time.perf_counter()
            backend_c.render(scene, n_threads=n)
            wall[n].append(time.perf_counter() - start)
    return {str(n): min(wall[1]) / min(wall[n]) for n in counts}


def memory(folder: Path, w4: Path) -> tuple[float, float]:
    return peak_memory(prepare(WORKLOADS["W4"], folder, w4), folder)


def machine() -> dict[str, str]:
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout.splitlines()[:1]
    return {
        "cpu": cpu or platform.processor(),
        "cores": str(os.cpu_count()),
        "compiler": "".join(compiler),
        "python": platform.python_version(),
        "nanobragg": nb.__version__,
        "original": os.environ.get("NB_C_BIN", "figures of workloads.py"),
    }


def auto_kernel() -> str:
    return backend_c.select_kernel("auto")


def row(name: str, found: dict[str, Any]) -> str:
    cells = [name, WORKLOADS[name].text, f"{found['evaluations'] / 1e6:.1f} M"]
    for kernel in _core.available_kernels:
        cells.append(f"{found['ns'][kernel]['median']:.2f} ({found['original_over'][kernel]:.0f}x)")
    cells.append(f"{found['ns'][auto_kernel()]['cold']:.2f}")
    return "| " + " | ".join(cells) + " |"


def geometric_means(workloads: dict[str, Any], kernels: Sequence[str]) -> list[str]:
    """A line with the geometric means over the workloads where no pixel can be skipped, if all were run."""
    if not set(EVERY_TERM) <= set(workloads):
        return []
    ratios = [[workloads[name]["original_over"][kernel] for name in EVERY_TERM] for kernel in kernels]
    means = np.exp(np.log(ratios).mean(axis=1))
    text = ", ".join(f"{kernel} {mean:.1f}x" for kernel, mean in zip(kernels, means, strict=True))
    return [f"geometric mean of {' '.join(EVERY_TERM)}: {text}", ""]


def markdown(report: dict[str, Any]) -> str:
    kernels = _core.available_kernels
    lines = [
        "ns of CPU time per evaluation, one core, and how many times as fast as the original program",
        "",
        f"| | workload | evaluations | {' | '.join(kernels)} | cold, {auto_kernel()} |",
        "|---" * (4 + len(kernels)) + "|",
        *(row(name, found) for name, found in report["workloads"].items()),
        "",
        *geometric_means(report["workloads"], kernels),
        ", ".join(f"{key} {value}" for key, value in report["machine"].items()),
    ]
    if "peak" in report:
        for kernel, p in report["peak"].items():
            lines.append(
                f"{kernel}: {p['ns']:.2f} ns without table, {100 * p['share']:.0f} % of {p['probe_gflops']:.1f} Gflop/s"
            )
        for name, fit in report["scaling"].items():
            lines.append(
                f"over {name}: {fit['b_ns']:.2f} ns per evaluation, within {100 * fit['worst_deviation']:.1f} %"
            )
        lines.append("threads: " + ", ".join(f"{n}: {speed:.2f}x" for n, speed in report["threads"].items()))
        lines.append(
            "peak memory of W4: {peak:.0f} MB, of which the imports take {imports:.0f} MB".format(**report["memory_MB"])
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
