"""A part of a scene's pixels, for measurements that stand for the whole: time, and what a quirk costs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import available_cores
from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.derivation.scene import Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import Engine, RenderOptions

_SAMPLE_SECONDS = 0.05
_NOMINAL_SECONDS = 5e-8
"""For one evaluation, where a single pixel is too long to be timed."""
_LONGEST_PIXEL = 20_000_000
"""Evaluations of the longest pixel that is timed."""


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


def estimated_seconds(scene: Scene, chosen: Engine) -> float | None:
    """How long an engine will take for a scene, from timing a run of pixels in its middle; None: unknown.

    Parameters
    ----------
    scene : Scene
        A float scene.
    chosen : Engine
        One that does not render float scenes is not timed.
    """
    if not chosen.ops.is_float:
        return None
    if scene.n_pixels == 0:
        return 0.0
    threads = min(chosen.options.n_threads or available_cores(), scene.n_pixels)
    if scene.evaluations_per_pixel > _LONGEST_PIXEL:
        return scene.evaluations * _NOMINAL_SECONDS / threads
    alone = engine(chosen.name, replace(chosen.options, n_threads=1))
    count = 64
    while True:
        count = min(count, scene.n_pixels)
        begin = (scene.n_pixels - count) // 2
        part = subset(scene, np.arange(begin, begin + count, dtype=np.int64))
        start = time.perf_counter()
        alone.photons(part)
        seconds = time.perf_counter() - start
        if seconds > _SAMPLE_SECONDS or count == scene.n_pixels:
            return seconds / count * scene.n_pixels / threads
        count = int(count * max(2.0, min(16.0, 2 * _SAMPLE_SECONDS / max(seconds, 1e-6))))
