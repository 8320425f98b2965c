"""Vector primitives of the derivation, written once over plain floats and tensors.

A 3-vector is a tuple of three scalars, each a float, a 0-d tensor, or an array of matching shape. Every expression stands in
the order that docs/model.md, states, so that the float results are bit-identical to the original's. Functions that
need an elementary function take `ops`: `FloatOps` here (numpy arrays and floats), or its torch twin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor, is_transformed
from nanobragg.constants import RTD

Vec = tuple[Any, Any, Any]


class Ops(Protocol):
    """The array namespace that the derivation is given: elementary functions, and `lift`, the only way in."""

    is_float: bool
    takes_floats: bool
    """whether plain numbers stand among those of this namespace, where nothing moves them"""

    def lift(self, value: Any) -> Any:
        """A number or tensor as a float64 scalar or array of this namespace."""
        ...

    def sin(self, x: Any) -> Any: ...
    def cos(self, x: Any) -> Any: ...
    def sqrt(self, x: Any) -> Any: ...
    def exp(self, x: Any) -> Any: ...
    def stack(self, items: Sequence[Any], axis: int = 0) -> Any: ...
    def nonzero(self, x: Any) -> Any:
        """x, or 1 where x is exactly 0: a divisor that keeps 0/0 = 0 and its gradient finite."""
        ...

    def round_f32(self, x: Any) -> Any:
        """x rounded to float32 and widened; gradients pass straight through."""
        ...

    def sign(self, x: Any) -> Any:
        """-1 where x is negative, else 1; no gradient."""
        ...


def _elementwise(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """libm's function on floats and, element by element, on arrays (numpy's own differs in the last bit)."""

    def plain(x: float) -> float:
        try:
            return function(x)
        except ValueError:  # so that it is told from a mistake in the code
            raise FloatingPointError(f"{function.__name__} of {x:g}") from None

    def apply(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return np.array([plain(item) for item in x.ravel().tolist()], dtype=np.float64).reshape(x.shape)
        return plain(x)

    return apply


def whole(x: float, rounding: Callable[[float], int] = math.ceil) -> int:
    """The number rounded up (or as `rounding` does).

    Raises
    ------
    ArithmeticError
        For what is not finite.
    """
    if x != x:
        raise FloatingPointError("not a number where a whole one is needed")
    return rounding(x)


class FloatOps:
    """The namespace of the C engine: floats and numpy arrays; tensors are detached."""

    is_float = takes_floats = True
    sin = staticmethod(_elementwise(math.sin))
    cos = staticmethod(_elementwise(math.cos))
    sqrt = staticmethod(_elementwise(math.sqrt))
    exp = staticmethod(np.exp)

    @staticmethod
    def lift(value: Any) -> Any:
        """See `Ops.lift`."""
        if type(value) is float:
            return value
        if is_transformed(value):
            value = np.array(value.detach().tolist())
        elif is_tensor(value):
            value = value.detach()
            value = value.cpu().numpy() if is_tensor(value) else value  # else it came with a slope
        if isinstance(value, np.ndarray) and value.ndim:
            return np.asarray(value, dtype=np.float64)
        return float(value)

    @staticmethod
    def stack(items: Sequence[Any], axis: int = 0) -> Any:
        """See `Ops.stack`."""
        if axis == 0:
            return np.array(items, dtype=np.float64)
        return np.stack([np.asarray(item, dtype=np.float64) for item in items], axis=axis)

    @staticmethod
    def nonzero(x: Any) -> Any:
        """See `Ops.nonzero`."""
        return np.where(x == 0, 1.0, x) if isinstance(x, np.ndarray) else (1.0 if x == 0 else x)

    @staticmethod
    def round_f32(x: Any) -> Any:
        """See `Ops.round_f32`."""
        return np.asarray(x, np.float32).astype(np.float64) if isinstance(x, np.ndarray) else float(np.float32(x))

    @staticmethod
    def sign(x: Any) -> Any:
        """See `Ops.sign`."""
        return np.where(x < 0, -1.0, 1.0) if isinstance(x, np.ndarray) else (-1.0 if x < 0 else 1.0)


FLOAT_OPS = FloatOps()


def lifted(value: Any, ops: Ops) -> Vec:
    """A vector field of the config as a tuple of three lifted scalars."""
    x, y, z = (ops.lift(item) for item in elements(value))
    return x, y, z


def radians(value: Any, ops: Ops) -> Any:
    """Degrees to radians, dividing by `RTD` as the original does."""
    return ops.lift(value) / RTD


def floats(vector: Vec) -> tuple[float, float, float]:
    """The vector without its gradient."""
    x, y, z = (detached(item) for item in vector)
    return x, y, z


def dot(x: Vec, y: Vec) -> Any:
    """Scalar product."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def cross(x: Vec, y: Vec) -> Vec:
    """Vector product."""
    return (x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0])


def scale(x: Vec, s: Any) -> Vec:
    """s times x."""
    return (s * x[0], s * x[1], s * x[2])


def norm(x: Vec, ops: Ops) -> Any:
    """Length; for a zero vector see `unit`."""
    return ops.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])


def unit(x: Vec, ops: Ops) -> Vec:
    """x divided by its length; the zero vector stays zero."""
    m = ops.sqrt(ops.nonzero(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]))
    return (x[0] / m, x[1] / m, x[2] / m)


def rescale(x: Vec, length: Any, ops: Ops) -> Vec:
    """x stretched to `length`; the zero vector stays zero."""
    q = length / ops.sqrt(ops.nonzero(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]))
    return scale(x, q)


def rotxyz(v: Vec, angles: Vec, ops: Ops) -> Vec:
    """v rotated about x, then y, then z, right-handed (matrix R_z R_y R_x); angles [rad]."""
    x, y, z = v
    s, c = ops.sin(angles[0]), ops.cos(angles[0])
    y, z = y * c + z * (-s), y * s + z * c
    s, c = ops.sin(angles[1]), ops.cos(angles[1])
    x, z = x * c + z * s, x * (-s) + z * c
    s, c = ops.sin(angles[2]), ops.cos(angles[2])
    x, y = x * c + y * (-s), x * s + y * c
    return (x, y, z)


def rotaxis(v: Vec, e: Vec, phi: Any, ops: Ops) -> Vec:
    """v rotated by phi [rad] about e (Rodrigues' formula); e is not normalized here."""
    s, c = ops.sin(phi), ops.cos(phi)
    d = (e[0] * v[0] + e[1] * v[1] + e[2] * v[2]) * (1 - c)
    return (
        e[0] * d + v[0] * c + (-e[2] * v[1] + e[1] * v[2]) * s,
        e[1] * d + v[1] * c + (e[2] * v[0] - e[0] * v[2]) * s,
        e[2] * d + v[2] * c + (-e[1] * v[0] + e[0] * v[1]) * s,
    )


def matvec(u: Sequence[Any], v: Vec) -> Vec:
    """Row-major 3x3 matrix (nine scalars or arrays) times v."""
    return (
        u[0] * v[0] + u[1] * v[1] + u[2] * v[2],
        u[3] * v[0] + u[4] * v[1] + u[5] * v[2],
        u[6] * v[0] + u[7] * v[1] + u[8] * v[2],
    )
