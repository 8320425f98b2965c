"""XDS: XPARM.XDS, GXPARM.XDS and XDS.INP (docs/file_formats.md, Geometry files)."""

from __future__ import annotations

import re

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.geometry.axes import FROM_XDS, Array
from nanobragg.io.geometry.record import BEAM, Geometry, Panel, Path, one_panel, reciprocal, square_pixel
from nanobragg.io.optional import needed

_KEYWORD = re.compile(r"([A-Z][A-Z0-9_'/.\-]*)=")


def read_xds(path: Path, image: int | None = None) -> Geometry:
    """Read XPARM.XDS, GXPARM.XDS or XDS.INP; which one is seen from the content.

    Parameters
    ----------
    path : path
        The file.
    image : int, optional
        Number of the image; None: the first.

    Raises
    ------
    FileFormatError
        When the file is neither, is short, or describes a detector of several segments.
    """
    text = read_bytes(path).decode("latin-1")
    if text.lstrip().upper().startswith("XPARM"):
        return _read_xparm(path, text, image)
    if _KEYWORD.search(text):
        return _read_input(path, text, image)
    raise FileFormatError(path, "is neither XPARM.XDS (first word XPARM.XDS) nor XDS.INP (KEYWORD= values)")


def _read_xparm(path: Path, text: str, image: int | None) -> Geometry:
    lines = text.splitlines()
    counts = (6, 4, 7, 3, 3, 3, 5, 3, 3, 3, 3)
    if len(lines) < 12:
        raise FileFormatError(path, f"holds {len(lines)} lines, XPARM.XDS has at least 12; is it truncated?")
    rows: list[list[float]] = []
    for number, (line, n) in enumerate(zip(lines[1:12], counts, strict=True), 2):
        try:
            rows.append([float(token) for token in line.split()[:n]])
        except ValueError:
            raise FileFormatError(path, f"{line.strip()!r} are not {n} numbers", number) from None
        if len(rows[-1]) < n:
            raise FileFormatError(path, f"{len(rows[-1])} numbers, expected {n}", number)
    start_image, phi, osc, *axis = rows[0]
    n_segments, n_fast, n_slow, qx, qy = rows[6]
    if n_segments > 1:
        raise FileFormatError(path, f"describes {n_segments:g} detector segments; only one is read", 8)
    org_x, org_y, distance = rows[7]
    panel = _panel(path, n_fast, n_slow, qx, qy, org_x, org_y, distance, np.array(rows[8]), np.array(rows[9]),
                   np.array(rows[10]))  # fmt: skip
    axes = np.array(rows[3:6])
    if not abs(np.linalg.det(axes)) > 0:
        raise FileFormatError(path, "a, b, c lie in a plane", 5)
    return _in_dials_frame(
        panel, wavelength=rows[1][0], beam=np.array(rows[1][1:]), spindle=np.array(axis),
        phi=phi + (0.0 if image is None else (image - start_image) * osc), osc=osc, axes=axes,
        group=_group_number(path, rows[2][0]), polarization=None,
    )  # fmt: skip


