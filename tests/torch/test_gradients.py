"""Gradients of every differentiable field: gradcheck, and against central differences through the scalar C kernel."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from experiments import DIVERGENT, SENSOR, SOURCES, VALUES, amplitudes, base, case, differentiable_fields, with_values
from scipy.linalg import expm

import nanobragg as nb

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.IneffectiveWarning")
SYMMETRIC = np.array([[0.3, 0.2, -0.1], [0.2, -0.4, 0.15], [-0.1, 0.15, 0.25]])
SKEW = np.array([[0.0, -0.3, 0.2], [0.3, 0.0, -0.1], [-0.2, 0.1, 0.0]])
PATHS = {
    "crystal.mosaic.covariance_deg2": lambda matrix, t: matrix + t * SYMMETRIC,
    "crystal.block_matrix": lambda matrix, t: matrix + t * SYMMETRIC,
    "crystal.mosaic.rotations": lambda rotations, t: rotations @ expm(t * SKEW),
}
"""Of the fields whose elements do not move one by one: what they may be along a parameter t."""
ALONG = {path: lambda value: SYMMETRIC for path in PATHS} | {"crystal.mosaic.rotations": lambda value: value @ SKEW}
"""Their derivatives by t at 0."""
FIELDS = [path for path in differentiable_fields() if path not in PATHS]
TORCH = {"backend": "torch"}
"""Options of the torch engine."""
WEIGHTS = np.random.default_rng(5).standard_normal((5, 6))
# relative to the norm of the gradient; measured worst: see the comments at the tests
TOLERANCE = 1e-5


@pytest.fixture(autouse=True, params=["auto", "eager"])
def kernel(request, monkeypatch):
    """Every test differentiates by the core, wherever it can, and in plain torch."""
    monkeypatch.setitem(TORCH, "kernel", request.param)


def loss(experiment):
    """Fixed random weights . image, through the torch engine."""
    return (torch.from_numpy(WEIGHTS) * nb.simulate(experiment, **TORCH)).sum()


def loss_through_c(experiment):
    return float((WEIGHTS * nb.simulate(experiment, backend="c", kernel="scalar", n_threads=1)).sum())


def gradient(experiment, path, value):
    """d loss/d value by autograd; 0 where the value has no influence."""
    x = torch.from_numpy(np.array(value)).requires_grad_()
    value = loss(with_values(experiment, {path: x}))
    assert torch.isfinite(value)
    if not value.requires_grad:
        return np.zeros(x.shape)
    (found,) = torch.autograd.grad(value, x, allow_unused=True)
    return np.zeros(x.shape) if found is None else found.numpy()


def plain(path, value):
    """The value as the C engine's user would write it."""
    arrays = ("a_star_matrix", "sources", "amplitude")
    if any(name in path for name in arrays):
        return value
    return tuple(value.tolist()) if value.ndim else float(value)


def differences(experiment, path, value, step, places, sides=(1, -1)):
    """d loss/d value at some places by differences through the C engine."""
    found = []
    for place in places:
        results = []
        for side in sides:
            moved = value.copy()
            moved[place] += side * step
            results.append(loss_through_c(with_values(experiment, {path: plain(path, moved)})))
        found.append((results[0] - results[1]) / ((sides[0] - sides[1]) * step))
    return np.array(found)


def steps(path, value):
    """Two step sizes; the normal must stay perpendicular to the other axes within 1e-6."""
    if path == "detector.normal_axis":
        return 5e-7, 2e-7
    size = np.abs(value).max() or 1.0
    return 1e-4 * size, 1e-6 * size


def compare_with_c(experiment, path, value):
    """Largest allowed deviation from the better of two step sizes; returns the gradient."""
    found = gradient(experiment, path, value)
    places = list(np.ndindex(value.shape))[:: 1 if value.size < 30 else 5]
    ours = np.array([found[place] for place in places])
    errors = []
    for step in steps(path, value):
        theirs = differences(experiment, path, value, step, places)
        errors.append(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-300))
        if not ours.any() and not theirs.any():
            return found
    assert min(errors) <= TOLERANCE, f"{path}: {min(errors):.2g} of the norm"
    return found


@pytest.mark.parametrize("path", FIELDS)
def test_gradcheck(path):
    experiment, value = case(path)
    x = torch.from_numpy(value).requires_grad_()
    scale = float(np.abs(gradient(experiment, path, value)).max()) or 1.0
    step = min(1e-5 * (np.abs(value).max() or 1.0), 5e-7 if path == "detector.normal_axis" else np.inf)
    assert torch.autograd.gradcheck(
        lambda v: loss(with_values(experiment, {path: v})) / scale, (x,), eps=step, atol=3e-5, rtol=3e-5
    )


