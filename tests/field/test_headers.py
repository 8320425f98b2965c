"""Headers of CBF and SMV images, packed files, and what cannot be read."""

import bz2
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.io import read_image
from tests.field.field_inputs import (
    DIRECTION,
    FIELD,
    LENGTH,
    TEMPLATE,
    TO_DIALS,
    assert_panel,
    refusal,
    spindle,
    vectors,
    warned,
)

AXES = FIELD / "f11_minicbf_axis"
MESSAGES = FIELD / "f13_messages"
HEADERS = FIELD / "f14_lists_and_headers"


def assert_the_small_pilatus(found):
    assert (found.detector.n_fast, found.detector.n_slow) == (60, 50)
    assert found.detector.pixel_size_mm == pytest.approx(0.172)
    assert_panel(found.detector, (-5.246, 3.483, -200), (1, 0, 0), (0, -1, 0))
    assert found.beam.wavelength_angstrom == pytest.approx(0.96859)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (10, 0.5)


@pytest.mark.parametrize(("name", "axis", "said"), [
    ("x_cw_0001.cbf", (1, 0, 0), None), ("phi_0001.cbf", (1, 0, 0), None), ("x_cw_minus_fast_0001.cbf", (-1, 0, 0), None),
    ("x_cw_slow_0001.cbf", (0, 1, 0), "Oscillation_axis X.CW +SLOW"),
])  # fmt: skip
def test_oscillation_axes(name, axis, said):
    with warned() as texts:
        found = nb.Experiment.from_image(AXES / name, TEMPLATE)
    assert_the_small_pilatus(found)
    np.testing.assert_allclose(spindle(found), axis, atol=DIRECTION)
    assert texts == [] if said is None else [said in text for text in texts] == [True]


@pytest.mark.parametrize(("line", "said"), [("X, CW", False), ("OMEGA", False), ("CCW", True), ("Y.CW +SIDE", True)])
def test_words_of_oscillation_axes(tmp_path, line, said):
    data = (AXES / "x_cw_0001.cbf").read_bytes().replace(b"Oscillation_axis X.CW", f"Oscillation_axis {line}".encode())
    (tmp_path / "x.cbf").write_bytes(data)
    with warned() as texts:
        found = nb.Experiment.from_image(tmp_path / "x.cbf", TEMPLATE)
    np.testing.assert_allclose(spindle(found), (1, 0, 0), atol=DIRECTION)
    assert [f"# Oscillation_axis {line}" in text and "(1, 0, 0)" in text for text in texts] == ([True] if said else [])


def test_a_detector_that_is_not_flat(tmp_path, capsys):
    path = FIELD / "f12_barrel" / "pilatus12m_0001.cbf.gz"
    text = refusal(nb.Experiment.from_image, path, TEMPLATE)
    assert "PILATUS 12M is curved" in text and ".expt" in text
    assert read_image(path).shape == (5071, 2463)


@pytest.mark.parametrize("name", ["image_0001.cbf", "image_0001.cbf.gz", "image_0001.cbf.bz2"])
def test_packed_files(tmp_path, name, capsys):
    path = Path(shutil.copy(MESSAGES / name, tmp_path))
    assert_the_small_pilatus(nb.Experiment.from_image(path, TEMPLATE))
    pixels = read_image(path)
    np.testing.assert_array_equal(pixels.ravel(), np.arange(3000) % 11)
    assert pixels.sum() == 14988
    assert main(["convert", str(path), str(tmp_path / "x.nxs")]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "x.nxs"), pixels)
    assert main(["convert", str(path), str(tmp_path / "x.expt")]) == 0
    assert_the_small_pilatus(nb.Experiment.from_dials(tmp_path / "x.expt", TEMPLATE))
    assert main(["view", str(path)]) == 0


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_files_that_are_damaged(tmp_path, pack):
    whole = pack((MESSAGES / "image_0001.cbf").read_bytes())
    (tmp_path / "x.cbf").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refusal(read_image, tmp_path / "x.cbf")
    (tmp_path / "x.cbf").write_bytes(whole[:40] + bytes(range(60)) + whole[100:])
    with pytest.raises(nb.FileFormatError):
        read_image(tmp_path / "x.cbf")


def test_units_that_stand_in_the_header(tmp_path):
    assert_the_small_pilatus(nb.Experiment.from_image(HEADERS / "distance_mm_0001.cbf", TEMPLATE))
    data = (HEADERS / "distance_mm_0001.cbf").read_bytes()
    for line, unknown in (
        (b"200.0 mm", b"200.0 furlong"),
        (b"0.096859 nm", b"0.096859 keV"),
        (b"0.0190000 s", b"0.019 min.ute"),
    ):
        (tmp_path / "x.cbf").write_bytes(data.replace(line, unknown))
        text = refusal(nb.Experiment.from_image, tmp_path / "x.cbf", TEMPLATE)
        assert unknown.split()[1].decode() in text and "is not known" in text


