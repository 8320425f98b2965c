"""Runs one target in this process: python fuzz_worker.py TARGET SEED FIRST SECONDS JOURNAL [CASE]

Case `index` is made from (target, seed, index) alone. Each line of the journal is a JSON record: the case that begins, a
finding, or the counts at the end; so the parent knows which case was under way when a sanitizer ends the process.
With CASE only that case is run, and its input is printed.
"""

from __future__ import annotations

import collections
import faulthandler
import json
import pprint
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_commands
import fuzz_experiments
import fuzz_files
from fuzz_finding import Finding

import nanobragg

TARGETS: dict[str, tuple[Callable[[random.Random], Any], Callable[[Any, Path], str]]] = {
    "experiments": (fuzz_experiments.make, fuzz_experiments.check),
    "commands": (fuzz_commands.make, fuzz_commands.check),
    "mutations": (fuzz_commands.make_mutated, fuzz_commands.check),
    "files": (fuzz_files.make, fuzz_files.check),
}
INTERRUPT_AFTER, HANG_AFTER = 8.0, 60.0
"""[s]; a long case is interrupted as by Ctrl-C, and one that does not end then hangs"""


def main(target: str, seed: int, first: int, seconds: float, journal: Path, only: int | None) -> None:
    """Run cases until the time is over."""
    if "env/lib" not in str(nanobragg.__file__):
        raise SystemExit(f"not the sanitized package: {nanobragg.__file__}")
    make, check = TARGETS[target]
    counts: collections.Counter[str] = collections.Counter()
    slowest = (0.0, first)
    end = time.monotonic() + seconds
    index = first if only is None else only
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=journal.parent))
    signal.signal(signal.SIGALRM, _interrupt)
    with open(journal, "a") as log:

        def note(**record: Any) -> None:
            log.write(json.dumps(record) + "\n")
            log.flush()

        while only is not None or time.monotonic() < end:
            note(case=index)
            case = make(random.Random(f"{target}:{seed}:{index}"))
            if only is not None:
                pprint.pprint(case, width=120)
            begin = time.monotonic()
            faulthandler.dump_traceback_later(HANG_AFTER, exit=True)
            signal.setitimer(signal.ITIMER_REAL, INTERRUPT_AFTER)
            try:
                outcome = check(case, folder)
            except KeyboardInterrupt:
                outcome = "interrupted"
            except Finding as finding:
                outcome = "finding"
                note(finding=str(finding), input=pprint.pformat(case, width=120), index=index)
            except BaseException:
                outcome = "finding"
                note(finding=traceback.format_exc(), input=pprint.pformat(case, width=120), index=index)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                faulthandler.cancel_dump_traceback_later()
            slowest = max(slowest, (time.monotonic() - begin, index))
            counts[outcome] += 1
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if only is not None:
                print(outcome)
                break
            index += 1
        note(counts=counts, slowest=slowest)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    target, seed, first, seconds, journal, *rest = sys.argv[1:]
    main(target, int(seed), int(first), float(seconds), Path(journal), int(rest[0]) if rest else None)
