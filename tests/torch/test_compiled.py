"""The compiled evaluation is the plain one."""

from __future__ import annotations

import shutil

import grid
import numpy as np
import pytest
import torch
from nanobragg.torch_backend import simulate

from nanobragg.config.structure_factors import StructureFactors
from nanobragg.constants import EV_ANGSTROM
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


def test_several_tables():
    """Sources that see structure factors of their own, and what these get."""
    plain = grid.build({"interpolate": "nearest", "source": "dispersion"})
    energy = EV_ANGSTROM / np.array([[1.03], [0.97]]) / plain.get("beam.wavelength_angstrom")
    found = []
    for kernel in ("eager", "compiled"):
        rng = np.random.default_rng(4)
        tables = torch.tensor(rng.uniform(10, 90, (2, 9, 9, 9)), requires_grad=True)
        factors = StructureFactors(amplitude=tables, hkl_min=(-4, -4, -4), default_F=5.0, energy_ev=energy.ravel())
        misset = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64, requires_grad=True)
        decided = resolve(plain.replace("crystal.structure_factors", factors)).with_values(
            {"crystal.misset_deg": misset}
        )
        image = simulate(decided, kernel=kernel)
        found.append((image.detach(), *torch.autograd.grad(image.square().sum(), (misset, tables))))
    (image, *slopes), (other, *theirs) = found
    assert all(slopes[1][channel].abs().max() > 0 for channel in (0, 1))
    # measured: 2e-15, and 8e-15 and 1e-15 of the norm
    assert (image - other).abs().max() <= 1e-12 * image.max()
    assert all((a - b).norm() <= 1e-12 * a.norm() for a, b in zip(slopes, theirs, strict=True))
