"""How long a user waits: after Ctrl-C, and for the structure factors of a model.

    python benchmarks/responses.py [--rounds 5]

Ctrl-C: from the signal to the end of the process, for six runs of minutes to days; the aim is one second. A run needs at
most 0.1 s to hear the signal, one pass (a source and sub-pixel: 0.15 ms for 1000 domains) until every thread sees the
flag, and some 20 ms to end Python. Wall time: other processes add to it.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cli"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "interop"))
from test_interrupt import LONG_RUNS, start
from test_reflection_files import lysozyme_like

import nanobragg as nb


def interrupted(flags: str) -> float:
    """Seconds from Ctrl-C to the end of a run."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(flags, Path(folder))
        time.sleep(0.5)
        begin = time.perf_counter()
        process.send_signal(signal.SIGINT)
        process.communicate()
        return time.perf_counter() - begin


def of_a_model() -> float:
    """Seconds of CPU for the structure factors of a lysozyme-like model to 1.5 Angstrom."""
    with tempfile.TemporaryDirectory() as folder:
        path = lysozyme_like(Path(folder))
        begin = time.process_time()
        nb.StructureFactors.from_model(path, 1.5)
        return time.process_time() - begin


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    measures = {f"Ctrl-C, {name} [s]": (lambda flags=flags: interrupted(flags)) for name, flags in LONG_RUNS.items()}
    measures["structure factors of a model [s CPU]"] = of_a_model
    for name, measure in measures.items():
        values = sorted(measure() for _ in range(rounds))
        print(f"{name:<42} median {statistics.median(values):6.2f}   {values[0]:.2f} ... {values[-1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
