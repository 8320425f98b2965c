"""Peaks of an image, and the one-to-one match between those of two images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanobragg.lazy import dataclass

DEFAULT_RADIUS = 3.0
"""Two peaks farther apart than this [pixels] are not the same one."""


@dataclass(frozen=True)
class Peak:
    """A local maximum."""

    slow: float
    """centroid of the 3 x 3 pixels around the maximum [pixels]"""
    fast: float
    height: float
    """value of the brightest pixel"""


@dataclass(frozen=True)
class PeakPair:
    """The same peak in two images."""

    a: Peak
    b: Peak

    @property
    def displacement(self) -> float:
        """Distance of the centroids [pixels]."""
        return float(np.hypot(self.b.slow - self.a.slow, self.b.fast - self.a.fast))

    @property
    def ratio(self) -> float:
        """Height in b over height in a."""
        return self.b.height / self.a.height if self.a.height else float("inf")


def find_peaks(image: NDArray[np.float64], top: int) -> list[Peak]:
    """The brightest local maxima, brightest first.

    A maximum is a positive pixel that no neighbor of the eight exceeds; of equal neighbors the first in raster order counts.
    """
    padded = np.pad(image, 1, constant_values=-np.inf)
    n_slow, n_fast = image.shape
    is_peak = image > 0
    for ds in (-1, 0, 1):
        for df in (-1, 0, 1):
            neighbor = padded[1 + ds : 1 + ds + n_slow, 1 + df : 1 + df + n_fast]
            if (ds, df) < (0, 0):
                is_peak &= image > neighbor
            elif (ds, df) > (0, 0):
                is_peak &= image >= neighbor
    places = np.flatnonzero(is_peak)
    order = np.argsort(-image.ravel()[places], kind="stable")[:top]
    return [_peak(image, *divmod(int(flat), n_fast)) for flat in places[order]]


def _peak(image: NDArray[np.float64], slow: int, fast: int) -> Peak:
    s0, f0 = max(slow - 1, 0), max(fast - 1, 0)
    around = image[s0 : slow + 2, f0 : fast + 2]
    weight = around - around.min()
    total = weight.sum()
    if not total > 0:
        return Peak(float(slow), float(fast), float(image[slow, fast]))
    i, j = np.indices(around.shape)
    return Peak(
        float(s0 + (weight * i).sum() / total), float(f0 + (weight * j).sum() / total), float(image[slow, fast])
    )


def match_peaks(
    a: NDArray[np.float64], b: NDArray[np.float64], top: int, radius: float = DEFAULT_RADIUS
) -> tuple[list[PeakPair], list[Peak]]:
    """Pair the `top` peaks of `a` one to one with peaks of `b`, nearest first.

    Peaks of `b` are taken from its brightest 2 `top`, so that one whose rank differs a little is still found.

    Returns
    -------
    pairs : list of PeakPair
        By height in a.
    lost : list of Peak
        Peaks of a without a partner within `radius` pixels.
    """
    peaks_a, peaks_b = find_peaks(a, top), find_peaks(b, 2 * top)
    if not peaks_a or not peaks_b:
        return [], peaks_a
    at_a, at_b = (np.array([(p.slow, p.fast) for p in peaks]) for peaks in (peaks_a, peaks_b))
    distance = np.hypot(*(at_a[:, None] - at_b[None]).transpose(2, 0, 1))
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for flat in np.argsort(distance, axis=None, kind="stable"):
        i, j = divmod(int(flat), len(peaks_b))
        if distance[i, j] > radius:
            break
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    pairs = [PeakPair(peaks_a[i], peaks_b[partner[i]]) for i in sorted(partner)]
    return pairs, [peak for i, peak in enumerate(peaks_a) if i not in partner]
