"""Another engine's sum under autograd: an engine that takes Scenes of plain arrays on the CPU and has derivatives."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nanobragg.arrays import is_transformed, read_only
from nanobragg.derivation.scene import CONTINUOUS, Scene
from nanobragg.engines.engine import Engine, Progress

_FEW = 64


def continuous(scene: Scene) -> tuple[Tensor, ...]:
    """The tensors of a Scene that its image is a function of, in the order of `CONTINUOUS`."""
    return tuple(getattr(scene, name) for name in CONTINUOUS)


def discrete(scene: Scene) -> Scene:
    """A Scene of plain arrays with everything discrete of a Scene, and with ones for the rest.

    Tensors may be those of a transform, which have no values to be had here.
    """
    ones: dict[str, Any] = {
        name: _ones(tuple(np.shape(getattr(scene, name)))) for name in CONTINUOUS if name != "f_table"
    }
    n = 4 if 0 not in np.shape(scene.f_table) else 0
    table = _ones((n * scene.n_tables, n, n))
    first = None if scene.orientations_first_pass is None else ones["orientations"]
    return replace(
        scene, **ones, f_table=table, orientations_first_pass=first, a_star=_ones((3, 3)), d_min=float(scene.d_min)
    )


def _ones(shape: tuple[int, ...]) -> np.ndarray:
    return _few_ones(shape) if math.prod(shape) <= _FEW else np.ones(shape)


@lru_cache(64)
def _few_ones(shape: tuple[int, ...]) -> np.ndarray:
    return read_only(np.ones(shape), np.float64)


class CoreSum:
    """The sum of a Scene by an engine, as a `nanobragg.torch_backend.memory.Sum` of its continuous fields."""

    names = CONTINUOUS

    def __init__(self, engine: Engine, scene: Scene) -> None:
        self._engine, self._scene = engine, discrete(scene)
        self._key: tuple[Any, ...] = ()
        self._last = self._scene

    def obstacle(self, tensors: tuple[Tensor, ...]) -> str | None:
        """Why the engine has no derivatives at these tensors, which may be those of a transform, or arrays; None: it has."""
        open_ = all(isinstance(tensor, Tensor) and not is_transformed(tensor) for tensor in tensors)
        return self._engine.derivative_obstacle(self._at(tensors) if open_ else self._scene)

    def photons(self, tensors: tuple[Tensor, ...], progress: Progress | None) -> Tensor:
        """See `Engine.photons`."""
        return torch.from_numpy(self._engine.photons(self._at(tensors), progress=progress))

    def pull_back(self, tensors: tuple[Tensor, ...], cotangent: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
        """See `Engine.pull_back`."""
        grads = self._engine.pull_back(self._at(tensors), _plain(cotangent), wanted)
        like = dict(zip(self.names, tensors, strict=True))
        return {name: torch.from_numpy(grad).to(like[name]) for name, grad in grads.items()}

    def push_forward(self, tensors: tuple[Tensor, ...], tangents: dict[str, Tensor]) -> Tensor:
        """See `Engine.push_forward`."""
        directions = {name: _plain(tangent) for name, tangent in tangents.items()}
        return torch.from_numpy(self._engine.push_forward(self._at(tensors), directions))

    def _at(self, tensors: tuple[Tensor, ...]) -> Scene:
        """The Scene at these values: the same one as long as they are, so that it is checked once."""
        key = tuple((t.data_ptr(), t._version, t.dtype) for t in tensors)
        if key != self._key:
            values: dict[str, Any] = {name: _plain(t) for name, t in zip(self.names, tensors, strict=True)}
            self._key, self._last = key, replace(self._scene, **values)
        return self._last


def _plain(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(device="cpu", dtype=torch.float64).contiguous().numpy()
