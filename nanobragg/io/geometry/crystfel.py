"""CrystFEL: detector geometry (``.geom``) and indexed crystals (``.stream``) (docs/file_formats.md, Geometry files)."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np

from nanobragg.constants import EV_ANGSTROM
from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.geometry.axes import FROM_NEXUS, Array
from nanobragg.io.geometry.record import Geometry, Panel, Path, square_pixel

_TERM = re.compile(r"\s*([+-]?)\s*([0-9.]+(?:[eE][+-]?\d+)?)?\s*([xyz])")
_STAR = re.compile(r"^([abc])star\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s*nm\^-1", re.MULTILINE)


def read_crystfel(
    geom: Path | None, stream: Path | None = None, *, index: int | None = None, wavelength: float | None = None,
    camera_length: float | None = None,
) -> Geometry:  # fmt: skip
    """Read a geometry file and, perhaps, one crystal of a stream.

    Parameters
    ----------
    geom : path, optional
        The geometry; None: the one that the stream quotes, if any.
    stream : path, optional
        Its crystals.
    index : int, optional
        Which crystal of the stream, from 0; None: the only one.
    wavelength : float, optional
        [Angstrom]; needed where the geometry refers to a place in the image files.
    camera_length : float, optional
        ``clen`` [m]; likewise.

    Raises
    ------
    FileFormatError
        When something is missing or cannot be represented; the message names the panel and the key.
    """
    panels: list[Panel] = []
    if geom is not None or (stream is not None and _quoted(stream)):
        source = geom if geom is not None else stream
        assert source is not None
        text = read_bytes(source).decode("utf-8", "replace") if geom is not None else _quoted(source)
        reader = _Geom(source, text)
        panels = [reader.panel(name, camera_length) for name in reader.panels]
        if not panels:
            raise FileFormatError(source, "describes no panel (lines like p0/fs = +x)")
    crystal = None if stream is None else _crystal(stream, index)
    lambda_ = wavelength if wavelength is not None else (None if crystal is None else crystal[1])
    if lambda_ is None and panels:
        lambda_ = reader.wavelength()
    return Geometry(
        panels=tuple(panels), wavelength=lambda_, beam=np.array([0.0, 0.0, 1.0]), a_star=None if crystal is None else crystal[0],
        phi_start=None if crystal is None else 0.0,
    ).turned(FROM_NEXUS)  # fmt: skip


class _Geom:
    """A geometry file: values by key, those of panels over those that stood before the panel began."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.panels: dict[str, dict[str, str]] = {}
        self.top: dict[str, str] = {}
        self.bad: dict[str, dict[str, str]] = {}
        for line in text.splitlines():
            key, found, value = line.partition(";")[0].partition("=")
            if not found:
                continue
            key, value = key.strip(), value.strip()
            name, slash, field = key.rpartition("/")
            if not slash or key.startswith(("rigid_group", "group_")):
                self.top[key] = value
            elif name.startswith("bad"):
                self.bad.setdefault(name, {})[field] = value
            else:
                # CrystFEL copies the values that stand above a panel when it meets the panel first
                self.panels.setdefault(name, dict(self.top))[field] = value
        for key in ("mask", "mask_file", "mask0_file", "mask0_data"):
            if key in self.top:
                warnings.warn(f"{path}: {key} is not read; give Detector.mask", NanoBraggWarning, stacklevel=2)

    def number(self, panel: str, key: str, hint: str = "") -> float:
        values = self.panels[panel]
        if key not in values:
            raise FileFormatError(self.path, f"{panel}/{key} is missing{hint}")
        try:
            number = float(values[key].split()[0])
            if not np.isfinite(number):
                raise ValueError
            return number
        except (ValueError, IndexError):
            raise FileFormatError(self.path, f"{panel}/{key} = {values[key]}: is not a number{hint}") from None

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

    def panel(self, name: str, camera_length: float | None) -> Panel:
        resolution = self.number(name, "res")
        if not resolution > 0:
            raise FileFormatError(self.path, f"{name}/res = {resolution:g}: must be > 0 pixels per metre")
        fast, slow = self.vector(name, "fs"), self.vector(name, "ss")
        lengths = [float(np.linalg.norm(v)) for v in (fast, slow)]
        where = f"{name}/fs, ss"
        pixel = square_pixel(self.path, where, *(1000 * length / resolution for length in lengths))
        hint = "; give camera_length= in metres" if camera_length is None else ""
        clen = camera_length if camera_length is not None else self.number(name, "clen", hint)
        offset = self.number(name, "coffset") if "coffset" in self.panels[name] else 0.0
        bounds = {key: int(self.number(name, key)) for key in ("min_fs", "max_fs", "min_ss", "max_ss")}
        n_fast, n_slow = bounds["max_fs"] - bounds["min_fs"] + 1, bounds["max_ss"] - bounds["min_ss"] + 1
        if n_fast < 1 or n_slow < 1:
            raise FileFormatError(self.path, f"{name}: max_fs and max_ss must not be below min_fs and min_ss")
        corner = [1000 * self.number(name, f"corner_{axis}") / resolution for axis in "xy"]
        origin = np.array([*corner, 1000 * (clen + offset)])
        return Panel(
            n_fast=n_fast, n_slow=n_slow, pixel_mm=pixel, origin=origin, fast=fast / lengths[0], slow=slow / lengths[1],
            name=name, mask=self.mask(name, bounds, origin * resolution / 1000, fast, slow),
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
                low, high = (_number(self.path, bad, region.get(f"{end}_{axis}", "nothing")) for end in ("min", "max"))
                inside &= (values >= low) & (values <= high)
            mask[inside] = False
        return None if mask.all() else mask

    def wavelength(self) -> float:
        for key in ("wavelength", "photon_energy"):
            if key not in self.top:
                continue
            words = self.top[key].split()
            try:
                value = float(words[0])
            except ValueError:
                raise FileFormatError(
                    self.path, f"{key} = {self.top[key]}: is a place in the image files; give wavelength= in Angstrom"
                ) from None
            unit = words[1].lower() if len(words) > 1 else ""
            if key == "wavelength":
                return value * (1e10 if unit in ("m", "") else 1.0)
            return EV_ANGSTROM / (value * {"kev": 1e3, "mev": 1e6}.get(unit, 1.0))
        raise FileFormatError(self.path, "names neither photon_energy nor wavelength; give wavelength= in Angstrom")


def _quoted(stream: Path) -> str:
    """The geometry file that CrystFEL copies into the head of a stream; empty when there is none."""
    text = read_bytes(stream).decode("utf-8", "replace").partition("Begin chunk")[0]
    return text.partition("Begin geometry file -----")[2].partition("----- End geometry file")[0]


def _crystal(path: Path, index: int | None) -> tuple[Array, float | None]:
    """Rows a*, b*, c* [1/Angstrom] in the CrystFEL frame, and the wavelength of the chunk."""
    chunks = re.split(r"-+ Begin chunk -+", read_bytes(path).decode("utf-8", "replace"))[1:]
    crystals = [(text, chunk) for chunk in chunks for text in re.split(r"-+ Begin crystal\b", chunk)[1:]]
    if not crystals:
        raise FileFormatError(path, "holds no indexed crystal (Begin crystal)")
    if index is None and len(crystals) > 1:
        raise FileFormatError(path, f"holds {len(crystals)} crystals; choose one with index=0 to {len(crystals) - 1}")
    if not 0 <= (index or 0) < len(crystals):
        raise FileFormatError(path, f"index={index}: it holds crystals 0 to {len(crystals) - 1}")
    text, chunk = crystals[index or 0]
    where = f"crystal {index or 0}"
    stars = {match[1]: [_number(path, where, match[i]) for i in (2, 3, 4)] for match in _STAR.finditer(text)}
    if set(stars) != {"a", "b", "c"}:
        raise FileFormatError(path, f"crystal {index or 0}: astar, bstar, cstar are not all there")
    shift = re.search(r"det_shift x = (\S+) y = (\S+) mm", text)
    if shift and any(_number(path, where, shift[i]) for i in (1, 2)):
        warnings.warn(f"{path}: crystal {index or 0}: det_shift x = {shift[1]} y = {shift[2]} mm is not applied",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
    energy = re.search(r"photon_energy_eV = (\S+)", chunk)
    ev = _number(path, f"chunk of {where}", energy[1]) if energy else None
    if ev is not None and not ev > 0:
        raise FileFormatError(path, f"chunk of {where}: photon_energy_eV = {ev:g}, must be > 0")
    matrix = np.array([stars[name] for name in "abc"]) * 0.1
    if not abs(np.linalg.det(matrix)) > 0:
        raise FileFormatError(path, f"{where}: astar, bstar, cstar lie in a plane")
    return matrix, None if ev is None else EV_ANGSTROM / ev


def _number(path: Path, where: str, text: str) -> float:
    try:
        value = float(text)
        if np.isfinite(value):
            return value
    except ValueError:
        pass
    raise FileFormatError(path, f"{where}: {text!r} is not a number")


def write_geom(path: Path, geometry: Geometry) -> None:
    """Write a geometry file; panels are stacked along ss in the data array."""
    lab = geometry.along_beam().turned(FROM_NEXUS)
    lines = ["; written by nanobragg"]
    if lab.wavelength is not None:
        lines.append(f"wavelength = {lab.wavelength:.17g} A")
    start = 0
    for panel in lab.panels:
        name = panel.name.replace("/", "_")
        res = 1000 / panel.pixel_mm
        values: dict[str, Any] = {
            "min_fs": 0, "max_fs": panel.n_fast - 1, "min_ss": start, "max_ss": start + panel.n_slow - 1,
            "res": f"{res:.17g}", "fs": _expression(panel.fast), "ss": _expression(panel.slow),
            "corner_x": f"{panel.origin[0] * res / 1000:.17g}", "corner_y": f"{panel.origin[1] * res / 1000:.17g}",
            "clen": f"{panel.origin[2] / 1000:.17g}", "coffset": 0,
        }  # fmt: skip
        lines += ["", *(f"{name}/{key} = {value}" for key, value in values.items())]
        start += panel.n_slow
    write_bytes(path, ["\n".join([*lines, ""]).encode()])


def write_stream(path: Path, geometry: Geometry) -> None:
    """Write the crystal as a stream of one chunk without reflections."""
    lab = geometry.as_still().along_beam().turned(FROM_NEXUS)
    if lab.a_star is None or lab.wavelength is None:
        raise FileFormatError(path, "a stream needs a crystal and a wavelength")
    stars = "\n".join(
        f"{name}star = {' '.join(f'{x:+.17g}' for x in 10 * row)} nm^-1"
        for name, row in zip("abc", lab.a_star, strict=True)
    )
    text = f"""CrystFEL stream format 2.3
Generated by nanobragg
----- Begin chunk -----
photon_energy_eV = {EV_ANGSTROM / lab.wavelength:.17g}
--- Begin crystal
{stars}
--- End crystal
----- End chunk -----
"""
    write_bytes(path, [text.encode()])


def _expression(vector: Array) -> str:
    return " ".join(f"{float(v):+.17g}{axis}" for v, axis in zip(vector, "xyz", strict=True))
