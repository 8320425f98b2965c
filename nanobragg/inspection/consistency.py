"""Whether the structure factors fit the crystal and the detector: mismatches that render, but not what is meant."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from nanobragg.arrays import detached
from nanobragg.derivation.cell import Cell
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS

_EDGE, _ANGLE = 0.02, 2.0
"""Largest difference of cells that belong together: relative for edges, degrees for angles."""
_REACH = 0.99
"""The list may end this much before the corner of the detector."""


def structure_factor_mismatches(panels: Sequence[Decided]) -> Iterator[str]:
    """Texts of warnings for the panels of an experiment: another cell, a list that ends before the detector does."""
    decided = panels[0]
    experiment = decided.experiment
    table = experiment.crystal.structure_factors
    if table is None:
        return
    if table.unit_cell is not None:
        cell = crystal_cell(decided.cell)
        given = np.array(table.unit_cell)
        if (abs(cell / given - 1)[:3] > _EDGE).any() or (abs(cell - given)[3:] > _ANGLE).any():
            yield (
                f"crystal.unit_cell {_listed(cell)} differs from the cell of the structure factors {_listed(given)}; "
                "leave it out to take theirs"
            )
    if table.d_min_angstrom is not None and detached(table.default_F) == 0:
        reach = max(min(map(detector_resolution, panels)), experiment.sampling.d_min_angstrom or 0.0)
        if reach < _REACH * table.d_min_angstrom:
            yield (
                f"the detector reaches {reach:.3g} Angstrom, the structure factors end at {table.d_min_angstrom:.3g}: "
                "there is nothing beyond; give more of them or a default_F"
            )


def crystal_cell(cell: Cell) -> np.ndarray:
    """Edges [Angstrom] and angles [degrees] of a crystal, from its cell or its matrix."""
    axes = np.array([cell.a, cell.b, cell.c]) * 1e10
    edges = np.linalg.norm(axes, axis=1)
    cosines = [axes[i] @ axes[j] / edges[i] / edges[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    return np.array([*edges, *np.degrees(np.arccos(np.clip(cosines, -1, 1)))])


def detector_resolution(decided: Decided) -> float:
    """Spacing [Angstrom] at the corner of the rendered region that reaches farthest: lambda/(2 sin theta)."""
    p, experiment = decided.placement, decided.experiment
    det = experiment.detector
    roi = experiment.sampling.roi or (slice(None), slice(None))
    slow, fast = (part.indices(n) for part, n in zip(roi, (det.n_slow, det.n_fast), strict=True))
    sines = []
    for s, f in itertools.product(slow[:2], fast[:2]):
        along = f * p.pixel_size[0] * np.array(p.fast) + s * p.pixel_size[1] * np.array(p.slow)
        corner = np.array(p.pix0) + along
        cosine = corner @ np.array(p.beam) / np.linalg.norm(corner)
        sines.append(np.sqrt(max(0.0, (1 - cosine) / 2)))
    return float(wavelength_m(experiment, FLOAT_OPS) * 1e10 / (2 * max(max(sines), 1e-12)))


def _listed(cell: np.ndarray) -> str:
    return " ".join(f"{x:.6g}" for x in cell)
