"""Diffuse scattering (docs/diffuse.md): published numbers, sum rules, symmetry, maps, what it is proportional to."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffuse_cases import CELL, FLUENCE, at_indices, intensity, stars
from laboratory import R_E_SQR

import nanobragg as nb
from nanobragg import _core
from nanobragg.config.crystals.diffuse import Diffuse
from nanobragg.derivation.crystals.diffuse.scene import diffuse_scene, of_all_orientations
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.choice import engine
from nanobragg.errors import ConfigError
from nanobragg.io.space_groups import LAUE_GROUPS, laue_rotations

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
VECTORS = json.loads((Path(__file__).parents[1] / "data" / "diffuse_vectors.json").read_text())
H = VECTORS["H"]
KERNELS = ["scalar", *(name for name in _core.available_kernels if name.startswith("simd-"))]
TURNED = {"gamma_angstrom": (30, 20, 50), "sigma_angstrom": (0.2, 0.4, 0.3)}


def liquid(**fields):
    return nb.Diffuse(**({"sigma_angstrom": 0.4, "gamma_angstrom": 50.0, "n_orders": 1} | fields))


def table(f, reach, middle=(0, 0, 0)):
    """Structure factors f(h, k, l) up to `reach` from the middle."""
    h, k, m = (x.ravel() + c for x, c in zip(np.mgrid[[slice(-reach, reach + 1)] * 3], middle, strict=True))
    return nb.StructureFactors.from_arrays(np.stack([h, k, m], 1), f(h, k, m))


def enclosed(t):
    """Fraction of Gamma within |q| = t/(2 pi gamma)."""
    return 2 / math.pi * (math.atan(t) - t / (1 + t * t))


@pytest.mark.parametrize("kernel", KERNELS)
def test_published_numbers(kernel: str) -> None:
    """To 1e-12; measured 2e-14, and 3e-11 for the fourth order, a difference of numbers 4e4 times larger."""
    found = [intensity(H, liquid(stencil=s), kernel=kernel) for s in range(4)]
    np.testing.assert_allclose(found, VECTORS["first_order_stencil_0_to_3"], rtol=1e-12)
    orders = [intensity(H, liquid(stencil=3, n_orders=n), kernel=kernel) for n in (1, 2, 3, 4)]
    np.testing.assert_allclose(np.diff(orders), VECTORS["orders_2_3_4_stencil_3"], rtol=1e-9)
    turned = VECTORS["anisotropic"]
    found = intensity(H, liquid(gamma_angstrom=turned["gamma"], sigma_angstrom=turned["sigma"]), kernel=kernel)
    assert found == pytest.approx(turned["I"], rel=1e-12)


def test_half_width() -> None:
    """Of the lone reflection 10 5 3 at half the height, 0.1024/gamma away along c*."""
    alone = table(lambda h, k, m: 100.0 * (m == 3), 0, (10, 5, 3))
    peak = intensity((10, 5, 3), liquid(), factors=alone)
    off = 40 * VECTORS["hwhm_times_gamma"] / 50
    assert intensity((10, 5, 3 + off), liquid(), factors=alone) == pytest.approx(peak / 2, rel=1e-12)


def test_sum_over_the_lattice() -> None:
    """With the same F^2 x everywhere: V^-1 SUM Gamma for a = 80, gamma = 10 and s = 1, 2, 4, 8, 12, published to four digits."""
    cell = (80.0, 80.0, 80.0, 90.0, 90.0, 90.0)
    flat = table(lambda h, k, m: 1e4 / np.sqrt(h * h + k * k + m * m), 13, (20, 0, 0))
    x = 4 * math.pi**2 * 0.1**2 * (20 / 80) ** 2
    share = {"cell": cell, "factors": flat, "n_cells": (1, 1, 1)}
    values = [
        intensity((20, 0, 0), liquid(sigma_angstrom=0.1, gamma_angstrom=10.0, stencil=s), **share)
        for s in (1, 2, 4, 8, 12)
    ]
    np.testing.assert_allclose(
        np.array(values) / (1e8 / 400 * x), [0.3281, 0.5263, 0.7151, 0.8456, 0.8950], atol=5.1e-5
    )


def test_integral_about_a_reflection() -> None:
    """Within |q - q_h| = kappa it is x F^2 N_c/V times the closed form; 32 nodes of Gauss and Legendre."""
    alone, gamma = table(lambda h, k, m: 100.0 + 0.0 * h, 0, (10, 5, 3)), 50.0
    x = 4 * math.pi**2 * 0.4**2 * ((10 / 80) ** 2 + (5 / 80) ** 2 + (3 / 40) ** 2)
    for kappa in (math.pi / (2 * math.pi * gamma), 0.02):
        nodes, weights = np.polynomial.legendre.leggauss(32)
        radius = kappa * (1 + nodes) / 2
        values = [intensity((10, 5, 3 + 40 * r), liquid(stencil=1), factors=alone) for r in radius]
        total = (values * radius**2 * weights).sum() * kappa / 2 * 4 * math.pi
        expected = x * 1e4 * 8000 / (80 * 80 * 40) * enclosed(2 * math.pi * gamma * kappa)
        assert total == pytest.approx(expected, rel=1e-6)  # measured: 2e-8
    assert enclosed(VECTORS["enclosed"]["t"]) == pytest.approx(VECTORS["enclosed"]["fraction"], rel=1e-12)


def test_what_leaves_the_spots_reappears() -> None:
    """Static structure factors: the integrals of all orders and the spot add up to 1; x = 3.6 here."""
    alone = table(lambda h, k, m: 100.0 + 0.0 * h, 0, (10, 5, 3))
    share = {"factors": alone, "n_cells": (20, 20, 20)}
    x = 4 * math.pi**2 * 1.9**2 * ((10 / 80) ** 2 + (5 / 80) ** 2 + (3 / 40) ** 2)
    peaks = np.diff([0.0, *(
        intensity((10, 5, 3), liquid(sigma_angstrom=1.9, n_orders=n, table="static"), **share) for n in range(1, 21)
    )])  # fmt: skip
    height = 8 * math.pi * 50.0**3 / np.arange(1, 21) ** 3  # the peak of an order over its integral
    diffuse = (peaks / height).sum() / (1e4 * 8000 / (80 * 80 * 40))
    spot, plain = (
        nb.simulate(at_indices((10, 5, 3), of, **share), parts=True)["bragg"][0, 0]
        for of in (liquid(sigma_angstrom=1.9, table="static"), nb.Diffuse())
    )
    assert spot / plain == pytest.approx(math.exp(-x), rel=1e-9)
    assert diffuse + spot / plain == pytest.approx(1.0, rel=1e-6)


def small(diffuse, **crystal):
    h, k, m = (x.ravel() for x in np.mgrid[-7:8, -6:9, -5:6])
    factors = nb.StructureFactors.from_arrays(np.stack([h, k, m], 1), 10 + (7 * h + 11 * k + 13 * m) % 97.0)
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(40, 50, 60, 90, 100, 90), shape="gauss", structure_factors=factors,
            diffuse=diffuse, **({"n_cells": (5, 4, 6), "misset_deg": (10, 20, 30)} | crystal),
        ),
        beam=nb.Beam(wavelength_angstrom=1.3, kahn_factor=0.3),
        detector=nb.Detector(n_fast=12, n_slow=10, pixel_size_mm=2.5, distance_mm=50.0),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


def diffuse_of(experiment, **options):
    return nb.simulate(experiment, parts=True, **options)["diffuse"]


def test_nothing_of_it_is_the_plain_image() -> None:
    plain = nb.simulate(small(nb.Diffuse()))
    for neutral in (
        nb.Diffuse(gamma_angstrom=(20, 30, 40), laue_group="2/m", stencil=2), nb.Diffuse(table="static", method="fft"),
    ):  # fmt: skip
        assert np.array_equal(nb.simulate(small(neutral)), plain)
    assert set(nb.simulate(small(nb.Diffuse()), parts=True)) == {"bragg", "background"}


def test_parts_add_up() -> None:
    parts = nb.simulate(small(liquid()), parts=True)
    assert list(parts) == ["bragg", "diffuse", "background"] and parts["diffuse"].max() > 0
    np.testing.assert_allclose(sum(parts.values()), nb.simulate(small(liquid())), rtol=1e-13)
    twin = small(liquid()).crystal
    two = small(liquid()).replace(crystal=(twin, twin.with_value("misset_deg", (0, 3, 1))))
    apart = nb.simulate(two, parts=True)
    assert set(apart) == {"bragg[0]", "diffuse[0]", "bragg[1]", "diffuse[1]", "background"}
    np.testing.assert_allclose(apart["diffuse[0]"], parts["diffuse"], rtol=1e-13)
    np.testing.assert_allclose(sum(apart.values()), nb.simulate(two), rtol=1e-13)


def test_proportions() -> None:
    base = diffuse_of(small(liquid()))
    table_of = small(liquid()).crystal.structure_factors
    doubled = nb.StructureFactors(amplitude=2 * table_of.amplitude, hkl_min=table_of.hkl_min)
    volume = 7 * 40 * 50 * 60 * math.sin(math.radians(100)) * 1e-21
    plain = small(liquid())
    for other, factor in (
        (small(liquid(), n_cells=(10, 4, 6)), 2.0), (small(liquid(), n_blocks=30.0), 30.0),
        (plain.replace("crystal.structure_factors", doubled), 4.0), (small(liquid(), volume_mm3=volume), 7 / 120),
        (small(liquid(), n_cells=(1, 1, 1), block_matrix=np.diag([5.0, 4.0, 6.0])), 1.0),
        (small(liquid(sigma_angstrom=0.8)), 4.0),
        (small(liquid(), damage=nb.Damage(dose_mgy=2.0, decay_per_mgy=0.1)), math.exp(-0.2)),
        (small(liquid(), sizes=nb.BlockSizes(width=0.3)), 1.0), (plain.replace("beam.fluence_per_m2", 2.518640305724542e29), 2.0),
        (plain.replace("sampling.oversample", 3), 1.0),
    ):  # fmt: skip
        np.testing.assert_allclose(diffuse_of(other), factor * base, rtol=1e-12)


def test_displaced_structure_factors_count() -> None:
    """B in crystal.displacement damps spots and diffuse scattering alike."""
    alone = table(lambda h, k, m: 100.0 + 0.0 * h, 0, (10, 5, 3))
    damped = intensity((10, 5, 3.1), liquid(), factors=alone, displacement=nb.Displacement(b_angstrom2=20.0))
    q_sqr = (10 / 80) ** 2 + (5 / 80) ** 2 + (3 / 40) ** 2
    plain = intensity((10, 5, 3.1), liquid(), factors=alone)
    assert damped / plain == pytest.approx(math.exp(-10 * q_sqr), rel=1e-12)


CELLS = {
    "2/m": (40, 50, 60, 90, 105, 90), "mmm": (40, 50, 60, 90, 90, 90), "4/m": (50, 50, 60, 90, 90, 90),
    "4/mmm": (50, 50, 60, 90, 90, 90), "-3": (50, 50, 60, 90, 90, 120), "-3m1": (50, 50, 60, 90, 90, 120),
    "-31m": (50, 50, 60, 90, 90, 120), "6/m": (50, 50, 60, 90, 90, 120), "6/mmm": (50, 50, 60, 90, 90, 120),
    "m-3": (50, 50, 50, 90, 90, 90), "m-3m": (50, 50, 50, 90, 90, 90),
}  # fmt: skip
ORDER = {
    "2/m": 2,
    "mmm": 4,
    "4/m": 4,
    "4/mmm": 8,
    "-3": 3,
    "-3m1": 6,
    "-31m": 6,
    "6/m": 6,
    "6/mmm": 12,
    "m-3": 12,
    "m-3m": 24,
}


@pytest.mark.parametrize("group", CELLS)
def test_symmetrized_scattering_has_the_symmetry_of_the_group(group: str) -> None:
    """Motions that have none alone, at indices that the rotations take to each other; to 1e-12, where 1e-10 is asked for."""
    rotations = np.array(laue_rotations(group))
    assert len(rotations) == ORDER[group]
    star = stars(CELLS[group]).T
    for w in rotations:
        turn = star @ w.T @ np.linalg.inv(star)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-12)
    of = {"diffuse": nb.Diffuse(**TURNED, n_orders=2, laue_group=group), "cell": CELLS[group]}
    point = np.array([4.2, 3.1, 2.4])
    values = [intensity(w.T @ point, **of) for w in rotations]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)
    alone = {**of, "diffuse": nb.Diffuse(**TURNED, n_orders=2, laue_group="-1")}
    assert np.mean([intensity(w.T @ point, **alone) for w in rotations]) == pytest.approx(values[0], rel=1e-12)


def test_a_cubic_crystal_of_equal_motions_has_24_rotations_by_itself() -> None:
    of = {
        "diffuse": nb.Diffuse(sigma_angstrom=0.3, gamma_angstrom=(30, 30, 30), laue_group="-1"),
        "cell": CELLS["m-3m"],
    }
    even = table(lambda h, k, m: 10.0 + (h * h + k * k + m * m) % 7, 6)
    values = [intensity(np.array(w).T @ [2.2, 1.1, 3.4], factors=even, **of) for w in laue_rotations("m-3m")]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


def test_every_group_of_the_list_and_space_groups() -> None:
    assert {name: len(laue_rotations(name)) for name in CELLS} == ORDER and set(CELLS) | {"-1", "-3m"} == set(
        LAUE_GROUPS
    )
    assert laue_rotations("P 43 21 2") == laue_rotations("4/mmm") == laue_rotations(96)
    with pytest.raises(ValueError, match="Laue groups are"):
        laue_rotations("4/mm")


def test_group_of_the_crystal() -> None:
    of = small(nb.Diffuse(**TURNED), space_group="P 1 21 1")
    decided = resolve(of)
    assert decided.experiment.crystal.diffuse.laue_group == "P 1 21 1"
    assert np.array_equal(diffuse_of(of), diffuse_of(small(nb.Diffuse(**TURNED, laue_group="2/m"))))


def test_orders_follow_the_largest_x() -> None:
    for sigma, orders in ((0.1, 1), (0.4, 4)):
        decided = resolve(small(nb.Diffuse(sigma_angstrom=sigma)))
        assert decided.experiment.crystal.diffuse.n_orders == orders
        assert any(d.path == "crystal.diffuse.n_orders" and d.value == orders for d in decided.notes.decisions)


def test_motions_turn_with_the_crystal() -> None:
    """Phi and a domain's rotation turn gamma and sigma too: as the crystal that is turned by the misset."""
    turned = small(nb.Diffuse(**TURNED, n_orders=1), misset_deg=(0, 0, 0)).replace(
        "goniometer", nb.Goniometer(phi_start_deg=25.0, axis=(0, 0, 1))
    )
    misset = small(nb.Diffuse(**TURNED, n_orders=1), misset_deg=(0, 0, 25.0))
    np.testing.assert_allclose(diffuse_of(turned), diffuse_of(misset), rtol=1e-10)
    domain = nb.Mosaic(model="given", rotations=_about(2, 25.0)[None])
    # the rotation is in the axes a, c* x a, c* of the crystal, which lie along those of the laboratory here
    given = small(nb.Diffuse(**TURNED, n_orders=1), misset_deg=(0, 0, 0), mosaic=domain)
    of = resolve(given).cell
    axes = np.array(
        [np.array(of.a) / np.linalg.norm(of.a), np.zeros(3), np.array(of.c_star) / np.linalg.norm(of.c_star)]
    )
    axes[1] = np.cross(axes[2], axes[0])
    given = given.replace("crystal.mosaic.rotations", (axes @ _about(2, 25.0) @ axes.T)[None])
    np.testing.assert_allclose(diffuse_of(given), diffuse_of(misset), rtol=1e-10)


