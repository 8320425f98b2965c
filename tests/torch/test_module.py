"""ExperimentModule: parameters in the user's units, bounds, priors, state, functional calls."""

from __future__ import annotations

import pytest
import torch
from experiments import base

import nanobragg as nb
from nanobragg.derivation.resolve import resolve

MISSET = "crystal.misset_deg"
EDGE = "crystal.unit_cell.a"


def test_parameters_are_the_fields():
    module = nb.ExperimentModule(base(), [MISSET, EDGE, "detector.beam_center_mm[1]"], kernel="core")
    names = {name: value.tolist() for name, value in module.named_parameters()}
    assert names == {
        "crystal__misset_deg": [10, 20, 30], "crystal__unit_cell__a": 31, "detector__beam_center_mm_1": 4.1
    }  # fmt: skip
    assert torch.equal(module(), nb.simulate(base(), backend="torch", kernel="core"))
    assert module.experiment.equals(resolve(base()).experiment)


def test_an_optimiser_moves_them():
    target = nb.simulate(base(), backend="torch")
    module = nb.ExperimentModule(base().replace(MISSET, (10.02, 20.0, 29.99)), [MISSET])
    optimizer = torch.optim.LBFGS(
        module.parameters(), lr=1, max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def closure():
        optimizer.zero_grad()
        loss = ((module() - target) ** 2).sum() * 1e6
        loss.backward()
        return loss

    optimizer.step(closure)
    found = module.values()[MISSET].detach()
    assert (found - torch.tensor([10.0, 20.0, 30.0])).abs().max() < 1e-4


@pytest.mark.parametrize("bounds", [(30.0, 33.0), (30.0, None), (None, 40.0)])
def test_bounds(bounds):
    module = nb.ExperimentModule(base(), [EDGE], bounds={EDGE: bounds})
    assert module.values()[EDGE].item() == pytest.approx(31.0, abs=1e-12)
    (raw,) = module.parameters()
    with torch.no_grad():
        for far in (-1e3, -3.0, 0.0, 3.0, 1e3):
            raw.fill_(far)
            value = module.values()[EDGE].item()
            assert (bounds[0] is None or value >= bounds[0]) and (bounds[1] is None or value <= bounds[1])


def test_a_start_outside_its_bounds_is_refused():
    with pytest.raises(nb.ConfigError, match="inside its bounds"):
        nb.ExperimentModule(base(), [EDGE], bounds={EDGE: (32.0, 33.0)})


def test_priors():
    module = nb.ExperimentModule(
        base(), [MISSET, EDGE], priors={MISSET: ((10.0, 20.0, 31.0), 0.5), EDGE: lambda a: (a - 30) ** 4}
    )
    assert module.penalty().item() == pytest.approx(2.0 + 1.0)


def test_refused_paths():
    for path in ("crystal.misset", "crystal.shape", "crystal.a_star_matrix", "detector.n_fast"):
        with pytest.raises(nb.ConfigError):
            nb.ExperimentModule(base(), [path])
    with pytest.raises(nb.ConfigError, match="must be a list of paths"):
        nb.ExperimentModule(base(), EDGE)
    with pytest.raises(nb.ConfigError, match="not refined"):
        nb.ExperimentModule(base(), [MISSET], bounds={EDGE: (1, 50)})


def test_state_dict():
    a = nb.ExperimentModule(base(), [MISSET, EDGE])
    b = nb.ExperimentModule(base().replace(MISSET, (1.0, 2.0, 3.0)), [MISSET, EDGE])
    assert not torch.equal(a(), b())
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(), b())


def test_functional_call_and_its_transforms():
    module = nb.ExperimentModule(base(), [MISSET], kernel="core")
    parameters = dict(module.named_parameters())
    (name,) = parameters

    def image(misset):
        return torch.func.functional_call(module, {name: misset})

    start = parameters[name].detach()
    assert torch.equal(image(start), module())
    batch = torch.stack([start, start + 0.1])
    assert torch.allclose(torch.func.vmap(image)(batch)[1], image(batch[1]), rtol=1e-12)
    jacobian = torch.func.jacfwd(image)(start)
    loss = module().sum()
    loss.backward()
    assert torch.allclose(parameters[name].grad, jacobian.sum((0, 1)), rtol=1e-10)


def test_structure_factors_can_be_refined():
    path = "crystal.structure_factors.amplitude"
    module = nb.ExperimentModule(base(), [path])
    module().sum().backward()
    (grad,) = (p.grad for p in module.parameters())
    assert grad.shape == (15, 15, 15) and grad.any()


def test_moves_to_another_type():
    """float32 parameters: the derivation widens them, the image keeps the dtype that was asked for."""
    module = nb.ExperimentModule(base(), [MISSET], dtype=torch.float32).float()
    assert next(module.parameters()).dtype == torch.float32
    image = module()
    assert image.dtype == torch.float32
    image.sum().backward()
    assert next(module.parameters()).grad.dtype == torch.float32


@pytest.mark.parametrize("path", ["crystal.shape", "beam.polarized", "crystal.misset_seed", "sampling.d_min_angstrom"])
def test_what_is_no_number_is_refused_by_name(path):
    with pytest.raises(nb.ConfigError, match=f"^{path}=.*is not differentiable"):
        nb.ExperimentModule(base(), [path])
