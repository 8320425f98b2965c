"""Refinements as files: what they say, what they refuse, and that workers change nothing."""

from __future__ import annotations

import csv
import io
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_shared import still

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.cli.words.common.bar import bar
from nanobragg.errors import FileFormatError
from nanobragg.io.spots.refl import read_refl
from nanobragg.refinement.recipes.tables import RefineRecipe, commented_recipe, read_recipe

START = """
[crystal]
unit_cell = {a = 60.0, b = 60.0, c = 40.0, alpha = 90.0, beta = 90.0, gamma = 90.0}
n_cells = [8, 8, 12]
shape = "gauss"
structure_factors = {default_F = 300.0}
[beam]
wavelength_angstrom = 1.0
fluence_per_m2 = 2.1e25
[sampling]
oversample = 1
[refine]
images = ["a_*.cbf"]
experiments = "start.expt"
parameters = ["crystal.misset_deg", "beam.fluence_per_m2"]
shared = ["detector.pix0_mm[0]"]
[refine.priors]
beam.fluence_per_m2 = [2e25, 1e25]
[refine.data]
max_boxes = 40
[refine.stages]
n_threads = 1
workers = 2
[refine.output]
values = "values.csv"
experiment = "refined.expt"
"""


def moved(experiment: nb.Experiment) -> nb.Experiment:
    """0.4 mm and 0.17 degrees off."""
    x, y, z = experiment.crystal.misset_deg
    return experiment.replace("crystal.misset_deg", (x + 0.1, y - 0.1, z + 0.1)).replace("detector.distance_mm", 70.4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images with one detector, the list of their starts, and a recipe."""
    found = tmp_path_factory.mktemp("recipe")
    plain = nb.StructureFactors.constant(300.0)
    truths = [still(seed).replace("crystal.structure_factors", plain) for seed in (1, 2)]
    for i, truth in enumerate(truths):
        counts = np.random.default_rng(i).poisson(nb.simulate(truth) + 1.0).astype(np.int32)
        nb.io.write_cbf(found / f"a_{i + 1}.cbf", counts, experiment=truth)
        nb.write_geometry(moved(truth), found / f"start_{i}.expt")
    _join([found / "start_0.expt", found / "start_1.expt"], found / "start.expt")
    (found / "run.toml").write_text(START)
    return found


def _join(parts: list[Path], path: Path) -> None:
    """One experiment list of several with one experiment each."""
    import json

    whole: dict[str, Any] = {}
    for part in parts:
        data = json.loads(part.read_text())
        entry = data["experiment"][0]
        for kind in ("beam", "detector", "goniometer", "scan", "crystal", "imageset"):
            if kind in entry:
                entry[kind] += len(whole.get(kind, []))
        for key, value in data.items():
            if isinstance(value, list):
                whole.setdefault(key, []).extend(value)
            else:
                whole[key] = value
    path.write_text(json.dumps(whole))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_file_says_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two images, one distance: two processes and one find the same to the last digit; nothing is overwritten unasked."""
    run = str(folder / "run.toml")
    assert main(["refine", run]) == 0
    assert "2 images" in capsys.readouterr().out
    first = rows(folder / "values.csv")
    shared = [row for row in first if row["image"] == "all"]
    assert [row["name"] for row in shared] == ["detector.pix0_mm[0]"]
    truth = nb.read_geometry(folder / "a_1.cbf", template=still(1)).detector.pix0_mm[0]
    assert abs(float(shared[0]["refined"]) - truth) < 4 * float(shared[0]["error"])
    assert len(first) == 2 * 4 + 1 and {row["unit"] for row in first} >= {"degrees", "mm"}
    found = [nb.read_geometry(folder / f"refined_000{i}.expt", template=still(i)) for i in (1, 2)]
    assert found[0].detector.pix0_mm == found[1].detector.pix0_mm
    assert "<h1>Refinement</h1>" in (folder / "refined_0002.html").read_text()

    assert main(["refine", run]) == 9
    assert "--force" in capsys.readouterr().err
    assert main(["refine", run, "--workers", "1", "--force"]) == 0
    assert rows(folder / "values.csv") == first


def test_what_is_typed_comes_before_the_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of the images, alone: values as Parquet, reflections as DIALS and CrystFEL write them."""
    arrow = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'nanobragg[tables]'")
    (folder / "one.toml").write_text(
        START.replace('shared = ["detector.pix0_mm[0]"]\n', "").replace("start.expt", "start_0.expt")
    )
    outputs = [str(tmp_path / name) for name in ("a.parquet", "a.refl", "a.stream", "b.geom", "XPARM.XDS")]
    words = [word for name in outputs for word in ("-o", name)]
    assert main(["refine", str(folder / "one.toml"), str(folder / "a_1.cbf"), "--max-boxes", "30", *words]) == 0
    assert capsys.readouterr().out.count("\n") > 8
    table = arrow.read_table(outputs[0]).to_pydict()
    assert table["name"] == [*(f"crystal.misset_deg[{i}]" for i in range(3)), "beam.fluence_per_m2"]
    assert min(table["error"]) > 0
    assert len(read_refl(outputs[1])["miller_index"]) <= 30
    assert "Reflections measured after indexing" in Path(outputs[2]).read_text()
    refined = nb.read_geometry(outputs[4], template=still(1))
    assert refined.crystal.a_star_matrix is not None


def alike(experiment: nb.Experiment) -> nb.Experiment:
    """With Friedel mates of one amplitude, and more photons."""
    own = experiment.crystal.structure_factors
    even = (own.amplitude + own.amplitude[::-1, ::-1, ::-1]) / 2
    found = experiment.replace("crystal.structure_factors", nb.StructureFactors(amplitude=even, hkl_min=own.hkl_min))
    return found.replace("beam.fluence_per_m2", 2e26)


@pytest.fixture(scope="module")
def amplitudes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of a crystal, one orientation each known to 0.03 degrees, and structure factors that are all alike."""
    found = tmp_path_factory.mktemp("amplitudes")
    for i in range(3):
        truth = alike(still(i))
        counts = np.random.default_rng(i).poisson(nb.simulate(truth) + 1.0).astype(np.int32)
        nb.io.write_cbf(found / f"a_{i + 1}.cbf", counts, experiment=truth)
        x, y, z = truth.crystal.misset_deg
        start = truth.replace("crystal.structure_factors", nb.StructureFactors.constant(250.0))
        nb.write_geometry(start.replace("crystal.misset_deg", (x + 0.03, y, z - 0.02)), found / f"start_{i}.expt")
    _join([found / f"start_{i}.expt" for i in range(3)], found / "start.expt")
    text = START.replace('"detector.pix0_mm[0]"', '"crystal.structure_factors"').replace("2.1e25", "2e26")
    text = text.replace("beam.fluence_per_m2 = [2e25, 1e25]", '"crystal.structure_factors" = [0.0, 0.7]')
    text = text.replace("default_F = 300.0", "default_F = 250.0").replace('"refined.expt"', '"refined.toml"')
    (found / "run.toml").write_text(text + 'report = ""\n')
    return found


def test_structure_factors_by_a_file(amplitudes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shared by three images, by two processes and by one to the last digit: they come close to the truth, and the refined
    experiments name the file with them (scatter of ln F of the brighter ones: from 12 % to 5 % seen)."""
    run = str(amplitudes / "run.toml")
    assert main(["refine", run]) == 0
    out = capsys.readouterr().out
    assert "structure factors, chi-squared" in out and "refined.hkl" in out
    first, table = rows(amplitudes / "values.csv"), (amplitudes / "refined.hkl").read_bytes()
    assert {row["image"] for row in first} == {str(amplitudes / f"a_{i}.cbf") for i in (1, 2, 3)}
    assert len(first) == 3 * 4 and all(float(row["error"]) > 0 for row in first)
    found = nb.StructureFactors.from_hkl(amplitudes / "refined.hkl", default_F=250.0)
    hkl, refined = found.reflections()
    true = alike(still(0)).crystal.structure_factors
    exact = true.amplitude[tuple((hkl - np.array(true.hkl_min)).T)]
    bright = exact > 300  # the fainter ones are held by the prior
    ratio = np.log(refined / exact)[bright]
    print(len(hkl), bright.sum(), np.std(ratio), np.std(np.log(exact[bright])))
    assert bright.sum() > 50 and np.std(ratio) < 0.6 * np.std(np.log(exact[bright]))
    experiment = nb.Experiment.from_toml(amplitudes / "refined_0002.toml")
    assert np.array_equal(experiment.crystal.structure_factors.reflections()[1], refined)
    assert main(["refine", run, "--workers", "1", "--force"]) == 0
    assert rows(amplitudes / "values.csv") == first and (amplitudes / "refined.hkl").read_bytes() == table


WRONG = {
    "images = []": "names no image",
    'images = "a_1.cbf"': "list of texts",
    'images = ["b_*.cbf"]': "finds no file",
    'images = ["a_1.cbf", "a_1.cbf"]': "twice",
    'images = ["a_1.cbf"]\nloss = "squares"': "soft_l1",
    'images = ["a_1.cbf"]\nparameter = ["crystal.misset_deg"]': "did you mean parameters",
    'images = ["a_1.cbf"]\ndata = {gain = 0}': r"refine\.data\.gain",
    'images = ["a_1.cbf"]\nstages = {worker = 2}': "did you mean workers",
    'images = ["a_1.cbf"]\nbounds = {detector.distance_mm = [1]}': r"refine\.bounds\.detector\.distance_mm.*two numbers",
    'images = ["a_1.cbf"]\npriors = 3': "table of paths",
    'images = ["a_1.cbf"]\nexperiments = "start.expt"': "holds 2 experiments for 1 images",
    'images = ["a_1.cbf"]\nparameters = ["crystal.misset"]': "did you mean misset_deg",
    'images = ["a_1.cbf"]\nparameters = ["detector.n_fast"]': "not differentiable",
    'images = ["a_1.cbf"]\nparameters = "crystal.misset_deg"': "list of texts",
    'images = ["a_1.cbf"]\nshared = ["crystal.structure_factors", "detector.distance_mm"]': "in two runs",
    'images = ["a_1.cbf"]\nbounds = {beam.fluence_per_m2 = [1.0, 2.0]}': "exclude the start",
}


@pytest.mark.parametrize("table", WRONG)
def test_what_a_file_cannot_say(folder: Path, table: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    path = folder / "wrong.toml"
    path.write_text(START[: START.index("[refine]")] + "[refine]\n" + table + "\n")
    assert main(["refine", str(path)]) == 9
    told = capsys.readouterr().err
    assert re.search(WRONG[table], told) and told.count("\n") == 1, told


def test_a_file_without_the_table_needs_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "plain.toml"
    path.write_text(START[: START.index("[refine]")])
    assert read_recipe(path) is None
    assert main(["refine", str(path)]) == 9
    assert "which images?" in capsys.readouterr().err


def test_the_keys_are_told(tmp_path: Path) -> None:
    """The commented tables are read as they stand, and with every key set."""
    path = tmp_path / "keys.toml"
    assert main(["refine", str(path), "--keys"]) == 0
    assert path.read_text() == commented_recipe()
    tables = START[: START.index("[refine]")]
    for text in (commented_recipe(), commented_recipe().replace("\n# ", "\n").replace("What is", "# What is")):
        lines = [line for line in text.splitlines() if "=" in line.split("#")[0] or line.startswith("[")]
        path.write_text(tables + "\n".join(lines) + "\n")
        plan = read_recipe(path)
        assert plan is not None and isinstance(plan.recipe, RefineRecipe)
    assert plan.recipe.priors == {"detector.distance_mm": (110.0, 0.2)} and plan.recipe.data.spots == "strong.refl"
    assert tomllib.loads(commented_recipe())["refine"]["images"]
    with pytest.raises(FileFormatError, match=r"refine\.data\.gain"):
        read_recipe(path, ["refine.data.gain=-1"])


def test_the_start_is_looked_at_like_any_experiment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table [refine] is the affair of `nanoBragg refine` alone."""
    assert main(["explain", str(folder / "run.toml")]) == 0
    assert "kernel" in capsys.readouterr().out
    start = nb.Experiment.from_toml(folder / "run.toml")
    assert start.beam.fluence_per_m2 == 2.1e25


def test_a_bar_is_drawn_at_a_terminal_alone() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with bar(io.StringIO()) as told:
        assert told is None
    terminal = Terminal()
    with bar(terminal) as told:
        assert told is not None
        told("pixels", 3, 10)
    assert "pixels: 3/10" in terminal.getvalue()
