"""What cannot be refined says so: the command ends with status 9 and one line, or with a warning and a result that says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_refine import SIZE, counts_of, truth

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.errors import NanoBraggWarning, RefinementError

EXACT = truth(mosaic=nb.Mosaic()).replace("crystal.structure_factors", nb.StructureFactors.constant(100.0))
TABLES = """
[crystal]
unit_cell = {a = 60.0, b = 60.0, c = CELL, alpha = 90.0, beta = 90.0, gamma = 90.0}
n_cells = [8, 8, 12]
misset_deg = [10.0, 20.0, 30.0]
shape = "gauss"
structure_factors = {default_F = 100.0}
[beam]
wavelength_angstrom = 1.0
fluence_per_m2 = 1e27
[detector]
n_fast = SIZE
n_slow = SIZE
pixel_size_mm = 0.1
distance_mm = 70.0
[sampling]
oversample = 1
[refine]
images = ["image.tif"]
parameters = ["crystal.misset_deg"]
data = {max_boxes = 60}
output = {experiment = "", values = "", report = ""}
"""
NONE = np.zeros((SIZE, SIZE), np.float32)
SATURATED = np.where(np.indices((SIZE, SIZE)).sum(0) % 2, 9e4, 1.0).astype(np.float32)
WRONG: dict[str, tuple[Any, str, list[str], str]] = {
    "no spots": (np.random.default_rng(3).poisson(5.0, (SIZE, SIZE)), "40.0", [], "no spots where they are predicted"),
    "flat": (NONE + 3, "40.0", [], "no spots where they are predicted"),
    "no number": (NONE + np.nan, "40.0", [], "no pixel that counts"),
    "saturated": (SATURATED, "40.0", ["refine.data.saturation=0.5"], "no pixel that counts"),
    "nothing free": (NONE, "40.0", ["refine.parameters=['crystal.unit_cell.gamma']"], "fixed by the crystal system"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_the_command_ends_with_one_line(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fabio = pytest.importorskip("fabio", reason="needs fabio: pip install 'nanobragg[io]'")
    image, cell, changes, words = WRONG[name]
    fabio.tifimage.TifImage(data=np.asarray(image, np.float32)).write(str(tmp_path / "image.tif"))
    (tmp_path / "run.toml").write_text(TABLES.replace("CELL", cell).replace("SIZE", str(SIZE)))
    typed = [word for change in changes for word in ("--set", change)]
    assert main(["refine", str(tmp_path / "run.toml"), *typed]) == 9
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and told.startswith("nanobragg: error"), told


def test_a_wrong_cell_is_in_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spots of another lattice: a warning, and the message of the result and the report say it."""
    fabio = pytest.importorskip("fabio", reason="needs fabio: pip install 'nanobragg[io]'")
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'nanobragg[plot]'")
    fabio.tifimage.TifImage(data=counts_of(EXACT).astype(np.float32)).write(str(tmp_path / "image.tif"))
    tables = (
        TABLES.replace("CELL", "97.0").replace("a = 60.0, b = 60.0", "a = 71.0, b = 83.0").replace("SIZE", str(SIZE))
    )
    (tmp_path / "run.toml").write_text(tables.replace('report = ""', 'report = "a.html"'))
    assert main(["refine", str(tmp_path / "run.toml")]) == 0
    out, err = capsys.readouterr()
    assert "nanobragg: warning" in err and "the photons that the model puts into its spots" in out
    assert "the photons that the model puts into its spots" in (tmp_path / "a.html").read_text()


def test_saturated_shoeboxes_are_left_out() -> None:
    """The brightest spots are beyond the largest count: the others are refined; with all of them there is nothing left."""
    counts = counts_of(EXACT)
    start = EXACT.replace("crystal.misset_deg", (10.1, 19.9, 30.1))
    top = float(np.sort(counts.ravel())[-60])
    found = nb.refine(np.minimum(counts, top), start, refine=["crystal.misset_deg"], saturation=top, max_boxes=60)
    assert np.abs(found.estimate - [10, 20, 30]).max() < 0.02 and found.chi2 < 1.2
    with pytest.raises(RefinementError, match=r"pixels in .* shoeboxes|no spots"):
        nb.refine(counts, start, refine=["crystal.misset_deg"], saturation=2.0, max_boxes=5)


def test_a_small_memory_takes_fewer_boxes() -> None:
    counts, start = counts_of(EXACT), EXACT.replace("crystal.misset_deg", (10.1, 19.9, 30.1))
    with pytest.warns(NanoBraggWarning, match=r"memory budget holds \d+ of \d+ shoeboxes"):
        found = nb.refine(counts, start, refine=["crystal.misset_deg"], memory_budget=3_000_000)
    assert (
        3 < len(found.spots) < 60 and np.abs(found.estimate - [10, 20, 30]).max() < 0.02
    )  # seen 0.010, errors of 0.008
    with pytest.raises(nb.ConfigError, match=r"memory_budget.*bytes"):
        nb.refine(counts, start, refine=["crystal.misset_deg"], memory_budget=0)


def test_the_deviance_of_few_photons() -> None:
    """A tenth of a photon in a pixel: both likelihoods within their errors, and closer to each other; robust with bad pixels."""
    faint = EXACT.replace("beam.fluence_per_m2", 2e26)
    counts = np.random.default_rng(4).poisson(nb.simulate(faint) + 0.1)
    start = faint.replace("crystal.misset_deg", (10.1, 19.9, 30.1))
    paths = ["crystal.misset_deg", "beam.fluence_per_m2"]
    gaussian, poisson = (
        nb.refine(counts, start, refine=paths, likelihood=name, max_boxes=60) for name in ("gaussian", "poisson")
    )
    for found in (gaussian, poisson):
        errors = np.sqrt(np.diag(found.covariance))
        assert (np.abs(found.estimate - [10, 20, 30, 2e26]) < 4 * errors).all(), str(found)
    assert (np.abs(gaussian.estimate - poisson.estimate) < errors).all()
    with pytest.raises(nb.ConfigError, match="read_noise"):
        nb.refine(counts, start, refine=paths, likelihood="poisson", read_noise=0.5)
