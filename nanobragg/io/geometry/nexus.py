"""Geometry in NXmx files: chains of transformations followed to the laboratory (NeXus NXmx; docs/file_formats.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.geometry.axes import FROM_NEXUS, Array, rotation
from nanobragg.io.geometry.record import Geometry, Panel, Path, reciprocal, square_pixel
from nanobragg.io.images.image_file import open_hdf5

_LENGTHS = {"m": 1e3, "metre": 1e3, "meter": 1e3, "cm": 10.0, "mm": 1.0, "millimetre": 1.0, "millimeter": 1.0, "um": 1e-3,
            "µm": 1e-3, "micron": 1e-3, "nm": 1e-6}  # fmt: skip
_ANGLES = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": float(np.degrees(1)), "radian": float(np.degrees(1)),
           "radians": float(np.degrees(1))}  # fmt: skip
_WAVELENGTHS = {"angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "å": 1.0, "nm": 10.0, "pm": 0.01, "m": 1e10}
_TIMES = {"s": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_MAX_CHAIN = 100


def read_nxmx(path: Path, image: int | None = None) -> Geometry:
    """Geometry of an NXmx file.

    Raises
    ------
    FileFormatError
        When something is missing, has the wrong unit, or refers to what is not there; the message names the place.
    """
    with open_hdf5(path) as file:
        reader = _Nexus(path, file)
        try:
            return reader.geometry(image)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError, RuntimeError) as error:
            raise FileFormatError(path, f"{reader.where}: {type(error).__name__}: {error}; is it NXmx?") from None


class _Nexus:
    """An open file; `where` is the place that is read, for messages."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file, self.where = path, file, "/"

    def fail(self, problem: str) -> FileFormatError:
        return FileFormatError(self.path, f"{self.where}: {problem}")

    def need(self, name: str) -> Any:
        self.where = name
        found = self.file.get(name)
        if found is None:
            raise self.fail("is missing")
        return found

    def value(self, name: str, units: dict[str, float]) -> Array:
        """Numbers in our unit."""
        item = self.need(name)
        return np.atleast_1d(np.asarray(item[()], dtype=np.float64)) * self.factor(item, units)

    def factor(self, item: Any, units: dict[str, float]) -> float:
        unit = item.attrs.get("units")
        text = unit.decode() if isinstance(unit, bytes) else str(unit)
        if unit is None:
            raise self.fail(f"has no units; expected one of {', '.join(units)}")
        if text.lower() not in units:
            raise self.fail(f"units={text!r}: expected one of {', '.join(units)}")
        return units[text.lower()]

    def of_class(self, group: Any, kind: str) -> list[str]:
        """Paths of the groups of a NeXus class, in order of their names."""

        def name(item: Any) -> str:
            found = item.attrs.get("NX_class", b"") if hasattr(item, "attrs") else b""
            return found.decode() if isinstance(found, bytes) else str(found)

        return [f"{group.name.rstrip('/')}/{key}" for key in sorted(group) if name(group[key]) == kind]

    def one(self, group: Any, kind: str) -> Any:
        self.where = group.name
        found = self.of_class(group, kind)
        if not found:
            raise self.fail(f"holds no {kind}")
        return self.need(found[0])

    def transformation(self, name: str, index: int) -> Array:
        """4 x 4 matrix of one axis at an image."""
        item = self.need(name)
        kind = item.attrs.get("transformation_type", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        vector = np.asarray(item.attrs["vector"], dtype=np.float64)
        matrix = np.eye(4)
        if kind == "translation":
            values = self.value(name, _LENGTHS)
            matrix[:3, 3] = values[min(index, len(values) - 1)] * vector
        elif kind == "rotation":
            values = self.value(name, _ANGLES)
            matrix[:3, :3] = rotation(vector, float(values[min(index, len(values) - 1)]))
        else:
            raise self.fail(f"transformation_type={kind!r}: must be translation or rotation")
        offset = np.asarray(item.attrs.get("offset", (0.0, 0.0, 0.0)), dtype=np.float64)
        if offset.any():
            unit = item.attrs.get("offset_units", item.attrs.get("units") if kind == "translation" else "m")
            text = unit.decode() if isinstance(unit, bytes) else str(unit)
            if text not in _LENGTHS:
                raise self.fail(f"offset_units={text!r}: expected one of {', '.join(_LENGTHS)}")
            shift = np.eye(4)
            shift[:3, 3] = offset * _LENGTHS[text]
            matrix = shift @ matrix
        return matrix

    def chain(self, name: str, index: int) -> Array:
        """Product of an axis and everything that it depends on."""
        matrix, steps = np.eye(4), 0
        while name != ".":
            item = self.need(name)
            matrix = self.transformation(name, index) @ matrix
            parent = item.attrs.get("depends_on", b".")
            parent = parent.decode() if isinstance(parent, bytes) else str(parent)
            if parent != "." and not parent.startswith("/"):
                parent = f"{name.rpartition('/')[0]}/{parent}"
            if parent != "." and self.file.get(parent) is None:
                raise self.fail(f"depends on {parent}, which is not there")
            name, steps = parent, steps + 1
            if steps > _MAX_CHAIN:
                raise self.fail("depends on itself")
        return matrix

    def geometry(self, image: int | None) -> Geometry:
        self.where = "/"
        entry = self.one(self.file, "NXentry")
        instrument = self.one(entry, "NXinstrument")
        beam, detector = self.one(instrument, "NXbeam"), self.one(instrument, "NXdetector")
        index = 0 if image is None else image - 1
        wavelength = self.value(f"{beam.name}/incident_wavelength", _WAVELENGTHS)
        if wavelength.size != 1:
            raise self.fail(f"holds {wavelength.size} wavelengths; only one is read")
        panels = tuple(self.panels(detector, index))
        spindle, phi, osc, n = self.scan(entry, index)
        if not 0 <= index < n:
            self.where = f"{entry.name}/data"
            raise self.fail(f"image={image}: it holds images 1 to {n}")
        axis, kahn = self.polarization(beam)
        self.where = detector.name
        exposure = float(self.value(f"{detector.name}/count_time", _TIMES)[0]) if "count_time" in detector else 1.0
        vectors = self.file.get("/entry/nanobragg/real_space_vectors")
        return Geometry(
            panels=panels, wavelength=float(wavelength[0]), beam=np.array([0.0, 0.0, 1.0]), polarization_axis=axis,
            kahn_factor=kahn, spindle=spindle, phi_start=phi, osc=osc, n_images=n, exposure_s=exposure,
            a_star=None if vectors is None else reciprocal(np.asarray(vectors[()], dtype=np.float64)),
        ).turned(FROM_NEXUS)  # fmt: skip

    def panels(self, detector: Any, index: int) -> list[Panel]:
        names = self.of_class(detector, "NXdetector_module")
        if not names:
            self.where = detector.name
            raise self.fail("holds no NXdetector_module")
        thickness = (
            self.value(f"{detector.name}/sensor_thickness", _LENGTHS)[0] if "sensor_thickness" in detector else 0.0
        )
        mask = self.mask(detector)
        panels = []
        for name in names:
            n_slow, n_fast = (int(n) for n in self.need(f"{name}/data_size")[()][-2:])
            start_slow, start_fast = (int(n) for n in self.need(f"{name}/data_origin")[()][-2:])
            axes, sizes, corner = [], [], np.zeros(3)
            for direction in ("fast", "slow"):
                place = f"{name}/{direction}_pixel_direction"
                item = self.need(place)
                sizes.append(float(self.value(place, _LENGTHS)[0]))
                parent = item.attrs.get("depends_on", b".")
                parent = parent.decode() if isinstance(parent, bytes) else str(parent)
                if parent != "." and not parent.startswith("/"):
                    parent = f"{name}/{parent}"
                if parent != "." and self.file.get(parent) is None:
                    raise self.fail(f"depends on {parent}, which is not there")
                matrix = self.chain(parent, index)
                vector = np.asarray(item.attrs["vector"], dtype=np.float64)
                axes.append(matrix[:3, :3] @ vector / np.linalg.norm(vector))
                corner = matrix[:3, 3]
            part = (
                None if mask is None else mask[start_slow : start_slow + n_slow, start_fast : start_fast + n_fast] == 0
            )
            panels.append(Panel(
                n_fast=n_fast, n_slow=n_slow, pixel_mm=square_pixel(self.path, name, *sizes), origin=corner, fast=axes[0],
                slow=axes[1], name=name.rpartition("/")[2], mask=None if part is None or part.all() else part,
                thickness_mm=float(thickness),
            ))  # fmt: skip
        return panels

    def mask(self, detector: Any) -> Any:
        for name in ("pixel_mask", "pixel_mask_1"):
            if name in detector and detector[name].ndim == 2:
                return np.asarray(detector[name][()])
        return None

    def scan(self, entry: Any, index: int) -> tuple[Array | None, float | None, float | None, int]:
        """Spindle, angle of the image, width and number of images."""
        samples = self.of_class(entry, "NXsample")
        count = 1
        for group in self.of_class(entry, "NXdata"):
            count = max([count, *(len(item) for item in self.file[group].values() if getattr(item, "ndim", 0) == 3)])
        if not samples or "depends_on" not in self.file[samples[0]]:
            return None, None, None, count
        name = self.need(f"{samples[0]}/depends_on")[()]
        name = name.decode() if isinstance(name, bytes) else str(name)
        if name == ".":
            return None, None, None, count
        if not name.startswith("/"):
            name = f"{samples[0]}/{name}"
        item = self.need(name)
        values = self.value(name, _ANGLES)
        spindle = np.asarray(item.attrs["vector"], dtype=np.float64)
        parent = item.attrs.get("depends_on", b".")
        parent = parent.decode() if isinstance(parent, bytes) else str(parent)
        if parent != ".":
            raise self.fail(f"depends on {parent}: goniometers of several axes are not read; use the experiment list")
        width = float(values[1] - values[0]) if len(values) > 1 else 0.0
        end = f"{name}_end"
        if self.file.get(end) is not None:
            width = float(self.value(end, _ANGLES)[0] - values[0])
        start = float(values[index]) if index < len(values) else float(values[0] + index * width)
        return spindle / np.linalg.norm(spindle), start, width or None, count

    def polarization(self, beam: Any) -> tuple[Array | None, float | None]:
        """Axis and Kahn factor of Stokes parameters (I, Q, U, V)."""
        for name in ("incident_polarisation_stokes", "incident_polarization_stokes"):
            if name in beam:
                stokes = np.asarray(beam[name][()], dtype=np.float64).reshape(-1, 4)[0]
                kahn = float(np.hypot(stokes[1], stokes[2]) / stokes[0])
                angle = np.arctan2(stokes[2], stokes[1]) / 2
                return np.array([np.cos(angle), np.sin(angle), 0.0]), min(1.0, kahn)
        return None, None
