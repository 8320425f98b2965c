"""Refinement: recovery of what was simulated, honest errors, the forms of a crystal, and what cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.errors import ConfigError, NanoBraggWarning, RefinementError
from nanobragg.refinement.data.pixels import as_image, boxes
from nanobragg.refinement.data.spots import read_spots
from nanobragg.refinement.solving.model import Model
from nanobragg.refinement.variables.crystals import Lattice, angles_of, parameters_of, rotation
from nanobragg.refinement.variables.parameters import Parameters
from nanobragg.refinement.variables.several import variables_of

SIZE = 450
ALL = ["crystal.misset_deg", "crystal.unit_cell", "crystal.n_cells", "crystal.mosaic.spread_deg", "beam.fluence_per_m2",
       "detector.distance_mm"]  # fmt: skip


def amplitudes() -> nb.StructureFactors:
    """Wilson statistics to 1.5 Angstrom."""
    axes = [np.arange(-n, n + 1) for n in (40, 40, 27)]
    wilson = np.sqrt(np.random.default_rng(1).exponential(size=[len(axis) for axis in axes]))
    wilson[40, 40, 27] = 0
    return nb.StructureFactors(amplitude=300 * wilson, hkl_min=(-40, -40, -27))


TABLE = amplitudes()


def truth(**parts: Any) -> nb.Experiment:
    crystal = {"unit_cell": nb.UnitCell(60, 60, 40, 90, 90, 90), "n_cells": (8, 8, 12), "shape": "gauss",
               "misset_deg": (10.0, 20.0, 30.0), "mosaic": nb.Mosaic(spread_deg=0.15, n_domains=20),
               "structure_factors": TABLE}  # fmt: skip
    return nb.Experiment(
        crystal=nb.Crystal(**{**crystal, **parts}), beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e27),
        detector=nb.Detector(n_fast=SIZE, n_slow=SIZE, pixel_size_mm=0.1, distance_mm=70.0),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def counts_of(experiment: nb.Experiment, seed: int = 1) -> Any:
    return np.random.default_rng(seed).poisson(nb.simulate(experiment) + 1.0)


def displaced(experiment: nb.Experiment) -> nb.Experiment:
    """0.25 degrees, 0.4 % of the cell, 20 % of the blocks and the spread, 0.5 mm off."""
    x, y, z = experiment.crystal.misset_deg
    if experiment.crystal.mosaic.spread_deg:
        experiment = experiment.replace("crystal.mosaic.spread_deg", 0.12)
    return (
        experiment.replace("crystal.misset_deg", (x + 0.15, y - 0.12, z + 0.15))
        .replace("crystal.unit_cell", nb.UnitCell(60.2, 60.2, 39.85, 90, 90, 90)).replace("crystal.n_cells", (9.5, 9.5, 14))
        .replace("detector.distance_mm", 70.5)
    )  # fmt: skip


def test_recovery_with_honest_errors() -> None:
    """Eleven numbers at once, from data with more domains, of another draw, than the model begins with: none is more than four
    errors away, and chi-squared is 1 (seen 1.0)."""
    exact = truth(mosaic=nb.Mosaic(model="gaussian", spread_deg=0.08, n_domains=300, seed=7))
    exact = exact.replace("beam.fluence_per_m2", 1e26)
    start = displaced(exact).replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=40))
    found = nb.refine(counts_of(exact), start, refine=ALL, max_boxes=120, max_domains=160)
    expected = np.array([10, 20, 30, 60, 40, 8, 8, 12, 0.08, 1e26, 70])
    errors = np.sqrt(np.diag(found.covariance))
    assert (np.abs(found.estimate - expected) < 4 * errors).all(), str(found)
    assert 0.9 < found.chi2 < 1.1 and found.converged
    assert errors[:3].max() < 0.01
    assert found.names[3:5] == ("crystal.unit_cell.a", "crystal.unit_cell.c")
    assert found.experiment.crystal.unit_cell.b == found.experiment.crystal.unit_cell.a
    assert found.experiment.crystal.mosaic.n_domains == 40  # as it was given, whatever the model took
    assert found.values["detector.distance_mm"] == found.experiment.detector.distance_mm
    assert np.allclose(np.diag(found.correlation), 1) and len(found.shells) == 5
    assert np.nanmedian(np.linalg.norm(found.observed - found.modelled, axis=1)) < 0.3


def _quiet() -> Any:
    import warnings

    context = warnings.catch_warnings()
    warnings.simplefilter("ignore", NanoBraggWarning)
    return context


@pytest.mark.parametrize("options", [{}, {"loss": "soft_l1"}, {"likelihood": "poisson"}], ids=str)
def test_both_methods_end_at_one_minimum(options: dict[str, Any]) -> None:
    """Ten numbers with bounds and a prior: L-BFGS within 0.03 errors of steps of Gauss and Newton (seen 0.01), errors to 0.5 %
    (seen 0.15 %)."""
    exact = truth(mosaic=nb.Mosaic()).replace("beam.fluence_per_m2", 1e26)
    counts, paths = counts_of(exact), [path for path in ALL if "spread" not in path]
    one, other = (
        nb.refine(counts, displaced(exact), refine=paths, method=method, max_boxes=80, bounds={"detector.distance_mm": (68, 72)},
                  priors={"crystal.unit_cell.c": (40.0, 0.1)}, **options)
        for method in ("least_squares", "lbfgs")
    )  # fmt: skip
    errors = np.sqrt(np.diag(one.covariance))
    assert one.converged and other.converged
    assert (np.abs(other.estimate - one.estimate) < 0.03 * errors).all(), (other.estimate - one.estimate) / errors
    assert np.allclose(np.sqrt(np.diag(other.covariance)), errors, rtol=5e-3)


def test_mosaic_domains_by_the_other_method() -> None:
    """One draw of the domains where "least_squares" has nine: its scatter is in the errors, the truth within four of them."""
    exact = truth(mosaic=nb.Mosaic(model="gaussian", spread_deg=0.08, n_domains=300, seed=7))
    exact = exact.replace("beam.fluence_per_m2", 1e26)
    start = displaced(exact).replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=40))
    found = nb.refine(counts_of(exact), start, refine=ALL, max_boxes=60, max_domains=160, method="lbfgs")
    errors = np.sqrt(np.diag(found.covariance))
    expected = [10, 20, 30, 60, 40, 8, 8, 12, 0.08, 1e26, 70]
    assert (np.abs(found.estimate - expected) < 4 * errors).all(), str(found)
    assert found.converged and 0.9 < found.chi2 < 1.1
    assert (np.diag(found.sampling_covariance) > 0).all()


def test_the_error_holds_the_sampling_of_the_domains() -> None:
    """Data with other, and more, domains than the model: the orientation is off by the error that is said, not by photons."""
    exact = truth(mosaic=nb.Mosaic(spread_deg=0.15, n_domains=3000, seed=7)).replace("beam.fluence_per_m2", 4e26)
    start = exact.replace("crystal.mosaic", nb.Mosaic(spread_deg=0.15, n_domains=60))
    with _quiet():
        found = nb.refine(counts_of(exact), start.replace("crystal.misset_deg", (10.1, 20.1, 29.9)), refine=ALL,
                          max_domains=60, max_boxes=120)  # fmt: skip
    errors, sampling = (np.sqrt(np.diag(c)) for c in (found.covariance, found.sampling_covariance))
    assert (np.abs(found.estimate[:3] - [10, 20, 30]) < 4 * errors[:3]).all(), str(found)
    assert sampling[:3].max() > 2 * np.sqrt(errors**2 - sampling**2)[:3].max()


@pytest.mark.parametrize("poisson", [False, True])
def test_jacobian_against_differences(poisson: bool) -> None:
    """Every variable, with what is linear eliminated: 2e-8 of the largest element (seen)."""
    exact = truth(mosaic=nb.Mosaic(spread_deg=0.15, n_domains=4))
    parameters = Parameters(exact, [*ALL, "beam.wavelength_angstrom", "detector.rotation_deg"],
                            priors={"detector.distance_mm": (70.1, 0.2)})  # fmt: skip
    data = boxes(as_image(counts_of(exact), exact), nb.predict(exact)[:30], exact, 2, "plane")
    model = Model(parameters, data, poisson=poisson)
    x = np.full(parameters.size, 0.3)
    model.weigh(model.expected(x), 0.0)
    jacobian = model.jacobian(x)
    for k, step in enumerate(np.eye(parameters.size) * 1e-3):
        slope = (model.residuals(x + step) - model.residuals(x - step)) / 2e-3
        assert np.abs(slope - jacobian[:, k]).max() < 1e-6 * np.abs(slope).max(), parameters.names[k]


def test_an_orientation_that_is_a_matrix() -> None:
    """As from DIALS: cell and misset are refined all the same, and a matrix comes out."""
    exact = truth(mosaic=nb.Mosaic())
    matrix = Lattice(exact).a_star
    start = displaced(exact)
    rows = Lattice(start).a_star
    as_matrix = start.replace("crystal.a_star_matrix", rows).replace("crystal.unit_cell", None)
    as_matrix = as_matrix.replace("crystal.misset_deg", (0.0, 0.0, 0.0)).replace("crystal.space_group", "P 4")
    found = nb.refine(counts_of(exact), as_matrix, refine=["crystal.misset_deg", "crystal.unit_cell", "crystal.n_cells",
                                                          "detector.distance_mm"])  # fmt: skip
    assert found.experiment.crystal.unit_cell is None
    refined = found.experiment.crystal.a_star_matrix
    turn = np.degrees(np.linalg.norm(np.linalg.solve(matrix, refined) - np.eye(3)) / np.sqrt(2))
    assert turn < 0.005
    assert parameters_of(refined)[0] == pytest.approx(60, abs=0.02)
    assert parameters_of(refined)[0] == pytest.approx(parameters_of(refined)[1], abs=1e-9)


def test_free_intensities() -> None:
    """Without the structure factors: each spot has its own factor, and orientation and cell come out all the same."""
    exact = truth(mosaic=nb.Mosaic())
    start = displaced(exact).replace("crystal.structure_factors", nb.StructureFactors.constant(300.0))
    paths = ["crystal.misset_deg", "crystal.unit_cell", "crystal.n_cells", "detector.distance_mm"]
    found = nb.refine(counts_of(exact), start, refine=paths, intensities="free")
    assert np.abs(found.estimate[:3] - [10, 20, 30]).max() < 0.05
    own = {tuple(row["hkl"]): row["photons"] for row in nb.predict(exact).table}
    expected = np.array([own.get(tuple(index), 0.0) for index in found.spots["hkl"]])
    bright = expected > 300
    assert bright.sum() > 30
    assert np.abs(found.intensities[bright] / expected[bright] - 1).max() < 0.3


def test_bounds_and_priors() -> None:
    exact = truth(mosaic=nb.Mosaic())
    counts = counts_of(exact)
    with _quiet():
        held = nb.refine(counts, exact.replace("detector.distance_mm", 70.4), bounds={"detector.distance_mm": (70.3, 70.5)},
                         refine=["crystal.unit_cell", "detector.distance_mm"])  # fmt: skip
    assert np.isfinite(held.covariance).all()
    assert 70.3 < held.values["detector.distance_mm"] < 70.5
    pulled = nb.refine(counts, exact, refine=["detector.distance_mm"], priors={"detector.distance_mm": (71.0, 1e-5)})
    assert pulled.values["detector.distance_mm"] == pytest.approx(71.0, abs=1e-3)


def test_spots_are_found_and_read(tmp_path: Path) -> None:
    """Nine in ten of the predicted spots of more than 100 photons stand where they are predicted, within 0.5 pixels."""
    exact = truth(mosaic=nb.Mosaic())
    spots = nb.find_spots(counts_of(exact), exact)
    own = nb.predict(exact)
    bright = own["photons"] > 100
    apart = np.hypot(own["fast"][bright][:, None] - spots.fast, own["slow"][bright][:, None] - spots.slow).min(1)
    assert (apart < 0.5).mean() > 0.85
    own.write(tmp_path / "a.refl")
    own.write(tmp_path / "a.csv")
    for name in ("a.refl", "a.csv"):
        again = read_spots(tmp_path / name)
        assert np.allclose(np.sort(again.fast), np.sort(own["fast"]))


@pytest.mark.parametrize(
    ("cell", "group", "system", "free"),
    [
        ((60, 60, 40, 90, 90, 90), None, "tetragonal", 2), ((60, 60, 60, 90, 90, 90), None, "cubic", 1),
        ((60, 60, 40, 90, 90, 120), None, "hexagonal", 2), ((60, 60, 60, 80, 80, 80), None, "rhombohedral", 2),
        ((60, 50, 40, 90, 100, 90), None, "monoclinic", 4), ((60, 50, 40, 80, 100, 95), None, "triclinic", 6),
        ((60, 60, 40, 90, 90, 90), "P 21 21 21", "orthorhombic", 3), ((60, 60.5, 40, 90, 90, 90), " P 4 2", "tetragonal", 2),
    ],
)  # fmt: skip
def test_crystal_systems(cell: Any, group: Any, system: str, free: int) -> None:
    if group is not None:
        pytest.importorskip("gemmi")
    experiment = truth(unit_cell=nb.UnitCell(*cell), space_group=group)
    lattice = Lattice(experiment)
    assert lattice.system == system and len(lattice.free) == free
    if group is None:
        assert np.allclose(lattice.matrix(np.zeros(3), lattice.cell), lattice.a_star, atol=1e-12)
        assert np.allclose(lattice.misset(np.zeros(3)), experiment.crystal.misset_deg)


def test_rotations() -> None:
    turn = np.array([0.3, -0.2, 0.5])
    matrix = rotation(turn)
    assert np.allclose(matrix @ matrix.T, np.eye(3)) and np.trace(matrix) == pytest.approx(
        1 + 2 * np.cos(np.radians(np.linalg.norm(turn)))
    )
    assert np.allclose(angles_of(matrix), turn, atol=2e-3)


WRONG = {
    "no such field": ({"refine": ["crystal.missset_deg"]}, ConfigError, "did you mean misset_deg"),
    "not differentiable": ({"refine": ["crystal.mosaic.seed"]}, ConfigError, "not differentiable"),
    "nothing": ({"refine": []}, ConfigError, "list of paths"),
    "twice": ({"refine": ["crystal.misset_deg"] * 2}, ConfigError, "twice"),
    "bounds": (
        {"refine": ["detector.distance_mm"], "bounds": {"detector.distance_mm": (80, 90)}},
        ConfigError,
        "exclude",
    ),
    "fixed by symmetry": ({"refine": ["crystal.unit_cell.gamma"]}, ConfigError, "fixed by the crystal system"),
    "no effect": ({"refine": ["beam.kahn_factor", "detector.sensor.thickness_um"]}, ConfigError, "sensor"),
    "a word": ({"refine": ["crystal.misset_deg"], "loss": "squared"}, ConfigError, "soft_l1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_requests(name: str) -> None:
    options, error, text = WRONG[name]
    with pytest.raises(error, match=text):
        nb.refine(np.ones((SIZE, SIZE)), truth(), **options)


def test_what_the_model_does_not_hold() -> None:
    image, paths = np.ones((SIZE, SIZE)), ["crystal.misset_deg"]
    water = truth().replace("background", nb.Background(components=nb.Amorphous(table="water", thickness_mm=0.1)))
    with pytest.raises(ConfigError, match="components"):
        nb.refine(image, water, refine=paths, background="model")


IMAGES: dict[str, Any] = {
    "flat": (np.full((SIZE, SIZE), 3.0), RefinementError, "no spots"),
    "empty": (np.zeros((SIZE, SIZE)), RefinementError, "no spots"),
    "not a number": (np.full((SIZE, SIZE), np.nan), ConfigError, "no pixel that counts"),
    "another detector": (np.ones((SIZE, SIZE + 1)), ConfigError, "another detector"),
    "noise": (np.random.default_rng(3).poisson(5.0, (SIZE, SIZE)), RefinementError, "no spots"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_that_cannot_work(name: str) -> None:
    image, error, text = IMAGES[name]
    with pytest.raises(error, match=text):
        nb.refine(image, truth(), refine=["crystal.misset_deg"])


def test_saturated_and_masked_shoeboxes() -> None:
    exact = truth(mosaic=nb.Mosaic())
    with pytest.raises((RefinementError, ConfigError), match=r"masked|counts"):
        nb.refine(counts_of(exact), exact, refine=["crystal.misset_deg"], mask=np.zeros((SIZE, SIZE), bool))
    with pytest.raises(RefinementError, match=r"saturated|no spots"):
        nb.refine(np.where(counts_of(exact) > 2, 5, 1), exact, refine=["crystal.misset_deg"], saturation=2)


def test_a_wrong_cell_says_so() -> None:
    exact = truth(mosaic=nb.Mosaic())
    wrong = exact.replace("crystal.unit_cell", nb.UnitCell(71, 83, 97, 90, 90, 90))
    with pytest.warns(NanoBraggWarning, match=r"left their shoeboxes|photons that the model"):
        found = nb.refine(counts_of(exact), wrong, refine=["crystal.misset_deg"], max_boxes=60)
    assert "left their" in found.message or "photons that the model" in found.message


def test_cancelled_and_reported(tmp_path: Path) -> None:
    exact = truth(mosaic=nb.Mosaic())
    with pytest.raises(nb.CoreError):
        nb.refine(counts_of(exact), exact, refine=["crystal.misset_deg"], cancel=lambda: True)
    told: list[str] = []
    found = nb.refine(counts_of(exact), exact, refine=["crystal.misset_deg"], max_boxes=30,
                      progress=lambda text, done, total: told.append(text))  # fmt: skip
    assert told[0] == "places of spots" and told[-1] == "pixels"
    found.write(tmp_path / "a.csv")
    found.write(tmp_path / "a.expt")
    assert "crystal.misset_deg[0]" in (tmp_path / "a.csv").read_text()
    pytest.importorskip("matplotlib")
    found.report(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/png") == 2 and "crystal.misset_deg[2]" in page and "http" not in page


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From files: an image with its geometry in the header, structure factors all alike; a flat image ends with status 9."""
    exact = truth(mosaic=nb.Mosaic()).replace("crystal.structure_factors", nb.StructureFactors.constant(100.0))
    image, expt = str(tmp_path / "a.img"), str(tmp_path / "a.expt")
    nb.io.write_smv(image, counts_of(exact).astype(np.uint16), experiment=exact)
    nb.write_geometry(exact.replace("crystal.misset_deg", (10.1, 19.9, 30.1)), expt)
    words = ["--refine", "crystal.misset_deg", "beam.fluence_per_m2", "--max-boxes", "60"]
    (tmp_path / "template.toml").write_text(
        "[crystal]\nunit_cell = {a = 60.0, b = 60.0, c = 40.0, alpha = 90.0, beta = 90.0, gamma = 90.0}\n"
        'n_cells = [8, 8, 12]\nshape = "gauss"\nstructure_factors = {default_F = 100.0}\n[beam]\nfluence_per_m2 = 8e26\n'
        "[sampling]\noversample = 1\n"
    )
    out = str(tmp_path / "refined.expt")
    assert main(["refine", expt, image, "--template", str(tmp_path / "template.toml"), *words, "-o", out]) == 0
    assert "crystal.misset_deg[0]" in capsys.readouterr().out
    found = Lattice(nb.Experiment.from_dials(out, exact)).a_star
    assert np.degrees(np.abs(found - Lattice(exact).a_star).max() * 40) < 0.01
    nb.io.write_smv(image, np.full((SIZE, SIZE), 3, np.uint16), experiment=exact)
    assert main(["refine", expt, image, "--template", str(tmp_path / "template.toml"), *words]) == 9
    assert "no spots where they are predicted" in capsys.readouterr().err


