"""The scalar kernel against the literal twin on a pairwise grid of options, in both fidelities."""

from __future__ import annotations

import random

import grid
import numpy as np
import pytest
import reference

import nanobragg as nb
from nanobragg.quirks import Quirk

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")

ROWS = grid.rows()
# max|difference| / max|image|; measured on the grid: 6e-14 (the phase N h carries about 1e-14 of rounding)
TOLERANCE = 1e-12


def difference(experiment):
    """Largest difference between the scalar kernel and the twin, in units of the twin's maximum; the twin's image."""
    image = nb.simulate(experiment, backend="c", kernel="scalar")
    expected = reference.simulate(experiment)
    assert image.shape == expected.shape and image.dtype == np.float64
    assert np.isfinite(expected).all()
    return np.abs(image - expected).max() / max(np.abs(expected).max(), 1e-300), expected


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_pairwise(row):
    worst, _ = difference(grid.experiment_of(row))
    chosen = {name: grid.OPTIONS[name][index] for name, index in row.items()}
    assert worst <= TOLERANCE, f"{worst:.2g} of the maximum for {chosen}"


@pytest.mark.parametrize("seed", range(60))
def test_random_sets_of_quirks(seed):
    """Every quirk may stand beside every other; the caching modes of the factors mix."""
    rng = random.Random(seed)
    share = rng.choice([0.1, 0.5, 0.9])
    quirks = frozenset(quirk for quirk in Quirk if rng.random() < share)
    row = {name: rng.choice(values) for name, values in grid.OPTIONS.items()}
    worst, _ = difference(grid.build(row | {"fidelity": quirks}))
    assert worst <= TOLERANCE, f"{worst:.2g} of the maximum for {row} under {sorted(q.name for q in quirks)}"


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
    assert difference(experiment)[0] <= TOLERANCE


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_default_everything(fidelity):
    """Nothing but a cell, structure factors and a small detector."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(60, 70, 80, 75, 85, 95), structure_factors=nb.StructureFactors.constant(100.0)
    )
    detector = nb.Detector(n_fast=6, n_slow=4, pixel_size_mm=5.0)
    experiment = nb.Experiment(crystal=crystal, detector=detector, quirks=fidelity)
    assert difference(experiment)[0] <= TOLERANCE
