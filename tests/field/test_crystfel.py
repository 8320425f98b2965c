"""Geometry files and streams of CrystFEL: units, places, shifts, what is written."""

import math
import re

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from tests.field.field_inputs import (
    FIELD,
    LENGTH,
    RELATIVE,
    TEMPLATE,
    TO_CRYSTFEL,
    assert_panel,
    panels,
    refusal,
    vectors,
    warned,
)

BASE = (FIELD / "f03_crystfel_units" / "base.geom").read_text()


def with_line(tmp_path, line, instead):
    assert line in BASE
    path = tmp_path / "x.geom"
    path.write_text(BASE.replace(line, instead))
    return path


@pytest.mark.parametrize(
    "line", ["clen = 0.05", "clen = 0.05 m", "clen = 50 mm", "clen = 50.0 mm ; 5e1", "clen = 5e1 mm"]
)
def test_camera_lengths(tmp_path, line):
    found = nb.Experiment.from_crystfel(with_line(tmp_path, "clen = 0.05", line), template=TEMPLATE)
    assert_panel(found.detector, (-6, -5, 51), (1, 0, 0), (0, 1, 0), TO_CRYSTFEL)
    assert (found.detector.n_fast, found.detector.n_slow) == (60, 50)
    assert found.detector.pixel_size_mm == pytest.approx(0.2)


@pytest.mark.parametrize(("line", "unit"), [("clen = 5 cm", "cm"), ("clen = 50mm", "50mm")])
def test_camera_lengths_in_other_units(tmp_path, line, unit):
    text = refusal(nb.Experiment.from_crystfel, with_line(tmp_path, "clen = 0.05", line), template=TEMPLATE)
    assert "clen" in text and unit in text and "m or mm" in text


@pytest.mark.parametrize("line", ["clen = /place/in/file", "clen = /place/in/file m"])
def test_camera_lengths_in_the_images(tmp_path, line):
    path = with_line(tmp_path, "clen = 0.05", line)
    assert "camera_length_m=" in refusal(nb.Experiment.from_crystfel, path, template=TEMPLATE)
    found = nb.Experiment.from_crystfel(path, template=TEMPLATE, camera_length_m=0.05)
    assert vectors(found.detector, TO_CRYSTFEL)[0][2] == pytest.approx(51, abs=LENGTH)


ELECTRONS = [("electron_voltage = 300 kV", 0.01968749), ("electron_voltage = 300000 V", 0.01968749),
             ("electron_voltage = 200 kV", 0.02507934)]  # fmt: skip


@pytest.mark.parametrize(("line", "wavelength"), [
    ("photon_energy = 9000 eV", 1.3776022), ("photon_energy = 9000", 1.3776022), ("photon_energy = 9 keV", 1.3776022),
    ("photon_energy = 9e3 eV", 1.3776022), ("wavelength = 1.377602 A", 1.377602), ("wavelength = 1.377602e-10 m", 1.377602),
    *ELECTRONS,
])  # fmt: skip
def test_wavelengths(tmp_path, line, wavelength):
    found = nb.Experiment.from_crystfel(with_line(tmp_path, "photon_energy = 9000 eV", line), template=TEMPLATE)
    assert found.beam.wavelength_angstrom == pytest.approx(wavelength, rel=RELATIVE)


@pytest.mark.parametrize("line", ["photon_energy = 0.009 MeV", "wavelength = 1.377602", "electron_voltage = 300"])
def test_wavelengths_in_other_units(tmp_path, line):
    text = refusal(nb.Experiment.from_crystfel, with_line(tmp_path, "photon_energy = 9000 eV", line), template=TEMPLATE)
    assert line in text and "CrystFEL does not know" in text


@pytest.mark.parametrize("line", ["wavelength = /place m", "photon_energy = /place", "electron_voltage = /place kV"])
def test_wavelengths_in_the_images(tmp_path, line):
    path = with_line(tmp_path, "photon_energy = 9000 eV", line)
    assert "wavelength_angstrom=" in refusal(nb.Experiment.from_crystfel, path, template=TEMPLATE)
    found = nb.Experiment.from_crystfel(path, template=TEMPLATE, wavelength_angstrom=1.2345)
    assert found.beam.wavelength_angstrom == 1.2345


@pytest.mark.parametrize("name", ["shift_mm.geom", "shift_bare.geom"])
def test_shifts(name):
    first, second = panels(nb.Experiment.from_crystfel(FIELD / "f04_detector_shift" / name, template=TEMPLATE))
    assert_panel(first, (-4.5, -5.5, 51), (1, 0, 0), (0, 1, 0), TO_CRYSTFEL)
    assert_panel(second, (9.5, -5.5, 51), (1, 0, 0), (0, 1, 0), TO_CRYSTFEL)


def test_shifts_in_the_images():
    with warned() as texts:
        nb.Experiment.from_crystfel(FIELD / "f04_detector_shift" / "shift_place.geom", template=TEMPLATE)
    assert any("detector_shift_x = /place/x" in text for text in texts)
    assert any("detector_shift_y = /place/y" in text for text in texts)


