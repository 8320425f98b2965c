"""Rotations: uniform orientations, small turns, and the angles that an experiment keeps of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached

Array = NDArray[np.float64]


def uniform_turn(deviates: Array) -> Array:
    """A rotation matrix, uniform on the rotation group, from three uniform deviates (Shoemake, Graphics Gems III (1992) 124)."""
    u, v, w = deviates
    a, b = math.sqrt(1 - u), math.sqrt(u)
    x, y = a * math.sin(2 * math.pi * v), a * math.cos(2 * math.pi * v)
    z, q = b * math.sin(2 * math.pi * w), b * math.cos(2 * math.pi * w)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * q), 2 * (x * z + y * q)],
            [2 * (x * y + z * q), 1 - 2 * (x * x + z * z), 2 * (y * z - x * q)],
            [2 * (x * z - y * q), 2 * (y * z + x * q), 1 - 2 * (x * x + y * y)],
        ]
    )


def turn(vector: Array) -> Array:
    """The rotation matrix of a rotation vector [rad]."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * (k @ k))


def of_misset(misset_deg: Any) -> Array:
    """The rotation matrix of `crystal.misset_deg`: about lab x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = (f(np.radians([detached(angle) for angle in misset_deg])) for f in (np.sin, np.cos))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def misset(matrix: Array) -> tuple[float, float, float]:
    """The angles of `of_misset` [degrees]."""
    m = matrix
    across = math.hypot(m[2, 1], m[2, 2])
    if across > 1e-12:
        angles = (math.atan2(m[2, 1], m[2, 2]), math.atan2(-m[2, 0], across), math.atan2(m[1, 0], m[0, 0]))
    else:  # about y by a right angle: the other two turn about one axis
        angles = (math.atan2(-m[1, 2], m[1, 1]), math.atan2(-m[2, 0], across), 0.0)
    return (math.degrees(angles[0]), math.degrees(angles[1]), math.degrees(angles[2]))


def tilted(vector: Array, by: Array) -> Array:
    """A unit vector tilted by two small angles [rad] about axes across it."""
    v = vector / np.linalg.norm(vector)
    first = np.cross(v, np.eye(3)[int(np.argmin(np.abs(v)))])
    first /= np.linalg.norm(first)
    second = np.cross(v, first)
    return np.asarray(turn(by[0] * first + by[1] * second) @ v)
