"""The compiled evaluation is the plain one."""

from __future__ import annotations

import shutil

import grid
import pytest
import torch
from nanobragg.torch_backend import simulate

from nanobragg.derivation.resolve import resolve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None and shutil.which("c++") is None, reason="needs a C++ compiler"),
]
# max|difference|/max|image| and of the gradient's norm; measured: 1e-15 and 8e-15, in float32 6e-7 and 2e-6
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({"mosaic": {"spread_deg": 1.5, "n_domains": 12}}, torch.float64),
        ({"cells": {"n_cells": (1, 2, 3)}}, torch.float32),
        ({"source": "list"}, torch.float64),
    ],
    ids=["many orientations", "an axis of one cell, single precision", "several sources"],
)
def test_compiled(options, dtype):
    """With a pixel in the direct beam, where every offset is 0."""
    decided = resolve(grid.build({"interpolate": "nearest", **options}))
    found = []
    for kernel in ("eager", "compiled"):
        misset = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64, requires_grad=True)
        image = simulate(decided.with_values({"crystal.misset_deg": misset}), kernel=kernel, dtype=dtype)
        (gradient,) = torch.autograd.grad(image.square().sum(), misset)
        found.append((image.detach(), gradient))
    (plain, slope), (fused, other) = found
    assert (plain - fused).abs().max() <= TOLERANCES[dtype] * plain.max()
    assert (slope - other).norm() <= TOLERANCES[dtype] * slope.norm()
