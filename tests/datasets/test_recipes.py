"""The recipes of examples/datasets run as they are, and a run can be simulated again."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_recipe import experiment, recipe

import nanobragg as nb
from nanobragg.cli.main import main

pytest.importorskip("gemmi", reason="the recipes read a model: pip install 'nanobragg[io]'")
pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[data]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'nanobragg[data]'")

EXAMPLES = Path(__file__).parents[2] / "examples/datasets"


def read(name, *changes):
    return nb.data.read_recipe(EXAMPLES / f"{name}.toml", changes)


def test_spot_finding(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["dataset", str(EXAMPLES / "spot_finding.toml"), "--preview", "4"]) == 0
    said = capsys.readouterr().out
    assert said.count("frame ") == 4 and "all of it: 10000 frames" in said
    assert nb.io.read_png("spot_finding_preview.png").shape == (2 * (512 + 4), 2 * (512 + 4))
    made = read("spot_finding", "dataset.n_images=12")
    frames = [nb.data.frame(made, k) for k in range(12)]
    hits = [frame for frame in frames if frame.drawn.kind == "hit"]
    assert len(hits) >= 6
    for frame in hits:
        spots, (labels,), (bragg,) = frame.spots, frame.images["label_spots"], frame.images["bragg"]
        assert frame.counts.shape == (512, 512) and labels.max() <= len(spots)
        assert (bragg[labels > 0] >= 0.5 - 1e-6).all()
    photons = sum(float(frame.images["bragg"][0].sum()) for frame in hits)
    labeled = sum(float(frame.images["bragg"][0][frame.images["label_spots"][0] > 0].sum()) for frame in hits)
    # of all photons of spots, those in labeled pixels; measured 0.96
    assert labeled > 0.9 * photons > 0


def test_panels_stand_where_they_are_on_the_contact_sheet(tmp_path):
    """Two panels beside the beam, with a gap between them."""
    panels = tuple(
        nb.Detector(n_fast=60, n_slow=80, pixel_size_mm=0.6, distance_mm=100.0, beam_center_mm=(x, 24.0))
        for x in (42.0, -6.0)
    )
    made = recipe(2, base=experiment(detector=panels), vary={"orientation": "random"})
    nb.data.preview(made, tmp_path / "sheet.png", 2)
    sheet = nb.io.read_png(tmp_path / "sheet.png")
    # two pictures of 60 + 20 + 60 pixels, each with 4 to its right
    assert sheet.shape == (84, 2 * 144)
    first = sheet[:80, :140]
    assert (first[:, 60:80] == 200).all() and not (first[:, :60] == 200).all() and not (first[:, 80:] == 200).all()


@pytest.mark.slow
def test_xfel(tmp_path):
    """One hit of the eight modules, and what the file says of its pulse."""
    made = read("xfel_jungfrau_4m", "dataset.n_images=3")
    assert len(made.experiment.detector) == 8
    hit = next(k for k in range(3) if nb.data.drawn(made, k).kind == "hit")
    frame = nb.data.frame(made, hit)
    assert frame.counts.shape == (8, 514, 1030) and len(frame.spots) > 50
    assert set(frame.spots["panel"]) == set(range(8))
    with ThreadPoolExecutor(1) as executor:
        nb.data.generate(read("xfel_jungfrau_4m", "dataset.n_images=1"), tmp_path / "set", executor=executor)
    row = nb.data.Dataset(tmp_path / "set").row(0)
    weight, wavelength = row["spectrum_weight"], row["spectrum_wavelength_angstrom"]
    assert len(weight) == 20 and weight.sum() == pytest.approx(row["pulse_energy"])
    assert row["wavelength_angstrom"] == pytest.approx((weight * wavelength).sum() / weight.sum())


@pytest.mark.slow
def test_rotation():
    """One image of the Eiger 16M; its gaps are -1 or the flag of 32 bits."""
    made = read("rotation_eiger_16m", "dataset.n_images=2")
    frame = nb.data.frame(made, 1)
    assert frame.counts.shape == (4371, 4150) and len(frame.spots) > 300
    assert frame.drawn.nominal.goniometer.phi_start_deg == pytest.approx(0.1)
    assert frame.drawn.experiment.crystal.damage.dose_mgy == pytest.approx(0.002)
    mask = made.experiment.detector.mask
    assert 0.5 < frame.counts[mask].mean() < 3 and len(np.unique(frame.counts[~mask])) == 1


def test_a_stream_is_simulated_again(tmp_path):
    """Axes and wavelengths of three crystals, written as a CrystFEL stream by the package."""
    base = experiment()
    parts = []
    for i, energy in enumerate((9000.0, 9500.0, 9600.0)):
        one = base.replace("crystal.misset_deg", (10.0 * i, 20.0, 30.0)).replace("beam.wavelength_angstrom", None)
        one = one.replace("beam.energy_ev", energy)
        one.to_crystfel(tmp_path / f"{i}.geom", tmp_path / f"{i}.stream")
        parts.append((tmp_path / f"{i}.stream").read_text())
    body = [text[text.index("----- Begin chunk") :] for text in parts]
    (tmp_path / "run.stream").write_text(parts[0][: parts[0].index("----- Begin chunk")] + "".join(body))
    vary = nb.data.replay(tmp_path / "run.stream", base)
    made = recipe(3, vary=vary)
    for k, energy in enumerate((9000.0, 9500.0, 9600.0)):
        drawn = nb.data.drawn(made, k).experiment
        assert 12398.4198 / drawn.beam.wavelength_angstrom == pytest.approx(energy, rel=1e-6)
        from nanobragg.derivation.resolve import resolve

        wanted = resolve(base.replace("crystal.misset_deg", (10.0 * k, 20.0, 30.0))).cell.a_star
        found = np.asarray(drawn.crystal.a_star_matrix)[0]
        np.testing.assert_allclose(found, [float(x) for x in wanted], atol=1e-8)


def test_rows_of_tables(tmp_path):
    (tmp_path / "run.csv").write_text("energy,b\n9000,10\n9100,20\n9200,30\n")
    text = f"""
