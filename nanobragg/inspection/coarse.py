"""A part of a scene's pixels, for measurements that stand for the whole: what a quirk costs, time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.derivation.scene import Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions


def subset(scene: Scene, positions: NDArray[np.int64]) -> Scene:
    """The scene with some of its rendered pixels only, each with the value that it has in the whole.

    Parameters
    ----------
    positions : ndarray of int64
        Indices in ``scene.pixels``, ascending.
    """

    def moved(place: tuple[int, int]) -> tuple[int, int]:
        """The same moment, counted in the pixels that are left; the start of the next one if its pixel is not."""
        index = int(np.searchsorted(positions, place[0]))
        kept = index < len(positions) and positions[index] == place[0]
        return (index, place[1]) if kept else (index, 0)

    first = moved(scene.first_pass)
    here = scene.first_pass[0] in positions
    return replace(
        scene, pixels=scene.pixels[positions], first_pass=first, interpolation_off=moved(scene.interpolation_off),
        orientations_first_pass=scene.orientations_first_pass if here else None,
    )  # fmt: skip


def grid(scene: Scene, most: int) -> NDArray[np.int64]:
    """Positions of at most so many rendered pixels, on a regular grid over the detector."""
    step = max(1, int(np.ceil(np.sqrt(scene.n_pixels / max(1, most)))))
    slow, fast = scene.pixels // scene.n_fast, scene.pixels % scene.n_fast
    chosen = np.flatnonzero(((slow - slow.min()) % step == 0) & ((fast - fast.min()) % step == 0))
    return chosen[:most].astype(np.int64)


def values(scene: Scene) -> NDArray[np.float64]:
    """The rendered pixels of a scene, in the order of ``scene.pixels``, by the scalar kernel."""
    return engine(DEFAULT_BACKEND, RenderOptions(kernel="scalar")).photons(scene)