def _read_input(path: Path, text: str, image: int | None) -> Geometry:
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        line = line.partition("!")[0]
        found = list(_KEYWORD.finditer(line))
        for i, match in enumerate(found):
            end = found[i + 1].start() if i + 1 < len(found) else len(line)
            values[match[1]] = line[match.end() : end].split()

    def numbers(key: str, n: int = 1, default: list[float] | None = None) -> list[float]:
        if key not in values:
            if default is None:
                raise FileFormatError(path, f"has no {key}=")
            return default
        try:
            row = [float(token) for token in values[key][:n]]
        except ValueError:
            raise FileFormatError(path, f"{key}= {' '.join(values[key])}: not {n} numbers") from None
        if len(row) < n:
            raise FileFormatError(path, f"{key}= {' '.join(values[key])}: {len(row)} numbers, expected {n}")
        return row

    if "SEGMENT" in values:
        raise FileFormatError(path, "SEGMENT=: detectors of several segments are not read")
    x = np.array(numbers("DIRECTION_OF_DETECTOR_X-AXIS", 3, [1.0, 0.0, 0.0]))
    y = np.array(numbers("DIRECTION_OF_DETECTOR_Y-AXIS", 3, [0.0, 1.0, 0.0]))
    panel = _panel(path, numbers("NX")[0], numbers("NY")[0], numbers("QX")[0], numbers("QY")[0], numbers("ORGX")[0],
                   numbers("ORGY")[0], numbers("DETECTOR_DISTANCE")[0], x, y, np.cross(x, y))  # fmt: skip
    beam = np.array(numbers("INCIDENT_BEAM_DIRECTION", 3, [0.0, 0.0, 1.0]))
    axes = None
    if all(f"UNIT_CELL_{name}-AXIS" in values for name in "ABC"):
        axes = np.array([numbers(f"UNIT_CELL_{name}-AXIS", 3) for name in "ABC"])
        if not abs(np.linalg.det(axes)) > 0:
            raise FileFormatError(path, "UNIT_CELL_A-, B-, C-AXIS=: lie in a plane")
    cell = tuple(numbers("UNIT_CELL_CONSTANTS", 6)) if "UNIT_CELL_CONSTANTS" in values else None
    osc = numbers("OSCILLATION_RANGE", 1, [0.0])[0]
    first = numbers("STARTING_FRAME", 1, numbers("DATA_RANGE", 1, [1.0]))[0]
    phi = numbers("STARTING_ANGLE", 1, [0.0])[0] + (0.0 if image is None else (image - first) * osc)
    group = _group_number(path, numbers("SPACE_GROUP_NUMBER", 1, [0.0])[0])
    fraction = numbers("FRACTION_OF_POLARIZATION", 1, [0.5])[0]
    normal = np.array(numbers("POLARIZATION_PLANE_NORMAL", 3, [0.0, 1.0, 0.0]))
    return _in_dials_frame(
        panel, wavelength=numbers("X-RAY_WAVELENGTH")[0], beam=beam, spindle=np.array(numbers("ROTATION_AXIS", 3)),
        phi=phi, osc=osc, axes=axes, group=group, polarization=(fraction, normal), cell=cell,
    )  # fmt: skip


def _panel(
    path: Path, n_fast: float, n_slow: float, qx: float, qy: float, org_x: float, org_y: float, distance: float,
    x: Array, y: Array, normal: Array,
) -> Panel:  # fmt: skip
    pixel = square_pixel(path, "QX, QY", qx, qy)
    if not (1 <= n_fast < 2**31 and 1 <= n_slow < 2**31):
        raise FileFormatError(path, f"NX, NY: {n_fast:g} x {n_slow:g} pixels, must be at least 1 x 1")
    if not np.isfinite([qx, org_x, org_y, distance]).all():
        raise FileFormatError(path, "QX, ORGX, ORGY and the distance must be finite")
    x, y, normal = (v / np.linalg.norm(v) for v in (x, y, normal))
    # XDS counts from 1 at the center of the first pixel, and ORGX, ORGY is the foot of the normal
    origin = distance * normal - (org_x - 0.5) * pixel * x - (org_y - 0.5) * pixel * y
    return Panel(n_fast=int(n_fast), n_slow=int(n_slow), pixel_mm=pixel, origin=origin, fast=x, slow=y)


def _group_number(path: Path, value: float) -> int:
    if value not in range(231):
        raise FileFormatError(path, f"space group number {value:g}: must be 0 to 230")
    return int(value)


