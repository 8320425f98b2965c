"""Intensities on the absolute scale: powers of N and F, solid angle, polarization, fluence, background, resolution cut."""

from __future__ import annotations

import numpy as np
import pytest
from laboratory import (
    FLAT,
    FLUENCE,
    R_E_SQR,
    isolated_cell,
    on_reflection,
    pixel_centers,
    relative,
    render,
    scattering,
    single,
)

import nanobragg as nb

# products of a dozen factors, each rounded once; measured 1e-15
ROUNDING = 1e-13


def slope(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_peak_grows_as_the_sixth_power_of_size(shape):
    sizes = [5, 10, 20, 40]
    peaks = [render(on_reflection(shape, offset=1e-7, n=n))[0, 0] for n in sizes]
    # at 1e-7 from the index 40 cells lose (pi 40 1e-7)^2/3 = 5e-11 of the peak; required 0.01, measured 1e-10
    assert slope(sizes, peaks) == pytest.approx(6.0, abs=1e-8)


def test_peak_grows_as_the_square_of_the_amplitude():
    amplitudes = [1.0, 30.0, 200.0, 5000.0]
    peaks = [render(on_reflection(structure_factors=single(r3_0_0=f)))[0, 0] for f in amplitudes]
    assert slope(amplitudes, peaks) == pytest.approx(2.0, abs=1e-12)  # required 0.005


def test_ratio_of_two_reflections():
    table = single(r2_0_0=7.0, r3_0_0=11.0, rm4_0_0=13.0)
    peaks = {index: render(on_reflection(index=index, structure_factors=table))[0, 0] for index in (2, 3, -4)}
    assert peaks[3] / peaks[2] == pytest.approx(121 / 49, rel=1e-12)
    assert peaks[-4] / peaks[2] == pytest.approx(169 / 49, rel=1e-12)


def test_absolute_scale_of_a_peak():
    """r_e^2 fluence F^2 N^6 times the solid angle."""
    r = np.hypot(50.0, 11.0)
    omega = 0.002**2 * 50.0 / r**3
    expected = R_E_SQR * FLUENCE * 100.0**2 * 20**6 * omega
    assert render(on_reflection())[0, 0] == pytest.approx(expected, rel=1e-11)


def test_solid_angle_of_a_flat_pixel():
    """p^2 close/R^3, out to 55 degrees"""
    experiment = isolated_cell()
    r = np.linalg.norm(pixel_centers(experiment), axis=-1)
    expected = R_E_SQR * FLUENCE * 1e4 * 8.0**2 * 30.0 / r**3
    np.testing.assert_allclose(render(experiment), expected, rtol=ROUNDING)


def test_solid_angle_of_a_point_pixel():
    """p^2/R^2"""
    experiment = isolated_cell(point_pixel=True)
    r = np.linalg.norm(pixel_centers(experiment), axis=-1)
    np.testing.assert_allclose(render(experiment), R_E_SQR * FLUENCE * 1e4 * 8.0**2 / r**2, rtol=ROUNDING)


def test_solid_angle_of_a_curved_detector():
    """Every pixel at the same distance: p^2 close/R^3 is p^2/R^2 everywhere."""
    image = render(isolated_cell(curved=True))
    np.testing.assert_allclose(image, R_E_SQR * FLUENCE * 1e4 * 8.0**2 / 30.0**2, rtol=ROUNDING)


def test_solid_angle_of_a_tilted_panel():
    """The close distance is that of the foot of the normal: distance x cos(tilt) for a panel turned about the beam spot."""
    tilt = np.radians(25.0)
    image = render(isolated_cell(rotation_deg=(0.0, 25.0, 0.0), pivot="beam"))
    # rotation about y by 25 degrees: fast = (sin, 0, cos), slow = (0, -1, 0)
    slow, fast = np.mgrid[0:7, 0:9]
    f, s = (fast - 4) * 8.0, (slow - 3) * 8.0
    r = np.sqrt((30.0 + f * np.sin(tilt)) ** 2 + s**2 + (f * np.cos(tilt)) ** 2)
    expected = R_E_SQR * FLUENCE * 1e4 * 8.0**2 * 30.0 * np.cos(tilt) / r**3
    np.testing.assert_allclose(image, expected, rtol=ROUNDING)


@pytest.mark.parametrize("kahn", [0.0, 0.5, 0.95, 1.0, -0.7])
def test_kahn_polarization(kahn):
    """(1 + cos^2 2theta - K (e^2 - b^2))/2, with e and b the components along the polarization and across it."""
    experiment = isolated_cell()
    x = pixel_centers(experiment)
    d = x / np.linalg.norm(x, axis=-1, keepdims=True)
    expected = 0.5 * (1 + d[..., 0] ** 2 - kahn * (d[..., 2] ** 2 - d[..., 1] ** 2))
    polarized = experiment.replace(beam=nb.Beam(kahn_factor=kahn))
    np.testing.assert_allclose(render(polarized) / render(experiment), expected, rtol=0, atol=1e-12)


def test_full_polarization_is_the_sine_of_the_angle_to_the_field():
    """K = 1: 1 - (d . E)^2, whatever the direction of the field, and the beam's component of the axis does not count."""
    experiment = isolated_cell()
    x = pixel_centers(experiment)
    d = x / np.linalg.norm(x, axis=-1, keepdims=True)
    field = np.array([0.0, 0.6, 0.8])
    polarized = experiment.replace(beam=nb.Beam(kahn_factor=1.0, polarization_axis=(0.3, 0.6, 0.8)))
    np.testing.assert_allclose(render(polarized) / render(experiment), 1 - (d @ field) ** 2, rtol=0, atol=1e-12)


def test_linear_in_fluence():
    experiment = isolated_cell().replace("background.water_um", 3.0)
    one = render(experiment.replace("beam.fluence_per_m2", 1e24))
    np.testing.assert_allclose(render(experiment.replace("beam.fluence_per_m2", 3.7e24)), 3.7 * one, rtol=ROUNDING)
    assert (render(experiment.replace("beam.fluence_per_m2", 0.0)) == 0).all()


def test_fluence_from_flux():
    """flux exposure/size^2"""
    by_flux = nb.Beam(polarized=False, flux_per_s=1e12, exposure_s=0.2, size_mm=0.05)
    by_fluence = nb.Beam(polarized=False, fluence_per_m2=1e12 * 0.2 / (0.05e-3) ** 2)
    first, second = (render(isolated_cell().replace(beam=beam)) for beam in (by_flux, by_fluence))
    np.testing.assert_allclose(first, second, rtol=ROUNDING)


def test_water():
    """F_w^2 r_e^2 fluence times the molecules in the cube, with solid angle and polarization."""
    base = isolated_cell().replace(beam=nb.Beam(fluence_per_m2=1e24, kahn_factor=0.6))
    wet = render(base.replace("background.water_um", 20.0))
    molecules = (20e-6) ** 3 * 1e6 * 6.02214179e23 / 18.0
    factors = render(base) / (R_E_SQR * 1e24 * 1e4)  # solid angle x polarization
    expected = 2.57**2 * R_E_SQR * 1e24 * molecules * factors
    np.testing.assert_allclose(wet - render(base), expected, rtol=1e-12)


def test_water_does_not_depend_on_the_sampling():
    """Added once per pixel, not once per step."""
    base = isolated_cell(pixel_size_mm=0.5).replace(background=nb.Background(water_um=20.0))
    base = base.replace("sampling.d_min_angstrom", 1e4)
    plain = render(base)
    stepped = base.replace("goniometer.osc_deg", 1.0).replace("goniometer.n_steps", 4)
    stepped = stepped.replace("crystal.mosaic", nb.Mosaic(spread_deg=1.0, n_domains=3))
    np.testing.assert_allclose(render(stepped), plain, rtol=ROUNDING)
    # sub-pixels see the curvature of 1/R^3 alone: (0.5/30)^2/4 of it between the center and the mean
    np.testing.assert_allclose(render(base.replace("sampling.oversample", 3)), plain, rtol=3e-4)


def test_resolution_cut():
    """d_min removes what scatters beyond it, leaves everything else alone to the bit, and leaves the water."""
    experiment = isolated_cell().replace("crystal.n_cells", (3, 3, 3))
    beyond = np.linalg.norm(scattering(experiment), axis=-1) > 1 / 1.8
    full, cut = render(experiment), render(experiment.replace("sampling.d_min_angstrom", 1.8))
    assert 10 < beyond.sum() < beyond.size - 10
    np.testing.assert_array_equal(cut, np.where(beyond, 0.0, full))
    wet = render(experiment.replace("sampling.d_min_angstrom", 1.8).replace("background.water_um", 0.01))
    assert (wet > cut).all()


def test_repeated_terms_are_averaged():
    """The sum is divided by steps: equal sources, equal domains and a sweep of 0 degrees change nothing."""
    experiment = isolated_cell().replace("crystal.n_cells", (3, 4, 5))
    plain = render(experiment)
    source = nb.Sources(direction=[(-1.0, 0, 0)] * 3, wavelength_angstrom=[1.0] * 3, weight=[1.0, 5.0, 0.5])
    assert relative(render(experiment.replace("beam.sources", source)), plain) <= ROUNDING
    assert relative(render(experiment.replace("crystal.mosaic.n_domains", 3)), plain) <= ROUNDING
    still = nb.Goniometer(osc_deg=0.0, n_steps=4)
    assert relative(render(experiment.replace(goniometer=still)), plain) <= ROUNDING


def test_sources_add_by_weight():
    """Two wavelengths from two directions, each rendered alone."""
    base = isolated_cell().replace("crystal.n_cells", (3, 4, 5)).replace("crystal.structure_factors", FLAT)

    def lit(directions, waves, weights):
        sources = nb.Sources(direction=directions, wavelength_angstrom=waves, weight=weights)
        return render(base.replace("beam.sources", sources))

    directions, waves = [(-1.0, 0.01, 0.0), (-1.0, 0.0, -0.02)], [1.0, 1.1]
    first, second = (lit([d], [w], [1.0]) for d, w in zip(directions, waves, strict=True))
    assert relative(lit(directions, waves, [1.0, 3.0]), (first + 3 * second) / 4) <= ROUNDING
    np.testing.assert_array_equal(lit(directions, waves, [1.0, 0.0]), first)
