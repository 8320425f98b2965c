"""What every geometry file says, as plain data: panels, beam, spindle, scan and crystal in the frame of DIALS."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.geometry.axes import Array, rotation, turning

Path = str | PathLike[str]
BEAM = np.array([0.0, 0.0, -1.0])
"""Along the beam in the frame of DIALS, where a format has no direction of its own."""


def reciprocal(rows: Array) -> Array:
    """Rows a*, b*, c* of rows a, b, c, and the other way round; no 2 pi."""
    return np.asarray(np.linalg.inv(rows).T, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A flat panel; pixel [0, 0] begins at `origin`."""

    n_fast: int
    n_slow: int
    pixel_mm: float
    origin: Array
    """outer corner of the first pixel [mm]"""
    fast: Array
    slow: Array
    name: str = "panel"
    mask: Any = None
    """(n_slow, n_fast) bool, True = rendered"""
    thickness_mm: float = 0.0
    mu_per_mm: float = 0.0

    @property
    def normal(self) -> Array:
        """Unit vector fast x slow."""
        normal = np.cross(self.fast, self.slow)
        return np.asarray(normal / np.linalg.norm(normal))

    @property
    def distance(self) -> float:
        """From the sample along `normal` [mm]; negative when fast x slow points back to the sample."""
        return float(self.origin @ self.normal)


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
    exposure_s: float = 1.0
    a_star: Array | None = None
    """(3, 3) rows a*, b*, c* [1/Angstrom] at phi 0"""
    cell: tuple[float, ...] | None = None
    """unit cell where the orientation is not known [Angstrom, degrees]"""
    space_group: str | None = None

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
            spindle=vector(self.spindle), a_star=None if self.a_star is None else self.a_star @ matrix.T,
        )  # fmt: skip

    def as_still(self) -> Geometry:
        """With the rotation of a still in the orientation, for formats that have no angle for it."""
        if self.osc or not self.phi_start or self.spindle is None or self.a_star is None:
            return self
        turned = self.a_star @ rotation(self.spindle, self.phi_start).T
        return dataclasses.replace(self, a_star=turned, phi_start=0.0)

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


def square_pixel(path: Path, where: str, fast: float, slow: float) -> float:
    """The edge of a square pixel; others are refused."""
    if not fast > 0 or abs(fast - slow) > 1e-6 * fast:
        raise FileFormatError(path, f"{where}: pixels of {fast:g} x {slow:g} mm; only square ones are simulated")
    return fast


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
