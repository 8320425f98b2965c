"""Another engine's sum under autograd: an engine that takes Scenes of plain arrays on the CPU and has derivatives.

Where a few structure factors of a table are wanted, the gradient of the table is sparse on its way to them (`Placed`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

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
        self._entries = wanted_entries(scene.f_table)
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
        weights = cotangent.detach().to(device="cpu", dtype=torch.float64).numpy()
        grads = self._engine.pull_back(self._at(tensors), weights, wanted, entries=self._entries)
        like = dict(zip(self.names, tensors, strict=True))
        found = {name: torch.from_numpy(grad).to(like[name]) for name, grad in grads.items()}
        if self._entries is not None and "f_table" in found:
            found["f_table"] = _sparse(found["f_table"], self._entries, like["f_table"].shape)
        return found

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


def with_entries(table: Tensor, entries: np.ndarray, values: Tensor) -> Tensor:
    """A table with other values at some places, which ascend in the flattened table."""
    places = torch.from_numpy(entries).to(table.device)
    if is_transformed(table) or is_transformed(values) or table.requires_grad:
        return table.reshape(-1).index_put((places,), values.to(table)).reshape(table.shape)
    placed: Tensor = Placed.apply(table, entries, values)
    return placed


def wanted_entries(table: Any) -> np.ndarray | None:
    """The places of the values whose gradient alone goes on from a table made by `with_entries`; None: it goes to all."""
    if not isinstance(table, Tensor) or is_transformed(table):
        return None
    return getattr(table.grad_fn, "wanted_entries", None)


class Placed(Function):
    """``apply(table, entries, values)``: see `with_entries`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, entries: np.ndarray, values: Tensor) -> Tensor:
        """A copy of the table with these values."""
        ctx.wanted_entries, ctx.like = entries, values.detach()[:0]
        placed = table.clone(memory_format=torch.contiguous_format)
        placed.view(-1)[torch.from_numpy(entries).to(table.device)] = values.to(table)
        return placed

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        """What the places get; a sparse cotangent holds no others (`CoreSum.pull_back`)."""
        entries = ctx.wanted_entries
        if cotangent.is_sparse:
            few = cotangent.coalesce()
            places = np.ravel_multi_index(tuple(few.indices().numpy()), tuple(few.shape))
            if np.array_equal(places, entries):
                return None, None, few.values().to(ctx.like)
            cotangent = few.to_dense()
        return None, None, cotangent.reshape(-1)[torch.from_numpy(entries).to(cotangent.device)].to(ctx.like)


def _sparse(values: Tensor, entries: np.ndarray, shape: torch.Size) -> Tensor:
    indices = torch.from_numpy(np.stack(np.unravel_index(entries, tuple(shape))))
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=False, is_coalesced=True)
