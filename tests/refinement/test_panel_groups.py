"""Panels that move together: found with their errors, for one image and for several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_shared import SIZE, still

import nanobragg as nb
from nanobragg.derivation.panels import split
from nanobragg.errors import ConfigError
from nanobragg.refinement.variables.parameters import Parameters

LEFT, RIGHT = "detector[0,2]", "detector[1,3]"


def quadrants(seed: int) -> nb.Experiment:
    """A detector of four panels."""
    return split(still(seed).replace("beam.fluence_per_m2", 1e26), 2, 2)


def moved(experiment: nb.Experiment) -> nb.Experiment:
    """The right half 0.15 mm along y and turned by 0.1 degrees about the beam."""
    parameters = Parameters(experiment, [f"{RIGHT}.shift_mm", f"{RIGHT}.rotation_deg"])
    return parameters.experiment(np.array([0.0, 15.0, 0.0, 10.0, 0.0, 0.0]))


def counts_of(experiment: nb.Experiment, seed: int) -> Any:
    return np.random.default_rng(seed).poisson(nb.simulate(experiment) + 1.0)


def test_a_group_moves_as_a_body() -> None:
    """Distances between its pixels stay, the other panels too."""
    start = quadrants(1)
    after = moved(start)
    corners = [np.array([panel.pix0_mm for panel in e.detector]) for e in (start, after)]
    assert (corners[0][[0, 2]] == corners[1][[0, 2]]).all()
    apart = [np.linalg.norm(c[1] - c[3]) for c in corners]
    assert apart[0] == pytest.approx(apart[1], abs=1e-12)
    mean = corners[1][[1, 3]].mean(0) - corners[0][[1, 3]].mean(0)
    assert np.allclose(mean, [0, 0.15, 0], atol=1e-12)
    fast = [np.array(e.detector[1].fast_axis) for e in (start, after)]
    assert np.degrees(np.arccos(fast[0] @ fast[1])) == pytest.approx(0.1, rel=1e-3)


def test_one_image() -> None:
    exact = quadrants(2)
    counts = counts_of(moved(exact), 1)
    x, y, z = exact.crystal.misset_deg
    start = exact.replace("crystal.misset_deg", (x + 0.05, y - 0.05, z))
    paths = ["crystal.misset_deg", f"{RIGHT}.shift_mm", f"{RIGHT}.rotation_deg"]
    found = nb.refine(counts, start, refine=paths, max_boxes=80, priors={f"{RIGHT}.shift_mm[0]": (0.0, 0.2)})
    expected = np.array([x, y, z, 0, 0.15, 0, 0.1, 0, 0])
    errors = np.sqrt(np.diag(found.covariance))
    assert (np.abs(found.estimate - expected) < 4 * errors).all(), str(found)
    assert found.names[4] == "detector[1,3].shift_mm[1]" and errors[4] < 0.01 and found.chi2 < 1.1
    true = moved(exact).detector
    for panel, other in zip(found.experiment.detector, true, strict=True):
        assert np.abs(np.subtract(panel.pix0_mm, other.pix0_mm))[1:].max() < 0.03


def test_several_images_share_a_group() -> None:
    """The motion is counted from the start, whatever the steps were: 0.15 mm within four errors."""
    exact = [quadrants(seed) for seed in (1, 2)]
    counts = [counts_of(moved(one), i) for i, one in enumerate(exact)]
    found = nb.refine_shared(counts, exact, refine=["crystal.misset_deg"], shared=[f"{RIGHT}.shift_mm"], max_boxes=60,
                             priors={f"{RIGHT}.shift_mm[0]": (0.0, 0.2)})  # fmt: skip
    assert found.names[1] == "detector[1,3].shift_mm[1]"
    assert abs(found.estimate[1] - 0.15) < 0.02 and found.start.tolist() == [0, 0, 0]
    corner = np.subtract(found.experiments[0].detector[1].pix0_mm, exact[0].detector[1].pix0_mm)
    assert np.allclose(corner, found.estimate, atol=1e-9)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("detector[0,4].shift_mm", "from 0 to 3"),
        ("detector[1,1].shift_mm", "each once"),
        ("detector[0,1].n_fast", "refine|path"),
    ],
)
def test_groups_that_are_none(path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        nb.refine([np.zeros((SIZE // 2, SIZE // 2))] * 4, quadrants(1), refine=[path])
    with pytest.raises(ConfigError, match="of a detector that has one"):
        nb.refine(np.zeros((SIZE, SIZE)), still(1), refine=["detector[0,1].shift_mm"])
