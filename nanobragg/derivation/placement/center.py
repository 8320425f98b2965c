"""Where the beam or the normal meets the detector (docs/model.md, Beam center)."""

from __future__ import annotations

from typing import Any

from nanobragg.arrays import elements
from nanobragg.config import Detector
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.vectors import Ops


class Center:
    """The reference point (fast, slow) [m] by the rules of the convention, and the numbers that reports print."""

    def __init__(
        self, det: Detector, quirks: frozenset[Quirk], convention: str, pixel: tuple[Any, Any], ops: Ops
    ) -> None:
        rule = CONVENTIONS[convention].center
        typed = (None, None) if det.size_mm is None or Quirk.DETSIZE_NOT_ROUNDED not in quirks else det.size_mm
        size_fast, size_slow = (
            edge * n if mm is None else ops.lift(mm) / 1000
            for edge, n, mm in zip(pixel, (det.n_fast, det.n_slow), typed, strict=True)
        )
        self.size_fast, self.size_slow = size_fast, size_slow
        """[m]: whole pixels, or the typed size under DETSIZE_NOT_ROUNDED"""
        org = (None, None) if det.org_px is None else elements(det.org_px)
        close_point = (None, None) if det.close_point_mm is None else elements(det.close_point_mm)
        given = (None, None) if det.beam_center_convention_mm is None else elements(det.beam_center_convention_mm)

        foot = [
            size / 2 if o is None else (ops.lift(o) - 0.5) * edge
            for o, size, edge in zip(org, (size_fast, size_slow), pixel, strict=True)
        ]
        self.xclose, self.yclose = (
            f if c is None else ops.lift(c) / 1000 for c, f in zip(close_point, foot, strict=True)
        )

        ignored = Quirk.XDS_BEAM_IGNORED in quirks
        shifted = Quirk.DEFAULT_CENTRE_SHIFT in quirks and rule.default_px is not None
        along = ((size_fast, pixel[0]), (size_slow, pixel[1]))
        if shifted:
            assert rule.default_px is not None
            x_default, y_default = (
                _shifted(*one, n) for one, n in zip(along[:: -1 if rule.x_is_slow else 1], rule.default_px, strict=True)
            )
        else:
            x_default, y_default = self._written(rule, size_fast / 2, size_slow / 2, pixel, size_slow)
        if rule.default_px is None:  # the close point is the default wherever no other default exists
            x_default, y_default = self.xclose, self.yclose
        x, y = (d if g is None else ops.lift(g) / 1000 for g, d in zip(given, (x_default, y_default), strict=True))
        self.xbeam, self.ybeam = x, y
        if rule.x_is_slow:
            fast, slow = y + rule.offset_px * pixel[0], x + rule.offset_px * pixel[1]
        else:
            fast, slow = x, (size_slow - y if rule.y_flipped else y)

        named = convention != "custom"
        if det.beam_center_mm is not None:
            fast, slow = (ops.lift(v) / 1000 for v in elements(det.beam_center_mm))
            self.xbeam, self.ybeam = self._written(rule, fast, slow, pixel, size_slow)
        elif ignored and named and rule.default_px is None:
            fast, slow = foot
        elif not ignored and rule.default_px is not None:
            given_fast, given_slow = (given[1], given[0]) if rule.x_is_slow else given
            if given_fast is None and (close_point[0] is not None or org[0] is not None):
                fast = self.xclose
            if given_slow is None and (close_point[1] is not None or org[1] is not None):
                slow = self.yclose
            self.xbeam, self.ybeam = self._written(rule, fast, slow, pixel, size_slow)
        self.fast, self.slow = fast, slow

    @staticmethod
    def _written(rule: Any, fast: Any, slow: Any, pixel: tuple[Any, Any], size_slow: Any) -> tuple[Any, Any]:
        """(X, Y) that the convention writes for the point (fast, slow)."""
        if rule.x_is_slow:
            return slow - rule.offset_px * pixel[1], fast - rule.offset_px * pixel[0]
        return fast, (size_slow - slow if rule.y_flipped else slow)


def _shifted(size: Any, pixel: Any, n: float) -> Any:
    return (size + pixel) / 2 if n > 0 else (size - pixel) / 2
