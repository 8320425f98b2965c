"""The time that `nb.explain` announces over the CPU time of the run, for W1-W8; and how long it takes to say so.

    python benchmarks/estimates.py [--w4 FOLDER] [--rounds 5] [--fidelity corrected]

The aim is a factor of 1.5 for W1-W4, W6 and W7, where every term is summed, and 3 for W5 and W8, where most are known to be 0.
Both times are CPU times of this process on one thread, announced and measured in turn; the median ratio is printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

from workloads import WORKLOADS, prepare, recorded_run

import nanobragg as nb
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions
from nanobragg.inspection.foresight.cost import estimate

ROOT = Path(__file__).resolve().parents[1]


def ratio_and_probe(experiment: nb.Experiment) -> tuple[float, float, float]:
    """Announced over measured, CPU seconds of the run, and of the announcement."""
    decided = resolve(experiment)
    scene = derivation(decided).scene
    start = time.process_time()
    announced = estimate([decided], [scene], engine("c", RenderOptions(n_threads=1)), probe=True).seconds
    between = time.process_time()
    nb.simulate(experiment, n_threads=1)
    end = time.process_time()
    return announced / (end - between), end - between, between - start


def main() -> None:
    """Print a line for each workload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--w4", type=recorded_run, default=ROOT / "golden" / "supervisor_cmd", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fidelity", default="corrected")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name, workload in WORKLOADS.items():
            args = prepare(workload, Path(folder), options.w4)
            os.chdir(folder)
            experiment = nb.Experiment.from_nanobragg_args(args).with_fidelity(options.fidelity)
            os.chdir(here)
            found = [ratio_and_probe(experiment) for _ in range(options.rounds)]
            ratio, run, probe = (statistics.median(values) for values in zip(*found, strict=True))
            low, high = min(f[0] for f in found), max(f[0] for f in found)
            within = "" if 1 / workload.announced <= ratio <= workload.announced else "   BEYOND"
            print(
                f"{name}  announced/measured {ratio:5.2f} ({low:.2f} ... {high:.2f}), run {1000 * run:7.1f} ms, "
                f"probe {1000 * probe:5.1f} ms{within}",
                flush=True,
            )


if __name__ == "__main__":
    main()