def test_blocks_of_unlike_size() -> None:
    """The width of the distribution of sizes comes out with the mean size."""
    exact = truth(mosaic=nb.Mosaic(), sizes=nb.BlockSizes(width=0.3), n_cells=(8, 8, 8))
    start = exact.replace("crystal.sizes.width", 0.15).replace("crystal.n_cells", (9, 9, 9))
    start = start.replace("crystal.misset_deg", (10.1, 19.9, 30.1))
    paths = ["crystal.misset_deg", "crystal.n_cells", "crystal.sizes.width", "beam.fluence_per_m2"]
    found = nb.refine(counts_of(exact), start, refine=paths, max_boxes=60)
    expected = [10, 20, 30, 8, 8, 8, 0.3, 1e27]
    assert (np.abs(found.estimate - expected) < 4 * np.sqrt(np.diag(found.covariance))).all(), str(found)
    assert found.errors["crystal.sizes.width"] < 0.05 and 0.9 < found.chi2 < 1.1


def test_spreads_about_three_axes() -> None:
    """Seen: 0.055, 0.100, 0.204 degrees, with errors of 0.007."""
    mosaic = nb.Mosaic(model="gaussian", spread_deg=(0.05, 0.1, 0.2), n_domains=200, seed=7)
    exact = truth(mosaic=mosaic).replace("beam.fluence_per_m2", 1e26)
    start = exact.replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=(0.1, 0.1, 0.1), n_domains=40))
    found = nb.refine(counts_of(exact), start.replace("crystal.misset_deg", (10.1, 19.9, 30.1)), max_boxes=60, max_domains=100,
                      refine=["crystal.misset_deg", "crystal.mosaic.spread_deg", "beam.fluence_per_m2"])  # fmt: skip
    expected = [10, 20, 30, 0.05, 0.1, 0.2, 1e26]
    assert (np.abs(found.estimate - expected) < 4 * np.sqrt(np.diag(found.covariance))).all(), str(found)


