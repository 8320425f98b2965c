"""A comparison as one self-contained HTML page: verdict, metrics, pictures, scatter plot, peaks, worst pixels."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.inspection.comparison import ImageComparison
from nanobragg.inspection.pictures.assembled import as_panels, assembled, below_each_other
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.png import encode_png, preview

PICTURE_PIXELS = 560
"""Longest edge of a picture; larger images are reduced, blocks showing their brightest (or most different) pixel."""
_SCATTER_BINS = 90
_SATURATED = 0.5
"""Per cent of the colored pixels whose color saturates, so that one outlier does not bleach all others."""
_RATIO_DECADES = 1.0
"""Colors of the ratio picture saturate at a factor of 10 to this power at the latest."""
_RATIO_FLOOR = 1e-6
"""Pixels below this part of the maximum in both images have no meaningful ratio."""

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}
h1{font-size:1.4em;margin-bottom:.2em}h2{font-size:1.1em;margin:1.8em 0 .5em}
.verdict{padding:.7em 1em;border-radius:6px;color:#fff;font-weight:600}.pass{background:#1a7f37}.fail{background:#cf222e}
.verdict li{font-weight:400}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #e2e5e9}
th{font-weight:600;background:#f6f8fa}td:first-child,th:first-child{text-align:left}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:1.2em}
figure{margin:0}figure img{width:100%;image-rendering:pixelated;border:1px solid #d0d7de}
figcaption{font-size:.88em;color:#57606a;margin-top:.3em}pre{background:#f6f8fa;padding:.8em;overflow-x:auto;font-size:.85em}
.bar{height:10px;border:1px solid #d0d7de;margin-top:4px}
.ends{display:flex;justify-content:space-between;font-size:.8em;color:#57606a}
svg{border:1px solid #d0d7de;max-width:100%}
"""


def report_page(
    found: ImageComparison,
    a: Any,
    b: Any,
    *,
    title: str = "",
    sections: Iterable[tuple[str, str]] = (),
    geometry: Geometry | None = None,
) -> str:
    """The page.

    Parameters
    ----------
    found : ImageComparison
        From `compare`.
    a, b : (n_slow, n_fast) array or tensor, or (n_panels, n_slow, n_fast)
        The images.
    title : str
        Heading; empty: the names of the images.
    sections : iterable of (str, str)
        More headings with preformatted text.
    geometry : Geometry, optional
        Of the panels, which then stand in the pictures as the beam sees them; None: below each other.
    """
    x, y = (_plain(image).reshape(-1, np.shape(image)[-1]) for image in (a, b))
    seen_a, seen_b = (picture_of(image, geometry) for image in (a, b))
    names = [html.escape(name) for name in found.names]
    heading = html.escape(title) or f"{names[0]} against {names[1]}"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{heading}</title><style>{_STYLE}</style><h1>{heading}</h1>",
        f"<p>{found.shape[0]} &times; {found.shape[1]} pixels (slow &times; fast); differences are b &minus; a, ratios b/a</p>",
        _verdict(found),
        "<h2>Pictures</h2><div class=pictures>",
        *(_picture(f"{letter}: {name}", preview(_reduced(image)), "dark spots on white; the contrast is each picture's own")
          for letter, name, image in (("a", names[0], seen_a), ("b", names[1], seen_b))),
        _difference_picture(seen_a, seen_b),
        _ratio_picture(seen_a, seen_b),
        "</div><h2>Metrics</h2>",
        _table(("", ""), [(name, value) for name, value in found.metrics()]),
        "<h2>Pixel by pixel</h2>",
        _scatter(x, y, names),
        f"<h2>Peaks</h2><p>{len(found.peaks)} of the brightest {len(found.peaks) + len(found.lost_peaks)} of a have a partner "
        "in b, one to one</p>",
        _peak_table(found),
        "<h2>Worst pixels</h2>",
        _worst_table(found),
        *(f"<h2>{html.escape(head)}</h2><pre>{html.escape(text)}</pre>" for head, text in sections),
    ]  # fmt: skip
    return "\n".join(parts)


