"""Branches of csrc/ that the C tests take.

    python tests/c/measure_coverage.py [--python] [--html FOLDER] [--keep FOLDER]

Builds the core without optimization and with gcov's counters (--keep keeps the build for the next time), runs the C tests,
with --python also the Python tests that are about the core, and prints the branches of every file, the lines where one was
not taken, and why those that cannot be taken are there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
_ALL_RUN = "every kernel of the build runs on this machine"
UNREACHABLE = {
    ("simd.c", "__builtin_cpu_supports("): _ALL_RUN,
    ("simd.c", "kernel > NB_KERNEL_SCALAR; kernel--"): _ALL_RUN,
    ("simd.c", "if (nb_kernel_available(kernel)) return kernel;"): _ALL_RUN,
    ("simd.c", "KERNELS[kernel].render == NULL) return 0;"): _ALL_RUN,
    ("simd_adjoint.c", "k > NB_KERNEL_SCALAR; k--"): _ALL_RUN,
    ("simd_adjoint.c", "if (nb_kernel_available(k)) return k;"): _ALL_RUN,
    ("validate.c", "MAX_EXACT / n"): "2^31 pixels of 46,340 sub-pixels, the most that got here, are exact",
    ("gradient.c", "switch (MEMBERS[number].offset) {"): "every member of the table has its case",
    ("rng.c", "(double)u > largest"): "the generator's largest number comes once in 2^31",
    ("rng.c", "rho == 0.0f"): "two deviates in the very middle",
    ("sampler.c", "k < N_RECIPROCALS"): "128 photons where 18 are expected: 1e-70",
    ("slopes.c", "fabs(f) < 1e-100"): "the offset of an index is 0 or above its rounding",
}
"""Of file and text of a line: why one of its branches cannot be taken."""


class Line(NamedTuple):
    """A line with branches, one entry for each function that it is compiled into."""

    file: str
    number: int
    text: str
    taken: int
    branches: int

    @property
    def reason(self) -> str | None:
        """Why some are never taken, where that is known."""
        return next((why for (file, part), why in UNREACHABLE.items() if file == self.file and part in self.text), None)


def main() -> int:
    """Build, run and report; the status is that of the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="store_true", help="run the Python tests of the core too")
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
        if options.python:
            runs.append([str(built.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *PYTHON_TESTS])
        failed = [run[0] for run in runs if subprocess.run(run, cwd=ROOT).returncode]
        found = Path(temporary) / "found.json"
        report = [sys.executable, "-m", "gcovr", "--root", str(ROOT), "--filter", f"{ROOT}/csrc/", "--json", str(found)]
        if options.html:
            options.html.mkdir(parents=True, exist_ok=True)
            report += ["--html-details", str(options.html / "index.html")]
        subprocess.run([*report, str(built.objects)], check=True)
        tell(list(lines(json.loads(found.read_text()))))
    print("".join(f"failed: {run}\n" for run in failed), end="")
    return 1 if failed else 0


def lines(data: dict[str, list[dict[str, object]]]) -> Iterator[Line]:
    """The lines with branches in what gcovr has found."""
    for file in data["files"]:
        name = str(file["file"])
        source = (ROOT / name).read_text().splitlines()
        for line in file["lines"]:  # type: ignore[attr-defined]
            if line["branches"]:
                taken = sum(branch["count"] > 0 for branch in line["branches"])
                number = line["line_number"]
                yield Line(Path(name).name, number, source[number - 1].strip(), taken, len(line["branches"]))


def tell(found: list[Line]) -> None:
    """Print the table, the lines that are left, and the share."""
    reached = [line for line in found if line.taken == line.branches or line.reason is None]
    for file in dict.fromkeys(line.file for line in found):
        here = [line for line in reached if line.file == file]
        taken, branches = (sum(getattr(line, count) for line in here) for count in ("taken", "branches"))
        left = dict.fromkeys(line.number for line in here if line.taken < line.branches)
        print(f"{file:22}{taken:5} of {branches:<5}{' '.join(map(str, left))}".rstrip())
    excused = [line for line in found if line.taken < line.branches and line.reason is not None]
    for line in excused:
        print(f"{line.file}:{line.number}: {line.branches - line.taken} cannot be taken: {line.reason}")
    taken, branches = (sum(getattr(line, count) for line in found) for count in ("taken", "branches"))
    never = sum(line.branches - line.taken for line in excused)
    print(
        f"{taken} of {branches} branches of csrc, {100 * taken / (branches - never):.1f} % of those that can be taken"
    )


if __name__ == "__main__":
    sys.exit(main())
