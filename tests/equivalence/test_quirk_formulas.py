"""Quirks whose effect is a number or a formula: measured against that, without the twin."""

from __future__ import annotations

import grid
import numpy as np
import pytest
import triggers
from laboratory import FLAT, R_E_SQR, on_reflection, relative
from laboratory import render as image

import nanobragg as nb
from nanobragg.config.quirks import CORRECTED, Quirk
from nanobragg.derivation.cell import unit_cell_vectors

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")

# two evaluations of one number along different paths: a few roundings of 1.1e-16 each
ROUNDING = 1e-14
# as above after the sines of N pi h, which lose another digit or two; largest measured 7e-14
SINES = 1e-12


def still(**settings):
    """A small crystal on a small flat panel; settings are dotted paths with a double underscore for the dot."""
    experiment = triggers.without_triggers()
    for path, value in settings.items():
        experiment = experiment.replace(path.replace("__", "."), value)
    return experiment


def water_only(**settings):
    """d_min far beyond any d of the panel leaves the background alone."""
    return still(background__water_um=10.0, sampling__d_min_angstrom=1e4, **settings)


# ---------------------------------------------------------------- background


def test_water_scale():
    """WATER_SCALE: times r_e^2 fluence / steps, steps = oversample^2 x domains x phi steps x sources."""
    settings = {
        "beam__fluence_per_m2": 1e24, "sampling__oversample": 2, "crystal__mosaic": nb.Mosaic(spread_deg=1, n_domains=5),
        "goniometer__osc_deg": 1.0, "goniometer__n_steps": 3,
    }  # fmt: skip
    ratio = image(water_only(**settings), Quirk.WATER_SCALE) / image(water_only(**settings))
    np.testing.assert_allclose(ratio, R_E_SQR * 1e24 / (4 * 5 * 3), rtol=ROUNDING)


def test_water_scale_of_the_text():
    """In the original -water 10 -fluence 1e24 gives 0.2229 photons at the center pixel instead of 28 075."""
    experiment = water_only(beam__fluence_per_m2=1e24, detector__distance_mm=100.0, detector__pixel_size_mm=0.4)
    experiment = experiment.replace("detector.beam_center_mm", (3.5 * 0.4, 2.5 * 0.4))
    assert image(experiment)[2, 3] == pytest.approx(28075, abs=1)
    assert image(experiment, Quirk.WATER_SCALE)[2, 3] == pytest.approx(0.2229, abs=1e-4)


def test_dmin_zeroes_water():
    assert (image(water_only()) > 0).all()
    assert (image(water_only(), Quirk.DMIN_ZEROES_WATER) == 0).all()
    unpolarized = water_only(beam__polarized=False)
    np.testing.assert_array_equal(image(unpolarized, Quirk.DMIN_ZEROES_WATER), image(unpolarized))


# ---------------------------------------------------------------- solid angle, polarization, sensor


def test_point_pixel_area():
    ratio = image(still(detector__point_pixel=True), Quirk.POINT_PIXEL_AREA) / image(still(detector__point_pixel=True))
    np.testing.assert_allclose(ratio, 1 / 2e-3**2, rtol=ROUNDING)


@pytest.mark.parametrize(("layers", "n", "t"), [(None, 2, 225), (1, 2, 450), (2, 2, 450), (3, 3, 225), (10, 10, 50)])
def test_capture_of_the_last_layer(layers, n, t):
    """n layers are summed and multiplied by the last one's share: n (exp(-(n-1) t mu) - exp(-n t mu)).

    On the axis that is 0.472, 0.250, 0.250, 0.271, 0.281 for 450 um of depth 234 um; the original printed 0.463, 0.238, 0.238,
    0.259, 0.270 from a panel that is seen at up to 10 degrees. The truth is 0.854.
    """
    far = {"crystal__structure_factors": FLAT, "crystal__n_cells": (1, 1, 1), "detector__distance_mm": 1e5}
    bare = image(still(**far))
    sensor = nb.Sensor(thickness_um=450.0, attenuation_um=234.0, n_layers=layers)
    covered = still(**far, detector__sensor=sensor)
    # flat F and one cell: the layers differ by the inverse square of 0.45 mm in 100 m, 1e-5
    np.testing.assert_allclose(image(covered) / bare, 1 - np.exp(-450 / 234), rtol=1e-5)
    original = image(covered, Quirk.CAPTURE_LAST_LAYER, Quirk.THICK_STEP_OVERSHOOT) / bare
    np.testing.assert_allclose(original, n * (np.exp(-(n - 1) * t / 234) - np.exp(-n * t / 234)), rtol=1e-5)


