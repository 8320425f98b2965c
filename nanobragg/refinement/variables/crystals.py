"""The crystal as a refinement sees it: a rotation, and the free numbers of the unit cell."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.derivation import panels
from nanobragg.derivation.cell import reciprocal_from_cell
from nanobragg.derivation.crystals.cell_ties import EDGES_AND_ANGLES, ties
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError

Array = NDArray[np.float64]


class Lattice:
    """Orientation matrices of a crystal as functions of a rotation and its free cell elements."""

    def __init__(self, experiment: Experiment) -> None:
        crystal = experiment.crystal
        if isinstance(crystal, tuple):
            raise ConfigError(
                "experiment.crystal",
                len(crystal),
                "several crystals: one is wanted",
                "take experiment.replace(crystal=experiment.crystal[0])",
            )
        decided = resolve(panels.experiments(experiment)[0])
        own = decided.cell
        self.a_star = np.array([own.a_star, own.b_star, own.c_star])
        """(3, 3) rows at the start [1/Angstrom]"""
        self.named = crystal.unit_cell is not None and crystal.a_star_matrix is None
        """whether the experiment says cell and angles, and not a matrix"""
        start = parameters_of(self.a_star)
        self.system, self.free = ties(experiment, start)
        values = list(start)
        for group in self.free:
            for i in group:
                values[i] = float(np.mean([start[j] for j in group]))
        self.cell = tuple(values)
        self._quirks = experiment.quirks
        self._last: tuple[tuple[float, ...], Array] | None = None
        self.orientation = rotation_between(self.base(self.cell), self.a_star)

    def base(self, cell: tuple[float, ...]) -> Array:
        """(3, 3) rows a*, b*, c* before orientation."""
        if self._last is None or self._last[0] != cell:
            # what the derivation looks at, without the checks of a whole experiment
            alone: Any = SimpleNamespace(
                crystal=SimpleNamespace(unit_cell=SimpleNamespace(**dict(zip(EDGES_AND_ANGLES, cell, strict=True)))),
                quirks=self._quirks,
            )
            self._last = cell, np.array(reciprocal_from_cell(alone, FLOAT_OPS).vectors)
        return self._last[1]

    def matrix(self, turn: Array, cell: tuple[float, ...]) -> Array:
        """(3, 3) rows a*, b*, c* of the cell, turned by the rotation vector `turn` [degrees] from the start."""
        return np.asarray(self.base(cell) @ (rotation(turn) @ self.orientation).T)

    def misset(self, turn: Array) -> tuple[float, float, float]:
        """Angles about lab x, y, z, as `crystal.misset_deg` has them; of a matrix: against the start."""
        return angles_of(rotation(turn) @ (self.orientation if self.named else np.eye(3)))

    def filled(self, values: list[float]) -> tuple[float, ...]:
        """The whole cell from its free elements."""
        cell = list(self.cell)
        for value, group in zip(values, self.free, strict=True):
            for i in group:
                cell[i] = value
        return tuple(cell)


def parameters_of(a_star: Array) -> tuple[float, ...]:
    """Cell [Angstrom, degrees] of rows a*, b*, c*."""
    real = np.linalg.inv(a_star).T
    lengths = np.linalg.norm(real, axis=1)
    cosines = [real[i] @ real[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    angles = [math.degrees(math.acos(max(-1.0, min(1.0, c)))) for c in cosines]
    # 90 and 120 degrees that went through a matrix
    angles = [round(angle) if abs(angle - round(angle)) < 1e-9 else angle for angle in angles]
    return (*(float(x) for x in lengths), *(float(angle) for angle in angles))


def rotation(vector: Array) -> Array:
    """Matrix of a rotation vector [degrees], by Rodrigues' formula."""
    w = np.radians(vector)
    angle = float(np.linalg.norm(w))
    k = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    if angle < 1e-12:
        return np.asarray(np.eye(3) + k)
    return np.asarray(np.eye(3) + math.sin(angle) / angle * k + (1 - math.cos(angle)) / angle**2 * (k @ k))


def angles_of(matrix: Array) -> tuple[float, float, float]:
    """Angles [degrees] about x, then y, then z of a rotation R_z R_y R_x."""
    y = math.asin(max(-1.0, min(1.0, -float(matrix[2, 0]))))
    x, z = math.atan2(matrix[2, 1], matrix[2, 2]), math.atan2(matrix[1, 0], matrix[0, 0])
    return math.degrees(x), math.degrees(y), math.degrees(z)


def rotation_between(base: Array, turned: Array) -> Array:
    """The rotation that takes rows to rows as well as one can (Kabsch)."""
    u, _, v = np.linalg.svd(turned.T @ base)
    return np.asarray(u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v)
