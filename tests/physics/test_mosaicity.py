"""Mosaicity: the distributions of the domains, what they do to spots, and how quickly images converge (docs/crystals.md)."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

import nanobragg as nb
from nanobragg.derivation.crystals.draws import stretches, turns
from nanobragg.derivation.crystals.mosaic import domains
from nanobragg.derivation.crystals.relaxed import relaxed
from nanobragg.derivation.derive import derivation, derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError
from nanobragg.inspection.convergence import mean_rotation_deg, relative_error

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
DIGEST = "7c0046ca4b1a87d3e9145133db854ac509e983cd758882b37298b25ef705be51"
PER_AXIS = {"gaussian": 1.0, "ball": math.sqrt(0.2), "cap": 0.49638, "diffbragg": 0.57735}
"""Standard deviation about an axis over the spread: ball sqrt(1/5), cap sqrt(B(5/3, 1/2)/6), half-normal sqrt(1/3)."""


def experiment(shape="gauss", n_cells=(8, 8, 8), misset=(10, 20, 30), cell=(60, 70, 80, 90, 90, 90), **mosaic):
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(*cell), misset_deg=misset, n_cells=n_cells, shape=shape, mosaic=nb.Mosaic(**mosaic),
            structure_factors=nb.StructureFactors.constant(100.0),
        ),
        detector=nb.Detector(n_fast=32, n_slow=32, pixel_size_mm=1.5),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


def rotations(of):
    """(n, 3, 3)"""
    d = resolve(of)
    found = domains(d.experiment, d.cell, FLOAT_OPS).rotation
    return np.array(found).T.reshape(-1, 3, 3)


def vectors(of):
    """Rotation vectors (n, 3) [degrees]."""
    return Rotation.from_matrix(rotations(of)).as_rotvec(degrees=True)


@pytest.mark.parametrize("model", PER_AXIS)
def test_spread_about_every_axis(model):
    n = 4000
    found = vectors(experiment(model=model, spread_deg=0.3, n_domains=n))
    assert np.sqrt((found**2).mean(0)) == pytest.approx([0.3 * PER_AXIS[model]] * 3, rel=5 / math.sqrt(2 * n))
    if model != "cap":
        assert np.abs(found.mean(0)).max() < 1e-12
    if model in ("cap", "ball"):
        assert np.linalg.norm(found, axis=1).max() <= 0.3 * (1 + 1e-6)


def test_legacy_cap_in_closed_form():
    """Mean B(4/3, 1/2)/2, mean square B(5/3, 1/2)/2, median (3/4)^(1/3), share beyond 0.9: sqrt(1 - 0.9^3)."""
    n = 20000
    angle = np.linalg.norm(vectors(experiment(spread_deg=0.5, n_domains=n)), axis=1)[1:] / 0.5
    assert angle.mean() == pytest.approx(0.841309, abs=5 * angle.std() / math.sqrt(n))
    assert (angle**2).mean() == pytest.approx(0.739174, abs=5 * (angle**2).std() / math.sqrt(n))
    assert np.median(angle) == pytest.approx(0.908560, abs=0.005)
    assert (angle > 0.9).mean() == pytest.approx(0.520577, abs=5 * 0.5 / math.sqrt(n))


def test_angles_of_gaussian_and_ball():
    """Over the spread: gaussian mean 2 sqrt(2/pi) and root of the mean square sqrt(3); ball 3/4 and sqrt(3/5)."""
    n = 20000
    for model, mean, rms in (("gaussian", 1.5957691, 1.7320508), ("ball", 0.75, 0.7745967)):
        angle = np.linalg.norm(vectors(experiment(model=model, spread_deg=0.2, n_domains=n)), axis=1) / 0.2
        assert angle.mean() == pytest.approx(mean, abs=5 * angle.std() / math.sqrt(n))
        assert math.sqrt((angle**2).mean()) == pytest.approx(rms, rel=5 / math.sqrt(n))


def test_three_spreads_alike_are_one():
    one = derive(resolve(experiment(model="gaussian", spread_deg=0.3)))
    three = derive(resolve(experiment(model="gaussian", spread_deg=(0.3, 0.3, 0.3))))
    assert np.array_equal(one.orientations, three.orientations)


def test_diagonal_covariance_is_three_spreads():
    spreads = derive(resolve(experiment(model="gaussian", spread_deg=(0.1, 0.2, 0.4))))
    covariance = derive(resolve(experiment(model="gaussian", covariance_deg2=np.diag([0.01, 0.04, 0.16]))))
    assert np.abs(spreads.orientations - covariance.orientations).max() < 1e-14 * np.abs(spreads.orientations).max()


def test_covariance_is_that_of_the_domains():
    matrix = np.array([[0.04, 0.01, -0.02], [0.01, 0.09, 0.03], [-0.02, 0.03, 0.06]])
    found = vectors(experiment(model="gaussian", covariance_deg2=matrix, n_domains=4000, misset=(0, 0, 0)))
    assert np.abs(found.T @ found / len(found) - matrix).max() < 5 * 0.09 * math.sqrt(2 / 4000)
    flat = nb.Mosaic(model="gaussian", covariance_deg2=np.diag([0.04, 0.0, 0.0]), n_domains=50)
    turned = vectors(experiment(misset=(0, 0, 0)).replace("crystal.mosaic", flat))
    assert np.abs(turned[:, 1:]).max() < 1e-14 and turned[:, 0].std() == pytest.approx(0.2, rel=0.2)


def test_no_spread_is_the_plain_crystal_bit_for_bit():
    plain = nb.simulate(experiment())
    for model in ("gaussian", "ball", "diffbragg"):
        assert np.array_equal(nb.simulate(experiment(model=model)), plain)
    assert np.array_equal(nb.simulate(experiment(model="given", rotations=np.eye(3)[None])), plain)


def test_broadening_of_a_spot():
    """[q]x Sigma [q]x^T, zero along q (numbers of the specification); from 4000 domains to their sampling error."""
    spread = np.radians([0.1, 0.2, 0.4])
    q = np.array([0.2, 0.3, 0.4])
    cross = np.cross(np.eye(3), q)  # rows e_i x q
    formula = cross.T @ np.diag(spread**2) @ cross
    wanted = [[6.3360, -2.9243, -0.9748], [-2.9243, 2.4369, -0.3655], [-0.9748, -0.3655, 0.7615]]
    assert formula * 1e6 == pytest.approx(np.array(wanted), abs=5e-5)
    assert np.abs(formula @ q).max() < 1e-20
    # the axes of the crystal are those of the laboratory
    moved = (
        rotations(experiment(misset=(0, 0, 0), model="gaussian", spread_deg=(0.1, 0.2, 0.4), n_domains=4000)) @ q - q
    )
    assert np.abs(moved.T @ moved / 4000 - formula).max() < 5 * formula.max() * math.sqrt(2 / 4000)


def test_spreads_turn_with_the_crystal():
    """A turned crystal has turned domains: R D R^T."""
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    mosaic = {"model": "gaussian", "spread_deg": (0.1, 0.2, 0.4), "n_domains": 20}
    first = experiment(**mosaic)
    cell = resolve(first).cell
    crystal = nb.Crystal(
        a_star_matrix=[turn @ np.array(star) for star in (cell.a_star, cell.b_star, cell.c_star)], n_cells=(8, 8, 8),
        mosaic=nb.Mosaic(**mosaic), structure_factors=nb.StructureFactors.constant(1.0),
    )  # fmt: skip
    other = first.replace(crystal=crystal)
    assert np.abs(rotations(other) - turn @ rotations(first) @ turn.T).max() < 1e-13


def test_diffbragg_takes_the_harmonic_mean():
    """Three numbers 0.1, 0.2, 0.4 are spreads of 0.0776, 0.1068, 0.1340 about the axes."""
    found = vectors(experiment(model="diffbragg", spread_deg=(0.1, 0.2, 0.4), n_domains=20000))
    assert np.sqrt((found**2).mean(0)) == pytest.approx([0.0776, 0.1068, 0.1340], rel=0.02)


def test_given_rotations_count_by_their_weights():
    turns = Rotation.from_rotvec([[0, 0, 0], [0.3, 0, 0], [0, 0.2, 0.4]], degrees=True).as_matrix()
    single = [nb.simulate(experiment(model="given", rotations=turn[None])) for turn in turns]
    weighted = nb.simulate(experiment(model="given", rotations=turns, weights=[1.0, 2.0, 5.0]))
    wanted = (single[0] + 2 * single[1] + 5 * single[2]) / 8
    assert np.abs(weighted - wanted).max() < 1e-12 * wanted.max()
    alike = nb.simulate(experiment(model="given", rotations=turns, weights=[2.0, 2.0, 2.0]))
    assert np.array_equal(alike, nb.simulate(experiment(model="given", rotations=turns)))
    twice = nb.simulate(experiment(model="given", rotations=np.concatenate([turns, turns])))
    assert np.abs(twice - alike).max() < 1e-12 * alike.max()


def test_given_rotations_are_about_the_axes_of_the_crystal():
    turn = Rotation.from_rotvec([0.0, 0.0, 1.0], degrees=True).as_matrix()[None]
    d = derivation(resolve(experiment(cell=(60, 70, 80, 90, 104, 90), model="given", rotations=turn)))
    # a rotation about c* leaves the direction of c* and turns a by one degree
    a, b, _ = d.scene.orientations[0, 0]
    star = np.cross(a, b)
    assert np.linalg.norm(np.cross(star, d.cell.c_star)) < 1e-12 * np.linalg.norm(star) * np.linalg.norm(d.cell.c_star)
    cosine = a @ np.array(d.cell.a) / np.linalg.norm(a) ** 2
    assert cosine == pytest.approx(math.cos(math.radians(1.0)), abs=1e-13)


def test_strain_makes_cells_unlike():
    d = derivation(resolve(experiment(strain=0.01, n_domains=4000)))
    edges = np.linalg.norm(d.scene.orientations[0], axis=-1) / np.linalg.norm([d.cell.a, d.cell.b, d.cell.c], axis=-1)
    assert np.abs(edges - edges[:, :1]).max() < 1e-14
    assert edges[:, 0].mean() == pytest.approx(1.0, abs=1e-14)
    assert edges[:, 0].std() == pytest.approx(0.01, rel=5 / math.sqrt(2 * 4000))


def test_draws_do_not_depend_on_the_spread():
    small, large = (vectors(experiment(model="gaussian", spread_deg=s, n_domains=20)) for s in (0.1, 0.3))
    assert large == pytest.approx(3 * small, abs=1e-12)
    assert not np.allclose(vectors(experiment(model="gaussian", spread_deg=0.1, n_domains=20, seed=1)), small)


def spots(model, n, spread, seed, *, size):
    return nb.simulate(nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(60, 60, 60, 90, 90, 90), misset_deg=(10, 25, 40), shape="gauss", n_cells=(size,) * 3,
            mosaic=nb.Mosaic(model=model, spread_deg=spread, n_domains=n, seed=seed),
            structure_factors=nb.StructureFactors.constant(100.0),
        ),
        detector=nb.Detector(n_fast=256, n_slow=256, pixel_size_mm=0.06, beam_center_mm=(-30, -30)),
        beam=nb.Beam(wavelength_angstrom=1.0, polarized=False), sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    ))  # fmt: skip


@pytest.mark.parametrize(("ratio", "nearer", "totals"), [(0.3, 1.3, 2.5), (0.6, 2.0, 4.0), (1.0, 2.8, 4.0)])
def test_fifty_domains_are_nearer_to_very_many(ratio, nearer, totals):
    """Relative L2 against 2000 domains, the root of the mean square over 16 seeds, of the old draws over the new ones of the same
    width about an axis, for block widths of 0.3, 0.6 and 1 mosaic widths; the same for the totals of the spots, which on a
    still depend on one rotation alone.

    Measured: images 2.2, 7.1, 13, totals 2.9, 10.5, 16. For a ratio of 0.3 no 50 points are nearer in their totals than by 3.2,
    the best that a descent for this width alone finds.
    """
    width = math.radians(0.06)
    size = round(0.3969 / (ratio * width * 0.55 * 60))
    off, off_totals = {}, {}
    for model in ("cap", "gaussian"):
        spread = math.degrees(width) / PER_AXIS[model]
        converged = spots(model, 2000, spread, 999, size=size)
        places, n = ndimage.label(converged > 1e-4 * converged.max())
        found = [spots(model, 50, spread, seed, size=size) - converged for seed in range(1, 17)]
        off[model] = math.sqrt(np.mean([(one**2).sum() for one in found]) / (converged**2).sum())
        sums = [ndimage.sum(one, places, range(1, n + 1)) for one in (converged, *found)]
        off_totals[model] = math.sqrt(np.mean([(one**2).sum() for one in sums[1:]]) / (sums[0] ** 2).sum())
    assert off["cap"] > nearer * off["gaussian"]
    assert off_totals["cap"] > totals * off_totals["gaussian"]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 50, 51, 401])
def test_stretches_have_no_mean_and_unit_variance_beside_any_rotations(n):
    drawn, turned = stretches(n, 5), turns("gaussian", n, 5)
    assert drawn.shape == (n,) and turned.shape == (n, 3)
    if n > 1:
        assert abs(drawn.sum()) < 1e-13 * n and (drawn**2).mean() == pytest.approx(1, abs=1e-13)
        assert np.abs(turned.sum(0)).max() < 1e-13 * n
    if n // 2 % 2 == 0 and n > 1:
        assert np.abs(drawn @ turned).max() < 1e-12 * n


def test_moved_draws_are_the_same_on_every_machine():
    """To the last digit: additions, multiplications, divisions and roots alone, in a fixed order, from points on a grid."""
    drawn = turns("gaussian", 50, 1)
    half = np.rint(drawn[::2] * 2**20) / 2**20
    assert hashlib.sha256(relaxed(half, 50).astype("<f8").tobytes()).hexdigest() == DIGEST
    off = drawn.std(0)
    assert off == pytest.approx([0.97] * 3, abs=0.03)  # what makes the totals best, not the variance alone


def test_midpoints_of_a_rotation_are_nearer_than_jittered_steps():
    """Relative L2 of five steps against 400; measured: 0.076 at the midpoints, 0.34 with one random place in each step."""

    def rotation(start, width, steps):
        return nb.simulate(nb.Experiment(
            crystal=nb.Crystal(
                unit_cell=nb.UnitCell(60, 60, 60, 90, 90, 90), misset_deg=(10, 25, 40), shape="gauss", n_cells=(12, 12, 12),
                structure_factors=nb.StructureFactors.constant(100.0),
            ),
            detector=nb.Detector(n_fast=128, n_slow=128, pixel_size_mm=0.3, beam_center_mm=(-20, -20)),
            beam=nb.Beam(wavelength_angstrom=1.0, polarized=False),
            goniometer=nb.Goniometer(phi_start_deg=start, osc_deg=width, n_steps=steps),
            sampling=nb.Sampling(oversample=1, interpolate="nearest"),
        ))  # fmt: skip

    converged, rng = rotation(0.0, 1.0, 400), np.random.default_rng(1)
    places = (np.arange(5) + rng.random((6, 5))) / 5
    jittered = [np.linalg.norm(np.mean([rotation(x, 0.0, 1) for x in row], 0) - converged) for row in places]
    assert np.sqrt(np.mean(np.square(jittered))) > 3 * np.linalg.norm(rotation(0.0, 1.0, 5) - converged)


def test_the_error_is_told():
    """The mean orientation of ten domains of the cap is off by some spread/2/sqrt(10); evenly spread draws have none."""
    of = experiment(spread_deg=0.2)
    found = derivation(resolve(of))
    turn = np.linalg.norm(vectors(of).mean(0))
    assert mean_rotation_deg(found) == pytest.approx(turn, rel=1e-3) and 0.005 < turn < 0.1
    text = str(nb.explain(of))
    assert "mean orientation of the domains is off by 0.0" in text and "relative L2" in text
    even = derivation(resolve(experiment(model="gaussian", spread_deg=0.2)))
    assert mean_rotation_deg(even) < 1e-12 and relative_error(even) < relative_error(found)
    assert nb.explain(experiment()).sampling == []


@pytest.mark.parametrize(
    ("mosaic", "field", "words"),
    [
        ({"spread_deg": -0.1}, "spread_deg", ">= 0"),
        ({"spread_deg": (0.1, 0.2, -0.1), "model": "gaussian"}, "spread_deg", ">= 0"),
        ({"spread_deg": (0.1, 0.2, 0.3)}, "spread_deg", "one number"),
        ({"spread_deg": (0.1, 0.2, 0.0), "model": "diffbragg"}, "spread_deg", "> 0"),
        ({"model": "fisher"}, "model", "one of"),
        ({"model": "gaussian", "covariance_deg2": np.diag([1.0, 1.0, -1.0])}, "covariance_deg2", "semidefinite"),
        ({"model": "gaussian", "covariance_deg2": [[1, 1, 0], [0, 1, 0], [0, 0, 1]]}, "covariance_deg2", "symmetric"),
        (
            {"model": "gaussian", "covariance_deg2": np.eye(3), "spread_deg": 0.1},
            "covariance_deg2",
            "place of spread_deg",
        ),
        ({"covariance_deg2": np.eye(3)}, "covariance_deg2", "gaussian"),
        ({"model": "given"}, "rotations", "required"),
        ({"rotations": np.eye(3)[None]}, "rotations", "given"),
        ({"model": "given", "rotations": np.eye(3)}, "rotations", "shape"),
        ({"model": "given", "rotations": 1.1 * np.eye(3)[None]}, r"rotations\[0\]", "rotation"),
        ({"model": "given", "rotations": -np.eye(3)[None]}, r"rotations\[0\]", "rotation"),
        ({"model": "given", "rotations": np.eye(3)[None], "weights": [0.0]}, "weights", "sum > 0"),
        ({"model": "given", "rotations": np.eye(3)[None], "weights": [-1.0]}, "weights", ">= 0"),
        ({"model": "given", "rotations": np.eye(3)[None], "weights": [1.0, 1.0]}, "weights", "one for each"),
        ({"weights": [1.0]}, "weights", "given"),
        ({"model": "given", "rotations": np.eye(3)[None], "n_domains": 2}, "n_domains", "one for each"),
        ({"strain": -0.01}, "strain", ">= 0"),
    ],
)
def test_bad_input_names_field_and_remedy(mosaic, field, words):
    with pytest.raises(ConfigError, match=rf"crystal\.mosaic\.{field}.*{words}"):
        nb.Mosaic(**mosaic)
