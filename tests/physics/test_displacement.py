"""Displacements, damage and strain (docs/crystals.md)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from laboratory import FLAT, relative, single

import nanobragg as nb
from nanobragg.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
U = np.array([[0.2, 0.05, -0.02], [0.05, 0.3, -0.04], [-0.02, -0.04, 0.1]])
CELL = (30.0, 40.0, 50.0)


def experiment(structure_factors=FLAT, interpolate="nearest", misset=(10, 20, 30), **crystal):
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(*CELL, 90, 90, 90), misset_deg=misset, n_cells=(6, 6, 6), shape="gauss",
            structure_factors=structure_factors, **crystal,
        ),
        detector=nb.Detector(n_fast=40, n_slow=40, pixel_size_mm=4.0, distance_mm=60),
        sampling=nb.Sampling(oversample=1, interpolate=interpolate),
    )  # fmt: skip


def reflections(of):
    """h0 of every pixel (n_slow, n_fast, 3), and q = A h0 [1/Angstrom] in the axes of the crystal, from the definition."""
    slow, fast = np.mgrid[0:40, 0:40]
    place = np.stack(
        [np.full(fast.shape, 60.0), 80 - 4 * (slow + 0.5), 4 * (fast + 0.5) - 80], -1
    )  # mosflm: x, y up, z
    s = place / np.linalg.norm(place, axis=-1, keepdims=True) - [1, 0, 0]
    from nanobragg.derivation.resolve import resolve

    cell = resolve(of).cell
    real = np.array([cell.a, cell.b, cell.c]) * 1e10
    hkl = s @ real.T
    h0 = np.ceil(hkl - 0.5)
    return h0, h0 / np.array(CELL)


def test_b_in_numbers():
    """8 pi^2 0.16 = 12.6331; at 2 Angstrom exp(-1.579137) = 0.206153 (numbers of the specification)."""
    b = 8 * math.pi**2 * 0.16
    assert b == pytest.approx(12.6331, abs=5e-5)
    of = experiment()
    h0, q = reflections(of)
    ratio = nb.simulate(of.replace("crystal.displacement.b_angstrom2", b)) / nb.simulate(of)
    formula = np.exp(-b * (q**2).sum(-1) / 2)
    assert np.abs(ratio - formula).max() < 1e-12
    assert math.exp(-b / 8) == pytest.approx(0.206153, abs=5e-7) and b / 8 == pytest.approx(1.579137, abs=5e-7)
    assert len(np.unique(h0.reshape(-1, 3), axis=0)) > 300


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_u_is_about_the_axes_of_the_crystal(backend):
    of = experiment()
    _, q = reflections(of)
    moved = np.asarray(nb.simulate(of.replace("crystal.displacement.u_angstrom2", U), backend=backend))
    formula = np.exp(-4 * math.pi**2 * np.einsum("...i,ij,...j->...", q, U, q))
    assert np.abs(moved / np.asarray(nb.simulate(of, backend=backend)) - formula).max() < 1e-11


def test_b_is_an_isotropic_u():
    b = 9.0
    one = nb.simulate(experiment(displacement=nb.Displacement(b_angstrom2=b)))
    other = nb.simulate(experiment(displacement=nb.Displacement(u_angstrom2=np.eye(3) * b / (8 * math.pi**2))))
    both = nb.simulate(
        experiment(displacement=nb.Displacement(b_angstrom2=b, u_angstrom2=np.eye(3) * -b / (8 * math.pi**2)))
    )
    assert relative(one, other) < 1e-13
    assert relative(both, nb.simulate(experiment())) < 1e-13


@pytest.mark.parametrize("interpolate", ["nearest", "tricubic"])
@pytest.mark.parametrize("default_F", [0.0, 40.0])
def test_tables_are_damped_entry_by_entry(interpolate, default_F):
    rng = np.random.default_rng(3)
    h, k, m = (x.ravel() for x in np.mgrid[-9:10, -8:12, -7:9])
    table = nb.StructureFactors.from_arrays(np.stack([h, k, m], 1), rng.uniform(5, 100, h.size), default_F=default_F)
    found = nb.simulate(experiment(table, interpolate, displacement=nb.Displacement(b_angstrom2=6.0, u_angstrom2=U)))
    most = [30, 40, 50]
    wide = np.stack(
        [x.ravel() for x in np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1, -most[2] : most[2] + 1]], 1
    )
    if default_F == 0:
        wide = np.stack([h, k, m], 1)
    at = [
        np.clip(wide[:, i] - low, 0, n - 1) for i, (low, n) in enumerate(zip((-9, -8, -7), (19, 20, 16), strict=True))
    ]
    inside = (np.abs(wide - [0, 1.5, 0.5]) <= [9, 9.5, 7.5]).all(1)
    plain = np.where(inside, table.amplitude[tuple(at)], default_F)
    q = wide / np.array(CELL)
    damped = plain * np.exp(-6.0 * (q**2).sum(1) / 4 - 2 * math.pi**2 * np.einsum("ni,ij,nj->n", q, U, q))
    by_hand = nb.StructureFactors.from_arrays(wide, damped, default_F=default_F)
    assert relative(found, nb.simulate(experiment(by_hand, interpolate))) < 1e-12


def test_neutral_values_change_no_bit():
    plain = nb.simulate(experiment())
    zero = nb.Damage(b_per_mgy=1.0, decay_per_mgy=0.1, dose_1_mgy=14.0)
    assert np.array_equal(nb.simulate(experiment(damage=zero)), plain)
    assert np.array_equal(nb.simulate(experiment(damage=nb.Damage(dose_mgy=3.0))), plain)


def test_two_half_doses_are_one():
    law = {"b_per_mgy": 1.1, "decay_per_mgy": 0.07, "dose_1_mgy": 14.0}
    plain, half, whole = (nb.simulate(experiment(damage=nb.Damage(dose_mgy=d, **law))) for d in (0.0, 1.5, 3.0))
    assert np.abs(half / plain * (half / plain) / (whole / plain) - 1).max() < 1e-12


def test_the_law_of_exponent_two_is_a_b_factor():
    one = nb.simulate(experiment(damage=nb.Damage(dose_mgy=3.0, dose_1_mgy=14.0, exponent=2.0)))
    other = nb.simulate(experiment(damage=nb.Damage(dose_mgy=3.0, b_per_mgy=2 / 14.0)))
    assert relative(one, other) < 1e-13


def test_ten_mgy_per_angstrom():
    """A spot of d Angstrom has lost half after 10 d MGy, with dose_1 = 10/ln 2."""
    of = experiment()
    _, q = reflections(of)
    law = nb.Damage(dose_mgy=8.0, dose_1_mgy=10 / math.log(2))
    ratio = nb.simulate(experiment(damage=law)) / nb.simulate(of)
    assert np.abs(ratio - 0.5 ** (8.0 * np.linalg.norm(q, axis=-1) / 10)).max() < 1e-12


def test_dose_grows_along_a_series():
    """Image i has the dose of the images before it, and half of its own."""
    of = experiment(damage=nb.Damage(dose_mgy=1.0, frame_dose_mgy=0.4, decay_per_mgy=0.3, b_per_mgy=0.5))
    of = of.replace("goniometer", nb.Goniometer(osc_deg=0.5))
    bare = of.replace("crystal.damage", nb.Damage())
    series = zip(nb.simulate_scan(of, 3), nb.simulate_scan(bare, 3), strict=True)
    for i, (image, plain) in enumerate(series):
        dose = 1.0 + 0.4 * i + 0.2
        wanted = math.exp(-0.3 * dose)
        assert (image / plain).max() == pytest.approx(wanted, rel=0.05) and (image / plain).max() <= wanted * (
            1 + 1e-12
        )


def test_strain_broadens_along_q():
    """Width^2 of a spot along q = width_0^2 + (sigma |q|)^2 at 4, 2, 1.3 and 1 Angstrom; measured to 0.05 %."""
    sigma = 0.004
    for index in (10, 20, 30, 40):
        name = {f"r{index}_0_0": 100.0}
        q = index / 40.0
        angle = math.asin(q / 2)
        widths = []
        for strain in (0.0, sigma):
            of = nb.Experiment(
                crystal=nb.Crystal(
                    unit_cell=nb.UnitCell(40, 40, 40, 90, 90, 90), n_cells=(30, 30, 30), shape="gauss",
                    mosaic=nb.Mosaic(strain=strain, n_domains=100), structure_factors=single(**name),
                ),
                beam=nb.Beam(wavelength_angstrom=1.0, polarized=False),
                # along a row of fine pixels through the spot; a* is along x, turned onto the sphere by the spindle
                detector=nb.Detector(
                    n_fast=600, n_slow=1, fast_axis=(0, 1, 0), slow_axis=(0, 0, -1), convention="custom", pixel_size_mm=0.05,
                    pix0_mm=(100.0, 100 * math.tan(2 * angle) - 15.0, 0.025),
                ),
                goniometer=nb.Goniometer(
                    phi_start_deg=math.degrees(math.pi / 2 + angle) - 3, osc_deg=6.0, n_steps=200, axis=(0, 0, 1)
                ),
                sampling=nb.Sampling(oversample=1, interpolate="nearest"),
            )  # fmt: skip
            row = nb.simulate(of)[0]
            y = 100 * math.tan(2 * angle) - 15.0 + 0.05 * (np.arange(600) + 0.5)
            at = 2 * np.sin(np.arctan2(y, 100.0) / 2)
            mean = (row * at).sum() / row.sum()
            widths.append((row * (at - mean) ** 2).sum() / row.sum())
            assert mean == pytest.approx(q, rel=1e-3)
        assert widths[1] - widths[0] == pytest.approx((sigma * q) ** 2, rel=0.05)


def test_constant_amplitudes_for_too_many_reflections_are_refused():
    of = experiment(displacement=nb.Displacement(b_angstrom2=1.0))
    of = of.replace("crystal.unit_cell", nb.UnitCell(900, 900, 900, 90, 90, 90))
    with pytest.raises(ConfigError, match=r"crystal\.displacement.*default_F = 0"):
        nb.simulate(of)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nb.Displacement(u_angstrom2=[[1, 1, 0], [0, 1, 0], [0, 0, 1]]), "u_angstrom2.*symmetric"),
        (lambda: nb.Damage(dose_mgy=-1.0), "dose_mgy.*>= 0"),
        (lambda: nb.Damage(dose_1_mgy=0.0), "dose_1_mgy.*> 0"),
        (lambda: nb.Damage(exponent=0.0), "exponent.*> 0"),
    ],
)
def test_bad_input_names_field_and_remedy(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
