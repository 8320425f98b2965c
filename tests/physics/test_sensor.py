"""A sensor of finite thickness absorbs 1 - exp(-T mu/cos) of what reaches it."""

from __future__ import annotations

import numpy as np
import pytest
from laboratory import isolated_cell, pixel_centers, render

import nanobragg as nb

THICKNESS, DEPTH = 450.0, 234.0  # um


def sensor(n_layers):
    return nb.Sensor(thickness_um=THICKNESS, attenuation_um=DEPTH, n_layers=n_layers)


@pytest.mark.parametrize("n_layers", [None, 1, 2, 3, 10])
def test_capture_fractions_sum_to_the_closed_form(n_layers):
    """10 000 km away, where all layers are at the same place: any number of layers absorbs the same, out to 55 degrees."""
    far = isolated_cell(pixel_size_mm=2.5e9, distance_mm=1e10)
    x = pixel_centers(far)
    cosine = x[..., 0] / np.linalg.norm(x, axis=-1)
    covered = far.replace("detector.sensor", sensor(n_layers))
    expected = 1 - np.exp(-THICKNESS / DEPTH / cosine)
    # 0.45 mm in 10 000 km: 1e-10 in the solid angle
    np.testing.assert_allclose(render(covered) / render(far), expected, rtol=3e-10)


def test_layers_converge():
    """At 8 mm the depth of a layer shows: the sum over layers converges at first order to the integral over depth."""
    near = isolated_cell(pixel_size_mm=2.0, distance_mm=8.0)
    layers = np.array([2, 4, 8, 16, 32])
    fine = render(near.replace("detector.sensor", sensor(2048)))
    errors = [np.abs(render(near.replace("detector.sensor", sensor(int(n)))) - fine).max() for n in layers]
    order = -np.polyfit(np.log(layers), np.log(errors), 1)[0]
    assert order == pytest.approx(1.0, abs=0.05)  # measured 1.00
    # and the integral is the closed form but for the depth of the absorption, 0.2 mm in 8 mm, squared: measured 0.055
    x = pixel_centers(near)
    cosine = x[..., 0] / np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(fine / render(near), 1 - np.exp(-THICKNESS / DEPTH / cosine), rtol=0.06)


def test_a_thick_sensor_absorbs_everything():
    far = isolated_cell(pixel_size_mm=2.5e9, distance_mm=1e10)
    opaque = far.replace("detector.sensor", nb.Sensor(thickness_um=1e4, attenuation_um=200.0, n_layers=4))
    np.testing.assert_allclose(render(opaque), render(far), rtol=1e-8)


@pytest.mark.parametrize("attenuation", [float("inf"), 0.0])
def test_no_attenuation_means_no_sensor(attenuation):
    bare = isolated_cell()
    covered = bare.replace("detector.sensor", nb.Sensor(thickness_um=300.0, attenuation_um=attenuation, n_layers=5))
    np.testing.assert_array_equal(render(covered), render(bare))


def test_thickness_without_attenuation_is_refused():
    with pytest.raises(nb.ConfigError, match="attenuation"):
        render(isolated_cell().replace("detector.sensor", nb.Sensor(thickness_um=300.0)))


def test_water_is_captured_too():
    """J_bg carries the sum over layers of solid angle x capture fraction."""
    far = isolated_cell(pixel_size_mm=2.5e9, distance_mm=1e10)
    far = far.replace("background.water_um", 5.0).replace("sampling.d_min_angstrom", 1e4)
    ratio = render(far.replace("detector.sensor", sensor(3))) / render(far)
    x = pixel_centers(far)
    cosine = x[..., 0] / np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(ratio, 1 - np.exp(-THICKNESS / DEPTH / cosine), rtol=3e-10)
