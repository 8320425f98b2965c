"""Geometry files of CrystFEL (``.geom``), by the rules of CrystFEL 0.11; the older ``panel/clen`` is read too."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes
from nanobragg.io.geometry.axes import FROM_NEXUS, Array
from nanobragg.io.geometry.crystfel import units
from nanobragg.io.geometry.crystfel.stream import crystal, is_stream, quoted
from nanobragg.io.geometry.record import Geometry, Panel, Path, check_size, panel_of, reader

_TERM = re.compile(r"\s*([+-]?)\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)?\s*([xyz])")
_NOT_PANELS = ("rigid_group", "group")
_ONCE = ("clen", "photon_energy", "wavelength", "electron_voltage", "detector_shift_x", "detector_shift_y")
"""Keys of the whole detector, which hold wherever they stand; others hold for the panels below them."""


@reader
def read_crystfel(
    geom: Path | None, stream: Path | None = None, *, index: int | None = None, wavelength: float | None = None,
    camera_length: float | None = None,
) -> Geometry:  # fmt: skip
    """Read a geometry file and, perhaps, one crystal of a stream.

    Parameters
    ----------
    geom : path, optional
        The geometry, or a stream that quotes it; None: the one that the stream quotes, if any.
    stream : path, optional
        Its crystals.
    index : int, optional
        Which crystal of the stream, from 0 (crystals count, not chunks); None: the only one.
    wavelength : float, optional
        [Angstrom]; needed where the geometry refers to a place in the image files.
    camera_length : float, optional
        ``clen`` [m]; likewise; None: from the average of the crystal's chunk, if there is one.

    Raises
    ------
    FileFormatError
        When something is missing or cannot be represented; the message names the panel and the key.
    """
    if geom is not None and is_stream(geom):
        geom, stream = None, geom if stream is None else stream
    found = None if stream is None else crystal(stream, index)
    source, text = (stream, "" if stream is None else quoted(stream)) if geom is None else (geom, _text(geom))
    panels: list[Panel] = []
    lambda_ = wavelength if wavelength is not None else (None if found is None else found.wavelength)
    if source is not None and (geom is not None or text):
        average = None if found is None else found.camera_length
        reader = _Geom(source, text)
        panels = reader.all_panels(camera_length, average)
        if lambda_ is None:
            lambda_ = units.wavelength(source, reader.once)
        if lambda_ is None:
            raise FileFormatError(source, "names neither photon_energy, wavelength nor electron_voltage; "
                                  "give wavelength_angstrom=")  # fmt: skip
    return Geometry(
        panels=tuple(panels), wavelength=lambda_, beam=np.array([0.0, 0.0, 1.0]),
        a_star=None if found is None else found.a_star, phi_start=None if found is None else 0.0,
    ).turned(FROM_NEXUS)  # fmt: skip


def _text(path: Path) -> str:
    return read_bytes(path).decode("utf-8", "replace")


class _Geom:
    """A geometry file: values by key, those of panels over those that stood before the panel began."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.panels: dict[str, dict[str, str]] = {}
        self.above: dict[str, str] = {}
        self.once: dict[str, str] = {}
        self.bad: dict[str, dict[str, str]] = {}
        for line in text.splitlines():
            key, found, value = line.partition(";")[0].partition("=")
            if not found:
                continue
            key, value = key.strip(), value.strip()
            name, slash, field = key.rpartition("/")
            if key in _ONCE:
                self.once[key] = value
            elif not slash or key.startswith(_NOT_PANELS):
                self.above[key] = value
            elif name.startswith("bad"):
                self.bad.setdefault(name, {})[field] = value
            else:
                # CrystFEL copies the values that stand above a panel when it meets the panel first
                self.panels.setdefault(name, dict(self.above))[field] = value
        for key in self.above:
            if key.startswith("mask"):
                warnings.warn(f"{path}: {key} is not read; give Detector.mask", NanoBraggWarning, stacklevel=2)

    def number(self, panel: str, key: str) -> float:
        """A number of a panel without unit."""
        values = self.panels[panel]
        if key not in values:
            below = f"; {key} stands below the panel, move it above" if key in self.above else ""
            raise FileFormatError(self.path, f"{panel}/{key} is missing{below}")
        value = units.measured(self.path, f"{panel}/{key}", values[key], units.BARE)
        if value is None:
            raise FileFormatError(self.path, f"{panel}/{key} = {values[key]}: is not a number")
        return value

    def whole(self, panel: str, key: str) -> int:
        value = self.number(panel, key)
        if not value.is_integer():
            raise FileFormatError(self.path, f"{panel}/{key} = {value:g}: must be a whole number")
        return int(value)

    def all_panels(self, camera_length: float | None, average: float | None) -> list[Panel]:
        """Every panel; `average` is the mean of clen and coffset over the panels, where clen is not known [m]."""
        if not self.panels:
            raise FileFormatError(self.path, "describes no panel (lines like p0/fs = +x)")
        offsets = {
            name: self.number(name, "coffset") if "coffset" in values else 0.0 for name, values in self.panels.items()
        }
        lengths = dict.fromkeys(self.panels, camera_length)
        if camera_length is None:
            lengths = {name: self.length(name, average is None) for name in self.panels}
        if average is not None and any(length is None for length in lengths.values()):
            lengths = dict.fromkeys(self.panels, average - float(np.mean(list(offsets.values()))))
        shift = self.shift()
        return [self.panel(name, 1000 * (lengths[name] or 0.0) + 1000 * offsets[name], shift) for name in self.panels]

    def length(self, panel: str, needed: bool) -> float | None:
        """``clen`` of a panel [m]; None: it stands in the image files, and something else tells it."""
        key = f"{panel}/clen" if "clen" in self.panels[panel] else "clen"
        text = self.panels[panel].get("clen", self.once.get("clen"))
        value = None if text is None else units.measured(self.path, key, text, units.METRES)
        if value is None and needed:
            problem = "clen is missing" if text is None else f"{key} = {text}: is a place in the image files"
            raise FileFormatError(self.path, f"{problem}; give camera_length_m=")
        return value

    def shift(self) -> Array:
        """By which the whole detector is moved in x and y [mm]."""
        moved = np.zeros(2)
        for i, axis in enumerate("xy"):
            key = f"detector_shift_{axis}"
            if key not in self.once:
                continue
            value = units.measured(self.path, key, self.once[key], units.METRES)
            if value is None:
                warnings.warn(f"{self.path}: {key} = {self.once[key]}: is a place in the image files and is not applied",
                              NanoBraggWarning, stacklevel=2)  # fmt: skip
            moved[i] = 1000 * (value or 0.0)
        return moved

    def vector(self, panel: str, key: str) -> Array:
        text = self.panels[panel].get(key)
        if text is None:
            raise FileFormatError(self.path, f"{panel}/{key} is missing")
        vector, end = np.zeros(3), 0
        while match := _TERM.match(text, end):
            sign = -1.0 if match[1] == "-" else 1.0
            vector["xyz".index(match[3])] += sign * float(match[2] or 1.0)
            end = match.end()
        if text[end:].strip() or not vector.any():
            raise FileFormatError(self.path, f"{panel}/{key} = {text}: must look like +0.999x -0.01y")
        return vector

    def panel(self, name: str, z: float, shift: Array) -> Panel:
        resolution = self.number(name, "res")
        if not resolution > 0:
            raise FileFormatError(self.path, f"{name}/res = {resolution:g}: must be > 0 pixels per meter")
        fast, slow = self.vector(name, "fs"), self.vector(name, "ss")
        edges = [1000 * float(np.linalg.norm(v)) / resolution for v in (fast, slow)]
        bounds = {key: self.whole(name, key) for key in ("min_fs", "max_fs", "min_ss", "max_ss")}
        n_fast, n_slow = bounds["max_fs"] - bounds["min_fs"] + 1, bounds["max_ss"] - bounds["min_ss"] + 1
        if n_fast < 1 or n_slow < 1:
            raise FileFormatError(self.path, f"{name}: max_fs and max_ss must not be below min_fs and min_ss")
        check_size(self.path, name, n_fast, n_slow)
        corner = [1000 * self.number(name, f"corner_{axis}") / resolution for axis in "xy"]
        origin = np.array([corner[0] + shift[0], corner[1] + shift[1], z])
        return panel_of(
            self.path, name, (edges[0], edges[1]), n_fast=n_fast, n_slow=n_slow, origin=origin, fast=fast, slow=slow,
            name=name, image_offset=(bounds["min_fs"], bounds["min_ss"]),
            mask=self.mask(name, bounds, np.array(corner) * resolution / 1000, fast, slow),
        )  # fmt: skip

    def mask(self, name: str, bounds: dict[str, int], corner: Array, fast: Array, slow: Array) -> Any:
        """False in bad regions, which are given in the data array (fs, ss) or in pixels of the laboratory (x, y)."""
        shape = (bounds["max_ss"] - bounds["min_ss"] + 1, bounds["max_fs"] - bounds["min_fs"] + 1)
        mask = np.full(shape, self.panels[name].get("no_index", "0") not in ("1", "true", "yes"))
        s, f = np.indices(shape)
        for bad, region in self.bad.items():
            if region.get("panel", name) != name:
                continue
            if "min_fs" in region:
                coordinates = {"fs": f + bounds["min_fs"], "ss": s + bounds["min_ss"]}
            else:
                coordinates = {
                    axis: corner[i] + (f + 0.5) * fast[i] + (s + 0.5) * slow[i] for i, axis in enumerate("xy")
                }
            inside = np.ones(shape, bool)
            for axis, values in coordinates.items():
                low, high = (self.limit(bad, f"{end}_{axis}") for end in ("min", "max"))
                inside &= (values >= low) & (values <= high)
            mask[inside] = False
        return None if mask.all() else mask

    def limit(self, bad: str, key: str) -> float:
        text = self.bad[bad].get(key, "nothing")
        value = units.measured(self.path, f"{bad}/{key}", text, units.BARE)
        if value is None:
            raise FileFormatError(self.path, f"{bad}/{key} = {text}: is not a number")
        return value
