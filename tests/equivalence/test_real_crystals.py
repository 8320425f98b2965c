"""Mosaicity, blocks, displacements and damage together: both engines, every kernel, gradients, the whole laboratory turned."""

from __future__ import annotations

import numpy as np
import pytest
import reference_real
from pairwise import pairwise
from scipy.spatial.transform import Rotation

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.crystals.draws import stretches, turns

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
MATRIX = np.array([[5.0, 1.2, 0.4], [1.2, 4.0, -0.3], [0.4, -0.3, 6.0]])
U = np.array([[0.2, 0.05, -0.02], [0.05, 0.3, -0.04], [-0.02, -0.04, 0.1]])
TURNS = Rotation.from_rotvec([[0, 0, 0], [0.3, 0, 0.1], [0, -0.2, 0.4]], degrees=True).as_matrix()


def table():
    h, k, m = (x.ravel() for x in np.mgrid[-7:8, -6:9, -5:6])
    amplitudes = 10 + (7 * h + 11 * k + 13 * m) % 97.0
    return nb.StructureFactors.from_arrays(np.stack([h, k, m], 1), amplitudes, default_F=20.0)


OPTIONS = {
    "shape": ["gauss", "round", "tophat", "square"],
    "mosaic": [
        {}, {"model": "gaussian", "spread_deg": 0.4}, {"model": "gaussian", "spread_deg": (0.2, 0.5, 0.3)},
        {"model": "gaussian", "covariance_deg2": [[0.2, 0.05, 0], [0.05, 0.3, -0.04], [0, -0.04, 0.1]]},
        {"model": "ball", "spread_deg": 0.6}, {"model": "diffbragg", "spread_deg": (0.2, 0.5, 0.3)}, {"spread_deg": 0.5},
        {"model": "given", "rotations": TURNS, "weights": [1.0, 2.0, 0.5]},
    ],
    "strain": [0.0, 0.01],
    "blocks": [{}, {"n_blocks": 12.5}, {"volume_mm3": 1e-9}],
    "matrix": [False, True],
    "sizes": [None, nb.BlockSizes(width=0.2), nb.BlockSizes(distribution="gamma", width=0.3)],
    "displacement": [{}, {"b_angstrom2": 8.0}, {"u_angstrom2": U}, {"b_angstrom2": -3.0, "u_angstrom2": U}],
    "damage": [{}, {"dose_mgy": 2.0, "frame_dose_mgy": 0.5, "b_per_mgy": 1.1, "decay_per_mgy": 0.05},
               {"dose_mgy": 2.0, "dose_1_mgy": 14.0, "exponent": 1.7}],
    "factors": ["table", "constant"],
    "interpolate": ["nearest", "tricubic"],
    "phi": [{}, {"osc_deg": 1.5, "n_steps": 3}],
    "beam": [{}, {"dispersion_percent": 2.0, "n_wavelengths": 2}],
    "detector": [{}, {"curved": True}, {"sensor": nb.Sensor(thickness_um=450.0, attenuation_um=234.0, n_layers=2)}],
    "water": [0.0, 0.1],
}  # fmt: skip


def build(v):
    square = v["shape"] == "square"
    size = {"block_matrix": MATRIX} if v["matrix"] and not square else {"n_cells": (5, 4, 6)}
    if v["sizes"] is not None and not square:
        size["sizes"] = v["sizes"]
    mosaic = {"n_domains": None if "rotations" in v["mosaic"] else 7, **v["mosaic"], "strain": v["strain"]}
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(40, 50, 60, 90, 100, 95), misset_deg=(10, 20, 30), shape=v["shape"],
            mosaic=nb.Mosaic(**mosaic), displacement=nb.Displacement(**v["displacement"]), damage=nb.Damage(**v["damage"]),
            structure_factors=table() if v["factors"] == "table" else nb.StructureFactors.constant(30.0), **v["blocks"], **size,
        ),
        beam=nb.Beam(wavelength_angstrom=1.3, kahn_factor=0.3, **v["beam"]),
        detector=nb.Detector(n_fast=9, n_slow=7, pixel_size_mm=9.0, distance_mm=50.0, **v["detector"]),
        goniometer=nb.Goniometer(**v["phi"]), sampling=nb.Sampling(oversample=1, interpolate=v["interpolate"]),
        background=nb.Background(water_um=v["water"]),
    )  # fmt: skip


