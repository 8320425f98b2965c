"""The Jacobian of a module: in one sweep of the core, and by a transform of torch elsewhere, which it equals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from experiments import base

import nanobragg as nb
from nanobragg.derivation.derive import derive, rectangle
from nanobragg.derivation.resolve import resolve

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


@pytest.mark.parametrize("options", [{}, {"kernel": "eager"}], ids=["core", "eager"])
@pytest.mark.parametrize("masked", [False, True])
def test_cropped(options, masked):
    """The rectangle inside both regions, cut from the images of the whole detector; bit for bit."""
    experiment = base().replace("sampling.roi", (slice(0, 4), slice(1, 6)))
    if masked:
        mask = np.ones((5, 6), bool)
        mask[2, 3] = False
        experiment = experiment.replace("detector.mask", mask)
    model = nb.ExperimentModule(experiment, FIELDS[:2], **options)
    roi = (slice(1, 5), slice(2, 5))
    part = (slice(1, 4), slice(2, 5))
    image, slopes = model.jacobian(roi)
    cut, cut_slopes = model.jacobian(roi, cropped=True)
    assert cut.shape == (3, 3) and torch.equal(cut, image[part]) and bool((cut[1, 1] == 0) == masked)
    for path, slope in slopes.items():
        assert torch.equal(cut_slopes[path], slope[part]) and slope.abs().max() > 0
        assert slope[0].abs().max() == 0


def test_no_crop_of_several_panels():
    experiment = base()
    model = nb.ExperimentModule(experiment.replace("detector", (experiment.detector,) * 2), FIELDS[:1])
    with pytest.raises(nb.ConfigError, match="cropped"):
        model.jacobian(cropped=True)


@pytest.mark.parametrize("size", [(5, 6), (5, 1), (1, 6), (1, 1)])
def test_rectangles(size):
    """Of all regions of a small detector; a mask leaves one only where it cuts off whole rows or columns."""
    experiment = base().replace("detector.n_slow", size[0]).replace("detector.n_fast", size[1])

    def found(mask=None, roi=None):
        return derive(resolve(experiment.replace("detector.mask", mask)), roi=roi).rectangle

    for begin in range(size[0]):
        for end in range(begin + 1, size[0] + 1):
            roi = (slice(begin, end), slice(size[1] // 3, size[1]))
            assert found(roi=roi) == rectangle(experiment.detector, roi) == roi
    if size == (5, 6):
        mask = np.ones(size, bool)
        mask[:, 4:] = False
        assert found(mask) == (slice(0, 5), slice(0, 4))
        mask[2, 1] = False
        assert found(mask) is None
        mask[2] = False  # a whole row: two rectangles
        assert found(mask) is None
        # as many pixels as the rectangle from the first to the last has, but not those
        mask = np.zeros(size, bool)
        mask[0, 0] = mask[0, 5] = mask[1, 0] = mask[1, 1] = True
        assert found(mask) is None
