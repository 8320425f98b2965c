"""Blocks: their number, shape and sizes, and the absolute scale of a crystal that is rotated through (docs/crystals.md)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from laboratory import relative, single

import nanobragg as nb
from nanobragg.derivation.crystals.blocks import size_nodes
from nanobragg.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
MATRIX = [[10.0, 2.0, 1.0], [2.0, 12.0, 0.5], [1.0, 0.5, 8.0]]
R_E_SQR, WAVELENGTH = 7.94079248018965e-30, 1.0


def experiment(shape="gauss", amplitude=None, **crystal):
    size = {} if "block_matrix" in crystal else {"n_cells": (5, 6, 7)}
    table = nb.StructureFactors.constant(100.0) if amplitude is None else amplitude
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(60, 70, 80, 90, 100, 90), misset_deg=(10, 20, 30), shape=shape, structure_factors=table,
            **{**size, **crystal},
        ),
        detector=nb.Detector(n_fast=24, n_slow=24, pixel_size_mm=2.0),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"), background=nb.Background(water_um=0.2),
    )  # fmt: skip


def without_water(of):
    return of.replace("background.water_um", 0.0)


# --- number -------------------------------------------------------------------------------------------------------------


def test_one_block_is_the_plain_crystal_bit_for_bit():
    for backend in ("c", "torch"):
        assert np.array_equal(
            nb.simulate(experiment(n_blocks=1), backend=backend), nb.simulate(experiment(), backend=backend)
        )


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_blocks_multiply_the_spots_and_not_the_background(backend):
    whole, spots = (np.asarray(nb.simulate(of, backend=backend)) for of in (experiment(), without_water(experiment())))
    many = np.asarray(nb.simulate(experiment(n_blocks=1000.0), backend=backend))
    assert relative(many, (whole - spots) + 1000 * spots) < 1e-12


def test_a_volume_is_as_many_blocks_as_it_holds():
    cells = 60 * 70 * 80 * math.sin(math.radians(100)) * 5 * 6 * 7  # [Angstrom^3]
    found = nb.simulate(without_water(experiment(volume_mm3=2e-6)))
    assert relative(found, 2e-6 * 1e21 / cells * nb.simulate(without_water(experiment()))) < 1e-12
    notes = {d.path: d.value for d in nb.explain(experiment(volume_mm3=2e-6)).decisions}
    assert notes["crystal.n_blocks"] == pytest.approx(2e15 / cells)


def test_a_volume_counts_the_cells_of_the_matrix():
    cells = 60 * 70 * 80 * math.sin(math.radians(100)) * 915.5
    one, many = (nb.simulate(without_water(experiment(block_matrix=MATRIX, **v))) for v in ({}, {"volume_mm3": 1e-6}))
    assert relative(many, 1e15 / cells * one) < 1e-12


# --- shape --------------------------------------------------------------------------------------------------------------


def off_a_reflection(offset, shape="gauss", **crystal):
    """One pixel whose center has the indices (1, 2, 3) + offset."""
    ray = np.array([0.05, 0.004, 0.011])
    s = (ray / np.linalg.norm(ray) - [1.0, 0.0, 0.0]) / 1.2
    across = np.array([[0.0, 40.0, 7.0], [30.0, 5.0, 50.0], [20.0, -30.0, 35.0]])
    real = np.outer(np.array([1.0, 2.0, 3.0]) + offset, s / (s @ s)) + across - np.outer(across @ s, s / (s @ s))
    if np.linalg.det(real) < 0:
        across[0] *= -1
        real = np.outer(np.array([1.0, 2.0, 3.0]) + offset, s / (s @ s)) + across - np.outer(across @ s, s / (s @ s))
    return nb.Experiment(
        crystal=nb.Crystal(
            a_star_matrix=np.linalg.inv(real).T, shape=shape, structure_factors=nb.StructureFactors.constant(10.0), **crystal
        ),
        beam=nb.Beam(wavelength_angstrom=1.2, polarized=False),
        detector=nb.Detector(
            n_fast=1, n_slow=1, pixel_size_mm=0.002, distance_mm=50.0, beam_center_mm=(0.001 - 11.0, 0.001 + 4.0)
        ),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_the_matrix_in_numbers(backend):
    """det 915.5, |M dH|^2 = 0.107725, F_latt = 771.60927 (numbers of the specification)."""
    offset = np.array([0.01, -0.02, 0.03])
    m = np.array(MATRIX)
    assert np.linalg.det(m) == pytest.approx(915.5)
    assert ((m @ offset) ** 2).sum() == pytest.approx(0.107725)
    found = nb.trace(off_a_reflection(offset, block_matrix=MATRIX), (0, 0), backend=backend)
    assert found.last("hkl") == pytest.approx(np.array([1, 2, 3]) + offset, abs=1e-12)
    assert found.last("F_latt") == pytest.approx(771.60927, abs=1e-5)
    round_ = nb.trace(off_a_reflection(offset, "round", block_matrix=MATRIX), (0, 0), backend=backend).last("F_latt")
    x = math.pi * math.sqrt(0.107725)
    sphere = 3 * (math.sin(x) - x * math.cos(x)) / x**3
    assert round_ == pytest.approx(0.723601254558268 * 915.5 * sphere, rel=1e-10)
    inside, outside = offset, offset * 2.5
    for at, value in ((inside, 915.5), (outside, 0.0)):
        assert (
            nb.trace(off_a_reflection(at, "tophat", block_matrix=MATRIX), (0, 0), backend=backend).last("F_latt")
            == value
        )


@pytest.mark.parametrize(("shape", "fwhm"), [("gauss", 0.93454023), ("square", 0.88589294)])
def test_width_of_a_spot_at_half_height(shape, fwhm):
    """F_latt^2 falls to a half at fwhm/2 cells^-1: 2 sqrt(0.63 ln 2/2), and twice the root of sinc^2 = 1/2 for large N."""
    n = 400
    peak, half = (
        nb.trace(off_a_reflection(at, shape, n_cells=(n, n, n)), (0, 0)).last("F_latt")
        for at in (np.zeros(3), np.array([0.0, fwhm / 2 / n, 0.0]))
    )
    assert (half / peak) ** 2 == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("shape", ["round", "gauss", "tophat"])
def test_a_diagonal_matrix_is_three_numbers(shape):
    same = nb.simulate(experiment(shape, block_matrix=np.diag([5.0, 6.0, 7.0])))
    assert relative(same, nb.simulate(experiment(shape))) < 1e-13


# --- sizes --------------------------------------------------------------------------------------------------------------


def moment(distribution, width, k):
    if distribution == "lognormal":
        return (1 + width**2) ** (k * (k - 1) / 2)
    return math.prod(1 + j * width**2 for j in range(k))


@pytest.mark.parametrize(("distribution", "tolerance"), [("gamma", 1e-12), ("lognormal", 2e-3)])
def test_moments_of_the_sizes(distribution, tolerance):
    """Gauss quadrature of five nodes: exact for a gamma distribution up to the ninth power; measured 7e-4 for <t^6> of a
    log-normal one of width 0.25."""
    for width in (0.05, 0.15, 0.25):
        nodes = size_nodes(distribution, width)
        assert (nodes.size > 0).all() and (nodes.share > 0).all()
        for k in range(7):
            found = (nodes.share * nodes.size**k).sum()
            assert found == pytest.approx(moment(distribution, width, k), rel=tolerance)


@pytest.mark.parametrize("distribution", ["gamma", "lognormal"])
def test_slopes_of_the_nodes(distribution):
    at, step = 0.2, 1e-5
    nodes, above, below = (size_nodes(distribution, at + d) for d in (0, step, -step))
    assert nodes.size_slope == pytest.approx((above.size - below.size) / (2 * step), rel=1e-7)
    assert nodes.share_slope == pytest.approx((above.share - below.share) / (2 * step), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("distribution", ["gamma", "lognormal"])
@pytest.mark.parametrize("shape", ["gauss", "round"])
def test_peak_over_integral(distribution, shape):
    """At the lattice point the image goes with <t^6>/<t^3>, for blocks of as many cells together."""
    at = off_a_reflection(np.zeros(3), shape, n_cells=(9, 10, 11))
    spread = at.replace("crystal.sizes", nb.BlockSizes(distribution=distribution, width=0.2))
    wanted = moment(distribution, 0.2, 6) / moment(distribution, 0.2, 3)
    ratio = float(nb.simulate(spread)[0, 0] / nb.simulate(at)[0, 0])
    assert ratio == pytest.approx(wanted, rel=1e-6 if distribution == "gamma" else 1e-3)


def test_no_width_is_the_plain_crystal_bit_for_bit():
    plain = nb.simulate(experiment())
    assert np.array_equal(nb.simulate(experiment(sizes=nb.BlockSizes(distribution="gamma"))), plain)
    narrow = nb.simulate(experiment(sizes=nb.BlockSizes(width=1e-6)))
    assert relative(narrow, plain) < 1e-9


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_sizes_have_the_background_once_and_a_mean_wavelength(backend):
    of = experiment(sizes=nb.BlockSizes(width=0.2)).replace("beam.dispersion_percent", 2.0)
    image, mean = (np.asarray(x) for x in nb.simulate(of, backend=backend, channels="mean_wavelength"))
    bare, again = (np.asarray(x) for x in nb.simulate(without_water(of), backend=backend, channels="mean_wavelength"))
    plain = experiment().replace("beam.dispersion_percent", 2.0)
    water = np.asarray(nb.simulate(plain, backend=backend)) - np.asarray(
        nb.simulate(without_water(plain), backend=backend)
    )
    assert relative(image - bare, water) < 1e-9
    assert np.nanmin(mean) >= 0.99 and np.nanmax(mean) <= 1.01 and np.array_equal(mean, again, equal_nan=True)
    out = np.empty_like(image)
    if backend == "c":
        assert nb.simulate(of, out=out) is out and np.array_equal(out, nb.simulate(of))


# --- absolute scale -----------------------------------------------------------------------------------------------------


def rotated_through(shape, n_cells, pixel_mm=0.03, oversample=1, side=72, **crystal):
    """A rotation of 2 degrees about one reflection, and what Darwin's formula gives for it [photons]."""
    cell = (50.0, 60.0, 70.0)
    fluence = 1e20
    star = np.diag(1 / np.array(cell))
    hkl = np.array([20.0, 10.0, 0.0])
    q = hkl @ star
    spindle = np.array([0.0, 0.0, 1.0])
    incident = np.array([1.0, 0.0, 0.0])
    # |q|^2/2 = -q . s0/lambda: turn q about z until it holds
    flat = math.hypot(q[0], q[1])
    turn = math.acos(-(q @ q) * WAVELENGTH / 2 / flat) - math.atan2(q[1], q[0])
    rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    at = rotation @ q
    s1 = incident + WAVELENGTH * at
    place = 100.0 * s1 / s1[0]  # on a plane at 100 mm
    lorentz = 1 / abs(spindle @ np.cross(s1, incident))
    size = {} if n_cells is None else {"n_cells": n_cells}
    volume = (
        crystal["volume_mm3"]
        if n_cells is None
        else crystal.get("volume_mm3", math.prod(n_cells) * math.prod(cell) * 1e-21)
    )
    photons = (
        fluence
        / math.radians(2.0)
        * R_E_SQR
        * (WAVELENGTH * 1e-10) ** 3
        * volume
        * 1e-9
        / (math.prod(cell) * 1e-30) ** 2
    )
    n = round(side * 0.03 / pixel_mm)
    half = n * pixel_mm / 2
    of = nb.Experiment(
        crystal=nb.Crystal(
            a_star_matrix=(rotation @ star.T).T, shape=shape, structure_factors=single(r20_10_0=1000.0), **size, **crystal
        ),
        beam=nb.Beam(wavelength_angstrom=WAVELENGTH, fluence_per_m2=fluence, polarized=False),
        detector=nb.Detector(
            n_fast=n, n_slow=n, pixel_size_mm=pixel_mm, fast_axis=(0, 1, 0), slow_axis=(0, 0, -1), convention="custom",
            pix0_mm=(100.0, float(place[1]) - half, float(place[2]) + half),
        ),
        goniometer=nb.Goniometer(phi_start_deg=-1.0, osc_deg=2.0, n_steps=400, axis=tuple(spindle)),
        sampling=nb.Sampling(oversample=oversample, interpolate="nearest"),
    )  # fmt: skip
    return of, photons * lorentz * 1000.0**2


