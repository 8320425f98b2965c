"""The domains of a crystal: rotations, relative cell sizes and weights (docs/crystals.md, Mosaicity).

A domain is rotated by exp([w]x); the models are distributions of w. The draws are unit-free and made once, so that the spreads
stay differentiable and every backend sees the same domains.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_tensor
from nanobragg.config import Experiment, Mosaic
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.cell import Cell
from nanobragg.derivation.crystals.draws import normal, opposed, stretches, turns
from nanobragg.derivation.orientations import draws, legacy_streams, rotation_matrices
from nanobragg.derivation.rng import checked_seed
from nanobragg.derivation.vectors import Ops, Vec, cross, radians, unit
from nanobragg.lazy import dataclass

DIFFBRAGG_SEED = 8675309
"""of the order of the angles in that program"""
_TERMS = 18
"""of the series of the rotation: exact to rounding up to 6 radians"""


@dataclass(frozen=True)
class Domains:
    """The domains; None: all alike."""

    rotation: list[Any] | None
    """nine arrays (n,), row-major"""
    stretch: Any | None
    """(n,) cells over the mean one: a, b and c together"""
    weight: NDArray[np.float64] | None
    """(n,), mean 1"""


def domains(experiment: Experiment, cell: Cell, ops: Ops) -> Domains:
    """The domains of the crystal of an experiment.

    Parameters
    ----------
    experiment : Experiment
        With the number of domains decided.
    cell : Cell
        Derived with `ops`.
    ops : Ops
    """
    mosaic = experiment.crystal.mosaic
    n = mosaic.n_domains or 1
    return Domains(_rotations(experiment, mosaic, n, cell, ops), _stretches(mosaic, n, ops), _weights(mosaic))


def crystal_axes(cell: Cell, ops: Ops) -> tuple[Vec, Vec, Vec]:
    """Orthogonal unit vectors along a, c* x a and c* in the laboratory, at phi = 0."""
    first, third = unit(cell.a, ops), unit(cell.c_star, ops)
    return first, cross(third, first), third


def mean_spread(mosaic: Mosaic, ops: Ops) -> Any:
    """The spread [rad] for reports and traces: a number, or three where the axes differ."""
    if mosaic.covariance_deg2 is not None:
        matrix = ops.lift(mosaic.covariance_deg2)
        return tuple(radians(ops.sqrt(matrix[i, i]), ops) for i in range(3))
    if isinstance(mosaic.spread_deg, tuple) or (is_tensor(mosaic.spread_deg) and len(mosaic.spread_deg.shape)):
        return tuple(radians(x, ops) for x in mosaic.spreads)
    return radians(mosaic.spread_deg, ops)


def _rotations(experiment: Experiment, mosaic: Mosaic, n: int, cell: Cell, ops: Ops) -> list[Any] | None:
    if mosaic.model == "cap":
        return _cap(experiment, mosaic, n, ops)
    if mosaic.model == "given":
        return _given(mosaic, cell, ops)
    if n == 1:
        return None
    if mosaic.model == "diffbragg":
        return rotations_by(_diffbragg(mosaic, n, ops), ops)
    x, y, z = _scaled(mosaic, turns(mosaic.model, n, mosaic.seed), ops)
    axes = crystal_axes(cell, ops)
    turn = [axes[0][i] * x + axes[1][i] * y + axes[2][i] * z for i in range(3)]
    return rotations_by((turn[0], turn[1], turn[2]), ops)


def _cap(experiment: Experiment, mosaic: Mosaic, n: int, ops: Ops) -> list[Any] | None:
    """The original's: the first domain is aligned, and its draws are consumed all the same."""
    spread = radians(mosaic.spread_deg, ops)
    if not is_tensor(spread) and n == 1:
        checked_seed("crystal.mosaic.seed", mosaic.seed)
        return None
    float32 = Quirk.MOSAIC_F32 in experiment.quirks
    _, _, deviates = legacy_streams(experiment)
    draw = draws(deviates, float32)
    draw.magnitude[0] = 0.0
    return rotation_matrices(draw, spread, float32, ops)


def _scaled(mosaic: Mosaic, drawn: NDArray[np.float64], ops: Ops) -> Vec:
    """Rotation vectors [rad] in the axes of the crystal: spreads, or a root of the covariance, times the draws."""
    x, y, z = (ops.lift(np.ascontiguousarray(column)) for column in drawn.T)
    if mosaic.covariance_deg2 is None:
        a, b, c = (radians(spread, ops) for spread in mosaic.spreads)
        return a * x, b * y, c * z
    matrix = ops.lift(mosaic.covariance_deg2)
    (xx, _, _), (yx, yy, _), (zx, zy, zz) = cholesky(matrix, ops)
    turn = (xx * x, yx * x + yy * y, zx * x + zy * y + zz * z)
    return radians(turn[0], ops), radians(turn[1], ops), radians(turn[2], ops)


