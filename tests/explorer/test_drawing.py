"""What stands over the picture, and how values move a geometry that came from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.api import decide
from nanobragg.explorer.changes import replaced
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.drawing.looking import pixel_rows, profile
from nanobragg.explorer.drawing.overlay import labels, marks
from nanobragg.explorer.presets import menu, with_preset
from nanobragg.explorer.rendering import Renderer
from nanobragg.explorer.session import Picture
from nanobragg.refinement.variables.crystals import parameters_of


def experiment(**detector: object) -> nb.Experiment:
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(50, 60, 70, 90, 90, 90), n_cells=(8, 8, 8), misset_deg=(10, 20, 30),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(wavelength_angstrom=1.0),
        detector=nb.Detector(**{"n_fast": 60, "n_slow": 50, "pixel_size_mm": 1.0, "distance_mm": 60.0, **detector}),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def picture(of: nb.Experiment) -> Picture:
    renderer = Renderer()
    plan = renderer.plan(of)
    frame = renderer.exact(plan, lambda: False)
    return Picture(frame, plan, Layout(plan), frame.photons, "photons", 1, 0)


WEDGE = (
    nb.Detector(n_fast=40, n_slow=30, pixel_size_mm=1.0, fast_axis=(0, 0, 1), slow_axis=(0, -1, 0), normal_axis=(1, 0, 0),
                pix0_mm=(60.0, 40.0, -20.0), name="front"),
    nb.Detector(n_fast=40, n_slow=30, pixel_size_mm=1.0, fast_axis=(0, 0, 1), slow_axis=(1, 0, 0), normal_axis=(0, 1, 0),
                pix0_mm=(60.0, 40.0, -20.0), name="above"),
)  # fmt: skip
"""A panel before the sample and one above it, which the beam sees edge-on."""
SHAPES = {
    "flat": experiment(),
    "swung": experiment(twotheta_deg=25.0),
    "tilted": experiment(rotation_deg=(5.0, 10.0, -20.0)),
    "curved": experiment(curved=True, beam_center_mm=(22.0, 31.0)),
    "bent by the axes of the laboratory": experiment(curved=True).replace(quirks=frozenset({nb.Quirk.CURVED_DET_AXES})),
    "not square": experiment(pixel_size_mm=(1.0, 1.3)),
    "edge-on": experiment().replace(detector=WEDGE),
    "several crystals": experiment().replace(
        crystal=(experiment().crystal, experiment().crystal.with_value("misset_deg", (50, 60, 70)))
    ),
    "many sources": experiment().replace("beam.dispersion_percent", 3.0).replace("beam.n_wavelengths", 7),
}


@pytest.mark.parametrize("name", SHAPES)
def test_hover_has_spacing_and_indices_of_the_trace(name: str) -> None:
    """Independent: the trace, which the arithmetic of the kernel makes; of several sources their middle one."""
    of = SHAPES[name]
    shown = picture(of)
    several = shown.layout.index is not None
    crystals = of.crystal if isinstance(of.crystal, tuple) else (of.crystal,)
    cell = np.array([crystals[0].unit_cell.a, crystals[0].unit_cell.b, crystals[0].unit_cell.c])
    seen = set()
    for row in np.linspace(2, shown.layout.shape[0] - 3, 7).astype(int):
        found, table = pixel_rows(shown, 17.4, row + 0.6)
        if found is None:
            continue
        panel, slow, fast = found
        traced = nb.trace(of, (panel, slow, fast) if several else (slow, fast)).values("hkl")
        told = dict(table)
        image = shown.frame.photons[panel] if several else shown.frame.photons
        assert float(told["photons"]) == pytest.approx(float(image[slow, fast]), rel=1e-5)  # six digits
        for i, _ in enumerate(crystals):
            expected = np.array(traced[len(traced) // 2] if len(crystals) == 1 else traced[i])
            indices = told["h k l" if len(crystals) == 1 else f"h k l, crystal {i}"]
            assert [float(x) for x in indices.split()] == pytest.approx(expected, abs=0.0051)  # two digits
            # four digits; the cell is orthorhombic
            assert float(told["d"].split()[0]) == pytest.approx(1 / np.linalg.norm(expected / cell), rel=6e-4)
        seen.add(panel)
    assert len(seen) == (2 if several else 1)


@pytest.mark.parametrize("name", SHAPES)
def test_rings_have_their_spacing(name: str) -> None:
    """By the trace of the pixels in which their points lie: the scattering angle differs by that of 0.71 pixels at most."""
    of = SHAPES[name]
    shown = picture(of)
    found = marks(shown.layout)
    assert len(found["borders"]) == len(shown.layout.shapes)
    assert len({ring["d"] for ring in found["rings"]}) >= 3
    wavelength = (
        np.mean(nb.trace(of, (0, 1, 1) if shown.layout.index is not None else (1, 1)).values("wavelength_m")) * 1e10
    )
    checked = 0
    for ring in found["rings"]:
        for column, row in ring["line"][3:-3:17]:
            pixel = shown.layout.pixel(column, row)
            if pixel is None:  # between the panels, by rounding
                continue
            traced = nb.trace(of, pixel if shown.layout.index is not None else pixel[1:])
            ray = np.array(traced.last("direction"))
            angle = np.arccos(ray @ np.array(traced.last("beam_direction")))
            length = float(traced.last("airpath_m")) * 1000
            expected = 2 * np.arcsin(wavelength / (2 * ring["d"]))
            assert (
                abs(angle - expected) < 0.71 * max(shown.plan.scenes[pixel[0]][0][0].pixel_size) * 1000 / length * 1.05
            )
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", ["flat", "tilted", "not square", "edge-on", "several crystals", "many sources"])
def test_labels_stand_on_spots(name: str) -> None:
    """At the brightest ones the image has photons that half of its pixels do not have a fiftieth of."""
    of = SHAPES[name].replace("sampling.oversample", 6)
    crystals = of.crystal if isinstance(of.crystal, tuple) else (of.crystal,)
    crystals = tuple(one.with_value("shape", "gauss") for one in crystals)
    of = of.replace(crystal=crystals if len(crystals) > 1 else crystals[0])
    shown = picture(of)
    image = shown.layout.picture(shown.frame.photons)
    usual = np.median(image if shown.layout.known is None else image[shown.layout.known])
    found = labels(shown.layout, nb.predict(of))
    assert len(found) > 20
    for column, row, text, crystal in found[:20]:
        i, j = int(row), int(column)
        near = image[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
        assert near.max() > 50 * usual, (text, crystal)  # 70 at least, measured
    assert {one[3] for one in found} == ({0, 1} if name == "several crystals" else {0})


def test_panels_that_the_beam_sees_edge_on_stand_below_each_other() -> None:
    shown = picture(SHAPES["edge-on"])
    layout = shown.layout
    assert layout.shape == (61, 40)
    assert layout.known.sum() == 2 * 30 * 40 and not layout.known[30].any()
    assert (
        layout.pixel(5.5, 3.2) == (0, 3, 5) and layout.pixel(5.5, 34.2) == (1, 3, 5) and layout.pixel(5.5, 30.5) is None
    )
    together = layout.picture(shown.frame.photons)
    assert np.array_equal(together[31:], shown.frame.photons[1])
    assert [border["name"] for border in marks(layout)["borders"]] == ["front", "above"]


def test_a_profile_leaves_gaps_where_there_is_no_pixel() -> None:
    shown = picture(SHAPES["edge-on"])
    values = profile(shown.layout.picture(shown.frame.photons), shown.layout.known, [[3.5, 25.5], [3.5, 35.5]])
    assert np.isnan(values).sum() == 1 and np.isfinite(values[:5]).all() and np.isfinite(values[6:]).all()


FROM_A_FILE = experiment(
    distance_mm=None, pix0_mm=(90.0, 30.0, -25.0), fast_axis=(0, 0, 1), slow_axis=(0, -1, 0), normal_axis=(1, 0, 0)
)
"""As those of geometry files: the corner is given."""


@pytest.mark.parametrize("rotation", [(0, 0, 0), (4, -8, 15)])
@pytest.mark.parametrize("path", ["detector", "detector[1]"])
def test_distance_and_center_move_a_panel_whose_corner_is_given(path: str, rotation: tuple[float, ...]) -> None:
    of = FROM_A_FILE.replace("detector.rotation_deg", rotation)
    if path != "detector":
        of = of.replace(detector=(of.detector, of.detector))
        of = of.replace("detector[0].pix0_mm", (90.0, 90.0, -25.0))
    number = 1 if path != "detector" else 0
    before = decide(of)[number][0].placement
    farther = decide(replaced(of, f"{path}.distance_mm", 140.0))[number][0].placement
    assert farther.distance_to_plane == pytest.approx(0.14, abs=1e-11)  # corners are kept to 1e-9 mm
    assert (farther.fbeam, farther.sbeam) == pytest.approx((before.fbeam, before.sbeam), abs=1e-11)
    aside = decide(replaced(of, f"{path}.beam_center_mm", (20.0, 11.0)))[number][0].placement
    assert (aside.fbeam, aside.sbeam) == pytest.approx((0.02, 0.011), abs=1e-11)
    assert aside.distance_to_plane == pytest.approx(before.distance_to_plane, abs=1e-11)
    one = decide(replaced(of, f"{path}.beam_center_mm[1]", 7.0))[number][0].placement
    assert (one.fbeam, one.sbeam) == pytest.approx((before.fbeam, 0.007), abs=1e-11)
    other = replaced(of, f"{path}.distance_mm", 140.0)
    assert not np.allclose(np.ravel(nb.simulate(other)), np.ravel(nb.simulate(of)))
    with pytest.raises(nb.ConfigError, match="distance_mm"):
        replaced(of, f"{path}.distance_mm", -3.0)


@pytest.mark.parametrize("pose", [None, nb.Pose(shift_mm=(1.0, 2.0, 3.0), rotation_deg=(3.0, -4.0, 5.0))])
def test_several_panels_move_together(pose: nb.Pose | None) -> None:
    """Distance and center are those of the first panel; the second one goes the same way."""
    first = FROM_A_FILE.detector
    of = FROM_A_FILE.replace(detector=(first, first.with_value("pix0_mm", (95.0, -22.0, -25.0))), detector_pose=pose)
    before = [one[0].placement for one in decide(of)]
    moves = (
        ("detector.distance_mm", 140.0),
        ("detector.beam_center_mm", (20.0, 11.0)),
        ("detector.beam_center_mm[1]", 7.0),
    )
    for path, value in moves:
        moved = replaced(of, path, value)
        after = [one[0].placement for one in decide(moved)]
        found = {"detector.distance_mm": 1000 * after[0].distance_to_plane, "detector.beam_center_mm[1]": 1000 * after[0].sbeam,
                 "detector.beam_center_mm": (1000 * after[0].fbeam, 1000 * after[0].sbeam)}[path]  # fmt: skip
        assert found == pytest.approx(value, abs=1e-8)  # shifts are kept to 1e-9 mm
        ways = [np.subtract(new.pix0, old.pix0) for new, old in zip(after, before, strict=True)]
        assert ways[0] == pytest.approx(ways[1], abs=1e-14) and np.linalg.norm(ways[0]) > 1e-3
    with pytest.raises(nb.ConfigError, match=r"detector.distance_mm=-1"):
        replaced(of, "detector.distance_mm", -1.0)


def test_what_would_be_idle_or_contradict_is_left_open() -> None:
    of = (
        experiment(distance_mm=None, close_distance_mm=70.0)
        .replace("beam.flux_per_s", 1e12)
        .replace("beam.size_mm", 0.1)
    )
    assert replaced(of, "detector.distance_mm", 80.0).detector.close_distance_mm is None
    brighter = replaced(of, "beam.fluence_per_m2", 1e25)
    assert brighter.beam.flux_per_s is None and brighter.beam.fluence_per_m2 == 1e25


@pytest.mark.parametrize(
    "of",
    [
        experiment().replace("beam.spectrum", nb.Spectrum(kind="gaussian", fwhm_percent=1.0)),
        experiment().replace("beam.sources", nb.Sources(wavelength_angstrom=[1.0, 1.1])),
        FROM_A_FILE, SHAPES["edge-on"], SHAPES["several crystals"], SHAPES["curved"],
    ],
)  # fmt: skip
def test_presets_take_the_place_of_whatever_was_there(of: nb.Experiment) -> None:
    for group, names in menu().items():
        for name in names:
            with_it = with_preset(of, group, name)
            placed = decide(with_it)[0][0].placement
            if group == "detector":
                assert placed.distance_to_plane == pytest.approx(decide(of)[0][0].placement.distance_to_plane, abs=1e-9)
                assert isinstance(with_it.detector, nb.Detector)
            elif group == "crystal":
                assert isinstance(with_it.crystal, nb.Crystal)
            else:
                assert with_it.beam.spectrum is None and with_it.beam.sources is None


@pytest.mark.parametrize(
    "fields",
    [
        {"misset_deg": "random", "misset_seed": 77},
        {"unit_cell": None, "misset_deg": (1, 2, 3),
         "a_star_matrix": np.array([[0, 0.017, 0], [-0.016, 0, 0.001], [0, 0.002, 0.025]])},
    ],
)  # fmt: skip
def test_a_crystal_by_name_is_turned_as_the_one_before(fields: dict[str, Any]) -> None:
    """Where both have the same cell, they have the same axes."""
    of = experiment()
    of = of.replace(crystal=nb.Crystal(**{"unit_cell": of.crystal.unit_cell, "n_cells": (5, 5, 5),
                                          "structure_factors": of.crystal.structure_factors, **fields}))  # fmt: skip
    new = with_preset(of, "crystal", "thaumatin")
    cell = parameters_of(_axes(of))
    assert np.allclose(_axes(new.replace("crystal.unit_cell", nb.UnitCell(*cell))), _axes(of), atol=1e-9)


def _axes(of: nb.Experiment) -> Any:
    cell = decide(of)[0][0].cell
    return np.array([cell.a_star, cell.b_star, cell.c_star])


def test_reflections_are_named_by_the_crystal_that_has_them() -> None:
    of = SHAPES["several crystals"]
    found = labels(picture(of).layout, nb.predict(of))
    spots = nb.predict(of)
    first = spots.table[np.argmax(spots["photons"])]
    assert found[0][2:] == [" ".join(map(str, first["hkl"])), int(first["crystal"])]
