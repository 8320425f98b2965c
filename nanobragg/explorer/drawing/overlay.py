"""Lines and words over the picture: resolution rings, the beam, borders of panels, predicted reflections."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.explorer.drawing.layout import Layout
from nanobragg.inspection.pictures.drawing import beam_center, resolution, round_levels
from nanobragg.io.geometry.record import Panel
from nanobragg.prediction.table import Reflections

Array = NDArray[np.float64]
_AZIMUTHS = 181
"""Points of a ring."""
_LABELS = 250
"""Reflections that get a label, the brightest."""


def marks(layout: Layout) -> dict[str, Any]:
    """Rings, beam center and borders as polylines on the picture, plain data."""
    geometry = layout.geometry
    found: dict[str, Any] = {"rings": [], "center": [], "borders": [], "obstacle": layout.obstacle}
    if geometry is None:
        return found
    levels: list[float] = []
    if geometry.wavelength is not None and geometry.beam is not None:
        spans = [_span(panel, geometry.beam, geometry.wavelength) for panel in geometry.panels]
        levels = round_levels(min(low for low, _ in spans), max(high for _, high in spans))
    for i, panel in enumerate(geometry.panels):
        f, s = float(panel.n_fast), float(panel.n_slow)
        border = layout.places(i, np.array([0, f, f, 0, 0]), np.array([0, 0, s, s, 0]))
        found["borders"].append({"line": _line(*border), "name": panel.name})
        if geometry.beam is None:
            continue
        center = beam_center(panel, geometry.beam)
        if (center >= 0).all() and center[0] <= f and center[1] <= s:
            (x,), (y,) = layout.places(i, center[:1], center[1:])
            found["center"].append([round(float(x), 2), round(float(y), 2)])
        for d in levels:
            for part in _ring(panel, geometry.beam, float(geometry.wavelength or 1.0), d):
                found["rings"].append({"d": d, "line": _line(*layout.places(i, part[:, 0], part[:, 1]))})
    return found


def labels(layout: Layout, spots: Reflections) -> list[list[Any]]:
    """[column, row, "h k l"] of the brightest reflections."""
    brightest = spots.table[np.argsort(-spots["photons"], kind="stable")[:_LABELS]]
    found = []
    for row in brightest:
        (x,), (y,) = layout.places(int(row["panel"]), np.array([row["fast"]]), np.array([row["slow"]]))
        found.append([round(float(x), 1), round(float(y), 1), " ".join(str(int(i)) for i in row["hkl"])])
    return found


def _line(x: Array, y: Array) -> list[list[float]]:
    return np.round(np.stack([x, y], axis=-1), 2).tolist()


def _span(panel: Panel, beam: Array, wavelength: float) -> tuple[float, float]:
    """Smallest and largest spacing on a panel, by a few places of it."""
    f, s = np.meshgrid(np.linspace(0, panel.n_fast, 9), np.linspace(0, panel.n_slow, 9))
    d = resolution(panel, beam, wavelength, f, s)
    return float(d.min()), float(d.max())


def _ring(panel: Panel, beam: Array, wavelength: float, d: float) -> list[Array]:
    """The parts of the ring of a spacing that lie on a panel, (n, 2) fast and slow: rays of its cone meet the plane."""
    sine = wavelength / (2 * d)
    if not sine < 1:
        return []
    angle = 2 * np.arcsin(sine)
    across = np.cross(beam, [1.0, 0.0, 0.0] if abs(beam[0]) < 0.9 else [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    turn = np.linspace(0, 2 * np.pi, _AZIMUTHS)[:, None]
    rays = np.cos(angle) * beam + np.sin(angle) * (np.cos(turn) * across + np.sin(turn) * np.cross(beam, across))
    along = rays @ panel.normal
    with np.errstate(divide="ignore", invalid="ignore"):
        points = rays * (panel.distance / along)[:, None] - panel.origin
        meets = panel.distance / along > 0
    axes = np.stack([panel.fast * panel.edges_mm[0], panel.slow * panel.edges_mm[1]], axis=1)
    place = points @ np.linalg.pinv(axes).T
    inside = meets & np.isfinite(place).all(1)
    inside &= (place >= 0).all(1) & (place[:, 0] <= panel.n_fast) & (place[:, 1] <= panel.n_slow)
    parts, run = [], []
    for point, here in zip(place, inside, strict=True):
        if here:
            run.append(point)
        elif run:
            parts.append(np.array(run))
            run = []
    if run:
        parts.append(np.array(run))
    return [part for part in parts if len(part) > 1]
