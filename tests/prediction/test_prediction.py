"""Predictions against rendered images: places, photons, completeness; and the files that they are written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.spots.comma import read_csv
from nanobragg.io.spots.packed import pack, unpack
from nanobragg.io.spots.refl import read_refl

SIZE = 400


def experiment(shape: str = "gauss", oversample: int = 3, **parts: Any) -> nb.Experiment:
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(50, 60, 70, 80, 95, 100), n_cells=(14, 12, 10), shape=shape, misset_deg=(10, 20, 30),
        mosaic=parts.pop("mosaic", nb.Mosaic()), structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    whole = {
        "beam": nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e26, kahn_factor=0.9),
        "detector": nb.Detector(n_fast=SIZE, n_slow=SIZE, pixel_size_mm=0.1, distance_mm=100.0),
    }
    return nb.Experiment(crystal=crystal, sampling=nb.Sampling(oversample=oversample), **{**whole, **parts})


def measured(exp: nb.Experiment, least: float = 0.3) -> tuple[nb.Reflections, Any]:
    """Photons in the shoebox over the prediction, and centroid less center, of the spots that stand alone."""
    spots, image = nb.predict(exp), nb.simulate(exp)
    rows = []
    for i in np.flatnonzero(spots["partiality"] > least):
        f0, f1, s0, s1 = spots["bbox"][i]
        others = np.delete(np.column_stack([spots["fast"], spots["slow"]]), i, 0)
        near = np.abs(others - [spots["fast"][i], spots["slow"][i]]).max(1) < 1.2 * max(f1 - f0, s1 - s0)
        if near.any() or min(f0, s0) == 0 or max(f1, s1) == SIZE:
            continue
        box = image[s0:s1, f0:f1]
        s, f = np.mgrid[s0:s1, f0:f1] + 0.5
        center = np.array([(box * f).sum(), (box * s).sum()]) / box.sum()
        rows.append([box.sum() / spots["photons"][i], *(center - [spots["fast"][i], spots["slow"][i]])])
    return spots, np.array(rows)


CASES = {
    "one crystal": {},
    "mosaic": {"mosaic": nb.Mosaic(spread_deg=0.2, n_domains=30)},
    "spectrum": {"beam": nb.Beam(fluence_per_m2=1e26, dispersion_percent=0.5, n_wavelengths=5)},
    "tilted, with a sensor": {
        "detector": nb.Detector(n_fast=SIZE, n_slow=SIZE, distance_mm=100.0, rotation_deg=(2, 10, 20),
                                sensor=nb.Sensor(thickness_um=450, attenuation_um=250, n_layers=5))
    },
    "oblong pixels between skewed axes, with a sensor": {
        "detector": nb.Detector(n_fast=SIZE, n_slow=SIZE, pixel_size_mm=(0.09, 0.08), distance_mm=100.0, pivot="sample",
                                rotation_deg=(2, 10, 20), fast_axis=(0.0, 0.1, 1.0), slow_axis=(0.0, -1.0, 0.05),
                                sensor=nb.Sensor(thickness_um=450, attenuation_um=250, n_layers=5))
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_stills_against_the_rendered_image(name: str) -> None:
    """Photons in the shoebox within 0.3 % (seen 0.21, most of it outside the box), centroids within 0.005 pixels (seen 0.002)."""
    _, rows = measured(experiment(**CASES[name]))
    assert len(rows) > 30
    assert np.abs(rows[:, 0] - 1).max() < 0.003
    assert np.abs(rows[:, 1:]).max() < 0.005


def test_rotation_against_the_rendered_image() -> None:
    """Complete reflections: photons by Darwin's formula, centers at the crossing of the Ewald sphere (seen 0.002 pixels)."""
    exp = experiment(goniometer=nb.Goniometer(osc_deg=2.0, n_steps=100), oversample=2)
    spots, rows = measured(exp, 0.999)
    complete = spots["partiality"] > 0.999
    assert complete.sum() > 20 and len(rows) > 20
    assert np.abs(spots["partiality"][complete] - 1).max() < 1e-3
    assert spots["partiality"].max() < 1.001
    assert np.abs(rows[:, 0] - 1).max() < 0.001
    assert np.abs(rows[:, 1:]).max() < 0.005
    assert (np.abs(spots["phi_deg"][complete] - 1.0) < 1.0).all()


