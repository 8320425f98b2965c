"""A look at what a recipe gives: a contact sheet of some frames, and what was drawn for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.datasets.frame import FrameData, as_panels, frame
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.engines.engine import at_least_one
from nanobragg.io.images.png import preview as grey
from nanobragg.io.images.png import write_png

_SIDE = 256
"""Pixels of a picture on the sheet, at most."""
_MARGIN = 4


def preview(recipe: Recipe, path: str | PathLike[str], n: int = 16, **options: Any) -> list[FrameData]:
    """Make some frames, spread over the data set, and write a contact sheet of them.

    Parameters
    ----------
    recipe : Recipe
    path : path
        The PNG. Panels stand below each other; every picture has a contrast of its own.
    n : int
        How many.
    **options
        As for `frame`.

    Returns
    -------
    list of FrameData
        The frames, without their images.
    """
    n = min(at_least_one("preview", n), recipe.settings.n_images)
    numbers = sorted({int(k) for k in np.linspace(0, recipe.settings.n_images - 1, n)})
    made, pictures = [], []
    for k in numbers:
        one = frame(recipe, k, **options)
        pictures.append(_picture(one.counts))
        made.append(FrameData(one.drawn, None, one.spots, {}, one.numbers))
    write_png(path, _sheet(pictures))
    return made


def _picture(counts: Any) -> NDArray[np.uint8]:
    """A frame, small: of the pixels that become one the largest counts, as spots would vanish in a mean."""
    panels = as_panels(counts)
    wide = max(panel.shape[1] for panel in panels)
    image = np.concatenate([np.pad(panel, ((0, 0), (0, wide - panel.shape[1]))) for panel in panels]).astype(np.float64)
    step = max(1, math.ceil(max(image.shape) / _SIDE))
    rows, columns = (-(-n // step) for n in image.shape)
    padded = np.zeros((rows * step, columns * step))
    padded[: image.shape[0], : image.shape[1]] = image
    return grey(padded.reshape(rows, step, columns, step).max(axis=(1, 3)))


def _sheet(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    across = math.ceil(math.sqrt(len(pictures)))
    rows, columns = (n + _MARGIN for n in pictures[0].shape)
    sheet = np.full((math.ceil(len(pictures) / across) * rows, across * columns), 200, np.uint8)
    for i, picture in enumerate(pictures):
        at = (i // across * rows, i % across * columns)
        sheet[at[0] : at[0] + picture.shape[0], at[1] : at[1] + picture.shape[1]] = picture
    return sheet


def drawn_table(frames: Sequence[FrameData]) -> str:
    """What was drawn for frames: a line a frame."""
    lines = []
    for one in frames:
        values = ", ".join(f"{name} {_shown(value)}" for name, value in one.drawn.values.items())
        what = one.drawn.kind if one.drawn.kind != "hit" else f"hit, {len(one.spots)} spots"
        lines.append(f"frame {one.drawn.frame}: {what}, {one.numbers['photons']:.4g} photons; {values}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_shown(item) for item in value)})"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