def _about(axis, degrees):
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.eye(3)[axis] * degrees, degrees=True).as_matrix()


SPREADS = {
    # name: mosaic, rotation, orientations, largest error over the maximum (measured: 0, 0.0033, 0.0007, 0.012, 0.0030, 0.012);
    # with one orientation it is 0.06 to 1.06
    "few": ({"model": "gaussian", "spread_deg": 1.0, "n_domains": 4}, {"osc_deg": 1.0, "n_steps": 3}, 12, 1e-12),
    "smooth": ({"model": "gaussian", "spread_deg": 0.05, "n_domains": 30}, {}, 1, 0.005),
    "phi": ({}, {"osc_deg": 2.0, "n_steps": 40}, 6, 0.001),
    "domains": ({"model": "gaussian", "spread_deg": 0.5, "n_domains": 100}, {}, 12, 0.016),
    "both": ({"model": "gaussian", "spread_deg": (0.2, 0.4, 0.3), "n_domains": 60}, {"osc_deg": 1.0, "n_steps": 8}, 12, 0.005),
    "strain": ({"model": "gaussian", "spread_deg": 0.3, "n_domains": 100, "strain": 0.005}, {}, 12, 0.016),
}  # fmt: skip


@pytest.mark.parametrize("name", SPREADS)
def test_a_few_orientations_stand_for_all(name: str) -> None:
    mosaic, rotation, expected, error = SPREADS[name]
    of = small(liquid(sigma_angstrom=0.3, gamma_angstrom=40.0), mosaic=nb.Mosaic(**mosaic)).replace(
        "goniometer", nb.Goniometer(**rotation)
    )
    decided = resolve(of)
    scene = derive(decided)
    found = diffuse_scene(decided, scene, FLOAT_OPS)
    assert found.scene.n_domains == expected
    few, all_of_them = (engine("c").diffuse(one) for one in (found, of_all_orientations(found, scene)))
    assert np.abs(few - all_of_them).max() < error * all_of_them.max()


