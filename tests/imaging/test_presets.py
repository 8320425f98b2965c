"""Detectors by name, and masks."""

from __future__ import annotations

import os
import pickle
import sys
import types
import warnings

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.config.image_chain.presets import presets
from nanobragg.imaging.readout import Conditions, counts, expected, variance

SIZES = {
    "pilatus_300k": (487, 619), "pilatus_1m": (981, 1043), "pilatus_2m": (1475, 1679), "pilatus_6m": (2463, 2527),
    "pilatus4_1m": (1033, 1080), "pilatus4_4m": (2073, 2180), "eiger_1m": (1030, 1065), "eiger_4m": (2070, 2167),
    "eiger_9m": (3110, 3269), "eiger_16m": (4150, 4371), "eiger2_4m": (2068, 2162), "eiger2_9m": (3108, 3262),
    "eiger2_16m": (4148, 4362), "pilatus3_12m": (2463, 5071), "adsc_hf4m": (2100, 2290),
    "jungfrau_1m": (1030, 1064), "jungfrau_4m": (2068, 2164), "lambda_750k": (1556, 516),
    "maxipix_2x2": (516, 516),
}  # fmt: skip


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_detector_and_a_readout(name: str) -> None:
    found = presets()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if found.movable else "error")
        detector, readout = nb.Detector.preset(name, distance_mm=150.0), nb.Readout.preset(name)
    assert (detector.n_fast, detector.n_slow) == SIZES.get(name, (found.n_fast, found.n_slow))
    assert detector.distance_mm == 150.0 and detector.pixel_size_mm == pytest.approx(found.pixel_um / 1000, rel=1e-12)
    assert readout.kind in ("counting", "integrating") and found.sources and found.sensor["material"]
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
    assert nb.Detector.preset("pilatus_2m").sensor.material == "Si" and nb.Detector.preset("adsc_q4").sensor is None
    assert nb.Readout.preset("adsc_q315r", offset_adu=41.0).offset_adu == 41.0
    assert nb.Readout.preset("adsc_q315r").psf.fwhm_um == 41.0


def test_unknown_names() -> None:
    with pytest.raises(nb.ConfigError, match="eiger2_16m"):
        nb.Detector.preset("eigr2_16m")
    with pytest.raises(nb.ConfigError, match="one of pilatus_300k"):
        nb.Readout.preset("xyz")


# photons of 12 keV in each stage, and its read noise [photons]
SWITCHING = {
    "jungfrau_1m": ((10.0, 0.2), (200.0, 1.5), (1500.0, 15.0)),
    "epix10k_2m": ((10.0, 0.02), (200.0, 0.023), (1500.0, 0.27)),
}


@pytest.mark.parametrize("name", SWITCHING)
def test_gains_switch_without_losing_photons(name: str) -> None:
    """Flat fields in the three stages: calibrated pixels have the mean of the photons."""
    e = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)),
        beam=nb.Beam(energy_ev=12000.0, wavelength_angstrom=None), detector=nb.Detector(n_fast=200, n_slow=200),
    )  # fmt: skip
    readout = nb.Readout.preset(name, maps=nb.Maps(area=np.ones((200, 200))))
    for (mean, read_noise), stage in zip(SWITCHING[name], readout.stages, strict=True):
        # two roundings, of the converter and to hundredths of a photon, add as variances, measured within 1 %
        noise = np.sqrt(read_noise**2 + ((12 * stage.gain_adu_per_kev) ** -2 + 1e-4) / 12)
        counts = nb.expose(e, readout, seed=1, photons=np.full((200, 200), mean)).counts / 100
        sigma = np.sqrt(mean + noise**2)
        assert abs(counts.mean() - mean) < 5 * sigma / 200
        assert abs(counts.std() / sigma - 1) < 5 / np.sqrt(2 * 40000) + 0.01
        still = nb.Readout.preset(name, maps=readout.maps, counting="none")
        photons = mean + np.linspace(0.0, 2.0, 40000).reshape(200, 200)  # over some steps of the converter
        dark = nb.expose(e, still, seed=1, photons=photons).counts / 100 - photons
        assert dark.std() == pytest.approx(noise, rel=0.03)
    # 11000 photons of 8 keV fill the last stage of the ePix10k, 3400 of 12 keV that of the Jungfrau
    full = nb.expose(e, readout, seed=1, photons=np.full((200, 200), 1e5)).counts.max() / 100
    assert full == pytest.approx(3400 if name == "jungfrau_1m" else 11000 * 8 / 12, rel=0.02)


