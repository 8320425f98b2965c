"""Where things land: beam centers, Bragg peaks, pivots, tilts, and the laboratory turned as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from laboratory import FLAT, centroid, isolated_cell, relative, render, single

import nanobragg as nb
from nanobragg.derivation.cell import unit_cell_vectors

CONVENTIONS = ["mosflm", "denzo", "adxv", "xds", "dials", "custom"]
N_FAST, N_SLOW, P = 26, 22, 0.2


def direct_beam(**detector):
    """A crystal whose only reflection is the direct beam: a round spot of 2.5 pixels around it."""
    settings = {"n_fast": N_FAST, "n_slow": N_SLOW, "pixel_size_mm": P, "distance_mm": 80.0} | detector
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(40, 40, 40, 90, 90, 90), n_cells=(3, 3, 3), shape="gauss",
                           structure_factors=single(r0_0_0=100.0), fudge=1.5),
        beam=nb.Beam(polarized=False),
        detector=nb.Detector(**settings),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


def spot(experiment, *quirks):
    """(fast, slow) of the direct beam [mm] from the outer corner."""
    image = render(experiment, *quirks)
    slow, fast = centroid(image)
    p = experiment.detector.pixel_size_mm
    return fast * p, slow * p


# the centroid of a Gaussian spot cut off at 2e-5 of its height: required 0.1 pixel, measured 3e-5
WITHIN = 1e-3 * P


@pytest.mark.parametrize("pivot", ["beam", "sample"])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("center", [(2.6, 2.2), (2.33, 2.47)])
def test_beam_center_is_met(convention, pivot, center):
    experiment = direct_beam(convention=convention, pivot=pivot, beam_center_mm=center)
    np.testing.assert_allclose(spot(experiment), center, atol=WITHIN)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_beam_center_as_the_convention_writes_it(convention):
    """docs/model.md, Beam center: how X and Y of a convention map to fast and slow."""
    x, y = 2.1, 2.7
    expected = {
        "mosflm": (y + P / 2, x + P / 2),
        "denzo": (y, x),
        "adxv": (x, N_SLOW * P - y),
        "xds": (x, y),
        "dials": (x, y),
        "custom": (x, y),
    }[convention]
    experiment = direct_beam(convention=convention, beam_center_convention_mm=(x, y))
    np.testing.assert_allclose(spot(experiment), expected, atol=WITHIN)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_org_and_close_point(convention):
    """On an untilted panel the foot of the normal is the beam center."""
    by_org = direct_beam(convention=convention, org_px=(12.3, 10.9))
    np.testing.assert_allclose(spot(by_org), (11.8 * P, 10.4 * P), atol=WITHIN)
    by_point = direct_beam(convention=convention, close_point_mm=(2.4, 2.1))
    np.testing.assert_allclose(spot(by_point), (2.4, 2.1), atol=WITHIN)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_default_center_is_the_middle(convention, scale):
    """... and scales with the number and the size of the pixels."""
    p = P * scale
    experiment = direct_beam(convention=convention, pixel_size_mm=p, distance_mm=80.0 * scale)
    np.testing.assert_allclose(spot(experiment), (N_FAST * p / 2, N_SLOW * p / 2), atol=WITHIN * scale)
    wider = direct_beam(convention=convention, n_fast=30)
    np.testing.assert_allclose(spot(wider), (15 * P, N_SLOW * P / 2), atol=WITHIN)


@pytest.mark.filterwarnings("ignore::nanobragg.errors.QuirkWarning")
@pytest.mark.parametrize(
    ("convention", "shift"),
    [("mosflm", 1.0), ("denzo", 0.5), ("adxv", 0.5), ("xds", 0.0), ("dials", 0.0), ("custom", 0.0)],
)
def test_default_centers_of_the_original(convention, shift):
    """docs/model.md, Beam center, reference fidelity: half a pixel or one off the middle."""
    experiment = direct_beam(convention=convention).with_fidelity("reference").replace("crystal.shape", "round")
    expected = ((N_FAST / 2 + shift) * P, (N_SLOW / 2 + shift) * P)
    # measured 1e-14
    np.testing.assert_allclose(spot(experiment), expected, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("distance", [60.0, 100.0, 250.0])
@pytest.mark.parametrize("wavelength", [0.7, 1.0, 1.9])
def test_bragg_peak(convention, distance, wavelength):
    """(1,0,0) of a cubic cell, turned into the reflecting position, appears at 2 theta along the slow axis."""
    a, n = 100.0, 20
    theta = np.arcsin(wavelength / (2 * a))
    x = distance * np.tan(2 * theta)
    p = distance * wavelength / (n * a) / 3  # a spot of three pixels
    frames = {"adxv": ((1, 0, 0), (0, -1, 0), (0, 0, 1)), "xds": ((1, 0, 0), (0, 1, 0), (0, 0, 1))}
    frames |= {"dials": frames["xds"]}
    _, slow, beam = map(np.array, frames.get(convention, ((0, 0, 1), (0, -1, 0), (1, 0, 0))))
    a_star = (-np.sin(theta) * beam + np.cos(theta) * slow) / a
    b_star = (np.cos(theta) * beam + np.sin(theta) * slow) / a
    c_star = np.cross(a_star, b_star) * a
    experiment = nb.Experiment(
        crystal=nb.Crystal(a_star_matrix=[a_star, b_star, c_star], n_cells=(n, n, n), shape="gauss",
                           structure_factors=single(r1_0_0=100.0)),
        beam=nb.Beam(wavelength_angstrom=wavelength),
        detector=nb.Detector(n_fast=40, n_slow=60, pixel_size_mm=p, distance_mm=distance, convention=convention,
                             beam_center_mm=(20.25 * p, 30.6 * p - x)),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip
    found = centroid(render(experiment))
    # required 0.5 pixel; polarization and obliquity lean on the flanks of the spot; measured 2e-9
    np.testing.assert_allclose(found, (30.6, 20.25), rtol=0, atol=1e-6)


ROTATIONS = [((5.0, 0.0, 0.0), 0.0), ((0.0, 20.0, -10.0), 0.0), ((0.0, 0.0, 0.0), 25.0), ((3.0, -4.0, 5.0), 12.0)]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("rotation", "twotheta"), ROTATIONS)
def test_pivot_beam_keeps_the_beam_spot(convention, rotation, twotheta):
    experiment = direct_beam(
        convention=convention, pivot="beam", beam_center_mm=(2.5, 2.3), rotation_deg=rotation, twotheta_deg=twotheta
    )
    # tilted by up to 27 degrees the spot is longer and its flanks are unequal: measured 0.0015 pixel
    np.testing.assert_allclose(spot(experiment), (2.5, 2.3), rtol=0, atol=0.01 * P)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("rotation", "twotheta"), ROTATIONS)
def test_pivot_sample_keeps_the_panel_rigid(convention, rotation, twotheta):
    """Turning panel, beam and field together about the sample is turning the crystal back: for an isolated cell, nothing."""
    experiment = direct_beam(convention=convention, pivot="sample", beam_center_mm=(2.5, 2.3), close_distance_mm=40.0,
                             distance_mm=None)  # fmt: skip
    experiment = experiment.replace(crystal=isolated_cell().crystal).replace("detector.pixel_size_mm", 3.0)
    turned = experiment.replace("detector.rotation_deg", rotation).replace("detector.twotheta_deg", twotheta)
    np.testing.assert_allclose(render(turned), render(experiment), rtol=1e-12)


def test_two_theta_moves_the_beam_spot_on_a_panel_that_pivots_on_the_sample():
    """docs/quirks.md, TWOTHETA_DISTANCE: at 20 degrees xds has the beam at S + distance tan 20."""
    swing = 100.0 * np.tan(np.radians(20.0))
    experiment = direct_beam(convention="xds", distance_mm=100.0, twotheta_deg=20.0, beam_center_mm=(2.5, 2.3 - swing))
    np.testing.assert_allclose(spot(experiment), (2.5, 2.3), rtol=0, atol=0.01 * P)


@pytest.mark.parametrize("pivot", ["beam", "sample"])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(
    ("rotation", "twotheta"),
    [((60.0, 0.0, 0.0), 0.0), ((0.0, 55.0, 0.0), 0.0), ((0.0, 0.0, 50.0), 0.0), ((0.0, 0.0, 0.0), 65.0),
     ((10.0, 48.0, -5.0), 62.0)],
)  # fmt: skip
def test_steep_panels_stay_finite(convention, pivot, rotation, twotheta):
    """Beyond 45 degrees of tilt and 60 of two-theta: finite and not negative, or refused because the panel faces away."""
    experiment = direct_beam(convention=convention, pivot=pivot, rotation_deg=rotation, twotheta_deg=twotheta)
    experiment = experiment.replace("crystal.structure_factors", FLAT)
    try:
        image = render(experiment)
    except nb.ConfigError:
        assert twotheta == 62.0  # only there do tilt and swing add up to more than 90 degrees
        return
    assert np.isfinite(image).all() and (image >= 0).all() and image.max() > 0


def rotation_matrix(axis, degrees):
    axis = np.array(axis) / np.linalg.norm(axis)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


@pytest.mark.parametrize("pivot", ["beam", "sample"])
@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize(("axis", "degrees"), [((1, 2, -3), 37.0), ((0, 1, 0), 90.0), ((-2, 0.3, 1), 171.0)])
def test_the_whole_laboratory_may_be_turned(axis, degrees, curved, pivot):
    """Beam, field, spindle, panel, its two-theta axis, sources and crystal turned together leave the image alone."""
    u = rotation_matrix(axis, degrees)
    cell = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(40, 50, 60, 80, 95, 105), misset_deg=(10, 20, 30), structure_factors=FLAT
        )
    )
    stars = np.linalg.inv(unit_cell_vectors(cell)).T

    def experiment(u):
        def turn(*vector):
            return tuple(u @ np.array(vector))

        return nb.Experiment(
            crystal=nb.Crystal(a_star_matrix=stars @ u.T, n_cells=(3, 4, 5), structure_factors=FLAT),
            beam=nb.Beam(direction=turn(1, 0.05, 0), polarization_axis=turn(0, 0.1, 1), kahn_factor=0.8,
                         divergence=nb.Divergence(h_mrad=4.0, v_mrad=6.0, n_h=3, n_v=2)),
            detector=nb.Detector(n_fast=9, n_slow=7, pixel_size_mm=2.0, distance_mm=50.0, pivot=pivot, curved=curved,
                                 fast_axis=turn(0, 0.2, 1), slow_axis=turn(0, -1, 0.2), normal_axis=turn(1, 0, 0),
                                 twotheta_deg=14.0, twotheta_axis=turn(0, 0.3, -1), beam_center_mm=(8.0, 7.5),
                                 sensor=nb.Sensor(thickness_um=300, attenuation_um=200, n_layers=2)),
            goniometer=nb.Goniometer(phi_start_deg=2.0, osc_deg=1.0, n_steps=2, axis=turn(0, 1, 0.4)),
            sampling=nb.Sampling(oversample=2, interpolate="nearest"),
        )  # fmt: skip

    # the phase of 5 cells at h = 6 amplifies the rounding of the matrices; measured 1.3e-13
    assert relative(render(experiment(u)), render(experiment(np.eye(3)))) <= 1e-12


def test_distance_of_a_tilted_panel():
    """Along the beam for pivot beam: an isolated cell is as bright at the beam spot as the distance says."""
    flat = direct_beam(beam_center_mm=(2.5, 2.3)).replace(crystal=isolated_cell().crystal)
    tilted = flat.replace("detector.rotation_deg", (0.0, 40.0, 0.0)).replace("detector.pivot", "beam")
    # the same distance, and the obliquity cos 40 at the pixel of the beam spot (0.1 mm off it in 80 mm, 1/800)
    ratio = (render(tilted) / render(flat))[11, 12]
    assert ratio == pytest.approx(np.cos(np.radians(40.0)), rel=3e-3)


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("kernel", ["scalar", "auto"])
def test_oblong_pixels_are_every_other_one_of_a_square_grid(kernel, curved):
    """A pixel of 2a x a has its center where a grid of a, moved by a/2, has that of every other pixel, and twice its area."""
    a, crystal = 1.0, nb.Crystal(unit_cell=nb.UnitCell(50, 60, 70, 80, 95, 105), n_cells=(3, 4, 2), misset_deg=(10, 20, 30),
                                 structure_factors=nb.StructureFactors.constant(9.0))  # fmt: skip
    common = {"distance_mm": 60.0, "rotation_deg": (3.0, -4.0, 0.0), "curved": curved}
    water = nb.Background(components=() if curved else (nb.Amorphous(thickness_mm=1.0),))

    def image(**detector):
        experiment = nb.Experiment(crystal=crystal, detector=nb.Detector(**common, **detector), background=water,
                                   sampling=nb.Sampling(oversample=1))  # fmt: skip
        return nb.simulate(experiment, kernel=kernel)

    oblong = image(n_fast=9, n_slow=7, pixel_size_mm=(2 * a, a), beam_center_mm=(8.0, 3.3))
    square = image(n_fast=18, n_slow=7, pixel_size_mm=a, beam_center_mm=(8.0 - a / 2, 3.3))
    np.testing.assert_allclose(oblong, 2 * square[:, ::2], rtol=1e-9)  # measured: 3e-11