@pytest.mark.parametrize(("shape", "tolerance"), [("tophat", 0.03), ("round", 0.03), ("square", 0.06)])
def test_other_shapes_sum_to_the_image(shape: str, tolerance: float) -> None:
    """All photons of the image (seen 0.985, 1.013, 0.958): the direct beam and the reflections beyond the edge are left out,
    and a square crystal leaves photons far from its reflections."""
    exp = experiment(shape, oversample=4)
    assert nb.predict(exp)["photons"].sum() == pytest.approx(nb.simulate(exp).sum(), rel=tolerance)


def test_full_integrals_are_those_of_the_blocks() -> None:
    """Darwin's formula holds for every shape: the integral of F_latt^2 over the indices is 1, 0.984, 1.047 Na Nb Nc.

    The tails of a round crystal outside the rotation hold 4.5 % (seen).
    """
    gonio = nb.Goniometer(osc_deg=4.0, n_steps=300)
    for shape in ("gauss", "round", "tophat"):
        exp = experiment(shape, goniometer=gonio)
        spots = nb.predict(exp, d_min=3.0)
        inside = (np.abs(spots["phi_deg"] - 2) < 0.8) & (np.abs(spots["s1"][:, 0]) > 0) & (spots["partiality"] > 0.9)
        assert np.median(spots["partiality"][inside]) == pytest.approx(1, abs=0.06 if shape == "round" else 0.01), shape


COS, SIN = np.cos(np.radians(0.3)), np.sin(np.radians(0.3))
TURNS = [np.eye(3), [[1, 0, 0], [0, COS, -SIN], [0, SIN, COS]], [[0, -1, 0], [1, 0, 0], [0, 0, 1]]]
"""The last one counts nothing."""

CRYSTALS: dict[str, Any] = {
    "sizes": {"sizes": nb.BlockSizes(width=0.3)}, "blocks": {"n_blocks": 1000.0},
    "matrix": {"n_cells": (1, 1, 1), "block_matrix": [[8, 1, 0], [1, 8, 0], [0, 0, 12.0]]},
    "strain": {"mosaic": nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=30, strain=0.002)},
    "weights": {"mosaic": nb.Mosaic(model="given", rotations=TURNS, weights=[5.0, 1.0, 0.0])},
    "displacement": {"displacement": nb.Displacement(b_angstrom2=20.0)},
}  # fmt: skip


@pytest.mark.parametrize("name", CRYSTALS)
def test_real_crystals_against_the_rendered_image(name: str) -> None:
    """Photons in the shoebox: within 0.3 % in the median (seen 0.01; 0.04 of unlike sizes)."""
    crystal = {"unit_cell": nb.UnitCell(60, 60, 40, 90, 90, 90), "n_cells": (8, 8, 12), "shape": "gauss",
               "misset_deg": (10, 20, 30), "structure_factors": nb.StructureFactors.constant(100.0)}  # fmt: skip
    exp = experiment(oversample=2).replace(crystal=nb.Crystal(**{**crystal, **CRYSTALS[name]}))
    spots, image = nb.predict(exp), nb.simulate(exp)
    complete = spots[spots["partiality"] > 0.3]
    sums = np.array([image[s0:s1, f0:f1].sum() for f0, f1, s0, s1 in complete["bbox"]])
    assert len(complete) > 20
    assert np.median(sums / complete["photons"]) == pytest.approx(1, abs=0.003)


