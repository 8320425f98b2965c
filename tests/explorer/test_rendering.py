"""Coarse images, tiles and controls, without a browser."""

from __future__ import annotations

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.api import decide
from nanobragg.explorer.coarse import coarser
from nanobragg.explorer.controls import groups, read
from nanobragg.explorer.drawing.tiles import NO_PIXEL, View, tile
from nanobragg.explorer.presets import crystal, menu, with_preset
from nanobragg.explorer.rendering import Renderer, TooLong
from nanobragg.explorer.session import Session, State


def experiment() -> nb.Experiment:
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(10, 10, 10), shape="gauss",
                           misset_deg=(10, 20, 30), mosaic=nb.Mosaic(spread_deg=0.6, n_domains=64),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(fluence_per_m2=1e26, dispersion_percent=1.0, n_wavelengths=4),
        detector=nb.Detector(n_fast=200, n_slow=180, pixel_size_mm=0.4),
        goniometer=nb.Goniometer(osc_deg=1.0, n_steps=4), sampling=nb.Sampling(oversample=2),
        background=nb.Background(water_um=3.0),
    )  # fmt: skip


@pytest.mark.parametrize("share", [1, 4, 64, 1024, 1 << 14])
def test_a_coarse_image_is_on_the_scale_of_the_exact_one(share: int) -> None:
    """Fewer terms are a mean over fewer of them: the sum over the image stays, and what is left out is said.

    Measured: 0.6 % at a quarter of the terms, 1 % with one of them alone in every fourth pixel.
    """
    renderer = Renderer()
    plan = renderer.plan(experiment())
    exact = renderer.exact(plan, lambda: False).photons
    part = coarser(plan.scenes[0], plan.evaluations / share)
    count = sum(scene.evaluations for own in part.scenes for scene in own)
    assert count <= 1.3 * plan.evaluations / share
    assert (part.said == "") == (share == 1)
    image = renderer._photons(plan, [part.scenes], lambda: False)[:: part.step, :: part.step]
    assert image.sum() * part.step**2 == pytest.approx(exact.sum(), rel=0.03)
    assert np.array_equal(renderer._photons(plan, [coarser(plan.scenes[0], 1e12).scenes], lambda: False), exact)


def test_what_takes_minutes_or_gigabytes_is_held_back() -> None:
    renderer = Renderer()
    long = renderer.plan(experiment().replace("crystal.mosaic.n_domains", 500_000))
    with pytest.raises(TooLong, match=r"crystal\.mosaic\.n_domains makes 500000 domains"):
        renderer.check(long)
    renderer.check(renderer.plan(experiment()))
    with pytest.raises(nb.ConfigError, match=r"crystal\.mosaic\.n_domains.* GiB of memory"):
        renderer.plan(experiment().replace("crystal.mosaic.n_domains", 20_000_000).replace("goniometer.n_steps", 1))


