"""Diffuse scattering on tensors: the sum of csrc/diffuse.c, differentiable by every tensor that goes in.

Geometry is plain torch; the sum over reflections is too, or the C core's under autograd. Blocks of pixels are computed again
when autograd goes backwards, so that memory does not grow with the image.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from nanobragg.torch_backend.kernels.detector import locate
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan, prepare
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from nanobragg.arrays import is_transformed
from nanobragg.derivation.crystals.diffuse.scene import DiffuseScene
from nanobragg.engines.diffuse import DiffuseSums

_BLOCK = 1 << 16
"""Pixels times rays, orientations and forms that are worked on together."""
_CORE_BLOCK = 1 << 22
"""The same where the core works; smaller images are one block, which is kept."""


def photons(found: DiffuseScene, device: torch.device, *, by_core: bool, n_threads: int | None = None) -> Tensor:
    """Expected photons (n_pixels,), float64 on the device.

    `by_core`: where a gradient is wanted, the sum over reflections and its derivatives are the C core's, if that can be.
    """
    scene = found.scene
    plan, inputs = prepare(scene, device, torch.float64, "f64", _BLOCK)
    forms, strength = found.forms.to(device), found.strength
    strength = strength.to(device) if isinstance(strength, Tensor) else torch.tensor(float(strength), device=device)
    weight = torch.from_numpy(found.form_weight).to(device)
    values = _with_border(found, device) if found.map is None else found.map.to(device=device, dtype=torch.float64)
    scale = scene.r_e_sqr * scene.fluence.to(device) * strength / inputs.weight.sum()
    names = Inputs.__dataclass_fields__
    tensors = [*inputs.tensors(), forms, weight, values]
    again = torch.is_grad_enabled() and forward_ad._current_level < 0 and not any(is_transformed(t) for t in tensors)
    again = again and any(t.requires_grad for t in tensors)
    core = _Core(found, n_threads) if again and by_core and found.map is None and device.type == "cpu" else None
    each = scene.n_sources * scene.n_domains * (max(1, len(found.form_weight)) if core is None else 1)
    size = max(1, (_BLOCK if core is None else _CORE_BLOCK) // each)

    def block(pixels: Tensor, *args: Tensor) -> Tensor:
        own = Inputs(**dict(zip(names, args[: len(names)], strict=True)))
        return _intensity(found, plan, core, own, pixels, *args[len(names) :])

    again = again and (core is None or scene.n_pixels > size)
    parts = []
    for begin in range(0, scene.n_pixels, size):
        pixels = plan.pixels[begin : begin + size]
        part = checkpoint(block, pixels, *tensors, use_reentrant=False) if again else block(pixels, *tensors)
        parts.append(part)
    return scale * torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64, device=device)


def _intensity(
    found: DiffuseScene, plan: Plan, core: _Core | None, inputs: Inputs, pixels: Tensor, forms: Tensor, weight: Tensor,
    values: Tensor,
) -> Tensor:  # fmt: skip
    """(P,) sum over rays and mean over orientations of the sum over reflections, times polarization and solid angle."""
    points = locate(plan, inputs, pixels, 0, 1)
    direction, factor = points.direction[:, 0], points.factor[0]  # (3, P), (P,)
    q = (direction[:, None] - inputs.incident[:, :, None]) * inputs.wavenumber[:, None]  # (3, S, P)
    lit = inputs.weight[:, None] * factor
    if plan.polarized:
        lit = lit * (1 + torch.einsum("ip,sij,jp->sp", direction, inputs.polar, direction)) / 2
    if plan.d_min > 0:
        # as nb_left_out has it: d = 1/|q|
        shown = (q.detach() ** 2).sum(0).sqrt() * plan.d_min <= 1
        lit = lit * shown
    cells = found.scene.orientations[0].to(q)  # (V, 3, 3)
    hkl = torch.einsum("vai,isp->avsp", cells, q)
    if core is not None:
        sums = core(hkl, forms, values)
    else:
        sums = _stencil(found, hkl, forms, weight, values) if found.map is None else _looked_up(found, hkl, values)
    if found.scene.domain_weight is not None:
        sums = sums * torch.from_numpy(found.scene.domain_weight).to(sums)[:, None, None]
    return (sums.mean(0) * lit).sum(0)


class _Core:
    """The sum over reflections by the C core, as one operation of autograd."""

    def __init__(self, found: DiffuseScene, n_threads: int | None) -> None:
        self.found, self.n_threads = found, n_threads

    def __call__(self, hkl: Tensor, forms: Tensor, table: Tensor) -> Tensor:
        sums: Tensor = _Sums.apply(self, hkl, forms, table)
        return sums

    def sums(self, forms: Tensor, table: Tensor) -> DiffuseSums:
        """The core's."""
        return DiffuseSums(self.found, forms.numpy(), table.contiguous().numpy(), self.n_threads)