@pytest.mark.parametrize(("n", "depth"), [(2, 2.0), (3, 1.5), (5, 1.25), (1, 2.0)])
def test_sensor_overshoot(n, depth):
    """THICK_STEP_OVERSHOOT: n layers reach n T/(n - 1) deep, and 1 becomes 2."""
    far = {"crystal__structure_factors": FLAT, "crystal__n_cells": (1, 1, 1), "detector__distance_mm": 1e5}
    sensor = nb.Sensor(thickness_um=450.0, attenuation_um=234.0, n_layers=n)
    ratio = image(still(**far, detector__sensor=sensor), Quirk.THICK_STEP_OVERSHOOT) / image(still(**far))
    np.testing.assert_allclose(ratio, 1 - np.exp(-depth * 450 / 234), rtol=1e-5)


def test_thickness_without_attenuation():
    """THICK_ABS_INTERPLAY: mu = 1/T; an infinite depth empties the image."""
    quirk = Quirk.THICK_ABS_INTERPLAY
    given = image(still(detector__sensor=nb.Sensor(thickness_um=450.0, attenuation_um=450.0)), quirk)
    np.testing.assert_allclose(image(still(detector__sensor=nb.Sensor(thickness_um=450.0)), quirk), given, rtol=SINES)
    endless = still(detector__sensor=nb.Sensor(thickness_um=450.0, attenuation_um=float("inf")))
    assert (image(endless, quirk) == 0).all()
    np.testing.assert_array_equal(image(endless), image(still()))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_running_factor(n):
    """OVERSAMPLE_CUMULATIVE: the k-th of n equal terms ends up with factor^(n - k + 1)."""
    quirk = Quirk.OVERSAMPLE_CUMULATIVE
    # without spread the domains are equal, and their terms too
    experiment = still(crystal__mosaic=nb.Mosaic(n_domains=n), sampling__oversample_polar=True, beam__kahn_factor=0.9)
    factor = image(experiment) / image(experiment.replace("beam.polarized", False))
    expected = sum(factor**k for k in range(1, n + 1)) / (n * factor)
    np.testing.assert_allclose(image(experiment, quirk) / image(experiment), expected, rtol=ROUNDING)


def test_running_capture_without_a_sensor():
    """docs/model.md, Sensor: the capture fraction is formed anew when oversample_thick is on, and a layer of 0 captures 0."""
    experiment = still(sampling__oversample_thick=True)
    assert (image(experiment, Quirk.OVERSAMPLE_CUMULATIVE) == 0).all()
    np.testing.assert_array_equal(image(experiment), image(still()))


def test_cached_factors_are_those_of_the_first_subpixel():
    """OMEGA_CACHED, POLAR_CACHED: a flat crystal shows the factor of the corner sub-pixel against the pixel's mean."""
    flat = {"crystal__structure_factors": FLAT, "crystal__n_cells": (1, 1, 1), "detector__beam_center_mm": (0.0, 0.0)}
    fine = still(**flat, sampling__oversample=4)
    corner = np.zeros((grid.N_SLOW, grid.N_FAST))
    mean = np.zeros_like(corner)
    for j in range(4):
        for i in range(4):
            # one sub-pixel, seen as the center of a pixel: shift the beam instead of the pixel
            shift = [-((k + 0.5) / 4 - 0.5) * 2.0 for k in (i, j)]
            sub = image(still(**flat | {"detector__beam_center_mm": tuple(shift)}))
            mean += sub / 16
            corner = sub if i == j == 0 else corner
    np.testing.assert_allclose(image(fine), mean, rtol=SINES)
    np.testing.assert_allclose(image(fine, Quirk.OMEGA_CACHED, Quirk.POLAR_CACHED), corner, rtol=SINES)