def test_a_tile_shows_the_brightest_pixel_of_each_place() -> None:
    image = np.random.default_rng(1).random((97, 131))
    image[50, 60] = 40.0
    found = tile(
        image, None, View(fast=(0, 131), slow=(0, 97), width=40, height=30, scale="linear", low=0.0, high=40.0)
    )
    assert found.shades.shape == (30, 40)
    assert found.shades.max() == 254 and (found.shades == 254).sum() == 1
    row, column = np.argwhere(found.shades == 254)[0]
    assert (row, column) == (50 * 30 // 97, 60 * 40 // 131)


def test_a_magnified_tile_is_the_pixels() -> None:
    image = np.arange(48.0).reshape(6, 8)
    known = np.ones((6, 8), bool)
    known[2, 3] = False
    found = tile(
        image, known, View(fast=(1.5, 6.2), slow=(1.0, 4.0), width=600, height=500, scale="linear", low=0.0, high=254.0)
    )
    assert (found.fast, found.slow) == ((1, 7), (1, 4))
    expected = np.where(known, image, NO_PIXEL)[1:4, 1:7]
    assert np.array_equal(found.shades, expected)
    beside = tile(image, known, View(fast=(20.0, 30.0), slow=(0.0, 5.0)))
    assert beside.shades.size == 0


@pytest.mark.parametrize(
    "change", [{"scale": "cubic"}, {"fast": (5.0, 5.0)}, {"slow": (0.0, float("nan"))}, {"width": 0}]
)
def test_a_senseless_view_is_refused(change: dict) -> None:
    with pytest.raises(nb.ConfigError, match="view"):
        View(**change)


def test_controls_come_from_the_fields() -> None:
    state = State(experiment(), nb.Readout())
    changed = State(state.experiment.replace("detector.distance_mm", 80.0), nb.Readout())
    found = {control["path"]: control for group in groups(changed, state, None) for control in group["controls"]}
    distance = found["detector.distance_mm"]
    assert distance["unit"] == "mm" and distance["value"] == 80.0 and distance["changed"] and distance["optional"]
    assert distance["low"] == 8.0 and distance["high"] == 800.0 and distance["log"]
    assert "along the beam" in distance["doc"] and "-distance" in distance["flags"]
    assert (found["crystal.misset_deg"]["low"], found["crystal.misset_deg"]["high"]) == (-180, 180)
    assert (found["beam.kahn_factor"]["low"], found["beam.kahn_factor"]["high"]) == (-1, 1)
    assert found["crystal.shape"]["choices"] == ["square", "round", "gauss", "tophat"]
    assert found["crystal.mosaic.spread_deg"]["low"] == 0
    assert found["detector.sensor"]["kind"] == "part"
    assert not found["crystal.unit_cell.a"]["changed"]
    decided = decide(experiment())[0][0]
    known = {control["path"]: control for group in groups(state, state, decided) for control in group["controls"]}
    assert known["detector.distance_mm"]["decided"] == pytest.approx(100.0)
    assert known["detector.beam_center_mm"]["decided"] == pytest.approx([40.0, 36.0])  # the middle
    assert known["beam.wavelength_angstrom"]["decided"] == pytest.approx(1.0)
    assert known["sampling.interpolate"]["decided"] == "nearest"
    for control in [*found.values(), *known.values()]:
        if "low" in control and control["path"] != "readout.bits":  # 16, 20 or 32: typed alone
            assert control["low"] < control["high"], control["path"]
            assert not control["log"] or control["low"] > 0


def controls(of: nb.Experiment, readout: nb.Readout | None = None) -> dict[str, dict]:
    state = State(of, readout or nb.Readout())
    return {control["path"]: control for group in groups(state, state, None) for control in group["controls"]}


def test_what_is_always_refused_is_not_offered() -> None:
    """Parts that the crystal cannot be without have no *remove*; models that need arrays are offered where there are some."""
    found = controls(experiment())
    assert not found["crystal.unit_cell"]["removable"] and not found["crystal.structure_factors"]["removable"]
    assert (
        "given" not in found["crystal.mosaic.model"]["choices"] and "array" not in found["readout.psf.kind"]["choices"]
    )
    named = experiment().crystal.structure_factors
    cell = experiment().crystal.unit_cell
    matrix = nb.Crystal(a_star_matrix=np.eye(3) / 60, unit_cell=cell, structure_factors=named)
    assert controls(experiment().replace(crystal=matrix))["crystal.a_star_matrix"]["removable"]
    arrays = experiment().replace("crystal.mosaic", nb.Mosaic(model="given", rotations=np.eye(3)[None]))
    session = Session(arrays, nb.Readout(psf=nb.Psf(kind="array", kernel=np.ones((3, 3)))))
    found = controls(session.state.experiment, session.state.readout)
    assert "given" in found["crystal.mosaic.model"]["choices"] and "array" in found["readout.psf.kind"]["choices"]
    assert not found["crystal.mosaic.rotations"]["removable"]
    for path in ("crystal.mosaic.model", "readout.psf.kind"):
        for choice in found[path]["choices"]:
            session.set(path, choice)
            session.undo()
    session.set("crystal.mosaic.model", "cap")
    session.set("readout.psf.kind", "none")
    assert session.state.experiment.crystal.mosaic.rotations is None and session.state.readout.psf.kernel is None


def test_a_value_that_is_refused_is_named_as_it_was_typed() -> None:
    one = experiment().crystal
    session = Session(experiment().replace(crystal=(one, one)))
    with pytest.raises(nb.ConfigError, match=r"^crystal\[1\]\.unit_cell\.a=-3"):
        session.set("crystal[1].unit_cell.a", -3)
    with pytest.raises(nb.ConfigError, match=r"^crystal\[1\]\.unit_cell=None"):
        session.set("crystal[1].unit_cell", None)


@pytest.mark.parametrize(("typed", "ends"), [(0.5, (0.0, 5.0)), (5.0, (0.0, 5.0)), (12.0, (0.0, 120.0))])
def test_a_slider_does_not_go_below_zero_for_a_large_value(typed: float, ends: tuple[float, float]) -> None:
    slider = controls(experiment().replace("beam.dispersion_percent", typed))["beam.dispersion_percent"]
    assert (slider["low"], slider["high"]) == ends


@pytest.mark.parametrize(
    ("typed", "value"),
    [("12", 12), ("-1.5e2", -150.0), ("", None), ("  ", None), ("random", "random"), ("1, 2 3", (1, 2, 3)),
     ("(1,2,3)", (1, 2, 3)), ([1, 2.5], (1, 2.5)), (True, True)],
)  # fmt: skip
def test_typed_values_are_read(typed: object, value: object) -> None:
    assert read("vector3", typed) == value


PANELS = tuple(
    nb.Detector(n_fast=60, n_slow=50, pixel_size_mm=0.5, fast_axis=(0, 0, 1), slow_axis=(0, -1, 0), normal_axis=(1, 0, 0),
                pix0_mm=(100.0, 20.0, left)) for left in (-31.0, 1.0)
)  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        lambda one: one,
        lambda one: one.with_fidelity("reference"),
        lambda one: one.replace(crystal=(one.crystal, one.crystal.with_value("misset_deg", (40.0, 5.0, 6.0)))),
        lambda one: one.replace(detector=PANELS),
        lambda one: one.replace(background=nb.Background(components=nb.Amorphous(table="water", thickness_mm=0.02))),
        lambda one: one.replace("crystal.misset_deg", "random"),
        lambda one: one.replace("sampling.roi", (slice(20, 90), slice(0, 70))),
    ],
    ids=["plain", "reference", "two crystals", "two panels", "amorphous", "random", "region"],
)
def test_the_exact_image_is_that_of_simulate(changed: object) -> None:
    assert callable(changed)
    ours = changed(experiment().replace("crystal.mosaic.n_domains", 4))
    renderer = Renderer()
    assert np.array_equal(renderer.exact(renderer.plan(ours), lambda: False).photons, nb.simulate(ours))


