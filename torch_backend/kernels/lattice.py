"""Squared lattice factors of the crystal shapes and their slopes, from the offset to the nearest lattice point.

With f the offsets (h - h0, k - k0, l - l0), the form is

    square   product of sin^2(pi N f)/sin^2(pi f) over the axes with N > 1        (F_latt^2 itself)
    others   a function of y = fudge |spot f|^2, in `shapes`; the height (Na Nb Nc)^2 is in `Inputs.scale`

Reference: docs/model.md; docs/quirks.md, SINCG_ROUNDOFF is not reproduced here, in any fidelity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from nanobragg.torch_backend.kernels.algebra import dot
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan
from nanobragg.torch_backend.kernels.shapes import RADIAL
from torch import Tensor

from nanobragg.derivation.scene import Shape

_TINY = {torch.float64: 1e-200, torch.float32: 1e-30}
"""added to every phase: it replaces 0 alone, where the grating function then has its limit N"""
_NEAR = {torch.float64: 1e-5, torch.float32: 1e-2}
"""N x below which the slope of the grating function is taken as proportional to x (error: its square)"""


@dataclass(frozen=True)
class Slopes:
    """The form and its derivatives for a block of evaluations."""

    form: Tensor
    """(o, m)"""
    offset: Tensor
    """(n_axes, o, m) d form/d offset"""
    spot: Tensor | None = None
    """(3, o, m) spot @ offset"""
    radius: Tensor | None = None
    """(o, m) |spot offset|^2"""
    rate: Tensor | None = None
    """(o, m) d form/dy"""

    def times(self, weight: Tensor) -> Slopes:
        """Those of weight (o, 1) times the form."""
        rate = None if self.rate is None else self.rate * weight
        return replace(self, form=self.form * weight, offset=self.offset * weight, rate=rate)


def form(plan: Plan, inputs: Inputs, offset: Tensor, smooth: bool) -> Tensor:
    """The form (o, m); `smooth` for an expression that plain autograd can differentiate, twice, everywhere."""
    if plan.shape is Shape.SQUARE:
        if not plan.lattice_axes:
            return _of_one_cell(offset)
        f = _active(plan, offset)
        ratio = _grating_sqr(f, plan.counts) if smooth else _grating(f, plan.counts)
        product = _product(ratio)
        return product if smooth else product.mul_(product)
    return RADIAL[plan.shape].form(_radius(inputs, offset)[0] * inputs.fudge.to(offset.dtype))


def slopes(plan: Plan, inputs: Inputs, offset: Tensor) -> Slopes:
    """The form with its derivatives."""
    if plan.shape is Shape.SQUARE:
        return _square_slopes(plan, offset)
    radius, spot = _radius(inputs, offset)
    fudge = inputs.fudge.to(offset.dtype)
    y = radius * fudge
    value = RADIAL[plan.shape].form(y)
    rate = RADIAL[plan.shape].rate(y, value)
    toward = inputs.spot.to(offset.dtype).T @ spot.flatten(1)
    return Slopes(value, toward.view_as(offset) * (rate * (2 * fudge)), spot, radius, rate)


def axis_factors(plan: Plan, offset: Tensor) -> Tensor:
    """Square crystals: sin(pi n f)/sin(pi f) along the axes with more than one cell, (n, o, m); for traces."""
    return _grating(_active(plan, offset), plan.counts)


def sign(plan: Plan, inputs: Inputs, offset: Tensor) -> float:
    """Other shapes: the sign of F_latt, for one evaluation (3, 1, 1); for traces."""
    return math.copysign(1.0, float(RADIAL[plan.shape].signed(_radius(inputs, offset)[0] * inputs.fudge)))


def _radius(inputs: Inputs, offset: Tensor) -> tuple[Tensor, Tensor]:
    """|spot offset|^2 and spot offset."""
    spot = (inputs.spot.to(offset.dtype) @ offset.flatten(1)).view_as(offset)
    return dot(spot, spot), spot


# --- square -------------------------------------------------------------------------------------------------------------


def _active(plan: Plan, offset: Tensor) -> Tensor:
    """The offsets along the axes with more than one cell."""
    return offset if len(plan.lattice_axes) == len(offset) else offset[list(plan.lattice_axes)]


def _product(x: Tensor) -> Tensor:
    total = x[0]
    for i in range(1, len(x)):
        total = total * x[i]
    return total


def _of_one_cell(offset: Tensor) -> Tensor:
    """1, whatever the offset: the form of a crystal of one cell along every axis."""
    return offset.new_ones(offset.shape[1:])


def _grating(f: Tensor, n: Tensor) -> Tensor:
    """|sin(pi n f)/sin(pi f)| up to its sign; written in place, for use without autograd."""
    x = (f * math.pi).add_(_TINY[f.dtype])
    return torch.mul(x, n).sin_().div_(x.sin_())


def _grating_sqr(f: Tensor, n: Tensor) -> Tensor:
    """sin^2(pi n f)/sin^2(pi f), from its logarithm's series near 0 (next term below 1e-13)."""
    x = f * math.pi
    near = x.abs() * n < 1e-2
    safe = torch.where(near, 0.5 / n, x)
    ratio = torch.sin(n * safe) / torch.sin(safe)
    y, n_sqr = torch.where(near, x, torch.zeros_like(x)) ** 2, n * n
    exponent = (n_sqr - 1) / 3 + (n_sqr * n_sqr - 1) / 90 * y + 2 * (n_sqr**3 - 1) / 2835 * y * y
    return torch.where(near, n_sqr * torch.exp(-exponent * y), ratio * ratio)


def _square_slopes(plan: Plan, offset: Tensor) -> Slopes:
    if not plan.lattice_axes:
        return Slopes(_of_one_cell(offset), torch.zeros_like(offset))
    f, n = _active(plan, offset), plan.counts
    x = f * math.pi
    away = torch.maximum(x.abs(), _NEAR[f.dtype] / n)
    sine = torch.sin(away)
    cosine = (1 - sine * sine).clamp_(min=0).sqrt_()  # away lies in [0, pi/2]
    phase = away * n
    ratio = torch.sin(phase).div_(sine)
    # d ratio^2/df = 2 pi ratio (n cos(n x) - ratio cos x)/sin x, an odd function of x
    slope = phase.cos_().mul_(n).sub_(cosine.mul_(ratio)).mul_(ratio).div_(sine.mul_(away)).mul_(x).mul_(2 * math.pi)
    sqr = ratio.mul_(ratio)
    value = _product(sqr)
    if len(f) == 3:
        slope[0] *= sqr[1] * sqr[2]
        slope[1] *= sqr[0] * sqr[2]
        slope[2] *= sqr[0] * sqr[1]
    elif len(f) == 2:
        slope[0] *= sqr[1]
        slope[1] *= sqr[0]
    else:
        value = value.clone()
    if len(f) != len(offset):
        full = torch.zeros_like(offset)
        full[list(plan.lattice_axes)] = slope
        slope = full
    return Slopes(value, slope)
