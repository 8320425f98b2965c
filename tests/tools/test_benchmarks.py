"""The benchmark of the kernels runs as the documentation says; how fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "benchmarks" / "run.py"


def test_a_row_of_the_table(tmp_path: Path) -> None:
    command = [sys.executable, str(RUN), "--quick", "--only", "W6", "--rounds", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| W6 | 512^2, round | 0.3 M |"))
    assert all(float(cell.split()[0]) > 0 for cell in row.split("|")[4:-1] if cell.strip() != "-")
