"""Experiments in JSON and TOML files: what is written comes back, whole."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import small
from test_config import full_experiment

import nanobragg as nb

DATA = Path(__file__).parents[1] / "data"


def with_file(folder: Path, name: str = "p1_small.hkl") -> nb.Experiment:
    """An experiment whose structure factors come from a file in a folder."""
    shutil.copy(DATA / name, folder / name)
    table = nb.StructureFactors.from_hkl(folder / name, default_F=3.0)
    return small().replace("crystal.structure_factors", table)


def test_json_names_an_unchanged_file_and_reads_it_again(tmp_path: Path) -> None:
    experiment = with_file(tmp_path)
    text = experiment.to_json(tmp_path / "e.json")
    assert "p1_small.hkl" in text and '"array"' not in text
    assert json.loads(text) == json.loads((tmp_path / "e.json").read_text())
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("e.json", "p1_small.hkl"):  # both can be moved together
        shutil.copy(tmp_path / name, moved / name)
    for folder in (tmp_path, moved):
        assert nb.Experiment.from_json_file(folder / "e.json").equals(experiment)
    with pytest.raises(nb.ConfigError, match="from_json_file"):
        nb.Experiment.from_json(text)
    assert nb.Experiment.from_json(experiment.to_json()).equals(experiment)


def test_json_holds_the_table_of_a_file_that_has_changed(tmp_path: Path) -> None:
    experiment = with_file(tmp_path)
    with open(tmp_path / "p1_small.hkl", "a") as file:
        file.write("0 0 9 5.0\n")
    experiment.to_json(tmp_path / "e.json")
    assert "p1_small.hkl" not in (tmp_path / "e.json").read_text()
    assert nb.Experiment.from_json_file(tmp_path / "e.json").equals(experiment)


def test_json_holds_a_table_that_was_changed_made_or_asked_for_inline(tmp_path: Path) -> None:
    experiment = with_file(tmp_path)
    table = experiment.crystal.structure_factors
    changed = experiment.replace("crystal.structure_factors", dataclasses.replace(table, amplitude=2 * table.amplitude))
    for one, tables in ((changed, "auto"), (small(), "auto"), (experiment, "inline")):
        assert "p1_small.hkl" not in one.to_json(tmp_path / "e.json", tables=tables)
        assert nb.Experiment.from_json_file(tmp_path / "e.json").equals(one)
    with pytest.raises(nb.ConfigError, match="'auto', 'inline'"):
        experiment.to_json(tmp_path / "e.json", tables="outside")


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_a_file_that_changed_later_is_refused(suffix: str, tmp_path: Path) -> None:
    experiment, path = with_file(tmp_path), tmp_path / f"e.{suffix}"
    getattr(experiment, f"to_{suffix}")(path)
    read = nb.Experiment.from_json_file if suffix == "json" else nb.Experiment.from_toml
    assert read(path).equals(experiment)
    with open(tmp_path / "p1_small.hkl", "a") as file:
        file.write("0 0 9 5.0\n")
    with pytest.raises(nb.FileFormatError, match="has changed since"):
        read(path)
    (tmp_path / "p1_small.hkl").unlink()
    with pytest.raises(nb.FileFormatError, match="cannot be read"):
        read(path)


def test_damaged_json_is_refused_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    data = with_file(tmp_path).to_dict()
    for text, hint in (
        ("{", "is not JSON"), ("[]", "must be a JSON object"), ("{}", "crystal: None|crystal=None"),
        (json.dumps({**data, "beam": {"wavelenght_angstrom": 1}}), "did you mean wavelength_angstrom"),
        (json.dumps({**data, "crystal": {"structure_factors": {"file": 3}}}), "needs file, and format"),
        (json.dumps({**data, "crystal": {"structure_factors": {
            "file": "p1_small.hkl", "format": "hkl", "options": {"lable": 1}}}}), "options: .*lable"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(nb.FileFormatError, match=hint) as error:
            nb.Experiment.from_json_file(path)
        assert str(path) in str(error.value)
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(nb.FileFormatError, match="is not JSON"):
        nb.Experiment.from_json_file(path)


def test_toml_keeps_everything(tmp_path: Path) -> None:
    """Masks and tables go into files beside it."""
    experiment = full_experiment()
    written = experiment.to_toml(tmp_path / "e.toml")
    assert [Path(name).name for name in written] == ["e.toml", "e_table.json", "e_mask.img"]
    assert nb.Experiment.from_toml(tmp_path / "e.toml").equals(experiment)
    mask = np.ones((20, 24), bool)
    mask[3, 4] = False
    panels = small().replace(
        detector=tuple(nb.Detector(n_fast=24, n_slow=20, mask=m, name=f"p{i}") for i, m in enumerate((mask, None)))
    )
    panels.to_toml(tmp_path / "p.toml")
    assert nb.Experiment.from_toml(tmp_path / "p.toml").equals(panels)


def test_a_random_orientation_is_kept_as_what_was_drawn(tmp_path: Path) -> None:
    experiment = small().replace("crystal.misset_deg", "random")
    image = nb.simulate(experiment)
    experiment.to_json(tmp_path / "e.json")
    experiment.to_toml(tmp_path / "e.toml")
    for again in (
        nb.Experiment.from_dict(experiment.to_dict()), nb.Experiment.from_json(experiment.to_json()),
        nb.Experiment.from_json_file(tmp_path / "e.json"), nb.Experiment.from_toml(tmp_path / "e.toml"),
    ):  # fmt: skip
        assert again.equals(experiment)
        assert np.array_equal(nb.simulate(again), image)
    assert not small().replace("crystal.misset_deg", "random").equals(experiment)


def test_files_of_version_0_1_are_read() -> None:
    """The files were written by version 0.1.0 and are not to be written again."""
    assert nb.Experiment.from_json_file(DATA / "version_0_1.json").equals(full_experiment())
    assert nb.Experiment.from_json((DATA / "version_0_1.json").read_text()).equals(full_experiment())
    old = nb.Experiment.from_toml(DATA / "version_0_1.toml")
    expected = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(79.1, 79.1, 37.9, 90, 90, 90), n_cells=(20, 20, 20),
                           misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(100.0)),
        detector=nb.Detector(n_fast=512, n_slow=512, pixel_size_mm=0.2, distance_mm=100.0),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e24),
    )  # fmt: skip
    assert old.equals(expected)


def test_equality_and_hash_go_by_identity() -> None:
    one, same = small(), small()
    assert one != same and one.equals(same) and len({one, same, one}) == 2


# --- drawn experiments --------------------------------------------------------------------------------------------------

number = st.floats(-50, 50).map(lambda x: float(np.float64(x)))
positive = st.floats(0.01, 50)
vector = st.tuples(number, number, number)


@st.composite
def experiments(draw: st.DrawFn) -> nb.Experiment:
    """With what the fields take: masks, sensors, spectra, components, panels, vectors of which a part is open."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    n_panels = draw(st.integers(1, 3))
    panels = []
    for i in range(n_panels):
        sensor = draw(st.none() | st.builds(nb.Sensor, thickness_um=positive, attenuation_um=st.none() | positive | st.just(
            np.inf), n_layers=st.none() | st.integers(1, 5), material=st.none() | st.sampled_from(["Si", "CdTe"])))  # fmt: skip
        mask = draw(st.none() | st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
        panels.append(nb.Detector(
            n_slow=shape[0], n_fast=shape[1], pixel_size_mm=draw(positive), sensor=sensor, rotation_deg=draw(vector),
            mask=None if mask is None else np.reshape(mask, shape), name=draw(st.none() | st.text("abc1_", min_size=1)) or i,
            org_px=draw(st.none() | st.tuples(st.none() | number, st.none() | number)),
            pix0_mm=draw(st.none() | vector)))  # fmt: skip
    n = draw(st.integers(1, 80))
    spectrum = nb.Sources(wavelength_angstrom=np.linspace(1, 2, n), weight=np.arange(n) + 1.0, direction=draw(
        st.none() | st.just(np.tile([-1.0, 0.1, 0.2], (n, 1)))))  # fmt: skip
    rows = [[0.0, draw(positive)], [0.5, draw(positive)]]
    own = nb.Amorphous(table=rows, thickness_mm=draw(positive), density_g_cm3=1.0, molar_mass_g=18.0,
                       beamstop=draw(st.none() | st.builds(nb.Beamstop, radius_mm=positive, distance_mm=positive)))  # fmt: skip
    table = draw(st.sampled_from([
        nb.StructureFactors.constant(2.5), nb.StructureFactors.from_arrays([[0, 1, 2], [3, -1, 2]], [1.5, 2.25]),
    ]))  # fmt: skip
    crystal = nb.Crystal(unit_cell=nb.UnitCell(70, 80, 90, 90, 100, 90), structure_factors=table, shape="gauss",
                         misset_deg=draw(vector | st.just("random")), size_mm=draw(st.none() | st.just((0.1, None, 0.2))),
                         mosaic=nb.Mosaic(spread_deg=draw(positive), n_domains=draw(st.none() | st.integers(1, 9))))  # fmt: skip
    second = dataclasses.replace(crystal, misset_deg=draw(vector), n_cells=(2.5, 3.0, 4.0))
    return nb.Experiment(
        crystal=draw(st.sampled_from([crystal, (crystal, second)])),
        beam=nb.Beam(wavelength_angstrom=draw(positive), flux_per_s=draw(st.none() | positive), size_mm=draw(positive),
                     polarization_axis=draw(st.none() | vector), kahn_factor=draw(st.floats(-1, 1)),
                     polarized=draw(st.booleans()), sources=draw(st.none() | st.just(spectrum)),
                     divergence=draw(st.none() | st.builds(nb.Divergence, h_mrad=positive, round=st.booleans()))),
        detector=panels[0] if n_panels == 1 else tuple(panels),
        detector_pose=draw(st.none() | st.builds(nb.Pose, shift_mm=vector)),
        goniometer=nb.Goniometer(phi_start_deg=draw(number), osc_deg=draw(st.none() | positive)),
        sampling=nb.Sampling(roi=draw(st.none() | st.just((slice(None, 3), slice(1, None))))),
        background=nb.Background(components=draw(st.sampled_from([(), (own,), (own, nb.Amorphous(thickness_mm=1.0))]))),
        quirks=draw(st.sampled_from(["corrected", "reference", "WATER_SCALE,DISPERSION_EDGES"])),
    )  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(experiments())
def test_what_is_written_is_read_again(tmp_path: Path, experiment: nb.Experiment) -> None:
    experiment.to_json(tmp_path / "e.json")
    assert nb.Experiment.from_json_file(tmp_path / "e.json").equals(experiment)
    assert nb.Experiment.from_json(experiment.to_json()).equals(experiment)
    experiment.to_toml(tmp_path / "e.toml")
    assert nb.Experiment.from_toml(tmp_path / "e.toml").equals(experiment)
