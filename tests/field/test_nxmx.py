"""NXmx as beamlines write it, and the files of an Eiger."""

import shutil

import h5py
import numpy as np
import pytest

import nanobragg as nb
from nanobragg.exchange.geometry import of_experiment
from nanobragg.io import read_image
from nanobragg.io.units import ANGSTROMS, DEGREES, MILLIMETRES, SECONDS
from tests.field.field_inputs import DIRECTION, FIELD, TEMPLATE, TO_DIALS, assert_panel, refusal, spindle, warned

NXMX = FIELD / "f07_nxmx"
SAME = ["plain", "axes_at_zero", "no_units_of_end", "no_end", "no_units_of_time", "size_reversed", "long_unit_names",
        "attributes_as_arrays", "link_to_absent"]  # fmt: skip
SAID = {"no_units_of_time": "count_time: has no units; s is taken", "size_reversed": "is the wrong way round",
        "link_to_absent": "absent_meta.h5"}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("image", [None, 1, 2, 3])
def test_variants(name, image):
    with warned() as texts:
        found = nb.Experiment.from_image(NXMX / f"{name}.nxs", TEMPLATE, image=image)
    said = SAID.get(name)
    assert texts == [] if said is None else [said in text for text in texts] == [True]
    assert (found.detector.n_fast, found.detector.n_slow, found.detector.mask) == (60, 50, None)
    assert found.detector.pixel_size_mm == pytest.approx(0.2)
    assert_panel(found.detector, (-6.1, 5.2, -80), (1, 0, 0), (0, -1, 0))
    np.testing.assert_allclose(spindle(found), (1, 0, 0), atol=DIRECTION)
    assert found.goniometer.phi_start_deg == pytest.approx(30 + 0.5 * ((image or 1) - 1))
    assert found.goniometer.osc_deg == pytest.approx(0.5)
    assert (found.beam.wavelength_angstrom, found.beam.exposure_s) == (pytest.approx(1.1), 0.25)
    assert found.detector.sensor.thickness_um == pytest.approx(450)
    pixels = read_image(NXMX / f"{name}.nxs", image or 1)
    np.testing.assert_array_equal(pixels.ravel(), (np.arange(3000) + 3000 * ((image or 1) - 1)) % 7)


def test_a_link_that_is_needed():
    text = refusal(nb.Experiment.from_image, NXMX / "link_needed.nxs", TEMPLATE)
    assert "absent_meta.h5" in text and "/entry/instrument/beam/incident_wavelength links to /wavelength" in text


def test_phi_is_scanned_inside_kappa():
    with warned() as texts:
        found = nb.Experiment.from_image(NXMX / "kappa_phi_scan.nxs", TEMPLATE)
    np.testing.assert_allclose(spindle(found), (0.92138048, -0.0015437269, -0.38865876), atol=DIRECTION)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (30, 0.5)
    assert any("that are not scanned turn the crystal" in text for text in texts)


def turn(axis, degrees):
    axis, angle = np.array(axis), np.radians(degrees)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_omega_is_scanned_outside_kappa():
    found = nb.Experiment.from_image(NXMX / "kappa_omega_scan.nxs", TEMPLATE)
    np.testing.assert_allclose(spindle(found), (1, 0, 0), atol=DIRECTION)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (30, 0.5)
    # R(kappa) R(phi) stands between crystal and spindle; axes in the frame of DIALS
    fixed = turn((0.642787609687, 0.766044443119, 0), 30) @ turn((1, 0, 0), 20)
    plain = of_experiment(nb.Experiment.from_image(NXMX / "plain.nxs", TEMPLATE)).a_star
    np.testing.assert_allclose(np.asarray(found.crystal.a_star_matrix) @ TO_DIALS.T, plain @ fixed.T, atol=1e-9)


def test_an_image_beyond_the_stack():
    text = refusal(nb.Experiment.from_image, NXMX / "plain.nxs", TEMPLATE, image=4)
    assert "image=4: it holds images 1 to 3" in text


@pytest.mark.parametrize(("units", "spellings"), [
    (MILLIMETRES, {"m": 1e3, "meter": 1e3, "metre": 1e3, "meters": 1e3, "metres": 1e3, "micron": 1e-3, "microns": 1e-3,
                   "um": 1e-3, "millimeter": 1, "millimetres": 1, "millimeters": 1, "cm": 10}),
    (ANGSTROMS, {"angstrom": 1, "angstroms": 1, "nm": 10, "m": 1e10}),
    (DEGREES, {"degree": 1, "degrees": 1, "deg": 1, "radian": 180 / np.pi, "radians": 180 / np.pi}),
    (SECONDS, {"s": 1, "second": 1, "seconds": 1, "ms": 1e-3, "milliseconds": 1e-3}),
])  # fmt: skip
def test_spellings_of_units(units, spellings):
    for name, factor in spellings.items():
        assert units[name] == pytest.approx(factor), name


