"""Lines and branches of csrc/ that the tests take.

    python tests/c/measure_coverage.py [--html FOLDER]

Builds the core without optimization and with gcov's counters (--keep FOLDER keeps it for the next time), runs the C tests
and the Python tests that are about the core, and prints gcovr's table with the lines whose branches were not all taken.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import instrumented
from instrumented import ROOT

PYTHON_TESTS = (
    "tests/unit/test_backend_c.py",
    "tests/unit/test_noise.py",
    "tests/unit/test_io_hkl.py",
    "tests/unit/test_simd.py",
    "tests/equivalence/test_drawn_lines.py",
    "tests/equivalence/test_simd.py",
    "tests/equivalence/test_quirk_formulas.py",
    "tests/tools/test_trace.py",
    "tests/companions",
)


def main() -> int:
    """Build, run and report; the status is that of the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--html", type=Path, metavar="FOLDER", help="also write annotated sources")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="build to make, or to use when it is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nanobragg-coverage-") as temporary:
        folder = options.keep.resolve() if options.keep else Path(temporary)
        built = instrumented.Build(folder)
        if not built.python.exists():
            built = instrumented.build(folder, instrumented.COVERED)
        for counters in built.objects.rglob("*.gcda"):
            counters.unlink()
        runs = [[str(program)] for program in sorted(built.programs.glob("test_*")) if program.suffix == ""]
        runs.append([str(built.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *PYTHON_TESTS])
        failed = [run[0] for run in runs if subprocess.run(run, cwd=ROOT).returncode]
        report = [
            sys.executable,
            "-m",
            "gcovr",
            "--root",
            str(ROOT),
            "--filter",
            f"{ROOT}/csrc/",
            "--txt-metric",
            "branch",
            "--txt",
            "-",
        ]
        if options.html:
            options.html.mkdir(parents=True, exist_ok=True)
            report += ["--html-details", str(options.html / "index.html")]
        reported = subprocess.run([*report, "--print-summary", str(built.objects)]).returncode
    print("".join(f"failed: {run}\n" for run in failed), end="")
    return 1 if failed or reported else 0


if __name__ == "__main__":
    sys.exit(main())
