"""Cell, orientation, shapes and structure factors, each against a formula or a library that knows it."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from laboratory import FLAT, FLUENCE, R_E_SQR, pixel_centers, relative, render, scattering, single

import nanobragg as nb
from nanobragg.derivation.cell import unit_cell_vectors

SYSTEMS = {
    "triclinic": (42.1, 53.3, 61.7, 77.0, 84.5, 98.2),
    "monoclinic": (70.0, 80.0, 90.0, 90.0, 95.0, 90.0),
    "orthorhombic": (40.0, 55.5, 120.0, 90.0, 90.0, 90.0),
    "tetragonal": (74.0, 74.0, 36.0, 90.0, 90.0, 90.0),
    "trigonal": (57.0, 57.0, 57.0, 66.0, 66.0, 66.0),
    "hexagonal": (61.0, 61.0, 110.0, 90.0, 90.0, 120.0),
    "cubic": (78.9, 78.9, 78.9, 90.0, 90.0, 90.0),
}


def still(cell=(40, 50, 60, 80, 95, 105), misset=(10.0, 20.0, 30.0), sampling=None, detector=None, **crystal):
    """A still on a centerd mosflm panel of 12 x 10 pixels that reaches 9 degrees, unpolarized."""
    panel = {"n_fast": 12, "n_slow": 10, "pixel_size_mm": 1.3, "distance_mm": 50.0} | (detector or {})
    return nb.Experiment(
        crystal=nb.Crystal(
            **{"unit_cell": nb.UnitCell(*cell), "misset_deg": misset, "n_cells": (3, 4, 5), "structure_factors": FLAT}
            | crystal
        ),
        beam=nb.Beam(wavelength_angstrom=1.1, polarized=False),
        detector=nb.Detector(**panel),
        sampling=nb.Sampling(**{"oversample": 1, "interpolate": "nearest"} | (sampling or {})),
    )


def indices(experiment):
    """(..., 3) h, k, l of every pixel center, from the cell vectors and the geometry of the panel."""
    return scattering(experiment) @ unit_cell_vectors(experiment).T


def solid_angle(experiment):
    r = np.linalg.norm(pixel_centers(experiment), axis=-1)
    d = experiment.detector
    return d.pixel_size_mm**2 * d.distance_mm / r**3


# ---------------------------------------------------------------- cell


@pytest.mark.parametrize("misset", [(0.0, 0.0, 0.0), (10.0, 20.0, 30.0), (-170.0, 89.0, 45.0)])
@pytest.mark.parametrize("system", SYSTEMS)
def test_metric_agrees_with_gemmi(system, misset):
    """The metric tensor a_i . a_j, whatever the orientation: lengths, angles and volume in one."""
    vectors = unit_cell_vectors(still(SYSTEMS[system], misset))
    orthogonalized = np.array(gemmi.UnitCell(*SYSTEMS[system]).orth.mat).T
    expected = orthogonalized @ orthogonalized.T
    np.testing.assert_allclose(vectors @ vectors.T, expected, rtol=0, atol=1e-12 * expected.max())
    assert np.linalg.det(vectors) == pytest.approx(gemmi.UnitCell(*SYSTEMS[system]).volume, rel=1e-12)


@pytest.mark.parametrize("system", SYSTEMS)
def test_reciprocal_cell_agrees_with_gemmi(system):
    stars = np.linalg.inv(unit_cell_vectors(still(SYSTEMS[system]))).T
    reciprocal = gemmi.UnitCell(*SYSTEMS[system]).reciprocal()
    lengths = np.linalg.norm(stars, axis=1)
    np.testing.assert_allclose(lengths, (reciprocal.a, reciprocal.b, reciprocal.c), rtol=1e-12)


def test_setting_of_the_reciprocal_axes():
    """Without misset a* lies along x and b* in the x-y plane."""
    stars = np.linalg.inv(unit_cell_vectors(still(misset=(0.0, 0.0, 0.0)))).T
    assert np.abs(stars[0, 1:]).max() < 1e-16 and abs(stars[1, 2]) < 1e-16
    assert stars[0, 0] > 0 and stars[1, 1] > 0 and stars[2, 2] > 0


@pytest.mark.parametrize("cell", [SYSTEMS["cubic"], SYSTEMS["triclinic"]])
@pytest.mark.parametrize("angles", [(30.0, 0.0, 0.0), (0.0, -50.0, 0.0), (0.0, 0.0, 110.0), (25.0, -35.0, 45.0)])
def test_misset_turns_about_x_then_y_then_z(cell, angles):
    x, y, z = np.radians(angles)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    expected = unit_cell_vectors(still(cell, (0.0, 0.0, 0.0))) @ (rz @ ry @ rx).T
    np.testing.assert_allclose(unit_cell_vectors(still(cell, angles)), expected, rtol=0, atol=1e-12 * 80)


@pytest.mark.parametrize("angles", [(0.0, 90.0, 0.0), (90.0, 90.0, 90.0), (180.0, -90.0, 0.0), (0.0, 0.0, 180.0)])
def test_singular_orientations_are_continuous(angles):
    """Where Euler angles degenerate the image does not jump: 1e-9 degrees move it by 2 pi N h 2e-11, measured 2e-9."""
    exact = render(still(misset=angles))
    for axis in range(3):
        near = list(angles)
        near[axis] += 1e-9
        assert relative(render(still(misset=tuple(near))), exact) < 2e-8


def test_matrix_route_equals_the_cell_route():
    by_cell = still()
    stars = np.linalg.inv(unit_cell_vectors(by_cell)).T
    by_matrix = still(unit_cell=None, a_star_matrix=stars, misset=(0.0, 0.0, 0.0))
    assert relative(render(by_matrix), render(by_cell)) <= 1e-12


def test_random_orientations_are_reproducible():
    def turned(seed):
        return still(misset="random", misset_seed=seed)

    np.testing.assert_array_equal(render(turned(7)), render(turned(7)))
    assert relative(render(turned(8)), render(turned(7))) > 1e-2
    np.testing.assert_array_equal(unit_cell_vectors(turned(7)), unit_cell_vectors(turned(7)))


def test_random_orientations_are_uniform():
    """Uniform on the rotation group: mean rotation angle 126.5 degrees, 0.75 % below 30, no preferred axis."""
    base = unit_cell_vectors(still(SYSTEMS["cubic"], (0.0, 0.0, 0.0)))
    turned = [unit_cell_vectors(still(SYSTEMS["cubic"], "random", misset_seed=seed)) for seed in range(600)]
    matrices = np.array([np.linalg.solve(base, t) for t in turned])
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0, rtol=1e-12)
    angles = np.degrees(np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    # the angle scatters by 37 degrees: 1.5 for the mean of 600; four times that is allowed
    assert angles.mean() == pytest.approx(90 + 360 / np.pi**2, abs=6.0)
    assert (angles < 30).mean() < 0.025
    # every element has mean 0 and variance 1/3: 0.024 for the mean of 600
    assert np.abs(matrices.mean(axis=0)).max() < 0.1


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "cell", [(40, 50, 60, 80, 95, 105), (300, 290, 310, 90, 100, 90)], ids=["small", "300 Angstrom"]
)
@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_shapes_against_closed_forms(shape, cell):
    n = np.array([3, 4, 5])
    fudge = {"square": 1.0, "round": 1.3, "gauss": 0.5, "tophat": 0.2}[shape]
    experiment = still(cell, shape=shape, fudge=fudge)
    d = indices(experiment)
    d = d - np.round(d)
    r2 = ((d * n) ** 2).sum(axis=-1)
    x = np.pi * np.sqrt(r2 * fudge)
    factor = {
        "square": np.prod(np.sin(np.pi * n * d) / np.sin(np.pi * d), axis=-1),
        "round": n.prod() * np.sqrt(np.pi / 6) * 3 * (np.sin(x) - x * np.cos(x)) / x**3,
        "gauss": n.prod() * np.exp(-r2 / 0.63 * fudge),
        "tophat": n.prod() * (r2 * fudge < 0.3969),
    }[shape]
    expected = R_E_SQR * FLUENCE * 1e4 * factor**2 * solid_angle(experiment)
    # h of 100 in a 300 Angstrom cell carries 1e-14; N pi times that and the square: measured 2e-13
    assert expected.max() > 0
    assert relative(render(experiment), expected) <= 2e-12


def test_gauss_takes_fractional_sizes():
    experiment = still(shape="gauss", n_cells=(2.5, 3.5, 4.25))
    d = indices(experiment)
    r2 = (((d - np.round(d)) * [2.5, 3.5, 4.25]) ** 2).sum(axis=-1)
    expected = R_E_SQR * FLUENCE * 1e4 * (2.5 * 3.5 * 4.25 * np.exp(-r2 / 0.63)) ** 2 * solid_angle(experiment)
    assert relative(render(experiment), expected) <= 2e-12


def test_one_cell_has_no_lattice_factor():
    np.testing.assert_allclose(
        render(still(n_cells=(1, 1, 1))), R_E_SQR * FLUENCE * 1e4 * solid_angle(still()), rtol=1e-13
    )


def test_size_in_millimeters():
    """cells = floor(size/edge + 1/2), at least 1"""
    sized = still(size_mm=(40e-7 * 3.4, 50e-7 * 3.6, 60e-7 * 0.2))
    np.testing.assert_array_equal(render(sized), render(still(n_cells=(3, 4, 1))))


def test_size_is_clipped_by_a_given_beam_size_along_b_and_c():
    sized = still(size_mm=(40e-7 * 6, 50e-7 * 6, 60e-7 * 6)).replace("beam.size_mm", 150e-7)
    np.testing.assert_array_equal(render(sized), render(still(n_cells=(6, 3, 3))))


# ---------------------------------------------------------------- structure factors


def structure(experiment):
    """F^2 of every pixel of an isolated cell."""
    return render(experiment) / (R_E_SQR * FLUENCE * solid_angle(experiment))


def test_nearest_index_and_default():
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    kept = grid[rng.random(len(grid)) < 0.4]  # a sparse list
    amplitudes = rng.uniform(1, 100, len(kept))
    experiment = still(
        n_cells=(1, 1, 1), structure_factors=nb.StructureFactors.from_arrays(kept, amplitudes, default_F=7.0)
    )
    table = {tuple(hkl): f for hkl, f in zip(kept.tolist(), amplitudes, strict=True)}
    rounded = np.round(indices(experiment)).astype(int)
    expected = np.array([[table.get(tuple(hkl), 7.0) for hkl in row] for row in rounded.tolist()])
    assert 20 < (expected != 7.0).sum() < expected.size - 20
    np.testing.assert_allclose(structure(experiment), expected**2, rtol=1e-12)


def cubic_polynomial(h, k, l):  # noqa: E741
    return (30 + h - 0.3 * h**2 + 0.05 * h**3) * (1 + 0.1 * k - 0.02 * k**3) + 0.4 * l**3 - l * h


def polynomial_table(limit):
    axis = np.arange(-limit, limit + 1)
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    return nb.StructureFactors(amplitude=cubic_polynomial(*map(np.asarray, grid)), hkl_min=(-limit,) * 3, default_F=3.0)


def test_tricubic_reproduces_cubic_polynomials():
    experiment = still(n_cells=(1, 1, 1), structure_factors=polynomial_table(12), sampling={"interpolate": "tricubic"})
    hkl = indices(experiment)
    assert 3 < np.abs(hkl).max() < 10
    expected = cubic_polynomial(*np.moveaxis(hkl, -1, 0)) ** 2
    # sums of 64 products of size 100; measured 1e-14
    np.testing.assert_allclose(structure(experiment), expected, rtol=1e-10, atol=1e-12 * expected.max())


def test_tricubic_where_the_stencil_fits_and_nearest_elsewhere():
    limit = 4
    experiment = still(
        n_cells=(1, 1, 1), structure_factors=polynomial_table(limit), sampling={"interpolate": "tricubic"}
    )
    hkl = indices(experiment)
    low = np.floor(hkl)
    fits = ((low - 1 >= -limit) & (low + 2 <= limit)).all(axis=-1)
    inside = (np.abs(np.round(hkl)) <= limit).all(axis=-1)
    assert min(fits.sum(), (inside & ~fits).sum(), (~inside).sum()) >= 5
    nearest = np.where(inside, cubic_polynomial(*np.moveaxis(np.round(hkl), -1, 0)), 3.0)
    expected = np.where(fits, cubic_polynomial(*np.moveaxis(hkl, -1, 0)), nearest) ** 2
    np.testing.assert_allclose(structure(experiment), expected, rtol=1e-10, atol=1e-12 * expected.max())


@pytest.mark.parametrize(
    ("settings", "interpolates"),
    [({"n_cells": (2, 5, 5)}, True), ({"n_cells": (3, 3, 3)}, False), ({"size_mm": (2e-5, 2e-5, 2e-5)}, False)],
)  # fmt: skip
def test_automatic_interpolation(settings, interpolates):
    """Tricubic when a side has two cells or less, counted after a size has become cells."""
    table = polynomial_table(12)
    chosen = render(still(structure_factors=table, sampling={"interpolate": None}, **settings))
    mode = "tricubic" if interpolates else "nearest"
    other = "nearest" if interpolates else "tricubic"
    np.testing.assert_array_equal(
        chosen, render(still(structure_factors=table, sampling={"interpolate": mode}, **settings))
    )
    assert relative(render(still(structure_factors=table, sampling={"interpolate": other}, **settings)), chosen) > 1e-3


def friedel_images(table):
    """The image, and that of the crystal turned by half a turn about the spindle (z, along fast), mirrored along fast."""
    experiment = still(structure_factors=table)
    half_turn = render(experiment.replace("goniometer.phi_start_deg", 180.0))
    return render(experiment), half_turn[:, ::-1]


def test_friedel_symmetry():
    """Half a turn about z maps s to -(s_x, s_y, -s_z): the mirrored image, if and only if F(-h) = F(h)."""
    rng = np.random.default_rng(2)
    amplitude = rng.uniform(1, 100, (13, 13, 13))
    pairs = nb.StructureFactors(amplitude=amplitude + amplitude[::-1, ::-1, ::-1], hkl_min=(-6,) * 3)
    image, mirrored = friedel_images(pairs)
    assert relative(mirrored, image) <= 1e-12
    image, mirrored = friedel_images(nb.StructureFactors(amplitude=amplitude, hkl_min=(-6,) * 3))
    assert relative(mirrored, image) > 1e-2


def test_only_what_is_listed_scatters():
    """No symmetry is applied: a single reflection has no Friedel mate."""
    one = single(r1_0_0=50.0)
    rounded = np.round(indices(still(n_cells=(1, 1, 1)))).astype(int)
    lit = structure(still(n_cells=(1, 1, 1), structure_factors=one)) > 0
    np.testing.assert_array_equal(lit, (rounded == [1, 0, 0]).all(axis=-1))
