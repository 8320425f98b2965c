"""A few amplitudes of a table as torch sees them: the same gradients, and nothing of the size of the table for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from experiments import base
from nanobragg.torch_backend import with_reflections
from nanobragg.torch_backend.core import CoreSum

import nanobragg as nb
from nanobragg.errors import ConfigError

TABLE, AMPLITUDE = "crystal.structure_factors", "crystal.structure_factors.amplitude"
HKL = [[1, -1, 0], [0, 0, 1], [-1, 0, 1], [0, 1, 0]]
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


def places():
    return tuple((np.array(HKL) - np.array(base().get(TABLE).hkl_min)).T)


def dense(kernel, experiment=None):
    """The gradient of the whole table, at the indices."""
    experiment = base() if experiment is None else experiment
    whole = torch.tensor(np.array(experiment.get(AMPLITUDE)), requires_grad=True)
    nb.simulate(experiment.replace(AMPLITUDE, whole), backend="torch", kernel=kernel).square().sum().backward()
    return whole.grad.numpy()[places()]


def leaf():
    return torch.tensor(np.array(base().get(AMPLITUDE))[places()], requires_grad=True)


@pytest.mark.parametrize("kernel", ["core", "eager", "auto"])
def test_their_gradients_are_those_of_the_whole_table(kernel):
    few = leaf()
    experiment = base().replace(TABLE, with_reflections(base().get(TABLE), HKL, few))
    image = nb.simulate(experiment, backend="torch", kernel=kernel)
    assert torch.equal(image, nb.simulate(base(), backend="torch", kernel="core" if kernel == "auto" else kernel))
    image.square().sum().backward()
    assert few.grad.abs().max() > 0
    # measured: equal
    assert np.allclose(few.grad.numpy(), dense("core"), rtol=1e-9, atol=0)


def test_nothing_of_the_size_of_the_table_is_asked_for(monkeypatch):
    seen = []

    def pull_back(self, tensors, cotangent, wanted, plain=CoreSum.pull_back):
        found = plain(self, tensors, cotangent, wanted)
        seen.append(found["f_table"])
        return found

    monkeypatch.setattr(CoreSum, "pull_back", pull_back)
    few = leaf()
    experiment = base().replace(TABLE, with_reflections(base().get(TABLE), HKL, few))
    nb.simulate(experiment, backend="torch").sum().backward()
    assert [one.is_sparse for one in seen] == [True]
    assert seen[0].indices().shape == (3, len(HKL))
    # what is made of the table before the image wants all of its gradient
    few, b = leaf(), torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    experiment = base().replace(TABLE, with_reflections(base().get(TABLE), HKL, few))
    b = experiment.replace("crystal.displacement.b_angstrom2", b)
    nb.simulate(b, backend="torch").square().sum().backward()
    assert not seen[1].is_sparse
    assert np.allclose(
        few.grad.numpy(), dense("core", base().replace("crystal.displacement.b_angstrom2", 5.0)), rtol=1e-9
    )


def test_two_images_of_one_table_add_up():
    few = leaf()
    experiment = base().replace(TABLE, with_reflections(base().get(TABLE), HKL, few))
    for _ in range(2):
        nb.simulate(experiment, backend="torch").square().sum().backward(retain_graph=True)
    twice, few.grad = few.grad.clone(), None
    sum(nb.simulate(experiment, backend="torch").square().sum() for _ in range(2)).backward()
    assert torch.allclose(few.grad, twice, rtol=1e-12)
    assert np.allclose(few.grad.numpy() / 2, dense("core"), rtol=1e-9)


def test_forward_mode_and_transforms_take_the_whole_table():
    few = leaf().detach()

    def image(values):
        return nb.simulate(base().replace(TABLE, with_reflections(base().get(TABLE), HKL, values)), backend="torch")

    direction = torch.ones_like(few)
    tangent = torch.func.jvp(image, (few,), (direction,))[1]
    step = 1e-3
    difference = (image(few + step * direction) - image(few - step * direction)) / (2 * step)
    # the image is a quadratic function of amplitudes: rounding alone, measured 2e-11
    assert (tangent - difference).abs().max() <= 1e-8 * tangent.abs().max()
    backward = torch.func.grad(lambda v: image(v).square().sum())(few)
    assert np.allclose(backward.numpy(), dense("core"), rtol=1e-9)


def test_a_module_refines_a_few_reflections():
    model = nb.ExperimentModule(base(), ["crystal.misset_deg", AMPLITUDE], reflections=HKL)
    assert model.values()[AMPLITUDE].shape == (4,)
    model().square().sum().backward()
    parameters = dict(model.named_parameters())
    assert np.allclose(parameters["crystal__structure_factors__amplitude"].grad.numpy(), dense("core"), rtol=1e-9)
    assert parameters["crystal__misset_deg"].grad.abs().max() > 0
    with torch.no_grad():
        parameters["crystal__structure_factors__amplitude"][0] = 77.0
    assert model.experiment.get(AMPLITUDE)[places()][0].item() == 77.0
    bounded = nb.ExperimentModule(base(), [AMPLITUDE], reflections=HKL, bounds={AMPLITUDE: (0.0, None)})
    assert torch.allclose(bounded.values()[AMPLITUDE], leaf())


@pytest.mark.parametrize(
    ("hkl", "said"),
    [
        ([[0, 0, 99]], "is not in the table"),
        ([[0, 0, 1], [0, 0, 1]], "twice"),
        ([[0, 1]], "shape"),
        ([[0.5, 0, 0]], "integers"),
    ],
)
def test_reflections_that_are_refused(hkl, said):
    with pytest.raises(ConfigError, match=said):
        nb.ExperimentModule(base(), [AMPLITUDE], reflections=hkl)


def test_arguments_that_do_not_fit():
    with pytest.raises(ConfigError, match="no amplitudes are refined"):
        nb.ExperimentModule(base(), ["crystal.misset_deg"], reflections=HKL)
    with pytest.raises(ConfigError, match="one number for each index"):
        with_reflections(base().get(TABLE), HKL, torch.ones(3))
    with pytest.raises(ConfigError, match="one table"):
        with_reflections(nb.StructureFactors.constant(10.0), HKL, torch.ones(4))
