"""Small matrices times long arrays of vectors, as fused multiply-adds along the long axes."""

from __future__ import annotations

from torch import Tensor


def transform(matrix: Tensor, vectors: Tensor) -> Tensor:
    """matrix @ vectors, with any number of trailing axes: (..., r, c) and (..., c, *rest) give (..., r, *rest).

    Leading axes of `matrix` broadcast against those of `vectors`, which has as many axes before c as `matrix` has.
    """
    lead = matrix.ndim - 2
    rest = vectors.ndim - lead - 1
    columns = matrix.reshape(*matrix.shape, *(1,) * rest)
    total = columns.select(lead + 1, 0) * vectors.select(lead, 0).unsqueeze(lead)
    for i in range(1, matrix.shape[-1]):
        total = total.addcmul(columns.select(lead + 1, i), vectors.select(lead, i).unsqueeze(lead))
    return total


def dot(x: Tensor, y: Tensor, axis: int = 0) -> Tensor:
    """Scalar product of 3-vectors that stand on `axis`."""
    total = x.select(axis, 0) * y.select(axis, 0)
    for i in range(1, x.shape[axis]):
        total = total.addcmul(x.select(axis, i), y.select(axis, i))
    return total


def cross(x: Tensor, y: Tensor) -> Tensor:
    """Vector product of 3-vectors on the first axis; shapes broadcast."""
    from torch import stack

    return stack([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]])
