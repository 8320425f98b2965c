"""Geometry in the headers of images: SMV, miniCBF and NXmx (docs/file_formats.md, Image files)."""

from __future__ import annotations

import re
from os import PathLike, fspath

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes
from nanobragg.io.geometry.mosflm import is_matrix
from nanobragg.io.geometry.nexus import read_nxmx
from nanobragg.io.geometry.record import BEAM, Geometry, Panel, Path, square_pixel
from nanobragg.io.images.cbf import read_cbf
from nanobragg.io.images.image_file import image_format
from nanobragg.io.images.smv import load_smv

_FLAT_FAST, _FLAT_SLOW = np.array([1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
_SPINDLE = np.array([1.0, 0.0, 0.0])


def geometry_of_image(path: str | PathLike[str], image: int | None = None) -> Geometry:
    """Geometry of an image file.

    Parameters
    ----------
    path : path
        SMV, miniCBF or NXmx, told apart by the first bytes.
    image : int, optional
        Number of the image in a stack, from 1; None: the first.

    Raises
    ------
    FileFormatError
        When the format is another one, or the header lacks something; the message names the key or the place.
    """
    kind = image_format(path)
    if kind == "nxmx":
        return read_nxmx(path, image)
    if image not in (None, 1):
        raise FileFormatError(path, f"image={image}: it holds one image")
    if kind == "smv":
        return _smv(path)
    if kind == "cbf":
        return _cbf(path)
    raise FileFormatError(path, "has no geometry that is read: only SMV, miniCBF and NXmx have; convert it first")


def _smv(path: Path) -> Geometry:
    found = load_smv(path, strict=True)
    header, (n_slow, n_fast) = found.header, found.pixels.shape

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
    pixel = square_pixel(path, "PIXEL_SIZE", number("PIXEL_SIZE"), number("PIXEL_SIZE"))
    distance = number("DISTANCE")
    if "DENZO_X_BEAM" in header:  # our own header: BEAM_CENTER_X may be in any convention
        slow, fast = number("DENZO_X_BEAM"), number("DENZO_Y_BEAM")
        upright = abs(number("CLOSE_DISTANCE", distance) - distance) < 1e-5 * distance
        if not upright:
            raise FileFormatError(path, "the detector is tilted (CLOSE_DISTANCE is not DISTANCE), which the header does not "
                                  "describe; use the experiment list (.expt) or NXmx")  # fmt: skip
    else:
        slow, fast = number("BEAM_CENTER_X"), number("BEAM_CENTER_Y")
    return _flat(n_fast, n_slow, pixel, fast, slow, distance, number("WAVELENGTH"),
                 number("OSC_START", number("PHI", 0.0)), number("OSC_RANGE", 0.0), number("TIME", 1.0))  # fmt: skip


def _cbf(path: Path) -> Geometry:
    pixels, header = read_cbf(path)
    real = r"([-+]?[0-9.]+(?:[eE][-+]?\d+)?)"

    def numbers(key: str, pattern: str, default: float | None = None) -> list[float]:
        found = re.search(rf"^#\s*{key}\s*[:=]?\s*{pattern}", header, re.MULTILINE)
        if found is None:
            if default is None:
                raise FileFormatError(path, f"the header has no line '# {key} ...' as miniCBF has it")
            return [default]
        return [float(x) for x in found.groups()]

    if re.search(r"^_array_structure_list_axis", header, re.MULTILINE):
        raise FileFormatError(path, "is a full imgCIF, whose axes are not read; only miniCBF headers are")
    width, height = (1000 * x for x in numbers("Pixel_size", rf"{real} m x {real} m"))
    beam_fast, beam_slow = numbers("Beam_xy", rf"\({real},\s*{real}\) pixels")
    if numbers("Detector_2theta", real, 0.0)[0]:
        raise FileFormatError(path, "Detector_2theta is not 0, about an axis that the header does not name")
    pixel = square_pixel(path, "Pixel_size", width, height)
    n_slow, n_fast = pixels.shape
    return _flat(
        n_fast, n_slow, pixel, beam_fast * pixel, beam_slow * pixel, 1000 * numbers("Detector_distance", f"{real} m")[0],
        numbers("Wavelength", f"{real} A")[0], numbers("Start_angle", real, 0.0)[0],
        numbers("Angle_increment", real, 0.0)[0], numbers("Exposure_time", f"{real} s", 1.0)[0],
    )  # fmt: skip


def _flat(
    n_fast: int, n_slow: int, pixel: float, fast: float, slow: float, distance: float, wavelength: float, start: float,
    width: float, exposure: float,
) -> Geometry:  # fmt: skip
    """A detector at right angles to the beam; (fast, slow) is where the beam meets it [mm]."""
    panel = Panel(n_fast=n_fast, n_slow=n_slow, pixel_mm=pixel, origin=np.array([-fast, slow, -distance]), fast=_FLAT_FAST,
                  slow=_FLAT_SLOW)  # fmt: skip
    return Geometry(panels=(panel,), wavelength=wavelength, beam=BEAM, spindle=_SPINDLE, phi_start=start,
                    osc=width or None, exposure_s=exposure)  # fmt: skip


def kind_of_file(path: Path) -> str:
    """What a geometry file is, by name and content: expt, xparm, xds_inp, geom, stream, matrix or image."""
    name = fspath(path).lower()
    if image_format(path) != "other":
        return "image"
    text = read_bytes(path)[:4096].decode("latin-1")
    if text.lstrip().startswith("{"):
        return "expt"
    if text.lstrip().upper().startswith("XPARM"):
        return "xparm"
    if text.startswith("CrystFEL stream"):
        return "stream"
    if name.endswith(".geom") or re.search(r"^\s*\w+/(fs|ss|corner_x)\s*=", text, re.MULTILINE):
        return "geom"
    if re.search(r"\b(ORGX|DETECTOR_DISTANCE|OSCILLATION_RANGE)=", text):
        return "xds_inp"
    if is_matrix(path):
        return "matrix"
    raise FileFormatError(
        path, "is not a geometry file that is known: .expt, XPARM.XDS, XDS.INP, .geom, .stream, MOSFLM matrix or image"
    )