def picture_of(image: Any, geometry: Geometry | None) -> NDArray[np.float64]:
    """An image as one picture: panels as the beam sees them, or below each other where their places are not known."""
    panels = as_panels(image, geometry)
    if geometry is not None and len(panels) > 1:
        return _plain(assembled(panels, geometry).values)
    return _plain(below_each_other(panels))


def difference_picture(a: Any, b: Any) -> NDArray[np.uint8]:
    """The signed difference as colors: red where b is larger, blue where a is."""
    values = _reduced_signed(_plain(b) - _plain(a))
    return _signed_colors(values, _top(values))


def _plain(image: Any) -> NDArray[np.float64]:
    array = image.detach().cpu().numpy() if hasattr(image, "detach") else np.asarray(image)
    return np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _blocks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image cut into square blocks, (rows, columns, pixels of a block); small images have blocks of one pixel."""
    step = max(1, -(-max(image.shape) // PICTURE_PIXELS))
    rows, columns = (-(-n // step) for n in image.shape)
    padded = np.pad(image, ((0, rows * step - image.shape[0]), (0, columns * step - image.shape[1])), mode="edge")
    cut = padded.reshape(rows, step, columns, step).transpose(0, 2, 1, 3)
    return np.asarray(cut.reshape(rows, columns, step * step))


def _reduced(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(_blocks(image).max(axis=2))


def _reduced_signed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of every block the value farthest from 0."""
    blocks = _blocks(image)
    return np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)[..., 0]


def _top(values: NDArray[np.float64]) -> float:
    """Size at which the colors saturate."""
    sizes = np.abs(values[values != 0])
    return float(np.percentile(sizes, 100 - _SATURATED)) if sizes.size else 0.0


def _signed_colors(values: NDArray[np.float64], top: float) -> NDArray[np.uint8]:
    """White for 0, red for positive, blue for negative; the square root of the size, so that small differences show."""
    depth = np.sqrt(np.minimum(np.abs(values) / top, 1.0)) if top > 0 else np.zeros_like(values)
    colors = np.empty((*values.shape, 3))
    positive = values > 0
    for channel, (red, blue) in enumerate(((178, 33), (24, 102), (43, 172))):
        end = np.where(positive, red, blue)
        colors[..., channel] = 255 + depth * (end - 255)
    return np.rint(colors).astype(np.uint8)


