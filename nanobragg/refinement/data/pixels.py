"""The measured side: counts as photons, and the pixels of shoeboxes with their local backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.derivation import panels
from nanobragg.errors import ConfigError
from nanobragg.io.images.image_file import read_image
from nanobragg.lazy import dataclass
from nanobragg.prediction.predict import shoeboxes
from nanobragg.prediction.table import Reflections

Array = NDArray[np.float64]
_LEAST_PIXELS = 12
"""Of a shoebox: three of them are spent on the plane."""
_OVERLAP = 0.7
"""Share of its pixels that a shoebox must keep against its neighbors and the mask."""


@dataclass(frozen=True)
class Image:
    """One image in photons, by panel."""

    name: str
    photons: list[Array]
    """(n_slow, n_fast) of each panel"""
    good: list[NDArray[np.bool_]]
    """pixels that count"""
    read_variance: float
    """of the read-out [photons^2]"""


def as_image(
    image: Any, experiment: Experiment, *, gain: float = 1.0, offset: float = 0.0, read_noise: float = 0.0,
    saturation: float | None = None, mask: Any = None, name: str = "image",
) -> Image:  # fmt: skip
    """An image for a refinement.

    Parameters
    ----------
    image : array, list of arrays, path or Exposure
        Counts; of several panels (n_panels, n_slow, n_fast), a list, or panels below each other.
    experiment : Experiment
        Whose panels and masks they are.
    gain, offset, read_noise, saturation : float
        photons = (counts - offset)/gain; standard deviation of the read-out [counts]; counts from which on a pixel does not
        count.
    mask : (array or list of arrays) of bool, optional
        True = counts, on top of the detector's masks.

    Raises
    ------
    ConfigError
        For an image of another detector, or one that is not numbers.
    """
    if isinstance(image, str | PathLike):
        name, image = fspath(image), read_image(image)
    if not gain > 0:
        raise ConfigError("gain", gain, "must be > 0")
    counts = getattr(image, "counts", image)
    parts = [part.detector for part in panels.experiments(experiment)]
    pieces = _by_panel(counts, parts, name)
    masks = [None] * len(parts) if mask is None else _by_panel(mask, parts, "mask")
    photons, good = [], []
    for piece, detector, own in zip(pieces, parts, masks, strict=True):
        values = np.asarray(piece, dtype=np.float64)
        fine = np.isfinite(values) & (values >= 0 if offset == 0 and read_noise == 0 else True)
        if saturation is not None:
            fine &= values < saturation
        for other in (detector.mask, own):
            if other is not None:
                fine &= np.asarray(other, dtype=bool)
        photons.append((np.where(fine, values, 0.0) - offset) / gain)
        good.append(fine)
    if not any(part.any() for part in good):
        raise ConfigError("image", name, "has no pixel that counts", "are all of them masked, negative or not numbers?")
    return Image(name, photons, good, (read_noise / gain) ** 2)


def _by_panel(image: Any, detectors: Sequence[Any], name: str) -> list[Any]:
    shapes = [(d.n_slow, d.n_fast) for d in detectors]
    if isinstance(image, list | tuple):
        pieces = [np.asarray(piece) for piece in image]
    else:
        whole = np.asarray(image)
        if whole.ndim == 2 and len(shapes) > 1:
            ends = np.cumsum([n for n, _ in shapes])
            pieces = np.split(whole, ends[:-1]) if len(whole) == ends[-1] else [whole]
        else:
            pieces = [whole] if whole.ndim == 2 else list(whole)
    found = [piece.shape for piece in pieces]
    if found != shapes:
        raise ConfigError(
            "image", f"{name}: {found}", f"is not of the experiment's detector, {shapes} (slow, fast)",
            "is it another detector, or a stack of images?",
        )  # fmt: skip
    if any(piece.dtype.kind not in "buif" for piece in pieces):
        raise ConfigError("image", name, "must hold numbers")
    return pieces


@dataclass(frozen=True)
class Boxes:
    """The pixels of the shoeboxes, all boxes one after the other."""

    spots: Reflections
    """one row for each box, in the order of the boxes"""
    panel: NDArray[np.int64]
    """(n_pixels,)"""
    pixel: NDArray[np.int64]
    """(n_pixels,) flat index on the panel"""
    box: NDArray[np.int64]
    """(n_pixels,) which box, ascending"""
    photons: Array
    """(n_pixels,)"""
    basis: Array
    """(n_pixels, m) functions of the local background: 1, or 1, fast, slow about the middle of the box"""
    starts: NDArray[np.int64]
    """first pixel of each box, and the end"""

    @property
    def n_pixels(self) -> int:
        """Of all boxes."""
        return len(self.pixel)

    def without(self, bad: NDArray[np.bool_]) -> Boxes:
        """The same without some boxes."""
        kept_boxes = np.flatnonzero(~bad)
        kept = ~bad[self.box]
        order = np.cumsum(~bad) - 1
        box = order[self.box[kept]]
        return Boxes(self.spots[kept_boxes], self.panel[kept], self.pixel[kept], box, self.photons[kept], self.basis[kept],
                     np.searchsorted(box, np.arange(len(kept_boxes) + 1)))  # fmt: skip


def boxes(image: Image, spots: Reflections, experiment: Experiment, margin: int, background: str) -> Boxes:
    """The shoeboxes of predicted spots, as far as they hold enough pixels that count.

    A pixel of several boxes belongs to the spot whose center is nearest.
    """
    labels = shoeboxes(spots, experiment, margin=margin)
    each = [labels] if not isinstance(labels, list) and labels.ndim == 2 else list(labels)
    panel, pixel, box = [], [], []
    for i, (label, good) in enumerate(zip(each, image.good, strict=True)):
        found = np.flatnonzero((label > 0) & good)
        panel.append(np.full(len(found), i))
        pixel.append(found)
        box.append(label.ravel()[found] - 1)
    panels_, pixels, owner = (np.concatenate(part).astype(np.int64) for part in (panel, pixel, box))
    counts = np.bincount(owner, minlength=len(spots))
    f0, f1, s0, s1 = spots["bbox"].T
    whole = (f1 - f0 + 2 * margin) * (s1 - s0 + 2 * margin)
    kept = (counts >= _LEAST_PIXELS) & (counts >= _OVERLAP * whole)
    chosen = np.flatnonzero(kept)
    number = np.cumsum(kept) - 1
    mine = kept[owner]
    panels_, pixels, owner = panels_[mine], pixels[mine], number[owner[mine]]
    order = np.lexsort((pixels, panels_, owner))
    panels_, pixels, owner = panels_[order], pixels[order], owner[order]
    rows = spots[chosen]
    widths = np.array([part.shape[1] for part in image.photons])
    slow, fast = np.divmod(pixels, widths[panels_])
    photons = np.zeros(len(pixels))
    for i, values in enumerate(image.photons):
        here = panels_ == i
        photons[here] = values.ravel()[pixels[here]]
    columns = [np.ones(len(pixels))]
    if background == "plane":
        columns += [(fast + 0.5 - rows["fast"][owner]) / 10, (slow + 0.5 - rows["slow"][owner]) / 10]
    basis = np.stack(columns, -1) if background != "model" else np.zeros((len(pixels), 0))
    return Boxes(rows, panels_, pixels, owner, photons, basis, np.searchsorted(owner, np.arange(len(chosen) + 1)))
