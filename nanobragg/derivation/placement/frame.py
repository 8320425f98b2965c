"""The vectors of beam, spindle and detector before the detector is turned (docs/model.md, Laboratory frames)."""

from __future__ import annotations

from typing import Any

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.vectors import FLOAT_OPS, Ops, Vec, cross, dot, floats, lifted, norm, scale, unit
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

VECTOR_FIELDS = (
    ("beam", "direction"),
    ("beam", "polarization_axis"),
    ("detector", "fast_axis"),
    ("detector", "slow_axis"),
    ("detector", "normal_axis"),
    ("detector", "twotheta_axis"),
    ("detector", "pix0_mm"),
    ("goniometer", "axis"),
)
"""(part, field) of every vector that a user may give."""


def convention_in_force(experiment: Experiment) -> str:
    """The named convention, or ``custom`` when a vector is given under CUSTOM_CHANGES_CENTRE."""
    if Quirk.CUSTOM_CHANGES_CENTRE in experiment.quirks:
        if any(getattr(getattr(experiment, part), field) is not None for part, field in VECTOR_FIELDS):
            return "custom"
    named: str = experiment.detector.convention
    return named


@dataclass(frozen=True)
class Frame:
    """Unit vectors, but for a two-theta axis under TWOTHETA_AXIS_NOT_UNIT."""

    beam: Vec
    polarization_axis: Vec
    spindle: Vec
    fast: Vec
    slow: Vec
    normal: Vec
    twotheta_axis: Vec
    normal_replaced: bool
    """the given normal was discarded (ODET_REPLACED)"""


def frame_of(experiment: Experiment, convention: str, ops: Ops) -> Frame:
    """The vectors as given, or those of the convention.

    Raises
    ------
    ConfigError
        For zero vectors, and axes that are parallel or not perpendicular, as far as no quirk in force admits them.
    """
    det, quirks, own = experiment.detector, experiment.quirks, CONVENTIONS[convention]
    beam = _unit_vector("beam.direction", experiment.beam.direction, own.beam, ops)
    polarization = experiment.beam.polarization_axis
    fast = _unit_vector("detector.fast_axis", det.fast_axis, own.fast, ops)
    slow = _unit_vector("detector.slow_axis", det.slow_axis, own.slow, ops)
    replaced = False
    if Quirk.ODET_REPLACED in quirks:
        normal = lifted(own.normal if det.normal_axis is None else det.normal_axis, ops)
        replaced = detached(norm(normal, ops)) != 1.0
        if replaced:
            _check_not_parallel(fast, slow, ops)
        normal = unit(cross(fast, slow) if replaced else normal, ops)
    else:
        normal = true_normal(experiment, convention, beam, fast, slow, ops)
    twotheta_axis = lifted(own.twotheta_axis if det.twotheta_axis is None else det.twotheta_axis, ops)
    if Quirk.TWOTHETA_AXIS_NOT_UNIT not in quirks:
        twotheta_axis = unit(twotheta_axis, ops)
    return Frame(
        beam, _unit_vector("beam.polarization_axis", polarization, own.polarization_axis, ops),
        _unit_vector("goniometer.axis", experiment.goniometer.axis, own.spindle, ops),
        fast, slow, normal, twotheta_axis, replaced,
    )  # fmt: skip


def true_normal(experiment: Experiment, convention: str, beam: Vec, fast: Vec, slow: Vec, ops: Ops) -> Vec:
    """The normal of the corrected model: as given, that of the convention, or fast x slow on the side of the beam.

    Raises
    ------
    ConfigError
        For axes that are parallel or not perpendicular.
    """
    det, own = experiment.detector, CONVENTIONS[convention]
    given = det.normal_axis
    if given is None and det.fast_axis is None and det.slow_axis is None:
        return lifted(own.normal, ops)
    _check_not_parallel(fast, slow, ops)
    if given is None:
        normal = unit(cross(fast, slow), ops)
        return scale(normal, ops.sign(dot(normal, beam)))
    normal = _unit_vector("detector.normal_axis", given, own.normal, ops)
    if ops.is_float and max(abs(dot(normal, fast)), abs(dot(normal, slow))) > 1e-6:
        raise ConfigError(
            "detector.normal_axis",
            given,
            "must be perpendicular to fast_axis and slow_axis within 1e-6",
            "leave it None to have it computed",
        )
    return normal


def parallel(fast: Vec, slow: Vec) -> bool:
    """Whether two unit vectors span no plane."""
    return bool(norm(cross(floats(fast), floats(slow)), FLOAT_OPS) < 1e-9)


def _unit_vector(path: str, given: Any, default: Any, ops: Ops) -> Vec:
    vector = lifted(default if given is None else given, ops)
    if ops.is_float and not any(vector):
        raise ConfigError(path, given, "must not be the zero vector")
    return unit(vector, ops)


def _check_not_parallel(fast: Vec, slow: Vec, ops: Ops) -> None:
    if ops.is_float and parallel(fast, slow):
        raise ConfigError("detector.slow_axis", floats(slow), f"must not be parallel to fast_axis={floats(fast)}")
