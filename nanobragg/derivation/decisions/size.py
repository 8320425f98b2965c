"""The size of the crystal in cells, and the sub-pixels that resolve its spots (docs/model.md, Crystal size)."""

from __future__ import annotations

import math
from typing import Any

from nanobragg.arrays import detached, elements, is_tensor
from nanobragg.config import Crystal, Experiment
from nanobragg.config.crystals.mosaic import plain_array
from nanobragg.config.quirks import Quirk
from nanobragg.constants import DEFAULT_BEAM_SIZE
from nanobragg.derivation.cell import Cell
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS, whole
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class CrystalSize:
    """The crystal in cells, and how it came about."""

    n_cells: tuple[Any, Any, Any]
    clipped: list[tuple[str, float, float]]
    """(direction, size [m], beam [m]) of every size that was clipped by the beam"""


def crystal_size(experiment: Experiment, cell: Cell, without: Quirk | None = None) -> CrystalSize:
    """Cells along a, b, c: from ``n_cells``, or from ``size_mm`` clipped by the beam.

    Parameters
    ----------
    experiment : Experiment
    cell : Cell
        In floats.
    without : Quirk, optional
        A quirk to leave out of those in force.

    Raises
    ------
    ConfigError
        For less than one cell without N_CLAMP.
    """
    crystal, quirks = experiment.crystal, experiment.quirks - {without}
    cells = _cells_of(crystal)
    clipped: list[tuple[str, float, float]] = []
    if crystal.size_mm is not None:
        sizes = [0.0 if s is None else s / 1000 for s in crystal.size_mm]
        beam_size = None if experiment.beam.size_mm is None else detached(experiment.beam.size_mm) / 1000
        if beam_size is None and Quirk.CLIP_DEFAULT_BEAM in quirks:
            beam_size = DEFAULT_BEAM_SIZE
        if beam_size is not None:
            for i, direction in ((1, "high"), (2, "wide")):
                if beam_size < sizes[i]:
                    clipped.append((direction, sizes[i], beam_size))
                    sizes[i] = beam_size
        for i, (size, edge) in enumerate(zip(sizes, cell.lengths, strict=True)):
            if size > 0:
                exact = Quirk.XTALSIZE_CEIL in quirks
                cells[i] = float(whole(size / edge) if exact else max(1, whole(size / edge + 0.5, math.floor)))
    for i, n in enumerate(cells):
        if detached(n) < 1:
            if Quirk.N_CLAMP not in quirks:
                raise ConfigError(
                    f"crystal.n_cells[{i}]", detached(n), "must be >= 1", "1 means no lattice factor along that axis"
                )
            cells[i] = 1.0
    if crystal.block_matrix is None and is_tensor(crystal.n_cells) and not clipped and crystal.size_mm is None:
        return CrystalSize(crystal.n_cells, clipped)
    return CrystalSize((cells[0], cells[1], cells[2]), clipped)


def _cells_of(crystal: Crystal) -> list[Any]:
    """Cells of a block along a, b, c: the diagonal of its matrix, where it has one."""
    if crystal.block_matrix is None:
        return elements(crystal.n_cells)
    found: list[Any] = plain_array(crystal.block_matrix).diagonal().tolist()
    return found


def recommended_oversample(experiment: Experiment, cell: Cell, distance: float, pixel_size: tuple[float, float]) -> int:
    """ceil(3 L/r) sub-pixels per axis: r = lambda distance/pixel, L the largest crystal edge (docs/model.md, Crystal size).

    Parameters
    ----------
    experiment : Experiment
        With the number of cells decided.
    cell : Cell
        In floats.
    distance : float
        [m]
    pixel_size : tuple of 2 float
        Along fast and slow [m]; the longer one counts.
    """
    largest = max(edge * detached(n) for edge, n in zip(cell.lengths, _cells_of(experiment.crystal), strict=True))
    reciprocal_pixel = wavelength_m(experiment, FLOAT_OPS) * distance / max(pixel_size)
    if reciprocal_pixel == 0:  # int(infinity) is the most negative integer in the original
        return 1
    return max(1, whole(3 * largest / reciprocal_pixel))
