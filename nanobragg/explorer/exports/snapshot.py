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
from nanobragg.lazy import dataclass
from nanobragg.version import installed_version

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
_STYLE = """body{font:14px/1.45 system-ui,'DejaVu Sans',sans-serif;max-width:1100px;margin:1.5em auto;padding:0 1em}
body{color:#1b1f24;background:#fff}
figure{margin:0 0 1em}img{max-width:100%;image-rendering:pixelated;border:1px solid #8c959f}
.bar{display:inline-block;width:160px;height:12px;border:1px solid #57606a;vertical-align:middle;margin:0 8px}
table{border-collapse:collapse}td,th{padding:1px 10px;vertical-align:top}th{border-bottom:1px solid #8c959f}
tbody tr:nth-child(odd){background:#f6f8fa}pre{background:#f4f6f8;padding:10px;overflow:auto;font-size:12px}"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing is fetched, whatever stands in a name."""
_WORDS = {"log": "logarithmic", "linear": "linear", "percentile": "percentiles, linear"}


@dataclass(frozen=True, eq=False)
class Seen:
    """Pictures, and how they are shown."""

    tiles: list[tuple[str, Tile]]
    """by name"""
    colors: str
    """name of the color map"""
    scale: str
    unit: str
    said: str
    """what they show, in words"""


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


def snapshot(experiment: Experiment, seen: Seen, texts: dict[str, tuple[str, str]], beside: list[str]) -> str:
    """The page.

    Parameters
    ----------
    experiment : Experiment
        Its values are listed.
    seen : Seen
        The pictures.
    texts : dict
        By title what makes the image again: how it is run, and its text.
    beside : list of str
        Files that they read, which are not part of the page.
    """
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>nanobragg: a diffraction image</title>'
        f"<style>{_STYLE}</style></head><body><main>",
        f"<h1>Diffraction image</h1><p>nanobragg {installed_version()}. {html.escape(seen.said)}</p>",
        *(_figure(name, tile, seen) for name, tile in seen.tiles),
        f"<h2>Experiment</h2>{part_html(experiment)}<h2>To make it again</h2>",
    ]
    if beside:
        parts.append(
            f"<p>These texts read {html.escape(', '.join(beside))}: the explorer exports them together, in one file.</p>"
        )
    for title, (run, text) in texts.items():
        parts.append(f"<h3>{html.escape(title)}</h3><p><code>{html.escape(run)}</code></p>"
                     f"<pre tabindex='0' aria-label='{html.escape(title)}'>{html.escape(text)}</pre>")  # fmt: skip
    return "\n".join([*parts, "</main></body></html>", ""])


def _figure(name: str, tile: Tile, seen: Seen) -> str:
    """A picture with its scale of colors, in words too."""
    signed = name == "difference"
    colors = "difference" if signed else seen.colors
    unit = "(measured - simulated)/sigma" if signed else seen.unit
    scale = "linear" if signed else _WORDS.get(seen.scale, seen.scale)
    rows, columns = tile.shades.shape
    limits = f"{tile.low:.4g} to {tile.high:.4g} {unit}, {scale}"
    data = base64.b64encode(encode_png(colored(tile, colors))).decode()
    shades = ",".join(MAPS.get(colors, MAPS["ink on paper"]))
    alt = f"{name} image of {columns} x {rows} pixels, colors from {limits}"
    return (
        f"<figure><img width='{columns}' height='{rows}' style='height:auto' alt='{html.escape(alt)}' "
        f"src='data:image/png;base64,{data}'><figcaption>{html.escape(name)}: {tile.low:.4g}"
        f"<span class='bar' aria-hidden='true' style='background:linear-gradient(to right,{shades})'></span>"
        f"{tile.high:.4g} {html.escape(unit)}, {html.escape(scale)}</figcaption></figure>"
    )
