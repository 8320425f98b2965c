"""Geometry in SMV headers of ADSC detectors and of the original program."""

from __future__ import annotations

import warnings

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.headers.flat import flat
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

    if number("TWOTHETA", 0.0):
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
    return flat(
        path, "PIXEL_SIZE", shape, (pixel, pixel), (fast, slow), distance, wavelength=number("WAVELENGTH"),
        start=number("OSC_START", number("PHI", 0.0)), width=number("OSC_RANGE", 0.0),
        exposure_s=number("TIME", 0.0) or None,
    )  # fmt: skip
