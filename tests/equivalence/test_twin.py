"""The scalar kernel against the literal twin on a pairwise grid of options, in both fidelities."""

from __future__ import annotations

import random

import grid
import numpy as np
import pytest
import reference
from twin_trace import TracedTwin
from worst_pixel import assert_agree, of_scalar_kernel

import nanobragg as nb
from nanobragg.config.quirks import Quirk

pytestmark = [pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning"), pytest.mark.no_cover]

ROWS = grid.rows()
# max|difference| / max|image|; measured on the grid: 6e-14 (the phase N h carries about 1e-14 of rounding)
TOLERANCE = 1e-12


def check(experiment, about=""):
    """The scalar kernel and the twin give the same image."""
    image = nb.simulate(experiment, backend="c", kernel="scalar")
    expected = reference.simulate(experiment)
    assert image.shape == expected.shape and image.dtype == np.float64
    assert np.isfinite(expected).all()
    assert_agree(experiment, image, expected, TOLERANCE, about)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_pairwise(row):
    chosen = {name: grid.OPTIONS[name][index] for name, index in row.items()}
    check(grid.experiment_of(row), f"for {chosen}")


@pytest.mark.parametrize("seed", range(60))
def test_random_sets_of_quirks(seed):
    """Every quirk may stand beside every other; the caching modes of the factors mix."""
    rng = random.Random(seed)
    share = rng.choice([0.1, 0.5, 0.9])
    quirks = frozenset(quirk for quirk in Quirk if rng.random() < share)
    row = {name: rng.choice(values) for name, values in grid.OPTIONS.items()}
    check(grid.build(row | {"fidelity": quirks}), f"for {row} under {sorted(q.name for q in quirks)}")


def test_the_grid_covers_every_pair():
    """... twice, and most of its images are not empty."""
    names = list(grid.OPTIONS)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            seen = {(row[a], row[b]) for row in ROWS}
            assert len(seen) == len(grid.OPTIONS[a]) * len(grid.OPTIONS[b])


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_automatic_oversampling(fidelity):
    """The count is formed from the true distance (corrected) or from the original's; both with two-theta."""
    experiment = grid.build({
        "fidelity": fidelity, "twotheta": {"twotheta_deg": 25.0}, "pivot": "sample", "oversample": None,
        "region": "roi and mask", "convention": "xds", "table": (3, 5.0),
    })  # fmt: skip
    assert reference.Twin(experiment).oversample == {"corrected": 28, "reference": 30}[fidelity]
    check(experiment)


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_default_everything(fidelity):
    """Nothing but a cell, structure factors and a small detector."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(60, 70, 80, 75, 85, 95), structure_factors=nb.StructureFactors.constant(100.0)
    )
    detector = nb.Detector(n_fast=6, n_slow=4, pixel_size_mm=5.0)
    experiment = nb.Experiment(crystal=crystal, detector=detector, quirks=fidelity)
    check(experiment)


@pytest.mark.parametrize("row", ROWS[::9], ids=range(0, len(ROWS), 9))
def test_traces_agree(row):
    """What a failure of these tests prints: without a fault the traces agree, here at a pixel of every region."""
    experiment = grid.experiment_of(row)
    mask = experiment.detector.mask
    pixel = (2, 4) if mask is None or mask[2, 4] else (2, 3)
    twin = TracedTwin(experiment, pixel).trace()
    # measured on the whole grid: below 1e-11 of each quantity's scale
    found = nb.compare_traces(of_scalar_kernel(experiment, pixel), twin, tolerance=1e-10)
    assert found, str(found)
    assert found.compared > 30


def test_a_failure_names_the_worst_pixel_and_the_first_quantity_that_differs():
    """A wrong pixel in one image, which no trace explains; then a wrong solid angle in the twin."""
    experiment = grid.build({"table": (9, 5.0)})
    image = nb.simulate(experiment, backend="c", kernel="scalar")
    wrong = image.copy()
    wrong[3, 2] += image.max()
    with pytest.raises(AssertionError) as failure:
        assert_agree(experiment, image, wrong, TOLERANCE)
    text = str(failure.value)
    assert "worst pixel: slow 3 fast 2" in text and "quantities agree" in text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference.Twin, "solid_angle", lambda twin, r: 1.001 * twin.detector.p[0] ** 2 / r / r)
        with pytest.raises(AssertionError) as failure:
            check(experiment)
    text = str(failure.value)
    assert "first divergence" in text and "solid_angle_sr at layer 0, sub-slow 0, sub-fast 0" in text
    assert len(text.splitlines()) < 60