def test_a_wide_spectrum_is_several_rays_and_a_narrow_one_its_mean() -> None:
    of = small(liquid(gamma_angstrom=60.0))
    narrow = of.replace("beam.dispersion_percent", 0.2).replace("beam.n_wavelengths", 5)
    np.testing.assert_allclose(diffuse_of(narrow), diffuse_of(of), rtol=1e-12)
    wide = of.replace("beam.dispersion_percent", 6.0).replace("beam.n_wavelengths", 5)
    waves = 1.3 * (1 + 0.06 * ((np.arange(5) + 0.5) / 5 - 0.5))
    one_by_one = np.mean([diffuse_of(of.replace("beam.wavelength_angstrom", w)) for w in waves], axis=0)
    np.testing.assert_allclose(diffuse_of(wide), one_by_one, rtol=1e-9)


def test_threads_regions_and_kernels() -> None:
    of = (
        small(nb.Diffuse(**TURNED, laue_group="2/m"))
        .replace("detector.n_fast", 300)
        .replace("detector.pixel_size_mm", 0.1)
    )
    scalar = diffuse_of(of, kernel="scalar", n_threads=1)
    images = [diffuse_of(of, kernel=name, n_threads=n) for name in KERNELS[1:] for n in (1, 3)]
    for image in images:
        assert np.abs(image - scalar).max() < 1e-12 * scalar.max()  # measured: 4e-16
    if len(KERNELS) == 4:
        assert all(np.array_equal(image, images[2]) for image in images[3:])
    part = diffuse_of(of, roi=(slice(2, 7), slice(50, 77)))
    whole = diffuse_of(of)
    assert np.array_equal(part[2:7, 50:77], whole[2:7, 50:77]) and 0 < np.count_nonzero(part) <= 5 * 27