ROWS = [build({name: OPTIONS[name][i] for name, i in row.items()}) for row in pairwise(OPTIONS, seed=1)]


@pytest.mark.parametrize("experiment", ROWS, ids=range(len(ROWS)))
def test_engines_and_kernels_agree(experiment):
    """To 1e-10 of the maximum; measured worst: 2.5e-14 (torch), 1e-13 (vectors)."""
    scalar = nb.simulate(experiment, kernel="scalar")
    eager = nb.simulate(experiment, backend="torch", kernel="eager", n_threads=1).numpy()
    assert np.abs(eager - scalar).max() <= 1e-10 * scalar.max() and scalar.max() > 0
    fast = [nb.simulate(experiment, kernel=name) for name in _core.available_kernels if name.startswith("simd-")]
    for image in fast:
        assert np.abs(image - scalar).max() <= 1e-10 * scalar.max()
    if len(fast) == 3:
        assert np.array_equal(fast[1], fast[2])


FIELDS = [
    "crystal.mosaic.spread_deg", "crystal.mosaic.covariance_deg2", "crystal.mosaic.rotations", "crystal.mosaic.strain",
    "crystal.n_blocks", "crystal.volume_mm3", "crystal.block_matrix", "crystal.n_cells", "crystal.sizes.width",
    "crystal.displacement.b_angstrom2", "crystal.displacement.u_angstrom2", "crystal.damage.dose_mgy",
    "crystal.damage.frame_dose_mgy", "crystal.damage.b_per_mgy", "crystal.damage.decay_per_mgy", "crystal.damage.dose_1_mgy",
    "crystal.misset_deg", "crystal.unit_cell.b", "crystal.structure_factors.default_F",
]  # fmt: skip


def case(**v):
    return build({name: values[0] for name, values in OPTIONS.items()} | v)


CASES = [
    case(mosaic=OPTIONS["mosaic"][2], strain=0.01, blocks={"n_blocks": 12.5}, displacement=OPTIONS["displacement"][3]),
    case(shape="round", mosaic=OPTIONS["mosaic"][3], matrix=True, blocks={"volume_mm3": 1e-9}, factors="constant",
         damage={"dose_mgy": 2.0, "frame_dose_mgy": 0.5, "b_per_mgy": 1.1, "decay_per_mgy": 0.05, "dose_1_mgy": 14.0}),
    case(mosaic=OPTIONS["mosaic"][7], sizes=OPTIONS["sizes"][2], blocks={"volume_mm3": 1e-9}),
    case(mosaic=OPTIONS["mosaic"][4], sizes=OPTIONS["sizes"][1]),
    case(shape="square", mosaic=OPTIONS["mosaic"][5]),
]  # fmt: skip


def given(experiment, path):
    value = experiment.get(path)
    if value is None:
        return None
    if not np.array(value, dtype=np.float64).any():  # a field that is not in use
        return None
    if experiment.crystal.shape == "round" and path in ("crystal.misset_deg", "crystal.unit_cell.b"):
        return None  # between spots, where those of round are not 0, damped structure factors jump
    if path == "crystal.n_cells" and (
        experiment.crystal.shape != "gauss" or experiment.crystal.block_matrix is not None
    ):
        return None
    return np.array(value, dtype=np.float64)


@pytest.mark.parametrize(
    ("number", "path"), [(i, path) for i, of in enumerate(CASES) for path in FIELDS if given(of, path) is not None]
)
def test_gradients_against_differences_through_c(number, path):
    """Every differentiable field, by the core under autograd; symmetric matrices along symmetric directions."""
    experiment = CASES[number]
    value, rng = given(experiment, path), np.random.default_rng(4)
    weight = rng.standard_normal((7, 9))
    leaf = torch.tensor(value, requires_grad=True)
    image = nb.simulate(experiment.replace(path, leaf), backend="torch")
    (image * torch.from_numpy(weight)).sum().backward()
    direction = rng.standard_normal(value.shape)
    if path.endswith(("covariance_deg2", "block_matrix", "u_angstrom2")):
        direction = direction + direction.T
    found = float((leaf.grad.numpy() * direction).sum())
    if path.endswith("rotations"):  # a difference would leave the rotations: against the independent engine
        other = torch.tensor(value, requires_grad=True)
        (
            nb.simulate(experiment.replace(path, other), backend="torch", kernel="eager", n_threads=1)
            * torch.from_numpy(weight)
        ).sum().backward()
        assert found == pytest.approx(float((other.grad.numpy() * direction).sum()), rel=1e-9)
        return
    step = 1e-5 * np.abs(value).max() / np.abs(direction).max()

    def at(shift):
        moved = value + shift * direction
        plain = float(moved) if moved.ndim == 0 else tuple(moved) if moved.ndim == 1 else moved
        return (nb.simulate(experiment.replace(path, plain), kernel="scalar") * weight).sum()

    difference = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    scale = np.abs(weight * image.detach().numpy()).sum() / np.abs(value).max() * np.abs(direction).max()
    assert found == pytest.approx(difference, rel=1e-6, abs=1e-9 * scale)


