"""Random rotations: mosaic domains and random crystal orientations (docs/random_numbers.md).

The draws are unit-free (an axis and a number in [0, 1] per domain) and made once, so that the spread stays
differentiable and every backend sees the same domains.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.rng import LegacyRandom, checked_seed
from nanobragg.derivation.vectors import FLOAT_OPS, Ops, Vec
from nanobragg.lazy import dataclass

_THIRD_F32 = 0.3333333432674408
_RANDOM_MISSET_SPREAD = 90.0
"""[rad]: the original passes 90 degrees without converting them."""


@dataclass(frozen=True)
class Draws:
    """Random axis and magnitude of n rotations; angle = spread * magnitude."""

    axis: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    magnitude: NDArray[np.float64]


def legacy_streams(experiment: Experiment) -> tuple[LegacyRandom, NDArray[np.float64], NDArray[np.float64]]:
    """The original's generator after its misset and mosaic draws, with those draws.

    Returns
    -------
    generator : LegacyRandom
        Ready for the noise stream.
    misset : ndarray, shape (3,)
        Uniform deviates of the random orientation; empty when there is none.
    mosaic : ndarray, shape (n_domains, 3)
        Uniform deviates of the domains (at least one, as in the original).
    """
    crystal = experiment.crystal
    generator = LegacyRandom()
    misset = np.empty(0)
    if isinstance(crystal.misset_deg, str) and Quirk.MISSET_RANDOM_90_RAD in experiment.quirks:
        generator.seed("misset", _state("crystal.misset_seed", crystal.orientation_seed or 0, experiment))
        misset = generator.uniform("misset", 3)
    generator.seed("mosaic", _state("crystal.mosaic.seed", crystal.mosaic.seed, experiment))
    n_domains = max(1, crystal.mosaic.n_domains or 1)
    mosaic = generator.uniform("mosaic", 3 * n_domains).reshape(n_domains, 3)
    return generator, misset, mosaic


def _state(path: str, typed: int, experiment: Experiment) -> int:
    seed = checked_seed(path, typed)
    return -seed if Quirk.NEGATIVE_SEED_NO_RESEED in experiment.quirks else -abs(seed)


def draws(deviates: NDArray[np.float64], float32: bool) -> Draws:
    """Axes and magnitudes (1 - r^2)^(1/3) from uniform deviates of shape (n, 3); `float32` as MOSAIC_F32."""
    r1, r2, r3 = (2.0 * deviates - 1.0).T
    ring = np.sqrt(1.0 - r2 * r2)
    axis = (
        ring * np.array([math.sin(math.pi * r) for r in r1]),
        ring * np.array([math.cos(math.pi * r) for r in r1]),
        r2.copy(),
    )
    base = 1.0 - r3 * r3
    if float32:
        base = base.astype(np.float32).astype(np.float64)
        power = np.array([math.pow(b, _THIRD_F32) for b in base])
        magnitude = power.astype(np.float32).astype(np.float64)
    else:
        magnitude = np.array([math.pow(b, 1.0 / 3.0) for b in base])
    return Draws(axis, magnitude)


def rotation_matrices(draw: Draws, spread: Any, float32: bool, ops: Ops) -> list[Any]:
    """Nine arrays of shape (n,): the row-major elements of the rotations by spread * magnitude about the axes."""
    v: Vec = (ops.lift(draw.axis[0]), ops.lift(draw.axis[1]), ops.lift(draw.axis[2]))
    magnitude = ops.lift(draw.magnitude)
    theta = ops.round_f32(ops.round_f32(spread) * magnitude) if float32 else spread * magnitude
    c, n = ops.cos(theta), ops.sin(theta)
    t = 1 - c
    p = t * v[0]
    return [
        c + t * (v[0] * v[0]), p * v[1] - n * v[2], p * v[2] + n * v[1],
        p * v[1] + n * v[2], c + t * (v[1] * v[1]), t * v[1] * v[2] - n * v[0],
        p * v[2] - n * v[1], t * v[1] * v[2] + n * v[0], c + t * (v[2] * v[2]),
    ]  # fmt: skip


def misset_angles(experiment: Experiment) -> Vec:
    """The original's random orientation as three angles [rad] about x, y, z (docs/random_numbers.md, Random orientation)."""
    _, deviates, _ = legacy_streams(experiment)
    draw = draws(deviates.reshape(1, 3), float32=True)
    u = [float(x[0]) for x in rotation_matrices(draw, _RANDOM_MISSET_SPREAD, True, FLOAT_OPS)]
    for _ in range(2):
        for row in range(0, 9, 3):
            length = math.sqrt(u[row] * u[row] + u[row + 1] * u[row + 1] + u[row + 2] * u[row + 2])
            u[row : row + 3] = [x / length for x in u[row : row + 3]]
    if u[6] * u[6] < 1:
        return (
            math.atan2(u[7], u[8]),
            math.atan2(-u[6], math.sqrt(u[7] * u[7] + u[8] * u[8])),
            math.atan2(u[3], u[0]),
        )
    return (4 * math.atan2(1, 1), 2 * math.atan2(1, 1), math.atan2(u[1], -u[4]))


def seeded(experiment: Experiment, seed: int | None = None) -> Experiment:
    """The experiment with its random orientation decided, if it has one and `misset_seed` is open; else as it is.

    Parameters
    ----------
    experiment : Experiment
        As the user wrote it.
    seed : int, optional
        Which seed; None: the one that the crystal drew, `Crystal.orientation_seed`.

    Returns
    -------
    Experiment
        With the seed in `crystal.misset_seed`, so that it repeats from plain data too.
    """
    crystal = experiment.crystal
    if isinstance(crystal, tuple):  # each keeps what it drew when it was made
        return experiment
    if not isinstance(crystal.misset_deg, str) or crystal.misset_seed is not None:
        return experiment
    return experiment.replace("crystal.misset_seed", crystal.orientation_seed if seed is None else seed)


def uniform_rotation(seed: int | None) -> NDArray[np.float64]:
    """A rotation matrix uniform on the rotation group: a normalized 4-d Gaussian taken as quaternion (x, y, z, w)."""
    x, y, z, w = (q := np.random.Generator(np.random.PCG64(seed)).standard_normal(4)) / np.sqrt(q @ q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
