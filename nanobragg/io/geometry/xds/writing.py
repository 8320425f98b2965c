"""XDS.INP and XPARM.XDS, written."""

from __future__ import annotations

import warnings

import numpy as np

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import write_bytes
from nanobragg.io.geometry.axes import FROM_XDS, Array
from nanobragg.io.geometry.record import BEAM, Geometry, Panel, Path, check_perpendicular, one_crystal, one_panel
from nanobragg.io.space_groups import P1, group_name, standard_number


def write_xds_inp(path: Path, geometry: Geometry, template: str = "image_????.cbf") -> None:
    """Write an XDS.INP that describes the geometry, and the crystal's axes as a start for indexing.

    Parameters
    ----------
    path : path
        The file.
    geometry : Geometry
        One panel.
    template : str
        Name of the images, with ``?`` for the digits.
    """
    xds = geometry.turned(FROM_XDS)
    panel = one_panel(xds, "XDS")
    org_x, org_y, distance = _org(panel)
    axis = np.array([1.0, 0.0, 0.0]) if xds.polarization_axis is None else xds.polarization_axis
    beam = FROM_XDS @ BEAM if xds.beam is None else xds.beam
    lines = [
        "! written by nanobragg",
        "JOB= XYCORR INIT COLSPOT IDXREF DEFPIX INTEGRATE CORRECT",
        "DETECTOR= PILATUS  MINIMUM_VALID_PIXEL_VALUE= 0  OVERLOAD= 1048575",
        f"NX= {panel.n_fast}  NY= {panel.n_slow}  QX= {_g(panel.edges_mm[0])}  QY= {_g(panel.edges_mm[1])}",
        f"ORGX= {_g(org_x)}  ORGY= {_g(org_y)}",
        f"DETECTOR_DISTANCE= {_g(distance)}",
        f"DIRECTION_OF_DETECTOR_X-AXIS= {_row(panel.fast)}",
        f"DIRECTION_OF_DETECTOR_Y-AXIS= {_row(panel.slow)}",
        f"X-RAY_WAVELENGTH= {_g(xds.wavelength or 1.0)}",
        f"INCIDENT_BEAM_DIRECTION= {_row(beam)}",
        f"FRACTION_OF_POLARIZATION= {_g((1 + (xds.kahn_factor or 0.0)) / 2)}",
        f"POLARIZATION_PLANE_NORMAL= {_row(np.cross(axis, beam))}",
    ]
    one_crystal(xds, "XDS")
    if xds.spindle is not None:
        lines += [f"ROTATION_AXIS= {_row(xds.spindle)}", f"OSCILLATION_RANGE= {_g(xds.osc or 0.0)}",
                  f"STARTING_ANGLE= {_g(xds.phi_start or 0.0)}  STARTING_FRAME= 1"]  # fmt: skip
    lines += [f"NAME_TEMPLATE_OF_DATA_FRAMES= {template}", f"DATA_RANGE= 1 {xds.n_images}",
              f"SPOT_RANGE= 1 {xds.n_images}", f"BACKGROUND_RANGE= 1 {min(10, xds.n_images)}"]  # fmt: skip
    if xds.a_star is not None:
        lines += [f"SPACE_GROUP_NUMBER= {_group(path, xds)}", f"UNIT_CELL_CONSTANTS= {_row(np.array(xds.parameters))}"]
        lines += [f"UNIT_CELL_{name}-AXIS= {_row(v)}" for name, v in zip("ABC", xds.axes, strict=True)]
    write_bytes(path, ["\n".join([*lines, ""]).encode()])


def write_xparm(path: Path, geometry: Geometry) -> None:
    """Write XPARM.XDS, with as many digits as it takes to read the same numbers back."""
    xds = geometry.turned(FROM_XDS)
    panel = one_panel(xds, "XDS")
    one_crystal(xds, "XDS")
    if xds.a_star is None or xds.beam is None or not xds.wavelength:
        raise FileFormatError(path, "XPARM.XDS needs a crystal and a beam")
    spindle = np.array([1.0, 0.0, 0.0]) if xds.spindle is None else xds.spindle
    lines = [
        " XPARM.XDS    VERSION written by nanobragg",
        f" 1 {_g(xds.phi_start or 0.0)} {_g(xds.osc or 0.0)} {_row(spindle)}",
        f" {_g(xds.wavelength)} {_row(xds.beam / xds.wavelength)}",
        f" {_group(path, xds)} {_row(np.array(xds.parameters))}",
        *(f" {_row(axis)}" for axis in xds.axes),
        f" 1 {panel.n_fast} {panel.n_slow} {_g(panel.edges_mm[0])} {_g(panel.edges_mm[1])}",
        f" {' '.join(_g(x) for x in _org(panel))}",
        f" {_row(panel.fast)}",
        f" {_row(panel.slow)}",
        f" {_row(panel.normal)}",
        f" 1 1 {panel.n_fast} 1 {panel.n_slow}",
        " 0.00 0.00 0.00 1.00000 0.00000 0.00000 0.00000 1.00000 0.00000",
    ]
    write_bytes(path, ["\n".join([*lines, ""]).encode()])


def _org(panel: Panel) -> tuple[float, float, float]:
    """ORGX, ORGY and the signed distance along fast x slow."""
    check_perpendicular(panel, "XDS")
    x, y = panel.pixel_of(np.zeros(3))
    return x + 0.5, y + 0.5, panel.distance


def _g(value: float) -> str:
    return repr(float(value))  # the shortest text that reads back the same


def _row(values: Array) -> str:
    return " ".join(_g(float(x)) for x in values)


def _group(path: Path, geometry: Geometry) -> int:
    """The number of the space group in the setting that XDS knows; P 1 with a warning where it is in another one."""
    if geometry.space_group is None or geometry.space_group == P1:
        return 1
    number = standard_number(geometry.space_group)
    if number is None:
        warnings.warn(f"{path}: space group {group_name(geometry.space_group)} is not in the setting that XDS knows; "
                      "1 (P 1) is written", NanoBraggWarning, stacklevel=3)  # fmt: skip
        return 1
    return number
