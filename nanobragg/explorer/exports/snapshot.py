"""A page without links that shows what was seen: one file to send."""

from __future__ import annotations

import base64
import html

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.exchange.notebook.page import part_html
from nanobragg.explorer.drawing.tiles import NO_PIXEL, Tile
from nanobragg.io.images.png import encode_png

MAPS = {
    "ink on paper": ("#ffffff", "#d8d8d8", "#9a9a9a", "#4e4e4e", "#000000"),
    "light on black": ("#000000", "#4e4e4e", "#9a9a9a", "#d8d8d8", "#ffffff"),
    "viridis": (
        "#440154",
        "#482878",
        "#3e4989",
        "#31688e",
        "#26828e",
        "#1f9e89",
        "#35b779",
        "#6ece58",
        "#b5de2b",
        "#fde725",
    ),
    "inferno": (
        "#000004",
        "#1b0c41",
        "#4a0c6b",
        "#781c6d",
        "#a52c60",
        "#cf4446",
        "#ed6925",
        "#fb9b06",
        "#f7d13d",
        "#fcffa4",
    ),
    "difference": ("#053061", "#4393c3", "#d1e5f0", "#ffffff", "#fddbc7", "#d6604d", "#67001f"),
}
"""Colors by name, from the first shade to the last, straight lines between; the page gets them from here."""
GAP = "#cad4de"
"""Color of what is no pixel."""
_STYLE = """body{font:14px/1.45 system-ui,'DejaVu Sans',sans-serif;max-width:1100px;margin:1.5em auto;padding:0 1em;color:#1b1f24}
img{max-width:100%;image-rendering:pixelated;border:1px solid #8c959f}table{border-collapse:collapse}td{padding:1px 10px}
thead td{font-weight:600;border-bottom:1px solid #8c959f}pre{background:#f4f6f8;padding:10px;overflow:auto;font-size:12px}"""


def colored(tile: Tile, colors: str) -> NDArray[np.uint8]:
    """(rows, columns, 3) of a tile in the colors of a name."""
    return palette(colors)[tile.shades]


def palette(name: str) -> NDArray[np.uint8]:
    """(256, 3) red, green, blue of every shade."""
    anchors = np.array(
        [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in MAPS.get(name, MAPS["ink on paper"])]
    )
    at = np.linspace(0, len(anchors) - 1, NO_PIXEL)
    found = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        found[:NO_PIXEL, channel] = np.rint(np.interp(at, np.arange(len(anchors)), anchors[:, channel]))
    found[NO_PIXEL] = [int(GAP[i : i + 2], 16) for i in (1, 3, 5)]
    return found


def snapshot(
    experiment: Experiment, tiles: list[tuple[str, Tile]], colors: str, said: str, texts: dict[str, str]
) -> str:
    """The page.

    Parameters
    ----------
    experiment : Experiment
        Its values are listed.
    tiles : list of (str, Tile)
        Pictures by name.
    colors : str
        Name of the color map.
    said : str
        What the pictures show, in words.
    texts : dict
        Blocks of text by title.
    """
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>nanobragg</title><style>{_STYLE}</style>"
    parts = [head, "<h1>nanobragg</h1>"]
    for name, tile in tiles:
        data = base64.b64encode(encode_png(colored(tile, "difference" if name == "difference" else colors))).decode()
        parts.append(f"<p>{html.escape(name)}: {tile.low:.4g} to {tile.high:.4g}, {html.escape(said)}</p>"
                     f"<img alt='{html.escape(name)}' src='data:image/png;base64,{data}'>")  # fmt: skip
    parts.append(f"<h2>Experiment</h2>{part_html(experiment)}")
    for title, text in texts.items():
        parts.append(f"<h2>{html.escape(title)}</h2><pre>{html.escape(text)}</pre>")
    return "\n".join([*parts, "</html>", ""])
