"""What each quirk of a run costs: the run against the same one with that quirk alone switched off, on a coarse grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.errors import NanoBraggError
from nanobragg.inspection import coarse
from nanobragg.lazy import dataclass

MOST_PIXELS = 4096
MOST_EVALUATIONS = 4_000_000
"""For one rendering of the grid."""


@dataclass(frozen=True)
class QuirkCost:
    """How far a run is from the same run without one quirk."""

    quirk: Quirk
    pixels: int
    """on the grid"""
    rms: float
    """rms of the difference, relative to the rms of the run without the quirk"""
    sum_ratio: float
    """sum of the run over that without the quirk"""
    largest: float
    """largest difference, relative to the maximum of the run without the quirk"""
    refused: str = ""
    """why the corrected model refuses the run; then nothing is measured"""

    def __str__(self) -> str:
        if self.refused:
            return f"refused when corrected: {self.refused}"
        return (f"rms difference {self.rms:.3g}, sum ratio {self.sum_ratio:.6g}, largest {self.largest:.3g} of the maximum "
                f"({self.pixels} pixels)")  # fmt: skip


def quirk_costs(
    experiment: Experiment, quirks: Sequence[Quirk], without: Callable[[Quirk], Experiment] | None = None
) -> list[QuirkCost]:
    """Measure some quirks, each switched off alone.

    Parameters
    ----------
    experiment : Experiment
        The run as it is.
    quirks : sequence of Quirk
        What to measure.
    without : callable, optional
        Gives the experiment without a quirk; by default the same one with the quirk taken out of its set. A command line
        whose parser asks for the quirks is read again.

    Returns
    -------
    list of QuirkCost
        One for each quirk; empty where no pixel is rendered.
    """
    scene = derive(resolve(experiment))
    if scene.n_pixels == 0:
        return []
    most = min(MOST_PIXELS, max(16, MOST_EVALUATIONS // scene.evaluations_per_pixel))
    positions = coarse.grid(scene, most)
    flat = scene.pixels[positions]
    ours = coarse.values(coarse.subset(scene, positions))
    found = []
    for quirk in quirks:
        try:
            other = without(quirk) if without else replace(experiment, quirks=experiment.quirks - {quirk})
            corrected = derive(resolve(other))
        except NanoBraggError as error:
            found.append(QuirkCost(quirk, 0, 0.0, 1.0, 0.0, str(error)))
            continue
        theirs = coarse.values(coarse.subset(corrected, np.searchsorted(corrected.pixels, flat)))
        found.append(_cost(quirk, ours, theirs))
    return found


def _cost(quirk: Quirk, ours: np.ndarray, theirs: np.ndarray) -> QuirkCost:
    difference = ours - theirs
    rms, scale = np.sqrt(np.mean(difference**2)), np.sqrt(np.mean(theirs**2))
    top, sums = np.abs(theirs).max(), (ours.sum(), theirs.sum())
    return QuirkCost(
        quirk, len(ours), _over(rms, scale), _over(sums[0], sums[1], 1.0), _over(np.abs(difference).max(), top)
    )  # fmt: skip


def _over(x: float, y: float, nothing: float = 0.0) -> float:
    if y:
        return float(x / y)
    return nothing if x == 0 else float("inf")
