"""A small experiment to vary."""

from __future__ import annotations

from typing import Any

import nanobragg as nb


def small(**parts: Any) -> nb.Experiment:
    """16 x 12 pixels, a 40 x 50 x 60 Angstrom cell of 3 x 3 x 3 cells, constant F; `parts` replace whole parts."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90),
        n_cells=(3, 3, 3),
        structure_factors=nb.StructureFactors.constant(10.0),
    )
    detector = nb.Detector(n_fast=16, n_slow=12, pixel_size_mm=1.0, distance_mm=50.0)
    return nb.Experiment(**{"crystal": crystal, "detector": detector, **parts})
