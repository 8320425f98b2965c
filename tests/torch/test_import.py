"""What is imported when, and what happens without torch; every case in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

RENDER = """
experiment = nanobragg.Experiment(
    crystal=nanobragg.Crystal(
        unit_cell=nanobragg.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(5, 5, 5),
        structure_factors=nanobragg.StructureFactors.constant(100.0)),
    detector=nanobragg.Detector(n_fast=64, n_slow=64), sampling=nanobragg.Sampling(oversample=1))
c, t = (nanobragg.simulate(experiment, backend=backend) for backend in ("c", "torch"))
assert abs(c - t.numpy()).max() <= 1e-12 * c.max()
"""


def run(code):
    """Run code in a fresh interpreter without the environment's settings for threads."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={}, timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr


def test_the_package_does_not_import_torch():
    run(
        "import sys, nanobragg\n"
        "nanobragg.simulate, nanobragg.Experiment, nanobragg.io\n"
        "assert 'torch' not in sys.modules"
    )


@pytest.mark.parametrize("first, second", [("torch", "nanobragg"), ("nanobragg", "torch")])
def test_both_orders(first, second):
    run(f"import {first}\nimport {second}\nimport nanobragg\n{RENDER}")


def test_c_first_then_torch_in_one_process():
    run(f"import nanobragg\n{RENDER}\n{RENDER}")


@pytest.mark.parametrize("use", ["nanobragg.simulate(experiment, backend='torch')", "nanobragg.ExperimentModule"])
def test_without_torch(use):
    run(
        "import sys\nsys.modules['torch'] = None\nimport nanobragg\n" + RENDER.split("c, t =")[0] + f"try:\n    {use}\n"
        "except nanobragg.BackendUnavailableError as error:\n    assert 'nanobragg[torch]' in str(error), error\n"
        "else:\n    raise SystemExit('no error')"
    )
