"""Geometry in SMV headers of ADSC detectors and of the original program."""

from __future__ import annotations

import dataclasses
import warnings

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import rotation
from nanobragg.io.geometry.headers.flat import SPINDLE, flat
from nanobragg.io.geometry.record import Geometry, Path

_TURNING = ("KAPPA", "CHI", "OMEGA_START_OFFSET")


def smv_geometry(path: Path, header: dict[str, str], shape: tuple[int, int]) -> Geometry:
    """What the header of an SMV image of (n_slow, n_fast) pixels says."""

    def number(key: str, default: float | None = None) -> float:
        if key not in header:
            if default is None:
                raise FileFormatError(path, f"the SMV header has no {key}")
            return default
        try:
            return float(header[key])
        except ValueError:
            raise FileFormatError(path, f"{key} is {header[key]!r}, not a number") from None

    swing = number("TWOTHETA", 0.0)
    if swing and "DENZO_X_BEAM" in header:
        raise FileFormatError(path, f"TWOTHETA={header['TWOTHETA']}: the header does not say about which axis; "
                              "use the experiment list (.expt) or NXmx")  # fmt: skip
    distance = number("DISTANCE")
    if "DENZO_X_BEAM" in header:  # our own header: BEAM_CENTER_X may be in any convention
        slow, fast = number("DENZO_X_BEAM"), number("DENZO_Y_BEAM")
        upright = abs(number("CLOSE_DISTANCE", distance) - distance) < 1e-5 * distance
        if not upright:
            raise FileFormatError(path, "the detector is tilted (CLOSE_DISTANCE is not DISTANCE), which the header does not "
                                  "describe; use the experiment list (.expt) or NXmx")  # fmt: skip
    else:
        slow, fast = number("BEAM_CENTER_X"), number("BEAM_CENTER_Y")
    turned = [f"{key}={header[key]}" for key in _TURNING if key in header and number(key)]
    if turned:
        warnings.warn(f"{path}: not used of the header: {', '.join(turned)}", NanoBraggWarning, stacklevel=2)
    pixel = number("PIXEL_SIZE")
    found = flat(
        path, "PIXEL_SIZE", shape, (pixel, pixel), (fast, slow), distance, wavelength=number("WAVELENGTH"),
        start=number("OSC_START", number("PHI", 0.0)), width=number("OSC_RANGE", 0.0),
        exposure_s=number("TIME", 0.0) or None,
    )  # fmt: skip
    if swing:
        warnings.warn(
            f"{path}: TWOTHETA={header['TWOTHETA']}: taken as a swing upwards about the horizontal axis, with the beam center "
            "that of the detector before it; the header says neither", NanoBraggWarning, stacklevel=2,
        )  # fmt: skip
        turn = rotation(SPINDLE, swing)
        panels = [
            dataclasses.replace(p, origin=turn @ p.origin, fast=turn @ p.fast, slow=turn @ p.slow) for p in found.panels
        ]
        found = dataclasses.replace(found, panels=tuple(panels))
    return found