def _in_dials_frame(
    panel: Panel, *, wavelength: float, beam: Array, spindle: Array, phi: float, osc: float, axes: Array | None, group: int,
    polarization: tuple[float, Array] | None, cell: tuple[float, ...] | None = None,
) -> Geometry:  # fmt: skip
    beam = beam / np.linalg.norm(beam)
    fraction = axis = None
    if polarization is not None:
        fraction, axis = polarization[0], np.cross(beam, polarization[1])
    return Geometry(
        panels=(panel,), wavelength=wavelength, beam=beam, spindle=spindle / np.linalg.norm(spindle), phi_start=phi,
        osc=osc, a_star=None if axes is None else reciprocal(axes), cell=cell, polarization_axis=axis,
        kahn_factor=None if fraction is None else 2 * fraction - 1, space_group=_symbol(group),
    ).turned(FROM_XDS)  # fmt: skip


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
        f"NX= {panel.n_fast}  NY= {panel.n_slow}  QX= {_g(panel.pixel_mm)}  QY= {_g(panel.pixel_mm)}",
        f"ORGX= {_g(org_x)}  ORGY= {_g(org_y)}",
        f"DETECTOR_DISTANCE= {_g(distance)}",
        f"DIRECTION_OF_DETECTOR_X-AXIS= {_row(panel.fast)}",
        f"DIRECTION_OF_DETECTOR_Y-AXIS= {_row(panel.slow)}",
        f"X-RAY_WAVELENGTH= {_g(xds.wavelength or 1.0)}",
        f"INCIDENT_BEAM_DIRECTION= {_row(beam)}",
        f"FRACTION_OF_POLARIZATION= {_g((1 + (xds.kahn_factor or 0.0)) / 2)}",
        f"POLARIZATION_PLANE_NORMAL= {_row(np.cross(axis, beam))}",
    ]
    if xds.spindle is not None:
        lines += [f"ROTATION_AXIS= {_row(xds.spindle)}", f"OSCILLATION_RANGE= {_g(xds.osc or 0.0)}",
                  f"STARTING_ANGLE= {_g(xds.phi_start or 0.0)}  STARTING_FRAME= 1"]  # fmt: skip
    lines += [f"NAME_TEMPLATE_OF_DATA_FRAMES= {template}", f"DATA_RANGE= 1 {xds.n_images}",
              f"SPOT_RANGE= 1 {xds.n_images}", f"BACKGROUND_RANGE= 1 {min(10, xds.n_images)}"]  # fmt: skip
    if xds.a_star is not None:
        number = _number(xds.space_group)
        lines += [f"SPACE_GROUP_NUMBER= {number}", f"UNIT_CELL_CONSTANTS= {_row(np.array(xds.parameters))}"]
        lines += [f"UNIT_CELL_{name}-AXIS= {_row(v)}" for name, v in zip("ABC", xds.axes, strict=True)]
    write_bytes(path, ["\n".join([*lines, ""]).encode()])


def write_xparm(path: Path, geometry: Geometry) -> None:
    """Write XPARM.XDS, with as many digits as it takes to read the same numbers back."""
    xds = geometry.turned(FROM_XDS)
    panel = one_panel(xds, "XDS")
    if xds.a_star is None or xds.beam is None or not xds.wavelength:
        raise FileFormatError(path, "XPARM.XDS needs a crystal and a beam")
    spindle = np.array([1.0, 0.0, 0.0]) if xds.spindle is None else xds.spindle
    lines = [
        " XPARM.XDS    VERSION written by nanobragg",
        f" 1 {_g(xds.phi_start or 0.0)} {_g(xds.osc or 0.0)} {_row(spindle)}",
        f" {_g(xds.wavelength)} {_row(xds.beam / xds.wavelength)}",
        f" {_number(xds.space_group)} {_row(np.array(xds.parameters))}",
        *(f" {_row(axis)}" for axis in xds.axes),
        f" 1 {panel.n_fast} {panel.n_slow} {_g(panel.pixel_mm)} {_g(panel.pixel_mm)}",
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
    x, y = -float(panel.origin @ panel.fast), -float(panel.origin @ panel.slow)
    return x / panel.pixel_mm + 0.5, y / panel.pixel_mm + 0.5, panel.distance


def _g(value: float) -> str:
    return repr(float(value))  # the shortest text that reads back the same


def _row(values: Array) -> str:
    return " ".join(_g(float(x)) for x in values)


def _symbol(number: int) -> str | None:
    """Space group of its number; None without gemmi, which all that uses it needs anyway."""
    try:
        import gemmi
    except ImportError:
        return None
    return str(gemmi.SpaceGroup(number).xhm()) if number else None


def _number(space_group: str | None) -> int:
    if space_group is None or space_group == "P 1":
        return 1
    group = needed("gemmi", "space groups").find_spacegroup_by_name(space_group)
    return 1 if group is None else int(group.number)
