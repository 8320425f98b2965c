"""Lets the tests of this folder import the option grid, and keeps small images on one thread."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "equivalence"), str(Path(__file__).parents[1])]
torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
