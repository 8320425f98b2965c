"""Which quirks in force move something: what each of them decides is formed without it, too."""

from __future__ import annotations

from collections.abc import Iterable

from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.placement.center import Center
from nanobragg.derivation.placement.frame import Frame, frame_of, true_normal
from nanobragg.derivation.placement.mount import Mount
from nanobragg.derivation.vectors import FLOAT_OPS, Vec, dot, unit
from nanobragg.errors import ConfigError

_APART = 1e-9


def apart(one: Iterable[float], other: Iterable[float]) -> bool:
    """Whether two vectors or points differ by more than 1e-9 (of a unit vector, or meters)."""
    return any(abs(x - y) > _APART for x, y in zip(one, other, strict=True))


def moved_by(experiment: Experiment, mount: Mount, center: Center, pix0: Vec) -> dict[Quirk, bool]:
    """The quirks in force without which beam, spindle or detector would stand elsewhere.

    Parameters
    ----------
    experiment : Experiment
    mount, center : Mount, Center
        With plain floats.
    pix0 : tuple of float
        Corner of the first pixel [m] before the pose of all panels.

    Returns
    -------
    dict
        True where the experiment would be refused without the quirk.
    """
    det, quirks, frame = experiment.detector, experiment.quirks, mount.frame
    found: dict[Quirk, bool] = {}

    def elsewhere(other: Center, pivot: str) -> bool:
        return not mount.honors_pix0 and apart(mount.corner(other, pivot), pix0)

    def center_without(quirk: Quirk, convention: str = mount.convention) -> Center:
        return Center(det, quirks - {quirk}, convention, mount.pixel_size, FLOAT_OPS)

    centers = (det.beam_center_mm, det.beam_center_convention_mm, det.org_px, det.close_point_mm)
    for quirk, matters in (
        (Quirk.DETSIZE_NOT_ROUNDED, det.size_mm is not None),
        (Quirk.DEFAULT_CENTRE_SHIFT, det.beam_center_mm is None),
        (Quirk.XDS_BEAM_IGNORED, any(value is not None for value in centers)),
    ):
        if matters and quirk in quirks and elsewhere(center_without(quirk), mount.pivot):
            found[quirk] = False
    if mount.convention != det.convention:
        quirk = Quirk.CUSTOM_CHANGES_CENTRE
        try:
            other = frame_of(experiment, det.convention, FLOAT_OPS)
        except ConfigError:
            found[quirk] = True
        else:
            swung = mount.twotheta != 0 and apart(frame.twotheta_axis, other.twotheta_axis)
            named = center_without(quirk, det.convention)
            if swung or _turned(frame, other) or elsewhere(named, mount.pivot_of(det.convention)):
                found[quirk] = False
    if det.pivot not in (None, mount.pivot) and elsewhere(center, det.pivot):
        found[Quirk.PIVOT_FORCED] = False
    if Quirk.ODET_REPLACED in quirks and any(v is not None for v in (det.fast_axis, det.slow_axis, det.normal_axis)):
        try:
            normal = true_normal(experiment, mount.convention, frame.beam, frame.fast, frame.slow, FLOAT_OPS)
        except ConfigError:
            found[Quirk.ODET_REPLACED] = True
        else:
            if apart(frame.normal, normal) or abs(dot(frame.fast, frame.slow)) > _APART:
                found[Quirk.ODET_REPLACED] = False
    if Quirk.PIX0_IGNORED in quirks and mount.given_pix0 is not None and apart(pix0, mount.given_pix0):
        behind = dot(mount.given_pix0, mount.normal) <= 0
        found[Quirk.PIX0_IGNORED] = behind and Quirk.NEGATIVE_SOLID_ANGLE not in quirks
    if Quirk.TWOTHETA_AXIS_NOT_UNIT in quirks and det.twotheta_axis is not None:
        axis = unit(frame.twotheta_axis, FLOAT_OPS)
        if any(apart(mount.turned(v), mount.turned(v, axis)) for v in (frame.fast, frame.slow, frame.normal)):
            found[Quirk.TWOTHETA_AXIS_NOT_UNIT] = False
    return found


def _turned(one: Frame, other: Frame) -> bool:
    names = ("beam", "polarization_axis", "spindle", "fast", "slow", "normal")
    return any(apart(getattr(one, name), getattr(other, name)) for name in names)
