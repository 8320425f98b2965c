"""How many times a block counts, and blocks of unlike size (docs/crystals.md, Blocks)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, elements
from nanobragg.config import BlockSizes, Crystal
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import Ops

NODES = 5
_ANGSTROM3_PER_MM3 = 1e21
_LEAST_WIDTH = 1e-7
"""below which the nodes of a distribution have no derivative in floating point; the image does not notice"""


def cells_of_a_block(crystal: Crystal, n_cells: Any, ops: Ops) -> Any:
    """Na Nb Nc, or the determinant of the matrix."""
    if crystal.block_matrix is None:
        a, b, c = (ops.lift(n) for n in elements(n_cells))
        return a * b * c
    m = ops.lift(crystal.block_matrix)
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        + m[0, 1] * (m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


def number_of_blocks(crystal: Crystal, n_cells: Any, cell_volume: Any, ops: Ops) -> Any | None:
    """Blocks in the beam; None: one.

    Parameters
    ----------
    crystal : Crystal
    n_cells : (3,) numbers
    cell_volume : number
        [Angstrom^3]
    ops : Ops
    """
    if crystal.n_blocks is not None:
        return ops.lift(crystal.n_blocks)
    if crystal.volume_mm3 is None:
        return None
    block = cells_of_a_block(crystal, n_cells, ops) * abs(cell_volume)
    return ops.lift(crystal.volume_mm3) * _ANGSTROM3_PER_MM3 / block


def scaled(scene: Scene, factor: Any, *, background: bool = True) -> Scene:
    """The scene with `factor` times the spots, and its background once or not at all."""
    return replace(
        scene,
        steps=scene.steps / factor,
        background=scene.background / factor if background else scene.background * 0.0,
    )


def by_size(scene: Scene, sizes: BlockSizes, ops: Ops) -> tuple[Scene, ...]:
    """The scenes whose images add up to that of blocks of unlike size.

    With t the size over the mean one, w the share of the blocks and M the shape, the image is
    n_blocks SUM w F_latt^2(t M)/<t^3>: as many cells as without a distribution.
    """
    if not sizes.vary:
        return (scene,)
    width = ops.lift(sizes.width)
    here = max(detached(sizes.width), _LEAST_WIDTH)
    found = size_nodes(sizes.distribution, here)
    step = width - here  # 0, but for its gradient (and for a width below the least)
    size = [t + dt * step for t, dt in zip(found.size.tolist(), found.size_slope.tolist(), strict=True)]
    share = [w + dw * step for w, dw in zip(found.share.tolist(), found.share_slope.tolist(), strict=True)]
    cubes = sum(w * t * t * t for w, t in zip(share, size, strict=True))
    parts = []
    for i, (t, w) in enumerate(zip(size, share, strict=True)):
        part = scaled(scene, w / cubes, background=i == 0)
        parts.append(replace(part, n_cells=scene.n_cells * t, block_matrix=scene.block_matrix * t))
    return tuple(parts)


class SizeNodes:
    """Nodes and weights of a Gauss quadrature over a distribution of mean 1, and their derivatives by its width."""

    def __init__(self, size: Any, share: Any, size_slope: Any, share_slope: Any) -> None:
        self.size: NDArray[np.float64] = size
        self.share: NDArray[np.float64] = share
        self.size_slope: NDArray[np.float64] = size_slope
        self.share_slope: NDArray[np.float64] = share_slope


def size_nodes(distribution: str, width: float, n: int = NODES) -> SizeNodes:
    """Gauss quadrature with n nodes.

    Parameters
    ----------
    distribution : {"lognormal", "gamma"}
    width : float
        Standard deviation over the mean.

    Notes
    -----
    Log-normal: the nodes z of the Gauss-Hermite quadrature as t = exp(sigma z - sigma^2/2), sigma^2 = ln(1 + width^2). Gamma:
    nodes and weights from the eigenvalues of the Jacobi matrix of the Laguerre polynomials, exact for powers of t up to 2 n - 1
    (Golub and Welsch, Math. Comp. 23 (1969) 221).
    """
    k = np.arange(1.0, n)
    if distribution == "lognormal":
        z, vectors = np.linalg.eigh(np.diag(np.sqrt(k), 1) + np.diag(np.sqrt(k), -1))
        sigma = math.sqrt(math.log1p(width * width))
        size = np.exp(sigma * z - sigma * sigma / 2)
        slope = width / (sigma * (1 + width * width))
        return SizeNodes(size, vectors[0] ** 2, size * (z - sigma) * slope, np.zeros(n))
    s = width * width
    off = np.sqrt(k * s * (1 + (k - 1) * s))
    off_slope = k * (1 + 2 * (k - 1) * s) / (2 * off) * 2 * width
    matrix = np.diag(1 + 2 * s * np.arange(n)) + np.diag(off, 1) + np.diag(off, -1)
    slope_matrix = np.diag(4 * width * np.arange(n)) + np.diag(off_slope, 1) + np.diag(off_slope, -1)
    size, vectors = np.linalg.eigh(matrix)
    turned = vectors.T @ slope_matrix @ vectors
    gaps = size[None, :] - size[:, None] + np.eye(n)
    moved = vectors @ (turned * (1 - np.eye(n)) / gaps)
    return SizeNodes(size, vectors[0] ** 2, np.diag(turned).copy(), 2 * vectors[0] * moved[0])
