"""The orientations at which diffuse scattering is evaluated: one where it is smooth, all where they are few, else a few for all.

Those few are, of a rotation alone, the nodes of Gauss and Legendre; else those of a Gaussian with the mean and the covariance of
the rotation vectors, phi and domains together: r times plus and minus every column of a root of the covariance, at the two r of
Gauss and Laguerre. They are exact for polynomials of the third degree, in the length for those of the seventh.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.cell import Cell
from nanobragg.derivation.crystals.mosaic import cholesky, crystal_axes, domains, rotations_by
from nanobragg.derivation.placement import Placement
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import Ops, Vec, matvec, rotaxis, scale

MOST = 12
"""orientations that are all taken, and that stand for more"""
SMOOTH = 0.2
"""of 2 pi gamma times the displacement of q: a smaller spread is left out"""
_ALONG = 6
"""nodes of a rotation alone"""
_SHELLS = tuple(math.sqrt(5 + side * math.sqrt(10)) for side in (-1, 1))
_SHARES = tuple(0.5 - side / math.sqrt(10) for side in (-1, 1))
_STRAINS = (math.sqrt(0.5), math.sqrt(0.5), -math.sqrt(2.0))
"""Relative sizes of the cell beside the three columns, over their standard deviation: mean 0, variance 1."""

Orientations = tuple[Any, NDArray[np.float64] | None]
"""Rows a, b, c (n, 3, 3) [m], and their weights, mean 1; None: all alike."""


def every(scene: Scene) -> Orientations:
    """All phi steps and domains."""
    n = scene.n_phi * scene.n_domains
    weight = None if scene.domain_weight is None else np.tile(scene.domain_weight, scene.n_phi)
    return scene.orientations.reshape(n, 3, 3), weight


def nodes(
    experiment: Experiment, scene: Scene, cell: Cell, placement: Placement, phi: list[Any], reach: float, ops: Ops
) -> Orientations:
    """The orientations to evaluate.

    Parameters
    ----------
    experiment : Experiment
        A decided one.
    scene, cell, placement
        Derived from it with `ops`.
    phi : list
        [rad]
    reach : float
        2 pi gamma |q| at the corner of the detector: by how much a rotation [rad] displaces q there, over the width.
    ops : Ops
    """
    n_all = scene.n_phi * scene.n_domains
    if n_all == 1:
        return every(scene)
    angle = sum(phi) / len(phi)
    variance = sum((one - angle) * (one - angle) for one in phi) / len(phi)
    turns = math.sqrt(detached(variance)) * reach >= SMOOTH
    found = domains(experiment, cell, ops)
    mean, covariance = _moments(found.rotation, found.weight, ops)
    spreads = covariance is not None and math.sqrt(max(detached(covariance[i][i]) for i in range(3))) * reach >= SMOOTH
    strain = _strain(found.stretch, found.weight, reach, ops)
    if n_all <= MOST and (turns or spreads or strain is not None):
        return every(scene)
    if spreads and covariance is not None:
        if turns:
            spindle = placement.spindle
            covariance = [[covariance[i][j] + variance * spindle[i] * spindle[j] for j in range(3)] for i in range(3)]
        points, weight, sizes = _of_a_gaussian(mean, covariance, crystal_axes(cell, ops), ops)
        angles = [angle] * len(points)
    else:
        points, weight, sizes, angles = [mean], np.ones(1), [0.0], [angle]
        if turns:
            places, weight = np.polynomial.legendre.leggauss(_ALONG)
            half = ops.sqrt(3 * variance)
            angles, points, sizes = [angle + float(x) * half for x in places], [mean] * _ALONG, [0.0] * _ALONG
    if strain is not None and not spreads:
        points, angles, weight = points * 2, angles * 2, np.tile(weight, 2)
        sizes = [1.0] * len(sizes) + [-1.0] * len(sizes)
    after = Quirk.MOSAIC_AFTER_PHI in experiment.quirks
    rows = [_placed(cell, point, at, placement, after, ops) for point, at in zip(points, angles, strict=True)]
    if strain is not None:
        rows = [[scale(axis, 1 + size * strain) for axis in row] for row, size in zip(rows, sizes, strict=True)]
    table = ops.stack([ops.stack([ops.stack(axis) for axis in row]) for row in rows])
    return table, None if len(rows) == 1 else np.asarray(weight / weight.mean())


def _placed(cell: Cell, turn: list[Any], angle: Any, placement: Placement, after: bool, ops: Ops) -> list[Vec]:
    """The axes turned by a rotation vector and about the spindle, which comes last unless `after`."""
    x, y, z = (ops.stack([component]) for component in turn)
    matrix = [element[0] for element in rotations_by((x, y, z), ops)]
    axes = (cell.a, cell.b, cell.c)
    if after:
        return [matvec(matrix, rotaxis(axis, placement.spindle, angle, ops)) for axis in axes]
    return [rotaxis(matvec(matrix, axis), placement.spindle, angle, ops) for axis in axes]


def _moments(
    r: list[Any] | None, weight: NDArray[np.float64] | None, ops: Ops
) -> tuple[list[Any], list[list[Any]] | None]:
    """Mean and covariance of rotation vectors [rad], from nine arrays (n,), row-major; None: there are no rotations."""
    if r is None:
        return [ops.lift(0.0)] * 3, None
    n = len(r[1])
    share = ops.lift(np.ones(n) / n if weight is None else weight / n)
    # |sin| of the angle along the axis: the rotation vector, but for its cube
    vector = [(r[7] - r[5]) / 2, (r[2] - r[6]) / 2, (r[3] - r[1]) / 2]
    mean = [(share * x).sum() for x in vector]
    off = [x - m for x, m in zip(vector, mean, strict=True)]
    return mean, [[(share * x * y).sum() for y in off] for x in off]


def _strain(stretch: Any | None, weight: NDArray[np.float64] | None, reach: float, ops: Ops) -> Any | None:
    """Standard deviation of the relative size of the cells; None where it is nothing."""
    if stretch is None:
        return None
    n = len(stretch)
    share = ops.lift(np.ones(n) / n if weight is None else weight / n)
    mean = (share * stretch).sum()
    variance = (share * (stretch - mean) * (stretch - mean)).sum()
    return ops.sqrt(variance) if math.sqrt(detached(variance)) * reach >= SMOOTH else None


def _of_a_gaussian(
    mean: list[Any], covariance: list[list[Any]], axes: tuple[Vec, Vec, Vec], ops: Ops
) -> tuple[list[list[Any]], NDArray[np.float64], list[float]]:
    """Rotation vectors, their weights and the sizes of the cells there; the root is formed in the axes of the crystal."""
    pushed = [[sum(covariance[i][j] * axis[j] for j in range(3)) for i in range(3)] for axis in axes]
    inner = ops.stack([ops.stack([sum(axis[i] * row[i] for i in range(3)) for row in pushed]) for axis in axes])
    root = cholesky(inner, ops)
    columns = [[sum(root[m][k] * axes[m][i] for m in range(3)) for i in range(3)] for k in range(3)]
    points, weights, sizes = [], [], []
    for shell, share in zip(_SHELLS, _SHARES, strict=True):
        for column, size in zip(columns, _STRAINS, strict=True):
            for side in (1, -1):
                points.append([m + side * shell * c for m, c in zip(mean, column, strict=True)])
                weights.append(share)
                sizes.append(size)
    return points, np.array(weights), sizes
