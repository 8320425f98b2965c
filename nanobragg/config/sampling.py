"""How the exposure is sampled: spindle rotation, sub-pixels, interpolation, ROI."""

from __future__ import annotations

from typing import Any

from nanobragg.config.fields import AT_LEAST_ONE, POSITIVE, Config, setting
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class Goniometer(Config):
    """The rotation of the crystal during the exposure."""

    _path = "goniometer"
    phi_start_deg: Any = setting(
        0.0,
        kind="scalar",
        unit="degrees",
        differentiable=True,
        flags="-phi",
        doc="spindle angle at which the exposure begins",
    )
    osc_deg: Any = setting(
        None,
        kind="scalar",
        unit="degrees",
        differentiable=True,
        flags="-osc",
        doc="width of the rotation; None: a still",
    )
    step_deg: Any = setting(
        None,
        kind="scalar",
        unit="degrees",
        differentiable=True,
        flags="-phistep",
        doc="between the angles that are summed",
    )
    n_steps: int | None = setting(
        None,
        kind="int",
        flags="-phisteps",
        check=AT_LEAST_ONE,
        doc="angles that are summed; None: from osc_deg and step_deg",
    )
    axis: Any = setting(None, kind="vector3", differentiable=True, flags="-spindle_axis", doc="None: by convention")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sampling(Config):
    """How finely the sum is sampled, and which pixels are rendered."""

    _path = "sampling"
    oversample: int | None = setting(
        None,
        kind="int",
        flags="-oversample",
        check=AT_LEAST_ONE,
        doc="sub-pixels per axis; None: from crystal size and geometry",
    )
    interpolate: str | None = setting(
        None,
        kind="enum",
        choices=("nearest", "tricubic"),
        flags="-interpolate -nointerpolate",
        doc="None: tricubic when any of n_cells is <= 2",
    )
    d_min_angstrom: float | None = setting(
        None,
        kind="scalar",
        unit="Angstrom",
        flags="-dmin",
        check=POSITIVE,
        doc="nothing is rendered beyond this resolution",
    )
    roi: Any = setting(None, kind="other", flags="-roi", doc="(slow slice, fast slice), half-open")
    oversample_thick: bool = setting(False, kind="bool", flags="-oversample_thick", doc="reference quirk only")
    oversample_polar: bool = setting(False, kind="bool", flags="-oversample_polar", doc="reference quirk only")
    oversample_omega: bool = setting(False, kind="bool", flags="-oversample_omega", doc="reference quirk only")

    def _check(self) -> None:
        roi = self.roi
        if roi is not None and not (
            isinstance(roi, tuple | list) and len(roi) == 2 and all(isinstance(part, slice) for part in roi)
        ):
            raise ConfigError(
                "sampling.roi", roi, "must be (slow slice, fast slice)", "for example (slice(10, 20), slice(0, 50))"
            )
