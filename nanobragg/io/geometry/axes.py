"""One physical vector in the laboratory frames of several programs (docs/file_formats.md, Geometry files).

The frame of DIALS (imgCIF) is the meeting point: beam along -z, spindle usually +x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FROM_XDS = np.diag([1.0, -1.0, -1.0])
"""Takes a vector of the XDS frame (beam +z) to the DIALS frame; its own inverse."""
FROM_NEXUS = np.diag([-1.0, 1.0, -1.0])
"""McStas (NeXus) and CrystFEL frames (beam +z, y up); its own inverse."""
FROM_MOSFLM = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""MOSFLM frame (beam +x, spindle +z)."""


def unit(vector: Any) -> Array:
    """A vector in its direction, of length 1.

    Raises
    ------
    ValueError
        When it has no direction.
    """
    array = np.array(vector, dtype=np.float64)
    length = float(np.linalg.norm(array)) if array.shape == (3,) else 0.0
    if not 0 < length < np.inf:
        raise ValueError(f"{vector} is no direction")
    return np.asarray(array / length)


def rotation(axis: Array, degrees: float) -> Array:
    """Right-handed rotation matrix about an axis (Rodrigues' formula)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def turning(start: Array, end: Array) -> Array:
    """The smallest rotation that turns one unit vector into another; the identity when they are equal."""
    axis = np.cross(start, end)
    sine, cosine = float(np.linalg.norm(axis)), float(start @ end)
    if sine < 1e-15:
        return np.eye(3) if cosine > 0 else rotation(np.array([1.0, 0.0, 0.0]), 180.0)
    return rotation(axis, float(np.degrees(np.arctan2(sine, cosine))))
