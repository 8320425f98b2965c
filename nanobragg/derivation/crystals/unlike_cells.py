"""Unit cells of crystals that differ from each other, within the symmetry of their crystal system (docs/crystals.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import CellSpread, Experiment, UnitCell
from nanobragg.derivation.crystals.cell_ties import EDGES_AND_ANGLES, ties
from nanobragg.errors import ConfigError
from nanobragg.streams import Purpose, Stream, checked_seed


def drawn_cell(experiment: Experiment, spread: CellSpread, seed: int, shot: int) -> UnitCell:
    """The cell of one crystal.

    Parameters
    ----------
    experiment : Experiment
        Whose ``crystal.unit_cell`` is the mean; its space group, or the cell itself, says what is free.
    spread : CellSpread
    seed : int
        0 to 2^32 - 1.
    shot : int
        Number of the crystal: every one has a stream of its own, so that it can be drawn alone.

    Raises
    ------
    ConfigError
        For a crystal without a cell, several crystals, and a distribution that breaks the symmetry.

    Examples
    --------
    >>> import nanobragg as nb
    >>> crystal = nb.Crystal(unit_cell=nb.UnitCell(78, 78, 37, 90, 90, 90),
    ...                      structure_factors=nb.StructureFactors.constant(100.0))
    >>> cell = nb.drawn_cell(nb.Experiment(crystal=crystal), nb.CellSpread(a=0.002, b=0.002, c=0.004), seed=1, shot=0)
    >>> cell.a == cell.b, cell.a == 78.0
    (True, False)
    """
    if isinstance(experiment.crystal, tuple):
        raise ConfigError(
            "crystal", f"{len(experiment.crystal)} crystals", "must be one", "experiment.replace(crystal=one)"
        )
    if not isinstance(spread, CellSpread):
        raise ConfigError("spread", spread, "must be a CellSpread", "nanobragg.CellSpread(a=0.002, ...)")
    cell = experiment.crystal.unit_cell
    if cell is None:
        raise ConfigError("crystal.unit_cell", None, "is required for cells that differ", "give it beside the matrix")
    mean = np.array([detached(getattr(cell, name)) for name in EDGES_AND_ANGLES])
    system, free = ties(experiment, tuple(float(x) for x in mean))
    root = _root(spread, mean, system, free)
    deviates = Stream(checked_seed("seed", seed), Purpose.CELL, frame=checked_seed("shot", shot)).normal(6)[: len(free)]
    moved = mean.copy()
    for group, change in zip(free, root @ deviates, strict=True):
        moved[list(group)] += change
    return UnitCell(*(float(x) for x in moved))


def _root(
    spread: CellSpread, mean: NDArray[np.float64], system: str, free: tuple[tuple[int, ...], ...]
) -> NDArray[np.float64]:
    """A root of the covariance of the free elements [Angstrom, degrees]; what symmetry ties must be given alike."""
    if spread.covariance is None:
        widths = np.array(spread.widths) * np.concatenate([mean[:3], np.ones(3)])
        covariance = np.diag(widths**2)
        for group in free:  # given one by one, they move together
            for i in group:
                here, leader = spread.widths[i], spread.widths[group[0]]
                _alike(here == leader, EDGES_AND_ANGLES[i], here, system, EDGES_AND_ANGLES[group[0]], leader)
    else:
        covariance = spread.covariance
        for group in free:
            for i in group:
                row, first_row = covariance[i], covariance[group[0]]
                same = np.allclose(row, first_row, rtol=1e-9, atol=0)
                _alike(same, f"covariance[{i}]", row.tolist(), system, f"covariance[{group[0]}]", first_row.tolist())
    for i in set(range(6)) - {i for group in free for i in group}:
        if covariance[i].any():
            name = EDGES_AND_ANGLES[i]
            given = spread.covariance is None
            raise ConfigError(
                f"cell_spread.{name if given else f'covariance[{i}]'}",
                getattr(spread, name) if given else covariance[i].tolist(),
                f"breaks the symmetry: {name} is fixed in a {system} cell", "write 0",
            )  # fmt: skip
    first = [group[0] for group in free]
    values, vectors = np.linalg.eigh(covariance[np.ix_(first, first)])
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _alike(same: bool, name: str, value: Any, system: str, other: str, wanted: Any) -> None:
    if not same:
        raise ConfigError(
            f"cell_spread.{name}", value, f"breaks the symmetry of a {system} cell", f"write that of {other}, {wanted}"
        )
