"""Geometry in SMV headers of d*TREK (Rigaku): a detector on a goniometer whose axes the header names.

The detector starts in the plane z = 0 with the place of its beam position at the origin, and goes through the axes of its
goniometer from the last entry to the first. The frame is that of DIALS: the source lies along +z.
"""

from __future__ import annotations

import warnings

import numpy as np

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import Array, rotation, unit
from nanobragg.io.geometry.record import Geometry, Path, forwards, mounted, panel_of


def is_dtrek(header: dict[str, str]) -> bool:
    """Whether an SMV header is one of d*TREK."""
    return "DETECTOR_NAMES" in header and "ROTATION_VECTOR" in header


def dtrek_geometry(path: Path, header: dict[str, str], shape: tuple[int, int]) -> Geometry:
    """What the header of an image of (n_slow, n_fast) pixels says."""
    return _Header(path, header).geometry(shape)


class _Header:
    """Values by key."""

    def __init__(self, path: Path, header: dict[str, str]) -> None:
        self.path, self.header = path, header
        self.detector = self.text("DETECTOR_NAMES").split()[0] if self.text("DETECTOR_NAMES") else ""

    def text(self, key: str) -> str:
        if key not in self.header:
            raise FileFormatError(self.path, f"the d*TREK header has no {key}")
        return self.header[key]

    def numbers(self, key: str, n: int) -> list[float]:
        """The first n numbers of an entry."""
        words = self.text(key).split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            raise FileFormatError(self.path, f"{key}={self.header[key]}: are not numbers") from None
        if len(values) < n or not np.isfinite(values[:n]).all():
            raise FileFormatError(self.path, f"{key}={self.header[key]}: expected {n} finite numbers")
        return values[:n]

    def direction(self, key: str, values: list[float]) -> Array:
        try:
            return unit(values)
        except ValueError as error:
            raise FileFormatError(self.path, f"{key}: {error}") from None

    def goniometer(self, prefix: str) -> list[tuple[str, str, float, Array]]:
        """Name, unit, value and vector of every axis, the outermost first."""
        n = int(self.numbers(f"{prefix}GONIO_NUM_VALUES", 1)[0])
        if not 0 <= n <= 20:
            raise FileFormatError(self.path, f"{prefix}GONIO_NUM_VALUES={n}: must be 0 to 20")
        if n == 0:
            return []
        names, units = (self.text(f"{prefix}GONIO_{what}").split() for what in ("NAMES", "UNITS"))
        values, vectors = self.numbers(f"{prefix}GONIO_VALUES", n), self.numbers(f"{prefix}GONIO_VECTORS", 3 * n)
        if len(names) < n or len(units) < n:
            raise FileFormatError(self.path, f"{prefix}GONIO_NAMES, _UNITS: expected {n} words")
        for name, word in zip(names, units, strict=False):
            if word.lower() not in ("deg", "mm"):
                raise FileFormatError(self.path, f"{prefix}GONIO_UNITS: {name} has unit {word!r}; known are deg and mm")
        key = f"{prefix}GONIO_VECTORS"
        return [
            (names[i], units[i].lower(), values[i], self.direction(key, vectors[3 * i : 3 * i + 3])) for i in range(n)
        ]

    def geometry(self, shape: tuple[int, int]) -> Geometry:
        d = self.detector
        kind = self.text(f"{d}SPATIAL_DISTORTION_TYPE")
        if kind.lower() != "simple_spatial":
            raise FileFormatError(self.path, f"{d}SPATIAL_DISTORTION_TYPE={kind}: only Simple_spatial is read; take the "
                                  "geometry from an experiment list (.expt)")  # fmt: skip
        beam_fast, beam_slow, edge_fast, edge_slow = self.numbers(f"{d}SPATIAL_DISTORTION_INFO", 4)
        if f"{d}SPATIAL_BEAM_POSITION" in self.header:
            beam_fast, beam_slow = self.numbers(f"{d}SPATIAL_BEAM_POSITION", 2)
        vectors = np.array(self.numbers(f"{d}DETECTOR_VECTORS", 6)).reshape(2, 3)
        mixing = np.array([1.0, 0.0, 0.0, 1.0])
        if f"{d}SPATIAL_DISTORTION_VECTORS" in self.header:
            mixing = np.array(self.numbers(f"{d}SPATIAL_DISTORTION_VECTORS", 4))
        fast, slow = mixing.reshape(2, 2) @ vectors
        origin = -beam_fast * edge_fast * fast - beam_slow * edge_slow * slow
        for _, kind, value, vector in reversed(self.goniometer(d)):
            if kind == "mm":
                origin = origin + value * vector
            else:
                turn = rotation(vector, value)
                origin, fast, slow = turn @ origin, turn @ fast, turn @ slow
        panel = panel_of(self.path, f"{d}SPATIAL_DISTORTION_INFO", (edge_fast, edge_slow), n_fast=shape[1],
                         n_slow=shape[0], origin=origin, fast=fast, slow=slow)  # fmt: skip
        start, _, width, exposure = self.numbers("ROTATION", 4)
        spindle = self.direction("ROTATION_VECTOR", self.numbers("ROTATION_VECTOR", 3))
        spindle, start, width = forwards(spindle, start, width)
        return Geometry(
            panels=(panel,), wavelength=self.wavelength(), spindle=spindle, phi_start=start, osc=width or None,
            beam=-self.direction("SOURCE_VECTORS", self.numbers("SOURCE_VECTORS", 3)), exposure_s=exposure or None,
            mount=self.inner(), kahn_factor=self.kahn_factor(),
        )  # fmt: skip

    def wavelength(self) -> float:
        if "SCAN_WAVELENGTH" in self.header:
            values = self.text("SCAN_WAVELENGTH").split()
            return self.numbers("SCAN_WAVELENGTH", len(values) or 1)[-1]
        return self.numbers("SOURCE_WAVELENGTH", 2)[1]

    def kahn_factor(self) -> float | None:
        """Kahn factor of an unpolarized source; the plane of another one is not named in one way by all writers."""
        if "SOURCE_POLARZ" not in self.header:
            return None
        if self.numbers("SOURCE_POLARZ", 1)[0] == 0.5:
            return 0.0
        warnings.warn(f"{self.path}: SOURCE_POLARZ={self.header['SOURCE_POLARZ']}: is not used; set beam.kahn_factor",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
        return None

    def inner(self) -> Array | None:
        """The rotation by the axes of the crystal's goniometer that are inside the scanned one."""
        if "CRYSTAL_GONIO_NUM_VALUES" not in self.header:
            return None
        axes = self.goniometer("CRYSTAL_")
        scanned = self.header.get("ROTATION_AXIS_NAME", "").lower()
        names = [name.lower() for name, *_ in axes]
        inner = axes[names.index(scanned) + 1 :] if scanned in names else []
        matrix = np.eye(3)
        for _, kind, value, vector in inner:
            if kind == "deg":
                matrix = matrix @ rotation(vector, value)
        return mounted(matrix)
