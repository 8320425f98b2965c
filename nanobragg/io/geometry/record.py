"""What every geometry file says, as plain data: panels, beam, spindle, scan and crystal in the frame of DIALS."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import Array, rotation, turning, unit
from nanobragg.io.space_groups import P1, group_name
from nanobragg.io.text import Path
from nanobragg.lazy import dataclass

BEAM = np.array([0.0, 0.0, -1.0])
"""Along the beam in the frame of DIALS, where a format has no direction of its own."""
_PARALLEL = 1e-6
"""Sine of the angle between two axes below which they are parallel."""
_ROUNDING = 1e-12
"""Cosine of the angle between two axes below which they are perpendicular but for rounding."""
_SAME = 1e-5
"""Relative difference of the edges of a pixel, and cosine of the angle between its axes, that a format may leave out."""
MOST_IMAGES = 100_000
"""Of a scan that is read as a whole."""
_MAX_PIXELS = 2**28
"""Of one panel: many times the largest detector."""
R = TypeVar("R")


def reader(function: Callable[..., R]) -> Callable[..., R]:
    """A reader of geometry: numbers that overflow on the way are found where they end up, not told by numpy."""

    @functools.wraps(function)
    def read(*args: Any, **options: Any) -> R:
        with np.errstate(all="ignore"):
            return function(*args, **options)

    return read


def check_size(path: Path, where: str, n_fast: int, n_slow: int) -> None:
    """Refuse a panel without pixels, or with more than any detector has.

    Raises
    ------
    FileFormatError
    """
    if not (n_fast >= 1 and n_slow >= 1 and n_fast * n_slow <= _MAX_PIXELS):
        raise FileFormatError(
            path, f"{where}: {n_fast} x {n_slow} pixels; must be at least 1 x 1 and at most {_MAX_PIXELS}"
        )


def reciprocal(rows: Array) -> Array:
    """Rows a*, b*, c* of rows a, b, c, and the other way round; no 2 pi."""
    return np.asarray(np.linalg.inv(rows).T, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A flat panel; pixel [0, 0] begins at `origin`."""

    n_fast: int
    n_slow: int
    edges_mm: tuple[float, float]
    """of a pixel along fast and slow"""
    origin: Array
    """outer corner of the first pixel [mm]"""
    fast: Array
    slow: Array
    name: str = "panel"
    mask: Any = None
    """(n_slow, n_fast) bool, True = rendered"""
    thickness_mm: float = 0.0
    """of the sensor; 0: none"""
    mu_per_mm: float = 0.0
    """absorption of the sensor; 0: the file does not say"""
    material: str = ""
    """of the sensor, as the file spells it; empty: the file does not say"""
    image_offset: tuple[int, int] = (0, 0)
    """(fast, slow) of its first pixel in the images that the geometry belongs to; the same for all: panels below each other"""

    @property
    def normal(self) -> Array:
        """Unit vector fast x slow."""
        normal = np.cross(self.fast, self.slow)
        return np.asarray(normal / np.linalg.norm(normal))

    def pixel_of(self, point: Array) -> tuple[float, float]:
        """Where a point [mm], or its foot on the plane of the panel, lies: (fast, slow) in pixels from the outer corner."""
        off = point - self.origin
        f, s, skew = float(off @ self.fast), float(off @ self.slow), float(self.fast @ self.slow)
        if abs(skew) > _ROUNDING:
            f, s = (f - skew * s) / (1 - skew * skew), (s - skew * f) / (1 - skew * skew)
        return f / self.edges_mm[0], s / self.edges_mm[1]

    @property
    def distance(self) -> float:
        """From the sample along `normal` [mm]; negative when fast x slow points back to the sample."""
        return float(self.origin @ self.normal)


