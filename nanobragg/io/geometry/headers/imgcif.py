"""Geometry in full imgCIF headers: axes that depend on each other, up to the laboratory (International Tables G 4.6).

The frame is that of DIALS.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.geometry.axes import Array, rotation, unit
from nanobragg.io.geometry.record import BEAM, Geometry, Path, forwards, mounted, panel_of
from nanobragg.io.optional import needed

_MAX_CHAIN = 100
_UNKNOWN = (".", "?", "")
_BINARY = re.compile(r"\n;\s*\n--CIF-BINARY-FORMAT-SECTION--.*", re.DOTALL)


def is_imgcif(header: str) -> bool:
    """Whether the header of a CBF image has axes."""
    return re.search(r"^\s*_array_structure_list_axis\.", header, re.MULTILINE) is not None


def imgcif_geometry(path: Path, header: str, shape: tuple[int, int]) -> Geometry:
    """What the header of an image of (n_slow, n_fast) pixels says."""
    gemmi = needed("gemmi", "reading full imgCIF headers")
    text, cut = _BINARY.subn("\n?\n", header.replace("\r\n", "\n"))
    if not cut:
        raise FileFormatError(path, "the imgCIF header has no binary section after _array_data.data")
    try:
        block = gemmi.cif.read_string(text).sole_block()
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(path, f"the imgCIF header cannot be read: {' '.join(str(error).split())}") from None
    return _Reader(path, block).geometry(shape)


class _Reader:
    """A data block; axes by their names."""

    def __init__(self, path: Path, block: Any) -> None:
        self.path, self.block = path, block
        self.axes = {row["id"]: row for row in self.table("_axis.", "id", "type", "depends_on", "vector[1]", "vector[2]",
                                                          "vector[3]", "offset[1]", "offset[2]", "offset[3]")}  # fmt: skip
        frames = self.table("_diffrn_scan_frame_axis.", "axis_id", "angle", "displacement")
        scans = self.table("_diffrn_scan_axis.", "axis_id", "angle_start", "angle_increment", "angle_range",
                           "displacement_start")  # fmt: skip
        self.angles, self.shifts = {}, {}
        for row in scans:
            self.angles[row["axis_id"]] = self.number("_diffrn_scan_axis.angle_start", row["angle_start"])
            self.shifts[row["axis_id"]] = self.number("_diffrn_scan_axis.displacement_start", row["displacement_start"])
        for row in frames:
            for key, values in (("angle", self.angles), ("displacement", self.shifts)):
                if row[key] not in _UNKNOWN:  # else that of the scan holds
                    values[row["axis_id"]] = self.number(f"_diffrn_scan_frame_axis.{key}", row[key])
        self.widths = {row["axis_id"]: self.number("_diffrn_scan_axis.angle_increment", row["angle_increment"])
                       or self.number("_diffrn_scan_axis.angle_range", row["angle_range"]) for row in scans}  # fmt: skip

    def table(self, category: str, *names: str) -> list[dict[str, str]]:
        """Rows of a category; columns that are not there read ``.``."""
        found = self.block.find(category, [names[0], *(f"?{name}" for name in names[1:])])
        rows = []
        for row in found:
            rows.append({name: row.str(i) if row.has(i) else "." for i, name in enumerate(names)})
        return rows

    def number(self, name: str, text: str) -> float:
        """A number; 0 where it is not given."""
        if text in _UNKNOWN:
            return 0.0
        try:
            value = float(text)
        except ValueError:
            raise FileFormatError(self.path, f"{name}: {text!r} is not a number") from None
        if not np.isfinite(value):
            raise FileFormatError(self.path, f"{name}: {text!r} is not finite")
        return value

    def vector(self, name: str, what: str) -> Array:
        row = self.axes[name]
        return np.array([self.number(f"_axis {name}", row[f"{what}[{i}]"]) for i in (1, 2, 3)])

    def direction(self, name: str) -> Array:
        try:
            return unit(self.vector(name, "vector"))
        except ValueError as error:
            raise FileFormatError(self.path, f"_axis {name}: {error}") from None

    def chain(self, name: str) -> list[str]:
        """An axis and everything that it depends on, up to the laboratory."""
        names: list[str] = []
        while name not in _UNKNOWN:
            if name not in self.axes:
                raise FileFormatError(self.path, f"_axis: there is no axis {name!r}")
            names.append(name)
            if len(names) > _MAX_CHAIN:
                raise FileFormatError(self.path, f"_axis {name}: depends on itself")
            moved = self.angles.get(name) or self.shifts.get(name)
            if moved and self.axes[name]["type"] == "general":
                raise FileFormatError(
                    self.path, f"_axis {name}: is at {moved:g}, but of type general, which does not say how"
                )
            name = self.axes[name]["depends_on"]
        return names

    def turn(self, name: str) -> Array:
        """The rotation by an axis in this image."""
        if self.axes[name]["type"] != "rotation":
            return np.eye(3)
        return rotation(self.direction(name), self.angles.get(name, 0.0))

    def placed(self, names: list[str], shifts: dict[str, float]) -> Array:
        """Where the origin of the innermost of a chain of axes stands [mm]."""
        point = np.zeros(3)
        for name in names:
            kind = self.axes[name]["type"]
            if kind == "translation":
                point = point + shifts.get(name, self.shifts.get(name, 0.0)) * self.direction(name)
            elif kind == "rotation":
                point = self.turn(name) @ point
            elif kind != "general":
                raise FileFormatError(
                    self.path, f"_axis {name}: type {kind!r}; known are rotation, translation, general"
                )
            point = point + self.vector(name, "offset")
        return point

    def geometry(self, shape: tuple[int, int]) -> Geometry:
        listed = {row["precedence"]: row for row in self.table(
            "_array_structure_list.", "precedence", "axis_set_id", "direction", "dimension")}  # fmt: skip
        steps = {row["axis_set_id"]: row for row in self.table(
            "_array_structure_list_axis.", "axis_set_id", "axis_id", "displacement", "displacement_increment")}  # fmt: skip
        names, firsts, edges = [], [], []
        for precedence in ("1", "2"):
            if precedence not in listed or listed[precedence]["axis_set_id"] not in steps:
                raise FileFormatError(self.path, f"_array_structure_list: no axis with precedence {precedence}")
            if listed[precedence]["direction"] != "increasing":
                raise FileFormatError(self.path, f"_array_structure_list.direction {listed[precedence]['direction']}: only "
                                      "increasing is read; take the geometry from an experiment list (.expt)")  # fmt: skip
            row = steps[listed[precedence]["axis_set_id"]]
            increment = self.number("_array_structure_list_axis.displacement_increment", row["displacement_increment"])
            first = self.number("_array_structure_list_axis.displacement", row["displacement"])
            names.append(row["axis_id"] if row["axis_id"] != "." else row["axis_set_id"])
            edges.append(increment)
            # the displacement is that of the center of the first pixel; writers that mean its corner write 0
            firsts.append(first - increment / 2 if first else 0.0)
        fast_chain, slow_chain = self.chain(names[0]), self.chain(names[1])
        whole = fast_chain if names[1] in fast_chain else slow_chain

        def corner(i: int, j: int) -> Array:
            shifts = {names[0]: firsts[0] + i * edges[0], names[1]: firsts[1] + j * edges[1]}
            if names[0] in whole and names[1] in whole:
                return self.placed(whole, shifts)
            return (
                self.placed(fast_chain, shifts) + self.placed(slow_chain, shifts) - self.placed(slow_chain[1:], shifts)
            )

        origin = corner(0, 0)
        panel = panel_of(
            self.path, "_array_structure_list_axis", (abs(edges[0]), abs(edges[1])), n_fast=shape[1], n_slow=shape[0],
            origin=origin, fast=corner(1, 0) - origin, slow=corner(0, 1) - origin, name=self.element(),
        )  # fmt: skip
        return Geometry(panels=(panel,), wavelength=self.wavelength(), beam=self.beam(), exposure_s=self.exposure(),
                        **self.goniometer(), **self.polarization())  # fmt: skip

    def element(self) -> str:
        rows = self.table("_diffrn_detector_element.", "id")
        return rows[0]["id"] if len(rows) == 1 else "panel"

    def wavelength(self) -> float:
        rows = self.table("_diffrn_radiation_wavelength.", "wavelength")
        if len(rows) != 1:
            raise FileFormatError(self.path, f"_diffrn_radiation_wavelength: {len(rows)} wavelengths; only one is read")
        return self.number("_diffrn_radiation_wavelength.wavelength", rows[0]["wavelength"])

    def beam(self) -> Array:
        sources = [name for name, row in self.axes.items() if name.upper() == "SOURCE"]
        return -self.direction(sources[0]) if sources else BEAM

    def exposure(self) -> float | None:
        rows = self.table("_diffrn_scan_frame.", "integration_time")
        return self.number("_diffrn_scan_frame.integration_time", rows[0]["integration_time"]) or None if rows else None

    def polarization(self) -> dict[str, Any]:
        """The ratio is (Ip - In) / (Ip + In), the norm the angle of the electric field from horizontal."""
        rows = self.table("_diffrn_radiation.", "polarizn_source_ratio", "polarizn_source_norm")
        if not rows or rows[0]["polarizn_source_ratio"] in (".", "?"):
            return {}
        ratio, norm = (self.number(f"_diffrn_radiation.{name}", text) for name, text in rows[0].items())
        angle = np.radians(norm)
        return {
            "kahn_factor": min(1.0, max(-1.0, ratio)),
            "polarization_axis": np.array([np.cos(angle), np.sin(angle), 0.0]),
        }

    def goniometer(self) -> dict[str, Any]:
        used = [row["axis_id"] for row in self.table("_diffrn_measurement_axis.", "axis_id")]
        used = [name for name in used or self.axes if name in self.axes and self.axes[name]["type"] == "rotation"
                and self.axes[name].get("equipment", "goniometer") == "goniometer"]  # fmt: skip
        if not used:
            return {}
        chain = max((self.chain(name) for name in used), key=len)
        turning = [name for name in chain if name in used]
        scanned = [name for name in turning if self.widths.get(name)] or turning[:1]
        if len(scanned) > 1:
            raise FileFormatError(
                self.path, f"_diffrn_scan_axis: {' and '.join(scanned)} are scanned together; only one is read"
            )
        place = turning.index(scanned[0])
        inner, outer = np.eye(3), np.eye(3)
        for name in turning[:place]:
            inner = self.turn(name) @ inner
        for name in turning[place + 1 :]:
            outer = self.turn(name) @ outer
        spindle, start, width = forwards(outer @ self.direction(scanned[0]), self.angles.get(scanned[0], 0.0),
                                         self.widths.get(scanned[0], 0.0))  # fmt: skip
        return {"spindle": spindle, "phi_start": start, "osc": width or None, "mount": mounted(outer @ inner)}
