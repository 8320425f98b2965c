"""Sampling: sub-pixels, regions of interest, masks, sweeps, domains and their seeds."""

from __future__ import annotations

import numpy as np
import pytest
from laboratory import FLAT, relative, render

import nanobragg as nb


def crystal(**settings):
    defaults = {
        "unit_cell": nb.UnitCell(40, 50, 60, 80, 95, 105), "n_cells": (4, 5, 3), "misset_deg": (10, 20, 30),
        "structure_factors": FLAT,
    }  # fmt: skip
    return nb.Crystal(**defaults | settings)


def everything(**sampling):
    """Mosaic, sweep, divergence, tilted panel with a sensor, water: 12 x 10 pixels."""
    return nb.Experiment(
        crystal=crystal(mosaic=nb.Mosaic(spread_deg=0.5, n_domains=3)),
        beam=nb.Beam(kahn_factor=0.95, divergence=nb.Divergence(h_mrad=2.0, v_mrad=3.0)),
        detector=nb.Detector(
            n_fast=12, n_slow=10, pixel_size_mm=1.0, distance_mm=60.0, rotation_deg=(3, -4, 5), twotheta_deg=7.0,
            sensor=nb.Sensor(thickness_um=300, attenuation_um=200, n_layers=2),
        ),
        goniometer=nb.Goniometer(osc_deg=1.0, n_steps=2),
        sampling=nb.Sampling(**{"oversample": 2} | sampling),
        background=nb.Background(water_um=0.1),
    )  # fmt: skip


def test_oversampling_converges_at_second_order():
    """The mid-point rule over a pixel: the error falls as 1/n^2."""
    experiment = nb.Experiment(
        crystal=crystal(shape="gauss"),
        detector=nb.Detector(n_fast=12, n_slow=10, pixel_size_mm=0.2, distance_mm=60.0),
        sampling=nb.Sampling(oversample=1),
    )
    counts = np.array([2, 4, 8])
    fine = render(experiment.replace("sampling.oversample", 64))
    errors = [relative(render(experiment.replace("sampling.oversample", int(n))), fine) for n in counts]
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert order == pytest.approx(2.0, abs=0.05)  # measured 2.00


ROIS = [
    (slice(2, 7), slice(3, 11)),
    (slice(0, 1), slice(0, 1)),
    (slice(9, 10), slice(None)),
    (slice(None, 4), slice(5, None)),
]


@pytest.mark.parametrize("roi", ROIS, ids=str)
def test_roi_is_a_crop(roi):
    """Bit for bit, by the settings and by the argument; zeros outside."""
    expected = np.zeros((10, 12))
    expected[roi] = render(everything())[roi]
    np.testing.assert_array_equal(render(everything(roi=roi)), expected)
    np.testing.assert_array_equal(render(everything(), roi=roi), expected)


def test_roi_argument_comes_on_top_of_the_settings():
    image = render(everything(roi=(slice(2, 8), slice(1, 9))), roi=(slice(0, 5), slice(4, 12)))
    expected = np.zeros((10, 12))
    expected[2:5, 4:9] = render(everything())[2:5, 4:9]
    np.testing.assert_array_equal(image, expected)


def test_mask_leaves_the_other_pixels_alone():
    mask = np.random.default_rng(3).random((10, 12)) > 0.4
    image = render(everything().replace("detector.mask", mask))
    np.testing.assert_array_equal(image, np.where(mask, render(everything()), 0.0))


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_change_nothing(n_threads):
    np.testing.assert_array_equal(render(everything(), n_threads=n_threads), render(everything()))


def test_no_spread_is_one_domain():
    """Without spread the domains are equal: any number of them, from any seed, is a perfect crystal."""
    perfect = everything().replace("crystal.mosaic", nb.Mosaic())
    for n, seed in ((1, 5), (7, 5), (7, 6)):
        mosaic = nb.Mosaic(spread_deg=0.0, n_domains=n, seed=seed)
        # sums of seven equal terms instead of one: measured 4e-16
        assert relative(render(perfect.replace("crystal.mosaic", mosaic)), render(perfect)) <= 1e-14


def test_one_domain_is_aligned():
    one = everything().replace("crystal.mosaic", nb.Mosaic(spread_deg=2.0, n_domains=1))
    perfect = everything().replace("crystal.mosaic", nb.Mosaic())
    np.testing.assert_allclose(render(one), render(perfect), rtol=1e-13)


