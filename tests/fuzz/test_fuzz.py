"""A minute of fuzzing under the sanitizers; `python tests/fuzz/run.py --seconds 600` is the long version."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import instrumented
import pytest
import run

SECONDS = float(os.environ.get("NB_FUZZ_SECONDS", "60"))
"""For all targets together; without the build."""
SEED = int(os.environ.get("NB_FUZZ_SEED", "1"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900, func_only=True),  # the build has a limit of its own
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="needs gcc and its sanitizers"),
]


@pytest.mark.parametrize("target", run.SHARES)
def test_no_finding(
    sanitized: instrumented.Build, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run.fuzz(sanitized.python, tmp_path, target, SECONDS * run.SHARES[target], SEED)
    with capsys.disabled():
        print(f"\n{target}: {result}")
    assert not result.findings, "\n\n".join(result.findings)
    # most of the time goes into inputs that get past the checks: both sides are exercised
    accepted = sum(result.counts[outcome] for outcome in ("rendered", "done", "read"))
    assert accepted > 0 and result.counts["refused"] > 0