LONG = {"agipd_1m": (2.0, 512 + 14, 128), "epix10k_2m": (2.25, 352 + 2.5, 384 + 2.5), "cspad_2.3m": (2.5, 185, 388 + 3)}
"""Length of the long pixels, and the size of the module with them (slow, fast) in pixels."""


@pytest.mark.parametrize("name", LONG)
def test_long_pixels_see_more_photons(name: str) -> None:
    """Their areas add up to the module with what lies between its chips; mean and variance follow, and the counts."""
    length, slow, fast = LONG[name]
    area = presets()[name].area
    assert area.max() == length ** (1 + (name == "epix10k_2m")) and area.sum() == slow * fast
    photons = np.full(area.shape, 50.0)
    # ADU are photons, without the noise of the stages
    readout = nb.Readout.preset(name, stages=None, gain_adu_per_photon=1.0)
    conditions = Conditions()
    np.testing.assert_allclose(expected(photons, readout, conditions), 50.0 * area)
    np.testing.assert_allclose(variance(photons, readout, conditions), 50.0 * area + 1 / 12)
    found = counts(photons, readout, 3, conditions).counts[area > 1]
    assert abs(found.mean() - 50.0 * area[area > 1].mean()) < 5 * np.sqrt(50 * length / found.size)
    with pytest.raises(nb.ConfigError, match="area"):
        counts(photons[1:], readout, 3, conditions)


def test_own_maps_keep_the_areas(tmp_path) -> None:
    readout = nb.Readout.preset("agipd_1m", maps=nb.Maps(gain_error=0.1))
    assert readout.maps.gain_error == 0.1 and readout.maps.area.shape == (512, 128)
    for wrong in (np.zeros((3, 4)), np.ones(5)):
        with pytest.raises(nb.ConfigError, match=r"readout\.maps\.area"):
            nb.Maps(area=wrong)


def test_every_name_has_its_depth() -> None:
    assert nb.Detector.preset("mar345").n_fast == nb.Detector.preset("mar345_3450").n_fast == 3450
    depths = {name: nb.Readout.preset(name).limits[1] for name in ("pilatus_6m", "eiger_4m", "eiger2_4m")}
    assert depths == {"pilatus_6m": 2**20 - 1, "eiger_4m": 2**31 - 1, "eiger2_4m": 2**16 - 1}


def test_explain_names_the_sources() -> None:
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)
    )
    for detector, words in (
        (nb.Detector.preset("pilatus_300k"), "detector: pixels of pilatus_300k, after pyFAI"),
        (nb.Detector.preset("adsc_q4_2x2"), "off in Readout.preset: thickness of the sensor, point spread, read noise"),
    ):
        text = str(nb.explain(nb.Experiment(crystal=crystal, detector=detector)))
        assert words in text and "pilatus3" not in text
    plain = nb.explain(nb.Experiment(crystal=crystal, detector=nb.Detector(n_fast=50, n_slow=60)))
    assert plain.detectors == []


@pytest.mark.parametrize("name", ["agipd_1m", "lpd_1m", "epix10k_2m", "jungfrau_16m"])
def test_one_module_is_told(name: str) -> None:
    with pytest.warns(nb.NanoBraggWarning, match=f"{name}: this is one of its modules.*read_geometry"):
        nb.Detector.preset(name)


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


class FlexBool:
    """Pickles itself as cctbx's flex.bool does: grid, and a buffer of its size and one character for each pixel."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __reduce__(self):
        n = self.pixels.size
        size = n.to_bytes((n.bit_length() + 7) // 8, "little")
        buffer = bytes([len(size)]) + size + b"".join(b"1" if good else b"0" for good in self.pixels.ravel())
        return _named("bool"), (), (FlexGrid(self.pixels.shape), buffer)


class FlexGrid:
    def __init__(self, shape):
        self.shape = shape

    def __reduce__(self):
        return _named("grid"), ((0, 0), tuple(self.shape)), None


def _named(name):
    kind = getattr(sys.modules["scitbx_array_family_flex_ext"], name)
    kind.__module__, kind.__qualname__, kind.__name__ = "scitbx_array_family_flex_ext", name, name
    return kind


@pytest.fixture
def flex(monkeypatch):
    """A module with the name of cctbx's while masks are written; it is gone when they are read."""
    module = types.ModuleType("scitbx_array_family_flex_ext")
    module.bool, module.grid = type("bool", (), {}), type("grid", (), {})
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_masks_of_dials(tmp_path, flex, protocol: int) -> None:
    """As dials.generate_mask pickles them, without cctbx; one panel and several."""
    masks = [np.random.default_rng(i).random((20 + i, 30)) < 0.9 for i in range(2)]
    for name, content in (("one.mask", (FlexBool(masks[0]),)), ("two.pickle", tuple(map(FlexBool, masks)))):
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol))
    del sys.modules["scitbx_array_family_flex_ext"]
    assert np.array_equal(nb.Mask.from_file(tmp_path / "one.mask"), masks[0])
    found = nb.Mask.from_file(tmp_path / "two.pickle")
    assert all(np.array_equal(a, b) for a, b in zip(found, masks, strict=True))
    detector = nb.Detector(n_fast=30, n_slow=20, mask=nb.Mask.from_file(tmp_path / "one.mask"))
    assert np.array_equal(detector.mask, masks[0])