def test_the_whole_laboratory_turned():
    """Every vector of the laboratory turned alike leaves the image, with every feature in force and two crystals."""
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    cell = np.array([[40.0, 0, 0], [-4.0, 50, 0], [-10, 3, 60]])
    star, beside = np.linalg.inv(cell).T, Rotation.from_euler("xyz", [5, 10, 15], degrees=True).as_matrix()

    def image(r):
        one = nb.Crystal(
            a_star_matrix=star @ r.T, shape="gauss", block_matrix=MATRIX, structure_factors=table(), n_blocks=3.0,
            mosaic=nb.Mosaic(model="gaussian", spread_deg=(0.2, 0.5, 0.3), strain=0.01, n_domains=9),
            sizes=nb.BlockSizes(width=0.2), displacement=nb.Displacement(b_angstrom2=4.0, u_angstrom2=U),
            damage=nb.Damage(dose_mgy=2.0, b_per_mgy=1.0, dose_1_mgy=14.0),
        )  # fmt: skip
        other = nb.Crystal(
            a_star_matrix=star @ beside.T @ r.T, shape="round", n_cells=(4, 5, 6), structure_factors=table(), volume_mm3=1e-15,
            mosaic=nb.Mosaic(model="given", rotations=TURNS, weights=[1.0, 2.0, 0.5]),
        )  # fmt: skip
        return nb.simulate(nb.Experiment(
            crystal=(one, other),
            beam=nb.Beam(
                wavelength_angstrom=1.3, kahn_factor=0.3, direction=tuple(r @ [1, 0, 0]),
                polarization_axis=tuple(r @ [0, 0, 1]),
            ),
            detector=nb.Detector(
                n_fast=9, n_slow=7, pixel_size_mm=9.0, convention="custom", fast_axis=tuple(r @ [0, 0, 1]),
                slow_axis=tuple(r @ [0, -1, 0]), pix0_mm=tuple(r @ [50.0, 30.0, -40.0]),
            ),
            goniometer=nb.Goniometer(osc_deg=1.5, n_steps=3, axis=tuple(r @ [0, 0.6, 0.8])),
            sampling=nb.Sampling(oversample=1, interpolate="nearest"),
        ))  # fmt: skip

    plain = image(np.eye(3))
    assert np.abs(image(turn) - plain).max() < 1e-10 * plain.max()


REGION = (slice(2, 4), slice(3, 6))


def test_draws_are_those_of_the_twin():
    """Written down once more, with quantiles of scipy and loops; measured 3e-11, after a descent of
    forty steps."""
    for n in (2, 3, 7, 12):
        twin = np.array(reference_real.both_ways(n, reference_real.normal_points(n, 77)))
        assert np.abs(twin - turns("gaussian", n, 77)).max() < 1e-8
        assert np.abs(np.array([reference_real.in_ball(x) for x in twin]) - turns("ball", n, 77)).max() < 1e-8
        assert np.abs(np.array(reference_real.stretches(n, 77)) - stretches(n, 77)).max() < 1e-13


@pytest.mark.parametrize("experiment", [*ROWS[::2], (1, 4)], ids=range(len(ROWS[::2]) + 1))
def test_the_literal_twin_agrees(experiment):
    """To 1e-12 of the maximum; measured worst: 4.4e-14. Of six pixels; the last one has two crystals."""
    if isinstance(experiment, tuple):
        pair = tuple(ROWS[i].crystal for i in experiment)
        experiment = ROWS[experiment[0]].replace(crystal=pair)
    part = experiment.replace("sampling.roi", REGION)
    scalar, twin = nb.simulate(part, kernel="scalar"), reference_real.simulate(part)
    assert np.abs(scalar - twin).max() <= 1e-12 * scalar.max() and twin.max() > 0