def test_spread_is_continuous():
    """A spread of 1e-7 degrees is as good as none; the image changes by 2 pi N h spread; measured 2e-10."""
    small = everything().replace("crystal.mosaic.spread_deg", 1e-7)
    perfect = everything().replace("crystal.mosaic", nb.Mosaic())
    assert relative(render(small), render(perfect)) < 1e-8


def test_mosaic_seeds():
    first, again, other = (render(everything().replace("crystal.mosaic.seed", seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert relative(other, first) > 1e-4


def test_mosaic_domains_turn_with_the_crystal():
    """A sweep of one step at angle phi is the mosaic crystal at phi = 0 seen in a laboratory turned back by phi."""
    base = nb.Experiment(
        crystal=crystal(mosaic=nb.Mosaic(spread_deg=1.0, n_domains=4)),
        beam=nb.Beam(polarized=False),
        detector=nb.Detector(
            n_fast=8, n_slow=6, pixel_size_mm=1.0, distance_mm=60.0, beam_center_mm=(4.0, 3.0), fast_axis=(0, 0, 1),
            slow_axis=(0, -1, 0), normal_axis=(1, 0, 0),
        ),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip
    turned = render(base.replace("goniometer.phi_start_deg", 20.0))
    c, s = np.cos(np.radians(20.0)), np.sin(np.radians(20.0))
    # the spindle is lab z: the panel and the beam turned by -20 degrees about it
    back = base.replace("beam.direction", (c, -s, 0.0)).replace("detector.slow_axis", (-s, -c, 0.0))
    back = back.replace("detector.normal_axis", (c, -s, 0.0))
    assert relative(render(back), turned) <= 1e-12


@pytest.mark.parametrize("n_steps", [1, 9])
def test_sweep_is_the_mean_of_its_mid_points(n_steps):
    still = everything().replace("crystal.mosaic", nb.Mosaic())
    sweep = still.replace(goniometer=nb.Goniometer(phi_start_deg=3.0, osc_deg=1.8, n_steps=n_steps))
    angles = 3.0 + 1.8 * (np.arange(n_steps) + 0.5) / n_steps
    stills = [render(still.replace(goniometer=nb.Goniometer(phi_start_deg=float(angle)))) for angle in angles]
    assert relative(render(sweep), np.mean(stills, axis=0)) <= 1e-12


def test_sweep_converges():
    """Mid-points of a smooth function of phi: second order."""
    still = everything().replace("crystal.mosaic", nb.Mosaic()).replace("crystal.shape", "gauss")

    def sweep(n):
        return render(still.replace(goniometer=nb.Goniometer(phi_start_deg=3.0, osc_deg=1.0, n_steps=n)))

    counts = np.array([2, 4, 8])
    errors = [relative(sweep(int(n)), sweep(64)) for n in counts]
    assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.1)


def test_divergence_and_dispersion_are_symmetric_grids():
    """Mid-points: the mean direction is the beam, the mean wavelength the typed one."""
    base = everything().replace("crystal.mosaic", nb.Mosaic())
    waves = [1 + 0.02 * ((i + 0.5) / 4 - 0.5) for i in range(4)]
    dispersed = base.replace(beam=nb.Beam(dispersion_percent=2.0, n_wavelengths=4))
    listed = base.replace(beam=nb.Beam(sources=nb.Sources(direction=[(-1.0, 0, 0)] * 4, wavelength_angstrom=waves)))
    assert relative(render(dispersed), render(listed)) <= 1e-12
    # rotation of the source by +-1 and +-3 mrad about beam x polarization (-y) under mosflm
    angles = 8e-3 * ((np.arange(4) + 0.5) / 4 - 0.5)
    directions = np.stack([-np.cos(angles), np.zeros(4), -np.sin(angles)], axis=1)
    fanned = base.replace(beam=nb.Beam(divergence=nb.Divergence(h_mrad=8.0, n_h=4)))
    listed = base.replace(beam=nb.Beam(sources=nb.Sources(direction=directions, wavelength_angstrom=[1.0] * 4)))
    assert relative(render(fanned), render(listed)) <= 1e-12
