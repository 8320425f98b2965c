"""Diffuse scattering by the C core, block by block, and how images take it in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core
from nanobragg.arrays import available_cores, is_tensor
from nanobragg.derivation.crystals.diffuse.scene import DiffuseScene, diffuse_scene
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.scene import Scene
from nanobragg.engines.cores import core_of
from nanobragg.engines.engine import Engine
from nanobragg.engines.threads import in_order

_EVALUATIONS = 1 << 21
"""of a block, some milliseconds by vectors"""
_LEAST_BLOCK = 64


def with_diffuse(engine: Engine, image: Any, decided: Decided, scene: Scene) -> Any:
    """The image of the spots with the diffuse scattering of the same crystal; an array is added to in place."""
    found = diffuse_scene(decided, scene, engine.ops)
    if found is None:
        return image
    more = engine.diffuse(found)
    if is_tensor(image):
        return image + more
    image += more
    return image


def by_core(
    found: DiffuseScene, kernel: str, n_threads: int | None, cancel: Callable[[], bool] | None
) -> NDArray[np.float64]:
    """Expected photons of the rendered pixels, shape (n_pixels,)."""
    core = core_of(found.scene)
    table, first = _with_border(found) if found.map is None else (found.map, found.map_first)
    diffuse = _core.CoreDiffuse(core, found, table, first)
    photons, flag = np.zeros(core.n_pixels), _core.CancelFlag()
    chosen = kernel if kernel in _core.available_kernels else _core.available_kernels[-1]
    block = max(_LEAST_BLOCK, _EVALUATIONS // found.evaluations_per_pixel)

    def part(begin: int) -> None:
        end = min(begin + block, core.n_pixels)
        diffuse.add(begin, end, photons[begin:end], flag, chosen)

    for _ in in_order(part, range(0, core.n_pixels, block), n_threads or available_cores(), flag, cancel):
        pass
    return photons


def _with_border(found: DiffuseScene) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """F^2 with a border of that of all other indices, and the indices of its first value."""
    outside = found.scene.default_F * found.scene.default_F
    if not found.squares.size:
        return np.full((1, 1, 1), outside), (0, 0, 0)
    h, k, m = found.scene.hkl_min
    return np.pad(found.squares, 1, constant_values=outside), (h - 1, k - 1, m - 1)