class Program:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("content", [Program(), (Program(),), {"a": 1}, (), (1, 2), np.ones((3, 4), bool)], ids=repr)
def test_pickles_that_are_no_masks(tmp_path, monkeypatch, content) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mask").write_bytes(pickle.dumps(content))
    with pytest.raises(nb.FileFormatError, match=r"no mask of DIALS.*numpy\.save"):
        nb.Mask.from_file("a.mask")
    assert not (tmp_path / "ran").exists()


def test_damaged_masks_of_dials(tmp_path, flex) -> None:
    good = pickle.dumps((FlexBool(np.ones((20, 30), bool)),), 2)
    for data in (b"", b"nonsense", good[:100], good.replace(b"1111", b"1x11"), good.replace(b"K\x14", b"K\x64")):
        (tmp_path / "a.mask").write_bytes(data)
        with pytest.raises(nb.FileFormatError, match=r"numpy\.save"):
            nb.Mask.from_file(tmp_path / "a.mask")


def test_masks_of_numpy_pyfai_and_crystfel(tmp_path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[io]'")
    bad = np.random.default_rng(3).random((20, 30)) < 0.1
    np.save(tmp_path / "a.npy", bad)
    assert np.array_equal(nb.Mask.from_file(tmp_path / "a.npy"), ~bad)
    np.save(tmp_path / "b.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(nb.FileFormatError, match="numpy array"):
        nb.Mask.from_file(tmp_path / "b.npy")
    for name in ("mask.edf", "mask.tif"):
        getattr(nb.io, {"edf": "write_edf", "tif": "write_tiff"}[name[-3:]])(tmp_path / name, bad.astype(np.uint8))
        assert np.array_equal(nb.Mask.from_file(tmp_path / name), ~bad)
    bits = np.where(bad, 4, 3).astype(np.uint16)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["/data/mask"], file["/strange/place"], file["/panels"] = (
            bad.astype(np.uint16),
            bits,
            np.stack([bits, bits]),
        )
    assert np.array_equal(nb.Mask.from_file(tmp_path / "c.h5"), ~bad)
    assert np.array_equal(nb.Mask.from_file(tmp_path / "c.h5", dataset="/strange/place", bad=0xFFFC), ~bad)
    assert np.array_equal(nb.Mask.from_file(tmp_path / "c.h5", dataset="/strange/place", good=3), ~bad)
    assert len(nb.Mask.from_file(tmp_path / "c.h5", dataset="/panels", bad=4)) == 2
    with pytest.raises(nb.FileFormatError, match=r"no dataset /mask.*dataset=: .*/strange/place"):
        nb.Mask.from_file(tmp_path / "c.h5", dataset="/mask")
    np.save(tmp_path / "f.npy", np.ones((3, 4)))
    with pytest.raises(nb.ConfigError, match="integers"):
        nb.Mask.from_file(tmp_path / "f.npy", bad=1)


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
    agipd = text.replace("eiger_1m", "agipd_1m").replace("bits=20", "[readout.maps]\ngain_error=0.1")
    (tmp_path / "b.toml").write_text(agipd)
    with pytest.warns(nb.NanoBraggWarning, match="one of its modules"):
        maps = read_toml(tmp_path / "b.toml").readout.maps
    assert maps.gain_error == 0.1 and maps.area.shape == (512, 128)
    (tmp_path / "b.toml").write_text(text.replace("bits=20", "maps=3"))
    with pytest.raises(nb.FileFormatError, match=r"readout\.maps=3"):
        read_toml(tmp_path / "b.toml")