TILTED = [np.eye(3), [[1, 0, 0], [0, math.cos(1e-3), -math.sin(1e-3)], [0, math.sin(1e-3), math.cos(1e-3)]]]
INTEGRAL = {"gauss": 0.984443, "round": 1.0, "tophat": 1.04739, "square": 1.0}
"""Of F_latt^2 over the indices, over Na Nb Nc."""


SAMPLED = {
    "gauss": ((30, 25, 20), 0.03),
    "round": ((110, 90, 80), 0.01),
    "tophat": ((60, 50, 40), 0.01, 3, 24),
    "square": ((60, 50, 40), 0.01),
}
"""Cells, pixel [mm], oversampling and size of the detector: tails of 1/x^4 want a wide range, sharp edges a fine grid."""


@pytest.mark.parametrize(("shape", "tolerance"), [("gauss", 0.005), ("round", 0.01), ("tophat", 0.01)])
def test_photons_of_a_reflection_that_is_rotated_through(shape, tolerance):
    """Darwin's formula; measured: gauss 4e-7, round -0.6 % (its tails), tophat 0.15 %."""
    of, photons = rotated_through(shape, *SAMPLED[shape])
    assert nb.simulate(of).sum() == pytest.approx(photons * INTEGRAL[shape], rel=tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_cells": (40, 30, 25)}, {"oversample": 2, "pixel_mm": 0.06}, {"sizes": nb.BlockSizes(width=0.2)},
        {"mosaic": nb.Mosaic(model="gaussian", spread_deg=0.05, n_domains=20)},
        {"mosaic": nb.Mosaic(strain=0.001, n_domains=20)},
        {"n_cells": None, "block_matrix": [[30.0, 4, 2], [4, 25, -3], [2, -3, 20]]},
        {"mosaic": nb.Mosaic(model="given", rotations=TILTED, weights=[3.0, 1.0])},
    ],
    ids=["block size", "pixel size and oversampling", "sizes", "mosaicity", "strain", "matrix", "weights"],
)  # fmt: skip
def test_photons_of_a_crystal_do_not_depend_on(changes):
    """... block size, pixel size, oversampling, sizes, mosaicity, strain, matrix and weights, for a crystal of 1e-9 mm^3: the
    integral over q stays. Measured: 1.1e-4 with the sizes, whose smallest blocks have wide spots, else below 5e-6."""
    changes = dict(changes)
    of, photons = rotated_through("gauss", changes.pop("n_cells", (30, 25, 20)), volume_mm3=1e-9, **changes)
    assert nb.simulate(of).sum() == pytest.approx(photons * INTEGRAL["gauss"], rel=1e-3)


