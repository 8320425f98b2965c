"""From an experiment to the plain geometry that all formats share, and back."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor
from nanobragg.config import Beam, Crystal, Detector, Experiment, Goniometer, Mosaic, Sensor, UnitCell
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.quirks import Quirk
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.panels import experiments
from nanobragg.derivation.placement import convention_in_force
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import BackendUnavailableError, ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import FROM_MOSFLM, FROM_XDS, Array
from nanobragg.io.geometry.record import CrystalAxes, Geometry, Panel, Path, reciprocal
from nanobragg.io.space_groups import group_name, hall_symbol
from nanobragg.sensor_materials import material_of

_NO_NAME = re.compile(r"panel(_\d+)?|module(_\d+)?|segment_\d+")
"""Names that readers and writers here make up."""
_NEED_VECTORS = (Quirk.PIX0_IGNORED, Quirk.CUSTOM_CHANGES_CENTRE)


def from_lab(convention: str) -> Array:
    """The rotation that takes a vector of our laboratory frame, as a convention has it, to the DIALS frame."""
    return FROM_MOSFLM if CONVENTIONS[convention].beam == (1, 0, 0) else FROM_XDS


def of_experiment(experiment: Experiment | Geometry, n_images: int = 1) -> Geometry:
    """The geometry of an experiment, all decisions made; a geometry passes through.

    Raises
    ------
    ConfigError
        For what no geometry file can hold: a curved detector.
    """
    if isinstance(experiment, Geometry):
        return dataclasses.replace(experiment, n_images=n_images)
    return of_decided(*decided_models(experiment), n_images)


def decided_models(experiment: Experiment) -> tuple[list[Decided], list[Decided]]:
    """The decided experiments of the panels, with the first crystal, and those of the other crystals, with the first panel."""
    first, *others = lattices.experiments(experiment)
    return [resolve(part) for part in experiments(first)], [resolve(experiments(one)[0]) for one in others]


def of_decided(decided: Sequence[Decided], others: Sequence[Decided] = (), n_images: int = 1) -> Geometry:
    """As `of_experiment`, for what `decided_models` gives."""
    first = decided[0].experiment
    frame = from_lab(convention_in_force(first))
    panels = []
    for i, panel in enumerate(decided):
        part = panel.experiment
        if part.detector.curved:
            raise ConfigError("detector.curved", True, "a curved detector is not known to other programs' files")
        p, sensor = panel.placement, part.detector.sensor or Sensor()
        if convention_in_force(part) != convention_in_force(first):
            frame_i = from_lab(convention_in_force(part))
            if (frame_i != frame).any():
                raise ConfigError(f"detector[{i}].convention", part.detector.convention, "has another laboratory frame "
                                  f"than panel 0 ({first.detector.convention})", "use one convention")  # fmt: skip
        depth = None if sensor.attenuation_um is None else detached(sensor.attenuation_um)
        panels.append(
            Panel(
                n_fast=part.detector.n_fast, n_slow=part.detector.n_slow,
                edges_mm=(1000 * p.pixel_size[0], 1000 * p.pixel_size[1]),
                origin=frame @ (1000 * np.array(p.pix0)), fast=frame @ np.array(p.fast), slow=frame @ np.array(p.slow),
                name=str(part.detector.name or ("panel" if len(decided) == 1 else f"panel_{i}")), mask=part.detector.mask,
                thickness_mm=detached(sensor.thickness_um) / 1000,
                mu_per_mm=1000 / depth if depth is not None and 0 < depth < np.inf else 0.0, material=sensor.material or "",
            )
        )  # fmt: skip
    gonio, beam = first.goniometer, first.beam
    phi, osc = detached(gonio.phi_start_deg), detached(gonio.osc_deg)
    spindle = frame @ np.array(p.spindle)
    lattice, *further = (_lattice(one, frame) for one in (decided[0], *others))
    return Geometry(
        panels=tuple(panels), wavelength=wavelength_angstrom(first), beam=frame @ np.array(p.beam),
        polarization_axis=frame @ np.array(p.polarization_axis),
        kahn_factor=detached(beam.kahn_factor) if beam.polarized else 0.0,
        flux=None if beam.flux_per_s is None else detached(beam.flux_per_s), spindle=spindle, phi_start=phi,
        osc=osc or None, n_images=n_images, exposure_s=detached(beam.exposure_s), a_star=lattice.a_star,
        space_group=lattice.space_group, others=tuple(further),
    )  # fmt: skip


def _lattice(decided: Decided, frame: Array) -> CrystalAxes:
    cell, crystal = decided.cell, decided.experiment.crystal
    axes = np.array([cell.a, cell.b, cell.c]) * 1e10 @ frame.T
    table = crystal.structure_factors
    group = crystal.space_group or (None if table is None else table.space_group)
    return CrystalAxes(a_star=reciprocal(axes), space_group=None if group is None else hall_symbol(group))


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
    try:
        return _experiment(geometry, path, template, structure_factors, models)
    except ConfigError as error:  # what the file says fits no field
        raise FileFormatError(path, str(error)) from None


def _experiment(
    geometry: Geometry, path: Path, template: Experiment | None, structure_factors: StructureFactors | None,
    models: tuple[Detector, ...],
) -> Experiment:  # fmt: skip
    convention = models[0].convention if models else "mosflm"
    lab = geometry.turned(from_lab(convention).T)
    parts: dict[str, Any] = {
        "crystal": _crystal(lab, path, template, structure_factors),
        "beam": _beam(lab, None if template is None else template.beam),
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
    old = None if template is None else lattices.single(template, "a template").crystal
    table = structure_factors or (None if old is None else old.structure_factors)
    if table is None:
        warnings.warn(f"{path}: no structure factors given, every one is 1 electron; give structure_factors=",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
        table = StructureFactors.constant(1.0)
    changes: dict[str, Any] = {"structure_factors": table}
    a_star = lab.a_star
    if a_star is None and lab.mount is not None and template is not None:
        a_star = _mounted(lab.mount, path, template)
    if a_star is not None:
        changes |= {"a_star_matrix": a_star, "unit_cell": None, "misset_deg": (0.0, 0.0, 0.0)}
    elif lab.cell is not None and old is None:
        changes["unit_cell"] = UnitCell(*lab.cell)
    if lab.space_group is not None:
        changes["space_group"] = _name(lab.space_group)
    changes |= _mosaic(lab, old) | _block(lab, old)
    if old is not None:
        return dataclasses.replace(old, **changes)
    if "a_star_matrix" not in changes and "unit_cell" not in changes and table.unit_cell is None:
        raise FileFormatError(
            path, "holds no crystal; give template= with one, or structure_factors= that know their cell"
        )
    return Crystal(**changes)


def _mosaic(lab: Geometry, old: Crystal | None) -> dict[str, Any]:
    """The mosaicity of the file; a template that states one is believed."""
    mosaic = Mosaic() if old is None else old.mosaic
    if lab.mosaicity_deg is None or mosaic.varies or mosaic.model != Mosaic().model:
        return {}
    return {"mosaic": dataclasses.replace(mosaic, model=lab.mosaic_model, spread_deg=lab.mosaicity_deg)}


def _block(lab: Geometry, old: Crystal | None) -> dict[str, Any]:
    """As many cells as go into the edge of a block; a template that states a size is believed."""
    stated = old is not None and (
        old.block_matrix is not None
        or old.size_mm is not None
        or any(is_tensor(n) or n != 1 for n in elements(old.n_cells))
    )
    if lab.domain_angstrom is None or lab.a_star is None or stated:
        return {}
    return {"n_cells": tuple(max(1.0, float(round(lab.domain_angstrom / edge))) for edge in lab.parameters[:3])}


def _mounted(mount: Array, path: Path, template: Experiment) -> Array:
    """The template's crystal turned by the axes of the goniometer that are not scanned."""
    warnings.warn(f"{path}: the axes of the goniometer that are not scanned turn the crystal of the template",
                  NanoBraggWarning, stacklevel=2)  # fmt: skip
    before = of_experiment(template)
    assert before.a_star is not None
    return before.a_star @ from_lab(convention_in_force(template)) @ mount.T


