"""Pictures while values move: less work, on the same scale, said so, and in the same shades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.explorer.coarse import _half, coarser
from nanobragg.explorer.drawing.tiles import View, tile
from nanobragg.explorer.rendering import Renderer, TooLong, as_images
from nanobragg.explorer.session import Session


def plain(**more: Any) -> nb.Experiment:
    """Broad spots, so that few terms and few pixels have nearly the mean of all."""
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(5, 5, 5), shape="gauss",
                           misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(fluence_per_m2=1e26),
        detector=nb.Detector(n_fast=160, n_slow=150, pixel_size_mm=0.5), sampling=nb.Sampling(oversample=1),
        background=nb.Background(water_um=3.0),
    ).replace(**more)  # fmt: skip


MOSAIC = nb.Mosaic(spread_deg=0.6, n_domains=64)
CHANCE = np.random.default_rng(7)
DIRECTIONS = np.array([[1.0, 0.0, 0.0]] * 16)
PANELS = tuple(
    nb.Detector(n_fast=80, n_slow=90, pixel_size_mm=0.5, fast_axis=(0, 0, 1), slow_axis=(0, -1, 0), normal_axis=(1, 0, 0),
                pix0_mm=(100.0, 20.0, left)) for left in (-41.0, 1.0)
)  # fmt: skip


def unequal() -> nb.Mosaic:
    """Domains of which every second counts ten times as much as the one before."""
    turns = np.radians(CHANCE.normal(0, 0.3, (64, 3)))
    rotations = np.tile(np.eye(3), (64, 1, 1))
    for (x, y, z), one in zip(turns, rotations, strict=True):
        one += [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    left, _, right = np.linalg.svd(rotations)
    return nb.Mosaic(model="given", rotations=left @ right, weights=np.where(np.arange(64) % 2, 10.0, 1.0))


def two_crystals(one: nb.Experiment) -> nb.Experiment:
    second = one.crystal.with_value("mosaic", MOSAIC).with_value("misset_deg", (40.0, 5.0, 6.0))
    return one.replace(crystal=(one.crystal, second))


def with_sources(weight: np.ndarray) -> Callable[[nb.Experiment], nb.Experiment]:
    sources = nb.Sources(direction=DIRECTIONS, wavelength_angstrom=np.linspace(0.99, 1.01, 16), weight=weight)
    return lambda one: one.replace("beam.sources", sources)


CASES: dict[str, Callable[[nb.Experiment], nb.Experiment]] = {
    "sub-pixels": lambda one: one.replace("sampling.oversample", 8),
    "phi steps": lambda one: one.replace(goniometer=nb.Goniometer(osc_deg=1.0, n_steps=32)),
    "wavelengths": lambda one: one.replace(beam=nb.Beam(fluence_per_m2=1e26, dispersion_percent=1.0, n_wavelengths=32)),
    "divergence": lambda one: one.replace(
        beam=nb.Beam(fluence_per_m2=1e26, dispersion_percent=2.0, n_wavelengths=2,
                     divergence=nb.Divergence(h_mrad=2.0, v_mrad=2.0, n_h=4, n_v=4))),
    "unequal sources": with_sources(np.where(np.arange(16) % 2, 0.2, 3.0)),
    "dark sources": with_sources(np.where(np.arange(16) % 2, 0.0, 1.0)),
    "one source": with_sources(np.where(np.arange(16) == 8, 1.0, 0.0)),
    "domains": lambda one: one.replace("crystal.mosaic", MOSAIC),
    "gaussian": lambda one: one.replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=0.3, n_domains=64)),
    "unequal domains": lambda one: one.replace("crystal.mosaic", unequal()),
    "everything": lambda one: one.replace("crystal.mosaic", MOSAIC).replace("sampling.oversample", 2).replace(
        goniometer=nb.Goniometer(osc_deg=1.0, n_steps=4)),
    "panels": lambda one: one.replace("crystal.mosaic", MOSAIC).replace(detector=PANELS),
    "sensor": lambda one: one.replace("crystal.mosaic", MOSAIC).replace(
        "detector.sensor", nb.Sensor(thickness_um=450.0, attenuation_um=300.0, n_layers=5)),
    "second crystal": two_crystals,
    "reference": lambda one: one.replace("crystal.mosaic", MOSAIC).with_fidelity("reference"),
    "diffuse": lambda one: one.replace("crystal.mosaic", MOSAIC).replace(
        "crystal.diffuse", nb.Diffuse(sigma_angstrom=0.3)),
    "region": lambda one: one.replace("crystal.mosaic", MOSAIC).replace("sampling.roi", (slice(21, 120), slice(30, 131))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("share", "tolerance"), [(2, 0.01), (8, 0.04), (48, 0.09)])
@pytest.mark.parametrize("water_um", [0.0, 3.0])
def test_a_coarse_image_has_the_mean_of_the_exact_one(name: str, share: int, tolerance: float, water_um: float) -> None:
    """Of spots alone, and on a background a hundred times as strong.

    Measured: within 0.5, 2.9 and 6.8 % with half, an eighth and 1/48 of the terms (of 64 domains one); on the background 0.06 %.
    """
    renderer = Renderer()
    plan = renderer.plan(CASES[name](plain().replace("background.water_um", water_um)))
    exact = as_images(renderer.exact(plan, lambda: False).photons)
    parts = [coarser(own, plan.evaluations / share / len(plan.scenes)) for own in plan.scenes]
    images = as_images(renderer._photons(plan, [part.scenes for part in parts], lambda: False))
    total = 0.0
    for image, part in zip(images, parts, strict=True):
        total += image[:: part.step, :: part.step].sum() * part.step**2
        assert part.said, "whatever is left out is said"
        assert np.isfinite(image).all()
    assert total == pytest.approx(sum(one.sum() for one in exact), rel=0.001 if water_um else tolerance)


def test_halves_of_a_loop_prefer_no_place_of_a_loop_inside() -> None:
    for inner in (2, 4, 8):
        assert np.ptp(np.bincount(_half(128) % inner)) == 0
    assert _half(2).tolist() == [1] and _half(3).tolist() == [1] and _half(5).tolist() == [1, 2]
    assert (np.diff(_half(1000)) > 0).all()


def test_what_one_of_two_crystals_leaves_out_is_said() -> None:
    """The first has one domain: it loses none, and the image is not the exact one."""
    renderer = Renderer()
    plan = renderer.plan(two_crystals(plain()))
    part = coarser(plan.scenes[0], plan.evaluations / 4)
    assert "of 64 domains" in part.said


def test_shades_stand_still_between_coarse_and_exact() -> None:
    """Limits that are nearly the same stay; others, and what is asked for in percent, do not."""
    image = np.random.default_rng(3).exponential(10.0, (100, 100))
    for scale in ("log", "linear"):
        view = View(fast=(0, 100), slow=(0, 100), scale=scale)
        first = tile(image, None, view)
        for factor in (0.5, 0.8, 1.7, 2.0):
            found = tile(factor * image, None, view, last=(first.low, first.high))
            assert (found.low, found.high) == (first.low, first.high), (scale, factor)
        other = tile(10 * image, None, view, last=(first.low, first.high))
        assert (other.low, other.high) == pytest.approx((10 * first.low, 10 * first.high))


def test_a_small_image_does_not_make_large_ones_take_minutes() -> None:
    """What an image takes beside its terms is no part of the time of a term."""
    renderer = Renderer()
    small = plain().replace("detector.n_fast", 20).replace("detector.n_slow", 20)
    for _ in range(5):
        renderer.exact(renderer.plan(small), lambda: False)
    # 2.4 M terms for each of 100 sub-pixels, some 5 ns each
    renderer.check(renderer.plan(plain().replace("sampling.oversample", 10)))
    with pytest.raises(TooLong):
        renderer.check(renderer.plan(plain().replace("sampling.oversample", 5000)))


def test_noise_and_point_spread_stay_while_values_move() -> None:
    """Or are said to be left out, where they would take too long."""
    session = Session(plain().replace("crystal.mosaic", nb.Mosaic(spread_deg=0.6, n_domains=8)))
    session.switches |= {"noise": True}
    plan = session._renderer.plan(session.state.experiment)
    shot = replace(session._renderer.exact(plan, lambda: False), exact=False, said="4 of 8 domains")
    session._show(shot, plan, session.state, 1, 0, coarse=True)
    assert session.picture is not None and session.picture.unit == "counts"
    assert session.picture.frame.said == "4 of 8 domains"
    session._readout_rate = 1.0
    session._show(shot, plan, session.state, 1, 0, coarse=True)
    assert session.picture.unit == "photons" and session.picture.frame.said == "4 of 8 domains, no noise"
