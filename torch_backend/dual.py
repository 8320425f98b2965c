"""Numbers with their derivatives: forward mode for the derivation, whose values are those of plain floats, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nanobragg.derivation.vectors import FLOAT_OPS


class Dual:
    """A float or an array, and its derivatives by K parameters on a last axis of their own.

    For the derivation it stands where a tensor with a gradient would (`nanobragg.arrays.is_tensor`), so that nothing is
    decided by its value.
    """

    __slots__ = ("slope", "value")
    __array_ufunc__ = None
    """numpy leaves arithmetic with an array on the left to this class"""
    requires_grad = True

    def __init__(self, value: Any, slope: NDArray[np.float64]) -> None:
        self.value, self.slope = value, slope

    def detach(self) -> Any:
        """The value alone."""
        return self.value

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the value."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """Of the value."""
        return np.ndim(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Dual:
        value = self.value[index]
        if isinstance(value, np.ndarray):
            whole = (*index, ...) if isinstance(index, tuple) else index
            return Dual(value, self.slope[whole])
        return Dual(float(value), self.slope[index])

    def unbind(self) -> list[Dual]:
        """The elements along the first axis."""
        return [self[i] for i in range(len(self.value))]

    def sum(self) -> Dual:
        """Of all elements."""
        return Dual(float(self.value.sum()), self.slope.reshape(-1, self.slope.shape[-1]).sum(0))

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __abs__(self) -> Dual:
        return Dual(abs(self.value), _column(np.sign(self.value)) * self.slope)

    def __add__(self, other: Any) -> Dual:
        if type(other) is Dual:
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, _spread(self.slope, self.value, other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        if type(other) is Dual:
            return Dual(self.value - other.value, self.slope - other.slope)
        return Dual(self.value - other, _spread(self.slope, self.value, other))

    def __rsub__(self, other: Any) -> Dual:
        return Dual(other - self.value, -_spread(self.slope, self.value, other))

    def __mul__(self, other: Any) -> Dual:
        x = self.value
        if type(other) is Dual:
            y = other.value
            if type(x) is float and type(y) is float:  # most of them
                return Dual(x * y, self.slope * y + other.slope * x)
            return Dual(x * y, self.slope * _column(y) + other.slope * _column(x))
        return Dual(x * other, self.slope * _column(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        if type(other) is Dual:
            value = self.value / other.value
            return Dual(value, (self.slope - other.slope * _column(value)) / _column(other.value))
        return Dual(self.value / other, self.slope / _column(other))

    def __rtruediv__(self, other: Any) -> Dual:
        value = other / self.value
        return Dual(value, self.slope * _column(-value / self.value))


def _column(value: Any) -> Any:
    """A factor in the shape in which it multiplies derivatives."""
    return value if type(value) is float else value[..., None] if isinstance(value, np.ndarray) else value


def _spread(slope: NDArray[np.float64], value: Any, other: Any) -> NDArray[np.float64]:
    """Derivatives of the sum of a value and a constant, which may be the larger of the two."""
    if not isinstance(other, np.ndarray) or np.shape(value) == other.shape:  # the usual case
        return slope
    shape = np.broadcast_shapes(np.shape(value), other.shape)
    return np.broadcast_to(slope, (*shape, slope.shape[-1]))


def _function(f: Callable[[Any], Any], slope: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A function of one argument, with its derivative as a function of argument and result."""

    def apply(x: Any) -> Any:
        if not isinstance(x, Dual):
            return f(x)
        value = f(x.value)
        return Dual(value, x.slope * _column(slope(x.value, value)))

    return apply


class DualOps:
    """Twin of `nanobragg.derivation.vectors.FloatOps` for numbers with derivatives by K parameters, and plain ones among
    them; see `nanobragg.derivation.vectors.Ops` for what each member means."""

    is_float, takes_floats = False, True
    sin = staticmethod(_function(FLOAT_OPS.sin, lambda x, y: FLOAT_OPS.cos(x)))
    cos = staticmethod(_function(FLOAT_OPS.cos, lambda x, y: -FLOAT_OPS.sin(x)))
    sqrt = staticmethod(_function(FLOAT_OPS.sqrt, lambda x, y: 0.5 / y))
    exp = staticmethod(_function(FLOAT_OPS.exp, lambda x, y: y))
    round_f32 = staticmethod(_function(FLOAT_OPS.round_f32, lambda x, y: 1.0))

    @staticmethod
    def lift(value: Any) -> Any:
        """See `Ops.lift`. A tensor of three axes is the table of structure factors: it stays where and what it is."""
        if isinstance(value, Dual) or (isinstance(value, Tensor) and value.ndim == 3):
            return value
        return FLOAT_OPS.lift(value)

    @staticmethod
    def stack(items: Sequence[Any], axis: int = 0) -> Any:
        """See `Ops.stack`."""
        value = FLOAT_OPS.stack([item.value if isinstance(item, Dual) else item for item in items], axis)
        n = next((item.slope.shape[-1] for item in items if isinstance(item, Dual)), None)
        if n is None:
            return value
        still = np.zeros((*np.shape(value)[1:], n)) if axis == 0 else np.zeros((*np.shape(value)[:-1], n))
        slopes = [item.slope if isinstance(item, Dual) else still for item in items]
        return Dual(value, np.stack(slopes, axis=axis if axis >= 0 else axis - 1))

    @staticmethod
    def nonzero(x: Any) -> Any:
        """See `Ops.nonzero`."""
        if not isinstance(x, Dual):
            return FLOAT_OPS.nonzero(x)
        return Dual(FLOAT_OPS.nonzero(x.value), x.slope * _column((np.asarray(x.value) != 0) * 1.0))

    @staticmethod
    def sign(x: Any) -> Any:
        """See `Ops.sign`."""
        return FLOAT_OPS.sign(x.value if isinstance(x, Dual) else x)


DUAL_OPS = DualOps()