def test_d_min_leaves_out() -> None:
    of = small(liquid()).replace("sampling.d_min_angstrom", 3.0)
    image, whole = diffuse_of(of), diffuse_of(small(liquid()))
    assert 0 < np.count_nonzero(image) < image.size and np.array_equal(image[image > 0], whole[image > 0])


# --- maps ---------------------------------------------------------------------------------------------------------------


def fading(h, k, m):
    """Wilson's intensities, B = 60 Angstrom^2 in the cell 40 44 48, times random numbers of mean 1."""
    q_sqr = (h / 40) ** 2 + (k / 44) ** 2 + (m / 48) ** 2
    return np.sqrt(1e4 * np.exp(-30 * q_sqr) * np.random.default_rng(3).exponential(size=len(h)))


@pytest.mark.parametrize(("gamma", "grid"), [(10.0, 10), (5.0, 5)])
def test_transforms_against_the_sum(gamma: float, grid: int) -> None:
    """Stencil 12 and the mean of what it leaves out, against the map: 2 % of the largest value; measured: 1.1 % and 0.2 %.

    gamma is a/4 and a/8, the step a quarter of the half width. What is left out is summed with the mean intensities.
    """
    all_h = np.stack([x.ravel() for x in np.mgrid[-16:17, -4:5, -3:4]], 1)
    factors = nb.StructureFactors.from_arrays(all_h, fading(*all_h.T))
    of = {"cell": (40.0, 44.0, 48.0, 90.0, 90.0, 90.0), "factors": factors, "n_cells": (1, 1, 1)}
    star, volume = stars(of["cell"]), 40.0 * 44.0 * 48.0
    mean = 1e4 * np.exp(-30 * ((all_h @ star) ** 2).sum(1)) * 4 * math.pi**2 * 0.3**2 * ((all_h @ star) ** 2).sum(1)
    rng = np.random.default_rng(5)
    points = np.concatenate([rng.uniform(-3, 3, (12, 3)), rng.integers(-3, 4, (6, 3)) + 0.05])
    fields = {"sigma_angstrom": 0.3, "gamma_angstrom": gamma}
    mapped = _found(at_indices(points[0], liquid(method="fft", grid=grid, **fields), **of))
    sums, maps = [], []
    for point in points:
        experiment = at_indices(point, liquid(stencil=12, **fields), **of)
        near = np.abs(all_h - np.ceil(point - 0.5)).max(1) <= 12
        kappa = (((point - all_h) @ star) ** 2).sum(1)
        kernel = 8 * math.pi * gamma**3 / (1 + (2 * math.pi * gamma) ** 2 * kappa) ** 2
        rest = (mean * kernel)[~near].sum() / volume
        sums.append(intensity(point, liquid(stencil=12, **fields), **of) + rest)
        moved = engine("c").diffuse(replace(mapped, scene=_found(experiment).scene))
        maps.append(moved[0, 0] / (R_E_SQR * FLUENCE * (1e-7 / 0.1) ** 2))
    assert 0 < rest and np.abs(np.array(maps) - sums).max() < 0.02 * max(sums)


