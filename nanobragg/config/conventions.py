"""Detector and laboratory conventions as one data table (docs/model.md, Laboratory frames).

All vectors are in the laboratory frame; ``custom`` holds the original's initial values. How a convention writes its
beam center is data too: see `BeamCenterRule`.
"""

from __future__ import annotations

from nanobragg.lazy import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class BeamCenterRule:
    """How (X, Y) of a convention map to (fast, slow) measured from the outer corner of pixel [0, 0].

    ``fast = X``, ``slow = Y`` (or ``slow = D_slow - Y`` when `y_flipped`), or with `x_is_slow`
    ``fast = Y + offset_px p``, ``slow = X + offset_px p``.
    The original's default center is ``X = (D_x + default_px[0] p)/2``, ``Y = (D_y + default_px[1] p)/2``,
    with D_x the detector size along the axis X runs on; None: the close point, else the middle.
    """

    x_is_slow: bool = False
    y_flipped: bool = False
    offset_px: float = 0.0
    default_px: tuple[float, float] | None = None


@dataclass(frozen=True)
class Convention:
    """One row of the table: unit vectors of the frame, forced pivot and the beam-center rule."""

    beam: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    twotheta_axis: Vector
    polarization_axis: Vector
    spindle: Vector
    pivot: str
    center: BeamCenterRule


CONVENTIONS: dict[str, Convention] = {
    "mosflm": Convention(
        beam=(1, 0, 0),
        fast=(0, 0, 1),
        slow=(0, -1, 0),
        normal=(1, 0, 0),
        twotheta_axis=(0, 0, -1),
        polarization_axis=(0, 0, 1),
        spindle=(0, 0, 1),
        pivot="beam",
        center=BeamCenterRule(x_is_slow=True, offset_px=0.5, default_px=(1, 1)),
    ),
    "denzo": Convention(
        beam=(1, 0, 0),
        fast=(0, 0, 1),
        slow=(0, -1, 0),
        normal=(1, 0, 0),
        twotheta_axis=(0, 0, -1),
        polarization_axis=(0, 0, 1),
        spindle=(0, 0, 1),
        pivot="beam",
        center=BeamCenterRule(x_is_slow=True, offset_px=0.0, default_px=(1, 1)),
    ),
    "adxv": Convention(
        beam=(0, 0, 1),
        fast=(1, 0, 0),
        slow=(0, -1, 0),
        normal=(0, 0, 1),
        twotheta_axis=(-1, 0, 0),
        polarization_axis=(1, 0, 0),
        spindle=(1, 0, 0),
        pivot="beam",
        center=BeamCenterRule(y_flipped=True, default_px=(1, -1)),
    ),
    "xds": Convention(
        beam=(0, 0, 1),
        fast=(1, 0, 0),
        slow=(0, 1, 0),
        normal=(0, 0, 1),
        twotheta_axis=(1, 0, 0),
        polarization_axis=(1, 0, 0),
        spindle=(1, 0, 0),
        pivot="sample",
        center=BeamCenterRule(),
    ),
    "dials": Convention(
        beam=(0, 0, 1),
        fast=(1, 0, 0),
        slow=(0, 1, 0),
        normal=(0, 0, 1),
        twotheta_axis=(0, 1, 0),
        polarization_axis=(0, 1, 0),
        spindle=(0, 1, 0),
        pivot="sample",
        center=BeamCenterRule(),
    ),
    "custom": Convention(
        beam=(1, 0, 0),
        fast=(0, 0, 1),
        slow=(0, -1, 0),
        normal=(1, 0, 0),
        twotheta_axis=(0, 1, 0),
        polarization_axis=(0, 0, 1),
        spindle=(0, 0, 1),
        pivot="beam",
        center=BeamCenterRule(),
    ),
}