def _difference_picture(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    values = _reduced_signed(y - x)
    top, largest = _top(values), float(np.abs(values).max())
    share = f", {largest / x.max():.3g} of the maximum of a" if x.max() > 0 else ""
    caption = f"b &minus; a in photons, square-root colors; the largest is {largest:.4g}{share}"
    return _picture(
        "signed difference", _signed_colors(values, top), caption, (f"&minus;{top:.3g}", "0", f"+{top:.3g}")
    )


def _ratio_picture(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    floor = _RATIO_FLOOR * max(float(x.max()), 0.0)
    shown = (x > floor) & (y > 0)
    logs = np.where(shown, np.log10(np.where(shown, y, 1.0) / np.where(shown, x, 1.0)), 0.0)
    values = _reduced_signed(logs)
    top = min(_RATIO_DECADES, _top(values))
    caption = f"b/a, logarithmic colors; white: 1, and pixels of a below {_RATIO_FLOOR:g} of its maximum"
    width = np.expm1(np.log(10) * top)
    low, high = (
        (f"1 &minus; {width:.3g}", f"1 + {width:.3g}") if width < 0.01 else (f"{10**-top:.3g}", f"{10**top:.3g}")
    )
    return _picture("ratio", _signed_colors(values, top), caption, (low, "1", high))


def _picture(title: str, pixels: NDArray[np.uint8], caption: str, ends: Sequence[str] = ()) -> str:
    data = base64.b64encode(encode_png(pixels)).decode()
    bar = ""
    if ends:
        ramp = _signed_colors(np.linspace(-1, 1, 64)[None], 1.0)
        colors = ",".join(f"rgb({r},{g},{b})" for r, g, b in ramp[0].tolist())
        words = "".join(f"<span>{end}</span>" for end in ends)
        bar = (
            f"<div class=bar style='background:linear-gradient(to right,{colors})'></div><div class=ends>{words}</div>"
        )
    return (f"<figure><b>{title}</b><img alt='{title}' src='data:image/png;base64,{data}'>{bar}"
            f"<figcaption>{caption}</figcaption></figure>")  # fmt: skip


def _verdict(found: ImageComparison) -> str:
    if found.passed:
        return "<div class='verdict pass'>PASS: within every gate</div>"
    items = "".join(f"<li>{html.escape(text)}</li>" for text in found.failures)
    return f"<div class='verdict fail'>FAIL<ul>{items}</ul></div>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head) if any(head) else ""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def _peak_table(found: ImageComparison) -> str:
    rows = [
        (str(i + 1), f"{pair.a.slow:.2f}, {pair.a.fast:.2f}", f"{pair.b.slow:.2f}, {pair.b.fast:.2f}",
         f"{pair.displacement:.4g}", f"{pair.a.height:.6g}", f"{pair.b.height:.6g}", f"{pair.ratio:.9g}")
        for i, pair in enumerate(found.peaks)
    ]  # fmt: skip
    rows += [
        ("&ndash;", f"{p.slow:.2f}, {p.fast:.2f}", "none", "", f"{p.height:.6g}", "", "") for p in found.lost_peaks
    ]
    return _table(("", "a: slow, fast", "b: slow, fast", "displacement [px]", "height in a", "in b", "ratio"), rows)


def _worst_table(found: ImageComparison) -> str:
    rows = [
        (f"{p.slow}, {p.fast}", f"{p.a:.9g}", f"{p.b:.9g}", f"{p.difference:.6g}", p.note) for p in found.worst
    ]  # fmt: skip
    return _table(("slow, fast", "a", "b", "b &minus; a", "where the traces part"), rows)


def _scatter(x: NDArray[np.float64], y: NDArray[np.float64], names: Sequence[str]) -> str:
    """A log-log density plot of all positive pixels, as squares of a histogram."""
    both = (x > 0) & (y > 0)
    if not both.any():
        return "<p>no pixel is positive in both images</p>"
    u, v = np.log10(x[both]), np.log10(y[both])
    top = float(max(u.max(), v.max()))
    low = max(float(min(u.min(), v.min())), top - 14.0)
    top = max(top, low + 1e-3)
    counts, _, _ = np.histogram2d(u, v, bins=_SCATTER_BINS, range=((low, top), (low, top)))
    size, margin = 460, 56
    step = size / _SCATTER_BINS
    depth = np.log1p(counts) / np.log1p(counts.max())
    squares = "".join(
        f"<rect x='{margin + i * step:.1f}' y='{size - (j + 1) * step + 10:.1f}' width='{step:.2f}' height='{step:.2f}' "
        f"fill='rgb({int(200 - 180 * depth[i, j])},{int(215 - 150 * depth[i, j])},{int(235 - 85 * depth[i, j])})'/>"
        for i, j in zip(*np.nonzero(counts), strict=True)
    )
    ticks = ""
    every = max(1, round((top - low) / 6))
    for power in range(int(np.ceil(low)), int(np.floor(top)) + 1, every):
        at = (power - low) / (top - low) * size
        ticks += f"<text x='{margin + at:.1f}' y='{size + 26}' font-size='11' text-anchor='middle'>1e{power}</text>"
        ticks += f"<text x='{margin - 6}' y='{size - at + 14:.1f}' font-size='11' text-anchor='end'>1e{power}</text>"
    return (
        f"<svg viewBox='0 0 {size + margin + 16} {size + 50}' width='{size + margin + 16}' role='img' aria-label='scatter plot'>"
        f"<rect x='{margin}' y='10' width='{size}' height='{size}' fill='#fff' stroke='#d0d7de'/>{squares}"
        f"<line x1='{margin}' y1='{size + 10}' x2='{margin + size}' y2='10' stroke='#cf222e' stroke-dasharray='4 4'/>{ticks}"
        f"<text x='{margin + size / 2}' y='{size + 44}' font-size='12' text-anchor='middle'>a: {names[0]} [photons]</text>"
        f"<text x='14' y='{10 + size / 2}' font-size='12' text-anchor='middle' "
        f"transform='rotate(-90 14 {10 + size / 2})'>b: {names[1]} [photons]</text></svg>"
        "<p>pixels that are positive in both images; the darker, the more; dashed: equal</p>"
    )