def _found(experiment):
    decided = resolve(experiment)
    return diffuse_scene(decided, derive(decided), FLOAT_OPS)


def test_map_of_a_symmetrized_crystal_and_of_orders() -> None:
    cell = (40.0, 40.0, 48.0, 90.0, 90.0, 90.0)
    fields = {"sigma_angstrom": (0.5, 0.2, 0.6), "gamma_angstrom": (4, 6, 5), "laue_group": "4/mmm", "n_orders": 3}
    few = table(lambda h, k, m: 10.0 + (3 * h + 5 * k + 7 * m) % 11, 4)
    point = (2.3, -1.2, 0.7)
    found = [
        intensity(point, nb.Diffuse(**fields, **of), cell=cell, factors=few)
        for of in ({"stencil": 9}, {"method": "fft", "grid": 6})
    ]
    assert found[1] == pytest.approx(found[0], rel=0.01)  # measured: 0.004


def test_users_map() -> None:
    """Linear between its values, so that a map that is linear in the indices is that everywhere; 0 outside."""
    index = np.mgrid[0:9, 0:7, 0:5] / 2
    values = 3 + 2 * index[0] + 5 * index[1] - 0.25 * index[2]
    of = nb.Diffuse(map=values, map_hkl_min=(1, 2, -1), grid=2)
    h, k, m = 2.3, 4.1, 0.6
    # electrons^2 per cell, 8000 cells
    assert intensity((h, k, m), of) / 8000 == pytest.approx(3 + 2 * (h - 1) + 5 * (k - 2) - 0.25 * (m + 1), rel=1e-10)
    assert intensity((0.9, k, m), of) == 0.0 and intensity((5.1, k, m), of) == 0.0


