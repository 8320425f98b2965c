"""Orientations without a start: of simulated stills of several cells, of two crystals at once, of a real image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.derivation.derive import derive
from nanobragg.derivation.prediction.candidates import Mean
from nanobragg.derivation.resolve import resolve
from nanobragg.errors import BackendUnavailableError, RefinementError
from nanobragg.refinement.variables.crystals import rotation

SIZE = 700
CELLS = {
    "cubic": (80, 80, 80, 90, 90, 90), "tetragonal": (60, 60, 150, 90, 90, 90), "monoclinic": (50, 70, 90, 90, 105, 90),
    "triclinic": (50, 60, 70, 80, 95, 105),
}  # fmt: skip


def still(cell: tuple[float, ...], misset: tuple[float, float, float], **parts: Any) -> nb.Experiment:
    crystal = nb.Crystal(unit_cell=nb.UnitCell(*cell), n_cells=(8, 8, 8), shape="gauss", misset_deg=misset,
                         mosaic=nb.Mosaic(spread_deg=0.2, n_domains=10),
                         structure_factors=nb.StructureFactors.constant(200.0))  # fmt: skip
    return nb.Experiment(
        crystal=crystal, beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=3e26), sampling=nb.Sampling(oversample=1),
        detector=nb.Detector(n_fast=SIZE, n_slow=SIZE, pixel_size_mm=0.15, distance_mm=120.0), **parts,
    )  # fmt: skip


def apart(found: nb.Experiment, exact: nb.Experiment) -> float:
    """Angle [degrees] between two lattices in the laboratory, up to a change of axes by whole numbers."""
    own, other = (Mean(derive(resolve(e))).reciprocal.T for e in (found, exact))
    change = other @ np.linalg.inv(own)
    whole = np.rint(change)
    assert np.abs(change - whole).max() < 0.1 and abs(np.linalg.det(whole)) == pytest.approx(1)
    u, _, v = np.linalg.svd(np.linalg.solve(whole @ own, other))
    return float(np.degrees(np.arccos(min((np.trace(u @ v) - 1) / 2, 1.0))))


def counts_of(*crystals: nb.Experiment) -> Any:
    return np.random.default_rng(1).poisson(sum(nb.simulate(e) for e in crystals) + 0.5)


@pytest.mark.parametrize("name", CELLS)
def test_orientations_of_stills(name: str) -> None:
    """Within 0.05 degrees (seen 0.03), from a random orientation and a cell that is 0.3 % off."""
    misset = tuple(np.random.default_rng(len(name)).uniform(-170, 170, 3) * (1, 0.5, 1))
    exact = still(CELLS[name], misset)
    rough = tuple(x * 1.003 if i < 3 else x for i, x in enumerate(CELLS[name]))
    found = nb.index(counts_of(exact), still(rough, (0.0, 0.0, 0.0)))[0]
    assert apart(found.experiment, exact) < 0.05
    assert found.share > 0.5 and np.median(found.distance) < 0.7
    assert np.allclose(vars(found.experiment.crystal.unit_cell)["a"], CELLS[name][0], rtol=1.5e-3)


def test_a_search_by_torch() -> None:
    """On a device the same lattice is found, to rounding of the sums (seen: the same bits)."""
    pytest.importorskip("torch", reason="needs torch: pip install 'nanobragg[torch]'")
    exact = still(CELLS["triclinic"], (40.0, -20.0, 70.0))
    spots = nb.find_spots(counts_of(exact), exact)
    start = exact.replace("crystal.misset_deg", (0.0, 0.0, 0.0))
    here, there = (nb.index(None, start, spots=spots, device=device)[0] for device in (None, "cpu"))
    assert np.allclose(here.experiment.crystal.misset_deg, there.experiment.crystal.misset_deg, atol=1e-9)
    assert np.array_equal(here.hkl, there.hkl) and apart(there.experiment, exact) < 0.05
    with pytest.raises(BackendUnavailableError, match="nowhere"):
        nb.index(None, start, spots=spots, device="nowhere")


def test_the_orientation_is_that_before_the_spindle_turned(tmp_path: Path) -> None:
    exact = still(CELLS["monoclinic"], (20.0, 30.0, 40.0), goniometer=nb.Goniometer(phi_start_deg=50.0))
    start = exact.replace("crystal.misset_deg", (0.0, 0.0, 0.0))
    found = nb.index(counts_of(exact), start)[0]
    assert found.experiment.goniometer.phi_start_deg == 50.0
    assert apart(found.experiment, exact) < 0.05


def test_two_crystals() -> None:
    pair = [still(CELLS["triclinic"], m) for m in ((10.0, 20.0, 30.0), (100.0, -40.0, 60.0))]
    found = nb.index(counts_of(*pair), still(CELLS["triclinic"], (0.0, 0.0, 0.0)), lattices=3, most_spots=400)
    assert len(found) == 2
    for exact in pair:
        angles = []
        for one in found:
            try:
                angles.append(apart(one.experiment, exact))
            except AssertionError:
                continue
        assert min(angles) < 0.1


def test_what_is_no_lattice() -> None:
    rows = np.random.default_rng(5).uniform(0, SIZE, (120, 2))
    with pytest.raises(RefinementError, match="better than chance"):
        nb.index(None, still((300, 310, 320, 90, 90, 90), (0.0, 0.0, 0.0)).replace("crystal.unit_cell",
                 nb.UnitCell(50, 60, 70, 80, 95, 105)), spots=rows)  # fmt: skip


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exact = still(CELLS["tetragonal"], (20.0, 30.0, 40.0))
    image, out = str(tmp_path / "a.img"), str(tmp_path / "found.expt")
    nb.io.write_smv(image, counts_of(exact).astype(np.uint16), experiment=exact)
    cell = [str(x) for x in CELLS["tetragonal"]]
    assert main(["index", image, "--cell", *cell, "-o", out]) == 0
    assert "spots indexed" in capsys.readouterr().out
    assert apart(nb.Experiment.from_dials(out, exact), exact) < 0.05
    assert main(["index", image]) == 9
    assert "--cell" in capsys.readouterr().err


def test_a_real_image(request: pytest.FixtureRequest) -> None:
    """Thaumatin, from cell and header: within 0.1 degrees of the solution beside the image (seen 0.05)."""
    folder = request.config.getoption("--real")
    name = None if folder is None else Path(folder) / "thau_3_2_0010"
    if name is None or not name.with_suffix(".expt").exists():
        pytest.skip("--real FOLDER has no thau_3_2_0010")
    cell = nb.UnitCell(58.4, 58.4, 152.1, 90, 90, 90)
    template = nb.Experiment(crystal=nb.Crystal(unit_cell=cell, n_cells=(15, 15, 6), shape="gauss",
                                                structure_factors=nb.StructureFactors.constant(100.0)))  # fmt: skip
    image = f"{name}.cbf.bz2"
    found = nb.index(image, nb.Experiment.from_image(image, template))[0]
    assert apart(found.experiment, nb.Experiment.from_dials(f"{name}.expt", template)) < 0.1
    assert len(found.rows) > 250


def test_rotation_is_right_handed() -> None:
    assert np.allclose(rotation(np.array([0.0, 0.0, 90.0])) @ [1, 0, 0], [0, 1, 0])
