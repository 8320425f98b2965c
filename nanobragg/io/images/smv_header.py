"""SMV headers: geometry in the words of the original program, or as dxtbx reads them (docs/file_formats.md)."""

from __future__ import annotations

import datetime

from nanobragg.io.geometry.record import Geometry, flat_beam_center, one_edge
from nanobragg.io.images.smv import mandatory_entries, padded_header
from nanobragg.lazy import dataclass

_ORIGINAL_LENGTH = 512


@dataclass(frozen=True, kw_only=True)
class SmvGeometry:
    """What the header records; lengths in meters, as placed on the detector after all rotations."""

    n_fast: int
    n_slow: int
    pixel_size: float
    """[m]"""
    slow_size: float
    """[m]; pixels x pixel size, or as typed"""
    distance: float
    """[m]"""
    close_distance: float
    """[m]"""
    wavelength_angstrom: float
    beam_center: tuple[float, float]
    """(X, Y) as the convention writes them [m]"""
    beam_fast_slow: tuple[float, float]
    """(fast, slow) from the outer corner of pixel [0, 0] [m]"""
    dials_origin_mm: tuple[float, float, float]
    org_px: tuple[float, float]
    """(fast, slow)"""
    phi_deg: float
    osc_deg: float
    twotheta_deg: float

    def entries(self) -> list[tuple[str, str]]:
        """The lines after the mandatory ones, numbers as C's %g writes them."""
        fast, slow = self.beam_fast_slow
        half = self.pixel_size / 2.0
        millimeters = {
            "ADXV_CENTER_X": fast,
            "ADXV_CENTER_Y": self.slow_size - slow,
            "MOSFLM_CENTER_X": slow - half,
            "MOSFLM_CENTER_Y": fast - half,
            "DENZO_X_BEAM": slow,
            "DENZO_Y_BEAM": fast,
        }
        return [
            ("PIXEL_SIZE", f"{self.pixel_size * 1000.0:g}"),
            ("DISTANCE", f"{self.distance * 1000.0:g}"),
            ("WAVELENGTH", f"{self.wavelength_angstrom:g}"),
            ("BEAM_CENTER_X", f"{self.beam_center[0] * 1000.0:g}"),
            ("BEAM_CENTER_Y", f"{self.beam_center[1] * 1000.0:g}"),
            *((key, f"{value * 1000.0:g}") for key, value in millimeters.items()),
            ("DIALS_ORIGIN", ",".join(f"{x:g}" for x in self.dials_origin_mm)),
            ("XDS_ORGX", f"{self.org_px[0]:g}"),
            ("XDS_ORGY", f"{self.org_px[1]:g}"),
            ("CLOSE_DISTANCE", f"{self.close_distance * 1000.0:g}"),
            ("PHI", f"{self.phi_deg:g}"),
            ("OSC_START", f"{self.phi_deg:g}"),
            ("OSC_RANGE", f"{self.osc_deg:g}"),
            ("TWOTHETA", f"{self.twotheta_deg:g}"),
            ("DETECTOR_SN", "000"),
            ("BEAMLINE", "fake"),
        ]


def nanobragg_header(geometry: SmvGeometry, *, as_original: bool = False) -> bytes:
    """The whole header, ready for `nanobragg.io.write_smv`.

    Parameters
    ----------
    geometry : SmvGeometry
        What to record.
    as_original : bool
        Byte for byte as the original program: no semicolon after DIALS_ORIGIN (SMV_DIALS_LINE), and text longer
        than 512 bytes pushes the pixels back while HEADER_BYTES still says 512 (SMV_HEADER_OVERFLOW). Otherwise every
        line is terminated and the header grows in steps of 512 bytes.
    """
    entries = [*mandatory_entries(geometry.n_fast, geometry.n_slow), *geometry.entries()]
    if not as_original:
        return padded_header(entries)
    lines = "".join(f"{key}={value}\n" if key == "DIALS_ORIGIN" else f"{key}={value};\n" for key, value in entries)
    return f"{{\nHEADER_BYTES={_ORIGINAL_LENGTH};\n{lines}}}\f".encode().ljust(_ORIGINAL_LENGTH)


def adsc_entries(
    geometry: Geometry, image: int = 1, adc_offset: float = 0.0, saturation: int | None = None
) -> list[tuple[str, object]]:
    """Header entries after the mandatory ones in the words of an ADSC detector.

    They give dxtbx, XDS and MOSFLM the right geometry of a detector at right angles to the beam.

    Parameters
    ----------
    geometry : Geometry
        Of the first image of the scan.
    image : int
        Number of this image in the scan, from 1.
    adc_offset : float
        Added to the counts.
    saturation : int, optional
        Largest number of a pixel that is a count; None: that of the type.

    Raises
    ------
    ConfigError
        For a tilted detector or several panels.
    """
    geometry = geometry.along_beam()
    fast, slow, distance = flat_beam_center(geometry, "an SMV header")
    pixel = one_edge(geometry.panels[0].edges_mm, "an SMV header")
    width = geometry.osc or 0.0
    start = (geometry.phi_start or 0.0) + (image - 1) * width
    return [
        ("PIXEL_SIZE", f"{pixel:.12g}"), ("DISTANCE", f"{distance:.12g}"),
        ("WAVELENGTH", f"{geometry.wavelength:.12g}"), ("BEAM_CENTER_X", f"{slow:.12g}"),
        ("BEAM_CENTER_Y", f"{fast:.12g}"), ("PHI", f"{start:.12g}"), ("OSC_START", f"{start:.12g}"),
        ("OSC_RANGE", f"{width:.12g}"), ("AXIS", "phi"), ("TWOTHETA", "0"), ("TIME", f"{geometry.exposure:.12g}"),
        ("DATE", datetime.datetime.now(datetime.UTC).strftime("%a %b %d %H:%M:%S %Y")),
        ("DETECTOR_SN", "000"), ("IMAGE_PEDESTAL", f"{adc_offset:g}"), ("ADC_OFFSET", f"{adc_offset:g}"),
        ("CCD_IMAGE_SATURATION", 65535 if saturation is None else min(saturation, 65535)),
    ]  # fmt: skip
