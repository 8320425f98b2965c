"""A decided experiment: nothing is left open, and what was looked at on the way is kept for whoever comes next."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from nanobragg.config import Experiment
from nanobragg.config.serialize import all_replaced
from nanobragg.derivation.cell import Cell, oriented_cell
from nanobragg.derivation.decisions.notes import Notes
from nanobragg.derivation.decisions.size import CrystalSize, crystal_size, recommended_oversample
from nanobragg.derivation.placement import Placement, place
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False)
class Decided:
    """What `resolve` gives; `derive`, the quirk triggers, the reports and the writers read it.

    Placement, cell and size are plain floats, made when they are first asked for and then kept.
    """

    typed: Experiment
    """as the user wrote it"""
    experiment: Experiment
    """with every count, switch and enum decided"""
    notes: Notes

    @cached_property
    def placement(self) -> Placement:
        """Where beam, spindle and detector stand."""
        return place(self.experiment, FLOAT_OPS)

    @cached_property
    def cell(self) -> Cell:
        """The oriented crystal axes."""
        return oriented_cell(self.experiment, FLOAT_OPS)

    @cached_property
    def size(self) -> CrystalSize:
        """The crystal in cells."""
        return crystal_size(self.experiment, self.cell)

    @cached_property
    def recommended_oversample(self) -> int:
        """What automatic oversampling takes."""
        return recommended_oversample(self.experiment, self.cell, self.placement.distance, self.placement.pixel_size)

    def with_values(self, values: Mapping[str, Any]) -> Decided:
        """The same decisions with some continuous values replaced, by dotted path as in `Experiment.replace`."""
        experiment = all_replaced(self.experiment, values)
        kept = set()
        if all(path.startswith("crystal.") for path in values):
            kept.add("placement")
        if not any(path.startswith("crystal") for path in values):
            kept.add("cell")
        if not any(path.startswith(("crystal.n_cells", "crystal.size_mm")) or path == "crystal" for path in values):
            kept.add("size")  # a count: not decided again for another cell
        return self.carried(experiment, kept)

    def carried(self, experiment: Experiment, kept: set[str]) -> Decided:
        """Another experiment, for which what was found under the names `kept` still holds."""
        other = Decided(self.typed, experiment, self.notes)
        vars(other).update({name: found for name, found in vars(self).items() if name in kept})
        return other
