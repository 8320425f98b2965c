"""Where everything stands: the pixels of the mounted detector, and the numbers that describe it (docs/model.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nanobragg.arrays import detached, elements, is_transformed
from nanobragg.config import Detector, Experiment, Pose
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.placement.center import Center
from nanobragg.derivation.placement.frame import Frame
from nanobragg.derivation.placement.mount import Mount, not_zero
from nanobragg.derivation.placement.moved import moved_by
from nanobragg.derivation.vectors import Ops, Vec, cross, dot, floats, norm, radians, rotxyz, unit
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

_SKEWED = 1e-7
"""Cosine of the angle between fast and slow above which it counts: below, the area of a pixel moves by less than 1e-14."""


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
    pixel_size: tuple[Any, Any]
    """edges along fast and slow"""
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
    distance_to_plane: Any
    """along the beam to the detector plane [m]; `distance` leaves two-theta out under TWOTHETA_DISTANCE"""
    normal_replaced: bool
    """the given normal was discarded (ODET_REPLACED)"""
    sine: Any
    """of the angle between fast and slow; None: they are perpendicular, or ODET_REPLACED takes them for it"""
    moved_by: dict[Quirk, bool]
    """with floats: the quirks without which something would stand elsewhere, or (True) would be refused"""

    @property
    def dials_origin_mm(self) -> tuple[float, float, float]:
        """Corner of the first pixel in the DIALS frame [mm]."""
        x, y, z = floats(self.pix0)
        return 1000 * z, 1000 * y, -1000 * x


def place(experiment: Experiment, ops: Ops) -> Placement:
    """Place beam and detector.

    Raises
    ------
    ConfigError
        For axes that are parallel or not perpendicular, distances that contradict each other, and a detector behind the
        sample, as far as no quirk in force admits them.
    """
    det, quirks = experiment.detector, experiment.quirks
    mount = Mount(experiment, ops)
    center = Center(det, quirks, mount.convention, mount.pixel_size, ops)
    frame, pixel = mount.frame, mount.pixel_size
    beam, fast, slow, normal = frame.beam, mount.fast, mount.slow, mount.normal
    if mount.given_pix0 is not None and mount.honors_pix0:
        pix0 = mount.given_pix0
    else:
        pix0 = mount.corner(center, mount.pivot)
    moved = moved_by(experiment, mount, center, pix0) if ops.is_float and quirks else {}
    if experiment.detector_pose is not None:
        pix0, fast, slow, normal = _posed(experiment.detector_pose, pix0, (fast, slow, normal), ops)

    sine = _sine(frame, quirks, ops)
    f, s = _along(pix0, fast, slow, sine)
    fclose, sclose = -f, -s
    close = dot(pix0, normal)
    distance = distance_to_plane = close / not_zero(dot(beam, normal), ops)
    if Quirk.TWOTHETA_DISTANCE in quirks and not mount.honors_pix0:
        distance = close / mount.facing
    x, y, z = (distance * beam[k] - pix0[k] for k in range(3))
    fbeam, sbeam = _along((x, y, z), fast, slow, sine)
    if ops.is_float:
        for quirk, error in _refusals(det, mount, close):
            if quirk not in quirks:
                raise error
            moved[quirk] = True
    return Placement(
        convention=mount.convention, pivot=mount.pivot, beam=beam, polarization_axis=frame.polarization_axis,
        spindle=frame.spindle, vertical=unit(cross(beam, frame.polarization_axis), ops), fast=fast, slow=slow,
        normal=normal, twotheta_axis=frame.twotheta_axis, pix0=pix0, close_distance=close, distance=distance,
        pixel_size=pixel, size_fast=center.size_fast, size_slow=center.size_slow, fbeam=fbeam, sbeam=sbeam,
        fclose=fclose, sclose=sclose, xbeam=center.xbeam, ybeam=center.ybeam, xclose=center.xclose, yclose=center.yclose,
        org_x=fclose / pixel[0] + 0.5, org_y=sclose / pixel[1] + 0.5, distance_to_plane=distance_to_plane,
        normal_replaced=frame.normal_replaced, sine=sine, moved_by=moved,
    )  # fmt: skip


def _sine(frame: Frame, quirks: frozenset[Quirk], ops: Ops) -> Any:
    """`Placement.sine`"""
    skew = dot(frame.fast, frame.slow)
    # the numbers of a transform cannot be looked at: its axes are taken as they may be
    if Quirk.ODET_REPLACED in quirks or (not is_transformed(skew) and abs(detached(skew)) <= _SKEWED):
        return None
    return norm(cross(frame.fast, frame.slow), ops)


def _along(point: Vec, fast: Vec, slow: Vec, sine: Any) -> tuple[Any, Any]:
    """Coordinates along fast and slow of a point, up to a part along the normal."""
    f, s = dot(point, fast), dot(point, slow)
    if sine is None:
        return f, s
    skew = dot(fast, slow)
    return (f - skew * s) / (sine * sine), (s - skew * f) / (sine * sine)


def _refusals(det: Detector, mount: Mount, close: float) -> Iterator[tuple[Quirk, ConfigError]]:
    """What the corrected model refuses, with the quirk that admits it."""
    if close <= 0 or (mount.facing < 0 and not mount.honors_pix0):
        yield (
            Quirk.NEGATIVE_SOLID_ANGLE,
            ConfigError(
                "detector.normal_axis",
                det.normal_axis,
                f"the detector lies behind the sample or shows it its back (close distance {1000 * close:g} mm)",
                "turn the normal or the rotations round",
            ),
        )
    if det.distance_mm is not None and det.close_distance_mm is not None:
        distance = detached(det.distance_mm)
        if not math.isclose(detached(det.close_distance_mm), abs(mount.facing) * distance, rel_tol=1e-6):
            yield (
                Quirk.CLOSE_DISTANCE_WINS,
                ConfigError(
                    "detector.close_distance_mm",
                    det.close_distance_mm,
                    f"contradicts distance_mm={distance:g}",
                    "give one of them",
                ),
            )


def _posed(pose: Pose, pix0: Vec, axes: tuple[Vec, Vec, Vec], ops: Ops) -> tuple[Vec, Vec, Vec, Vec]:
    """pix0 and axes after the motion that all panels share: v -> origin + R_z R_y R_x (v - origin) + shift."""
    x, y, z = (radians(angle, ops) for angle in elements(pose.rotation_deg))
    shift = [ops.lift(item) / 1000 for item in elements(pose.shift_mm)]
    point = (0.0, 0.0, 0.0) if isinstance(pose.origin_mm, str) else elements(pose.origin_mm)
    origin = [ops.lift(item) / 1000 for item in point]
    a, b, c = rotxyz((pix0[0] - origin[0], pix0[1] - origin[1], pix0[2] - origin[2]), (x, y, z), ops)
    fast, slow, normal = (rotxyz(axis, (x, y, z), ops) for axis in axes)
    return (a + origin[0] + shift[0], b + origin[1] + shift[1], c + origin[2] + shift[2]), fast, slow, normal
