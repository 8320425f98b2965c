"""Diffuse scattering by the C core, block by block, and how images take it in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
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
_LEAST_PART, _MOST_PARTS = 1 << 14, 16
"""Points, and parts of which each has a gradient of the table for itself."""


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


class DiffuseSums:
    """The sum over reflections at given indices, on threads; the bits do not depend on how many.

    Parameters
    ----------
    found : DiffuseScene
        Its stencil, turns and weights; no map.
    forms : (n_forms, 2, 6)
    table : (n_h, n_k, n_l)
        F^2 with a border.
    """

    def __init__(
        self, found: DiffuseScene, forms: NDArray[np.float64], table: NDArray[np.float64], n_threads: int | None
    ) -> None:
        h, k, m = (low - 1 for low in found.scene.hkl_min)
        self._core = _core.CoreDiffuse(None, replace(found, forms=forms, strength=0.0), table, (h, k, m))
        self._sizes, self._n_threads = (forms.size, table.size), n_threads or available_cores()

    def at(self, hkl: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums (n,) at the indices (3, n)."""
        out, kernel = np.empty(hkl.shape[1]), _core.available_kernels[-1]

        def part(points: slice) -> None:
            self._core.at(np.ascontiguousarray(hkl[:, points]), out[points], kernel)

        for _ in self._parts(part, hkl.shape[1]):
            pass
        return out

    def pull_back(
        self, hkl: NDArray[np.float64], cotangent: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Gradients by the indices (3, n), the forms and the table, both flat, of the sum of cotangent (n,) times `at`."""
        by_hkl, by_forms, by_table = np.empty(hkl.shape), np.zeros(self._sizes[0]), np.zeros(self._sizes[1])

        def part(points: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            own, forms, table = (
                np.empty((3, len(cotangent[points]))),
                np.zeros(self._sizes[0]),
                np.zeros(self._sizes[1]),
            )
            self._core.pull_back(np.ascontiguousarray(hkl[:, points]), cotangent[points], own, forms, table)
            by_hkl[:, points] = own
            return forms, table

        for forms, table in self._parts(part, hkl.shape[1]):
            by_forms += forms
            by_table += table
        return by_hkl, by_forms, by_table

    def _parts(self, part: Callable[[slice], Any], n: int) -> Iterator[Any]:
        size = max(_LEAST_PART, -(-n // _MOST_PARTS))
        slices = [slice(begin, min(begin + size, n)) for begin in range(0, n, size)]
        return in_order(part, slices, self._n_threads, _core.CancelFlag())


def _with_border(found: DiffuseScene) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """F^2 with a border of that of all other indices, and the indices of its first value."""
    outside = found.scene.default_F * found.scene.default_F
    if not found.squares.size:
        return np.full((1, 1, 1), outside), (0, 0, 0)
    h, k, m = found.scene.hkl_min
    return np.pad(found.squares, 1, constant_values=outside), (h - 1, k - 1, m - 1)
