"""The kernels of this room, which differ in how they work on a block of evaluations, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nanobragg.torch_backend.kernels import fused, lattice, phase
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan
from nanobragg.torch_backend.kernels.lattice import Slopes
from nanobragg.torch_backend.kernels.lookup import Interpolate, Lookup, look_up, look_up_slopes
from torch import Tensor


class Evaluations(Protocol):
    """A kernel: blocks of evaluations for cells (n_axes, o, 3) and scattering vectors (3, m)."""

    def total(
        self, plan: Plan, inputs: Inputs, some: slice, cells: Tensor, vectors: Tensor, interpolate: Interpolate
    ) -> Tensor:
        """F_cell^2 times the form, summed over the orientations `some`, whose cells these are (m,)."""

    def derivatives(self, plan: Plan, inputs: Inputs, cells: Tensor, vectors: Tensor) -> tuple[Slopes, Lookup, Tensor]:
        """The form and the structure factors with their slopes, and the offsets (n_axes, o, m)."""


@dataclass(frozen=True)
class Eager:
    """Plain torch: every plan, and what traces and second derivatives need."""

    smooth: bool = False
    """expressions that autograd can differentiate"""
    show: Callable[[Tensor, Tensor, Tensor, Lookup], None] | None = None
    """receives offset, nearest index, form and structure factors of every block, which are overwritten afterwards"""

    def total(
        self, plan: Plan, inputs: Inputs, some: slice, cells: Tensor, vectors: Tensor, interpolate: Interpolate
    ) -> Tensor:
        """See `Evaluations.total`."""
        return self.terms(plan, inputs, some, cells, vectors, interpolate).sum(0)

    def terms(
        self, plan: Plan, inputs: Inputs, some: slice, cells: Tensor, vectors: Tensor, interpolate: Interpolate
    ) -> Tensor:
        """F_cell^2 times the form, and the weights of the domains (o, m)."""
        offset, nearest = phase.offsets(cells, vectors, plan.scales, plan.dtype)
        lookup = look_up(plan, inputs.table, nearest, offset, interpolate)
        form = lattice.form(plan, inputs, offset, self.smooth)
        if self.show is not None:
            self.show(offset, nearest, form, lookup)
        terms = form * lookup.squared if self.smooth else form.mul_(lookup.squared)
        return terms * inputs.domains[some].to(terms.dtype) if len(inputs.domains) else terms

    def form(self, plan: Plan, inputs: Inputs, cells: Tensor, vectors: Tensor) -> Tensor:
        """The form alone (o, m), without autograd."""
        offset, _ = phase.offsets(cells, vectors, plan.scales, plan.dtype)
        return lattice.form(plan, inputs, offset, self.smooth).detach()

    def derivatives(self, plan: Plan, inputs: Inputs, cells: Tensor, vectors: Tensor) -> tuple[Slopes, Lookup, Tensor]:
        """See `Evaluations.derivatives`."""
        offset, nearest = phase.offsets(cells, vectors, plan.scales, plan.dtype)
        lookup = look_up_slopes(plan, inputs.table, nearest, offset)
        return lattice.slopes(plan, inputs, offset), lookup, offset


def evaluations(kernel: str, plan: Plan) -> Evaluations:
    """The kernel of that name where it serves the plan, else plain torch."""
    return fused.Compiled() if kernel == "compiled" and fused.serves(plan) else Eager()