def test_partiality_of_a_still() -> None:
    """Turned onto the sphere a reflection has all of its photons; none has more than that by more than curvature."""
    spots = nb.predict(experiment())
    best = np.abs(spots["excitation"]).argmin()
    assert spots["partiality"][best] > 0.99 and spots["partiality"].max() < 1.01


def test_panels_and_rendered_photons() -> None:
    """Cutting the detector moves nothing in the laboratory; photons by rendering agree where spots stand alone."""
    exp = experiment()
    from nanobragg.derivation.panels import split

    whole, cut = nb.predict(exp, d_min=2.5), nb.predict(split(exp, 2, 2), d_min=2.5)
    assert len(whole) == len(cut)
    key = {tuple(h): (f, s) for h, f, s in zip(whole["hkl"], whole["fast"], whole["slow"], strict=True)}
    for row in cut.table:
        f, s = key[tuple(row["hkl"])]
        assert row["fast"] + SIZE // 2 * (row["panel"] % 2) == pytest.approx(f, abs=1e-6)
        assert row["slow"] + SIZE // 2 * (row["panel"] // 2) == pytest.approx(s, abs=1e-6)
    rendered = nb.predict(exp, d_min=2.5, photons="rendering")
    strong = whole["partiality"] > 0.1
    assert np.median(rendered["photons"][strong] / whole["photons"][strong]) == pytest.approx(0.998, abs=0.01)
    labels = nb.shoeboxes(whole, exp)
    assert labels.shape == (SIZE, SIZE) and set(np.unique(labels)) <= set(range(len(whole) + 1))
    assert nb.simulate(exp)[labels > 0].sum() > 0.95 * whole["photons"].sum()


def test_files(tmp_path: Path) -> None:
    spots = nb.predict(experiment(goniometer=nb.Goniometer(phi_start_deg=10.0, osc_deg=0.5, n_steps=20)), d_min=3.0)
    for name in ("a.refl", "a.csv", "a.cxi", "a.stream"):
        spots.write(tmp_path / name)
    assert b"cctbx::miller::index<>" in (tmp_path / "a.refl").read_bytes()  # as DIALS has it
    table = read_refl(tmp_path / "a.refl")
    assert (table["miller_index"] == spots["hkl"]).all() and (table["flags"] == 1).all()
    assert np.allclose(table["xyzcal.px"][:, :2], np.column_stack([spots["fast"], spots["slow"]]))
    assert np.allclose(table["xyzcal.px"][:, 2] * 0.5 + 10.0, spots["phi_deg"])
    assert np.allclose(table["xyzcal.mm"][:, 2], np.radians(spots["phi_deg"]))
    panel = spots.geometry.panels[0]
    ray = panel.origin + 0.1 * (spots["fast"][:, None] * panel.fast + spots["slow"][:, None] * panel.slow)
    assert np.allclose(table["s1"], ray / np.linalg.norm(ray, axis=1, keepdims=True), atol=1e-9)  # wavelength 1
    again = read_csv(tmp_path / "a.csv")
    assert (again["photons"] == spots["photons"]).all() and (again["k"] == spots["hkl"][:, 1]).all()
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.cxi") as file:
        group = file["entry_1/result_1"]
        assert group["nPeaks"][0] == len(spots) and np.allclose(group["peakXPosRaw"][0] + 0.5, spots["fast"])
    assert (tmp_path / "a.stream").read_text().count("\n") > len(spots)
    with pytest.raises(ConfigError, match="no known format"):
        spots.write(tmp_path / "a.txt")
    (tmp_path / "b.refl").write_bytes((tmp_path / "a.refl").read_bytes()[:-5])
    with pytest.raises(FileFormatError, match="no reflection table"):
        read_refl(tmp_path / "b.refl")


