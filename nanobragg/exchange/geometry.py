"""The geometry of an experiment without our config objects: what all file formats share, in the frame of DIALS."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Beam, Crystal, Detector, Experiment, Goniometer, Sensor, UnitCell
from nanobragg.config.quirks import Quirk
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.cell import oriented_cell
from nanobragg.derivation.panels import experiments
from nanobragg.derivation.placement import convention_in_force, place
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import Array, from_lab, rotation, turning

Path = str | PathLike[str]
BEAM = np.array([0.0, 0.0, -1.0])
"""Along the beam in the frame of DIALS, where a format has no direction of its own."""
_NEED_VECTORS = (Quirk.PIX0_IGNORED, Quirk.CUSTOM_CHANGES_CENTRE)


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


def of_experiment(experiment: Experiment | Geometry, n_images: int = 1) -> Geometry:
    """The geometry of an experiment, all decisions made; a geometry passes through.

    Raises
    ------
    ConfigError
        For what no geometry file can hold: a curved detector.
    """
    if isinstance(experiment, Geometry):
        return dataclasses.replace(experiment, n_images=n_images)
    parts = [resolve(part) for part in experiments(experiment)]
    first = parts[0]
    frame = from_lab(convention_in_force(first))
    panels = []
    for i, part in enumerate(parts):
        if part.detector.curved:
            raise ConfigError("detector.curved", True, "a curved detector is not known to other programs' files")
        p, sensor = place(part, FLOAT_OPS), part.detector.sensor or Sensor()
        if convention_in_force(part) != convention_in_force(first):
            frame_i = from_lab(convention_in_force(part))
            if (frame_i != frame).any():
                raise ConfigError(f"detector[{i}].convention", part.detector.convention, "has another laboratory frame "
                                  f"than panel 0 ({first.detector.convention})", "use one convention")  # fmt: skip
        depth = None if sensor.attenuation_um is None else detached(sensor.attenuation_um)
        panels.append(
            Panel(
                n_fast=part.detector.n_fast, n_slow=part.detector.n_slow, pixel_mm=1000 * p.pixel_size,
                origin=frame @ (1000 * np.array(p.pix0)), fast=frame @ np.array(p.fast), slow=frame @ np.array(p.slow),
                name="panel" if len(parts) == 1 else f"panel_{i}", mask=part.detector.mask,
                thickness_mm=detached(sensor.thickness_um) / 1000,
                mu_per_mm=1000 / depth if depth is not None and 0 < depth < np.inf else 0.0,
            )
        )  # fmt: skip
    gonio, beam = first.goniometer, first.beam
    phi, osc = detached(gonio.phi_start_deg), detached(gonio.osc_deg)
    spindle = frame @ np.array(p.spindle)
    cell = oriented_cell(first, FLOAT_OPS)
    axes = np.array([cell.a, cell.b, cell.c]) * 1e10 @ frame.T
    table = first.crystal.structure_factors
    return Geometry(
        panels=tuple(panels), wavelength=wavelength_m(first, FLOAT_OPS) * 1e10, beam=frame @ np.array(p.beam),
        polarization_axis=frame @ np.array(p.polarization_axis),
        kahn_factor=detached(beam.kahn_factor) if beam.polarized else 0.0,
        flux=None if beam.flux_per_s is None else detached(beam.flux_per_s), spindle=spindle, phi_start=phi,
        osc=osc or None, n_images=n_images, exposure_s=detached(beam.exposure_s), a_star=reciprocal(axes),
        space_group=None if table is None else table.space_group,
    )  # fmt: skip


def to_experiment(
    geometry: Geometry, path: Path, template: Experiment | None, structure_factors: StructureFactors | None
) -> Experiment:
    """The experiment that a geometry file means.

    Parameters
    ----------
    geometry : Geometry
        From the file; what it does not say comes from the template.
    path : path
        The file, for messages.
    template : Experiment, optional
        Everything that the file does not hold: size, shape and mosaicity of the crystal, fluence, sampling ...; also its
        laboratory frame is kept.
    structure_factors : StructureFactors, optional
        None: those of the template, else 1 electron for every index, with a warning.

    Raises
    ------
    ConfigError
        For a template in which vectors are ignored (reference fidelity).
    FileFormatError
        When there is no crystal, neither in the file nor in the template.
    """
    quirks = frozenset() if template is None else template.quirks
    ignoring = [quirk for quirk in _NEED_VECTORS if quirk in quirks]
    if ignoring:
        raise ConfigError("quirks", [quirk.name for quirk in ignoring], "leave no room for the vectors of a geometry file",
                          "use template.with_fidelity('corrected')")  # fmt: skip
    models = (
        ()
        if template is None
        else (template.detector if isinstance(template.detector, tuple) else (template.detector,))
    )
    convention = models[0].convention if models else "mosflm"
    lab = geometry.turned(from_lab(convention).T)
    parts: dict[str, Any] = {
        "crystal": _crystal(lab, path, template, structure_factors),
        "beam": _beam(lab, Beam() if template is None else template.beam),
        "goniometer": _goniometer(lab, Goniometer() if template is None else template.goniometer),
    }
    if lab.panels:
        panels = [_detector(panel, models[i if i < len(models) else 0] if models else None, convention)
                  for i, panel in enumerate(lab.panels)]  # fmt: skip
        parts |= {"detector": panels[0] if len(panels) == 1 else tuple(panels), "detector_pose": None}
    return Experiment(**parts) if template is None else dataclasses.replace(template, **parts)


def _crystal(
    lab: Geometry, path: Path, template: Experiment | None, structure_factors: StructureFactors | None
) -> Crystal:
    old = None if template is None else template.crystal
    table = structure_factors or (None if old is None else old.structure_factors)
    if table is None:
        warnings.warn(f"{path}: no structure factors given, every one is 1 electron; give structure_factors=",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
        table = StructureFactors.constant(1.0)
    changes: dict[str, Any] = {"structure_factors": table}
    if lab.a_star is not None:
        changes |= {"a_star_matrix": lab.a_star, "unit_cell": None, "misset_deg": (0.0, 0.0, 0.0)}
    elif lab.cell is not None and old is None:
        changes["unit_cell"] = UnitCell(*lab.cell)
    if old is not None:
        return dataclasses.replace(old, **changes)
    if "a_star_matrix" not in changes and "unit_cell" not in changes and table.unit_cell is None:
        raise FileFormatError(
            path, "holds no crystal; give template= with one, or structure_factors= that know their cell"
        )
    return Crystal(**changes)


def _beam(lab: Geometry, old: Beam) -> Beam:
    changes: dict[str, Any] = {}
    if lab.wavelength is not None:
        changes |= {"wavelength_angstrom": lab.wavelength, "energy_ev": None}
    if lab.beam is not None:
        changes["direction"] = tuple(lab.beam.tolist())
    if lab.polarization_axis is not None:
        changes["polarization_axis"] = tuple(lab.polarization_axis.tolist())
    if lab.kahn_factor is not None:
        changes["kahn_factor"] = min(1.0, max(-1.0, lab.kahn_factor))
    return dataclasses.replace(old, **changes)


def _goniometer(lab: Geometry, old: Goniometer) -> Goniometer:
    if lab.phi_start is None:
        return old
    axis = old.axis if lab.spindle is None else tuple(lab.spindle.tolist())
    if not lab.osc:
        return Goniometer(phi_start_deg=lab.phi_start, axis=axis)
    return Goniometer(phi_start_deg=lab.phi_start, osc_deg=lab.osc, n_steps=old.n_steps, axis=axis)


def _detector(panel: Panel, model: Detector | None, convention: str) -> Detector:
    sensor = None if model is None else model.sensor
    if panel.thickness_mm > 0 and panel.mu_per_mm > 0:
        layers = None if sensor is None else sensor.n_layers
        sensor = Sensor(thickness_um=1000 * panel.thickness_mm, attenuation_um=1000 / panel.mu_per_mm, n_layers=layers)
    shape = (panel.n_slow, panel.n_fast)
    mask = panel.mask
    if mask is None and model is not None and model.mask is not None and model.mask.shape == shape:
        mask = model.mask
    normal = panel.normal if panel.distance > 0 else -panel.normal
    return Detector(
        n_fast=panel.n_fast, n_slow=panel.n_slow, pixel_size_mm=panel.pixel_mm, convention=convention,
        pix0_mm=tuple(panel.origin.tolist()), fast_axis=tuple(panel.fast.tolist()), slow_axis=tuple(panel.slow.tolist()),
        normal_axis=tuple(normal.tolist()), sensor=sensor, mask=mask,
        point_pixel=model is not None and model.point_pixel,
    )  # fmt: skip


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
