"""Which elements of a unit cell are free: by the crystal system of its space group, or by the cell itself."""

from __future__ import annotations

from typing import Any

from nanobragg.config import Experiment
from nanobragg.io.optional import needed

EDGES_AND_ANGLES = ("a", "b", "c", "alpha", "beta", "gamma")
_SAME = 1e-3
"""Edges [Angstrom] and angles [degrees] that differ by less are taken for equal where no space group is known."""
_TIES: dict[str, tuple[tuple[int, ...], ...]] = {
    "triclinic": ((0,), (1,), (2,), (3,), (4,), (5,)),
    "monoclinic": ((0,), (1,), (2,), (4,)),
    "orthorhombic": ((0,), (1,), (2,)),
    "tetragonal": ((0, 1), (2,)),
    "trigonal": ((0, 1), (2,)),
    "hexagonal": ((0, 1), (2,)),
    "rhombohedral": ((0, 1, 2), (3, 4, 5)),
    "cubic": ((0, 1, 2),),
}
"""Elements of the cell that move together, by crystal system."""


def ties(experiment: Experiment, cell: tuple[float, ...]) -> tuple[str, tuple[tuple[int, ...], ...]]:
    """The crystal system, and which elements of the cell are free.

    By the space group, if there is one; else by the cell, whose angles of 90 and 120 degrees and equal edges stay so.
    """
    table = experiment.crystal.structure_factors
    group = experiment.crystal.space_group or (None if table is None else table.space_group)
    if group is not None:
        return _of_group(group, cell)
    edges, angles = cell[:3], cell[3:]
    right = [abs(angle - 90) < _SAME for angle in angles]
    ab, bc = abs(edges[0] - edges[1]) < _SAME, abs(edges[1] - edges[2]) < _SAME
    if all(right):
        system = "cubic" if ab and bc else "tetragonal" if ab else "orthorhombic"
    elif ab and right[0] and right[1] and abs(angles[2] - 120) < _SAME:
        system = "hexagonal"
    elif ab and bc and max(angles) - min(angles) < _SAME:
        system = "rhombohedral"
    elif sum(right) == 2:
        return "monoclinic", ((0,), (1,), (2,), (3 + right.index(False),))
    else:
        system = "triclinic"
    return system, _TIES[system]


def _of_group(group: Any, cell: tuple[float, ...]) -> tuple[str, tuple[tuple[int, ...], ...]]:
    gemmi = needed("gemmi", "the crystal system of a space group")
    name = str(group)
    try:
        if name[:1] in " -":
            found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(name))
        else:
            found = gemmi.SpaceGroup(int(group) if name.isdigit() else name)
    except (ValueError, RuntimeError):
        found = None
    if found is None:
        return "triclinic", _TIES["triclinic"]
    system = str(found.crystal_system_str())
    if system == "trigonal" and abs(cell[5] - 120) > 1:
        system = "rhombohedral"
    if system == "monoclinic":
        unique = next((i for i in range(3) if abs(cell[3 + i] - 90) > _SAME), 1)
        return system, ((0,), (1,), (2,), (3 + unique,))
    return system, _TIES[system]