class _Sums(Function):
    @staticmethod
    def forward(ctx: Any, core: _Core, hkl: Tensor, forms: Tensor, table: Tensor) -> Tensor:
        ctx.core = core
        ctx.save_for_backward(hkl, forms, table)
        found = core.sums(forms.detach(), table.detach()).at(hkl.detach().reshape(3, -1).contiguous().numpy())
        return torch.from_numpy(found).reshape(hkl.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        hkl, forms, table = ctx.saved_tensors
        points = hkl.reshape(3, -1).contiguous().numpy()
        found = ctx.core.sums(forms, table).pull_back(points, cotangent.reshape(-1).contiguous().numpy())
        by_hkl, by_forms, by_table = (torch.from_numpy(one) for one in found)
        return None, by_hkl.reshape(hkl.shape), by_forms.reshape(forms.shape), by_table.reshape(table.shape)


def _with_border(found: DiffuseScene, device: torch.device) -> Tensor:
    """F^2 with a border of that of all other indices."""
    outside = (found.scene.default_F * found.scene.default_F).to(device)
    if not found.squares.numel():
        return outside.reshape(1, 1, 1)
    inner = found.squares.to(device=device, dtype=torch.float64)
    border = 1 - torch.nn.functional.pad(torch.ones_like(inner), (1,) * 6)
    return torch.nn.functional.pad(inner, (1,) * 6) + outside * border


def _stencil(found: DiffuseScene, hkl: Tensor, forms: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """(V, S, P)"""
    total, first = torch.zeros_like(hkl[0]), 0
    for turn, count in zip(found.turns, found.counts, strict=True):
        part = slice(first, first + count)
        total = total + _neighbors(found, hkl, forms[part], weight[part], table, turn)
        first += count
    return total


def _neighbors(found: DiffuseScene, hkl: Tensor, forms: Tensor, weight: Tensor, table: Tensor, turn: Any) -> Any:
    """The share of the forms that belong to a turn."""
    there, back = hkl.new_tensor(turn), hkl.new_tensor(np.rint(np.linalg.inv(turn)))
    nearest = torch.ceil(torch.einsum("ij,j...->i...", there, hkl.detach()) - 0.5)
    steps = range(-found.stencil, found.stencil + 1)
    total: Any = 0.0
    for shift in product(steps, steps, steps):
        near = nearest + hkl.new_tensor(shift).reshape(3, 1, 1, 1)
        reflection = torch.einsum("ij,j...->i...", back, near)
        x = torch.einsum("fi,i...->f...", forms[:, 0], _products(reflection))
        width = torch.einsum("fi,i...->f...", forms[:, 1], _products(hkl - reflection))
        power, of_all = weight.reshape(-1, 1, 1, 1), torch.zeros_like(x)
        for order in range(1, found.n_orders + 1):
            power = power * x / order
            below = 1 + width / order**2
            of_all = of_all + power / order**3 / (below * below)
        total = total + _squares(found, reflection, table) * of_all.sum(0)
    return total


def _squares(found: DiffuseScene, reflection: Tensor, table: Tensor) -> Tensor:
    """F^2 of reflections (3, ...)."""
    at: Any = 0
    for index, low, n in zip(reflection, found.scene.hkl_min, table.shape, strict=True):
        at = at * n + (index - (low - 1)).clamp(0, n - 1).long()
    return table.flatten()[at]


def _products(h: Tensor) -> Tensor:
    """(6, ...) hh, kk, ll, hk, hl, kl."""
    return torch.stack([h[0] * h[0], h[1] * h[1], h[2] * h[2], h[0] * h[1], h[0] * h[2], h[1] * h[2]])


def _looked_up(found: DiffuseScene, hkl: Tensor, values: Tensor) -> Tensor:
    """(V, S, P) of the map, linear in each index; 0 outside."""
    first = hkl.new_tensor(found.map_first).reshape(3, 1, 1, 1)
    x = (hkl - first) * found.grid
    last = hkl.new_tensor([n - 1 for n in values.shape]).reshape(3, 1, 1, 1)
    inside = ((x.detach() >= 0) & (x.detach() <= last)).all(0)
    low = torch.minimum(x.detach().floor(), last - 1).clamp(min=0)
    part, at = x - low, low.long()
    total: Any = 0.0
    for corner in product((0, 1), repeat=3):
        share: Any = 1.0
        for side, along in zip(corner, part, strict=True):
            share = share * (along if side else 1 - along)
        total = total + share * values[at[0] + corner[0], at[1] + corner[1], at[2] + corner[2]]
    return torch.where(inside, total, torch.zeros_like(total))
