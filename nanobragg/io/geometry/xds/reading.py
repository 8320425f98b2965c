"""XPARM.XDS and GXPARM.XDS, of today and before 2012, and XDS.INP, read.

A pixel (IX, IY), counted from 1 at its center, lies at ORG + ED EDS (QX (IX - ORGXS), QY (IY - ORGYS), FS) with
ORG = ED (-ORGX QX, -ORGY QY, F); ED and EDS have the axes of detector and segment as columns.
"""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np

from nanobragg.errors import BackendUnavailableError, FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes
from nanobragg.io.geometry.axes import FROM_XDS, Array, unit
from nanobragg.io.geometry.record import MOST_IMAGES, Geometry, Panel, Path, forwards, panel_of, reader, reciprocal
from nanobragg.io.space_groups import hall_symbol
from nanobragg.lazy import dataclass

_KEYWORD = re.compile(r"([A-Z][A-Z0-9_'/.\-]*)=")
_NEW_LINES = (6, 4, 7, 3, 3, 3, 5, 3, 3, 3, 3)
"""How many numbers stand on the lines of XPARM.XDS after the first."""
_OLD_LINES = (6, 4, 4, 3, 3, 3, 3, 7, 3, 3, 3)
"""Before 2012."""


@reader
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
        When the file is neither, or is short.
    """
    text = read_bytes(path).decode("latin-1")
    if text.lstrip().upper().startswith("XPARM"):
        return _read_xparm(path, text, image)
    if _KEYWORD.search(text):
        return _Input(path, text).geometry(image)
    if is_old_xparm(text):
        return _read_old_xparm(path, text, image)
    raise FileFormatError(
        path, "is neither XPARM.XDS (first word XPARM.XDS, or 11 lines of numbers) nor XDS.INP (KEYWORD= values)"
    )


def is_old_xparm(text: str) -> bool:
    """Whether a text is an XPARM.XDS from before 2012, which has no first word: eleven lines of so many numbers."""
    lines = [line.split() for line in text.splitlines()[:11]]
    try:
        return [len([float(token) for token in line]) for line in lines] == list(_OLD_LINES)
    except ValueError:
        return False


@dataclass(frozen=True)
class _Frame:
    """The plane that the segments of a detector refer to."""

    path: Path
    qx: float
    qy: float
    org_x: float
    org_y: float
    distance: float
    axes: Array
    """(3, 3) columns x, y and normal"""

    def panel(
        self,
        name: str,
        bounds: list[float],
        org: tuple[float, float, float] = (0.0, 0.0, 0.0),
        axes: Array | None = None,
    ) -> Panel:
        """The segment of pixels x1 to x2 and y1 to y2, counted from 1; `org` and `axes` as the module says."""
        x1, x2, y1, y2 = bounds
        if not np.isfinite([*bounds, *org]).all() or any(b != int(b) for b in bounds):
            raise FileFormatError(self.path, f"{name}: x1 x2 y1 y2 must be whole numbers")
        turned = self.axes if axes is None else self.axes @ axes
        corner = np.array([self.qx * (x1 - 0.5 - org[0]), self.qy * (y1 - 0.5 - org[1]), org[2]])
        origin = self.axes @ np.array([-self.org_x * self.qx, -self.org_y * self.qy, self.distance]) + turned @ corner
        return panel_of(self.path, name, (self.qx, self.qy), n_fast=int(x2 - x1 + 1), n_slow=int(y2 - y1 + 1),
                        origin=origin, fast=turned[:, 0], slow=turned[:, 1], name=name)  # fmt: skip

    def whole(self, n_fast: float, n_slow: float) -> Panel:
        """The detector as one panel."""
        return self.panel("panel", [1.0, n_fast, 1.0, n_slow])


def _rows(path: Path, lines: list[str], counts: tuple[int, ...], first: int) -> list[list[float]]:
    """So many numbers on every line; `first` is the number of the first line in the file."""
    if len(lines) < len(counts):
        raise FileFormatError(path, f"holds {first - 1 + len(lines)} lines, XPARM.XDS has at least {first - 1 + len(counts)}; "
                              "is it truncated?")  # fmt: skip
    rows: list[list[float]] = []
    for number, (line, n) in enumerate(zip(lines, counts, strict=False), first):
        try:
            rows.append([float(token) for token in line.split()[:n]])
        except ValueError:
            raise FileFormatError(path, f"{line.strip()!r} are not {n} numbers", number) from None
        if len(rows[-1]) < n:
            raise FileFormatError(path, f"{len(rows[-1])} numbers, expected {n}", number)
    return rows


def _read_xparm(path: Path, text: str, image: int | None) -> Geometry:
    lines = text.splitlines()[1:]
    scan, beam, crystal, *axes, size, org, x, y, normal = _rows(path, lines, _NEW_LINES, 2)
    n_segments, n_fast, n_slow, qx, qy = size
    if not np.isfinite(n_segments):
        raise FileFormatError(path, f"{n_segments:g} detector segments", 8)
    frame = _Frame(path, qx, qy, org[0], org[1], org[2], _columns(path, x, y, normal))
    if n_segments <= 1:
        panels = [frame.whole(n_fast, n_slow)]
    else:
        start, n = len(_NEW_LINES), int(min(n_segments, 1e6))
        if len(lines) < start + 2 * n:
            raise FileFormatError(path, f"describes {n_segments:g} detector segments, of which {(len(lines) - start) // 2} are "
                                  "there; is it truncated?", 8)  # fmt: skip
        rows = _rows(path, lines[start : start + 2 * n], (5, 9) * n, start + 2)
        panels = []
        for (number, *bounds), (org_x, org_y, distance, *vectors) in zip(rows[::2], rows[1::2], strict=True):
            own = np.array(vectors).reshape(2, 3)
            name = f"segment_{number:g}"
            panels.append(frame.panel(name, bounds, (org_x, org_y, distance), _columns(path, *own, np.cross(*own))))
    return _from_xparm(path, panels, scan, beam, crystal, axes, image)


def _read_old_xparm(path: Path, text: str, image: int | None) -> Geometry:
    rows = _rows(path, text.splitlines(), _OLD_LINES, 1)
    scan, beam, (n_fast, n_slow, qx, qy), (distance, org_x, org_y), x, y, normal, crystal, *axes = rows
    frame = _Frame(path, qx, qy, org_x, org_y, distance, _columns(path, x, y, normal))
    return _from_xparm(path, [frame.whole(n_fast, n_slow)], scan, beam, crystal, axes, image)


def _from_xparm(
    path: Path, panels: list[Panel], scan: list[float], beam: list[float], crystal: list[float], axes: list[list[float]],
    image: int | None,
) -> Geometry:  # fmt: skip
    start_image, phi, osc, *axis = scan
    return _in_dials_frame(
        panels, wavelength=beam[0], beam=_direction(path, "the beam", beam[1:]), spindle=_direction(path, "the axis", axis),
        phi=phi + (0.0 if image is None else (image - start_image) * osc), osc=osc, axes=_cell_axes(path, "a, b, c", axes),
        group=_group(path, crystal[0]),
    )  # fmt: skip


class _Input:
    """XDS.INP: the values of each keyword, and those of each segment."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.values: dict[str, list[str]] = {}
        self.segments: list[dict[str, list[str]]] = []
        for line in text.splitlines():
            line = line.partition("!")[0]
            found = list(_KEYWORD.finditer(line))
            for i, match in enumerate(found):
                end = found[i + 1].start() if i + 1 < len(found) else len(line)
                key, words = match[1], line[match.end() : end].split()
                if key == "SEGMENT":
                    self.segments.append({key: words})
                elif "SEGMENT" in key and self.segments:
                    self.segments[-1][key] = words
                else:
                    self.values[key] = words

    def numbers(
        self, key: str, n: int = 1, default: list[float] | None = None, among: dict[str, list[str]] | None = None
    ) -> list[float]:
        values = self.values if among is None else among
        if key not in values:
            if default is None:
                raise FileFormatError(self.path, f"has no {key}=")
            return default
        try:
            row = [float(token) for token in values[key][:n]]
        except ValueError:
            raise FileFormatError(self.path, f"{key}= {' '.join(values[key])}: not {n} numbers") from None
        if len(row) < n:
            raise FileFormatError(self.path, f"{key}= {' '.join(values[key])}: {len(row)} numbers, expected {n}")
        return row

    def columns(self, kind: str, among: dict[str, list[str]] | None = None) -> Array:
        x, y = (np.array(self.numbers(f"DIRECTION_OF_{kind}_{letter}-AXIS", 3, default, among))
                for letter, default in (("X", [1.0, 0.0, 0.0]), ("Y", [0.0, 1.0, 0.0])))  # fmt: skip
        return _columns(self.path, x, y, np.cross(x, y))

    def panels(self) -> list[Panel]:
        one = {key: self.numbers(key)[0] for key in ("NX", "NY", "QX", "QY", "ORGX", "ORGY", "DETECTOR_DISTANCE")}
        frame = _Frame(self.path, one["QX"], one["QY"], one["ORGX"], one["ORGY"], one["DETECTOR_DISTANCE"],
                       self.columns("DETECTOR"))  # fmt: skip
        if not self.segments:
            return [frame.whole(one["NX"], one["NY"])]
        panels = []
        for i, segment in enumerate(self.segments, 1):
            org = [self.numbers(f"SEGMENT_{key}", 1, [0.0], segment)[0] for key in ("ORGX", "ORGY", "DISTANCE")]
            bounds = self.numbers("SEGMENT", 4, None, segment)
            panels.append(
                frame.panel(f"segment_{i}", bounds, (org[0], org[1], org[2]), self.columns("SEGMENT", segment))
            )
        return panels

    def geometry(self, image: int | None) -> Geometry:
        path, numbers = self.path, self.numbers
        for key in ("X-GEO_CORR", "Y-GEO_CORR"):
            if key in self.values:
                warnings.warn(
                    f"{path}: {key}= moves pixels by a table that is not read", NanoBraggWarning, stacklevel=2
                )
        beam = _direction(path, "INCIDENT_BEAM_DIRECTION=", numbers("INCIDENT_BEAM_DIRECTION", 3, [0.0, 0.0, 1.0]))
        axes = None
        if all(f"UNIT_CELL_{name}-AXIS" in self.values for name in "ABC"):
            vectors = [numbers(f"UNIT_CELL_{name}-AXIS", 3) for name in "ABC"]
            axes = _cell_axes(path, "UNIT_CELL_A-, B-, C-AXIS=", vectors)
        osc = numbers("OSCILLATION_RANGE", 1, [0.0])[0]
        first = numbers("STARTING_FRAME", 1, numbers("DATA_RANGE", 1, [1.0]))[0]
        n_images = numbers("DATA_RANGE", 2, [first, first])[1] - first + 1
        fraction = numbers("FRACTION_OF_POLARIZATION", 1, [0.5])[0]
        normal = np.array(numbers("POLARIZATION_PLANE_NORMAL", 3, [0.0, 1.0, 0.0]))
        found = _in_dials_frame(
            self.panels(), wavelength=numbers("X-RAY_WAVELENGTH")[0], beam=beam,
            spindle=_direction(path, "ROTATION_AXIS=", numbers("ROTATION_AXIS", 3)),
            phi=numbers("STARTING_ANGLE", 1, [0.0])[0] + (0.0 if image is None else (image - first) * osc), osc=osc,
            axes=axes, group=_group(path, numbers("SPACE_GROUP_NUMBER", 1, [0.0])[0]), polarization=(fraction, normal),
            cell=tuple(numbers("UNIT_CELL_CONSTANTS", 6)) if "UNIT_CELL_CONSTANTS" in self.values else None,
        )  # fmt: skip
        return dataclasses.replace(found, n_images=int(n_images)) if 1 <= n_images <= MOST_IMAGES else found


