"""Integrals of the squared lattice factor over a plane of reciprocal space, for every spot shape.

Round, gauss and tophat are functions f(t) of one squared distance t = |M (S - S_h)|^2 with M = diag(N) (a, b, c); the
integral of f over a plane at the squared distance t0 is pi times the integral of f from t0 to infinity (with the area
measured in the frame of M). The grating of the square crystal is the transform of a product of three tents, so that its
integral over a plane is a line integral of that product along the normal. Source: docs/model.md, Lattice factor; the
projection-slice theorem.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.constants import GAUSS_WIDTH, ROUND_SCALE, TOPHAT_CUT
from nanobragg.derivation.scene import Scene, Shape

_SMALL = 1e-3
# below this argument the spherical Bessel functions are evaluated by their series
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


def blocks(scene: Scene) -> tuple[NDArray[np.float64], float]:
    """M in cells, (3, 3), and its determinant: the number of cells in a block."""
    if scene.has_block_matrix:
        matrix = np.asarray(scene.block_matrix, dtype=np.float64)
        return matrix, float(np.linalg.det(matrix))
    n = np.asarray(scene.n_cells, dtype=np.float64)
    return np.diag(n), float(n.prod())


def volume_integral(scene: Scene) -> float:
    """Integral of F_latt^2 over one period of the indices, over Na Nb Nc."""
    fudge = _fudge(scene)
    if scene.shape is Shape.GAUSS:
        return (GAUSS_WIDTH * math.pi / 2 / fudge) ** 1.5
    if scene.shape is Shape.ROUND:
        return ROUND_SCALE**2 * 6 / math.pi / fudge**1.5
    if scene.shape is Shape.TOPHAT:
        return 4 * math.pi / 3 * (TOPHAT_CUT / fudge) ** 1.5
    return 1.0


def spread(scene: Scene) -> float:
    """Standard deviation of a spot along each axis of M; that of the Gaussian with the same middle, where there is none."""
    fudge = _fudge(scene)
    if fudge == 0:  # of round crystals, whose form is then the same everywhere
        return math.inf
    if scene.shape is Shape.GAUSS:
        return math.sqrt(GAUSS_WIDTH / (4 * fudge))
    if scene.shape is Shape.ROUND:
        return math.sqrt(5 / (2 * math.pi**2 * fudge))
    if scene.shape is Shape.TOPHAT:
        return math.sqrt(TOPHAT_CUT / (4 * fudge))
    return math.sqrt(3 / (2 * math.pi**2))


def reach(scene: Scene) -> float:
    """Distance from the reflection, in the frame of M, beyond which a spot holds less than a thousandth of its photons."""
    if scene.shape is Shape.TOPHAT:
        return math.sqrt(TOPHAT_CUT / _fudge(scene))
    return spread(scene) * (4.5 if scene.shape is Shape.GAUSS else 12.0)


def plane_integral(scene: Scene, distance_sqr: NDArray[Any], normal: NDArray[Any]) -> NDArray[np.float64]:
    """Integral of F_latt^2 over planes in the frame of M, over (Na Nb Nc)^2.

    Parameters
    ----------
    scene : Scene
        Shape, size and fudge factor of the crystal.
    distance_sqr : (n,) array
        Squared distances of the planes from the reflection.
    normal : (n, 3) array
        Unit normals of the planes in the frame of M; the grating alone looks at them.
    """
    fudge = _fudge(scene)
    if scene.shape is Shape.GAUSS:
        rate = 2 * fudge / GAUSS_WIDTH
        return np.asarray(math.pi / rate * np.exp(-rate * distance_sqr))
    if scene.shape is Shape.TOPHAT:
        return np.asarray(math.pi * np.maximum(TOPHAT_CUT / fudge - distance_sqr, 0.0))
    if scene.shape is Shape.ROUND:
        # 3 j1(x)/x squared, x^2 = pi^2 fudge t; d(j0^2 + j1^2)/dx = -4 j1^2/x
        x = math.pi * np.sqrt(fudge * distance_sqr)
        scale = ROUND_SCALE**2 * math.pi * 2 / (math.pi**2 * fudge) * 9 / 4
        return np.asarray(scale * _bessel_sqr(x))
    return _grating(np.sqrt(distance_sqr), normal)


def _bessel_sqr(x: NDArray[Any]) -> NDArray[Any]:
    """j0(x)^2 + j1(x)^2."""
    safe = np.where(x < _SMALL, 1.0, x)
    sine, cosine = np.sin(safe), np.cos(safe)
    value = (sine / safe) ** 2 + ((sine / safe - cosine) / safe) ** 2
    return np.where(x < _SMALL, 1.0 - 2 * x * x / 9, value)


def _grating(distance: NDArray[Any], normal: NDArray[Any]) -> NDArray[Any]:
    """The line integral of the three tents 1 - |r n_i|, times cos(2 pi r distance).

    In the frame of M every tent has the half width 1, and the integral of the squared sinc over its axis is 1.
    """
    components = np.abs(normal)
    end = 1.0 / components.max(-1)
    r = (_NODES + 1) / 2 * end[:, None]
    tents = np.prod(1 - r[..., None] * components[:, None, :], -1)
    wave = np.cos(2 * math.pi * r * distance[:, None])
    return np.maximum((tents * wave) @ _WEIGHTS * end, 0.0)


def _fudge(scene: Scene) -> float:
    return float(scene.fudge)