def test_a_map_is_made_once() -> None:
    of = small(liquid(sigma_angstrom=0.3, gamma_angstrom=3.0, method="fft"))
    decided = resolve(of)
    scene = derive(decided)
    assert diffuse_scene(decided, scene, FLOAT_OPS) is diffuse_scene(decided, scene, FLOAT_OPS)


# --- what is told -------------------------------------------------------------------------------------------------------


def test_explained() -> None:
    mosaic = nb.Mosaic(model="gaussian", spread_deg=0.5, n_domains=100)
    told = str(nb.explain(small(nb.Diffuse(sigma_angstrom=0.2, gamma_angstrom=40.0), mosaic=mosaic)))
    assert "diffuse scattering: 12 orientations for 100, off by 0.012 of its largest value at 120 pixels" in told
    # (4/pi)/t, t = 2 pi 40 * 1.5/60
    assert "of reflections all alike those beyond the stencil are about 20%" in told
    assert "decided: crystal.diffuse.n_orders = 1  (x is 0." in told
    long = [nb.explain(small(nb.Diffuse(sigma_angstrom=0.2, stencil=n), mosaic=mosaic)).seconds for n in (0, 50)]
    assert long[1] > 1000 * long[0]  # a million neighbors against one, at 120 pixels and twelve orientations
    exact = str(nb.explain(small(nb.Diffuse(sigma_angstrom=0.2, gamma_angstrom=5.0, method="fft"))))
    assert "diffuse scattering:" not in exact and "diffuse" not in str(nb.explain(small(nb.Diffuse())))


