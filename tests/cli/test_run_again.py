"""`nanoBragg run` where files are there already, and what it says of bright pixels."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.cli.words import run as word
from nanobragg.exchange.images.provenance import read_provenance

pytest.importorskip("fabio", reason="needs fabio: pip install 'nanobragg[io]'")
RECIPE = """
[crystal]
unit_cell = { a = 40.0, b = 50.0, c = 60.0, alpha = 90.0, beta = 90.0, gamma = 90.0 }
n_cells = [5, 5, 5]
structure_factors = { default_F = 100.0 }
[detector]
n_fast = 24
n_slow = 20
pixel_size_mm = 1.0
distance_mm = 50.0
[beam]
fluence_per_m2 = 1e27
[goniometer]
osc_deg = 0.5
n_steps = 2
[sampling]
oversample = 1
[run]
output = "x_####.cbf"
n_images = 3
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(RECIPE)
    return tmp_path


def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the images that are rendered from now on."""
    numbers: list[int] = []
    before = word.simulate_scan

    def scan(*args: Any, only: Any, **options: Any) -> Any:
        numbers.extend(only)
        return before(*args, only=only, **options)

    monkeypatch.setattr(word, "simulate_scan", scan)
    return numbers


def test_a_series_goes_on(recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with seeds that were drawn: those that the files record are taken up, so that the result is that of one run."""
    assert main(["run", "a.toml", "--set", "crystal.misset_deg=random"]) == 0
    whole = [(recipe / f"x_000{i}.cbf").read_bytes()[-4096:] for i in (1, 2, 3)]
    pixels = [nb.io.read_image(recipe / f"x_000{i}.cbf") for i in (1, 2, 3)]
    (recipe / "x_0002.cbf").unlink()
    numbers = rendered(monkeypatch)
    assert main(["run", "a.toml", "--set", "crystal.misset_deg=random"]) == 0
    assert numbers == [1] and "2 of 3 images are there" in capsys.readouterr().out
    for i in (1, 2, 3):
        np.testing.assert_array_equal(nb.io.read_image(recipe / f"x_000{i}.cbf"), pixels[i - 1])
    assert len(whole) == 3
    assert main(["run", "a.toml", "--set", "crystal.misset_deg=random"]) == 0 and numbers == [1]
    assert main(["run", "a.toml", "--set", "crystal.misset_deg=random", "-n", "4"]) == 0 and numbers == [1, 3]
    assert main(["run", "a.toml", "--set", "crystal.misset_deg=random", "--force"]) == 0 and numbers[2:] == [0, 1, 2]


def test_another_recipe_is_not_overwritten(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "a.toml"]) == 0
    before = (recipe / "x_0001.cbf").read_bytes()
    other = ["run", "a.toml", "--set", "beam.wavelength_angstrom=1.1"]
    capsys.readouterr()
    assert main(other) == 9
    said = capsys.readouterr().err
    assert "x_0001.cbf and 2 more: exists" in said and "--force" in said
    assert (recipe / "x_0001.cbf").read_bytes() == before

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main(other) == 9 and (recipe / "x_0001.cbf").read_bytes() == before
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert main(other) == 0 and (recipe / "x_0001.cbf").read_bytes() != before
    monkeypatch.undo()
    (recipe / "x.bin").write_bytes(b"mine")
    assert main(["run", str(recipe / "a.toml"), "-o", str(recipe / "x.bin"), "-n", "1"]) == 9
    assert main(["run", str(recipe / "a.toml"), "-o", str(recipe / "x.bin"), "-n", "1", "--force"]) == 0


def test_a_long_run_is_confirmed_at_a_terminal(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert main(["run", "a.toml", "--set", "sampling.oversample=30000"]) == 9
    assert "this run takes about" in screen.getvalue() and "go on? [y/N]" in screen.getvalue()
    assert list(recipe.glob("x*")) == []


@pytest.mark.parametrize(
    ("name", "most"),
    [("y_####.img", 65535), ("y_####.cbf", 2**31 - 1), ("y.nxs", 2**31 - 1), ("y_####.tif", 2**31 - 1)],
)
def test_counts_are_what_the_format_holds(
    recipe: Path, name: str, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two million photons in the brightest pixel: clipped in 16 bits alone, which is told once for all images."""
    if name.endswith("nxs"):
        pytest.importorskip("h5py")
    bright = ["run", "a.toml", "--set", "beam.fluence_per_m2=1e32", "--set", "run.seed=1", "-o", name]
    assert main(bright) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "overloaded" in line]
    path = recipe / name.replace("####", "0001")
    top = nb.io.read_image(path).max()
    assert read_provenance(path)["saturation"] == most
    if most == 65535:
        assert top == most and len(said) == 1 and "in 3 images" in said[0]
    else:
        assert most > top > 1e6 and not said
    assert main([*bright, "--force", "--set", "run.saturation=1000"]) == 0
    assert nb.io.read_image(path).max() == 1000 and read_provenance(path)["saturation"] == 1000
    assert main([*bright, "--force", "--set", "run.saturation=9999999999"]) == 9
    assert "run.saturation" in capsys.readouterr().err


def test_only_some_images() -> None:
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)
        ),
        detector=nb.Detector(n_fast=8, n_slow=6, pixel_size_mm=1.0, distance_mm=50.0),
        goniometer=nb.Goniometer(osc_deg=1.0),
    )
    every = list(nb.simulate_scan(experiment, 4))
    some = list(nb.simulate_scan(experiment, 4, only=[3, 1]))
    np.testing.assert_array_equal(some, [every[3], every[1]])
    with pytest.raises(nb.ConfigError, match="only=4"):
        nb.simulate_scan(experiment, 4, only=[4])


def test_one_bar_for_a_series(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends at all images, whatever the panels."""
    from nanobragg.scan import _ScanBar

    with _ScanBar(2, 3) as bar:
        for _ in range(6):
            for done in (1, 5, 10):
                bar(done, 10)
        assert bar.bar.n == pytest.approx(2)
