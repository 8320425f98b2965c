"""torch.func: forward mode, vmap, their compositions, and second derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from experiments import base
from nanobragg.torch_backend import simulate
from torch.autograd import forward_ad

import nanobragg as nb
from nanobragg.derivation.resolve import resolve

WEIGHTS = torch.from_numpy(np.random.default_rng(5).standard_normal((5, 6)))
MISSETS = torch.tensor([[10.0, 20.0, 30.0], [1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]], dtype=torch.float64)
POINT, ALONG = MISSETS[0], MISSETS[1]
# all of these are the same sums in another order; measured: 6e-16 of the maximum
TOLERANCE = 1e-11

RENDER = nb.prepare(base(), backend="torch")


def image(misset):
    """The decisions are made once, outside; what is differentiated or batched is the derivation and the sum."""
    return RENDER({"crystal.misset_deg": misset})


def loss(misset):
    return (WEIGHTS * image(misset)).sum()


def same(a, b):
    return (a - b).abs().max() <= TOLERANCE * b.abs().max()


def test_batch_of_orientations():
    assert same(torch.func.vmap(image)(MISSETS), torch.stack([image(m) for m in MISSETS]))


@pytest.mark.parametrize(
    "path, values",
    [
        ("crystal.unit_cell.a", [31.0, 32.0]), ("beam.wavelength_angstrom", [1.3, 1.2]),
        ("crystal.mosaic.spread_deg", [0.9, 0.1]), ("detector.distance_mm", [60.0, 61.0]),
        ("goniometer.osc_deg", [1.5, 0.5]), ("beam.dispersion_percent", [0.8, 0.1]), ("background.water_um", [0.03, 0.0]),
        ("beam.direction", [[1.0, 0.02, 0.0], [1.0, 0.0, 0.03]]), ("detector.fast_axis", [[0.02, 0.0, 1.0], [0.0, 0.1, 1.0]]),
    ],
)  # fmt: skip
def test_batch_of_other_fields(path, values):
    batch = torch.tensor(values, dtype=torch.float64)
    found = torch.func.vmap(lambda v: RENDER({path: v}))(batch)
    assert same(found, torch.stack([RENDER({path: v}) for v in batch]))
    assert not same(found[0], found[1])


def test_gradients_of_a_batch():
    expected = torch.stack([torch.func.grad(loss)(m) for m in MISSETS])
    x = POINT.clone().requires_grad_()
    assert same(torch.autograd.grad(loss(x), x)[0], expected[0])
    assert same(torch.func.vmap(torch.func.grad(loss))(MISSETS), expected)
    assert same(torch.func.grad(lambda m: (WEIGHTS * torch.func.vmap(image)(m)).sum())(MISSETS), expected)


def test_forward_mode():
    jacobian = torch.func.jacrev(image)(POINT)
    assert same(torch.func.jacfwd(image)(POINT), jacobian)
    assert same(torch.func.jvp(image, (POINT,), (ALONG,))[1], jacobian @ ALONG)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(image(forward_ad.make_dual(POINT, ALONG))).tangent
    assert same(tangent, jacobian @ ALONG)
    batch = torch.func.vmap(torch.func.jacfwd(image))(MISSETS)
    assert same(batch[0], jacobian)


@pytest.mark.parametrize(
    "second",
    [
        torch.func.hessian,
        lambda f: torch.func.jacfwd(torch.func.jacfwd(f)),
        lambda f: torch.func.jacrev(torch.func.jacrev(f)),
        lambda f: torch.func.jacrev(torch.func.jacfwd(f)),
    ],
    ids=["forward over reverse", "forward over forward", "reverse over reverse", "reverse over forward"],
)
def test_second_derivatives_are_refused(second):
    with pytest.raises(RuntimeError, match="twice_differentiable"):
        second(loss)(POINT)


def test_double_backward_is_refused():
    x = POINT.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="twice_differentiable"):
        first.sum().backward()


def test_double_backward_on_request():
    """Plain autograd: the Hessian equals differences of the gradient, in reverse over reverse and forward over reverse."""
    decided = resolve(base())

    def smooth(misset):
        changed = decided.with_values({"crystal.misset_deg": misset})
        return (WEIGHTS * simulate(changed, twice_differentiable=True)).sum()

    assert same(smooth(POINT), loss(POINT))
    assert same(torch.func.grad(smooth)(POINT), torch.func.grad(loss)(POINT))
    hessian = torch.autograd.functional.hessian(smooth, POINT)
    assert same(torch.func.hessian(smooth)(POINT), hessian)
    step, grad = 1e-5, torch.func.grad(loss)
    rows = [(grad(POINT + step * e) - grad(POINT - step * e)) / (2 * step) for e in torch.eye(3, dtype=torch.float64)]
    # differences of a gradient that is good to 1e-13, over 2e-5
    assert (torch.stack(rows) - hessian).norm() <= 1e-7 * hessian.norm()


@pytest.mark.parametrize("path", ["crystal.structure_factors.amplitude", "crystal.structure_factors.default_F"])
def test_structure_factors_in_a_batch(path):
    value = torch.tensor(base().get(path), dtype=torch.float64)
    batch = torch.stack([value, 2 * value])
    assert same(torch.func.vmap(lambda v: RENDER({path: v}))(batch)[1], RENDER({path: 2 * value}))
    gradient = torch.func.grad(lambda v: (WEIGHTS * RENDER({path: v})).sum())(value)
    assert gradient.shape == value.shape


def test_gradient_of_simulate_itself():
    """One point at a time, the decisions may be made inside as well."""

    def value(misset):
        return (WEIGHTS * nb.simulate(base().replace("crystal.misset_deg", misset), backend="torch")).sum()

    assert same(torch.func.grad(value)(POINT), torch.func.grad(loss)(POINT))
    assert same(torch.func.jvp(value, (POINT,), (ALONG,))[1], torch.func.grad(loss)(POINT) @ ALONG)


@pytest.mark.filterwarnings("ignore::nanobragg.errors.QuirkWarning")
def test_reference_fidelity():
    """The quirks that carry state are rendered by plain operations, in every mode of differentiation."""
    experiment = base().with_fidelity("reference")
    experiment = experiment.replace("sampling.oversample", 2).replace("sampling.oversample_polar", True)
    render = nb.prepare(experiment, backend="torch")

    def reference_image(misset):
        return render({"crystal.misset_deg": misset})

    jacobian = torch.func.jacrev(reference_image)(POINT)
    assert same(torch.func.jacfwd(reference_image)(POINT), jacobian)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(reference_image(forward_ad.make_dual(POINT, ALONG))).tangent
    assert same(tangent, jacobian @ ALONG)
    x = POINT.clone().requires_grad_()
    assert same(
        torch.autograd.grad((WEIGHTS * reference_image(x)).sum(), x)[0], (WEIGHTS[..., None] * jacobian).sum((0, 1))
    )