# ---------------------------------------------------------------- spot shapes


def width(profile, x):
    """Full width at half maximum of a sampled peak, by linear interpolation."""
    half = profile.max() / 2
    inside = np.flatnonzero(profile >= half)
    a, b = inside[0], inside[-1]
    left = np.interp(half, [profile[a - 1], profile[a]], [x[a - 1], x[a]])
    right = np.interp(half, [profile[b + 1], profile[b]], [x[b + 1], x[b]])
    return right - left


@pytest.mark.parametrize("shape", ["gauss", "tophat"])
@pytest.mark.parametrize(("edge", "n"), [(100, 5), (100, 10), (100, 20), (10, 10)])
def test_width_of_gauss_and_tophat(shape, edge, n):
    """FWHM x N a is 0.935 (1.26 for the top hat) at every size; GAUSS_TOPHAT_WIDTH makes it a/N^2 times that."""
    intended = {"gauss": 0.935, "tophat": 1.26}[shape]

    def measured(expected, *quirks):
        span = 1.5 * expected / n  # half range in h, not beyond the next reflection
        pixels = 801
        half_mm = 1000.0 * span / edge  # |s| = x/(distance lambda) at small angles
        experiment = nb.Experiment(
            crystal=nb.Crystal(unit_cell=nb.UnitCell(edge, edge, edge, 90, 90, 90), n_cells=(n, n, n), shape=shape,
                               structure_factors=FLAT),
            detector=nb.Detector(n_fast=pixels, n_slow=1, distance_mm=1000.0, pixel_size_mm=2 * half_mm / pixels,
                                 beam_center_mm=(half_mm, half_mm / pixels)),
            sampling=nb.Sampling(oversample=1),
        )  # fmt: skip
        h = (np.arange(pixels) + 0.5) * 2 * span / pixels - span
        profile = image(experiment, *quirks)[0]
        assert profile.max() > 2 * profile[0]
        return width(profile, h) * n

    # 801 samples over three widths resolve 0.4 %
    assert measured(intended) == pytest.approx(intended, rel=5e-3)
    original = intended * edge / n**2
    if original < n / 2:  # else the spot is broader than the distance of the reflections
        assert measured(original, Quirk.GAUSS_TOPHAT_WIDTH) == pytest.approx(original, rel=5e-3)


@pytest.mark.parametrize("shape", ["square", "round"])
def test_peak_height_at_an_integer_index(shape):
    """Corrected: N^6 (times pi/6 for the sphere) however close; the original's formulas lose digits there."""
    quirk = {"square": Quirk.SINCG_ROUNDOFF, "round": Quirk.SINC3_CANCELLATION}[shape]
    scale = {"square": 1.0, "round": np.pi / 6}[shape]
    omega = image(on_reflection("tophat", 0.0)) / 20**6
    offsets = [1e-13, 1e-11, 1e-9, 1e-7, 1e-5]
    right = [image(on_reflection(shape, x))[0, 0] / omega[0, 0] for x in offsets]
    # 20 cells off by 1e-5 in h lower the peak by (pi 20 1e-5)^2/3, 1.3e-6
    np.testing.assert_allclose(right, scale * 20**6, rtol=2e-6)
    wrong = np.array([image(on_reflection(shape, x), quirk)[0, 0] / omega[0, 0] for x in offsets]) / (scale * 20**6)
    assert abs(wrong[0] - 1) > 1e-4  # the text: up to several times the peak
    assert abs(wrong[-1] - 1) < 1e-5


# ---------------------------------------------------------------- rotation and crystal


def test_stale_phi_zero_is_the_still_of_the_last_step():
    """STALE_PHI_ZERO: of the steps 0 and 1 degree both are rendered at 1 degree, but for the first pixel."""
    swept = still(goniometer=nb.Goniometer(phi_start_deg=-0.5, osc_deg=2.0, n_steps=2))
    one = image(still(goniometer=nb.Goniometer(phi_start_deg=1.0)))
    zero = image(still())
    np.testing.assert_allclose(image(swept), (zero + one) / 2, rtol=0, atol=SINES * one.max())
    stale = image(swept, Quirk.STALE_PHI_ZERO)
    expected = one.copy()
    expected[0, 0] = (zero[0, 0] + one[0, 0]) / 2
    np.testing.assert_allclose(stale, expected, rtol=0, atol=SINES * one.max())