def test_units_in_any_case(tmp_path):
    shutil.copy(NXMX / "plain.nxs", tmp_path / "x.nxs")
    with h5py.File(tmp_path / "x.nxs", "r+") as file:
        file["/entry/instrument/beam/incident_wavelength"].attrs["units"] = "ANGSTROM"
        file["/entry/instrument/detector/transformations/det_z"].attrs["units"] = "Millimetre"
    assert_panel(
        nb.Experiment.from_image(tmp_path / "x.nxs", TEMPLATE).detector, (-6.1, 5.2, -80), (1, 0, 0), (0, -1, 0)
    )


def test_wavelengths_of_each_image(tmp_path):
    shutil.copy(NXMX / "plain.nxs", tmp_path / "x.nxs")
    with h5py.File(tmp_path / "x.nxs", "r+") as file:
        del file["/entry/instrument/beam/incident_wavelength"]
        file["/entry/instrument/beam/incident_wavelength"] = [1.1, 1.2, 1.3]
        file["/entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
    assert nb.Experiment.from_image(tmp_path / "x.nxs", TEMPLATE, image=2).beam.wavelength_angstrom == 1.2


def test_eiger():
    master = FIELD / "m02_eiger" / "eiger_master.h5"
    for image in (1, 2):
        found = nb.Experiment.from_image(master, TEMPLATE, image=image)
        assert (found.detector.n_fast, found.detector.n_slow) == (60, 50)
        assert found.detector.pixel_size_mm == pytest.approx(0.075, rel=1e-5)
        np.testing.assert_allclose(TO_DIALS @ np.array(found.detector.pix0_mm), (-2.34375, 1.8375, -134.255), rtol=1e-5)
        np.testing.assert_allclose(TO_DIALS @ np.array(found.detector.fast_axis), (1, 0, 0), atol=DIRECTION)
        np.testing.assert_allclose(TO_DIALS @ np.array(found.detector.slow_axis), (0, -1, 0), atol=DIRECTION)
        np.testing.assert_allclose(spindle(found), (1, 0, 0), atol=DIRECTION)
        assert found.goniometer.phi_start_deg == pytest.approx(15 + 0.5 * (image - 1), rel=1e-5)
        assert found.goniometer.osc_deg == pytest.approx(0.5, rel=1e-5)
        assert found.beam.wavelength_angstrom == pytest.approx(0.9801122, rel=1e-5)
        assert found.beam.exposure_s == pytest.approx(0.00499, rel=1e-5)
        masked = np.zeros((50, 60), bool)
        masked[10:12] = True
        np.testing.assert_array_equal(~found.detector.mask, masked)
        pixels = read_image(master, image)
        right = ((np.arange(3000) + 3000 * (image - 1)) % 7).reshape(50, 60)
        np.testing.assert_array_equal(pixels[~masked], right[~masked])
    assert "image=3: it holds images 1 to 2" in refusal(nb.Experiment.from_image, master, TEMPLATE, image=3)


def test_eiger_without_its_data(tmp_path):
    shutil.copy(FIELD / "m02_eiger" / "eiger_master.h5", tmp_path)
    found = nb.Experiment.from_image(tmp_path / "eiger_master.h5", TEMPLATE, image=2)
    assert found.goniometer.phi_start_deg == pytest.approx(15.5)
    assert "eiger_data_000001.h5" in refusal(read_image, tmp_path / "eiger_master.h5")


def test_several_detectors_and_spectra_are_told(tmp_path):
    path = tmp_path / "x.nxs"
    shutil.copy(FIELD / "f07_nxmx" / "plain.nxs", path)
    with h5py.File(path, "a") as file:
        file.copy("entry/instrument/detector", "entry/instrument/diode")
        file.copy("entry/instrument/detector", "entry/instrument/spare")
        del file["entry/instrument/diode/module"]
        beam = file["entry/instrument/beam"]
        del beam["incident_wavelength"]
        beam["incident_wavelength"] = [1.0, 1.1, 1.3]
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        beam["incident_wavelength_weights"] = [1.0, 2.0, 1.0]
    with warned() as texts:
        found = nb.Experiment.from_image(path, template=TEMPLATE)
    assert found.beam.wavelength_angstrom == pytest.approx(1.125, rel=1e-5)
    assert any(
        "2 detectors are there; /entry/instrument/detector is read, not /entry/instrument/spare" in t for t in texts
    )
    assert any("is a spectrum of 3 wavelengths; its mean is taken" in text for text in texts)
