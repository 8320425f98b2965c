"""miniCBF images with the header convention GENERIC_MINI, byte-offset compression by fabio (docs/file_formats.md)."""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.geometry.record import Geometry, flat_beam_center
from nanobragg.io.images.embedded import COMMENT
from nanobragg.io.optional import needed

_START = b"\x0c\x1a\x04\xd5"
"""What comes before the compressed data."""
_MASKED = -1
"""Value of a pixel that was not measured."""
_TYPES = {"signed 8-bit integer": "i1", "signed 16-bit integer": "i2", "signed 32-bit integer": "i4",
          "unsigned 8-bit integer": "u1", "unsigned 16-bit integer": "u2", "unsigned 32-bit integer": "u4"}  # fmt: skip


def save_cbf(
    path: str | PathLike[str], counts: Any, geometry: Geometry, *, image: int = 1, text: str | None = None
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

    Raises
    ------
    ConfigError
        For a tilted detector or several panels, and for expected photons in place of counts.
    """
    compression = needed("fabio.compression", "writing CBF")
    geometry = geometry.along_beam()
    fast, slow, distance = flat_beam_center(geometry, "a miniCBF header")
    panel = geometry.panels[0]
    pixels = whole_counts(counts, (panel.n_slow, panel.n_fast), np.int32)
    if panel.mask is not None:
        pixels = np.where(panel.mask, pixels, _MASKED).astype(np.int32)
    data = compression.compByteOffset(pixels.ravel())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000")
    width = geometry.osc or 0.0
    comments = [
        "Detector: nanobragg simulation, S/N 0", now, f"Pixel_size {panel.pixel_mm / 1000:.9g} m x {panel.pixel_mm / 1000:.9g} m",
        *([f"Silicon sensor, thickness {panel.thickness_mm / 1000:.6f} m"] if panel.thickness_mm else []),
        f"Exposure_time {geometry.exposure_s:.7f} s", f"Exposure_period {geometry.exposure_s:.7f} s", "Tau = 0 s",
        "Count_cutoff 2147483647 counts", f"Wavelength {geometry.wavelength:.12g} A",
        f"Detector_distance {distance / 1000:.12g} m",
        f"Beam_xy ({fast / panel.pixel_mm:.9f}, {slow / panel.pixel_mm:.9f}) pixels", f"Flux {geometry.flux or 0:g}",
        f"Start_angle {(geometry.phi_start or 0.0) + (image - 1) * width:.9g} deg.", f"Angle_increment {width:.9g} deg.",
        f"Polarization {geometry.kahn_factor or 0.0:.6g}",
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


def read_cbf(path: str | PathLike[str]) -> tuple[NDArray[Any], str]:
    """Read a CBF image with byte-offset compression.

    Returns
    -------
    pixels : (n_slow, n_fast) integers
        As stored; masked pixels are negative.
    header : str
        The text before the data.

    Raises
    ------
    FileFormatError
        When the file is no CBF, is truncated, or is compressed otherwise.
    """
    compression = needed("fabio.compression", "reading CBF")
    data = read_bytes(path)
    if not data.startswith(b"###CBF"):
        raise FileFormatError(path, "is not a CBF image: does not start with ###CBF", 1)
    begin = data.find(_START)
    if begin < 0:
        raise FileFormatError(path, "has no binary section; is it truncated?")
    header = data[:begin].decode("latin-1")
    if "x-cbf_byte_offset" not in header.lower():
        raise FileFormatError(path, "is not compressed with x-CBF_BYTE_OFFSET, the only scheme that is read")
    size, n_fast, n_slow = (
        _number(path, header, key)
        for key in ("X-Binary-Size", "X-Binary-Size-Fastest-Dimension", "X-Binary-Size-Second-Dimension")
    )
    begin += len(_START)
    if len(data) < begin + size:
        raise FileFormatError(
            path, f"{len(data) - begin} bytes of compressed pixels, expected {size}; is it truncated?"
        )
    kind = re.search(r'X-Binary-Element-Type:\s*"([^"]+)"', header)
    name = kind[1] if kind else "signed 32-bit integer"
    if name not in _TYPES:
        raise FileFormatError(path, f"holds {name} pixels; only integers are read")
    pixels = compression.decByteOffset(data[begin : begin + size], size=n_fast * n_slow)
    if pixels.size != n_fast * n_slow:
        raise FileFormatError(path, f"{pixels.size} pixels, expected {n_fast} x {n_slow}; is it damaged?")
    return np.asarray(pixels).astype(_TYPES[name]).reshape(n_slow, n_fast), header


def whole_counts(counts: Any, shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """Counts as an integer array of the detector's shape; expected photons are refused."""
    array = np.asarray(counts.detach().cpu() if is_tensor(counts) else counts)
    if array.shape != shape:
        raise ConfigError("counts", f"shape {array.shape}", f"must be the detector's {shape}")
    if array.dtype.kind not in "iub":
        raise ConfigError("counts", f"dtype {array.dtype}", "this format holds whole counts",
                          "use add_noise(image) or integer_image, or write_nxmx, TIFF or EDF for numbers")  # fmt: skip
    return np.clip(array, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def _number(path: str | PathLike[str], header: str, key: str) -> int:
    found = re.search(rf"^{key}:\s*(\d+)\s*$", header, re.MULTILINE)
    if not found:
        raise FileFormatError(path, f"the CBF header has no {key}")
    return int(found[1])


def _crlf(lines: list[str]) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode()