def _columns(path: Path, *vectors: object) -> Array:
    return np.stack([_direction(path, "an axis of the detector", v) for v in vectors], 1)


def _direction(path: Path, what: str, vector: object) -> Array:
    try:
        return unit(vector)
    except ValueError as error:
        raise FileFormatError(path, f"{what}: {error}") from None


def _cell_axes(path: Path, what: str, vectors: list[list[float]]) -> Array:
    axes = np.array(vectors)
    if not abs(np.linalg.det(axes)) > 0:
        raise FileFormatError(path, f"{what}: lie in a plane")
    return axes


def _group(path: Path, value: float) -> str | None:
    """Hall symbol of the number; None for 0, and without gemmi, which all that uses it needs anyway."""
    if value not in range(231):
        raise FileFormatError(path, f"space group number {value:g}: must be 0 to 230")
    try:
        return hall_symbol(int(value)) if value else None
    except BackendUnavailableError:
        return None


def _in_dials_frame(
    panels: list[Panel], *, wavelength: float, beam: Array, spindle: Array, phi: float, osc: float, axes: Array | None,
    group: str | None, polarization: tuple[float, Array] | None = None, cell: tuple[float, ...] | None = None,
) -> Geometry:  # fmt: skip
    fraction = axis = None
    if polarization is not None:
        fraction, axis = polarization[0], np.cross(beam, polarization[1])
    spindle, phi, osc = forwards(spindle, phi, osc)
    return Geometry(
        panels=tuple(panels), wavelength=wavelength, beam=beam, spindle=spindle, phi_start=phi, osc=osc,
        a_star=None if axes is None else reciprocal(axes), cell=cell, polarization_axis=axis,
        kahn_factor=None if fraction is None else 2 * fraction - 1, space_group=group,
    ).turned(FROM_XDS)  # fmt: skip
