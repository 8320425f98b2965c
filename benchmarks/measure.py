"""Timing of contenders in turn: CPU time, medians, spreads."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from nanobragg import _core
from nanobragg.derivation.scene import Scene


def pin() -> int:
    """Bind this process to the last of its cores; return its number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def sample(scene: Scene, evaluations: float) -> tuple[int, int]:
    """A range of whole rows of pixels about the middle, with about that many evaluations."""
    rows = max(1, min(scene.n_slow, round(evaluations / (scene.evaluations_per_pixel * scene.n_fast))))
    if scene.n_pixels != scene.n_fast * scene.n_slow or rows == scene.n_slow:
        return 0, scene.n_pixels
    first = (scene.n_slow - rows) // 2
    return first * scene.n_fast, (first + rows) * scene.n_fast


def kernel_timer(scene: Scene, kernel: str, evaluations: float, least: float = 0.0) -> Callable[[], float]:
    """A call that renders a sample by one kernel and returns its CPU time in ns per evaluation.

    The sample has `evaluations` at most; from the second call on, it is rendered again until there are `least`.
    """
    core, flag, image = _core.CoreScene(scene), _core.CancelFlag(), np.zeros(scene.n_pixels)
    begin, end = sample(scene, evaluations)
    n = (end - begin) * scene.evaluations_per_pixel
    often = chain([1], repeat(max(1, round(least / n))))

    def run() -> float:
        times = next(often)
        start = time.process_time()
        for _ in range(times):
            core.render(begin, end, image[begin:end], flag, kernel)
        return (time.process_time() - start) / (times * n) * 1e9

    return run


def original_timer(program: str, args: list[str], folder: Path, evaluations: int) -> Callable[[], float]:
    """The same for an executable with the original's command line, whole run."""

    def run() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([program, *args], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        return (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) / evaluations * 1e9

    return run


def in_turn(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, float | list[float]]]:
    """Run all contenders in turn, `rounds` times: the first (cold) time apart, then median and spread of the rest."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            times[name].append(run())
    result = {}
    for name, values in times.items():
        warm = sorted(values[1:])
        result[name] = {
            "cold": values[0],
            "median": float(np.median(warm)),
            "low": warm[0],
            "high": warm[-1],
            "all": values[1:],
        }
    return result


def ratio(times: dict, name: str, other: str) -> float:
    """Median over the rounds of how many times as long `name` takes as `other`."""
    return float(np.median(np.divide(times[name]["all"], times[other]["all"])))


def peak_memory(args: list[str], folder: Path) -> tuple[float, float]:
    """Peak resident memory [MB] of a simulation in a process of its own, and what the imports alone take."""
    code = (
        "import sys, nanobragg as nb, warnings; from nanobragg.derivation import derive; from nanobragg.engines import c\n"
        "warnings.simplefilter('ignore')\n"
        "peak = lambda: next(int(x.split()[1]) / 1024 for x in open('/proc/self/status') if x.startswith('VmHWM'))\n"
        "a = peak(); nb.simulate(nb.Experiment.from_nanobragg_args(sys.argv[1:])); print(peak(), a)"
    )
    result = subprocess.run([sys.executable, "-c", code, *args], cwd=folder, capture_output=True, text=True, check=True)
    peak, imports = map(float, result.stdout.split())
    return peak, imports