def test_left_edges_and_mid_points():
    sweep = still(goniometer=nb.Goniometer(phi_start_deg=5.0, osc_deg=3.0, n_steps=3))

    def mean_of(angles):
        return sum(image(still(goniometer=nb.Goniometer(phi_start_deg=a))) for a in angles) / len(angles)

    assert relative(image(sweep), mean_of([5.5, 6.5, 7.5])) <= SINES
    assert relative(image(sweep, Quirk.PHI_LEFT_EDGE), mean_of([5.0, 6.0, 7.0])) <= SINES


def test_phi_count_of_the_text():
    """PHI_CEIL_ROUNDOFF: 1.1 degrees in steps of 0.1 are 11 steps, the original makes 12."""
    by_step = still(goniometer=nb.Goniometer(phi_start_deg=2.0, osc_deg=1.1, step_deg=0.1))

    def by_count(n):
        return still(goniometer=nb.Goniometer(phi_start_deg=2.0, osc_deg=1.1, n_steps=n))

    assert relative(image(by_step), image(by_count(11))) <= SINES
    assert relative(image(by_step, Quirk.PHI_CEIL_ROUNDOFF), image(by_count(12))) <= SINES


def parameters(experiment):
    a, b, c = unit_cell_vectors(experiment)
    lengths = [np.linalg.norm(v) for v in (a, b, c)]
    cosines = [np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y) for x, y in ((b, c), (a, c), (a, b))]
    return (*lengths, *np.degrees(np.arccos(cosines)))


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [((70, 80, 90, 60, 60, 60), (57.849, 57.849, 58.525)), ((70, 80, 90, 85, 95, 105), (84.9923, 95.0077, 105.0010)),
     ((70, 80, 90, 90, 95, 90), (90, 95, 90)), ((70, 70, 90, 90, 90, 120), (90, 90, 120))],
)  # fmt: skip
def test_triclinic_cell_of_the_text(cell, wrong):
    """TRICLINIC_CELL: the angles of docs/quirks.md; lengths are right, and cells with one oblique angle are exact."""
    experiment = still(crystal__unit_cell=nb.UnitCell(*cell))
    np.testing.assert_allclose(parameters(experiment), cell, rtol=1e-12)
    original = parameters(experiment.replace(quirks=frozenset({Quirk.TRICLINIC_CELL})))
    np.testing.assert_allclose(original[:3], cell[:3], rtol=1e-12)
    np.testing.assert_allclose(original[3:], wrong, atol=6e-4)


def test_cells_from_a_size():
    """XTALSIZE_CEIL: 20 nm of a 40 Angstrom cell are 5 cells; 40 is 39.999999999999994 here, and the original takes 6."""

    def crystal(**settings):
        cell = nb.UnitCell(40, 50, 60, 80, 95, 105)
        return still(crystal__unit_cell=cell, crystal__misset_deg=(10, 20, 30), **settings)

    sized = crystal(crystal__size_mm=(2e-5, None, None))
    five, six = crystal(crystal__n_cells=(5, 4, 5)), crystal(crystal__n_cells=(6, 4, 5))
    assert relative(image(sized), image(five)) <= SINES
    cell = Quirk.TRICLINIC_CELL  # the last bit of the edge depends on it
    assert relative(image(sized, Quirk.XTALSIZE_CEIL, cell), image(six, cell)) <= SINES


def test_cell_count_below_one():
    """N_CLAMP: 0 becomes 1."""
    one = image(still(crystal__n_cells=(1, 4, 5)))
    np.testing.assert_array_equal(image(still(crystal__n_cells=(0, 4, 5)), Quirk.N_CLAMP), one)


