"""The evaluation of a block in a form that torch.compile turns into single loops: polynomials in place of sines.

For square crystals with the nearest amplitude; the first call compiles, which takes a minute and a C++ compiler.
`evaluations.Eager` is the same in plain operations.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from nanobragg.torch_backend.kernels.algebra import transform
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan
from nanobragg.torch_backend.kernels.lattice import Slopes
from nanobragg.torch_backend.kernels.lookup import Interpolate, Lookup
from torch import Tensor

from nanobragg.derivation.scene import FactorMode, Scene, Shape

_NEAR = {torch.float64: 1e-5, torch.float32: 1e-2}
"""n pi f below which the slope of the grating function is taken as proportional to f (error: its square)"""
_TINY = {torch.float64: 1e-80, torch.float32: 1e-11}
"""replaces an offset of 0, where the grating function then has its limit; its cube is a normal number"""
_FEW = 8


def fitted(function: Callable[[float], float], degree: int) -> tuple[float, ...]:
    """Coefficients in f^2, highest first, of a polynomial through `function` (of f^2) at Chebyshev nodes of [0, 1/4]."""
    import numpy as np

    nodes = (np.cos(np.pi * (np.arange(400) + 0.5) / 400) + 1) / 8
    values = [function(float(y)) for y in nodes]
    fit = np.polynomial.Chebyshev.fit(nodes, values, degree, domain=[0, 0.25])
    return tuple(float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef[::-1])


_SINE = fitted(lambda y: math.sin(math.pi * math.sqrt(y)) / math.sqrt(y), 8)
_COSINE = fitted(lambda y: math.cos(math.pi * math.sqrt(y)), 9)


def _polynomial(coefficients: tuple[float, ...], y: Tensor) -> Tensor:
    total = y * coefficients[0] + coefficients[1]
    for c in coefficients[2:]:
        total = total * y + c
    return total


def _indices(cells: Tensor, vectors: Tensor) -> Tensor:
    if cells.shape[1] <= _FEW:
        return transform(cells, vectors.unsqueeze(0))
    return (cells.reshape(-1, 3) @ vectors).view(cells.shape[0], cells.shape[1], -1)


def _squared(table: Tensor, sizes: Any, first: Any, nearest: Tensor) -> tuple[Tensor, Tensor | None]:
    """Squared amplitudes and the flat index of each."""
    if sizes is None:
        return table, None
    total = None
    for axis in range(3):
        place = (nearest[axis] - (first[axis] - 1)).clamp(0, sizes[axis] - 1)
        total = place if total is None else total * sizes[axis] + place
    assert total is not None
    index = total.to(torch.int32 if math.prod(sizes) < 2**31 else torch.int64).clamp(0, math.prod(sizes) - 1)
    return table[index], index


def _axes(offset: Tensor, lattice_axes: tuple[int, ...]) -> Tensor:
    return offset if len(lattice_axes) == len(offset) else offset[list(lattice_axes)]


def _sums(
    cells: Tensor, vectors: Tensor, table: Tensor, counts: Tensor, lattice_axes: tuple[int, ...], sizes: Any, first: Any
) -> Tensor:
    """Sum over the orientations (m,)."""
    hkl = _indices(cells, vectors)
    nearest = torch.ceil(hkl - 0.5)
    f = _axes((hkl - nearest).to(table.dtype), lattice_axes) + _TINY[table.dtype]
    phase = f * counts
    r = phase - torch.round(phase)
    above, below = _polynomial(_SINE, r * r) * r, _polynomial(_SINE, f * f) * f
    numerator, denominator = above[0], below[0]
    for i in range(1, len(lattice_axes)):
        numerator, denominator = numerator * above[i], denominator * below[i]
    ratio = numerator / denominator
    squared, _ = _squared(table, sizes, first, nearest)
    return (ratio * ratio * squared).sum(0)


def _slopes(
    cells: Tensor, vectors: Tensor, table: Tensor, counts: Tensor, lattice_axes: tuple[int, ...], sizes: Any, first: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Form (o, m), its slopes (n_axes, o, m), squared amplitudes (o, m) and their flat indices."""
    hkl = _indices(cells, vectors)
    nearest = torch.ceil(hkl - 0.5)
    offset = (hkl - nearest).to(table.dtype)
    f = _axes(offset, lattice_axes)
    away = torch.maximum(f.abs(), _NEAR[table.dtype] / math.pi / counts)
    phase = away * counts
    r = phase - torch.round(phase)
    y, z = away * away, r * r
    sine = _polynomial(_SINE, y) * away
    ratio = _polynomial(_SINE, z) * r / sine  # the sign (-1)^round(n f) cancels wherever the ratio appears
    slope = (
        ratio * (counts * _polynomial(_COSINE, z) - ratio * _polynomial(_COSINE, y)) / (sine * away) * f * (2 * math.pi)
    )
    sqr = ratio * ratio
    form = sqr[0]
    for i in range(1, len(lattice_axes)):
        form = form * sqr[i]
    parts = [torch.zeros_like(form)] * len(offset)
    for i, axis in enumerate(lattice_axes):
        part = slope[i]
        for j in range(len(lattice_axes)):
            part = part if j == i else part * sqr[j]
        parts[axis] = part
    squared, index = _squared(table, sizes, first, nearest)
    return form, torch.stack(parts), squared, index


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function)  # static shapes first: measured twice as fast as dynamic ones


def _arguments(plan: Plan, inputs: Inputs) -> tuple[Any, ...]:
    return inputs.table.detach(), plan.counts, plan.lattice_axes, plan.table_shape, plan.hkl_min


def serves(plan: Plan) -> bool:
    """Square crystals of more than one cell, with the nearest amplitude, float64 indices and domains that count alike."""
    square = plan.shape is Shape.SQUARE and bool(plan.lattice_axes)
    return square and not (plan.tricubic or plan.weighted or plan.cumulative) and plan.scales is None


def serves_scene(scene: Scene, phase: str) -> bool:
    """As `serves`, for a Scene of which no plan has been made."""
    square = scene.shape is Shape.SQUARE and any(n > 1 for n in scene.n_cells)
    modes = (scene.capture_mode, scene.polar_mode, scene.omega_mode)
    tricubic = scene.tricubic and min(scene.table_shape) >= 4
    return (
        square
        and not tricubic
        and scene.domain_weight is None
        and FactorMode.CUMULATIVE not in modes
        and phase == "f64"
    )


class Compiled:
    """The kernel "compiled": an `evaluations.Evaluations` for the plans that it serves."""

    def total(
        self, plan: Plan, inputs: Inputs, some: slice, cells: Tensor, vectors: Tensor, interpolate: Interpolate
    ) -> Tensor:
        """See `Evaluations.total`."""
        found: Tensor = _compiled(_sums)(cells.detach(), vectors.detach(), *_arguments(plan, inputs))
        return found

    def derivatives(self, plan: Plan, inputs: Inputs, cells: Tensor, vectors: Tensor) -> tuple[Slopes, Lookup, Tensor]:
        """See `Evaluations.derivatives`; nobody needs the offsets of a square crystal again."""
        form, offset, squared, index = _compiled(_slopes)(cells.detach(), vectors.detach(), *_arguments(plan, inputs))
        lookup = Lookup(squared, None, None if index is None else index.flatten())
        return Slopes(form, offset), lookup, offset
