"""The derivation in one operation: the values of plain floats, and the derivatives that autograd finds in torch's operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from experiments import base, case, differentiable_fields, with_values
from nanobragg.torch_backend import derived as module
from nanobragg.torch_backend.derived import derived
from nanobragg.torch_backend.ops import TORCH_OPS

import nanobragg as nb
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import CONTINUOUS

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.IneffectiveWarning")
MISSET = "crystal.misset_deg"


def decided(path, x):
    return resolve(with_values(case(path)[0], {path: x}))


def leaf(path, dtype=torch.float64):
    return torch.from_numpy(case(path)[1]).to(dtype).requires_grad_()


def gradient(scene, x):
    """Of a random function of all fields, each of them in units of its size."""
    rng, total = np.random.default_rng(1), 0.0
    for name in CONTINUOUS:
        value = getattr(scene, name)
        weights = torch.from_numpy(np.array(rng.standard_normal(tuple(value.shape))))
        total = total + (weights * value).sum() / (float(value.detach().abs().max()) or 1.0) if value.numel() else total
    found = torch.autograd.grad(total, x, allow_unused=True)[0] if total.requires_grad else None
    return torch.zeros_like(x) if found is None else found


@pytest.mark.parametrize("path", differentiable_fields())
def test_derivatives_are_those_of_autograd(path):
    """Measured worst: 9e-16 of the norm (crystal.unit_cell.a)."""
    x = leaf(path)
    expected = gradient(derive(decided(path, x), TORCH_OPS), x)
    found = gradient(derived(decided(path, x)).scene, x)
    assert (found - expected).norm() <= 1e-13 * expected.norm()


@pytest.mark.parametrize("path", differentiable_fields())
def test_values_are_those_of_plain_floats(path):
    value = case(path)[1]
    plain = value if value.ndim > 1 or "sources" in path else tuple(value.tolist()) if value.ndim else float(value)
    floats, tensors = derive(decided(path, plain)), derived(decided(path, leaf(path))).scene
    for name in CONTINUOUS:
        found = getattr(tensors, name).detach().numpy()
        assert np.array_equal(found, getattr(floats, name)), name


def test_one_tensor_in_two_places():
    edge = torch.tensor(40.0, dtype=torch.float64, requires_grad=True)
    both = with_values(base(), {"crystal.unit_cell.a": edge, "crystal.unit_cell.b": edge})
    expected = gradient(derive(resolve(both), TORCH_OPS), edge)
    assert abs(gradient(derived(resolve(both)).scene, edge) - expected) <= 1e-12 * abs(expected)


def test_a_gradient_keeps_the_number_type():
    x = leaf(MISSET, torch.float32)
    assert gradient(derived(decided(MISSET, x)).scene, x).dtype == torch.float32


def test_the_table_stays_where_it_is():
    table = base().crystal.structure_factors
    f = torch.tensor(table.amplitude, requires_grad=True)
    x = leaf(MISSET)
    scene = derived(resolve(with_values(base(), {"crystal.structure_factors.amplitude": f, MISSET: x}))).scene
    assert scene.f_table is f and scene.orientations.requires_grad


def test_nothing_is_followed_without_gradients():
    with torch.no_grad():
        assert not derived(decided(MISSET, leaf(MISSET))).scene.orientations.requires_grad


@pytest.mark.parametrize("limit", ["_MOST_PARAMETERS", "_MOST_BYTES"])
def test_many_parameters_go_through_torch(monkeypatch, limit):
    """To the same gradient."""
    x = leaf(MISSET)
    expected = gradient(derived(decided(MISSET, x)).scene, x)
    monkeypatch.setattr(module, limit, 2)
    scene = derived(decided(MISSET, x)).scene
    assert "DeriveScene" not in type(scene.orientations.grad_fn).__name__
    assert (gradient(scene, x) - expected).norm() <= 1e-12 * expected.norm()


def test_it_is_differentiated_once():
    x = leaf(MISSET)
    (first,) = torch.autograd.grad(nb.simulate(base().replace(MISSET, x), backend="torch").sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="twice_differentiable"):
        torch.autograd.grad(first.sum(), x)