def test_what_is_not_used_of_a_header_is_said():
    with warned() as texts:
        found = nb.Experiment.from_image(HEADERS / "not_read_0001.cbf", TEMPLATE)
    assert_the_small_pilatus(found)
    assert len(texts) == 1 and all(
        item in texts[0] for item in ("Flux", "Filter_transmission", "Detector_Voffset 0.01", "Kappa 30", "Chi 5")
    )
    assert found.beam.kahn_factor == pytest.approx(0.98)
    np.testing.assert_allclose(np.abs(TO_DIALS @ np.array(found.beam.polarization_axis)), (1, 0, 0), atol=DIRECTION)
    assert found.detector.sensor.thickness_um == pytest.approx(450)
    assert found.beam.exposure_s == pytest.approx(0.019)


@pytest.mark.parametrize("name", ["lf_0001.img", "crlf_0001.img"])
def test_smv_with_either_end_of_line(name):
    found = nb.Experiment.from_image(HEADERS / name, TEMPLATE)
    assert (found.detector.n_fast, found.detector.n_slow, found.detector.pixel_size_mm) == (64, 48, 0.1024)
    assert_panel(found.detector, (-3.2, 2.5, -200), (1, 0, 0), (0, -1, 0))
    assert found.beam.wavelength_angstrom == pytest.approx(0.9795)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (10, 0.5)
    np.testing.assert_array_equal(read_image(HEADERS / name).ravel(), np.arange(64 * 48) % 13)


def test_imgcif_with_axes():
    path = FIELD / "m01_imgcif" / "axes_0001.cbf"
    found = nb.Experiment.from_image(path, TEMPLATE)
    assert (found.detector.n_fast, found.detector.n_slow) == (60, 50)
    assert found.detector.pixel_size_mm == pytest.approx(0.2)
    assert_panel(found.detector, (-6.7, -18.982703, -118.64597), (1, 0, 0), (0, -0.9781476, 0.20791169))
    assert found.beam.wavelength_angstrom == pytest.approx(0.75)
    np.testing.assert_allclose(spindle(found), (0.92138056, 0.0015436809, 0.38865857), atol=DIRECTION)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (20, 0.5)
    assert found.beam.kahn_factor == pytest.approx(0.9)
    np.testing.assert_array_equal(read_image(path).ravel(), np.arange(3000) % 11)


def changed_axes(tmp_path, *changes):
    data = (FIELD / "m01_imgcif" / "axes_0001.cbf").read_bytes()
    for before, after in changes:
        assert before in data
        data = data.replace(before, after)
    (tmp_path / "x.cbf").write_bytes(data)
    return tmp_path / "x.cbf"


def test_imgcif_whose_displacement_is_that_of_the_corner(tmp_path):
    path = changed_axes(tmp_path, (b"ELEMENT_X ELEMENT_X 0.1 0.2", b"ELEMENT_X ELEMENT_X 0 0.2"),
                        (b"ELEMENT_Y ELEMENT_Y -0.1 -0.2", b"ELEMENT_Y ELEMENT_Y 0 -0.2"))  # fmt: skip
    found = nb.Experiment.from_image(path, TEMPLATE)
    assert_panel(found.detector, (-6.7, -18.982703, -118.64597), (1, 0, 0), (0, -0.9781476, 0.20791169))


def test_imgcif_that_turns_backwards(tmp_path):
    path = changed_axes(tmp_path, (b"GONIOMETER_PHI 20.0000 0.5 0.5", b"GONIOMETER_PHI 20.0000 -0.5 -0.5"))
    found = nb.Experiment.from_image(path, TEMPLATE)
    np.testing.assert_allclose(spindle(found), (-0.92138056, -0.0015436809, -0.38865857), atol=DIRECTION)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (-20, 0.5)


@pytest.mark.parametrize(("before", "after", "message"), [
    (b"1 60 1 increasing", b"1 60 1 decreasing", "direction decreasing"),
    (b"detector DETECTOR_Z 0 1 0", b"detector DETECTOR_W 0 1 0", "there is no axis 'DETECTOR_W'"),
    (b"DETECTOR_2THETA rotation detector .", b"DETECTOR_2THETA rotation detector ELEMENT_Y", "depends on itself"),
])  # fmt: skip
def test_imgcif_that_cannot_be_read(tmp_path, before, after, message):
    assert message in refusal(nb.Experiment.from_image, changed_axes(tmp_path, (before, after)), TEMPLATE)


