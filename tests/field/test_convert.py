"""Options of convert, and the names that its messages give."""

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
