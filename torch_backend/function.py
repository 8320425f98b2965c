"""The image as one differentiable operation: `RenderImage`, with its reverse- and forward-mode sweeps.

Every derivative is an operation of its own, with a rule for `torch.func.vmap` (the batch is a loop: blocks already fill the
machine) and a refusal to be differentiated again, so that second derivatives are never silently zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nanobragg.torch_backend.kernels import sweep
from nanobragg.torch_backend.kernels.inputs import NAMES, Inputs, Plan
from nanobragg.torch_backend.kernels.kernel import render
from torch import Tensor
from torch.autograd import Function, forward_ad

from nanobragg.arrays import is_transformed

Progress = Callable[[int, int], object]
AGAIN = (
    "the image can be differentiated once; for second derivatives pass twice_differentiable=True to "
    "nanobragg.simulate, prepare or ExperimentModule (plain autograd, with a tape of the whole sum)"
)


def image_values(
    plan: Plan, inputs: Inputs, twice_differentiable: bool = False, progress: Progress | None = None
) -> Tensor:
    """Photons of the rendered pixels (n_pixels,), differentiable.

    Where a quirk makes pixels depend on what came before, and where second derivatives are asked for, the sum itself is
    recorded by autograd: its memory then grows with the problem.
    """
    if not plan.per_term or twice_differentiable:
        smooth = twice_differentiable or any(_watched(tensor) for tensor in inputs.tensors())
        return render(plan, inputs, smooth=smooth, progress=progress)
    value = RenderImage.apply(plan, progress, *inputs.tensors())
    assert isinstance(value, Tensor)
    return value


def _watched(tensor: Tensor) -> bool:
    """Whether autograd, forward-mode autograd or a transform of `torch.func` follows the tensor."""
    if is_transformed(tensor) or (torch.is_grad_enabled() and tensor.requires_grad):
        return True
    return forward_ad.unpack_dual(tensor).tangent is not None if forward_ad._current_level >= 0 else False


def _each(info: Any, in_dims: tuple[Any, ...], args: tuple[Any, ...], apply: Any) -> tuple[Any, Any]:
    """Apply to every element of the batch and stack the results."""
    results = []
    for b in range(info.batch_size):
        one = [a if d is None else a.select(d, b) for a, d in zip(args, in_dims, strict=True)]
        results.append(apply(*one))
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    stacked = tuple(torch.stack(items) for items in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)


def _ordered(names: frozenset[str]) -> list[str]:
    return [name for name in NAMES if name in names]


class RenderImage(Function):
    """``apply(plan, progress, *Inputs)``: the pixels."""

    @staticmethod
    def forward(plan: Plan, progress: Progress | None, *tensors: Tensor) -> Tensor:
        """See `kernel.render`."""
        return render(plan, Inputs(*tensors), smooth=False, progress=progress)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept but the inputs."""
        ctx.plan = inputs[0]
        ctx.set_materialize_grads(False)  # an input without a tangent does not move
        ctx.save_for_backward(*inputs[2:])
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None) -> tuple[Any, ...]:
        """See `sweep.pull_back`."""
        if cotangent is None:  # nothing depends on the image
            return (None,) * (2 + len(NAMES))
        wanted = frozenset(name for name, need in zip(NAMES, ctx.needs_input_grad[2:], strict=True) if need)
        grads = PullBack.apply(ctx.plan, wanted, cotangent, *ctx.saved_tensors)
        by_name = dict(zip(_ordered(wanted), grads, strict=True))
        return None, None, *(by_name.get(name) for name in NAMES)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """See `sweep.push_forward`."""
        given = frozenset(name for name, t in zip(NAMES, tangents[2:], strict=True) if t is not None)
        moving = [t for t in tangents[2:] if t is not None]
        result = PushForward.apply(ctx.plan, given, *ctx.saved_tensors, *moving)
        assert isinstance(result, Tensor)
        return result

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The batch as a loop."""
        return _each(info, in_dims, args, RenderImage.apply)


class _Derivative(Function):
    """An operation that is itself a derivative and refuses to be differentiated."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        """Refused."""
        raise RuntimeError(AGAIN)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Refused."""
        raise RuntimeError(AGAIN)


class PullBack(_Derivative):
    """``apply(plan, wanted, cotangent, *Inputs)``: the gradients of the inputs named in `wanted`."""

    @staticmethod
    def forward(plan: Plan, wanted: frozenset[str], cotangent: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See `sweep.pull_back`."""
        grads = sweep.pull_back(plan, Inputs(*tensors), cotangent, wanted)
        return tuple(grads[name] for name in _ordered(wanted))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The batch as a loop."""
        return _each(info, in_dims, args, PullBack.apply)


class PushForward(_Derivative):
    """``apply(plan, given, *Inputs, *tangents)``: the tangent of the pixels for the tangents of the inputs in `given`."""

    @staticmethod
    def forward(plan: Plan, given: frozenset[str], *tensors: Tensor) -> Tensor:
        """See `sweep.push_forward`."""
        return _pushed(plan, given, tensors, 0)[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], plan: Plan, given: frozenset[str], *tensors: Tensor) -> Any:
        """Many tangents at one point share the sweep; anything else is a loop."""
        n = len(NAMES)
        dims = in_dims[2:]
        if any(d is not None for d in dims[:n]):
            return _each(info, in_dims, (plan, given, *tensors), PushForward.apply)
        stacked = [
            t.expand(info.batch_size, *t.shape) if d is None else t.movedim(d, 0)
            for t, d in zip(tensors[n:], dims[n:], strict=True)
        ]
        return PushMany.apply(plan, given, *tensors[:n], *stacked), 0


class PushMany(_Derivative):
    """As `PushForward` for tangents with a leading axis: the tangents (K, n_pixels) of the pixels."""

    @staticmethod
    def forward(plan: Plan, given: frozenset[str], *tensors: Tensor) -> Tensor:
        """See `sweep.push_forward`."""
        return _pushed(plan, given, tensors, None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The batch as a loop."""
        return _each(info, in_dims, args, PushMany.apply)


def _pushed(plan: Plan, given: frozenset[str], tensors: tuple[Tensor, ...], lead: int | None) -> Tensor:
    inputs, moving = Inputs(*tensors[: len(NAMES)]), tensors[len(NAMES) :]
    tangents = {name: t if lead is None else t.unsqueeze(0) for name, t in zip(_ordered(given), moving, strict=True)}
    return sweep.push_forward(plan, inputs, tangents)