[dataset]
n_images = 3
[beam]
energy_ev = 9000
[crystal]
unit_cell = {{ a = 79.1, b = 79.1, c = 37.9, alpha = 90, beta = 90, gamma = 90 }}
structure_factors = {{ default_F = 100.0 }}
[vary]
beam.energy_ev = {{ column = "energy", file = "run.csv" }}
[replay]
file = "{(tmp_path / "run.csv").as_posix()}"
columns = {{ "crystal.displacement.b_angstrom2" = "b" }}
"""
    (tmp_path / "recipe.toml").write_text(text)
    made = nb.data.read_recipe(tmp_path / "recipe.toml")
    for k in range(3):
        drawn = nb.data.drawn(made, k).experiment
        assert (drawn.beam.energy_ev, drawn.crystal.displacement.b_angstrom2) == (9000 + 100 * k, 10 * (k + 1))
    (tmp_path / "recipe.toml").write_text(text.replace('"energy"', '"energi"'))
    with pytest.raises(nb.FileFormatError, match="did you mean energy"):
        nb.data.read_recipe(tmp_path / "recipe.toml")


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [
        "--set", "detector.n_fast=64", "--set", "detector.n_slow=64", "--set", "detector.pixel_size_mm=0.6", "-n", "2",
        "--workers", "1",
    ]  # fmt: skip
    source = str(EXAMPLES / "spot_finding.toml")
    assert main(["dataset", source, "-o", "set", *small]) == 0
    assert main(["dataset", "info", "set"]) == 0 and "2 of 2 frames" in capsys.readouterr().out
    assert main(["dataset", "verify", "set", "--again", "1"]) == 0
    assert main(["dataset", source, "-o", "set", *small]) == 9
    assert "--resume" in capsys.readouterr().err
    assert main(["dataset", source, "-o", "set", "--resume", *small]) == 0
    (tmp_path / "set/shards/shard_00000.nxs").write_bytes(b"")
    assert main(["dataset", "verify", "set"]) == 9
    for wrong in (
        ["info"],
        [source, "--shard", "4/3"],
        [source, "--dask", "x", "--mpi"],
        [source, "set"],
        ["info", "nowhere"],
    ):
        assert main(["dataset", *wrong]) == 9
        assert "error: " in capsys.readouterr().err


def test_cone_of_a_panel_holds_its_reflections(monkeypatch):
    """Predictions look at reflections toward a panel alone: the same table, byte for byte, as of all reflections."""
    from nanobragg.derivation.prediction import reflections

    base = experiment(beam=nb.Beam(wavelength_angstrom=1.0, dispersion_percent=1.0, n_wavelengths=3))
    shots = [
        base.replace("crystal.misset_deg", (11.0, 52.0, 3.0)),
        base.replace("crystal.mosaic.spread_deg", 2.0),
        base.replace("goniometer", nb.Goniometer(osc_deg=3.0, n_steps=4)),
        base.replace("detector.distance_mm", 20.0),
    ]
    few = [nb.predict(shot) for shot in shots]
    monkeypatch.setattr(reflections, "_toward", lambda scene, plane, mean, hkl: np.ones(len(hkl), bool))
    for shot, found in zip(shots, few, strict=True):
        assert found.table.tobytes() == nb.predict(shot).table.tobytes()
    assert sum(map(len, few)) > 100 and math.isfinite(few[0]["photons"].sum())