def test_tables_of_others(tmp_path: Path) -> None:
    """A DataFrame and a Parquet file hold the numbers of the table, each number of a vector in a column of its own."""
    spots = nb.predict(experiment(), d_min=3.0)
    names = {"h", "k", "l", "panel", "fast", "slow", "d", "photons", "partiality", "F", "s1_z", "fast_min", "slow_max"}
    frame = pytest.importorskip("pandas", reason="needs pandas: pip install 'nanobragg[tables]'") and spots.to_pandas()
    assert len(frame) == len(spots) and names <= set(frame.columns)
    assert (frame["k"] == spots["hkl"][:, 1]).all() and (frame["slow_max"] == spots["bbox"][:, 3]).all()
    assert frame.loc[frame["photons"].idxmax(), "d"] == spots["d"][spots["photons"].argmax()]
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'nanobragg[tables]'")
    spots.write(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert names <= set(table.column_names)
    for name in ("fast", "photons", "s1_z"):
        assert (table[name].to_numpy() == frame[name].to_numpy()).all()


def test_packed_values() -> None:
    value = {"a": [1, -5, 2.5, "text", b"bytes", {"b": []}], "long": list(range(70000))}
    assert unpack(pack(value)) == value
    assert unpack(b"\x93\x01\xa2hi\xc0") == [1, "hi", None]
    for bad in (b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x91" * 100, b"\x01\x02"):
        with pytest.raises(ValueError, match=r"\w"):
            unpack(bad)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="curved"):
        nb.predict(experiment(detector=nb.Detector(n_fast=SIZE, n_slow=SIZE, curved=True)))
    with pytest.raises(ConfigError, match="d_min"):
        nb.predict(experiment(), d_min=-1.0)
    with pytest.raises(ConfigError, match="photons"):
        nb.predict(experiment(), photons="guessing")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exp = experiment()
    nb.write_geometry(exp, tmp_path / "a.expt")
    assert main(["predict", str(tmp_path / "a.expt"), "--d-min", "3", "-o", str(tmp_path / "a.csv")]) == 0
    said = capsys.readouterr()
    assert "every F = 100" in said.err and "reflections" in said.out
    found, own = read_csv(tmp_path / "a.csv"), nb.predict(exp, d_min=3.0)
    strongest = {tuple(h) for h in own["hkl"][own["partiality"] > 0.5]}
    assert strongest <= {tuple(h) for h in np.column_stack([found["h"], found["k"], found["l"]]).astype(int)}
    pytest.importorskip("matplotlib")
    nb.io.write_smv(tmp_path / "a.img", nb.simulate(exp).astype(np.uint16), experiment=exp)
    assert (
        main(["view", str(tmp_path / "a.img"), "--predicted", str(tmp_path / "a.expt"), "-o", str(tmp_path / "a.png")])
        == 0
    )
    assert (tmp_path / "a.png").stat().st_size > 10000


def test_what_progress_raises_ends_a_prediction(monkeypatch):
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(12, 12, 12), misset_deg=(10, 20, 30),
            structure_factors=nb.StructureFactors.constant(100.0), mosaic=nb.Mosaic(spread_deg=0.5, n_domains=20),
        ),
        detector=nb.Detector(n_fast=300, n_slow=280, pixel_size_mm=0.3), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip
    whole = nb.predict(experiment)
    monkeypatch.setattr("nanobragg.derivation.prediction.reflections._PAIRS", 2000)
    seen = []
    assert np.array_equal(nb.predict(experiment, progress=lambda *said: seen.append(said)).table, whole.table)
    portions = [done for stage, done, _ in seen if stage == "reflections"]
    assert portions == list(range(100, portions[-1] + 1, 100)) and len(portions) > 3

    def enough(stage, done, of):
        seen.append((stage, done, of))
        if (stage, done) == ("reflections", 200):
            raise InterruptedError

    seen.clear()
    with pytest.raises(InterruptedError):
        nb.predict(experiment, progress=enough)
    assert [done for _, done, _ in seen] == [100, 200]
