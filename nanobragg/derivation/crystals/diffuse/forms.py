"""The motions of a crystal as quadratic forms in its indices, one for each rotation of the Laue group that differs.

With h = (h, k, l) and A = (a*, b*, c*) as columns, in the axes a, c* x a, c* of the crystal,

    x(h) = 4 pi^2 h A^T diag(sigma^2) A h,        width(h) = 4 pi^2 h A^T diag(gamma^2) A h,

and Gamma_n(q - q_h) = 8 pi gamma_a gamma_b gamma_c/n^3 / (1 + width(h - h0)/n^2)^2. A rotation of the group takes both forms M to
W M W^T, W its integer matrix on fractional coordinates.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Crystal, Diffuse
from nanobragg.derivation.cell import Cell
from nanobragg.derivation.crystals.mosaic import crystal_axes
from nanobragg.derivation.vectors import FLOAT_OPS, Ops, Vec, dot, floats
from nanobragg.errors import ConfigError
from nanobragg.io.space_groups import laue_rotations
from nanobragg.lazy import dataclass

Form = list[list[Any]]
"""(3, 3), symmetric"""

FIRST_ORDER = 0.3
"""x up to which one order is enough: at 0.3 it holds 86 % of what the spots lose"""
MORE_ORDERS = 4
_SYMMETRIC = 0.02
"""How far a rotation of the group may be from orthogonal in the cell: measured cells follow their symmetry to 1 %."""


@dataclass(frozen=True)
class Motions:
    """The forms that differ, how much each counts, and which neighbors it is summed over."""

    displacement: list[Form]
    """x"""
    width: list[Form]
    weight: NDArray[np.float64]
    """(n,) sum 1"""
    turns: NDArray[np.int64]
    """(n_turns, 3, 3) matrices T: the neighbors of H are those of T H, turned back. Without them a cube of indices would have
    neighbors that the threefold axes of hexagonal cells take elsewhere"""
    counts: tuple[int, ...]
    """of the forms, which stand in this order, how many belong to each turn"""


def laue_group(crystal: Crystal) -> str | int:
    """The Laue group of a crystal, or a space group that stands for it; '-1' where nothing says."""
    table = crystal.structure_factors
    found = crystal.diffuse.laue_group or crystal.space_group or (table.space_group if table is not None else None)
    return "-1" if found is None else found


def motions(crystal: Crystal, cell: Cell, ops: Ops) -> Motions:
    """The forms of a crystal with displacements; `cell` is derived with `ops`.

    Raises
    ------
    ConfigError
        For a cell that has not the symmetry of the Laue group.
    """
    diffuse = crystal.diffuse
    star = _components(cell, crystal_axes(cell, ops))
    x, width = (_form(star, [ops.lift(v) for v in three]) for three in (diffuse.sigmas, diffuse.gammas))
    rotations, weight, turns, counts = _distinct(crystal, cell)
    return Motions([_turned(x, w) for w in rotations], [_turned(width, w) for w in rotations], weight, turns, counts)


def orders(crystal: Crystal, cell: Cell, longest: float) -> tuple[int, float]:
    """The orders that are enough for an image whose longest scattering vector is `longest` [1/m], and its largest x."""
    largest = largest_displacement(crystal, cell, longest)
    return 1 if largest <= FIRST_ORDER else MORE_ORDERS, largest


def mean_displacement(crystal: Crystal, cell: Cell, ops: Ops) -> Form:
    """x averaged over the group."""
    found = motions(crystal, cell, ops)
    return [
        [sum(float(w) * form[i][j] for w, form in zip(found.weight, found.displacement, strict=True)) for j in range(3)]
        for i in range(3)
    ]


def volume_of_correlation(diffuse: Diffuse, ops: Ops) -> Any:
    """8 pi gamma_a gamma_b gamma_c [Angstrom^3], the height of Gamma."""
    a, b, c = (ops.lift(x) for x in diffuse.gammas)
    return 8 * math.pi * a * b * c


def packed(form: Form, ops: Ops) -> Any:
    """(6,) coefficients of hh, kk, ll, hk, hl, kl."""
    off = [form[i][j] + form[j][i] for i, j in ((0, 1), (0, 2), (1, 2))]
    return ops.stack([form[0][0], form[1][1], form[2][2], *off])


def largest_displacement(crystal: Crystal, cell: Cell, longest: float) -> float:
    """The largest x in an image whose longest scattering vector is `longest` [1/m]."""
    found = motions(crystal, cell, FLOAT_OPS)
    star = np.array([cell.a_star, cell.b_star, cell.c_star])
    # x = q B q with q = A^T h: the largest eigenvalue of B = A^-1 form A^-T
    inverse = np.linalg.inv(star)
    largest = max(np.linalg.eigvalsh(inverse @ np.array(form, float) @ inverse.T).max() for form in found.displacement)
    return float(largest) * (longest * 1e-10) ** 2


def _components(cell: Cell, axes: tuple[Vec, Vec, Vec]) -> list[list[Any]]:
    """a*, b*, c* along the axes of the crystal [1/Angstrom]."""
    return [[dot(axis, star) for axis in axes] for star in (cell.a_star, cell.b_star, cell.c_star)]


def _form(star: list[list[Any]], size: list[Any]) -> Form:
    """4 pi^2 A^T diag(size^2) A."""
    return [
        [4 * math.pi**2 * sum(size[m] * size[m] * star[i][m] * star[j][m] for m in range(3)) for j in range(3)]
        for i in range(3)
    ]


def _turned(form: Form, turn: NDArray[np.int64]) -> Form:
    """W M W^T."""
    if np.array_equal(turn, np.eye(3)):
        return form
    found: Form = [[0.0] * 3 for _ in range(3)]
    for i, j, k, m in product(range(3), repeat=4):
        times = int(turn[i, k] * turn[j, m])
        if times:
            found[i][j] = found[i][j] + times * form[k][m]
    return found


def _distinct(
    crystal: Crystal, cell: Cell
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64], NDArray[np.int64], tuple[int, ...]]:
    """The rotations whose terms differ whatever sigma and gamma are, how much each counts, and their turns, see `Motions`.

    Two rotations R of the crystal's axes give the same R^T diag R where their rows are the same but for signs; so they all do
    with one sigma and one gamma. They have the same neighbors where one takes the axes of the indices to those of the other.
    """
    group, identity = laue_group(crystal), np.eye(3, dtype=np.int64)
    if group == "-1":
        return [identity], np.ones(1), identity[None], (1,)
    rotations = np.array(laue_rotations(group), np.int64)
    turned = _in_the_axes(crystal, cell, rotations)
    turns: list[NDArray[np.int64]] = []
    chosen: list[list[int]] = []
    counts: list[list[int]] = []
    for k, rotation in enumerate(rotations):
        turn = next((t for t, known in enumerate(turns) if _permutes(rotation.T, known)), len(turns))
        if turn == len(turns):
            turns.append(rotation.T)
            chosen.append([])
            counts.append([])
        same = next((i for i, c in enumerate(chosen[turn]) if turned is None or _alike(turned[c], turned[k])), None)
        if same is None:
            chosen[turn].append(k)
            counts[turn].append(1)
        else:
            counts[turn][same] += 1
    flat = [rotations[k] if turned is not None else identity for of_turn in chosen for k in of_turn]
    weight = np.array([count for of_turn in counts for count in of_turn]) / len(rotations)
    return flat, weight, np.array(turns), tuple(len(of_turn) for of_turn in chosen)


def _permutes(turn: NDArray[np.int64], known: NDArray[np.int64]) -> bool:
    """Whether turn = P known with P that takes axes of the indices to such."""
    p = np.rint(turn @ np.linalg.inv(known)).astype(np.int64)
    return bool((np.abs(p).sum(0) == 1).all() and (np.abs(p).sum(1) == 1).all())


def _alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether the rows of two rotations are the same but for signs."""
    return bool(np.abs(a[:, :, None] * a[:, None, :] - b[:, :, None] * b[:, None, :]).max() < 5 * _SYMMETRIC)


def _in_the_axes(crystal: Crystal, cell: Cell, rotations: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The rotations in the axes of the crystal (n, 3, 3); None: it does not matter which, for sigma and gamma are one number."""
    if crystal.diffuse.isotropic:
        return None
    vectors: dict[str, Any] = {
        name: floats(getattr(cell, name)) for name in ("a", "b", "c", "a_star", "b_star", "c_star")
    }
    plain = replace(cell, **vectors)
    a = np.array(_components(plain, crystal_axes(plain, FLOAT_OPS))).T
    turned = np.array([a @ w.T @ np.linalg.inv(a) for w in rotations])
    if np.abs(turned @ turned.transpose(0, 2, 1) - np.eye(3)).max() > _SYMMETRIC:
        raise ConfigError(
            "crystal.diffuse.laue_group", laue_group(crystal), "is not a symmetry of the cell",
            "write laue_group='-1', or the group of the cell",
        )  # fmt: skip
    return turned
