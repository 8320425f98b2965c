"""Geometry in miniCBF headers: comment lines of DECTRIS detectors (Pilatus, Eiger converted)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

import numpy as np

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import Array
from nanobragg.io.geometry.headers.flat import FAST, SLOW, SPINDLE, flat
from nanobragg.io.geometry.record import Geometry, Path
from nanobragg.io.images.embedded import COMMENT
from nanobragg.io.units import ANGSTROMS, MILLIMETRES, SECONDS, known
from nanobragg.sensor_materials import material_of

_REAL = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_UNIT = r"\s+([^\s,)]+)"
_CURVED = re.compile(r"\b(PILATUS\d?\s*X?\s*12M|HyPix-Arc)", re.IGNORECASE)
"""Detectors whose modules stand on a cylinder or an arc."""
_TURNING = ("Detector_Voffset", "Alpha", "Kappa", "Chi")
"""Items that change the geometry when they are not 0, in a way that the header does not say."""
_SCANNED = ("Omega", "Phi")
"""One of them is the axis that turns; the other one stands somewhere."""
_RECORD = re.compile(re.escape(COMMENT) + r'.*?"kahn_factor":\s*(-?[0-9.]+(?:[eE][+-]?\d+)?)\s*,\s*"polarized":\s*true')
_NO_PART = ("Flux", "Filter_transmission")
"""Items that have a meaning for intensities and are not used."""
_TURNS = {("X", "CW"), ("X",), ("OMEGA",), ("PHI",), ("OMEGA", "CW"), ("PHI", "CW")}
_ALONG = {"+FAST": FAST, "-FAST": -FAST, "+SLOW": -SLOW, "-SLOW": SLOW}
"""DIALS takes +y for +SLOW, although the slow axis of the detector is -y."""


def minicbf_geometry(path: Path, header: str, shape: tuple[int, int]) -> Geometry:
    """What the header of a miniCBF image of (n_slow, n_fast) pixels says."""
    lines = _Lines(path, header)
    curved = _CURVED.search(lines.text("Detector") or "")
    if curved:
        raise FileFormatError(path, f"# Detector: {curved[0]} is curved, which a miniCBF header does not describe; take the "
                              "geometry from an experiment list (.expt) of dials.import")  # fmt: skip
    edges = lines.values("Pixel_size", rf"{_REAL}{_UNIT}\s+x\s+{_REAL}{_UNIT}", "0.000172 m x 0.000172 m")
    size = tuple(float(edges[i]) * lines.factor("Pixel_size", edges[i + 1], MILLIMETRES) for i in (0, 2))
    beam = [
        float(x) for x in lines.values("Beam_xy", rf"\(\s*{_REAL}\s*,\s*{_REAL}\s*\)\s*pixels", "(30.5, 20.5) pixels")
    ]
    if lines.number("Detector_2theta"):
        raise FileFormatError(path, "Detector_2theta is not 0, about an axis that the header does not name; take the "
                              "geometry from an experiment list (.expt) or NXmx")  # fmt: skip
    polarization = lines.polarization()
    sensor = re.search(r"^#\s*([\w ]+?) sensor,", header, re.MULTILINE)
    name = f"{sensor[1]} sensor" if sensor else "Silicon sensor"
    thickness = lines.values(name, rf",?\s*thickness\s+{_REAL}{_UNIT}", None)
    geometry = flat(
        path, "Pixel_size", shape, (size[0], size[1]), (beam[0] * size[0], beam[1] * size[1]),
        lines.measure("Detector_distance", MILLIMETRES, "0.2 m"), wavelength=lines.measure("Wavelength", ANGSTROMS, "0.9793 A"),
        spindle=lines.spindle(), start=lines.number("Start_angle"), width=lines.number("Angle_increment"),
        exposure_s=lines.measure("Exposure_time", SECONDS, None) or None,
        polarization=polarization or None,  # 0 stands for none
        thickness_mm=float(thickness[0]) * lines.factor(name, thickness[1], MILLIMETRES) if thickness else 0.0,
        material=(material_of(name.removesuffix(" sensor")) or "") if thickness else "",
    )  # fmt: skip
    lines.tell_unused()
    return geometry


class _Lines:
    """The comment lines ``# Name value unit`` of a header."""

    def __init__(self, path: Path, header: str) -> None:
        self.path, self.header = path, header

    def text(self, key: str) -> str | None:
        found = re.search(rf"^#\s*{re.escape(key)}\b\s*[:=]?\s*(.*?)\s*$", self.header, re.MULTILINE)
        return None if found is None else found[1]

    def values(self, key: str, pattern: str, example: str | None) -> tuple[str, ...]:
        """The groups of a pattern that the value must match; empty where a line that need not be there is not."""
        text = self.text(key)
        if text is None:
            if example is None:
                return ()
            raise FileFormatError(
                self.path, f"the header has no line '# {key} ...' as miniCBF has it, for example '# {key} {example}'"
            )
        found = re.match(pattern, text)
        if found is None:
            raise FileFormatError(self.path, f"# {key} {text}: must look like {example or 'thickness 0.00045 m'}")
        return found.groups()

    def factor(self, key: str, unit: str, units: Mapping[str, float]) -> float:
        if unit.rstrip(".").lower() not in units:
            raise FileFormatError(self.path, f"# {key} {self.text(key)}: the unit {unit!r} is not known; known are "
                                  + known(units))  # fmt: skip
        return units[unit.rstrip(".").lower()]

    def measure(self, key: str, units: Mapping[str, float], example: str | None) -> float:
        """A number with its unit; 0 where a line that need not be there is not."""
        if example is None and self.text(key) is None:
            return 0.0
        number, unit = self.values(key, rf"{_REAL}{_UNIT}", example or "1 s")
        return float(number) * self.factor(key, unit, units)

    def number(self, key: str) -> float:
        """A number, angles in degrees; 0 where the line is not there."""
        text = self.text(key)
        if text is None:
            return 0.0
        found = re.match(rf"{_REAL}(?:\s+(\S+))?", text)
        if found is None:
            raise FileFormatError(self.path, f"# {key} {text}: is not a number")
        if (found[2] or "deg").lower().rstrip(".") not in ("deg", "degree", "degrees", "m"):
            raise FileFormatError(self.path, f"# {key} {text}: the unit {found[2]!r} is not known; known is deg.")
        return float(found[1])

    def spindle(self) -> Array:
        text = self.text("Oscillation_axis")
        if text is None:
            return SPINDLE
        words = [word for word in re.split(r"[.,\s]+", text.upper()) if word]
        along = _ALONG.get(words[-1]) if words else None
        turning = tuple(words[:-1] if along is not None else words)
        if turning not in _TURNS:
            self.warn(f"# Oscillation_axis {text}: is not understood; the axis (1, 0, 0) of DIALS is taken")
            return SPINDLE
        if along is None:
            return SPINDLE
        if along[1]:
            self.warn(f"# Oscillation_axis {text}: no standard says which way the slow axis is meant; "
                      f"(0, {along[1]:g}, 0) of DIALS is taken")  # fmt: skip
        return np.asarray(along)

    def polarization(self) -> float:
        """The horizontal fraction p; the first images of nanobragg wrote the Kahn factor, 2 p - 1, which their record tells."""
        found, record = self.number("Polarization"), _RECORD.search(self.header)
        kahn = None if record is None else float(record[1])
        return (1 + kahn) / 2 if kahn is not None and found and abs(found - kahn) < 1e-5 else found

    def tell_unused(self) -> None:
        found = [f"{key} {self.text(key)}" for key in _TURNING if self.number(key)]
        start = self.number("Start_angle")
        found += [f"{key} {self.text(key)}" for key in _SCANNED if self.number(key) not in (0.0, start)]
        found += [f"{key} {self.text(key)}" for key in _NO_PART if self.number(key)]
        if found:
            self.warn(f"not used of the header: {', '.join(found)}")

    def warn(self, problem: str) -> None:
        warnings.warn(f"{self.path}: {problem}", NanoBraggWarning, stacklevel=2)
