"""`nanoBragg view`: a picture of an image."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.cli.words.common.experiment_file import experiment_of
from nanobragg.cli.words.common.raw_shape import add_shape
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.errors import FileFormatError, UsageError
from nanobragg.exchange.geometry_files import geometry_in
from nanobragg.io.atomic import replacing
from nanobragg.io.geometry.headers.reading import geometry_of_image
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.float_image import read_float
from nanobragg.io.images.image_file import read_image
from nanobragg.io.optional import needed
from nanobragg.prediction.predict import predict

_BRIGHT, _DIM = 99.9, 50.0
"""Percentiles of the pixels above 0 that are shown black, and where the scale turns from linear to logarithmic."""


def run_view(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words(
        "view", "A picture (PNG) of an image: contrast that shows weak spots, resolution rings, the beam center."
    )
    options.add_argument("image", help="NXmx, miniCBF, SMV, PGM, TIFF, EDF, or float32 .bin with --shape")
    options.add_argument("-o", "--output", metavar="PNG", help="default: the image's name with .png")
    options.add_argument("-n", "--number", type=int, default=1, help="which image of a stack, from 1")
    add_shape(options, "has no default")
    options.add_argument("--geometry", metavar="FILE", help="geometry file, where the header has none")
    options.add_argument("--no-rings", action="store_true", help="neither rings nor beam center")
    options.add_argument("--predicted", metavar="FILE", help="mark the reflections of this experiment or geometry file")
    options.add_argument(
        "--template", metavar="TOML", help="experiment that supplies what a geometry file does not hold"
    )
    options.add_argument("--d-min", type=float, metavar="ANGSTROM", help="smallest spacing that is marked")
    options.add_argument("--max", type=float, help="count that is shown black (default: automatic)")
    return carried_out(_view, options, args)


def _view(typed: Any) -> int:
    pixels = _pixels(typed)
    geometry = None if typed.no_rings else _geometry(typed)
    output = typed.output or os.path.splitext(typed.image)[0] + ".png"
    spots = _spots(typed) if typed.predicted else None
    draw(pixels, geometry, output, f"{os.path.basename(typed.image)}", typed.max, spots)
    sys.stdout.write(f"{output}\n")
    return 0


def _pixels(typed: Any) -> NDArray[Any]:
    if typed.image.endswith(".bin"):
        if typed.shape is None:
            raise UsageError(
                f"{typed.image}: a raw image has no header; write --shape SLOW FAST, or write --size FAST SLOW"
            )
        return np.asarray(read_float(typed.image, (typed.shape[0], typed.shape[1])))
    return read_image(typed.image, typed.number)


def _geometry(typed: Any) -> Geometry | None:
    if typed.geometry:
        return geometry_in(typed.geometry)
    try:
        return geometry_of_image(typed.image)
    except FileFormatError:
        return None


def _spots(typed: Any) -> NDArray[np.float64]:
    """(n, 2): places of the predicted reflections, fast and slow, with panels below each other."""
    given = SimpleNamespace(file=typed.predicted, template=typed.template, changes=[], index=None, image=None)
    found = predict(experiment_of(given), d_min=typed.d_min)
    starts = np.cumsum([0, *(panel.n_slow for panel in found.geometry.panels)])
    return np.column_stack([found["fast"], found["slow"] + starts[found["panel"]]])


def draw(
    pixels: NDArray[Any],
    geometry: Geometry | None,
    output: str,
    title: str,
    maximum: float | None,
    spots: NDArray[np.float64] | None = None,
) -> None:
    """Write the picture.

    Parameters
    ----------
    pixels : (n_slow, n_fast) array
        Panels below each other, as in an NXmx file.
    geometry : Geometry, optional
        For rings and the beam center.
    output : path
        A PNG file.
    title : str
        Above the picture.
    maximum : float, optional
        Shown black.
    spots : (n, 2) array, optional
        Places that are marked with a square, fast and slow [pixels].
    """
    figures, colors = needed("matplotlib.figure", "nanoBragg view"), needed("matplotlib.colors", "nanoBragg view")
    values = np.asarray(pixels, np.float64)
    positive = values[values > 0]
    top = maximum or (float(np.percentile(positive, _BRIGHT)) if positive.size else 1.0)
    knee = min(float(np.percentile(positive, _DIM)) if positive.size else 1.0, top / 2)
    n_slow, n_fast = values.shape
    size = (8.0, 8.0 * n_slow / n_fast + 0.4)
    figure = figures.Figure(figsize=size, dpi=max(100.0, n_fast / 8.0), layout="tight")
    axes = figure.add_subplot()
    axes.imshow(np.clip(values, 0, None), cmap="Greys", interpolation="nearest",
                norm=colors.AsinhNorm(linear_width=knee, vmin=0, vmax=top), extent=(0, n_fast, n_slow, 0))  # fmt: skip
    axes.set(title=title, xlabel="fast [pixels]", ylabel="slow [pixels]")
    if geometry is not None:
        _mark(axes, geometry)
    if spots is not None:
        axes.plot(*spots.T, "s", color="tab:orange", fillstyle="none", markersize=5, markeredgewidth=0.6)
        axes.set(xlim=(0, n_fast), ylim=(n_slow, 0))
    with replacing(output) as temporary:
        figure.savefig(temporary, format="png")


def resolution(panel: Any, beam: NDArray[Any], wavelength: float, step: int = 1) -> NDArray[np.float64]:
    """Spacing d = lambda/(2 sin theta) [Angstrom] at every step-th pixel corner of a panel."""
    s, f = np.mgrid[0 : panel.n_slow + 1 : step, 0 : panel.n_fast + 1 : step].astype(float)
    position = panel.origin + panel.pixel_mm * (f[..., None] * panel.fast + s[..., None] * panel.slow)
    cosine = position @ beam / np.linalg.norm(position, axis=-1)
    return np.asarray(wavelength / (2 * np.sqrt(np.maximum((1 - cosine) / 2, 1e-12))))


def _mark(axes: Any, geometry: Geometry) -> None:
    """Rings at round resolutions, and a cross where the beam meets a panel."""
    if geometry.wavelength is None or geometry.beam is None:
        return
    start = 0
    maps = []
    for panel in geometry.panels:
        step = max(1, max(panel.n_slow, panel.n_fast) // 400)
        maps.append((start, step, resolution(panel, geometry.beam, geometry.wavelength, step)))
        along = float(geometry.beam @ panel.normal)
        point = panel.distance / along * geometry.beam - panel.origin if abs(along) > 1e-6 else np.full(3, np.inf)
        f, s = point @ panel.fast / panel.pixel_mm, point @ panel.slow / panel.pixel_mm
        if 0 <= f <= panel.n_fast and 0 <= s <= panel.n_slow:
            axes.plot([f], [start + s], "+", color="tab:red", markersize=12)
        start += panel.n_slow
    levels = _round_levels(min(float(d.min()) for _, _, d in maps), max(float(d.max()) for _, _, d in maps))
    for offset, step, d in maps:
        inside = [level for level in levels if d.min() < level < d.max()]
        if inside and min(d.shape) > 1:
            x, y = np.arange(d.shape[1]) * step, offset + np.arange(d.shape[0]) * step
            # 1/d is smooth through the center, d is not
            rings = axes.contour(
                x, y, 1 / d, levels=sorted(1 / level for level in inside), colors="tab:blue", linewidths=0.6
            )
            axes.clabel(rings, fmt=lambda value: f"{1 / value:.3g} Å", fontsize=7)


def _round_levels(low: float, high: float) -> list[float]:
    """About five round resolutions between two, denser towards the edge of the image."""
    candidates = [
        20,
        15,
        10,
        8,
        6,
        5,
        4,
        3.5,
        3,
        2.5,
        2.2,
        2,
        1.8,
        1.6,
        1.5,
        1.4,
        1.3,
        1.2,
        1.1,
        1,
        0.9,
        0.8,
        0.7,
        0.6,
        0.5,
    ]
    inside = [float(d) for d in candidates if low < d < high]
    return inside[:: -max(1, len(inside) // 5)] if inside else []
