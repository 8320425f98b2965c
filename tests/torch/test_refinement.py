"""The refinement example recovers orientation and cell, with errors that mean something."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "refine_orientation_and_cell.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("refine_orientation_and_cell", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_recovers_orientation_and_cell(example):
    """Start 0.5 degrees and 0.5 % away; `--seeds 20` of the example pools more of them."""
    result, truth, _, _ = example.run(1, verbose=False)
    before, after = np.abs(result.start - truth), np.abs(result.estimate - truth)
    assert np.linalg.norm(before[:3]) == pytest.approx(0.5)
    assert before[3:] == pytest.approx(0.005 * truth[3:])
    assert after[:3].max() < 0.005  # degrees
    assert after[3:6].max() < 0.02  # Angstrom
    assert after[6:].max() < 0.02  # degrees
    # nine correlated deviations: chi^2 in the metric of the covariance lies below 3 in 99.8 % of cases
    deviation = result.estimate - truth
    assert deviation @ np.linalg.solve(result.covariance, deviation) / 9 < 3