@dataclass(frozen=True, kw_only=True)
class CrystalAxes:
    """A crystal beside the first one."""

    a_star: Array
    """(3, 3) rows a*, b*, c* at spindle angle 0 [1/Angstrom]"""
    space_group: str | None = None
    """Hall symbol"""

    def turned(self, matrix: Array) -> CrystalAxes:
        """Rotated by a matrix."""
        return dataclasses.replace(self, a_star=self.a_star @ matrix.T)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Panels, beam, spindle, scan and crystal; vectors in the frame of DIALS. None: the file does not say."""

    panels: tuple[Panel, ...] = ()
    wavelength: float | None = None
    """[Angstrom]"""
    beam: Array | None = None
    """unit vector along the beam"""
    polarization_axis: Array | None = None
    """along the electric field"""
    kahn_factor: float | None = None
    flux: float | None = None
    """[photons/s]"""
    spindle: Array | None = None
    phi_start: float | None = None
    """of the image [degrees]; a still without a spindle has 0"""
    osc: float | None = None
    """width of an image [degrees]; None or 0: a still"""
    n_images: int = 1
    exposure_s: float | None = None
    mount: Array | None = None
    """(3, 3) rotation by the axes of the goniometer that are not scanned, at spindle angle 0; `a_star` has it already"""
    a_star: Array | None = None
    """(3, 3) rows a*, b*, c* [1/Angstrom] at phi 0"""
    cell: tuple[float, ...] | None = None
    """unit cell where the orientation is not known [Angstrom, degrees]"""
    space_group: str | None = None
    """Hall symbol, see `nanobragg.io.space_groups`"""
    others: tuple[CrystalAxes, ...] = ()
    """further crystals in the beam"""
    mosaic_model: str = "gaussian"
    """what `mosaicity_deg` is: the standard deviation about an axis ("gaussian") or the largest angle ("ball")"""
    mosaicity_deg: float | None = None
    """[degrees]"""
    domain_angstrom: float | None = None
    """edge of a mosaic block [Angstrom]"""

    @property
    def lattices(self) -> tuple[CrystalAxes, ...]:
        """All crystals, the first one included."""
        first = () if self.a_star is None else (CrystalAxes(a_star=self.a_star, space_group=self.space_group),)
        return first + self.others

    @property
    def exposure(self) -> float:
        """Of one image, for formats that want one [s]; 1 where it is not known."""
        return self.exposure_s or 1.0

    @property
    def axes(self) -> Array:
        """(3, 3) rows a, b, c at phi 0 [Angstrom]."""
        assert self.a_star is not None
        return reciprocal(self.a_star)

    @property
    def parameters(self) -> tuple[float, ...]:
        """Unit cell [Angstrom, degrees]."""
        axes = self.axes
        edges = np.linalg.norm(axes, axis=1)
        angles = [np.degrees(np.arccos(axes[i] @ axes[j] / edges[i] / edges[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
        return tuple(float(x) for x in (*edges, *angles))

    def turned(self, matrix: Array) -> Geometry:
        """Everything rotated by a matrix; the physics stays."""

        def vector(v: Array | None) -> Array | None:
            return None if v is None else matrix @ v

        panels = tuple(
            dataclasses.replace(p, origin=matrix @ p.origin, fast=matrix @ p.fast, slow=matrix @ p.slow)
            for p in self.panels
        )
        return dataclasses.replace(
            self, panels=panels, beam=vector(self.beam), polarization_axis=vector(self.polarization_axis),
            spindle=vector(self.spindle), mount=None if self.mount is None else matrix @ self.mount @ matrix.T,
            a_star=None if self.a_star is None else self.a_star @ matrix.T,
            others=tuple(one.turned(matrix) for one in self.others),
        )  # fmt: skip

    def as_still(self) -> Geometry:
        """With the rotation of a still in the orientation, for formats that have no angle for it."""
        if self.osc or not self.phi_start or self.spindle is None or self.a_star is None:
            return self
        turn = rotation(self.spindle, self.phi_start)
        others = tuple(one.turned(turn) for one in self.others)
        return dataclasses.replace(self, a_star=self.a_star @ turn.T, others=others, phi_start=0.0)

    def along_beam(self) -> Geometry:
        """Rotated as a whole so that the beam runs along -z, as formats want it that have no beam direction."""
        return self if self.beam is None else self.turned(turning(self.beam, BEAM))


def one_panel(geometry: Geometry, program: str) -> Panel:
    """The panel of a detector that has one.

    Raises
    ------
    ConfigError
        When there are several, which the program's file cannot hold.
    """
    if len(geometry.panels) != 1:
        raise ConfigError("detector", f"{len(geometry.panels)} panels", f"files of {program} hold one panel",
                          "use to_dials or write_nxmx")  # fmt: skip
    return geometry.panels[0]


def one_crystal(geometry: Geometry, program: str) -> None:
    """Refuse several crystals where a file holds one.

    Raises
    ------
    ConfigError
    """
    if geometry.others:
        raise ConfigError("crystal", f"{len(geometry.lattices)} crystals", f"files of {program} hold one",
                          "take one, experiment.replace(crystal=experiment.crystal[0]), or write .expt or .stream")  # fmt: skip


def panel_of(
    path: Path, where: str, edges: tuple[float, float], *, origin: Array, fast: Array, slow: Array, n_fast: int, n_slow: int,
    **more: Any,
) -> Panel:  # fmt: skip
    """A panel as a file describes it; what cannot be simulated is refused.

    Parameters
    ----------
    path, where : path and str
        The file and the place inside it, for messages.
    edges : tuple of 2 float
        Of a pixel along fast and slow [mm].
    origin : (3,) array
        Outer corner of the first pixel [mm].
    fast, slow : (3,) array
        Directions; need not be quite perpendicular.
    n_fast, n_slow : int
        Pixels.
    **more
        Other fields of `Panel`.

    Raises
    ------
    FileFormatError
        For axes that are parallel, edges that are not above 0, and numbers that are not finite.
    """
    check_size(path, where, n_fast, n_slow)
    vectors = [np.asarray(v, dtype=np.float64) for v in (origin, fast, slow)]
    if not np.isfinite([*edges, *(x for v in vectors for x in v)]).all():
        raise FileFormatError(
            path, f"{where}: holds a number that is not finite; correct the origin, the axes or the pixels"
        )
    origin, fast, slow = vectors
    if not all(0 < np.linalg.norm(axis) < np.inf for axis in (fast, slow)):
        raise FileFormatError(path, f"{where}: an axis has no length; correct fs (fast) and ss (slow)")
    fast, slow = unit(fast), unit(slow)
    if np.linalg.norm(np.cross(fast, slow)) < _PARALLEL:
        raise FileFormatError(path, f"{where}: fs (fast) and ss (slow) of panel {more.get('name', 'panel')} are "
                              "parallel; a panel needs two directions")  # fmt: skip
    if not min(edges) > 0:
        raise FileFormatError(path, f"{where}: pixels of {edges[0]:g} x {edges[1]:g} mm; both edges must be > 0")
    edges = (float(edges[0]), float(edges[1]))
    return Panel(n_fast=n_fast, n_slow=n_slow, edges_mm=edges, origin=origin, fast=fast, slow=slow, **more)


def one_edge(edges: tuple[float, float], what: str) -> float:
    """The edge of a pixel for a format that holds one.

    Raises
    ------
    ConfigError
        Where the two differ by more than 1e-5.
    """
    if abs(edges[0] - edges[1]) > _SAME * max(edges):
        raise ConfigError("detector.pixel_size_mm", edges, f"{what} holds one edge for both sides of a pixel",
                          "use to_dials, to_crystfel or write_nxmx")  # fmt: skip
    return edges[0] if edges[0] == edges[1] else (edges[0] + edges[1]) / 2


def check_perpendicular(panel: Panel, program: str) -> None:
    """Refuse axes that are not perpendicular, for a program that takes them for it.

    Raises
    ------
    ConfigError
        Where the cosine of the angle between them is above 1e-5.
    """
    cosine = float(panel.fast @ panel.slow)
    if abs(cosine) > _SAME:
        raise ConfigError("detector.slow_axis", f"a cosine of {cosine:.3g} with the fast axis",
                          f"files of {program} hold axes that are perpendicular", "use to_crystfel or write_nxmx")  # fmt: skip


def tell_lost_group(path: Path, geometry: Geometry) -> None:
    """Warn of a space group that the format does not hold."""
    if geometry.space_group not in (None, P1):
        warnings.warn(f"{path}: the space group ({group_name(geometry.space_group)}) is not part of the file",
                      NanoBraggWarning, stacklevel=3)  # fmt: skip


def mounted(matrix: Array) -> Array | None:
    """A rotation, or None for none."""
    return None if np.abs(matrix - np.eye(3)).max() < 1e-9 else matrix


def forwards(spindle: Array, start: float, width: float) -> tuple[Array, float, float]:
    """Axis, start and width of a rotation whose width is not negative: backwards is forwards about the opposite axis."""
    return (-spindle, -start, -width) if width < 0 else (spindle, start, width)


def flat_beam_center(geometry: Geometry, what: str) -> tuple[float, float, float]:
    """(fast, slow) of the beam from the outer corner of the first pixel, and the distance [mm].

    Raises
    ------
    ConfigError
        For several panels, or a panel that does not stand upright at right angles to the beam (after a rotation of the
        whole laboratory that brings the beam to -z).
    """
    panel = one_panel(geometry, what)
    off = max(np.abs(panel.fast - (1, 0, 0)).max(), np.abs(panel.slow - (0, -1, 0)).max())
    if off > 1e-6:
        raise ConfigError(
            "detector", f"axes off by {off:.2g}", f"{what} can only hold a detector at right angles to the beam, fast axis "
            "along +x of DIALS, slow axis along -y", "use write_nxmx, or sidecar=True with a template of frames",
        )  # fmt: skip
    return -float(panel.origin[0]), float(panel.origin[1]), -float(panel.origin[2])
