"""The benchmark of the kernels runs as the documentation says; how fast anything is, no test asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from small import small

RUN = Path(__file__).resolve().parents[2] / "benchmarks" / "run.py"


def test_a_row_of_the_table(tmp_path: Path) -> None:
    command = [sys.executable, str(RUN), "--quick", "--only", "W6", "--rounds", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| W6 | 512^2, round | 0.3 M |"))
    assert all(float(cell.split()[0]) > 0 for cell in row.split("|")[4:-1] if cell.strip() != "-")


def test_the_report_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, by plain torch on the CPU in place of a card."""
    pytest.importorskip("torch", reason="the report is about the torch engine")
    monkeypatch.syspath_prepend(RUN.parent)
    import on_gpu

    assert set(on_gpu.workloads()) == {"W1", "W2", "W3", "W3, 1000 domains"}
    experiment = small().replace("detector.beam_center_mm", (0.4, 0.4)).replace("detector.distance_mm", 100.0)
    found = list(on_gpu.lines({"tiny": experiment}, "cpu", 1, 33.5, {"eager": {"kernel": "eager"}}))
    tasks = [line.split("|")[2].strip() for line in found if line.startswith("| eager | i") or "Jacobian" in line]
    assert tasks == ["image", "image and 12 gradients", "image and orientation", "Jacobian of 12"]
    rate, share = next(
        (line.split("|")[4], line.split("|")[5]) for line in found if line.startswith("| eager | image |")
    )
    assert float(share.split()[0]) == pytest.approx(float(rate) * 12.5 / 33.5, abs=0.06)
    assert float(found[-1].split("|")[2]) > 0 and float(found[-1].split("|")[4]) < 1e-10