def test_weights():
    """SOURCE_WEIGHTS_IGNORED: the mean against the weighted mean of the single-source images."""

    def lit(directions, weights):
        waves = np.full(len(weights), 1.2)
        return still(beam__sources=nb.Sources(direction=directions, wavelength_angstrom=waves, weight=weights))

    directions = [(-1.0, 0.0, 0.0), (-1.0, 0.02, 0.01)]
    first, second = (image(lit([d], [1.0])) for d in directions)
    both = lit(directions, [5.0, 1.0])
    assert relative(image(both), (5 * first + second) / 6) <= SINES
    assert relative(image(both, Quirk.SOURCE_WEIGHTS_IGNORED), (first + second) / 2) <= SINES


@pytest.mark.parametrize("seed", [-5, -7])
@pytest.mark.parametrize("quirks", [(), (Quirk.NEGATIVE_SEED_NO_RESEED,)], ids=["corrected", "quirk"])
def test_negative_mosaic_seed(quirks, seed):
    """NEGATIVE_SEED_NO_RESEED: as the first stream of a run a negative seed starts like seed 1."""
    negative = image(still(crystal__mosaic=nb.Mosaic(spread_deg=1.0, n_domains=3, seed=seed)), *quirks)
    one = image(still(crystal__mosaic=nb.Mosaic(spread_deg=1.0, n_domains=3, seed=1)), *quirks)
    assert np.array_equal(negative, one) is bool(quirks)


def test_negative_misset_seed_is_refused_by_the_corrected_generator():
    with pytest.raises(nb.ConfigError, match="misset_seed"):
        image(still(crystal__misset_deg="random", crystal__misset_seed=-5))


# ---------------------------------------------------------------- detector


@pytest.mark.parametrize(
    ("convention", "pixels"),
    [("mosflm", 1.0), ("denzo", 0.5), ("adxv", 0.5), ("xds", 0.0), ("dials", 0.0), ("custom", 0.0)],
)
def test_default_center(convention, pixels):
    """DEFAULT_CENTRE_SHIFT: D/2 + p, D/2 + p/2, D/2; the corrected model takes the middle everywhere."""
    experiment = still(detector__beam_center_mm=None, detector__convention=convention)

    def centered(shift):
        middle = (grid.N_FAST / 2 + shift) * 2.0, (grid.N_SLOW / 2 + shift) * 2.0
        return image(experiment.replace("detector.beam_center_mm", middle))

    assert relative(image(experiment), centered(0.0)) <= SINES
    assert relative(image(experiment, Quirk.DEFAULT_CENTRE_SHIFT), centered(pixels)) <= SINES


def test_typed_size_moves_the_default_center_only():
    """DETSIZE_NOT_ROUNDED"""
    experiment = still(detector__beam_center_mm=None, detector__size_mm=(14.6, 9.1))
    middle = image(experiment.replace("detector.beam_center_mm", (7.0, 5.0)))
    assert relative(image(experiment), middle) <= SINES
    typed = image(experiment.replace("detector.beam_center_mm", (7.3, 4.55)))
    assert relative(image(experiment, Quirk.DETSIZE_NOT_ROUNDED), typed) <= SINES


@pytest.mark.parametrize("way", ["beam_center_convention_mm", "close_point_mm", "org_px"])
@pytest.mark.parametrize("convention", ["mosflm", "denzo", "adxv", "xds", "dials"])
def test_ways_to_give_the_center(convention, way):
    """XDS_BEAM_IGNORED: xds and dials know org only, the others the beam center only; corrected: every way, everywhere."""
    experiment = still(detector__beam_center_mm=None, detector__convention=convention)
    given = experiment.replace(f"detector.{way}", (4.4, 3.3) if way != "org_px" else (2.2, 1.1))
    heeded = (way == "org_px") == (convention in ("xds", "dials"))
    if way == "close_point_mm":
        heeded = False
    assert relative(image(given), image(experiment)) > 1e-3
    ignored = np.array_equal(image(given, Quirk.XDS_BEAM_IGNORED), image(experiment, Quirk.XDS_BEAM_IGNORED))
    assert ignored is not heeded


def test_forced_pivot():
    """PIVOT_FORCED: mosflm turns about the beam spot, xds about the sample, whatever is asked for."""
    for convention, own, other in (("mosflm", "beam", "sample"), ("xds", "sample", "beam")):
        turned = still(detector__rotation_deg=(0.0, 12.0, 3.0), detector__convention=convention)
        asked = turned.replace("detector.pivot", other)
        assert relative(image(asked), image(turned)) > 1e-3
        np.testing.assert_array_equal(image(asked, Quirk.PIVOT_FORCED), image(turned.replace("detector.pivot", own)))


