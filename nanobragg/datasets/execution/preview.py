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
from nanobragg.exchange.geometry import of_experiment
from nanobragg.inspection.pictures.assembled import assembled
from nanobragg.io.images.png import preview as grey
from nanobragg.io.images.png import write_png

_SHEET = 1024
"""Pixels of the sheet along each side, about."""
_MARGIN = 4
_BETWEEN = 200
"""Grey of what is no pixel."""


def preview(recipe: Recipe, path: str | PathLike[str], n: int = 16, **options: Any) -> list[FrameData]:
    """Make some frames, spread over the data set, and write a contact sheet of them.

    Parameters
    ----------
    recipe : Recipe
    path : path
        The PNG. Panels stand where they are, as the beam sees them; every picture has a contrast of its own.
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
    across = math.ceil(math.sqrt(len(numbers)))
    for k in numbers:
        one = frame(recipe, k, **options)
        pictures.append(_picture(one, _SHEET // across))
        made.append(FrameData(one.drawn, None, one.spots, {}, one.numbers))
    write_png(path, _sheet(pictures, across))
    return made


def _picture(made: FrameData, side: int) -> NDArray[np.uint8]:
    """A frame, small: of the pixels that become one the largest counts, as spots would vanish in a mean."""
    panels = as_panels(made.counts)
    several = len(panels) > 1
    image = assembled(panels, of_experiment(made.drawn.nominal)).values if several else panels[0].astype(np.float64)
    step = max(1, math.ceil(max(image.shape) / side))
    rows, columns = (-(-n // step) for n in image.shape)
    padded = np.full((rows * step, columns * step), np.nan)
    padded[: image.shape[0], : image.shape[1]] = image
    blocks = padded.reshape(rows, step, columns, step)
    largest = np.max(blocks, axis=(1, 3), where=~np.isnan(blocks), initial=-np.inf)
    return np.where(np.isneginf(largest), _BETWEEN, grey(largest)).astype(np.uint8)


def _sheet(pictures: Sequence[NDArray[np.uint8]], across: int) -> NDArray[np.uint8]:
    rows, columns = (max(n) + _MARGIN for n in zip(*(picture.shape for picture in pictures), strict=True))
    sheet = np.full((math.ceil(len(pictures) / across) * rows, across * columns), _BETWEEN, np.uint8)
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