def cholesky(matrix: Any, ops: Ops) -> tuple[tuple[Any, Any, Any], ...]:
    """L with L L^T = matrix, which may be singular: what has no variance has none with others."""

    def root(x: Any) -> tuple[Any, Any]:
        """Square root, and one that divides."""
        if detached(x) <= 0:
            return 0.0, 1.0
        found = ops.sqrt(x)
        return found, found

    def element(i: int, j: int) -> Any:
        return (matrix[i, j] + matrix[j, i]) / 2

    a, over_a = root(matrix[0, 0])
    b, c = element(1, 0) / over_a, element(2, 0) / over_a
    d, over_d = root(matrix[1, 1] - b * b)
    e = (element(2, 1) - c * b) / over_d
    f, _ = root(matrix[2, 2] - c * c - e * e)
    return (a, 0.0, 0.0), (b, d, 0.0), (c, e, f)


def _given(mosaic: Mosaic, cell: Cell, ops: Ops) -> list[Any]:
    """1 + E (R - 1) E^T, E with the axes of the crystal as columns; exactly 1 for R = 1."""
    r, axes = ops.lift(mosaic.rotations), crystal_axes(cell, ops)
    off = [[r[:, i, j] - (1.0 if i == j else 0.0) for j in range(3)] for i in range(3)]
    turned = [[sum(off[k][m] * axes[m][j] for m in range(3)) for j in range(3)] for k in range(3)]  # (R - 1) E^T
    return [
        sum(axes[k][i] * turned[k][j] for k in range(3)) + (1.0 if i == j else 0.0) for i in range(3) for j in range(3)
    ]


def _diffbragg(mosaic: Mosaic, n: int, ops: Ops) -> Vec:
    """Rotation vectors [rad] in the laboratory: half-normal angles about axes on a spiral over the hemisphere, both ways.

    The width for an axis n is (n . diag(spread^-2) n)^(-1/2), which is what that program does.
    """
    m = n // 2
    height = (np.arange(1.0, m + 1) - 0.5) / max(m, 1)
    ring, angle = np.sqrt(1 - height * height), math.sqrt(math.pi * m) * np.arcsin(height)
    along = ring * np.cos(angle), ring * np.sin(angle), height
    order = np.random.RandomState(DIFFBRAGG_SEED).permutation(m)
    size = normal((1 + order / max(m, 1)) / 2)
    width = mean_spread(mosaic, ops)
    if isinstance(width, tuple):
        pair = [0] * (n % 2) + [i // 2 for i in range(n - n % 2)]
        x, y, z = (ops.lift(component[pair]) for component in along)
        a, b, c = width
        width = 1 / ops.sqrt(x * x / (a * a) + y * y / (b * b) + z * z / (c * c))
    x, y, z = (width * ops.lift(opposed(n, component * size)) for component in along)
    return x, y, z


def rotations_by(turn: Vec, ops: Ops) -> list[Any]:
    """exp([w]x) as nine arrays (n,), row-major, for rotation vectors w [rad].

    R = 1 + s [w]x + t [w]x^2 with s = sin|w|/|w|, t = (1 - cos|w|)/|w|^2; as series, which have a derivative at 0 too.
    """
    x, y, z = turn
    xx, yy, zz = x * x, y * y, z * z
    sqr = xx + yy + zz
    s = t = 0.0
    for k in range(_TERMS, -1, -1):
        s = 1 / math.factorial(2 * k + 1) - s * sqr
        t = 1 / math.factorial(2 * k + 2) - t * sqr
    return [
        1 - t * (yy + zz), t * x * y - s * z, t * x * z + s * y,
        t * x * y + s * z, 1 - t * (xx + zz), t * y * z - s * x,
        t * x * z - s * y, t * y * z + s * x, 1 - t * (xx + yy),
    ]  # fmt: skip


def _stretches(mosaic: Mosaic, n: int, ops: Ops) -> Any | None:
    if not is_tensor(mosaic.strain) and mosaic.strain == 0:
        return None
    return 1 + ops.lift(mosaic.strain) * ops.lift(stretches(n, mosaic.seed))


def _weights(mosaic: Mosaic) -> NDArray[np.float64] | None:
    weights = mosaic.weights
    if weights is None or (weights == weights[0]).all():
        return None
    return np.asarray(weights * (len(weights) / weights.sum()))
