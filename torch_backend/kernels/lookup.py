"""Structure factors of a block of evaluations: nearest table entry, or tricubic interpolation (docs/model.md).

The table has a border of default_F on every side, so that an index outside is clamped into the border and no branch is
needed. The nearest entry does not depend on the continuous index: no gradient passes there but that of the amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nanobragg.torch_backend.kernels.inputs import Plan
from torch import Tensor

Interpolate = bool | Tensor
"""everywhere, nowhere, or where a mask that broadcasts to (o, m) says"""


@dataclass(frozen=True)
class Lookup:
    """Squared structure factors and what their derivatives need."""

    squared: Tensor
    """(o, m), or (1,) without a table"""
    slope: Tensor | None
    """(3, o, m) d squared/d index; None: 0"""
    index: Tensor | None
    """(o m,) nearest entries; None: no table"""
    cubic: _Cubic | None = None

    def scatter(self, into: Tensor, weight: Tensor) -> None:
        """Add to the gradient of the table: `weight` (o, m) is that of `squared`."""
        if self.index is None:
            into += weight.sum()
        elif self.cubic is None:
            into.index_add_(0, self.index, weight.flatten().to(into.dtype))
        else:
            self.cubic.scatter(into, weight, self.index)

    def tangent(self, table: Tensor) -> Tensor:
        """Tangent (o, m) of `squared`, or (1,), for that of the table."""
        if self.index is None:
            return table
        if self.cubic is None:
            return table.index_select(0, self.index).view_as(self.squared)
        return self.cubic.tangent(table, self.index)


def look_up(plan: Plan, table: Tensor, nearest: Tensor, offset: Tensor, interpolate: Interpolate) -> Lookup:
    """Squared structure factors.

    Parameters
    ----------
    plan : Plan
    table : Tensor, shape (n,)
        `Inputs.table`.
    nearest, offset : Tensor, shape (3, o, m)
        From `phase.offsets`.
    interpolate : bool or Tensor
        Where the run interpolates at all; it does so where the stencil fits.
    """
    if plan.table_shape is None:
        return Lookup(table, None, None)
    index = _flat(plan, nearest, 0, 0)
    entry = table.index_select(0, index.flatten()).view_as(offset[0])
    if not plan.tricubic:
        return Lookup(entry, None, index.flatten())
    if interpolate is False:
        inside = torch.zeros_like(entry, dtype=torch.bool)
    else:
        inside = _fits(plan, nearest, offset)
        if interpolate is not True:
            inside = inside & interpolate
    cubic = _Cubic(plan, table, nearest, offset, entry, inside)
    value = torch.where(inside, cubic.value, entry)
    return Lookup(value * value, None, index.flatten(), cubic)


def look_up_slopes(plan: Plan, table: Tensor, nearest: Tensor, offset: Tensor) -> Lookup:
    """As `look_up` with interpolation everywhere, with the derivative by the continuous index."""
    found = look_up(plan, table, nearest, offset, True)
    if found.cubic is None:
        return found
    return Lookup(found.squared, found.cubic.slope(), found.index, found.cubic)


def _flat(plan: Plan, whole: Tensor, low: int, high: int) -> Tensor:
    """Flat index of whole numbers (3, o, m), clamped into the table less `low` and `high` entries at its ends."""
    assert plan.table_shape is not None
    kind = plan.index_dtype
    total = None
    for axis, (size, first) in enumerate(zip(plan.table_shape, plan.hkl_min, strict=True)):
        # NaN and infinity convert to some integer: what is clamped is the integer
        place = (whole[axis] - (first - 1)).to(kind).clamp_(low, size - 1 - high)
        total = place if total is None else total.mul_(size).add_(place)
    assert total is not None
    return total


def _fits(plan: Plan, nearest: Tensor, offset: Tensor) -> Tensor:
    """Where the 4 x 4 x 4 nodes lie inside the table; INTERP_LOW_EDGE wants one index more."""
    assert plan.table_shape is not None
    inside = None
    for axis, (size, first) in enumerate(zip(plan.table_shape, plan.hkl_min, strict=True)):
        n = size - 2
        h0, f = nearest[axis] - first, offset[axis]
        below = h0 - (f < 0).to(h0.dtype)
        part = (below >= 1) & (below <= n - 3)
        if plan.low_edge:
            part = part & ((h0 + 3 - n) + f <= 0) & ((h0 - 2) + f >= 0)
        inside = part if inside is None else inside & part
    assert inside is not None
    return inside


class _Cubic:
    """Cubic Lagrange interpolation along the three axes on the nodes floor(h) - 1 ... floor(h) + 2."""

    def __init__(
        self, plan: Plan, table: Tensor, nearest: Tensor, offset: Tensor, entry: Tensor, inside: Tensor
    ) -> None:
        assert plan.table_shape is not None
        _, n_k, n_l = plan.table_shape
        self.entry, self.inside, self.shape = entry, inside, inside.shape
        self.t = offset - torch.floor(offset)
        # entry `floor - 1` in the coordinates of the bordered table is one below that of `floor`
        self.first = _flat(plan, nearest + torch.floor(offset).to(nearest.dtype) - 1, 1, 4).flatten()
        self.weights = _weights(self.t)
        self.steps = [((i * n_k + j) * n_l + m, i, j, m) for i in range(4) for j in range(4) for m in range(4)]
        self.value = self._sum(table, (self.weights, self.weights, self.weights))
        self.table = table

    def _sum(self, table: Tensor, weights: tuple[list[Tensor], list[Tensor], list[Tensor]]) -> Tensor:
        total = None
        for i in range(4):
            plane = None
            for j in range(4):
                row = None
                for m in range(4):
                    step = self.steps[(i * 4 + j) * 4 + m][0]
                    node = table.index_select(0, self.first + step).view(self.shape) * weights[2][m][2]
                    row = node if row is None else row + node
                assert row is not None
                row = row * weights[1][j][1]
                plane = row if plane is None else plane + row
            assert plane is not None
            plane = plane * weights[0][i][0]
            total = plane if total is None else total + plane
        assert total is not None
        return total

    def slope(self) -> Tensor:
        """(3, o, m) d F^2/d index; 0 where nothing is interpolated."""
        rate = _weight_slopes(self.t)
        w = self.weights
        parts = [self._sum(self.table, ws) for ws in ((rate, w, w), (w, rate, w), (w, w, rate))]
        return torch.where(self.inside, 2 * self.value * torch.stack(parts), self.t.new_zeros(()))

    def scatter(self, into: Tensor, weight: Tensor, nearest: Tensor) -> None:
        """See `Lookup.scatter`: d F^2 = 2 F dF."""
        single = torch.where(self.inside, torch.zeros_like(weight), 2 * weight * self.entry)
        into.index_add_(0, nearest, single.flatten().to(into.dtype))
        spread = torch.where(self.inside, 2 * weight * self.value, torch.zeros_like(weight))
        w = self.weights
        for step, i, j, m in self.steps:
            part = spread * w[i][0] * w[j][1] * w[m][2]
            into.index_add_(0, self.first + step, part.flatten().to(into.dtype))

    def tangent(self, table: Tensor, nearest: Tensor) -> Tensor:
        """See `Lookup.tangent`."""
        smooth = self.value * self._sum(table, (self.weights, self.weights, self.weights))
        single = self.entry * table.index_select(0, nearest).view(self.shape)
        return 2 * torch.where(self.inside, smooth, single)


def _weights(t: Tensor) -> list[Tensor]:
    """Lagrange weights of the nodes -1, 0, 1, 2 at t in [0, 1]."""
    a, b, c = t + 1, t - 1, t - 2
    return [-t * b * c / 6, a * b * c / 2, -a * t * c / 2, a * t * b / 6]


def _weight_slopes(t: Tensor) -> list[Tensor]:
    a, b, c = t + 1, t - 1, t - 2
    return [
        -(b * c + t * c + t * b) / 6, (b * c + a * c + a * b) / 2,
        -(t * c + a * c + a * t) / 2, (t * b + a * b + a * t) / 6,
    ]  # fmt: skip
