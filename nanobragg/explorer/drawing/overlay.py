"""Lines and words over the picture: resolution rings, the beam, borders of panels, predicted reflections."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.scene import Scene
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.drawing.places import angles, mean_beam
from nanobragg.inspection.pictures.drawing import round_levels
from nanobragg.prediction.table import Reflections

Array = NDArray[np.float64]
_AZIMUTHS = 181
"""Points of a ring."""
_RADII = 120
"""Points from the beam to the farthest corner, between which the angle is taken to grow evenly, as it nearly does."""
_LABELS = 3000
"""Reflections that are told, the brightest; the page names those of them for which there is room."""
_FAINTEST = 1e-4
"""Of the photons of the brightest one: of what has less nothing is seen."""


def marks(layout: Layout) -> dict[str, Any]:
    """Rings, beam center and borders as polylines on the picture, plain data."""
    found: dict[str, Any] = {"rings": [], "center": [], "borders": []}
    spans = [_span(scene) for scene in layout.scenes]
    levels = round_levels(min(low for low, _ in spans), max(high for _, high in spans))
    for i, (scene, span) in enumerate(zip(layout.scenes, spans, strict=True)):
        f, s = float(scene.n_fast), float(scene.n_slow)
        border = layout.places(i, np.array([0, f, f, 0, 0]), np.array([0, 0, s, s, 0]))
        found["borders"].append({"line": _line(*border), "name": layout.name(i)})
        center = _center(scene)
        inside = bool((center >= 0).all() and center[0] <= f and center[1] <= s)
        if inside:
            (x,), (y,) = layout.places(i, center[:1], center[1:])
            found["center"].append([round(float(x), 2), round(float(y), 2)])
        here = [d for d in levels if d >= span[0] and (d <= span[1] or inside)]
        for d, line in zip(here, _rings(scene, here), strict=True):
            for part in _parts(scene, line):
                found["rings"].append({"d": d, "line": _line(*layout.places(i, part[:, 0], part[:, 1]))})
    return found


def labels(layout: Layout, spots: Reflections) -> list[list[Any]]:
    """[column, row, "h k l", crystal] of the brightest reflections, the brightest first."""
    brightest = spots.table[np.argsort(-spots["photons"], kind="stable")[:_LABELS]]
    brightest = brightest[brightest["photons"] >= _FAINTEST * brightest["photons"][:1].sum()]
    places = np.zeros((len(brightest), 2))
    for panel in np.unique(brightest["panel"]):
        here = brightest["panel"] == panel
        places[here] = np.stack(layout.places(int(panel), brightest["fast"][here], brightest["slow"][here]), axis=-1)
    return [
        [round(x, 1), round(y, 1), " ".join(map(str, hkl)), crystal]
        for (x, y), hkl, crystal in zip(
            places.tolist(), brightest["hkl"].tolist(), brightest["crystal"].tolist(), strict=True
        )
    ]


def smallest_spacing(layout: Layout) -> float:
    """On the whole detector [Angstrom]."""
    return min(_span(scene)[0] for scene in layout.scenes)


def _line(x: Array, y: Array) -> list[list[float]]:
    return np.round(np.stack([x, y], axis=-1), 2).tolist()


def _span(scene: Scene) -> tuple[float, float]:
    """Smallest and largest spacing on a panel [Angstrom], by a few places of it."""
    f, s = np.meshgrid(np.linspace(0, scene.n_fast, 9), np.linspace(0, scene.n_slow, 9))
    d = 1e10 * mean_beam(scene)[0] / (2 * np.maximum(np.sin(angles(scene, f, s) / 2), 1e-6))
    return float(d.min()), float(d.max())


def _center(scene: Scene) -> Array:
    """(fast, slow) where the beam meets the plane of a panel, or where a bent one begins to bend [pixels]; infinite: nowhere."""
    _, beam = mean_beam(scene)
    along = float(beam @ scene.normal)
    if scene.curved:
        return _pixel(scene, float(scene.distance) * np.asarray(scene.beam, np.float64)[None])[0]
    distance = float(np.asarray(scene.pix0) @ scene.normal) / along if abs(along) > 1e-6 else -1.0
    if distance <= 0:
        return np.full(2, np.inf)
    return _pixel(scene, (distance * beam)[None])[0]


def _pixel(scene: Scene, points: Array) -> Array:
    """(n, 2) fast and slow [pixels] of places [m] of the plane of a panel, or of their feet on it."""
    edges = np.asarray(scene.pixel_size, np.float64)
    axes = np.stack([np.asarray(scene.fast) * edges[0], np.asarray(scene.slow) * edges[1]], axis=1)
    return np.asarray((points - np.asarray(scene.pix0)) @ np.linalg.pinv(axes).T)


def _rings(scene: Scene, spacings: list[float]) -> list[Array]:
    """The rings of spacings [Angstrom], each (n, 2) fast and slow, on the panel and beyond; NaN where they do not meet it."""
    wavelength, beam = mean_beam(scene)
    angles_of = [2 * float(np.arcsin(min(1.0, 1e10 * wavelength / (2 * d)))) for d in spacings]
    return _bent_rings(scene, angles_of) if scene.curved else [_flat_ring(scene, beam, angle) for angle in angles_of]


def _parts(scene: Scene, place: Array) -> list[Array]:
    """The parts of a line that lie on a panel."""
    inside = np.isfinite(place).all(1) & (place >= 0).all(1)
    inside &= (place[:, 0] <= scene.n_fast) & (place[:, 1] <= scene.n_slow)
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


def _flat_ring(scene: Scene, beam: Array, angle: float) -> Array:
    """Where the rays of a cone about the beam meet the plane; NaN where they do not."""
    across = np.cross(beam, [1.0, 0.0, 0.0] if abs(beam[0]) < 0.9 else [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    turn = np.linspace(0, 2 * np.pi, _AZIMUTHS)[:, None]
    rays = np.cos(angle) * beam + np.sin(angle) * (np.cos(turn) * across + np.sin(turn) * np.cross(beam, across))
    normal = np.asarray(scene.normal, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = float(np.asarray(scene.pix0) @ normal) / (rays @ normal)
        points = np.where(np.isfinite(lengths) & (lengths > 0), lengths, np.nan)[:, None] * rays
    return _pixel(scene, points)


def _bent_rings(scene: Scene, wanted: list[float]) -> list[Array]:
    """Outwards from where the beam meets the sphere, along straight lines of pixels, up to the angles."""
    center, edges = _center(scene), np.asarray(scene.pixel_size, np.float64)
    corners = np.array([[0, 0], [scene.n_fast, 0], [0, scene.n_slow], [scene.n_fast, scene.n_slow]])
    farthest = float(np.linalg.norm((corners - center) * edges, axis=1).max())
    turn = np.linspace(0, 2 * np.pi, _AZIMUTHS)[:, None]
    radii = np.linspace(0, farthest, _RADII)
    found = angles(scene, center[0] + np.cos(turn) * radii / edges[0], center[1] + np.sin(turn) * radii / edges[1])
    reached = [np.interp(wanted, row, radii, right=np.nan) for row in found]
    outwards = np.concatenate([np.cos(turn), np.sin(turn)], axis=1) / edges
    return [center + np.array(lengths)[:, None] * outwards for lengths in zip(*reached, strict=True)]