@pytest.mark.parametrize("path", FIELDS)
def test_against_differences_through_c(path):
    """Measured worst: 5e-9 (beam.size_mm)."""
    experiment, value = case(path)
    found = compare_with_c(experiment, path, value)
    if path != "goniometer.step_deg":  # in the corrected model a step only decides a count
        assert found.any()


@pytest.mark.parametrize("path", PATHS)
def test_along_what_may_be(path):
    """Measured worst: 2e-8 (crystal.mosaic.rotations)."""
    experiment, value = case(path)
    found = (gradient(experiment, path, value) * ALONG[path](value)).sum()
    step = 1e-5
    high, low = (loss_through_c(with_values(experiment, {path: PATHS[path](value, side * step)})) for side in (1, -1))
    assert abs(found - (high - low) / (2 * step)) <= TOLERANCE * abs(found)
    assert found != 0


SHAPES = ["square", "round", "gauss"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("path", ["crystal.misset_deg", "crystal.unit_cell.b", "detector.distance_mm"])
def test_shapes(shape, path):
    experiment, value = case(path)
    compare_with_c(experiment.replace("crystal.shape", shape), path, value)


@pytest.mark.parametrize("path", ["crystal.n_cells", "crystal.fudge"])
def test_size_of_a_sphere(path):
    """`round` takes whole numbers only, so that differences are taken in gauss; here the tensors need no whole numbers."""
    experiment, value = case(path)
    experiment = experiment.replace("crystal.shape", "round")
    x = torch.from_numpy(value).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: 1e3 * loss(with_values(experiment, {path: v})), (x,), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("path", "value"), [
    ("detector.pixel_size_mm", (2.0, 1.6)), ("detector.slow_axis", (0.01, -1.0, 0.13)), ("detector.distance_mm", 60.0),
])  # fmt: skip
@pytest.mark.parametrize("curved, point", [(False, False), (True, False), (False, True)])
def test_oblong_and_skewed_pixels(path, value, curved, point):
    """Both edges have a gradient of their own; with the angle between the axes the area of a pixel changes."""
    settings = {"detector.pixel_size_mm": (2.0, 1.6), "detector.fast_axis": (0.02, 0.11, 1.0),
                "detector.slow_axis": (0.01, -1.0, 0.03), "detector.curved": curved, "detector.point_pixel": point}  # fmt: skip
    assert compare_with_c(with_values(base(), settings), path, np.array(value)).all()


