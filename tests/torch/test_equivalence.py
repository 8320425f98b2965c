"""The torch engine against the scalar C kernel on the pairwise grid of options, in both fidelities."""

from __future__ import annotations

import grid
import pytest
import torch
from nanobragg.torch_backend import simulate
from worst_pixel import assert_agree

import nanobragg as nb
from nanobragg.derivation.resolve import resolve

ROWS = grid.rows()
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
# max|difference| / max|image|
TOLERANCES = {
    (torch.float64, "f64"): 1e-11,  # measured on the grid: 9.9e-13, all rows but one below 1.2e-13
    (torch.float32, "f64"): 1e-5,  # measured: 1.6e-6
    (torch.float64, "f32x2"): 1e-5,  # measured: 1.6e-6 (the offset itself is a float32)
    (torch.float32, "f32x2"): 1e-5,  # measured: 1.6e-6
}


def check(row, dtype, phase):
    experiment = grid.experiment_of(row)
    expected = nb.simulate(experiment, backend="c", kernel="scalar")
    if dtype is torch.float32 and expected.max() < 1e-30:
        pytest.skip("an image below the range of float32")
    image = simulate(resolve(experiment), dtype=dtype, phase=phase)
    assert image.dtype == dtype and image.shape == expected.shape
    chosen = {name: grid.OPTIONS[name][index] for name, index in row.items()}
    names = (f"torch {dtype} {phase}", "scalar kernel")
    assert_agree(experiment, image.numpy(), expected, TOLERANCES[dtype, phase], f"for {chosen}", names)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_pairwise(row):
    check(row, torch.float64, "f64")


@pytest.mark.parametrize("dtype, phase", list(TOLERANCES)[1:], ids=["float32", "f32x2", "float32 f32x2"])
@pytest.mark.parametrize("row", ROWS[::4], ids=range(0, len(ROWS), 4))
def test_pairwise_in_single_precision(row, dtype, phase):
    check(row, dtype, phase)


def test_a_failure_names_the_worst_pixel_and_shows_its_traces(monkeypatch):
    monkeypatch.setitem(TOLERANCES, (torch.float32, "f64"), 1e-12)  # below what float32 can do
    with pytest.raises(AssertionError) as failure:
        check(ROWS[0], torch.float32, "f64")
    text = str(failure.value)
    assert "of the maximum for {" in text and "worst pixel: slow" in text and "torch torch.float32 f64" in text
    assert "the traces from there on" in text


@pytest.mark.parametrize("row", ROWS[:120:20], ids=range(0, 120, 20))
def test_blocks_do_not_matter(row):
    """Blocks of a single evaluation to blocks of everything: the same sum in another grouping."""
    experiment = resolve(grid.experiment_of(row))
    images = [simulate(experiment, memory_budget=budget) for budget in (352, 352 * 100, 2**26)]
    size = images[-1].abs().max()
    for image in images[:-1]:
        assert (image - images[-1]).abs().max() <= 1e-13 * size


def test_only_the_pixels_of_a_roi_are_computed():
    experiment = grid.build({"region": "all"})
    roi = (slice(1, 3), slice(2, 6))
    seen = []
    part = nb.simulate(experiment, backend="torch", roi=roi, progress=lambda done, total: seen.append((done, total)))
    whole = nb.simulate(experiment, backend="torch")
    assert seen[-1] == (8, 8)
    assert torch.equal(part[roi], whole[roi])
    assert part.count_nonzero() == part[roi].count_nonzero()


def test_options_are_checked():
    experiment = resolve(grid.build({}))
    for option in ({"dtype": torch.float16}, {"phase": "f16"}, {"memory_budget": 0}):
        with pytest.raises(nb.ConfigError):
            simulate(experiment, **option)


def test_threads_are_restored():
    torch.set_num_threads(2)
    nb.simulate(grid.build({}), backend="torch", n_threads=1)
    assert torch.get_num_threads() == 2


def large(n_cells, n_pixels=1024):
    """One cell of 100 Angstrom, N along every axis, at 1 Angstrom."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(100, 100, 100, 90, 90, 90), n_cells=(n_cells,) * 3, misset_deg=(10, 20, 30),
        structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    detector = nb.Detector(n_fast=n_pixels, n_slow=n_pixels, distance_mm=100.0, pixel_size_mm=0.1)
    return nb.Experiment(crystal=crystal, detector=detector, sampling=nb.Sampling(oversample=1))


@pytest.mark.parametrize("dtype, phase", list(TOLERANCES)[1:], ids=["float32", "f32x2", "float32 f32x2"])
def test_large_indices_in_single_precision(dtype, phase):
    """h up to 60 and N = 50: the phase N h reaches 10^4 radians, of which float32 would keep three digits.

    Measured, of the maximum and in relative L2: float32 2e-7 and 2e-7, f32x2 6e-8 and 6e-8, both 3e-7 and 2e-7.
    """
    decided = resolve(large(50))
    exact = simulate(decided)
    image = simulate(decided, dtype=dtype, phase=phase).double()
    assert (image - exact).abs().max() <= 1e-5 * exact.max()
    assert (image - exact).norm() <= 1e-5 * exact.norm()