def _name(hall: str) -> str:
    """The group as people write it; its Hall symbol without gemmi."""
    try:
        return group_name(hall)
    except BackendUnavailableError:
        return hall


def _beam(lab: Geometry, template: Beam | None) -> Beam:
    old, changes = template or Beam(), dict[str, Any]()
    if lab.wavelength is not None:
        changes |= {"wavelength_angstrom": lab.wavelength, "energy_ev": None}
    if lab.beam is not None:
        changes["direction"] = tuple(lab.beam.tolist())
    if lab.polarization_axis is not None:
        changes["polarization_axis"] = tuple(lab.polarization_axis.tolist())
    if lab.kahn_factor is not None:
        changes["kahn_factor"] = min(1.0, max(-1.0, lab.kahn_factor))
    if lab.exposure_s is not None:
        changes["exposure_s"] = lab.exposure_s
    if lab.flux is not None and (template is None or template.flux_per_s is not None):
        changes["flux_per_s"] = lab.flux  # a template that states a fluence is believed
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
    material = material_of(panel.material)
    if panel.thickness_mm > 0 and panel.mu_per_mm > 0:
        layers = None if sensor is None else sensor.n_layers
        sensor = Sensor(thickness_um=1000 * panel.thickness_mm, attenuation_um=1000 / panel.mu_per_mm, n_layers=layers,
                        material=material)  # fmt: skip
    elif panel.thickness_mm > 0 and sensor is None and material is not None:
        sensor = Sensor(thickness_um=1000 * panel.thickness_mm, material=material)
    shape = (panel.n_slow, panel.n_fast)
    mask = panel.mask
    if mask is None and model is not None and model.mask is not None and model.mask.shape == shape:
        mask = model.mask
    edges = panel.edges_mm
    normal = panel.normal if panel.distance > 0 else -panel.normal
    return Detector(
        n_fast=panel.n_fast, n_slow=panel.n_slow, pixel_size_mm=edges[0] if edges[0] == edges[1] else edges,
        convention=convention,
        pix0_mm=tuple(panel.origin.tolist()), fast_axis=tuple(panel.fast.tolist()), slow_axis=tuple(panel.slow.tolist()),
        normal_axis=tuple(normal.tolist()), sensor=sensor, mask=mask,
        point_pixel=model is not None and model.point_pixel,
        name=None if _NO_NAME.fullmatch(panel.name) else panel.name,
    )  # fmt: skip


def wavelength_angstrom(experiment: Experiment) -> float:
    """The wavelength of an experiment as a number [Angstrom]."""
    return wavelength_m(experiment, FLOAT_OPS) * 1e10