@pytest.mark.parametrize("curved, point", [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize(
    "path", ["detector.distance_mm", "detector.beam_center_mm", "detector.rotation_deg", "beam.direction"]
)
def test_curved_and_point_pixels(curved, point, path):
    experiment, value = case(path)
    experiment = experiment.replace("detector.curved", curved).replace("detector.point_pixel", point)
    compare_with_c(experiment, path, value)


@pytest.mark.parametrize("settings", [DIVERGENT, SOURCES, {"sampling.oversample": 2}, {"sampling.d_min_angstrom": 4.0}])
def test_sources_and_sampling(settings):
    experiment, value = case("crystal.misset_deg")
    compare_with_c(with_values(experiment, settings), "crystal.misset_deg", value)


def bare():
    """Nothing but what an experiment must have, on a few pixels; every optional field is left open."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(310, 370, 430, 90, 90, 90),
        structure_factors=nb.StructureFactors(amplitude=amplitudes(), hkl_min=(-7, -7, -7)),
    )
    return nb.Experiment(crystal=crystal, detector=nb.Detector(n_fast=6, n_slow=5, pixel_size_mm=0.4))


BARE_SETTINGS = {
    "goniometer.step_deg": {"goniometer.osc_deg": 1.6},
    "detector.sensor.thickness_um": {"detector.sensor": SENSOR},
    "detector.sensor.attenuation_um": {"detector.sensor": SENSOR},
    "crystal.structure_factors.amplitude": {},
    "crystal.structure_factors.default_F": {},
}


@pytest.mark.parametrize("path", FIELDS)
def test_everything_else_left_open(path):
    """Every field on its own on top of a bare experiment, where most values are decided."""
    _, value = case(path)
    if path.startswith(("crystal.unit_cell", "crystal.structure_factors")):
        value = None
    settings = BARE_SETTINGS.get(path, VALUES.get(path, ({}, None))[0])
    experiment = with_values(bare(), settings)
    if value is None:
        table = experiment.crystal.structure_factors
        value = getattr(table, path.rsplit(".", 1)[1]) if "structure_factors" in path else experiment.get(path)
        value = np.array(value, dtype=np.float64)
    compare_with_c(experiment, path, value)


SINGULAR = {
    "crystal.mosaic.spread_deg": ({"crystal.mosaic.n_domains": 3}, 0.0),
    "goniometer.phi_start_deg": ({"goniometer.osc_deg": 0.0, "goniometer.n_steps": 1}, 0.0),
    "goniometer.osc_deg": ({"goniometer.n_steps": 2}, 0.0),
    "crystal.misset_deg": ({}, (0.0, 0.0, 0.0)),
    "crystal.unit_cell.alpha": ({}, 90.0),
    "detector.rotation_deg": ({}, (0.0, 0.0, 0.0)),
    "detector.twotheta_deg": ({}, 0.0),
    "beam.kahn_factor": ({}, 0.0),
    "beam.polarization_axis": ({}, (0.0, 0.0, 1.0)),
    "beam.direction": ({}, (1.0, 0.0, 0.0)),
    "background.water_um": ({}, 0.0),
    "beam.dispersion_percent": ({"beam.n_wavelengths": None}, 0.0),
    "crystal.fudge": ({"crystal.shape": "round"}, 0.0),
    "crystal.structure_factors.default_F": ({}, 0.0),
}


@pytest.mark.parametrize("path", SINGULAR)
def test_singular_points(path):
    """The symmetric experiment: a pixel center in the direct beam (h = k = l = 0 exactly), right angles, nothing rotated.

    Gradients are finite, and equal differences where both sides exist; a range of exactly 0 is a single point, which has none.
    """
    settings, value = SINGULAR[path]
    experiment = with_values(
        bare().replace("crystal.n_cells", (5.0, 4.0, 3.0)),
        {"detector.n_fast": 5, "detector.beam_center_mm": (1.0, 1.0), **settings},
    )  # fmt: skip
    experiment = with_values(experiment, {"detector.n_fast": 6})
    value = np.array(value)
    found = gradient(experiment, path, value)
    assert np.isfinite(found).all()
    if path in ("beam.dispersion_percent", "goniometer.osc_deg") and not found.any():
        return
    one_sided = path in ("crystal.mosaic.spread_deg", "background.water_um", "goniometer.osc_deg", "crystal.fudge")
    step = 1e-6
    theirs = differences(experiment, path, value, step, list(np.ndindex(value.shape)), (1, 0) if one_sided else (1, -1))
    ours = found.reshape(theirs.shape)
    size = max(np.linalg.norm(theirs), abs(loss_through_c(with_values(experiment, {path: plain(path, value)}))))
    assert np.linalg.norm(ours - theirs) <= 1e-5 * size


TAYLOR = [
    "crystal.misset_deg", "crystal.unit_cell.a", "beam.wavelength_angstrom", "detector.distance_mm",
    "crystal.mosaic.spread_deg", "detector.rotation_deg",
]  # fmt: skip


@pytest.mark.parametrize("path", TAYLOR)
def test_taylor_remainder(path):
    """|loss(x + s d) - loss(x) - s d.gradient| shrinks as s^2 on 64 x 64 pixels: by 4 for half the step."""
    experiment, value = case(path)
    experiment = with_values(experiment, {
        "detector.n_fast": 64, "detector.n_slow": 64, "detector.pixel_size_mm": 0.15,
        # a cubic has kinks at the nodes, and the nearest amplitude jumps half-way between them
        "crystal.structure_factors": nb.StructureFactors.constant(50.0),
    })  # fmt: skip
    weights = torch.from_numpy(np.random.default_rng(1).standard_normal((64, 64)))

    def value_at(v):
        return (weights * nb.simulate(with_values(experiment, {path: v}), **TORCH)).sum()

    x = torch.from_numpy(value).requires_grad_()
    start = value_at(x)
    (found,) = torch.autograd.grad(start, x)
    direction = torch.ones_like(x) * max(1.0, float(np.abs(value).max())) * 1e-3
    remainders = []
    for step in (1.0, 0.5, 0.25):
        with torch.no_grad():
            remainders.append(abs(float(value_at(x + step * direction) - start - step * (direction * found).sum())))
    ratios = [a / b for a, b in pairwise(remainders)]
    assert all(3.4 < ratio < 4.6 for ratio in ratios), (remainders, ratios)


def test_tophat_passes_no_gradient_to_its_edge():
    experiment, value = case("crystal.misset_deg")
    experiment = experiment.replace("crystal.shape", "tophat").replace("sampling.interpolate", "nearest")
    assert not gradient(experiment.replace("crystal.fudge", 1e-3), "crystal.misset_deg", value).any()


def test_reference_fidelity_has_gradients():
    """The quirks that carry state are recorded by plain autograd; float32 roundings pass the gradient straight through."""
    experiment = base().with_fidelity("reference").replace("goniometer.phi_start_deg", 0.0)
    experiment = with_values(experiment, {"sampling.oversample": 2, "sampling.oversample_polar": True})
    with pytest.warns(nb.QuirkWarning):
        compare_with_c(experiment, "crystal.misset_deg", np.array([10.0, 20.0, 30.0]))
