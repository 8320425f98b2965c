"""Beam, spindle and detector in the laboratory (docs/model.md, Laboratory frames to Detector placement)."""

from nanobragg.derivation.placement.frame import convention_in_force, parallel
from nanobragg.derivation.placement.moved import apart
from nanobragg.derivation.placement.placed import Placement, place

__all__ = ["Placement", "apart", "convention_in_force", "parallel", "place"]
