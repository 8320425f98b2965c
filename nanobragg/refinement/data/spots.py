"""A simple spot finder: pixels that stand out of their surroundings, joined to spots (scipy.ndimage)."""

from __future__ import annotations

from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.spots.comma import read_csv
from nanobragg.io.spots.refl import read_refl
from nanobragg.lazy import dataclass
from nanobragg.refinement.data.pixels import Image, as_image

Array = NDArray[np.float64]
_LEAST_BACKGROUND = 0.1
"""[photons], so that a single photon in the dark is no spot"""


@dataclass(frozen=True, eq=False)
class Spots:
    """n spots of an image, the strongest first."""

    panel: NDArray[np.int64]
    fast: Array
    """from the outer corner of the panel [pixels]: the center of a pixel is at .5"""
    slow: Array
    intensity: Array
    """photons above the background"""

    def __len__(self) -> int:
        return len(self.fast)


def find_spots(
    image: object, experiment: Experiment, *, threshold: float = 5.0, window: int = 21, min_pixels: int = 2,
    max_pixels: int = 300, **readout: float,
) -> Spots:  # fmt: skip
    """Find the spots of an image.

    A pixel belongs to a spot when it stands `threshold` standard deviations (of Poisson's law and the read-out) above the mean
    of its surroundings, spots left out. Touching pixels are one spot.

    Parameters
    ----------
    image : array, list of arrays, path or Exposure
        Counts.
    experiment : Experiment
        Whose panels and masks they are.
    threshold : float
        [standard deviations]
    window : int
        Edge of the surroundings [pixels].
    min_pixels, max_pixels : int
        Size of a spot.
    **readout
        gain, offset, read_noise, saturation, mask: as for `refine`.

    Returns
    -------
    Spots
    """
    data = image if isinstance(image, Image) else as_image(image, experiment, **readout)  # type: ignore[arg-type]
    found = [
        _on_panel(photons, good, data.read_variance, threshold, window, min_pixels, max_pixels)
        for photons, good in zip(data.photons, data.good, strict=True)
    ]
    panel = np.concatenate([np.full(len(rows), i) for i, rows in enumerate(found)]).astype(np.int64)
    rows = np.concatenate(found)
    order = np.argsort(-rows[:, 2], kind="stable")
    return Spots(panel[order], rows[order, 0], rows[order, 1], rows[order, 2])


def _on_panel(
    photons: Array, good: NDArray[np.bool_], read: float, threshold: float, window: int, least: int, most: int
) -> Array:
    """(n, 3): fast, slow, intensity."""
    from scipy import ndimage

    weight = good.astype(np.float64)
    for _ in range(2):  # the second time without the pixels of spots in the surroundings
        share = np.maximum(ndimage.uniform_filter(weight, window), 1e-12)
        background = ndimage.uniform_filter(photons * weight, window) / share
        noise = np.sqrt(np.maximum(background, _LEAST_BACKGROUND) + read)
        strong = good & (photons - background > threshold * noise)
        weight = (good & ~ndimage.binary_dilation(strong)).astype(np.float64)
    labels, n = ndimage.label(strong, structure=np.ones((3, 3)))
    if n == 0:
        return np.zeros((0, 3))
    index = np.arange(1, n + 1)
    above = np.where(strong, photons - background, 0.0)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    intensity = ndimage.sum_labels(above, labels, index)
    places = np.array(ndimage.center_of_mass(above, labels, index)) + 0.5
    kept = (sizes >= least) & (sizes <= most)
    return np.column_stack([places[kept, 1], places[kept, 0], intensity[kept]])


def read_spots(path: str | PathLike[str]) -> Spots:
    """Spots from a ``.refl`` of DIALS or a CSV file with columns fast, slow [pixels] and perhaps panel, intensity.

    Raises
    ------
    FileFormatError
        For a file without places.
    """
    if fspath(path).lower().endswith(".refl"):
        table = read_refl(path)
        place = table.get("xyzobs.px.value", table.get("xyzcal.px"))
        if place is None:
            raise FileFormatError(path, "has neither xyzobs.px.value nor xyzcal.px")
        strength = table.get("intensity.sum.value", table.get("intensity.cal.value", np.ones(len(place))))
        columns = {"fast": place[:, 0], "slow": place[:, 1], "intensity": strength}
        if "panel" in table:
            columns["panel"] = table["panel"]
    else:
        columns = dict(read_csv(path))
    if "fast" not in columns or "slow" not in columns:
        raise FileFormatError(path, f"has no columns fast and slow, but {', '.join(columns)}")
    n = len(columns["fast"])
    strength = columns.get("intensity", columns.get("photons", np.ones(n)))
    order = np.argsort(-np.asarray(strength, np.float64), kind="stable")
    panel = np.asarray(columns.get("panel", np.zeros(n)), np.int64)
    fast, slow, intensity = (np.asarray(c, np.float64)[order] for c in (columns["fast"], columns["slow"], strength))
    return Spots(panel[order], fast, slow, intensity)


def as_spots(spots: object) -> Spots:
    """Spots as they are, from a file, or from a table with columns fast and slow.

    Raises
    ------
    ConfigError
        For anything else.
    """
    if isinstance(spots, Spots):
        return spots
    if isinstance(spots, str | PathLike):
        return read_spots(spots)
    try:
        rows = np.asarray(spots, dtype=np.float64)
        if rows.ndim == 2 and rows.shape[1] in (2, 3) and len(rows):
            strength = rows[:, 2] if rows.shape[1] == 3 else np.ones(len(rows))
            return Spots(np.zeros(len(rows), np.int64), rows[:, 0], rows[:, 1], strength)
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        "spots", type(spots).__name__, "must be Spots, a .refl or CSV file, or rows (fast, slow[, intensity])"
    )