def two_crystals() -> nb.Experiment:
    first = truth(mosaic=nb.Mosaic())
    second = truth(mosaic=nb.Mosaic(), misset_deg=(-60.0, 35.0, 110.0))
    return first.replace(crystal=(first.crystal, second.crystal))


def test_two_crystals_and_one_detector() -> None:
    """Orientation and size of each, the distance of both."""
    exact = two_crystals()
    start = exact.replace("crystal[0].misset_deg", (10.1, 19.9, 30.1)).replace(
        "crystal[1].misset_deg", (-60.1, 35.1, 109.9)
    )
    start = start.replace("crystal[1].n_cells", (9, 9, 13)).replace("detector.distance_mm", 70.1)
    paths = ["crystal[0].misset_deg", "crystal[1].misset_deg", "crystal[1].n_cells", "detector.distance_mm"]
    found = nb.refine(counts_of(exact), start, refine=paths, max_boxes=80, priors={"detector.distance_mm": (70.0, 0.5)})
    assert found.names[:4] == (*(f"crystal[0].misset_deg[{i}]" for i in range(3)), "crystal[1].misset_deg[0]")
    expected = [10, 20, 30, -60, 35, 110, 8, 8, 12, 70]
    assert (np.abs(found.estimate - expected) < 4 * np.sqrt(np.diag(found.covariance))).all(), str(found)
    assert found.experiment.crystal[1].misset_deg == tuple(found.estimate[3:6]) and 0.9 < found.chi2 < 1.1
    assert set(found.spots["crystal"]) == {0, 1} and set(found.reflections()["crystal"]) == {0, 1}


def test_jacobian_of_two_crystals_of_unlike_blocks() -> None:
    exact = two_crystals().replace("crystal[1].sizes.width", 0.2)
    paths = ["crystal[0].misset_deg", "crystal[1].sizes.width", "crystal[1].unit_cell", "beam.wavelength_angstrom"]
    parameters = variables_of(exact, paths)
    model = Model(parameters, boxes(as_image(counts_of(exact), exact), nb.predict(exact)[:20], exact, 2, "plane"))
    x = np.full(parameters.size, 0.3)
    model.weigh(model.expected(x), 0.0)
    jacobian = model.jacobian(x)
    for k, step in enumerate(np.eye(parameters.size) * 1e-3):
        slope = (model.residuals(x + step) - model.residuals(x - step)) / 2e-3
        assert np.abs(slope - jacobian[:, k]).max() < 1e-6 * np.abs(slope).max(), parameters.names[k]


@pytest.mark.parametrize(
    ("path", "words"), [("crystal.misset_deg", "which of 2"), ("crystal[2].misset_deg", "below 2")]
)
def test_paths_into_several_crystals(path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        nb.refine(np.zeros((SIZE, SIZE)), two_crystals(), refine=[path])
