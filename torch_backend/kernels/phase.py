"""Indices h, k, l as nearest integer and offset from it, accurate enough for crystals of any size.

The lattice factor sees N (h - nearest), so the offset must be right to a small part of 1/N although h may be in the hundreds:
h, the nearest integer and their difference are formed in float64 ("f64"), or exactly in float32 pieces ("f32x2").

f32x2: the scattering vector (scaled below 2) and the cells (scaled below 1) are cut into a piece of 11 bits, a second of
11 bits and a rest. A product of two such pieces has at most 22 bits and the sum of three at most 24, so that a float32 matrix
product of pieces is exact in any order, with or without fused multiply-adds, and also in TF32. The large product loses its
integer part before the small ones are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nanobragg.torch_backend.kernels.algebra import transform
from torch import Tensor

_BITS = 11
_FEW = 8
"""up to here orientations are cheaper by fused multiply-adds than by a matrix product"""


@dataclass(frozen=True)
class Scales:
    """f32x2: powers of two that bring the scattering vector below 2 and the cells below 1 (kept as a float32 pair)."""

    vector: Tensor
    """() [m]"""
    cell: Tensor
    """()"""


def scales(cells: Tensor, wavenumber: Tensor) -> Scales:
    """The scales of a scene: |S| is at most 2/wavelength."""
    vector = _power_of_two(wavenumber.detach().abs().amax())
    largest = cells.detach().abs().amax() if cells.numel() else vector
    cell = _power_of_two(largest * vector).clamp(min=64.0)
    return Scales(1 / vector, cell)


def _power_of_two(x: Tensor) -> Tensor:
    return torch.exp2(torch.ceil(torch.log2(x)))


def offsets(cells: Tensor, vectors: Tensor, scale: Scales | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Offsets in (-1/2, 1/2] and nearest integers (exact halves go down, docs/model.md, Lattice factor).

    Parameters
    ----------
    cells : Tensor, shape (n_axes, n_orientations, 3)
        [m]
    vectors : Tensor, shape (3, m)
        Scattering vectors [1/m].
    scale : Scales, optional
        Of "f32x2"; None: "f64".
    dtype : dtype
        Of the offsets.

    Returns
    -------
    tuple of Tensor, shape (n_axes, n_orientations, m)
        Offset, and nearest integer (float64, or float32 with "f32x2").
    """
    if scale is not None:
        return _offsets_f32x2(cells, vectors, scale, dtype)
    indices = _product(cells, vectors)
    nearest = (indices - 0.5).ceil_()
    return indices.sub_(nearest).to(dtype), nearest


def _product(cells: Tensor, vectors: Tensor) -> Tensor:
    """(n_axes, n_orientations, m)"""
    if cells.shape[1] <= _FEW:
        return transform(cells, vectors.unsqueeze(0))
    return (cells.reshape(-1, 3) @ vectors).view(*cells.shape[:2], -1)


def _offsets_f32x2(cells: Tensor, vectors: Tensor, scale: Scales, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    s = pieces(vectors * scale.vector, 2.0)
    g = pieces(cells / (scale.vector * scale.cell), 1.0)
    size = scale.cell.to(torch.float32)
    large = _product(g[0], s[0]) * size
    nearest = torch.round(large)
    small = _product(g[1], s[0]) + _product(g[0], s[1])
    rest = _product(g[2], s[0]) + _product(g[1] + g[2], s[1] + s[2]) + _product(g[0], s[2])
    offset = ((large - nearest) + small * size) + rest * size
    carry = (offset - 0.5).ceil()
    return (offset - carry).to(dtype), nearest + carry


def pieces(x: Tensor, bound: float) -> tuple[Tensor, Tensor, Tensor]:
    """Two float32 pieces of 11 bits and the float32 rest of float64 values below `bound` in size."""
    grid = 2.0 ** (_BITS - 1) / bound
    first = torch.round(x.detach() * grid) / grid
    second = torch.round((x.detach() - first) * (grid * 2**_BITS)) / (grid * 2**_BITS)
    rest = x - first - second
    return first.to(torch.float32), second.to(torch.float32), rest.to(torch.float32)
