"""Squared lattice factors of the four crystal shapes and their slopes, from the offset to the nearest lattice point.

With f the offsets (h - h0, k - k0, l - l0), the form is

    square   product of sin^2(pi N f)/sin^2(pi f) over the axes with N > 1        (F_latt^2 itself)
    round    s3(x)^2, x^2 = y        s3(x) = 3 (sin x/x - cos x)/x^2
    gauss    exp(-2 y)
    tophat   1 where y < TOPHAT_CUT, else 0

with y = fudge |spot f|^2 (`inputs._spot` has the metric); the height (Na Nb Nc)^2, times pi/6 for round, is in `Inputs.scale`.
A top-hat has no slope: its edge passes no gradient. Reference: docs/model.md; docs/quirks.md, SINCG_ROUNDOFF and
SINC3_CANCELLATION are not reproduced here, in any fidelity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from nanobragg.torch_backend.kernels.algebra import dot
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan
from torch import Tensor

from nanobragg.constants import TOPHAT_CUT
from nanobragg.derivation.scene import Shape

_TINY = {torch.float64: 1e-200, torch.float32: 1e-30}
"""added to every phase: it replaces 0 alone, where the grating function then has its limit N"""
_NEAR = {torch.float64: 1e-5, torch.float32: 1e-2}
"""N x below which the slope of the grating function is taken as proportional to x (error: its square)"""
_SERIES_BELOW = 4.0


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


def form(plan: Plan, inputs: Inputs, offset: Tensor, smooth: bool) -> Tensor:
    """The form (o, m); `smooth` for an expression that plain autograd can differentiate, twice, everywhere."""
    if plan.shape is Shape.SQUARE:
        if not plan.lattice_axes:
            return _of_one_cell(offset)
        f = _active(plan, offset)
        ratio = _grating_sqr(f, plan.counts) if smooth else _grating(f, plan.counts)
        product = _product(ratio)
        return product if smooth else product.mul_(product)
    return _round_form(plan, _radius(inputs, offset)[0] * inputs.fudge.to(offset.dtype))


def slopes(plan: Plan, inputs: Inputs, offset: Tensor) -> Slopes:
    """The form with its derivatives."""
    if plan.shape is Shape.SQUARE:
        return _square_slopes(plan, offset)
    radius, spot = _radius(inputs, offset)
    fudge = inputs.fudge.to(offset.dtype)
    value, rate = _round_rate(plan, radius * fudge)
    toward = inputs.spot.to(offset.dtype).T @ spot.flatten(1)
    return Slopes(value, toward.view_as(offset) * (rate * (2 * fudge)), spot, radius, rate)


def axis_factors(plan: Plan, offset: Tensor) -> Tensor:
    """Square crystals: sin(pi n f)/sin(pi f) along the axes with more than one cell, (n, o, m); for traces."""
    return _grating(_active(plan, offset), plan.counts)


def sign(plan: Plan, inputs: Inputs, offset: Tensor) -> float:
    """Other shapes: the sign of F_latt, for one evaluation (3, 1, 1); for traces."""
    negative = plan.shape is Shape.ROUND and bool(_sphere(_radius(inputs, offset)[0] * inputs.fudge)[0, 0] < 0)
    return -1.0 if negative else 1.0


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


# --- round, gauss, tophat -----------------------------------------------------------------------------------------------


def _radius(inputs: Inputs, offset: Tensor) -> tuple[Tensor, Tensor]:
    """|spot offset|^2 and spot offset."""
    spot = (inputs.spot.to(offset.dtype) @ offset.flatten(1)).view_as(offset)
    return dot(spot, spot), spot


def _round_form(plan: Plan, y: Tensor) -> Tensor:
    if plan.shape is Shape.TOPHAT:
        return (y < TOPHAT_CUT).to(y.dtype)
    if plan.shape is Shape.GAUSS:
        return torch.exp(-2 * y)
    sphere = _sphere(y)
    return sphere * sphere


def _round_rate(plan: Plan, y: Tensor) -> tuple[Tensor, Tensor]:
    """The form and its derivative by y."""
    value = _round_form(plan, y)
    if plan.shape is Shape.TOPHAT:
        return value, torch.zeros_like(value)
    if plan.shape is Shape.GAUSS:
        return value, -2 * value
    sphere = _sphere(y)
    return value, 2 * sphere * _sphere_rate(y)


def _split(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the series serves, y for the series, and y for the closed formula."""
    small = y < _SERIES_BELOW
    return small, torch.where(small, y, torch.zeros_like(y)), torch.where(small, torch.full_like(y, _SERIES_BELOW), y)


def _sphere(y: Tensor) -> Tensor:
    """s3(sqrt(y)); for small y the series sum_m (-1)^m 6 (m+1) y^m/(2m+3)!, as in csrc/lattice.c."""
    small, low, high = _split(y)
    series = torch.ones_like(y)
    for m in range(13, -1, -1):
        series = 1 - series * low / ((m + 1) * (4 * m + 10))
    x = torch.sqrt(high)
    return torch.where(small, series, 3 * (torch.sin(x) / x - torch.cos(x)) / high)


def _sphere_rate(y: Tensor) -> Tensor:
    """d s3(sqrt(y))/dy = 3 (sin x/x - s3)/(2 y), or the derivative of the series."""
    small, low, high = _split(y)
    series = torch.zeros_like(y)
    for m in range(13, 0, -1):
        series = series * low + (-1) ** m * 6 * (m + 1) * m / math.factorial(2 * m + 3)
    x = torch.sqrt(high)
    sinc = torch.sin(x) / x
    return torch.where(small, series, 1.5 * (sinc - 3 * (sinc - torch.cos(x)) / high) / high)
