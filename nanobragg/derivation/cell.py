"""From unit cell or orientation matrix to the oriented crystal axes (docs/model.md, Unit cell)."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

import numpy as np

from nanobragg.arrays import elements
from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.constants import DBL_MIN, RTD
from nanobragg.derivation.orientations import misset_angles, uniform_rotation
from nanobragg.derivation.vectors import (
    FLOAT_OPS,
    Ops,
    Vec,
    cross,
    dot,
    floats,
    matvec,
    norm,
    radians,
    rescale,
    rotxyz,
    scale,
)
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Cell:
    """The crystal axes at phi = 0 without mosaic rotation."""

    a: Vec
    """[m], as b and c"""
    b: Vec
    c: Vec
    a_star: Vec
    """[1/Angstrom], as b_star and c_star"""
    b_star: Vec
    c_star: Vec
    volume: Any
    """signed [Angstrom^3]"""
    volume_star: Any
    misset_deg: tuple[float, float, float] | None = None
    """the three angles of a random orientation [degrees], when they were drawn as angles"""
    oddities: list[str] = field(default_factory=list)
    """the original's warnings about an impossible cell"""

    @property
    def lengths(self) -> tuple[Any, Any, Any]:
        """Lengths of a, b, c [m] (detached)."""
        return norm(floats(self.a), FLOAT_OPS), norm(floats(self.b), FLOAT_OPS), norm(floats(self.c), FLOAT_OPS)


_ODD = 1.0000001
"""A sine or cosine beyond this makes the original warn."""


@dataclass(frozen=True)
class Reciprocal:
    """Reciprocal vectors before orientation, and the cell they came from."""

    vectors: tuple[Vec, Vec, Vec]
    edges: Vec
    volume: Any
    oddities: list[str]


def oriented_cell(experiment: Experiment, ops: Ops) -> Cell:
    """Real and reciprocal axes in the laboratory frame.

    Parameters
    ----------
    experiment : Experiment
        Uses ``crystal.unit_cell``, ``a_star_matrix``, ``misset_deg`` and ``misset_seed``.
    ops : Ops
        Array namespace.

    Raises
    ------
    ConfigError
        For a singular matrix or a degenerate cell.
    """
    crystal = experiment.crystal
    route = None if crystal.unit_cell is None else reciprocal_from_cell(experiment, ops)
    if crystal.a_star_matrix is not None:
        a_s, b_s, c_s = (tuple(elements(row)) for row in _rows(ops.lift(crystal.a_star_matrix)))
    else:
        assert route is not None
        a_s, b_s, c_s = route.vectors
    misset_deg = None
    if isinstance(crystal.misset_deg, str):
        if Quirk.MISSET_RANDOM_90_RAD in experiment.quirks:
            angles = misset_angles(experiment)
            misset_deg = tuple(angle * RTD for angle in angles)
            a_s, b_s, c_s = (rotxyz(v, angles, ops) for v in (a_s, b_s, c_s))
        else:
            rotation = [float(x) for x in uniform_rotation(crystal.orientation_seed).ravel()]
            a_s, b_s, c_s = (matvec(rotation, v) for v in (a_s, b_s, c_s))
    else:
        x, y, z = (radians(angle, ops) for angle in elements(crystal.misset_deg))
        a_s, b_s, c_s = (rotxyz(v, (x, y, z), ops) for v in (a_s, b_s, c_s))

    ab, bc, ca = cross(a_s, b_s), cross(b_s, c_s), cross(c_s, a_s)
    v_star = dot(a_s, bc)
    if ops.is_float and (v_star == 0 or not math.isfinite(v_star)):
        raise ConfigError(
            "crystal.a_star_matrix" if route is None else "crystal.unit_cell",
            float(v_star),
            "the reciprocal cell volume must be finite and not 0",
            "the matrix or cell is singular",
        )
    if route is not None:
        a, b, c = route.edges
        bc = rescale(bc, a / route.volume, ops)
        ca = rescale(ca, b / route.volume, ops)
        ab = rescale(ab, c / route.volume, ops)
        v_star = 1 / route.volume
    volume = 1 / v_star
    real = (scale(bc, volume), scale(ca, volume), scale(ab, volume))
    star = (
        scale(cross(real[1], real[2]), v_star),
        scale(cross(real[2], real[0]), v_star),
        scale(cross(real[0], real[1]), v_star),
    )
    meters = [scale(axis, 1e-10) for axis in real]
    oddities = [] if route is None else list(route.oddities)
    return Cell(meters[0], meters[1], meters[2], *star, volume, v_star, misset_deg, oddities)


def unit_cell_vectors(experiment: Experiment) -> np.ndarray:
    """Rows a, b, c of the oriented crystal at phi = 0, shape (3, 3) [Angstrom]."""
    cell = oriented_cell(experiment, FLOAT_OPS)
    return np.array([cell.a, cell.b, cell.c]) * 1e10


