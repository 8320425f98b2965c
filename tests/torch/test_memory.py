"""Memory is bounded by the budget, not by the problem."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from experiments import amplitudes

import nanobragg as nb

PEAK = r"""
import json, re, sys
from pathlib import Path
import torch
import nanobragg as nb
sys.path.insert(0, {folder!r})
from test_memory import mosaic
torch.set_num_threads(1)  # the default of a crowded machine would measure its neighbors
misset = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64, requires_grad=True)
distance = torch.tensor(100.0, dtype=torch.float64, requires_grad=True)
experiment = mosaic({n_domains}).replace("crystal.misset_deg", misset).replace("detector.distance_mm", distance)
image = nb.simulate(experiment, backend="torch", kernel={kernel!r}, roi=(slice(500, 500 + {rows}), slice(0, 1024)))
image.square().sum().backward()
assert misset.grad.any() and distance.grad.any()
# getrusage would count the process from which this one was started, before it was another program
print(json.dumps(int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024))
"""


def mosaic(n_domains):
    """A megapixel of a crystal in mosaic domains."""
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(78, 78, 37, 90, 90, 90), n_cells=(20, 20, 20),
            mosaic=nb.Mosaic(spread_deg=0.3, n_domains=n_domains),
            structure_factors=nb.StructureFactors(amplitude=amplitudes(30), hkl_min=(-30, -30, -30)),
        ),
        detector=nb.Detector(n_fast=1024, n_slow=1024), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def peak_mib(rows, n_domains, kernel):
    """Peak resident memory of forward and backward in a process of its own [MiB]."""
    from pathlib import Path

    code = PEAK.format(folder=str(Path(__file__).parent), rows=rows, n_domains=n_domains, kernel=kernel)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, cwd="/")
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel for the peak of a process")
@pytest.mark.parametrize("kernel", ["core", "eager"])
def test_a_thousand_domains(kernel):
    """16 million evaluations, forward and backward, with the default budget.

    A tape of 330 bytes an evaluation would take 5 GiB. Measured, interpreter included: 287 MiB for 4, 16 and
    32 rows. What grows with the detector is the image and its gradient: 16 bytes a pixel.
    """
    few, many = peak_mib(4, 1000, kernel), peak_mib(16, 1000, kernel)
    assert many < 2048
    assert many - few < 40


def test_the_budget_does_not_change_the_image():
    """64 MB against 1 GB: sums in another grouping, rounding apart."""
    roi = (slice(500, 508), slice(0, 256))
    images = [nb.simulate(mosaic(1000), backend="torch", roi=roi, memory_budget=b) for b in (64 * 10**6, 10**9)]
    assert (images[0] - images[1]).abs().max() <= 1e-13 * images[1].max()
    assert isinstance(images[0], torch.Tensor)
