"""miniCBF images with the header convention GENERIC_MINI, written; byte-offset compression by fabio."""

from __future__ import annotations

import base64
import datetime
import hashlib
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.errors import ConfigError
from nanobragg.io.atomic import write_bytes
from nanobragg.io.geometry.record import Geometry, flat_beam_center
from nanobragg.io.images.counts import largest_count
from nanobragg.io.images.embedded import COMMENT
from nanobragg.io.optional import needed

_START = b"\x0c\x1a\x04\xd5"
"""What comes before the compressed data."""
_SENSORS = {"": "Silicon", "Si": "Silicon"}
"""Names of materials as headers have them, where they are not their formulas."""
_MASKED = -1
"""Value of a pixel that was not measured."""


def save_cbf(
    path: str | PathLike[str],
    counts: Any,
    geometry: Geometry,
    *,
    image: int = 1,
    text: str | None = None,
    saturation: int | None = None,
) -> None:
    """Write one image of counts with its geometry.

    Parameters
    ----------
    path : path
        The file.
    counts : (n_slow, n_fast) integers
        Masked pixels become -1.
    geometry : Geometry
        Of the first image of the scan.
    image : int
        Number of this image in the scan, from 1.
    text : str, optional
        A line of our own for the header, see `embedded`.
    saturation : int, optional
        Largest number of a pixel that is a count; None: that of the type.

    Raises
    ------
    ConfigError
        For a tilted detector or several panels, and for expected photons in place of counts.
    """
    compression = needed("fabio.compression", "writing CBF")
    geometry = geometry.along_beam()
    fast, slow, distance = flat_beam_center(geometry, "a miniCBF header")
    panel = geometry.panels[0]
    edges = panel.edges_mm
    pixels = whole_counts(counts, (panel.n_slow, panel.n_fast), np.int32)
    if panel.mask is not None:
        pixels = np.where(panel.mask, pixels, _MASKED).astype(np.int32)
    data = compression.compByteOffset(pixels.ravel())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000")
    width = geometry.osc or 0.0
    saturation = largest_count(counts) if saturation is None else saturation
    sensor = _SENSORS.get(panel.material, panel.material)
    comments = [
        "Detector: nanobragg simulation, S/N 0", now, f"Pixel_size {edges[0] / 1000:.9g} m x {edges[1] / 1000:.9g} m",
        *([f"{sensor} sensor, thickness {panel.thickness_mm / 1000:.9f} m"] if panel.thickness_mm else []),
        f"Exposure_time {geometry.exposure:.7f} s", f"Exposure_period {geometry.exposure:.7f} s", "Tau = 0 s",
        f"Count_cutoff {saturation} counts", f"Wavelength {geometry.wavelength:.12g} A",
        f"Detector_distance {distance / 1000:.12g} m",
        f"Beam_xy ({fast / edges[0]:.9f}, {slow / edges[1]:.9f}) pixels", f"Flux {geometry.flux or 0:g}",
        f"Start_angle {(geometry.phi_start or 0.0) + (image - 1) * width:.9g} deg.", f"Angle_increment {width:.9g} deg.",
        f"Polarization {(1 + (geometry.kahn_factor or 0.0)) / 2:.12g}",
    ]  # fmt: skip
    record = b"" if text is None else COMMENT.encode() + text.encode() + b"\r\n"
    lines = ["###CBF: VERSION 1.5, nanobragg", "", "data_image_1", "", '_array_data.header_convention "GENERIC_MINI"',
             "_array_data.header_contents", ";", *(f"# {line}" for line in comments)]  # fmt: skip
    tail = [";", "", "_array_data.data", ";", "--CIF-BINARY-FORMAT-SECTION--", "Content-Type: application/octet-stream;",
            '     conversions="x-CBF_BYTE_OFFSET"', "Content-Transfer-Encoding: BINARY", f"X-Binary-Size: {len(data)}",
            "X-Binary-ID: 1", 'X-Binary-Element-Type: "signed 32-bit integer"', "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
            f"Content-MD5: {base64.b64encode(hashlib.md5(data).digest()).decode()}",
            f"X-Binary-Number-of-Elements: {pixels.size}", f"X-Binary-Size-Fastest-Dimension: {panel.n_fast}",
            f"X-Binary-Size-Second-Dimension: {panel.n_slow}", "X-Binary-Size-Padding: 4095", "", ""]  # fmt: skip
    write_bytes(path, [_crlf(lines), record, _crlf(tail), _START, data, bytes(4095),
                       b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n\r\n"])  # fmt: skip


def whole_counts(counts: Any, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """Counts as an integer array of the detector's shape; expected photons are refused."""
    array = np.asarray(counts.detach().cpu() if is_tensor(counts) else counts)
    if array.shape != shape:
        raise ConfigError("counts", f"shape {array.shape}", f"must be the detector's {shape}")
    if array.dtype.kind not in "iub":
        raise ConfigError("counts", f"dtype {array.dtype}", "this format holds whole counts",
                          "use add_noise(image) or integer_image, or write_nxmx, TIFF or EDF for numbers")  # fmt: skip
    return np.clip(array, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def _crlf(lines: list[str]) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode()
