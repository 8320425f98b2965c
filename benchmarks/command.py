"""Times the command nanoBragg from end to end on workload W4, with a breakdown.

    python benchmarks/command.py [--w4 FOLDER] [--rounds 5]

FOLDER holds args.json and inputs/ (default: golden/supervisor_cmd). Wall and CPU time are those of whole processes, all
threads; the breakdown is CPU time of one more run inside a profiler.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from workloads import WORKLOADS, prepare, recorded_run

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "reading reflections": ("command_line/files.py", "read_reflections"),
    "decisions": ("derivation/resolve.py", "resolve"),
    "derive": ("derive.py", "derivation"),
    "quirks at work": ("api.py", "warn_about"),
    "render": ("engines/c.py", "image"),
    "statistics, files": ("dropin/output.py", "write_images"),
}


def process_times(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU time [s] of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def breakdown(args: list[str], folder: Path) -> dict[str, float]:
    """CPU time [s] of the parts of a run in this process."""
    from nanobragg.cli.main import main as command

    profile = cProfile.Profile(time.process_time)
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        profile.enable()
        with contextlib.suppress(SystemExit):
            command(args)
        profile.disable()
    found = {}
    for (path, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():
        for part, (file, function) in PARTS.items():
            if path.endswith(file) and name == function:
                found[part] = found.get(part, 0.0) + cumulative
    return found


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
        for part, seconds in breakdown(args, folder).items():
            print(f"  {part}: {seconds:.3f} s")
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
