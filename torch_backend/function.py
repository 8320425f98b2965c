"""The image as one differentiable operation: `RenderImage`, with its reverse- and forward-mode sweeps.

What is rendered is a `Sum`: that of this room by one of its kernels, or that of an engine which this room wraps (`core`).

Every derivative is an operation of its own, with a rule for `torch.func.vmap` (the batch is a loop: blocks already fill the
machine) and a refusal to be differentiated again, so that second derivatives are never silently zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from nanobragg.torch_backend.kernels import sweep
from nanobragg.torch_backend.kernels.evaluations import Eager, Evaluations
from nanobragg.torch_backend.kernels.inputs import NAMES, Inputs, Plan
from nanobragg.torch_backend.kernels.kernel import render
from nanobragg.torch_backend.memory import Fitting, Sum
from torch import Tensor
from torch.autograd import Function, forward_ad

from nanobragg.arrays import is_transformed
from nanobragg.engines.engine import Progress

AGAIN = (
    "the image can be differentiated once; for second derivatives pass twice_differentiable=True to "
    "nanobragg.simulate, prepare or ExperimentModule (plain autograd, with a tape of the whole sum)"
)


@dataclass(frozen=True)
class TorchSum:
    """The sum of this room by one of its kernels."""

    plan: Plan
    kernel: Evaluations
    n_threads: int | None = None
    """of torch while it sums and differentiates; None: its own"""
    names = NAMES

    def photons(self, tensors: tuple[Tensor, ...], progress: Progress | None) -> Tensor:
        """See `kernel.render`."""
        with at_most(self.n_threads):
            return render(self.plan, Inputs(*tensors), self.kernel, progress)

    def pull_back(self, tensors: tuple[Tensor, ...], cotangent: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
        """See `sweep.pull_back`."""
        with at_most(self.n_threads):
            return sweep.pull_back(self.plan, Inputs(*tensors), self.kernel, cotangent, wanted)

    def push_forward(self, tensors: tuple[Tensor, ...], tangents: dict[str, Tensor]) -> Tensor:
        """See `sweep.push_forward`."""
        with at_most(self.n_threads):
            return sweep.push_forward(self.plan, Inputs(*tensors), self.kernel, tangents)


@contextlib.contextmanager
def at_most(n: int | None) -> Iterator[None]:
    """No more than n of torch's threads, which are restored afterwards."""
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(min(n, before))
    try:
        yield
    finally:
        if n is not None:
            torch.set_num_threads(before)


def image_values(
    plan: Plan,
    inputs: Inputs,
    kernel: Evaluations,
    twice_differentiable: bool = False,
    progress: Progress | None = None,
    n_threads: int | None = None,
    budget: int = 0,
) -> Tensor:
    """Photons of the rendered pixels (n_pixels,), differentiable; `budget` is that behind ``plan.block``, for messages.

    Where a quirk makes pixels depend on what came before, and where second derivatives are asked for, the sum itself is
    recorded by autograd: its memory then grows with the problem.
    """
    if not plan.per_term or twice_differentiable:
        if twice_differentiable or any(watched(tensor) for tensor in inputs.tensors()):
            kernel = Eager(smooth=True)
        return render(plan, inputs, kernel, progress)
    whole = Fitting(TorchSum(plan, kernel, n_threads), inputs.scale.device, budget)
    return differentiable(whole, inputs.tensors(), progress)


def differentiable(of: Sum, tensors: tuple[Tensor, ...], progress: Progress | None = None) -> Tensor:
    """The pixels (n_pixels,) of a sum as a function of its tensors that autograd can differentiate once."""
    value = RenderImage.apply(of, progress, *tensors)
    assert isinstance(value, Tensor)
    return value


def watched(tensor: Tensor) -> bool:
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


def _ordered(of: Sum, names: frozenset[str]) -> list[str]:
    return [name for name in of.names if name in names]


class RenderImage(Function):
    """``apply(sum, progress, *tensors)``: the pixels."""

    @staticmethod
    def forward(of: Sum, progress: Progress | None, *tensors: Tensor) -> Tensor:
        """See `Sum.photons`."""
        return of.photons(tensors, progress)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept but the inputs."""
        ctx.of = inputs[0]
        ctx.set_materialize_grads(False)  # an input without a tangent does not move
        ctx.save_for_backward(*inputs[2:])
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None) -> tuple[Any, ...]:
        """See `Sum.pull_back`."""
        names = ctx.of.names
        if cotangent is None:  # nothing depends on the image
            return (None,) * (2 + len(names))
        wanted = frozenset(name for name, need in zip(names, ctx.needs_input_grad[2:], strict=True) if need)
        grads = PullBack.apply(ctx.of, wanted, cotangent, *ctx.saved_tensors)
        by_name = dict(zip(_ordered(ctx.of, wanted), grads, strict=True))
        return None, None, *(by_name.get(name) for name in names)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """See `Sum.push_forward`."""
        given = frozenset(name for name, t in zip(ctx.of.names, tangents[2:], strict=True) if t is not None)
        moving = [t for t in tangents[2:] if t is not None]
        result = PushForward.apply(ctx.of, given, *ctx.saved_tensors, *moving)
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
    """``apply(sum, wanted, cotangent, *tensors)``: the gradients of the tensors named in `wanted`."""

    @staticmethod
    def forward(of: Sum, wanted: frozenset[str], cotangent: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """See `Sum.pull_back`."""
        grads = of.pull_back(tensors, cotangent, wanted)
        return tuple(grads[name] for name in _ordered(of, wanted))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The batch as a loop."""
        return _each(info, in_dims, args, PullBack.apply)


class PushForward(_Derivative):
    """``apply(sum, given, *tensors, *tangents)``: the tangent of the pixels for the tangents of the tensors in `given`."""

    @staticmethod
    def forward(of: Sum, given: frozenset[str], *tensors: Tensor) -> Tensor:
        """See `Sum.push_forward`."""
        return _pushed(of, given, tensors, 0)[0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], of: Sum, given: frozenset[str], *tensors: Tensor) -> Any:
        """Many tangents at one point share the sweep; anything else is a loop."""
        n = len(of.names)
        dims = in_dims[2:]
        if any(d is not None for d in dims[:n]):
            return _each(info, in_dims, (of, given, *tensors), PushForward.apply)
        stacked = [
            t.expand(info.batch_size, *t.shape) if d is None else t.movedim(d, 0)
            for t, d in zip(tensors[n:], dims[n:], strict=True)
        ]
        return PushMany.apply(of, given, *tensors[:n], *stacked), 0


class PushMany(_Derivative):
    """As `PushForward` for tangents with a leading axis: the tangents (K, n_pixels) of the pixels."""

    @staticmethod
    def forward(of: Sum, given: frozenset[str], *tensors: Tensor) -> Tensor:
        """See `Sum.push_forward`."""
        return _pushed(of, given, tensors, None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The batch as a loop."""
        return _each(info, in_dims, args, PushMany.apply)


def _pushed(of: Sum, given: frozenset[str], tensors: tuple[Tensor, ...], lead: int | None) -> Tensor:
    point, moving = tensors[: len(of.names)], tensors[len(of.names) :]
    tangents = {
        name: t if lead is None else t.unsqueeze(0) for name, t in zip(_ordered(of, given), moving, strict=True)
    }
    return of.push_forward(point, tangents)