def test_a_random_orientation_stays_when_other_values_change() -> None:
    session = Session(experiment().replace("crystal.misset_deg", "random"))
    seed = session.state.experiment.crystal.orientation_seed
    session.set("crystal.n_cells", (5, 6, 7))
    assert session.state.experiment.crystal.orientation_seed == seed
    session.turn(0.0, 0.0, 10.0)
    angles = session.state.experiment.crystal.misset_deg
    assert not isinstance(angles, str)
    session.turn(0.0, 0.0, -10.0)
    drawn = experiment().replace("crystal.misset_deg", "random").replace("crystal.misset_seed", seed)
    before = nb.simulate(drawn.replace("crystal.n_cells", (5, 6, 7)))
    # angles are kept to 1e-6 degrees
    assert nb.simulate(session.state.experiment) == pytest.approx(before, rel=1e-4, abs=1e-6 * before.max())
    session.set("crystal.misset_deg", "random")
    again = session.state.experiment.crystal.orientation_seed
    session.set("crystal.n_cells", (6, 6, 7))
    assert session.state.experiment.crystal.orientation_seed == again


def test_changes_that_follow_each_other_are_one_step() -> None:
    session = Session(experiment())
    for distance in (90.0, 91.0, 92.0):
        session.set("detector.distance_mm", distance, moving=True)
    session.set("detector.distance_mm", 93.0)
    session.set("beam.wavelength_angstrom", 1.1)
    assert session.undo() and session.state.experiment.detector.distance_mm == 93.0
    assert session.undo() and session.state.experiment.detector.distance_mm is None
    assert not session.undo()
    assert session.undo(-1) and session.undo(-1) and not session.undo(-1)
    assert session.state.experiment.beam.wavelength_angstrom == 1.1


def test_presets_can_all_be_simulated() -> None:
    for group, names in menu().items():
        for name in names:
            found = with_preset(experiment(), group, name)
            assert nb.simulate(found, roi=(slice(0, 20), slice(0, 20))).max() > 0, name
    amplitude = crystal("lysozyme, tetragonal").structure_factors.amplitude
    assert np.array_equal(amplitude, amplitude[::-1, ::-1, ::-1])  # Friedel's law
    with pytest.raises(nb.ConfigError, match="no preset"):
        with_preset(experiment(), "crystal", "kryptonite")
    of_panels = with_preset(experiment().replace(detector=PANELS), "detector", "pilatus_1m")
    assert of_panels.detector.n_fast == 981
    of_a_region = with_preset(
        experiment().replace("sampling.roi", (slice(0, 20), slice(0, 20))), "detector", "pilatus_1m"
    )
    assert of_a_region.sampling.roi is None


def test_of_two_fields_that_say_the_same_the_last_one_counts() -> None:
    session = Session(experiment())
    session.set("beam.wavelength_angstrom", 1.2)
    session.set("beam.energy_ev", 12000.0)
    assert session.state.experiment.beam.wavelength_angstrom is None
    session.set("beam.wavelength_angstrom", 1.3)
    assert session.state.experiment.beam.energy_ev is None
    session.set("detector.beam_center_mm", (30.0, 31.0))
    session.set("detector.beam_center_convention_mm", (40.0, 41.0))
    assert session.state.experiment.detector.beam_center_mm is None