@pytest.mark.parametrize("name", ["clen_below.geom", "panel_clen.geom"])
def test_where_clen_may_stand(name):
    found = nb.Experiment.from_crystfel(FIELD / "f05_write_geom" / name, template=TEMPLATE)
    assert_panel(found.detector, (-6, -5, 51), (1, 0, 0), (0, 1, 0), TO_CRYSTFEL)
    assert found.beam.wavelength_angstrom == pytest.approx(1.377602, rel=RELATIVE)


def parsed_like_crystfel(text):
    """A geometry file by the rules of CrystFEL 0.11, which breaks off where they are broken."""
    top, panels, order = {}, {}, []
    number = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"
    for line in text.splitlines():
        line = line.partition(";")[0].strip()
        if not line:
            continue
        key, value = (word.strip() for word in line.split("=", 1))
        name, slash, field = key.partition("/")
        assert key.count("/") < 2 and " " not in key
        if not slash:
            assert not panels or key in ("clen", "wavelength", "photon_energy"), f"{key} stands below the panels"
            top[key] = value
            continue
        if name.startswith("bad"):
            continue
        assert not name.startswith(("group", "rigid_group")) and field != "clen"
        if name not in panels:
            panels[name] = dict(top)
            order.append(name)
        if field in ("fs", "ss"):
            assert re.fullmatch(r"[-+0-9.xyz ]+", value), value
        panels[name][field] = value
    assert re.fullmatch(rf"{number} (m|mm)", top["clen"])
    assert re.fullmatch(rf"{number} (A|m)", top["wavelength"])
    assert (top["data"], top["dim0"], top["dim1"], top["dim2"]) == ("/entry/data/data", "%", "ss", "fs")
    clen = float(top["clen"].split()[0]) * {"m": 1e3, "mm": 1.0}[top["clen"].split()[1]]
    found = []
    for name in order:
        panel = panels[name]
        assert {"min_fs", "max_fs", "min_ss", "max_ss", "fs", "ss", "corner_x", "corner_y", "res"} <= set(panel)
        assert {"adu_per_photon", "adu_per_eV"} & set(panel)
        axes = []
        for field in ("fs", "ss"):
            axis = np.zeros(3)
            for term in re.findall(r"[-+]?[0-9.]*[xyz]", panel[field].replace(" ", "")):
                axis["xyz".index(term[-1])] += float(term[:-1] if term[:-1] not in ("", "+", "-") else term[:-1] + "1")
            axes.append(axis)
        edge = 1000 / float(panel["res"])
        found.append({
            "corner": np.array([*(float(panel[f"corner_{axis}"]) * edge for axis in "xy"),
                                clen + 1000 * float(panel.get("coffset", 0))]),
            "axes": axes, "edge": edge, "size": [int(panel[f"max_{s}"]) - int(panel[f"min_{s}"]) + 1 for s in ("fs", "ss")],
        })  # fmt: skip
    return float(top["wavelength"].split()[0]), found


@pytest.mark.parametrize("how", ["to_crystfel", "convert"])
def test_a_geometry_file_that_crystfel_takes(tmp_path, how):
    source = FIELD / "f05_write_geom" / "two_panels.expt"
    if how == "convert":
        assert main(["convert", str(source), str(tmp_path / "out.geom")]) == 0
    else:
        nb.Experiment.from_dials(source, TEMPLATE).to_crystfel(tmp_path / "out.geom", tmp_path / "out.stream")
    wavelength, found = parsed_like_crystfel((tmp_path / "out.geom").read_text())
    assert wavelength == pytest.approx(1.2, rel=RELATIVE)
    assert [panel["size"] for panel in found] == [[60, 50], [60, 50]]
    assert [panel["edge"] for panel in found] == pytest.approx([0.2, 0.2])
    right = np.array([(5.29878, 6.1, 60.117992), (-8.3085, -5, 60.345910)])
    corners = np.array([panel["corner"] for panel in found])
    np.testing.assert_allclose(corners[:, 2], right[:, 2], atol=LENGTH)
    # up to a common turn about the beam: lengths and the angle between the corners
    np.testing.assert_allclose(np.hypot(*corners[:, :2].T), np.hypot(*right[:, :2].T), atol=LENGTH)
    assert corners[0, :2] @ corners[1, :2] == pytest.approx(right[0, :2] @ right[1, :2], abs=1e-3)
    again = nb.Experiment.from_crystfel(tmp_path / "out.geom", template=TEMPLATE)
    assert len(panels(again)) == 2


def test_masked_pixels_are_bad_regions(tmp_path):
    mask = np.ones((1024, 1024), bool)
    mask[3:5, 10:20] = False
    TEMPLATE.replace("detector.mask", mask).to_crystfel(tmp_path / "x.geom")
    found = nb.Experiment.from_crystfel(tmp_path / "x.geom", template=TEMPLATE)
    np.testing.assert_array_equal(found.detector.mask, mask)


