"""Options of convert, and the names that its messages give."""

import json

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from tests.field.field_inputs import FIELD, LENGTH, TEMPLATE, TO_CRYSTFEL, vectors

PLACES = FIELD / "f13_messages" / "places.geom"


def test_options_that_messages_name(tmp_path, capsys):
    out = tmp_path / "out.expt"
    assert main(["convert", str(PLACES), str(out)]) != 0
    text = capsys.readouterr().err
    assert "--camera-length" in text and "camera_length_m" not in text and text.count("places.geom") == 1
    assert main(["convert", str(PLACES), str(out), "--camera-length", "0.05"]) != 0
    text = capsys.readouterr().err
    assert "--wavelength" in text and "wavelength_angstrom" not in text
    assert main(["convert", str(PLACES), str(out), "--camera-length", "0.05", "--wavelength", "1.1"]) == 0
    found = nb.Experiment.from_dials(out, TEMPLATE)
    assert vectors(found.detector, TO_CRYSTFEL)[0][2] == pytest.approx(51, abs=LENGTH)
    assert found.beam.wavelength_angstrom == pytest.approx(1.1)


def test_an_index_that_is_needed(tmp_path, capsys):
    halls = FIELD / "f02_space_groups" / "halls.expt"
    assert main(["convert", str(halls), str(tmp_path / "x.expt")]) != 0
    assert "choose one with --index 0 to 17" in capsys.readouterr().err


def test_an_image_of_a_scan_that_varies(tmp_path):
    source = FIELD / "f01_scan_varying" / "crystal_varies.expt"
    assert main(["convert", str(source), str(tmp_path / "x.expt"), "--index", "0", "--image", "3"]) == 0
    found, right = (nb.Experiment.from_dials(path, TEMPLATE, **options) for path, options in (
        (tmp_path / "x.expt", {}), (source, {"index": 0, "image": 3})))  # fmt: skip
    np.testing.assert_allclose(found.crystal.a_star_matrix, right.crystal.a_star_matrix, atol=1e-12)
    assert found.goniometer.phi_start_deg == right.goniometer.phi_start_deg


def barrel(path, offsets):
    """The detector of f12 as DIALS writes it: 24 rows of modules on a half cylinder of 250 mm about x."""
    models = []
    for i in range(24):
        angle = np.radians((i - 11.5) * 7.5)
        normal, slow = np.array([0, np.sin(angle), -np.cos(angle)]), np.array([0, -np.cos(angle), -np.sin(angle)])
        origin = 250 * normal - 0.172 * (2463 / 2 * np.array([1, 0, 0]) + 195 / 2 * slow)
        models.append({"name": f"row-{i:02d}", "fast_axis": [1, 0, 0], "slow_axis": slow.tolist(), "origin": origin.tolist(),
                       "raw_image_offset": [0, 212 * i] if offsets else [0, 0], "image_size": [2463, 195],
                       "pixel_size": [0.172, 0.172]})  # fmt: skip
    beam = {"__id__": "monochromatic", "direction": [0, 0, 1], "wavelength": 1.0}
    path.write_text(
        json.dumps({"experiment": [{"beam": 0, "detector": 0}], "beam": [beam], "detector": [{"panels": models}]})
    )


def test_a_barrel_is_converted_with_the_geometry_of_a_list(tmp_path, capsys):
    image = FIELD / "f12_barrel" / "pilatus12m_0001.cbf.gz"
    assert main(["convert", str(image), str(tmp_path / "x.nxs")]) != 0
    assert "PILATUS 12M is curved" in capsys.readouterr().err
    barrel(tmp_path / "x.expt", offsets=True)
    assert main(["convert", str(image), str(tmp_path / "x.nxs"), "--geometry", str(tmp_path / "x.expt")]) == 0
    pixels, stored = nb.io.read_image(image), nb.io.read_image(tmp_path / "x.nxs")
    assert stored.shape == (24, 195, 2463) or stored.shape == (24 * 195, 2463)
    rows = stored.reshape(24, 195, 2463)
    assert all((rows[i] == pixels[212 * i : 212 * i + 195]).all() for i in range(24))
    found = nb.Experiment.from_image(tmp_path / "x.nxs", template=TEMPLATE).detector
    for panel in found:
        middle = np.array(panel.pix0_mm) + 0.172 * (
            2463 / 2 * np.array(panel.fast_axis) + 195 / 2 * np.array(panel.slow_axis)
        )
        assert np.linalg.norm(middle) == pytest.approx(250, abs=1e-6)
    barrel(tmp_path / "y.expt", offsets=False)
    assert main(["convert", str(image), str(tmp_path / "y.nxs"), "--geometry", str(tmp_path / "y.expt")]) != 0
    assert (
        "2463 x 5071 pixels is not that of the 24 panels of the geometry, below each other" in capsys.readouterr().err
    )
