"""A small picture of all that an explorer shows."""

from __future__ import annotations

from nanobragg.explorer.drawing.tiles import View, tile
from nanobragg.explorer.exports.snapshot import colored
from nanobragg.explorer.session import Picture
from nanobragg.io.images.png import encode_png

_EDGE = 640
"""Longest edge [pixels]."""


def still(picture: Picture, colors: str = "ink on paper") -> bytes:
    """PNG of the whole picture, panels where the beam sees them."""
    rows, columns = picture.layout.shape
    scale = min(1.0, _EDGE / max(rows, columns))
    width, height = max(1, round(scale * columns)), max(1, round(scale * rows))
    view = View(fast=(0.0, float(columns)), slow=(0.0, float(rows)), width=width, height=height)
    return encode_png(colored(tile(picture.layout.picture(picture.values), picture.layout.known, view), colors))
