"""The derivation for autograd: run once in plain numbers with their derivatives, it is one operation of torch.

A few hundred operations of torch on single numbers cost more than a small image does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import is_dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from nanobragg.torch_backend.dual import DUAL_OPS, Dual
from nanobragg.torch_backend.ops import TORCH_OPS
from torch import Tensor
from torch.autograd import Function, forward_ad

from nanobragg.arrays import is_transformed
from nanobragg.config import Crystal
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import Derivation, derivation
from nanobragg.derivation.scene import CONTINUOUS, Scene
from nanobragg.derivation.vectors import FLOAT_OPS

_PLAIN = frozenset({float, int, bool, str, type(None), np.ndarray, slice, frozenset})
"""What holds no tensor: the most of an experiment, which is walked through for every image."""
_MOST_PARAMETERS = 64
_MOST_BYTES = 64 << 20
# of all derivatives together; beyond either limit autograd goes backwards through the operations of the derivation


def derived(decided: Decided, *, roi: Any = None, twice_differentiable: bool = False) -> Derivation:
    """As `nanobragg.derivation.derive.derivation`, with a Scene of tensors that keep their gradient.

    Parameters
    ----------
    decided : Decided
    roi : tuple of slice, optional
        See `derive`.
    twice_differentiable : bool
        Every operation is one of torch. It is so too under quirks, in transforms, and with many parameters.
    """
    tensors = list(tensors_of(decided.experiment))
    parameters = {id(t): t for t in tensors if t.ndim < 3 and t.requires_grad} if torch.is_grad_enabled() else {}
    count = sum(t.numel() for t in parameters.values())
    if (
        twice_differentiable
        or decided.experiment.quirks
        or forward_ad._current_level >= 0
        or any(is_transformed(t) for t in tensors)
        or _beyond_numbers(decided.experiment.crystal)
        or count > _MOST_PARAMETERS
        or count * _orientation_bytes(decided) > _MOST_BYTES
    ):
        return derivation(decided, TORCH_OPS, roi=roi)
    ends = accumulate(t.numel() for t in parameters.values())
    unity = np.eye(count)
    moving = {
        name: Dual(FLOAT_OPS.lift(t), unity[end - t.numel() : end].reshape(*t.shape, count))
        for (name, t), end in zip(parameters.items(), ends, strict=True)
    }
    experiment = decided.experiment
    if moving:
        experiment = _mapped(experiment, lambda tensor: moving.get(id(tensor), tensor))
    found = derivation(decided.carried(experiment, _still(decided, moving)), DUAL_OPS, roi=roi)
    scene = _with_tensors(found.scene, tuple(parameters.values()))
    return replace(found, decided=decided, scene=scene, scenes=(scene,))


def _still(decided: Decided, moving: Collection[int]) -> set[str]:
    """What of a decided experiment is the same for its numbers and for the moving ones, whose tensors have these ids."""
    one = decided.experiment
    causes = {"placement": (one.beam, one.detector, one.detector_pose, one.goniometer), "cell": (one.crystal,)}
    return {name for name, parts in causes.items() if not any(id(tensor) in moving for tensor in tensors_of(parts))}


def _beyond_numbers(crystal: Crystal) -> bool:
    """Whether large arrays depend on the parameters: rotations that have gradients, a table times displacements; or several
    scenes do."""
    given = isinstance(crystal.mosaic.rotations, Tensor) and crystal.mosaic.rotations.requires_grad
    return given or crystal.displaced or crystal.sizes.vary


def tensors_of(node: Any) -> Iterator[Tensor]:
    """All tensors in a config object."""
    for value in node if isinstance(node, tuple | list) else vars(node).values():
        if type(value) in _PLAIN:
            continue
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list) or is_dataclass(value):
            yield from tensors_of(value)


def _mapped(node: Any, change: Callable[[Tensor], Any]) -> Any:
    """A config object with its tensors changed; it was checked when it was built, and is not checked again."""
    if type(node) in _PLAIN:
        return node
    if isinstance(node, Tensor):
        return change(node)
    if isinstance(node, tuple | list):
        return type(node)([_mapped(item, change) for item in node])
    if not is_dataclass(node):
        return node
    other = object.__new__(type(node))
    vars(other).update({name: _mapped(value, change) for name, value in vars(node).items()})
    return other


def _orientation_bytes(decided: Decided) -> int:
    experiment = decided.experiment
    return 72 * (experiment.crystal.mosaic.n_domains or 1) * (experiment.goniometer.n_steps or 1)


def _with_tensors(scene: Scene, parameters: tuple[Tensor, ...]) -> Scene:
    """A Scene of numbers as one of tensors, which are functions of the parameters."""
    values = {name: getattr(scene, name) for name in (*CONTINUOUS, "a_star", "d_min")}
    moving = {name: value for name, value in values.items() if isinstance(value, Dual) and name in CONTINUOUS}
    tensors: dict[str, Any] = {
        name: TORCH_OPS.lift(value.value if isinstance(value, Dual) else value) for name, value in values.items()
    }
    if moving:
        columns = {name: torch.from_numpy(v.slope.reshape(-1, v.slope.shape[-1])) for name, v in moving.items()}
        moved = DeriveScene.apply(columns, *(tensors[name] for name in moving), *parameters)
        tensors.update(zip(moving, moved, strict=True))
    return replace(scene, **tensors)


def moved_by(scene: Scene) -> tuple[dict[str, Tensor], tuple[Tensor, ...]] | None:
    """The derivatives (K, *shape) of fields of a Scene, by name, and the parameters whose K elements they are by.

    None where `derived` has left it to autograd to record the derivation, and where nothing moves.
    """
    moving = [tensor for name in CONTINUOUS if (tensor := getattr(scene, name)).requires_grad]
    nodes = {tensor.grad_fn for tensor in moving}
    columns = getattr(moving[0].grad_fn, "columns", None) if len(nodes) == 1 else None
    if columns is None:
        return None
    found = {name: column.T.reshape(-1, *getattr(scene, name).shape) for name, column in columns.items()}
    return found, moving[0].grad_fn.parameters


class DeriveScene(Function):
    """``apply(columns, *values, *parameters)``: the values, as functions of the parameters.

    `columns` holds, for each of the values by name, its derivatives (size, K) by the elements of all parameters.
    """

    @staticmethod
    def forward(ctx: Any, columns: dict[str, Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
        """The values as they are."""
        ctx.columns, ctx.parameters = columns, tensors[len(columns) :]
        ctx.set_materialize_grads(False)
        return tuple(value.clone() for value in tensors[: len(columns)])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """The transposed derivatives times the cotangents."""
        columns = list(ctx.columns.values())
        total = torch.zeros(columns[0].shape[1], dtype=torch.float64)
        for column, cotangent in zip(columns, cotangents, strict=True):
            if cotangent is not None:
                total = total + cotangent.reshape(-1) @ column
        parts = total.split([t.numel() for t in ctx.parameters])
        grads = [part.reshape(t.shape).to(t) for part, t in zip(parts, ctx.parameters, strict=True)]
        return None, *(None for _ in columns), *grads
