"""Where the panels stand, as the beam sees them: a small drawing in SVG."""

from __future__ import annotations

import html

import numpy as np
from numpy.typing import NDArray

from nanobragg.io.geometry.record import Geometry, Panel

_EDGE = 260
"""Longest edge of the drawing [pixels]."""
_NAMED = 12
"""Panels get their names written into them up to so many."""
_RINGS = 3
"""Resolution rings that are drawn."""


def in_laboratory(panel: Panel, fast: NDArray[np.float64], slow: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) places of a panel [mm]; parameters as `on_plane`."""
    along_fast, along_slow = panel.edges_mm[0] * panel.fast, panel.edges_mm[1] * panel.slow
    return np.asarray(panel.origin + fast[..., None] * along_fast + slow[..., None] * along_slow)


def on_plane(panel: Panel, fast: NDArray[np.float64], slow: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Places of a panel, in pixels from its outer corner, on the plane at right angles to the beam.

    Parameters
    ----------
    panel : Panel
        Of a geometry whose beam runs along -z (`Geometry.along_beam`).
    fast, slow : array
        Pixels.

    Returns
    -------
    tuple of two arrays
        x to the right and y upwards [mm] from the beam, seen along the beam.
    """
    position = in_laboratory(panel, fast, slow)
    return position[..., 0], position[..., 1]


def corners(panel: Panel) -> NDArray[np.float64]:
    """(4, 2) x, y of the corners of a panel on that plane, in order around it [mm]."""
    f, s = panel.n_fast, panel.n_slow
    return np.stack(on_plane(panel, np.array([0.0, f, f, 0.0]), np.array([0.0, 0.0, s, s])), axis=-1)


def layout_svg(geometry: Geometry) -> str:
    """The drawing: panels with their first rows marked, the beam, resolution rings."""
    geometry = geometry.along_beam()
    outlines = [corners(panel) for panel in geometry.panels]
    points = np.concatenate([*outlines, np.zeros((1, 2))])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (_EDGE - 20) / float((high - low).max())
    width, height = (high - low) * scale + 20

    def place(point: NDArray[np.float64]) -> tuple[float, float]:
        return float((point[0] - low[0]) * scale + 10), float((high[1] - point[1]) * scale + 10)

    parts = []
    for panel, outline in zip(geometry.panels, outlines, strict=True):
        spots = [place(point) for point in outline]
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f"<polygon points='{text}' fill='#dbe7f3' stroke='#57606a'/>")
        (x0, y0), (x1, y1) = spots[:2]
        parts.append(
            f"<line x1='{x0:.1f}' y1='{y0:.1f}' x2='{x1:.1f}' y2='{y1:.1f}' stroke='#cf222e' stroke-width='2'/>"
        )
        if 1 < len(outlines) <= _NAMED:
            x, y = np.mean(spots, axis=0)
            parts.append(
                f"<text x='{x:.1f}' y='{y:.1f}' font-size='9' text-anchor='middle'>{html.escape(panel.name)}</text>"
            )
    x, y = place(np.zeros(2))
    parts += [*_rings(geometry, outlines, x, y, scale), f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='#cf222e'/>"]
    return (
        f"<svg viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' height='{height:.0f}' "
        f"style='flex-shrink:0' font-family='sans-serif' role='img' aria-label='the detector as the beam sees it'>"
        f"<title>as the beam sees it; red: the beam, and the first row of every panel</title>{''.join(parts)}</svg>"
    )


def _rings(geometry: Geometry, outlines: list[NDArray[np.float64]], x: float, y: float, scale: float) -> list[str]:
    """Circles of equal resolution at the mean distance of the panels along the beam."""
    distance = -float(np.mean([panel.origin[2] for panel in geometry.panels]))
    if geometry.wavelength is None or distance <= 0:
        return []
    farthest = max(float(np.abs(outline).max()) for outline in outlines)
    rings = []
    for i in range(1, _RINGS + 1):
        radius = farthest * i / _RINGS
        spacing = geometry.wavelength / (2 * np.sin(np.arctan2(radius, distance) / 2))
        rings.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius * scale:.1f}' fill='none' stroke='#0969da' stroke-dasharray='3 3'/>"
            f"<text x='{x:.1f}' y='{y - radius * scale + 10:.1f}' font-size='9' fill='#0969da'>{spacing:.2g} Å</text>"
        )
    return rings