def test_photons_of_square_blocks():
    """The grating loses its tails outside the rotation and the pixels; measured: -0.06 %."""
    of, photons = rotated_through("square", *SAMPLED["square"])
    assert nb.simulate(of).sum() == pytest.approx(photons, rel=0.01)


@pytest.mark.parametrize(
    ("crystal", "words"),
    [
        ({"n_blocks": 2.0, "volume_mm3": 1e-6}, "volume_mm3.*n_blocks"),
        ({"n_blocks": 0.0}, "n_blocks.*> 0"),
        ({"n_blocks": -1.0}, "n_blocks.*> 0"),
        ({"volume_mm3": -1.0}, "volume_mm3.*> 0"),
        ({"shape": "square", "block_matrix": MATRIX}, "block_matrix.*gauss"),
        ({"block_matrix": [[1, 2, 0], [2, 1, 0], [0, 0, 1]]}, "block_matrix.*positive definite"),
        ({"block_matrix": [[5, 2, 0], [0, 5, 0], [0, 0, 5]]}, "block_matrix.*symmetric"),
        ({"block_matrix": MATRIX, "n_cells": (2, 2, 2)}, "block_matrix.*n_cells"),
        ({"block_matrix": MATRIX, "size_mm": (0.1, 0.1, 0.1)}, "block_matrix.*size_mm"),
        ({"shape": "square", "sizes": nb.BlockSizes(width=0.1)}, "sizes.*gauss"),
    ],
)
def test_bad_input_names_field_and_remedy(crystal, words):
    with pytest.raises(ConfigError, match=words):
        experiment(**crystal)


def test_a_distribution_wider_than_its_mean_is_refused():
    with pytest.raises(ConfigError, match=r"sizes\.width.*at most 1"):
        nb.BlockSizes(width=1.5)


def test_no_matrix_for_the_width_of_the_original():
    with pytest.raises(ConfigError, match=r"block_matrix.*corrected"):
        nb.simulate(experiment(block_matrix=MATRIX).with_fidelity("reference"))
