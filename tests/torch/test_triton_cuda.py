"""Kernel "triton" on a card: what the interpreter cannot show. Skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from experiments import base, with_values
from golden_cases import golden_cases

import nanobragg as nb

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
PATHS = ("crystal.misset_deg", "crystal.unit_cell.b", "beam.wavelength_angstrom", "detector.distance_mm")


def nearest(**settings):
    """The experiment of the torch tests, nearest structure factors."""
    changed = {path.replace("__", "."): value for path, value in settings.items()}
    return with_values(base(), {"sampling.interpolate": "nearest", **changed})


def with_gradients(experiment, **options):
    """The image, and gradients of the sum of its squares, on the CPU."""
    leaves = {p: torch.tensor(experiment.get(p), dtype=torch.float64, requires_grad=True) for p in PATHS}
    image = nb.prepare(experiment, backend="torch", **options)(leaves)
    return image.detach().cpu(), torch.autograd.grad(image.square().sum(), list(leaves.values()))


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_shapes(shape):
    """Image and gradients against the C core."""
    experiment = nearest(crystal__shape=shape, sampling__oversample=2)
    image, grads = with_gradients(experiment, device="cuda", kernel="triton")
    expected, true = with_gradients(experiment, kernel="core")
    assert (image - expected).abs().max() <= 1e-11 * expected.max()
    for ours, theirs in zip(grads, true, strict=True):
        assert (ours.cpu() - theirs).norm() <= 1e-9 * theirs.norm()


def test_tangents_and_the_table():
    experiment = nearest()
    values = tuple(torch.tensor(experiment.get(path), dtype=torch.float64) for path in PATHS)
    jacobians = []
    for options in ({"device": "cuda", "kernel": "triton"}, {"kernel": "eager"}):
        render = nb.prepare(experiment, backend="torch", **options)
        by = torch.func.jacfwd(lambda *v, r=render: r(dict(zip(PATHS, v, strict=True))), argnums=(0, 1, 2, 3))(*values)
        jacobians.append([part.cpu() for part in by])
    for ours, theirs in zip(*jacobians, strict=True):
        assert (ours - theirs).norm() <= 1e-9 * theirs.norm()
    table = experiment.crystal.structure_factors
    grads = []
    for options in ({"device": "cuda", "kernel": "triton"}, {"device": "cuda", "kernel": "triton"}, {"kernel": "core"}):
        amplitude = torch.tensor(table.amplitude, requires_grad=True)
        moving = nb.StructureFactors(amplitude=amplitude, hkl_min=table.hkl_min, default_F=table.default_F)
        image = nb.simulate(experiment.replace("crystal.structure_factors", moving), backend="torch", **options)
        grads.append(torch.autograd.grad(image.square().sum(), amplitude)[0])
    assert torch.equal(grads[0], grads[1])
    assert (grads[0] - grads[2]).norm() <= 1e-9 * grads[2].norm()


def test_the_same_bits_again():
    experiment = nearest(crystal__mosaic=nb.Mosaic(spread_deg=0.9, n_domains=200))
    first, second = (with_gradients(experiment, device="cuda", kernel="triton") for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


@pytest.mark.parametrize("phase", ["f64", "f32x2"])
def test_mixed_precision_of_ten_thousand_orientations(phase):
    """The promise: 1e-5 of the maximum."""
    detector = nb.Detector(n_fast=64, n_slow=64, pixel_size_mm=0.4, distance_mm=100.0)
    experiment = nearest(
        crystal__mosaic=nb.Mosaic(spread_deg=0.5, n_domains=1000), crystal__n_cells=(20, 20, 20), detector=detector,
        goniometer=nb.Goniometer(osc_deg=1.0, n_steps=10),
    )  # fmt: skip
    options = {"backend": "torch", "device": "cuda", "kernel": "triton"}
    image = nb.simulate(experiment, precision="mixed", phase=phase, **options).cpu()
    exact = torch.from_numpy(nb.simulate(experiment))
    assert (image - exact).abs().max() <= 1e-5 * exact.max()
    assert (nb.simulate(experiment, **options).cpu() - exact).abs().max() <= 1e-11 * exact.max()


@pytest.mark.slow
@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
@pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
def test_golden_set(pytestconfig, fidelity, tmp_path, monkeypatch):
    """The golden command lines on the card: 1e-7 of each maximum from the C engine (in reference fidelity by plain torch)."""
    worst = {}
    for case in golden_cases(pytestconfig.rootpath / "golden"):
        if not case.expected or case.pre_args:
            continue
        folder = tmp_path / case.name
        folder.mkdir()
        case.copy_inputs(folder)
        monkeypatch.chdir(folder)
        try:
            experiment = nb.Experiment.from_nanobragg_args(case.args, fidelity=fidelity)
            expected = nb.simulate(experiment)
        except nb.ConfigError:  # what only the original renders
            assert fidelity == "corrected"
            continue
        found = nb.simulate(experiment, backend="torch", device="cuda").cpu().numpy()
        largest = np.abs(expected).max()
        worst[case.name] = (
            float(np.abs(found - expected).max() / largest) if largest > 0 else float(np.abs(found).max())
        )
    assert len(worst) > 100
    assert max(worst.values()) <= 1e-7, max(worst, key=worst.get)
