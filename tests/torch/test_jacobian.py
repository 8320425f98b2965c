"""The Jacobian of a module: in one sweep of the core, and by a transform of torch elsewhere, which it equals."""

from __future__ import annotations

import pytest
import torch
from experiments import base

import nanobragg as nb

FIELDS = [
    "crystal.misset_deg",
    "crystal.unit_cell.a",
    "detector.distance_mm",
    "beam.wavelength_angstrom",
    "crystal.n_cells",
]
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


def by_transform(model, roi=None):
    point = {name: parameter.detach() for name, parameter in model.named_parameters()}
    found = torch.func.jacfwd(lambda p: torch.func.functional_call(model, p, kwargs={"roi": roi}))(point)
    return {path: found[path.replace(".", "__").replace("[", "_").replace("]", "")] for path in model.values()}


def check(model, roi=None):
    """Measured worst: 2e-14 of the norm."""
    image, slopes = model.jacobian(roi)
    assert torch.allclose(image, model(roi).detach(), rtol=1e-12, atol=0) and not image.requires_grad
    expected = by_transform(model, roi)
    for path, slope in slopes.items():
        assert slope.shape == (*image.shape, *model.values()[path].shape) and not slope.requires_grad
        assert slope.abs().max() > 0
        assert (slope - expected[path]).norm() <= 1e-10 * expected[path].norm(), path


@pytest.mark.parametrize("roi", [None, (slice(1, 4), slice(2, 6))])
def test_in_one_sweep(roi, monkeypatch):
    model = nb.ExperimentModule(base().replace("crystal.shape", "gauss"), [*FIELDS, "beam.kahn_factor"])
    assert model._jacobian_by_core(roi) is not None
    check(model, roi)
    parts = nb.ExperimentModule(base(), ["crystal.misset_deg[2]", "crystal.misset_deg[0]"])
    assert parts._jacobian_by_core(roi) is not None
    check(parts, roi)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"crystal.displacement.b_angstrom2": 5.0}, {}),
        ({"crystal.diffuse": nb.Diffuse(sigma_angstrom=0.3)}, {}),
        ({}, {"bounds": {"crystal.unit_cell.a": (10.0, None)}}),
        ({}, {"kernel": "eager"}),
    ],
    ids=["table of displacements", "diffuse", "bounds", "eager"],
)
def test_by_a_transform(change, options):
    experiment = base()
    for path, value in change.items():
        experiment = experiment.replace(path, value)
    model = nb.ExperimentModule(experiment, FIELDS[:2], **options)
    assert model._jacobian_by_core(None) is None
    check(model)
