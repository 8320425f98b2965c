"""What is asked of a picture: the pixel under the cursor, a profile, a histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.drawing.places import mean_beam, positions
from nanobragg.explorer.rendering import as_images
from nanobragg.explorer.session import Picture

_BINS = 60
_LONGEST_PROFILE = 4000


def pixel_rows(picture: Picture, column: float, row: float) -> tuple[tuple[int, int, int] | None, list[list[str]]]:
    """(panel, slow, fast) of a place on the picture, and rows of a table that tell about it."""
    layout = picture.layout
    found = layout.pixel(column, row)
    if found is None:
        return None, [["", "no pixel"]]
    panel, slow, fast = found
    name = layout.name(panel)
    rows = [["panel", f"{panel} ({name})" if name else str(panel)]] if layout.index is not None else []
    rows.append(["pixel", f"slow {slow}, fast {fast}"])
    rows += _diffraction(picture, panel, slow, fast)
    exact = "" if picture.frame.exact else ", coarse"
    rows.append(["photons", f"{pixel_value(picture.frame.photons, found):.6g}{exact}"])
    if picture.values is not picture.frame.photons:
        rows.append([picture.unit, f"{pixel_value(picture.values, found):.6g}"])
    if layout.known is not None and not layout.known[int(row), int(column)]:
        rows.append(["", "masked"])
    return found, rows


def pixel_value(images: Any, pixel: tuple[int, int, int]) -> float:
    """Of (panel, slow, fast) what images of the panels have there."""
    panel, slow, fast = pixel
    return float(as_images(images)[panel][slow, fast])


def _diffraction(picture: Picture, panel: int, slow: int, fast: int) -> list[list[str]]:
    """Spacing and Miller indices at the middle of a pixel, at the middle of the rotation and the mean wavelength."""
    lattices = picture.plan.scenes[panel]
    scene = lattices[0][0]
    wavelength, beam = mean_beam(scene)
    ray = positions(scene, np.array(fast + 0.5), np.array(slow + 0.5))
    scattering = (ray / np.linalg.norm(ray) - beam) / wavelength
    length = float(np.linalg.norm(scattering))
    rows = [["d", f"{1e10 / length:.4g} Å" if length > 0 else "the beam"]]
    for i, own in enumerate(lattices):
        orientations = own[0].orientations
        # rows a, b, c [m]; the mean over the domains is the crystal itself but for their number
        axes = orientations[(len(orientations) - 1) // 2 : len(orientations) // 2 + 1].mean(axis=(0, 1))
        index = "  ".join(f"{x + 0.0:.2f}" for x in axes @ scattering)
        rows.append(["h k l" if len(lattices) == 1 else f"h k l, crystal {i}", index])
    return rows


def profile(values: NDArray[Any], known: NDArray[np.bool_] | None, line: list[list[float]]) -> NDArray[np.float64]:
    """Values of the pixels along a line, one a pixel; NaN where there is none."""
    (x0, y0), (x1, y1) = line
    count = int(np.clip(np.ceil(np.hypot(x1 - x0, y1 - y0)), 1, _LONGEST_PROFILE)) + 1
    columns = np.floor(np.linspace(x0, x1, count)).astype(np.int64)
    rows = np.floor(np.linspace(y0, y1, count)).astype(np.int64)
    inside = (rows >= 0) & (rows < values.shape[0]) & (columns >= 0) & (columns < values.shape[1])
    found = np.full(count, np.nan)
    found[inside] = values[rows[inside], columns[inside]]
    if known is not None:
        found[inside] = np.where(known[rows[inside], columns[inside]], found[inside], np.nan)
    return found


def histogram(layout: Layout, values: NDArray[Any]) -> tuple[list[int], tuple[float, float], str]:
    """Pixels in equal steps of the logarithm of their value, the first and last of these values, and what is said in words."""
    every = np.asarray(values if layout.known is None else values[layout.known], np.float64)
    lit = every[(every > 0) & np.isfinite(every)]
    if lit.size == 0:
        return [], (0.0, 0.0), "no pixel is above 0"
    top = float(lit.max())
    low = max(float(lit.min()), top * 1e-12)
    if low >= top:
        return [int(lit.size)], (top, top), f"{lit.size} pixels of {top:.4g}"
    # single precision and natural logarithms: quick, and the ends are those of the values
    scaled = lit if 1e-30 < low and top < 1e30 else lit / top  # which single precision holds
    logs = np.log(np.maximum(scaled, low * (scaled.max() / top)).astype(np.float32))
    counts, _ = np.histogram(logs, _BINS, (float(logs.min()), float(logs.max())))
    dark = every.size - lit.size
    said = f"pixels of {low:.3g} to {top:.4g}{f', {dark} of 0 or less' if dark else ''}; sum {float(every.sum()):.6g}"
    return counts.tolist(), (low, top), said
