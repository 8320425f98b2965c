"""Detectors by name, and masks."""

from __future__ import annotations

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.config.image_chain.presets import presets

SIZES = {
    "pilatus_300k": (487, 619), "pilatus_1m": (981, 1043), "pilatus_2m": (1475, 1679), "pilatus_6m": (2463, 2527),
    "pilatus4_1m": (1033, 1080), "pilatus4_4m": (2073, 2180), "eiger_1m": (1030, 1065), "eiger_4m": (2070, 2167),
    "eiger_9m": (3110, 3269), "eiger_16m": (4150, 4371), "eiger2_4m": (2068, 2162), "eiger2_9m": (3108, 3262),
    "eiger2_16m": (4148, 4362), "jungfrau_1m": (1030, 1064), "jungfrau_4m": (2068, 2164), "lambda_750k": (1556, 516),
    "maxipix_2x2": (516, 516),
}  # fmt: skip


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_detector_and_a_readout(name: str) -> None:
    found = presets()[name]
    detector, readout = nb.Detector.preset(name, distance_mm=150.0), nb.Readout.preset(name)
    assert (detector.n_fast, detector.n_slow) == SIZES.get(name, (found.n_fast, found.n_slow))
    assert detector.distance_mm == 150.0 and detector.pixel_size_mm == found.pixel_um / 1000
    assert readout.kind in ("counting", "integrating") and found.source and found.sensor["material"]
    if found.module and detector.mask is not None:
        along_fast = 1 + (found.n_fast - found.module[0]) // (found.module[0] + found.gap[0])
        along_slow = 1 + (found.n_slow - found.module[1]) // (found.module[1] + found.gap[1])
        assert detector.mask.sum() == along_fast * along_slow * found.module[0] * found.module[1]
        assert detector.mask[0, 0] and detector.mask[-1, -1]


def test_gaps_are_where_they_are() -> None:
    mask = nb.Detector.preset("PILATUS 6M").mask
    assert not mask[:, 487:494].any() and mask[0, 486] and mask[0, 494]
    assert not mask[195:212].any() and mask[194, 0] and mask[212, 0]


def test_own_fields_win_and_masks_are_combined() -> None:
    shape = (1679, 1475)
    detector = nb.Detector.preset("pilatus_2m", pixel_size_mm=0.2, mask=nb.Mask.circle(shape, (700.0, 800.0), 20.0))
    assert detector.pixel_size_mm == 0.2 and not detector.mask[800, 700] and not detector.mask[:, 487:494].any()
    assert nb.Detector.preset("pilatus_2m").sensor.material == "Si" and nb.Detector.preset("agipd_1m").sensor is None
    assert nb.Readout.preset("adsc_q315r", offset_adu=41.0).offset_adu == 41.0
    assert nb.Readout.preset("adsc_q315r").psf.fwhm_um == 41.0


def test_unknown_names() -> None:
    with pytest.raises(nb.ConfigError, match="eiger2_16m"):
        nb.Detector.preset("eigr2_16m")
    with pytest.raises(nb.ConfigError, match="one of pilatus_300k"):
        nb.Readout.preset("xyz")


def test_jungfrau_switches_without_losing_photons() -> None:
    """Flat fields in the three stages: calibrated pixels have the mean of the photons."""
    e = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)),
        beam=nb.Beam(energy_ev=12000.0, wavelength_angstrom=None), detector=nb.Detector(n_fast=200, n_slow=200),
    )  # fmt: skip
    for mean, noise in ((10.0, 0.2), (200.0, 1.5), (1500.0, 15.0)):
        counts = nb.expose(e, nb.Readout.preset("jungfrau_1m"), seed=1, photons=np.full((200, 200), mean)).counts / 100
        sigma = np.sqrt(mean + noise**2)
        assert abs(counts.mean() - mean) < 5 * sigma / 200
        assert abs(counts.std() / sigma - 1) < 5 / np.sqrt(2 * 40000) + 0.01


def test_circle_rectangle_polygon() -> None:
    shape = (50, 60)
    assert (~nb.Mask.circle(shape, (30.0, 20.0), 10.0)).sum() == pytest.approx(np.pi * 100, rel=0.03)
    assert (~nb.Mask.rectangle(shape, (10, 5), (20, 8))).sum() == 30
    assert np.array_equal(
        nb.Mask.polygon(shape, [(10, 5), (20, 5), (20, 8), (10, 8)]), nb.Mask.rectangle(shape, (10, 5), (20, 8))
    )
    triangle = ~nb.Mask.polygon(shape, [(0, 0), (40, 0), (0, 40)])
    assert triangle.sum() == pytest.approx(800, rel=0.03) and triangle[3, 3] and not triangle[30, 30]
    for make in (
        lambda: nb.Mask.circle(shape, (1.0,), 2.0), lambda: nb.Mask.circle(shape, (1, 1), 0),
        lambda: nb.Mask.polygon(shape, [(1, 1)]), lambda: nb.Mask.rectangle(7, (1, 1), (2, 2)),
    ):  # fmt: skip
        with pytest.raises(nb.ConfigError):
            make()


def test_masks_from_files(tmp_path) -> None:
    pixels = np.zeros((20, 30), np.uint16)
    pixels[3:5, 7] = 1
    nb.io.write_smv(tmp_path / "bad.img", pixels)
    assert np.array_equal(nb.Mask.from_file(tmp_path / "bad.img"), pixels == 0)
    assert np.array_equal(nb.Mask.from_file(tmp_path / "bad.img", masked="zero"), pixels == 1)
    with pytest.raises(nb.ConfigError, match="masked"):
        nb.Mask.from_file(tmp_path / "bad.img", masked="ones")
    with pytest.raises(nb.FileFormatError, match="missing"):
        nb.Mask.from_file(tmp_path / "missing.edf")


def test_presets_in_experiment_files(tmp_path) -> None:
    from nanobragg.exchange.toml import read_toml

    text = (
        "[crystal]\n[crystal.unit_cell]\na=40\nb=50\nc=60\nalpha=90\nbeta=90\ngamma=90\n[crystal.structure_factors]\ndefault_F=1\n"
        '[detector]\npreset="eiger_1m"\ndistance_mm=100\n[readout]\npreset="eiger_1m"\nbits=20\n'
    )
    (tmp_path / "a.toml").write_text(text)
    plan = read_toml(tmp_path / "a.toml")
    assert plan.experiment.detector.n_slow == 1065 and not plan.experiment.detector.mask[514:551].any()
    assert plan.readout.kind == "counting" and plan.readout.bits == 20
