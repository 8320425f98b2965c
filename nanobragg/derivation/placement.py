"""Beam, spindle and detector in the laboratory (spec physics.md sections 2 to 5 and 7; quirks.md part 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nanobragg.arrays import detached, elements
from nanobragg.config import Experiment, Pose
from nanobragg.config.conventions import CONVENTIONS, Convention
from nanobragg.config.quirks import Quirk
from nanobragg.constants import DBL_MIN
from nanobragg.derivation.vectors import (
    FLOAT_OPS,
    Ops,
    Vec,
    cross,
    dot,
    floats,
    lifted,
    norm,
    radians,
    rotaxis,
    rotxyz,
    scale,
    unit,
)
from nanobragg.errors import ConfigError

VECTOR_FIELDS = (
    ("beam", "direction", "beam"),
    ("beam", "polarization_axis", "polarization_axis"),
    ("detector", "fast_axis", "fast"),
    ("detector", "slow_axis", "slow"),
    ("detector", "normal_axis", "normal"),
    ("detector", "twotheta_axis", "twotheta_axis"),
    ("detector", "pix0_mm", ""),
    ("goniometer", "axis", "spindle"),
)
"""(part, field, attribute of Convention) of every vector that a user may give."""


@dataclass(frozen=True)
class Placement:
    """Where everything stands [m], after all rotations."""

    convention: str
    pivot: str
    beam: Vec
    polarization_axis: Vec
    spindle: Vec
    vertical: Vec
    """unit vector along beam x polarization axis"""
    fast: Vec
    slow: Vec
    normal: Vec
    twotheta_axis: Vec
    pix0: Vec
    close_distance: Any
    distance: Any
    pixel_size: Any
    size_fast: Any
    size_slow: Any
    fbeam: Any
    sbeam: Any
    fclose: Any
    sclose: Any
    xbeam: Any
    ybeam: Any
    xclose: Any
    yclose: Any
    org_x: Any
    """[pixels]"""
    org_y: Any
    normal_replaced: bool
    """the given normal was discarded (ODET_REPLACED)"""

    @property
    def dials_origin_mm(self) -> tuple[float, float, float]:
        """Corner of the first pixel in the DIALS frame [mm]."""
        x, y, z = floats(self.pix0)
        return 1000 * z, 1000 * y, -1000 * x


def convention_in_force(experiment: Experiment) -> str:
    """The named convention, or ``custom`` when a vector is given under CUSTOM_CHANGES_CENTRE."""
    given = any(getattr(getattr(experiment, part), field) is not None for part, field, _ in VECTOR_FIELDS)
    if given and Quirk.CUSTOM_CHANGES_CENTRE in experiment.quirks:
        return "custom"
    return experiment.detector.convention


def place(experiment: Experiment, ops: Ops) -> Placement:
    """Place beam and detector for a decided experiment.

    Raises
    ------
    ConfigError
        For axes that are parallel or not perpendicular, distances that contradict each other, and a detector behind the
        sample, as far as no quirk in force admits them.
    """
    det, quirks = experiment.detector, experiment.quirks
    name = convention_in_force(experiment)
    convention = CONVENTIONS[name]
    pivot = convention.pivot if (Quirk.PIVOT_FORCED in quirks and name != "custom") else (det.pivot or convention.pivot)
    beam, polarization_axis, spindle = (
        _frame_vector(experiment, part, field, convention, ops)
        for part, field in (("beam", "direction"), ("beam", "polarization_axis"), ("goniometer", "axis"))
    )
    vertical = unit(cross(beam, polarization_axis), ops)
    fast, slow, normal, replaced = _axes(experiment, convention, beam, ops)
    twotheta_axis = lifted(convention.twotheta_axis if det.twotheta_axis is None else det.twotheta_axis, ops)
    if Quirk.TWOTHETA_AXIS_NOT_UNIT not in quirks:
        twotheta_axis = unit(twotheta_axis, ops)

    pixel = ops.lift(det.pixel_size_mm) / 1000
    size_fast, size_slow = _sizes(experiment, pixel, ops)
    center = _Center(experiment, name, pixel, size_fast, size_slow, ops)
    x_rot, y_rot, z_rot = (radians(angle, ops) for angle in elements(det.rotation_deg))
    rotation = (x_rot, y_rot, z_rot)
    twotheta = radians(det.twotheta_deg, ops)

    def turned(v: Vec) -> Vec:
        return rotaxis(rotxyz(v, rotation, ops), twotheta_axis, twotheta, ops)

    ratio = dot(beam, rotxyz(normal, rotation, ops))
    facing = ratio
    if ops.is_float and ratio == 0:
        ratio = DBL_MIN
    close = _close_distance(experiment, ratio, ops)
    distance = close / ratio
    honour_pix0 = det.pix0_mm is not None and Quirk.PIX0_IGNORED not in quirks
    if honour_pix0:
        x, y, z = (ops.lift(item) / 1000 for item in elements(det.pix0_mm))
        pix0 = turned((x, y, z))
        fast, slow, normal = turned(fast), turned(slow), turned(normal)
    elif pivot == "sample":
        f, s = center.fast, center.slow
        x, y, z = (-f * fast[k] - s * slow[k] + close * normal[k] for k in range(3))
        pix0 = turned((x, y, z))
        fast, slow, normal = turned(fast), turned(slow), turned(normal)
    else:
        fast, slow, normal = turned(fast), turned(slow), turned(normal)
        f, s = center.fast, center.slow
        x, y, z = (-f * fast[k] - s * slow[k] + distance * beam[k] for k in range(3))
        pix0 = (x, y, z)
    if experiment.detector_pose is not None:
        pix0, fast, slow, normal = _posed(experiment.detector_pose, pix0, (fast, slow, normal), ops)

    fclose, sclose = -dot(pix0, fast), -dot(pix0, slow)
    close = dot(pix0, normal)
    if Quirk.TWOTHETA_DISTANCE not in quirks or honour_pix0:
        ratio = dot(beam, normal)
        if ops.is_float and ratio == 0:
            ratio = DBL_MIN
    distance = close / ratio
    x, y, z = (close / ratio * beam[k] - pix0[k] for k in range(3))
    fbeam, sbeam = dot(fast, (x, y, z)), dot(slow, (x, y, z))
    if ops.is_float and (close <= 0 or (facing < 0 and not honour_pix0)) and Quirk.NEGATIVE_SOLID_ANGLE not in quirks:
        raise ConfigError(
            "detector.normal_axis",
            det.normal_axis,
            f"the detector lies behind the sample or shows it its back (close distance {1000 * close:g} mm)",
            "turn the normal or the rotations round",
        )
    return Placement(
        convention=name, pivot=pivot, beam=beam, polarization_axis=polarization_axis, spindle=spindle, vertical=vertical,
        fast=fast, slow=slow, normal=normal, twotheta_axis=twotheta_axis, pix0=pix0, close_distance=close,
        distance=distance, pixel_size=pixel, size_fast=size_fast, size_slow=size_slow, fbeam=fbeam, sbeam=sbeam,
        fclose=fclose, sclose=sclose, xbeam=center.xbeam, ybeam=center.ybeam, xclose=center.xclose, yclose=center.yclose,
        org_x=fclose / pixel + 0.5, org_y=sclose / pixel + 0.5, normal_replaced=replaced,
    )  # fmt: skip


def _posed(pose: Pose, pix0: Vec, axes: tuple[Vec, Vec, Vec], ops: Ops) -> tuple[Vec, Vec, Vec, Vec]:
    """pix0 and axes after the motion that all panels share: v -> origin + R_z R_y R_x (v - origin) + shift."""
    x, y, z = (radians(angle, ops) for angle in elements(pose.rotation_deg))
    shift = [ops.lift(item) / 1000 for item in elements(pose.shift_mm)]
    point = (0.0, 0.0, 0.0) if isinstance(pose.origin_mm, str) else elements(pose.origin_mm)
    origin = [ops.lift(item) / 1000 for item in point]
    a, b, c = rotxyz((pix0[0] - origin[0], pix0[1] - origin[1], pix0[2] - origin[2]), (x, y, z), ops)
    fast, slow, normal = (rotxyz(axis, (x, y, z), ops) for axis in axes)
    return (a + origin[0] + shift[0], b + origin[1] + shift[1], c + origin[2] + shift[2]), fast, slow, normal


def _frame_vector(experiment: Experiment, part: str, field: str, convention: Convention, ops: Ops) -> Vec:
    given = getattr(getattr(experiment, part), field)
    attribute = next(attr for p, f, attr in VECTOR_FIELDS if (p, f) == (part, field))
    vector = lifted(getattr(convention, attribute) if given is None else given, ops)
    if ops.is_float and not any(vector):
        raise ConfigError(f"{part}.{field}", given, "must not be the zero vector")
    return unit(vector, ops)


def _axes(experiment: Experiment, convention: Convention, beam: Vec, ops: Ops) -> tuple[Vec, Vec, Vec, bool]:
    """Unit fast and slow axes, the normal, and whether a normal was discarded (physics.md section 5)."""
    det, quirks = experiment.detector, experiment.quirks
    fast = _frame_vector(experiment, "detector", "fast_axis", convention, ops)
    slow = _frame_vector(experiment, "detector", "slow_axis", convention, ops)
    unchecked = Quirk.ODET_REPLACED in quirks
    normal = lifted(convention.normal if det.normal_axis is None else det.normal_axis, ops)
    replaced = unchecked and detached(norm(normal, ops)) != 1.0
    if ops.is_float and (replaced or not unchecked) and parallel(fast, slow):
        raise ConfigError("detector.slow_axis", floats(slow), f"must not be parallel to fast_axis={floats(fast)}")
    if unchecked:
        return fast, slow, unit(cross(fast, slow) if replaced else normal, ops), replaced
    if det.normal_axis is not None:
        normal = _frame_vector(experiment, "detector", "normal_axis", convention, ops)
        _check_perpendicular(det.normal_axis, normal, fast, slow, ops)
        return fast, slow, normal, False
    if det.fast_axis is None and det.slow_axis is None:
        return fast, slow, lifted(convention.normal, ops), False
    normal = unit(cross(fast, slow), ops)
    return fast, slow, scale(normal, ops.sign(dot(normal, beam))), False


def parallel(fast: Vec, slow: Vec) -> bool:
    """Whether two unit vectors span no plane."""
    return norm(cross(floats(fast), floats(slow)), FLOAT_OPS) < 1e-9


def _check_perpendicular(given: Any, normal: Vec, fast: Vec, slow: Vec, ops: Ops) -> None:
    if ops.is_float and max(abs(dot(normal, fast)), abs(dot(normal, slow))) > 1e-6:
        raise ConfigError(
            "detector.normal_axis",
            given,
            "must be perpendicular to fast_axis and slow_axis within 1e-6",
            "leave it None to have it computed",
        )


def _sizes(experiment: Experiment, pixel: Any, ops: Ops) -> tuple[Any, Any]:
    """Detector size along fast and slow [m]: whole pixels, or the typed size under DETSIZE_NOT_ROUNDED."""
    det = experiment.detector
    typed = (None, None) if det.size_mm is None or Quirk.DETSIZE_NOT_ROUNDED not in experiment.quirks else det.size_mm
    fast, slow = (
        pixel * n if mm is None else ops.lift(mm) / 1000 for n, mm in zip((det.n_fast, det.n_slow), typed, strict=True)
    )
    return fast, slow


def _close_distance(experiment: Experiment, ratio: Any, ops: Ops) -> Any:
    det = experiment.detector
    if det.close_distance_mm is None:
        return abs(ratio * (ops.lift(100.0 if det.distance_mm is None else det.distance_mm) / 1000))
    return ops.lift(det.close_distance_mm) / 1000


class _Center:
    """The reference point (fast, slow) [m] by the rules of the convention, and the numbers that reports print."""

    def __init__(self, experiment: Experiment, name: str, pixel: Any, size_fast: Any, size_slow: Any, ops: Ops) -> None:
        det, quirks = experiment.detector, experiment.quirks
        rule = CONVENTIONS[name].center
        org = (None, None) if det.org_px is None else elements(det.org_px)
        close_point = (None, None) if det.close_point_mm is None else elements(det.close_point_mm)
        given = (None, None) if det.beam_center_convention_mm is None else elements(det.beam_center_convention_mm)

        foot = [
            size / 2 if o is None else (ops.lift(o) - 0.5) * pixel
            for o, size in zip(org, (size_fast, size_slow), strict=True)
        ]
        self.xclose, self.yclose = (
            f if c is None else ops.lift(c) / 1000 for c, f in zip(close_point, foot, strict=True)
        )

        ignored = Quirk.XDS_BEAM_IGNORED in quirks
        shifted = Quirk.DEFAULT_CENTRE_SHIFT in quirks and rule.default_px is not None
        size_x, size_y = (size_slow, size_fast) if rule.x_is_slow else (size_fast, size_slow)
        if shifted:
            assert rule.default_px is not None
            x_default, y_default = (
                _shifted(size, pixel, n) for size, n in zip((size_x, size_y), rule.default_px, strict=True)
            )
        else:
            x_default, y_default = self._written(rule, size_fast / 2, size_slow / 2, pixel, size_slow)
        if rule.default_px is None:  # the close point is the default wherever no other default exists
            x_default, y_default = self.xclose, self.yclose
        x, y = (d if g is None else ops.lift(g) / 1000 for g, d in zip(given, (x_default, y_default), strict=True))
        self.xbeam, self.ybeam = x, y
        if rule.x_is_slow:
            fast, slow = y + rule.offset_px * pixel, x + rule.offset_px * pixel
        else:
            fast, slow = x, (size_slow - y if rule.y_flipped else y)

        named = name != "custom"
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
    def _written(rule: Any, fast: Any, slow: Any, pixel: Any, size_slow: Any) -> tuple[Any, Any]:
        """(X, Y) that the convention writes for the point (fast, slow)."""
        if rule.x_is_slow:
            return slow - rule.offset_px * pixel, fast - rule.offset_px * pixel
        return fast, (size_slow - slow if rule.y_flipped else slow)


def _shifted(size: Any, pixel: Any, n: float) -> Any:
    return (size + pixel) / 2 if n > 0 else (size - pixel) / 2


def distances_agree(close: float, distance: float, ratio: float) -> bool:
    """True when close = |ratio| distance to 1e-6: the two typed distances describe one plane."""
    return math.isclose(close, abs(ratio) * distance, rel_tol=1e-6)
