"""Images of several panels put together as the beam sees them, on the plane at right angles to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.errors import ConfigError
from nanobragg.exchange.notebook.layout import corners, in_laboratory
from nanobragg.io.geometry.record import Geometry, Panel
from nanobragg.lazy import dataclass

_LARGEST = 3000
"""Longest edge of an assembled picture [pixels]; larger detectors are reduced, blocks showing their brightest pixel."""
_EDGE_ON = 1e-3
"""Panels that show the beam less than this part of their area are left out."""


@dataclass(frozen=True)
class Assembled:
    """Panels put together."""

    values: NDArray[np.float64]
    """(rows, columns), the uppermost row first; NaN between the panels"""
    extent: tuple[float, float, float, float]
    """left, right, bottom, top [mm] from the beam, seen along it"""


def as_panels(images: Any, geometry: Geometry | None) -> list[NDArray[Any]]:
    """The image of every panel: of one array (n_slow, n_fast), of (n_panels, n_slow, n_fast), or of a list.

    An array of two axes in which the panels of the geometry stand below each other is cut.

    Raises
    ------
    ConfigError
        For images that are not those of the panels.
    """
    parts = list(images) if isinstance(images, list | tuple) or np.ndim(images) == 3 else [images]
    arrays = [np.asarray(part.detach().cpu() if is_tensor(part) else part) for part in parts]
    if any(array.ndim != 2 for array in arrays):
        raise ConfigError(
            "image", f"shape {[a.shape for a in arrays]}", "must be (n_slow, n_fast), or one for each panel"
        )
    if geometry is None:
        return arrays
    shapes = [(panel.n_slow, panel.n_fast) for panel in geometry.panels]
    below = (sum(n for n, _ in shapes), max(n for _, n in shapes)) if shapes else None
    if len(arrays) == 1 and len(shapes) > 1 and arrays[0].shape == below:
        starts = np.cumsum([0, *(n for n, _ in shapes)])
        arrays = [arrays[0][start : start + n, :m] for start, (n, m) in zip(starts, shapes, strict=False)]
    if [array.shape for array in arrays] != shapes:
        raise ConfigError("image", f"shape {[a.shape for a in arrays]}", f"must be that of the detector, {shapes}")
    return arrays


def below_each_other(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Images as one, narrower ones filled up with 0."""
    if len(arrays) == 1:
        return arrays[0]
    widest = max(array.shape[1] for array in arrays)
    return np.concatenate([np.pad(array, ((0, 0), (0, widest - array.shape[1]))) for array in arrays])


def assembled(images: Sequence[NDArray[Any]], geometry: Geometry) -> Assembled:
    """Put the images of panels together.

    Parameters
    ----------
    images : sequence of (n_slow, n_fast) array
        One for each panel.
    geometry : Geometry
        Of the panels; it is turned so that its beam runs along -z.

    Returns
    -------
    Assembled
        Pixels of the size of the smallest of the detector, each with the value of the pixel that it lies in.
    """
    panels = geometry.along_beam().panels
    outlines = np.stack([corners(panel) for panel in panels])
    low, high = outlines.min(axis=(0, 1)), outlines.max(axis=(0, 1))
    size = max(min(_step(panel) for panel in panels), float((high - low).max()) / _LARGEST)
    columns, rows = (max(1, math.ceil(float(span) / size - 1e-9)) for span in high - low)
    values = np.full((rows, columns), np.nan)
    for panel, image, outline in zip(panels, images, outlines, strict=True):
        _lay(values, panel, image, outline, (float(low[0]), float(high[1])), size)
    return Assembled(
        values, (float(low[0]), float(low[0]) + columns * size, float(high[1]) - rows * size, float(high[1]))
    )


def _axes(panel: Panel) -> NDArray[np.float64]:
    """(2, 2) columns: one pixel along fast and along slow, on the plane [mm]."""
    corner, along_fast, _, along_slow = corners(panel)
    return np.stack([(along_fast - corner) / panel.n_fast, (along_slow - corner) / panel.n_slow], axis=1)


def _step(panel: Panel) -> float:
    """Edge of a pixel as it is [mm], however the panel is tilted."""
    corner, right, below = in_laboratory(panel, np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    return float(min(np.linalg.norm(right - corner), np.linalg.norm(below - corner)))


def _lay(
    values: NDArray[np.float64], panel: Panel, image: NDArray[Any], outline: NDArray[np.float64],
    origin: tuple[float, float], size: float,
) -> None:  # fmt: skip
    """Fill the pixels of the picture that lie in a panel."""
    axes = _axes(panel)
    area = float(np.linalg.det(axes))
    if abs(area) < _EDGE_ON * _step(panel) ** 2:
        return
    rows = _range(origin[1] - outline[:, 1], size, values.shape[0])
    columns = _range(outline[:, 0] - origin[0], size, values.shape[1])
    x = origin[0] + (columns + 0.5) * size - outline[0, 0]
    y = origin[1] - (rows + 0.5) * size - outline[0, 1]
    inverse = np.linalg.inv(axes)
    fast = np.floor(inverse[0, 0] * x[None, :] + inverse[0, 1] * y[:, None]).astype(int)
    slow = np.floor(inverse[1, 0] * x[None, :] + inverse[1, 1] * y[:, None]).astype(int)
    inside = (fast >= 0) & (fast < panel.n_fast) & (slow >= 0) & (slow < panel.n_slow)
    reduced = _brightest(np.asarray(image, np.float64), max(1, math.ceil(size / _step(panel) - 1e-9)))
    target = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    target[inside] = reduced[slow[inside], fast[inside]]


def _range(spans: NDArray[np.float64], size: float, n: int) -> NDArray[np.int_]:
    first, last = math.floor(float(spans.min()) / size), math.ceil(float(spans.max()) / size)
    return np.arange(max(0, first), max(min(n, last), max(0, first) + 1))


def _brightest(image: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Every pixel with the largest value of the n x n about it, for pictures that show every n-th pixel."""
    for axis in (0, 1):
        parts = [np.roll(image, shift, axis) for shift in range(-(n // 2), n - n // 2)]
        image = np.max(parts, axis=0) if n > 1 else image
    return image