def test_close_distance_wins():
    both = still(detector__close_distance_mm=47.0)
    only = both.replace("detector.distance_mm", None)
    np.testing.assert_array_equal(image(both, Quirk.CLOSE_DISTANCE_WINS), image(only))


def test_pix0_ignored():
    placed = still(detector__pix0_mm=(55.0, 4.0, -6.0))
    np.testing.assert_array_equal(image(placed, Quirk.PIX0_IGNORED), image(still()))


def test_pix0_honoured():
    """The corner as typed is the same panel as its distance and beam center."""
    placed = still(detector__pix0_mm=(50.0, 4.6, -7.3), detector__beam_center_mm=None, detector__distance_mm=None)
    assert relative(image(placed), image(still())) <= SINES


def test_two_theta_axis_length():
    """TWOTHETA_AXIS_NOT_UNIT: corrected, only the direction of the axis counts."""
    unit, double = (
        still(detector__twotheta_deg=20.0, detector__twotheta_axis=(0.0, 0.0, z), detector__pivot="sample")
        for z in (-1.0, -2.0)
    )
    np.testing.assert_array_equal(image(unit), image(double))
    assert relative(image(double, Quirk.TWOTHETA_AXIS_NOT_UNIT), image(unit)) > 1e-3


def panel(curved, convention="mosflm"):
    """A square panel of 24 x 24 pixels at 1 m, centerd, half a degree in half width."""
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(270, 320, 360, 90, 95, 90), n_cells=(5, 5, 5), misset_deg=(10, 20, 30),
                           structure_factors=grid.table(9, 0.0)),
        detector=nb.Detector(n_fast=24, n_slow=24, pixel_size_mm=1.0, distance_mm=1000.0, curved=curved,
                             convention=convention),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_curved_detector_of_the_text():
    """CURVED_DET_AXES: reflected about the anti-diagonal under mosflm; corrected, close to the flat panel everywhere."""
    flat, curved = image(panel(False)), image(panel(True), Quirk.CURVED_DET_AXES)
    # directions part by (0.012 rad)^3, 1.7e-6 rad: 6e-4 in h, 1 % on the flank of a spot of 5 cells; measured 0.99917
    assert correlation(curved, flat[::-1, ::-1].T) > 0.999
    assert correlation(curved, flat) < 0.9
    for convention in ("mosflm", "denzo", "adxv", "xds", "dials"):
        assert correlation(image(panel(True, convention)), image(panel(False, convention))) > 0.999
    assert (image(panel(True, "xds"), Quirk.CURVED_DET_AXES) == 0).all()


def test_custom_changes_the_center():
    """CUSTOM_CHANGES_CENTRE: a spindle axis equal to the convention's own still moves the default center by one pixel."""
    quirks = {Quirk.CUSTOM_CHANGES_CENTRE, Quirk.DEFAULT_CENTRE_SHIFT}
    experiment = still(detector__beam_center_mm=None)
    spindle = experiment.replace("goniometer.axis", (0.0, 0.0, 1.0))
    np.testing.assert_array_equal(image(spindle), image(experiment))
    middle = image(experiment.replace("detector.beam_center_mm", (7.0, 5.0)))
    shifted = image(experiment.replace("detector.beam_center_mm", (9.0, 7.0)))
    assert relative(image(experiment, *quirks), shifted) <= SINES
    assert relative(image(spindle, *quirks), middle) <= SINES


def test_detector_behind_the_sample():
    """NEGATIVE_SOLID_ANGLE: intensities below zero."""
    behind = still(detector__close_distance_mm=-47.0, detector__distance_mm=None, detector__convention="xds",
                   crystal__structure_factors=grid.table(9, 5.0))  # fmt: skip
    assert (image(behind, Quirk.NEGATIVE_SOLID_ANGLE) < 0).all()


def test_no_quirk_is_the_corrected_model():
    assert still().quirks == CORRECTED and still().fidelity == "corrected"
