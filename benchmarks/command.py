"""Times the command nanoBragg from end to end on workload W4, with a breakdown.

    python benchmarks/command.py [--w4 FOLDER] [--rounds 5]

FOLDER holds args.json and inputs/ (default: golden/supervisor_cmd). Wall and CPU time are those of whole processes, all
threads; the parts are CPU times of more runs in one process, where every module is loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from workloads import WORKLOADS, prepare, recorded_run

ROOT = Path(__file__).resolve().parents[1]
RUN, OUTPUT = "nanobragg.cli.dropin.run", "nanobragg.cli.dropin.output"
PARTS = {
    "reading": [(RUN, "read_command"), (RUN, "read_reflections")],
    "decisions": [(RUN, "build_experiment"), (RUN, "resolve"), (RUN, "derivation"), (RUN, "warn_about")],
    "render": [(RUN, "render")],
    "statistics": [(OUTPUT, "image_statistics"), (OUTPUT, "detector_solid_angle")],
    "writing": [(RUN, "write_images")],
}
"""Functions of every part, where they are called by name; the statistics are called while the files are written."""


def process_times(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU time [s] of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def breakdown(args: list[str], folder: Path, rounds: int) -> dict[str, float]:
    """Median CPU time [s] of the parts of a run, all threads, in this process: no profiler slows a part."""
    from nanobragg.cli.main import main as command

    spent: Counter[str] = Counter()
    terms = 0

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            nonlocal terms
            if part == "render":
                terms = next(one.scene.evaluations for one in given if hasattr(one, "scene"))
            start = time.process_time()
            try:
                return function(*given, **options)
            finally:
                spent[part] += time.process_time() - start

        return call

    found: dict[str, list[float]] = {}
    os.chdir(folder)
    with contextlib.ExitStack() as patched:
        for part, functions in PARTS.items():
            for module, name in functions:
                home = importlib.import_module(module)
                patched.enter_context(mock.patch.object(home, name, timed(part, getattr(home, name))))
        for _ in range(rounds):
            spent.clear()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                command(args)
            spent["writing"] -= spent["statistics"]
            for part in PARTS:
                found.setdefault(part, []).append(spent[part])
    medians = {part: float(np.median(times)) for part, times in found.items()}
    return {f"render, {1e9 * s / terms:.1f} ns per evaluation" if p == "render" else p: s for p, s in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--w4", type=recorded_run, default=ROOT / "golden" / "supervisor_cmd", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        args = prepare(WORKLOADS["W4"], folder, options.w4)
        import_only = [sys.executable, "-c", "import nanobragg.cli.main"]
        runs = {"nanoBragg": [sys.executable, "-m", "nanobragg", *args], "start-up": import_only}
        for label, command in runs.items():
            wall, cpu = np.median([process_times(command, folder) for _ in range(options.rounds)], axis=0)
            print(f"{label}: wall {wall:.2f} s, CPU {cpu:.2f} s")
        for part, seconds in breakdown(args, folder, options.rounds).items():
            print(f"  {part}: {seconds:.3f} s")
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