@dataclass(frozen=True)
class CellParameters:
    """Lengths and angles of three axes as the original computes them for its report.

    sin(alpha) = |a*| V/(|b| |c|) and cos(alpha) = b . c/(|b| |c|), cyclic. Source: docs/command.md, The report.
    """

    lengths: tuple[float, float, float]
    sines: tuple[float, float, float]
    cosines: tuple[float, float, float]

    @property
    def angles(self) -> tuple[float, float, float]:
        """[degrees], from sine and cosine clamped to +-1; V is signed, so a left-handed set has negative angles."""
        x, y, z = (
            math.atan2(max(-1.0, min(1.0, s)), max(-1.0, min(1.0, c))) * RTD
            for s, c in zip(self.sines, self.cosines, strict=True)
        )
        return x, y, z

    @property
    def odd(self) -> bool:
        """Whether a sine or cosine exceeds 1: typed edges and volume that do not fit the directions."""
        return any(abs(x) > _ODD for x in (*self.sines, *self.cosines))


def cell_parameters(axes: tuple[Vec, Vec, Vec], volume: float, star: tuple[Vec, Vec, Vec]) -> CellParameters:
    """Lengths (in the axes' unit) and angles of `axes`, whose reciprocal set is `star`."""
    a, b, c = (norm(axis, FLOAT_OPS) for axis in axes)
    a_s, b_s, c_s = (norm(axis, FLOAT_OPS) for axis in star)
    sines = (a_s * volume / b / c, b_s * volume / c / a, c_s * volume / a / b)
    cosines = (dot(axes[1], axes[2]) / b / c, dot(axes[2], axes[0]) / c / a, dot(axes[0], axes[1]) / a / b)
    return CellParameters((a, b, c), sines, cosines)


def _rows(matrix: Any) -> list[Any]:
    return [matrix[i] for i in range(3)]


def reciprocal_from_cell(experiment: Experiment, ops: Ops) -> Reciprocal:
    """docs/model.md, Unit cell; a* along x, b* in the x-y plane [1/Angstrom]."""
    cell = experiment.crystal.unit_cell
    assert cell is not None
    a, b, c = (ops.lift(x) for x in (cell.a, cell.b, cell.c))
    alpha, beta, gamma = (radians(x, ops) for x in (cell.alpha, cell.beta, cell.gamma))
    sigma = (alpha + beta + gamma) / 2
    k = abs(ops.sin(sigma) * ops.sin(sigma - alpha) * ops.sin(sigma - beta) * ops.sin(sigma - gamma))
    volume = 2 * a * b * c * ops.sqrt(k)
    oddities: list[str] = []
    if ops.is_float and volume <= 0:
        oddities.append(f"WARNING: impossible unit cell volume: {volume:g}")
        volume = DBL_MIN
    v_star = 1 / volume
    a_len = b * c * ops.sin(alpha) * v_star
    b_len = c * a * ops.sin(beta) * v_star
    c_len = a * b * ops.sin(gamma) * v_star
    if ops.is_float and min(a_len, b_len, c_len) <= 0:
        oddities.append(f"WARNING: impossible reciprocal cell lengths: {a_len:g} {b_len:g} {c_len:g}")
        a_len, b_len, c_len = (abs(x) or DBL_MIN for x in (a_len, b_len, c_len))
    cos_a, cos_b, cos_g = ops.cos(alpha), ops.cos(beta), ops.cos(gamma)
    sin_a, sin_b, sin_g = ops.sin(alpha), ops.sin(beta), ops.sin(gamma)
    sin_gs = c * v_star / a_len / b_len
    cos_as = (cos_b * cos_g - cos_a) / (sin_b * sin_g)
    cos_bs = (cos_g * cos_a - cos_b) / (sin_g * sin_a)
    cos_gs = (cos_a * cos_b - cos_g) / (sin_a * sin_b)
    if ops.is_float:
        sin_as, sin_bs = a * v_star / b_len / c_len, b * v_star / c_len / a_len
        values = (sin_as, cos_as, sin_bs, cos_bs, sin_gs, cos_gs)
        if any(abs(x) > _ODD for x in values):
            names = (
                "sin(alpha_star) =",
                "cos(alpha_star) =",
                "sin(beta_star)  =",
                "cos(beta_star)  =",
                "sin(gamma_star) =",
                "cos9gamma_star) =",
            )
            oddities.append("WARNING: oddball reciprocal cell angles:")
            oddities.extend(f"{name} {x:.25g}" for name, x in zip(names, values, strict=True))
        sin_gs = max(-1.0, min(1.0, sin_gs))
        cos_as, cos_bs, cos_gs = (1.0 if x * x > 1 else x for x in (cos_as, cos_bs, cos_gs))
    zero = ops.lift(0.0)
    if Quirk.TRICLINIC_CELL in experiment.quirks:
        c_z = c_len * volume / (a * b * c * sin_gs)
    else:
        c_z = 1 / c
    vectors: tuple[Vec, Vec, Vec] = (
        (a_len, zero, zero),
        (b_len * cos_gs, b_len * sin_gs, zero),
        (c_len * cos_bs, c_len * (cos_as - cos_bs * cos_gs) / sin_gs, c_z),
    )
    return Reciprocal(vectors, (a, b, c), volume, oddities)