def test_dtrek():
    path = FIELD / "m05_dtrek" / "swing_0001.img"
    found = nb.Experiment.from_image(path, TEMPLATE)
    assert (found.detector.n_fast, found.detector.n_slow, found.detector.pixel_size_mm) == (64, 48, 0.1)
    assert_panel(found.detector, (-3.4798787, 19.250462, -46.173784), (0.99993259, 0.010517153, -0.0049201966),
                 (0.008200261, -0.93965684, -0.34202014))  # fmt: skip
    assert found.beam.wavelength_angstrom == pytest.approx(1.5418)
    np.testing.assert_allclose(TO_DIALS @ np.array(found.beam.direction), (0, 0, -1), atol=DIRECTION)
    np.testing.assert_allclose(spindle(found), (1, 0, 0), atol=DIRECTION)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (20, 0.5)


def test_pixels_in_the_scheme_packed():
    path = FIELD / "m09_packed" / "packed_0001.cbf"
    assert_the_small_pilatus(nb.Experiment.from_image(path, TEMPLATE))
    np.testing.assert_array_equal(read_image(path).ravel(), np.arange(3000) % 11)


def test_a_detector_that_swings(tmp_path):
    """TWOTHETA turns the whole detector upwards about the sample, with a warning: the header says neither axis nor center."""
    header = (FIELD / "f14_lists_and_headers" / "lf_0001.img").read_bytes()
    path = tmp_path / "swing_0001.img"
    path.write_bytes(header.replace(b"TWOTHETA=0.0", b"TWOTHETA=15 ", 1))
    with warned() as texts:
        found = nb.Experiment.from_image(path, template=TEMPLATE).detector
    assert any("swing_0001.img: TWOTHETA=15: taken as a swing upwards" in text for text in texts)
    c, s = np.cos(np.radians(15)), np.sin(np.radians(15))
    origin, fast, slow = vectors(found, TO_DIALS)
    np.testing.assert_allclose(origin, (-3.2, 2.5 * c + 200 * s, 2.5 * s - 200 * c), atol=LENGTH)
    np.testing.assert_allclose(fast, (1, 0, 0), atol=DIRECTION)
    np.testing.assert_allclose(slow, (0, -c, -s), atol=DIRECTION)


def test_axes_whose_place_is_not_said(tmp_path):
    """An unknown angle or displacement of the frame is that of the scan; an axis of no kind must stand at 0."""
    text, path = (FIELD / "m01_imgcif" / "axes_0001.cbf").read_bytes(), tmp_path / "x_0001.cbf"
    path.write_bytes(text.replace(b"FRAME1 DETECTOR_Z 0.0000 120.0", b"FRAME1 DETECTOR_Z . ?"))
    found, whole = (
        nb.Experiment.from_image(p, template=TEMPLATE) for p in (path, FIELD / "m01_imgcif" / "axes_0001.cbf")
    )
    assert found.equals(whole)
    path.write_bytes(text.replace(b"GONIOMETER_KAPPA rotation", b"GONIOMETER_KAPPA general"))
    assert "_axis GONIOMETER_KAPPA: is at 30, but of type general" in refusal(
        nb.Experiment.from_image, path, template=TEMPLATE
    )


@pytest.mark.parametrize("kahn", [0.6, 1.0, -0.2])
def test_the_polarization_that_first_images_wrote(tmp_path, kahn):
    """Version 0.1 wrote the Kahn factor where others have the horizontal fraction; the record in the file tells."""
    counts = np.zeros((1024, 1024), np.int32)
    (name,) = nb.io.write_frames(tmp_path / "x_####.cbf", [counts], TEMPLATE.replace("beam.kahn_factor", kahn))
    assert nb.Experiment.from_image(name, TEMPLATE).beam.kahn_factor == pytest.approx(kahn)
    data = Path(name).read_bytes()
    now = f"# Polarization {(1 + kahn) / 2:.12g}".encode()
    assert now in data
    Path(name).write_bytes(data.replace(now, f"# Polarization {kahn:.6g}".encode()))
    assert nb.Experiment.from_image(name, TEMPLATE).beam.kahn_factor == pytest.approx(kahn)


def test_an_axis_beside_the_scanned_one_is_told(tmp_path):
    text, path = (AXES / "x_cw_0001.cbf").read_bytes(), tmp_path / "x_0001.cbf"
    path.write_bytes(
        text.replace(
            b"# Start_angle 10.0000 deg.", b"# Start_angle 10.0000 deg.\r\n# Omega 10.0 deg.\r\n# Phi 12.0 deg."
        )
    )
    with warned() as texts:
        nb.Experiment.from_image(path, template=TEMPLATE)
    assert texts == [f"{path}: not used of the header: Phi 12.0 deg."]
