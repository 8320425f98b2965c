"""The detector on its rotations (docs/model.md, Detector placement)."""

from __future__ import annotations

from typing import Any

from nanobragg.arrays import elements
from nanobragg.config import Detector, Experiment
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.quirks import Quirk
from nanobragg.constants import DBL_MIN
from nanobragg.derivation.placement.center import Center
from nanobragg.derivation.placement.frame import convention_in_force, frame_of
from nanobragg.derivation.vectors import Ops, Vec, dot, radians, rotaxis, rotxyz


class Mount:
    """The detector on its rotations, before and after they turn it."""

    def __init__(self, experiment: Experiment, ops: Ops) -> None:
        det = experiment.detector
        self._ops, self._pivot, self._quirks = ops, det.pivot, experiment.quirks
        self.convention = convention_in_force(experiment)
        self.pivot = self.pivot_of(self.convention)
        edges = det.pixel_edges_mm
        self.pixel_size = ops.lift(edges[0]) / 1000, ops.lift(edges[1]) / 1000
        frame = self.frame = frame_of(experiment, self.convention, ops)
        x, y, z = (radians(angle, ops) for angle in elements(det.rotation_deg))
        self._rotation = (x, y, z)
        self.twotheta = radians(det.twotheta_deg, ops)
        self.facing = not_zero(dot(frame.beam, rotxyz(frame.normal, self._rotation, ops)), ops)
        """normal . beam, without the two-theta swing"""
        self.close_distance = self._close_distance(det)
        self.fast, self.slow, self.normal = self.turned(frame.fast), self.turned(frame.slow), self.turned(frame.normal)
        self.given_pix0: Vec | None = None
        if det.pix0_mm is not None:
            x, y, z = (ops.lift(item) / 1000 for item in elements(det.pix0_mm))
            self.given_pix0 = self.turned((x, y, z))
        self.honors_pix0 = det.pix0_mm is not None and Quirk.PIX0_IGNORED not in experiment.quirks

    def pivot_of(self, convention: str) -> str:
        """The pivot under a convention: as given, unless PIVOT_FORCED holds."""
        own = CONVENTIONS[convention].pivot
        return own if Quirk.PIVOT_FORCED in self._quirks and convention != "custom" else (self._pivot or own)

    def _close_distance(self, det: Detector) -> Any:
        if det.close_distance_mm is not None:
            return self._ops.lift(det.close_distance_mm) / 1000
        return abs(self.facing * (self._ops.lift(100.0 if det.distance_mm is None else det.distance_mm) / 1000))

    def turned(self, v: Vec, twotheta_axis: Vec | None = None) -> Vec:
        """A vector after the rotations and the two-theta swing."""
        axis = self.frame.twotheta_axis if twotheta_axis is None else twotheta_axis
        return rotaxis(rotxyz(v, self._rotation, self._ops), axis, self.twotheta, self._ops)

    def corner(self, center: Center, pivot: str) -> Vec:
        """The corner of the first pixel [m] that puts the reference point where the pivot wants it."""
        f, s, close, frame = center.fast, center.slow, self.close_distance, self.frame
        if pivot == "sample":
            x, y, z = (-f * frame.fast[k] - s * frame.slow[k] + close * frame.normal[k] for k in range(3))
            return self.turned((x, y, z))
        distance = close / self.facing
        x, y, z = (-f * self.fast[k] - s * self.slow[k] + distance * frame.beam[k] for k in range(3))
        return x, y, z


def not_zero(ratio: Any, ops: Ops) -> Any:
    """A float divisor that is never 0: the original's smallest number in place of it."""
    return DBL_MIN if ops.is_float and ratio == 0 else ratio
