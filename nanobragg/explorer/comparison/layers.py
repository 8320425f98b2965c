"""The tiles of a view: simulated, measured, both, or their difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nanobragg.explorer.comparison.measured import Measured
from nanobragg.explorer.drawing.tiles import Tile, View, tile
from nanobragg.explorer.session import Picture


def tiles(
    picture: Picture, view: View, measured: Measured | None, last: tuple[float, float] | None = None
) -> list[tuple[str, Tile]]:
    """Names and tiles of what a view shows; both images of a pair have the same shades for the same counts.

    `last`: limits of the first tile of the picture before, which stay where they are near.
    """
    layout = picture.layout
    simulated = layout.picture(picture.values)
    if measured is None or view.layer == "simulated":
        return [("simulated", tile(simulated, layout.known, view, last=last))]
    known = measured.known(layout)
    if view.layer == "difference":
        return [
            (
                "difference",
                tile(measured.difference(layout, np.asarray(simulated, np.float64)), known, view, about_zero=True),
            )
        ]
    seen = tile(measured.picture(layout), known, view)
    if view.layer == "measured":
        return [("measured", seen)]
    scale = "linear" if view.scale == "percentile" else view.scale
    same = replace(view, scale=scale, low=seen.low, high=seen.high)
    return [
        ("simulated", tile(measured.scaled(np.asarray(simulated, np.float64)), layout.known, same)),
        ("measured", seen),
    ]