# --- bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sigma_angstrom": -0.1}, "sigma_angstrom=-0.1: must be >= 0"), ({"sigma_angstrom": (0.1, 0.2)}, "3 elements"),
        ({"gamma_angstrom": 0.0}, "gamma_angstrom=0.0: must be > 0"),
        ({"gamma_angstrom": (10, -20, 30)}, r"gamma_angstrom\[1\]=-20"),
        ({"stencil": -1}, "must be within 0 and 50"), ({"n_orders": 0}, "must be within 1 and 20"),
        ({"laue_group": "4/mm"}, "laue_group='4/mm'.*Laue groups are -1, 2/m"), ({"laue_group": 231}, "1 to 230"),
        ({"method": "sum"}, "'stencil', 'fft'"), ({"grid": 0}, "grid=0"), ({"table": "static_B"}, "'with_B', 'static'"),
        ({"map": np.ones((2, 2))}, "three axes"), ({"map": np.full((2, 2, 2), np.nan)}, "finite"),
        ({"map": np.ones((2, 2, 2)), "sigma_angstrom": 0.1}, "takes its place"),
        ({"map": np.ones((2, 2, 2)), "laue_group": "mmm"}, "leave laue_group out"),
    ],
)  # fmt: skip
def test_refused_when_built(fields, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        Diffuse(**fields)
    assert told.value.args and str(told.value).startswith("crystal.diffuse.")


def test_refused_when_simulated() -> None:
    for diffuse, message in (
        (liquid(gamma_angstrom=10.0, method="fft"), "grid=5: is too coarse.*write 10, or method='stencil'"),
        (liquid(gamma_angstrom=0.5, method="fft", grid=60), "too large"),
        (liquid(gamma_angstrom=1e-300, method="fft"), "too large"),
        (liquid(gamma_angstrom=(2, 3, 1e300), method="fft"), "grid=5: is too coarse.*write method='stencil'"),
        (nb.Diffuse(**TURNED, laue_group="4/mmm"), "laue_group='4/mmm': is not a symmetry of the cell"),
    ):
        with pytest.raises(ConfigError, match=message):
            nb.simulate(small(diffuse))


def test_cell_of_the_published_numbers() -> None:
    np.testing.assert_allclose(stars(CELL), np.diag([1 / 80, 1 / 80, 1 / 40]), atol=1e-18)


def test_values_replaced_in_what_was_prepared() -> None:
    """Displacements that were 0 when everything was decided, maps and images of one's own."""
    for start in (nb.Diffuse(), liquid(table="static"), liquid(sigma_angstrom=0.2, gamma_angstrom=4.0, method="fft")):
        of = small(start)
        values = {"crystal.diffuse.sigma_angstrom": 0.5}
        np.testing.assert_allclose(
            nb.prepare(of)(values), nb.simulate(of.replace(*next(iter(values.items())))), rtol=1e-12
        )
    image = np.zeros((10, 12), np.float32)
    assert nb.simulate(small(liquid()), out=image) is image
    np.testing.assert_allclose(image, nb.simulate(small(liquid())), rtol=1e-6)


def test_files_keep_it(tmp_path) -> None:
    for diffuse in (
        nb.Diffuse(**TURNED, laue_group="2/m", n_orders=2, method="fft", grid=30, table="static", stencil=3),
        nb.Diffuse(map=np.random.default_rng(1).random((3, 4, 5)), map_hkl_min=(0, 1, 2), grid=2),
    ):
        of = small(diffuse)
        assert nb.Experiment.from_json(of.to_json()).equals(of)
        of.to_toml(tmp_path / "of.toml")
        assert nb.Experiment.from_toml(tmp_path / "of.toml").equals(of)


def test_panels() -> None:
    of = small(liquid())
    two = of.replace("detector", (of.detector, nb.Detector(n_fast=5, n_slow=6, pixel_size_mm=2.5, distance_mm=60.0)))
    first, second = diffuse_of(two)
    assert np.array_equal(first, diffuse_of(of)) and second.shape == (6, 5) and second.max() > 0


def test_refinements_refuse_it() -> None:
    of = small(liquid())
    with pytest.raises(ConfigError, match=r"crystal\.diffuse.*not in the model of a refinement"):
        nb.refine(nb.simulate(of), of, refine=["crystal.misset_deg"])
