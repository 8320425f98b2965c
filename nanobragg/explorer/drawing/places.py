"""Where the pixels of a panel stand about the sample, flat or bent, and how far their rays are scattered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import Scene

Array = NDArray[np.float64]


def positions(scene: Scene, fast: Array, slow: Array) -> Array:
    """Places of a panel about the sample [m], front of the sensor.

    Parameters
    ----------
    scene : Scene
        Of the panel.
    fast, slow : (...) array
        Pixels from the outer corner: the center of a pixel is at .5.

    Returns
    -------
    (..., 3) array
    """
    edges = np.asarray(scene.pixel_size, np.float64)
    along_fast, along_slow = (np.asarray(v, np.float64) for v in (scene.fast, scene.slow))
    flat = (
        np.asarray(scene.pix0, np.float64)
        + (np.asarray(fast, np.float64) * edges[0])[..., None] * along_fast
        + (np.asarray(slow, np.float64) * edges[1])[..., None] * along_slow
    )
    return _bent(scene, flat, along_fast, along_slow) if scene.curved else flat


def _bent(scene: Scene, flat: Array, fast: Array, slow: Array) -> Array:
    """On the sphere about the sample: offsets from where the beam meets it are arcs (docs/model.md, Pixel positions)."""
    beam, distance = np.asarray(scene.beam, np.float64), float(scene.distance)
    if Quirk.CURVED_DET_AXES in scene.quirks:
        about_slow, about_fast = flat[..., 1] / distance, flat[..., 2] / distance
    else:
        offset = flat - distance * beam
        sign = 1.0 if np.cross(slow, beam) @ fast > 0 else -1.0
        about_slow, about_fast = sign * (offset @ fast) / distance, -sign * (offset @ slow) / distance
    return _rotated(_rotated(distance * beam, slow, about_slow), fast, about_fast)


def _rotated(vector: Array, axis: Array, angle: Array) -> Array:
    """Vectors turned about a unit vector by angles [rad] (Rodrigues' formula)."""
    cosine, sine = np.cos(angle)[..., None], np.sin(angle)[..., None]
    along = (vector @ axis)[..., None] * axis * (1 - cosine)
    return np.asarray(vector * cosine + np.cross(axis, vector) * sine + along)


def mean_beam(scene: Scene) -> tuple[float, Array]:
    """Wavelength [m] and unit vector along the beam, of all sources by their weights."""
    share = np.asarray(scene.weight, np.float64) / np.sum(scene.weight)
    incident = share @ np.asarray(scene.incident, np.float64)
    return float(share @ scene.wavelength), incident / np.linalg.norm(incident)


def angles(scene: Scene, fast: Array, slow: Array) -> Array:
    """Angles 2 theta between the beam and the rays to places of a panel [rad]; parameters as `positions`."""
    ray = positions(scene, fast, slow)
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    _, beam = mean_beam(scene)
    # exact also near 0, where an arccosine is not
    return np.asarray(2 * np.arctan2(np.linalg.norm(ray - beam, axis=-1), np.linalg.norm(ray + beam, axis=-1)))
