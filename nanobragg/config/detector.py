"""The detector: pixels, placement, sensor and mask."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from nanobragg.arrays import elements, is_tensor, read_only
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.config.image_chain.presets import preset
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.lazy import dataclass
from nanobragg.sensor_materials import MATERIALS

_NOT_ZERO = (lambda v: v != 0, "must not be 0")

_SCALAR: dict[str, Any] = {"kind": "scalar", "differentiable": True}
_VECTOR: dict[str, Any] = {"kind": "vector3", "differentiable": True}
_POINT: dict[str, Any] = {"kind": "vector2", "differentiable": True, "items_optional": True}


@dataclass(frozen=True, eq=False, kw_only=True)
class Sensor(Config):
    """A detector sensor of finite thickness, sampled in layers."""

    _path = "detector.sensor"
    thickness_um: Any = setting(
        0.0, **_SCALAR, unit="um", flags="-detector_thick", doc="of the sensitive layer; 0: no sensor"
    )
    attenuation_um: Any = setting(
        None, **_SCALAR, unit="um", flags="-detector_abs", check=NOT_NEGATIVE, infinite_ok=True,
        doc="1/e depth; inf or 0: no sensor; None: that of the material",
    )  # fmt: skip
    material: str | None = setting(
        None, kind="enum", choices=MATERIALS, doc="decides attenuation_um where it is None, at the energy of the beam"
    )
    n_layers: int | None = setting(
        None,
        kind="int",
        flags="-detector_thicksteps -thicksteps",
        check=AT_LEAST_ONE,
        doc="layers in which absorption is summed; None: two",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Detector(Config):
    """A flat (or curved) detector and its place in the laboratory."""

    _path = "detector"
    n_fast: int = setting(
        1024, kind="int", flags="-detpixels -detpixels_f -detsize", check=AT_LEAST_ONE, doc="pixels of a row"
    )
    n_slow: int = setting(1024, kind="int", flags="-detpixels -detpixels_s -detsize", check=AT_LEAST_ONE, doc="rows")
    pixel_size_mm: Any = setting(
        0.1, kind="edges", differentiable=True, unit="mm", check=POSITIVE, flags="-pixel",
        doc="edge of a pixel, or (fast, slow) where both differ",
    )  # fmt: skip
    size_mm: Any = setting(
        None, kind="vector2", items_optional=True, unit="mm", flags="-detsize", check=POSITIVE,
        doc="(fast, slow) as typed, when not pixels x pixel size; used by DETSIZE_NOT_ROUNDED only",
    )  # fmt: skip
    convention: str = setting(
        "mosflm",
        kind="enum",
        choices=tuple(CONVENTIONS),
        flags="-mosflm -denzo -adxv -xds -dials",
        doc="laboratory frame, vectors and rule of the beam center",
    )
    distance_mm: Any = setting(
        None, **_SCALAR, unit="mm", check=POSITIVE, flags="-distance",
        doc="along the beam; None: 100 mm unless close_distance_mm is given",
    )  # fmt: skip
    close_distance_mm: Any = setting(
        None, **_SCALAR, unit="mm", check=_NOT_ZERO, flags="-close_distance", doc="to the nearest point of the plane"
    )
    beam_center_mm: Any = setting(
        None, kind="vector2", differentiable=True, unit="mm",
        doc="(fast, slow) from the outer corner of pixel [0, 0], whatever the convention",
    )  # fmt: skip
    beam_center_convention_mm: Any = setting(
        None, **_POINT, unit="mm", flags="-Xbeam -Ybeam",
        doc="(X, Y) as the convention writes them; either may be None",
    )  # fmt: skip
    org_px: Any = setting(
        None, **_POINT, unit="pixels", flags="-ORGX -ORGY",
        doc="foot of the normal, pixel n spans n-0.5 ... n+0.5; either may be None",
    )  # fmt: skip
    close_point_mm: Any = setting(
        None, **_POINT, unit="mm", flags="-Xclose -Yclose",
        doc="foot of the normal (X fast, Y slow); either may be None",
    )  # fmt: skip
    pivot: str | None = setting(
        None, kind="enum", choices=("beam", "sample"), flags="-pivot", doc="None: by convention"
    )
    rotation_deg: Any = setting(
        (0.0, 0.0, 0.0),
        **_VECTOR,
        unit="degrees",
        flags="-detector_rotx -detector_roty -detector_rotz",
        doc="about lab x, y, z in that order",
    )
    twotheta_deg: Any = setting(
        0.0, **_SCALAR, unit="degrees", flags="-twotheta", doc="swing of the detector about twotheta_axis"
    )
    twotheta_axis: Any = setting(
        None, **_VECTOR, flags="-twotheta_axis", doc="lab frame, of twotheta_deg; None: by convention"
    )
    fast_axis: Any = setting(
        None, **_VECTOR, flags="-fdet_vector", doc="lab frame, along a row of pixels; None: by convention"
    )
    slow_axis: Any = setting(
        None, **_VECTOR, flags="-sdet_vector", doc="lab frame, from row to row; None: by convention"
    )
    normal_axis: Any = setting(
        None, **_VECTOR, flags="-odet_vector", doc="lab frame, from the sample to the detector; None: by convention"
    )
    pix0_mm: Any = setting(
        None, **_VECTOR, unit="mm", flags="-pix0_vector -pix0_vector_mm",
        doc="outer corner of pixel [0, 0] before rotations, lab frame",
    )  # fmt: skip
    curved: bool = setting(False, kind="bool", flags="-curved_det", doc="all pixels equidistant from the sample")
    point_pixel: bool = setting(False, kind="bool", flags="-point_pixel", doc="no obliquity in the solid angle")
    sensor: Sensor | None = setting(None, part=Sensor, doc="absorption in a layer of finite thickness; None: none")
    name: Any = setting(None, kind="symbol", doc="of the panel, in files that name panels")
    mask: Any = setting(
        None, kind="other", flags="-mask", doc="(n_slow, n_fast) bool, True = rendered; kept as a read-only copy"
    )

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Detector:
        """A detector by name: pixels, their size, the mask of its gaps, and the sensor where its thickness is known.

        Parameters
        ----------
        name : str
            As pilatus_6m, eiger2_16m, rayonix_mx225_2x2; `nanobragg.config.image_chain.presets.presets` lists them with
            sensor, sources and notes. Of detectors whose modules can be moved it is one module.
        **fields
            Other fields, as distance_mm; they win over those of the preset. A mask is combined with that of the gaps.

        Raises
        ------
        ConfigError
            For an unknown name, with the nearest ones; for fields that do not fit.
        """
        found = preset(name)
        if found.movable:
            text = f"{found.name}: this is one of its modules; nanobragg.read_geometry places all of them"
            warnings.warn(text, NanoBraggWarning, stacklevel=2)
        known = found.sensor["material"] in MATERIALS and "thickness_um" in found.sensor
        own = {
            "n_fast": found.n_fast,
            "n_slow": found.n_slow,
            "pixel_size_mm": found.pixel_mm,
            "mask": found.mask,
            "sensor": Sensor(**found.sensor) if known else None,
        }
        given = fields.get("mask")
        if given is not None and found.mask is not None and np.shape(given) == found.mask.shape:
            fields = {**fields, "mask": np.asarray(given, bool) & found.mask}
        return cls(**{**own, **fields})

    @property
    def pixel_edges_mm(self) -> tuple[Any, Any]:
        """Edges of a pixel along fast and slow [mm], numbers or 0-d tensors."""
        size = self.pixel_size_mm
        both = isinstance(size, tuple) or (is_tensor(size) and size.ndim)
        fast, slow = elements(size) if both else (size, size)
        return fast, slow

    def _check(self) -> None:
        if self.beam_center_mm is not None:
            if self.beam_center_convention_mm is not None:
                raise ConfigError(
                    "detector.beam_center_convention_mm",
                    self.beam_center_convention_mm,
                    "given together with beam_center_mm",
                    "give one of them",
                )
        if self.mask is not None:
            if is_tensor(self.mask):
                raise ConfigError(
                    "detector.mask", "a tensor", "is not differentiable and takes no tensor", "pass a numpy array"
                )
            try:
                mask = read_only(self.mask, bool)
            except ValueError:
                raise ConfigError("detector.mask", self.mask, "must be an array of True and False") from None
            if mask.shape != (self.n_slow, self.n_fast):
                raise ConfigError(
                    "detector.mask",
                    f"shape {mask.shape}",
                    f"must have the detector's shape {(self.n_slow, self.n_fast)} (slow, fast)",
                )
            object.__setattr__(self, "mask", mask)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pose(Config):
    """A rigid motion of the whole detector, every panel alike, after the panels' own placement.

    The panels are rotated about `origin_mm`, about lab x, then y, then z, and then shifted.
    """

    _path = "detector_pose"
    shift_mm: Any = setting((0.0, 0.0, 0.0), **_VECTOR, unit="mm", doc="lab frame")
    rotation_deg: Any = setting(
        (0.0, 0.0, 0.0), **_VECTOR, unit="degrees", doc="about lab x, y, z in that order, right-handed"
    )
    origin_mm: Any = setting(
        "sample", **_VECTOR, words=("sample",), unit="mm",
        doc="a point of the lab that the rotation leaves in place, or 'sample'",
    )  # fmt: skip