@pytest.mark.parametrize(("name", "edges", "corners"), [
    ("ratio_1e-5.geom", (0.2000000, 0.1999980), [(-6, -5), (6, -5), (-5.98, 4.99988), (6.02, 4.99988)]),
    ("ratio_1e-3.geom", (0.1999860, 0.1997940), [(-6, -5), (5.99916, -5.00408), (-5.9995, 4.9897), (5.99966, 4.98562)]),
    ("ratio_10percent.geom", (0.2, 0.22), [(-6, -5), (6, -5), (-6, 6), (6, 6)]),
])  # fmt: skip
def test_pixels_that_are_not_square(tmp_path, name, edges, corners):
    """They are simulated as they are, and written so."""
    first = nb.Experiment.from_crystfel(FIELD / "f06_not_square" / name, template=TEMPLATE)
    first.to_crystfel(tmp_path / "again.geom")
    for found in (first, nb.Experiment.from_crystfel(tmp_path / "again.geom", template=TEMPLATE)):
        assert found.detector.pixel_size_mm == pytest.approx(edges, abs=1e-7)
        origin, fast, slow = vectors(found.detector, TO_CRYSTFEL)
        along = found.detector.pixel_size_mm[0] * fast, found.detector.pixel_size_mm[1] * slow
        placed = np.array([origin + i * along[0] + j * along[1] for i, j in ((0, 0), (60, 0), (0, 50), (60, 50))])
        np.testing.assert_allclose(placed[:, :2], corners, atol=LENGTH)
        np.testing.assert_allclose(placed[:, 2], 51, atol=LENGTH)
        center = np.array(nb.trace(found, (49, 59)).last("position_m"))  # of the last pixel, as the kernel has it
        np.testing.assert_allclose(1000 * TO_CRYSTFEL @ center, placed[3] - sum(along) / 2, atol=LENGTH)


def test_axes_that_are_parallel():
    text = refusal(nb.Experiment.from_crystfel, FIELD / "f13_messages" / "parallel.geom", template=TEMPLATE)
    assert "fs (fast) and ss (slow) of panel p0 are parallel" in text


def test_the_arguments_that_messages_name():
    path = FIELD / "f13_messages" / "places.geom"
    text = refusal(nb.Experiment.from_crystfel, path, template=TEMPLATE)
    assert "clen = /entry/det_z" in text and "camera_length_m=" in text
    text = refusal(nb.Experiment.from_crystfel, path, template=TEMPLATE, camera_length_m=0.05)
    assert "photon_energy" in text and "wavelength_angstrom=" in text
    found = nb.Experiment.from_crystfel(path, template=TEMPLATE, camera_length_m=0.05, wavelength_angstrom=1.1)
    assert vectors(found.detector, TO_CRYSTFEL)[0][2] == pytest.approx(51, abs=LENGTH)


@pytest.mark.parametrize("twice", [False, True])
def test_everything_in_the_stream(twice):
    path = FIELD / "m08_stream_geometry" / "block.stream"
    with warned() as texts:
        found = nb.Experiment.from_crystfel(path, path if twice else None, TEMPLATE, index=0)
    assert_panel(found.detector, (-6, -5, 81), (1, 0, 0), (0, 1, 0), TO_CRYSTFEL)
    assert found.beam.wavelength_angstrom == pytest.approx(1.3476543, rel=RELATIVE)
    stars = np.asarray(found.crystal.a_star_matrix) @ TO_CRYSTFEL.T
    right = [(0.012, 0.005, -0.002), (-0.004, 0.011, 0.006), (0.002, -0.003, 0.009)]
    np.testing.assert_allclose(stars, right, atol=1e-6 * 0.013)
    assert any("det_shift x = 0.050 y = -0.020 mm" in text for text in texts)
    given = nb.Experiment.from_crystfel(path, template=TEMPLATE, camera_length_m=0.09)
    assert vectors(given.detector, TO_CRYSTFEL)[0][2] == pytest.approx(91, abs=LENGTH)
    assert math.isclose(nb.read_geometry(path, template=TEMPLATE).beam.wavelength_angstrom, 1.3476543, rel_tol=RELATIVE)


def test_two_energies_are_told_and_half_pixels_refused(tmp_path):
    with warned() as texts:
        found = nb.Experiment.from_crystfel(
            with_line(tmp_path, "photon_energy = 9000 eV", "photon_energy = 9000 eV\nwavelength = 1.5 A"),
            template=TEMPLATE,
        )
    assert found.beam.wavelength_angstrom == 1.5
    assert any("wavelength and photon_energy are there; wavelength is taken" in text for text in texts)
    text = refusal(
        nb.Experiment.from_crystfel, with_line(tmp_path, "p0/min_fs = 0", "p0/min_fs = 0.5"), template=TEMPLATE
    )
    assert "p0/min_fs = 0.5: must be a whole number" in text


def test_a_term_without_digits(tmp_path):
    text = refusal(nb.Experiment.from_crystfel, with_line(tmp_path, "p0/fs = +1.0x", "p0/fs = +.x"), template=TEMPLATE)
    assert "p0/fs = +.x: must look like" in text
