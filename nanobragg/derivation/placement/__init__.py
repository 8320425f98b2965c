"""Beam, spindle and detector in the laboratory (spec physics.md sections 2 to 5 and 7; quirks.md part 1)."""

from nanobragg.derivation.placement.frame import convention_in_force, parallel
from nanobragg.derivation.placement.moved import apart
from nanobragg.derivation.placement.placed import Placement, place

__all__ = ["Placement", "apart", "convention_in_force", "parallel", "place"]
