"""Fuzzing under the address and undefined-behavior sanitizers.

    python tests/fuzz/run.py --seconds 600 --seed 1         all targets, the time shared among them
    python tests/fuzz/run.py --target files --seconds 60    one of them
    python tests/fuzz/run.py --target files --seed 1 --case 1234    one input again, printed

Builds the extension in a temporary environment (a minute; --keep FOLDER keeps it for the next time). The inputs
follow from the seed. A finding is an exception that is no NanoBraggError, a traceback or a status other than 0 and 9 of
the command, a sanitizer's report, a hang, or one of the properties that the targets state.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import instrumented

SHARES = {"experiments": 0.4, "commands": 0.3, "mutations": 0.15, "files": 0.15}
"""Target, and its part of the time."""
WORKER = Path(__file__).with_name("fuzz_worker.py")
_MOST_ENDINGS = 20
_GRACE = 120.0
"""[s] that a worker may take to start and to end, beyond its time; a hang ends it sooner"""


@dataclass
class Result:
    """What became of the inputs of a target."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))
        return f"{sum(self.counts.values())} inputs: {told}; slowest {self.slowest[0]:.1f} s (case {self.slowest[1]})"


def fuzz(python: Path, folder: Path, target: str, seconds: float, seed: int) -> Result:
    """Run one target; its process is started again behind an input that ends it."""
    result, first, left, endings = Result(), 0, seconds, 0
    while left > 0 and endings < _MOST_ENDINGS:
        journal = folder / f"{target}-{first}.jsonl"
        command = [str(python), str(WORKER), target, str(seed), str(first), str(left), str(journal)]
        try:
            done = subprocess.run(
                command,
                env=instrumented.variables(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=left + _GRACE,
            )
            ending = f"exit status {done.returncode}\n{done.stderr[-12000:]}"
        except subprocess.TimeoutExpired:
            ending = "the process does not end"
        records = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        result.findings += [
            _told(target, seed, r["index"], r["finding"], r["input"]) for r in records if "finding" in r
        ]
        last = records[-1] if records else {}
        if "counts" in last:
            result.counts.update(last["counts"])
            result.slowest = max(result.slowest, tuple(last["slowest"]))
            break
        if "case" not in last:
            raise RuntimeError(f"the worker does not start: {ending}")
        result.counts.update({"ended the process": 1, "before that": last["case"] - first})
        result.findings.append(_told(target, seed, last["case"], ending, ""))
        left -= seconds / _MOST_ENDINGS  # its clock is gone with it
        first, endings = last["case"] + 1, endings + 1
    return result


def _told(target: str, seed: int, index: int, text: str, case: str) -> str:
    again = f"python tests/fuzz/run.py --target {target} --seed {seed} --case {index}"
    return f"{again}\n{text.rstrip()}\n{case[:4000]}"


def main() -> int:
    """Parse the arguments, build, run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=SHARES)
    parser.add_argument("--case", type=int, help="run this input of the target again")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="environment to make, or to use when it is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nanobragg-fuzz-") as temporary:
        folder = Path(temporary)
        kept = options.keep.resolve() if options.keep else folder
        built = instrumented.Build(kept)
        python = (built if built.python.exists() else instrumented.build(kept)).python
        if options.case is not None:
            if options.target is None:
                parser.error("--case needs --target")
            words = [options.target, options.seed, 0, 0, folder / "journal", options.case]
            done = subprocess.run([str(python), str(WORKER), *map(str, words)], env=instrumented.variables())
            for line in (folder / "journal").read_text().splitlines():
                print(json.loads(line).get("finding", ""), end="")
            return done.returncode
        targets = {options.target: 1.0} if options.target else SHARES
        findings: list[str] = []
        for target, share in targets.items():
            result = fuzz(python, folder, target, options.seconds * share, options.seed)
            print(f"{target}: {result}", flush=True)
            findings += result.findings
        alike: dict[str, list[str]] = {}
        for finding in findings:
            alike.setdefault(_place(finding), []).append(finding)
        for group in alike.values():
            print(f"\n== {group[0]}")
            print("".join(f"alike: {other.splitlines()[0]}\n" for other in group[1:]), end="")
        print(f"{len(findings)} findings, {len(alike)} different")
        return 1 if findings else 0


def _place(finding: str) -> str:
    """Where a finding was made: the sanitizer's summary, the innermost line of the traceback, or the text."""
    lines = finding.splitlines()
    summary = [line for line in lines if line.startswith("SUMMARY: ") or ": runtime error: " in line]
    if summary:
        return summary[-1]
    frames = [line for line in lines if line.startswith('  File "')]
    return frames[-1] if frames else "".join(lines[1:2])


if __name__ == "__main__":
    sys.exit(main())
