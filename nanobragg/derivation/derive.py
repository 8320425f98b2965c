"""From a decided experiment to the Scene: unit conversion and geometry, written once over an array namespace.

`derivation` keeps the intermediate results that reports print; `derive` returns the Scene alone. Always float64 on the CPU.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, elements, is_tensor, is_transformed
from nanobragg.config import Detector, Experiment, Sensor
from nanobragg.config.quirks import Quirk
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.constants import (
    AVOGADRO,
    DEFAULT_BEAM_SIZE,
    EV_ANGSTROM,
    R_E_SQR,
    WATER_DENSITY,
    WATER_F,
    WATER_MOLAR_MASS,
)  # fmt: skip
from nanobragg.derivation.cell import Cell, oriented_cell
from nanobragg.derivation.crystals.blocks import by_size, number_of_blocks, scaled
from nanobragg.derivation.crystals.displacement import amplitudes, decay
from nanobragg.derivation.crystals.mosaic import domains, mean_spread
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.decisions.limits import refusing_degenerate_geometry
from nanobragg.derivation.decisions.size import CrystalSize
from nanobragg.derivation.placement import Placement, place
from nanobragg.derivation.prescan import OutOfRange, prescan
from nanobragg.derivation.resolve import sensor_counts
from nanobragg.derivation.scene import KERNEL_QUIRKS, FactorMode, Scene, Shape
from nanobragg.derivation.sources import SourceList, source_list
from nanobragg.derivation.vectors import FLOAT_OPS, Ops, Vec, matvec, radians, rotaxis, scale, unit
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Layers:
    """The sampled sensor [m]; attenuation mu [1/m] is -1 when none is given."""

    active: bool
    n: int
    thickness: Any
    step: Any
    attenuation: Any


@dataclass(frozen=True)
class Rotation:
    """The sampled spindle rotation [rad]."""

    phi: list[Any]
    start: Any
    osc: Any


@dataclass(frozen=True)
class Derivation:
    """The Scene and the intermediate results behind it."""

    decided: Decided
    cell: Cell
    placement: Placement
    sources: SourceList
    layers: Layers
    rotation: Rotation
    fluence: Any
    mosaic_spread: Any
    """[rad]"""
    water: Any
    """[m]"""
    scene: Scene
    out_of_range: OutOfRange | None
    """the lookup that switched interpolation off"""
    scenes: tuple[Scene, ...]
    """whose images add up to that of the experiment: `scene`, or one for each size of the blocks"""
    looked_through: bool = True
    """whether what depends on earlier pixels was looked for in all of them; else `scene` is not for rendering"""

    @property
    def experiment(self) -> Experiment:
        """The decided experiment."""
        return self.decided.experiment

    @property
    def size(self) -> CrystalSize:
        """The crystal in cells."""
        return self.decided.size


def derive(decided: Decided, ops: Ops = FLOAT_OPS, *, roi: Any = None) -> Scene:
    """The Scene of a decided experiment.

    Parameters
    ----------
    decided : Decided
        From `nanobragg.derivation.resolve.resolve`. With floats its placement, cell and size are taken over.
    ops : Ops
        Array namespace: floats and numpy by default; the torch backend passes its own.
    roi : tuple of slice, optional
        (slow, fast), half-open, on top of ``sampling.roi``.

    Raises
    ------
    ConfigError
        For geometry that is degenerate, or an empty ROI.
    """
    return derivation(decided, ops, roi=roi).scene


def derivation(decided: Decided, ops: Ops = FLOAT_OPS, *, roi: Any = None, glance: bool = False) -> Derivation:
    """As `derive`, with everything that reports and traces print; `glance` as for `prescan`."""
    with refusing_degenerate_geometry():
        return _derivation(decided, ops, roi, glance)


def _derivation(decided: Decided, ops: Ops, roi: Any, glance: bool) -> Derivation:
    experiment = decided.experiment
    crystal, det, quirks = experiment.crystal, experiment.detector, experiment.quirks
    known = {"cell", "placement"} if ops.is_float else vars(decided).keys() if ops.takes_floats else set()
    cell = decided.cell if "cell" in known else oriented_cell(experiment, ops)
    placement = decided.placement if "placement" in known else place(experiment, ops)
    sources = source_list(experiment, placement, ops)
    layers = _layers(experiment, ops)
    rotation = sampled_rotation(experiment, ops)
    counted = ops.is_float or crystal.block_matrix is not None
    n_cells = decided.size.n_cells if counted else crystal.n_cells
    fluence = _fluence(experiment, ops)
    if experiment.beam.spectrum is not None:
        fluence = fluence * sources.energy
    spread = mean_spread(crystal.mosaic, ops)
    orientations, first, domain_weight = _orientations(experiment, cell, placement, rotation, ops)
    n_sub = experiment.sampling.oversample
    assert n_sub is not None
    n_phi, n_domains = orientations.shape[:2]
    weight = _weights(experiment, sources, ops)
    steps = ops.lift(float(n_sub * n_sub * n_phi * n_domains)) * weight.sum()
    factors = amplitudes(decided, cell, ops)
    matrix = crystal.block_matrix
    water = ops.lift(experiment.background.water_um) / 1e6
    modes = _factor_modes(experiment)
    beam = experiment.beam
    axis = placement.polarization_axis
    pixels = rendered_pixels(det, experiment.sampling.roi, roi)
    n_tables, source_table = tables_of_sources(crystal.structure_factors, sources)
    scene = Scene(
        n_fast=det.n_fast, n_slow=det.n_slow, pixel_size=ops.stack(placement.pixel_size), pix0=ops.stack(placement.pix0),
        fast=ops.stack(placement.fast), slow=ops.stack(placement.slow), normal=ops.stack(placement.normal),
        beam=ops.stack(placement.beam), close_distance=placement.close_distance, distance=placement.distance,
        curved=det.curved, point_pixel=det.point_pixel, pixel_area=_pixel_area(experiment, placement, ops),
        # under CUMULATIVE the original forms the capture fraction anew at every term, without a sensor too (and gets 0)
        has_sensor=layers.active or modes["capture_mode"] is FactorMode.CUMULATIVE,
        n_layers=layers.n, layer_thickness=layers.step,
        attenuation=layers.attenuation, pixels=pixels,
        incident=sources.incident(ops), wavelength=ops.stack(sources.wavelength), weight=weight,
        polarized=beam.polarized or (experiment.sampling.oversample_polar and Quirk.NOPOLAR_DEFEATED in quirks),
        kahn_factor=ops.lift(beam.kahn_factor),
        # the original normalizes the axis once more whenever it evaluates the polarization
        polarization_axis=ops.stack(unit(axis, ops) if Quirk.POLAR_CACHED in quirks else axis),
        r_e_sqr=R_E_SQR, fluence=fluence,
        orientations=orientations, orientations_first_pass=first, domain_weight=domain_weight, first_pass=(0, 0),
        a_star=ops.stack([ops.stack(v) for v in (cell.a_star, cell.b_star, cell.c_star)]),
        n_cells=ops.stack([ops.lift(n) for n in elements(n_cells)]), shape=Shape[crystal.shape.upper()],
        fudge=ops.lift(crystal.fudge),
        has_block_matrix=matrix is not None, block_matrix=ops.lift(np.zeros((3, 3)) if matrix is None else matrix),
        n_tables=n_tables, source_table=source_table,
        f_table=factors.f_table, hkl_min=factors.hkl_min, default_F=factors.default_F,
        tricubic=experiment.sampling.interpolate == "tricubic",
        interpolation_off=(len(pixels), 0), oversample=n_sub,
        d_min=ops.lift(experiment.sampling.d_min_angstrom or 0.0) * 1e-10, steps=steps,
        background=_background(experiment, water, fluence, steps, ops),
        quirks=quirks & KERNEL_QUIRKS, **modes,
    )  # fmt: skip
    for times in (number_of_blocks(crystal, n_cells, cell.volume, ops), decay(crystal, ops)):
        scene = scene if times is None else scaled(scene, times)
    scene, out_of_range, looked_through = prescan(scene, quirks, glance=glance)
    return Derivation(
        decided, cell, placement, sources, layers, rotation, fluence, spread, water, scene, out_of_range,
        by_size(scene, crystal.sizes, ops), looked_through,
    )  # fmt: skip


def tables_of_sources(table: StructureFactors, sources: SourceList) -> tuple[int, NDArray[np.int64] | None]:
    """How many tables of structure factors there are, and which each source sees: that of the nearest energy."""
    if table.energy_ev is None or len(table.energy_ev) == 1:
        return 1, None
    if any(is_transformed(wavelength) for wavelength in sources.wavelength):
        raise ConfigError(
            "crystal.structure_factors.energy_ev", "tables", "cannot be chosen for wavelengths that torch transforms",
            "leave the beam out of the transform, or give one table",
        )  # fmt: skip
    energy = EV_ANGSTROM / np.array([1e10 * detached(wavelength) for wavelength in sources.wavelength])
    distance = np.abs(energy[:, None] - np.asarray(table.energy_ev))
    return len(table.energy_ev), np.argmin(distance, axis=1).astype(np.int64)


def rendered_pixels(det: Detector, *rois: Any) -> NDArray[np.int64]:
    """Flat indices of the pixels inside every ROI and the mask, ascending.

    Raises
    ------
    ConfigError
        For a ROI that is empty or reaches outside the detector.
    """
    slow, fast = rectangle(det, *rois)
    pixels = _block(slow.start, slow.stop, fast.start, fast.stop, det.n_fast)
    return pixels if det.mask is None else pixels[det.mask.ravel()[pixels]]


def rectangle(det: Detector, *rois: Any) -> tuple[slice, slice]:
    """Rows and columns that lie inside every ROI; raises as `rendered_pixels` does."""
    slow, fast = (0, det.n_slow), (0, det.n_fast)
    for roi in rois:
        if roi is not None:
            slow = _overlap(slow, roi, 0, det.n_slow)
            fast = _overlap(fast, roi, 1, det.n_fast)
    return slice(*slow), slice(*fast)


@lru_cache(2)
def _block(first_slow: int, end_slow: int, first_fast: int, end_fast: int, n_fast: int) -> NDArray[np.int64]:
    """Flat indices of a rectangle. The last ones are kept: a fit asks for the same again and again."""
    if (first_fast, end_fast) == (0, n_fast):
        return np.arange(first_slow * n_fast, end_slow * n_fast, dtype=np.int64)
    rows = np.arange(first_slow, end_slow, dtype=np.int64)[:, None]
    return (rows * n_fast + np.arange(first_fast, end_fast, dtype=np.int64)).ravel()


def _overlap(current: tuple[int, int], roi: Any, index: int, n: int) -> tuple[int, int]:
    path = "sampling.roi"
    if not (isinstance(roi, tuple | list) and len(roi) == 2 and all(isinstance(r, slice) for r in roi)):
        raise ConfigError(path, roi, "must be (slow slice, fast slice)", "for example (slice(10, 20), slice(0, 50))")
    part = roi[index]
    try:
        begin = 0 if part.start is None else operator.index(part.start)
        end = n if part.stop is None else operator.index(part.stop)
    except TypeError:
        raise ConfigError(path, part, "must have whole numbers as bounds") from None
    axis = ("slow", "fast")[index]
    if part.step not in (None, 1):
        raise ConfigError(path, part, "must have no step")
    if begin < 0 or end > n:
        raise ConfigError(
            path, part, f"reaches outside the {n} pixels of the {axis} axis", "bounds are half-open and count from 0"
        )
    begin, end = max(begin, current[0]), min(end, current[1])
    if begin >= end:
        raise ConfigError(
            path, part, f"holds no pixel along the {axis} axis", "bounds are half-open: slice(10, 11) is one pixel"
        )
    return begin, end


_NO_SENSOR = Sensor()


def _layers(experiment: Experiment, ops: Ops) -> Layers:
    """docs/model.md, Sensor; corrected: n layers of T/n."""
    sensor = experiment.detector.sensor or _NO_SENSOR
    zero = ops.lift(0.0)
    depth = sensor.attenuation_um
    if depth is None:
        mu = ops.lift(-1.0)
    elif not is_tensor(depth) and (depth == 0 or np.isinf(depth)):
        mu = zero
    else:
        mu = 1 / (ops.lift(depth) * 1e-6)
    if not sensor_counts(experiment):
        return Layers(False, 1, zero, zero, mu)
    thickness, n = ops.lift(sensor.thickness_um) * 1e-6, sensor.n_layers
    if n is not None and ops.is_float and thickness < 0:  # the original's answer to a count with a negative thickness
        thickness = 0.5e-6
        step = thickness / n
    elif n is not None and Quirk.THICK_STEP_OVERSHOOT in experiment.quirks:
        n = max(n, 2)
        step = thickness / (n - 1)
    else:
        n = n or 2
        step = thickness / n
    if depth is None:
        mu = 1 / thickness
    return Layers(True, n, thickness, step, mu)


def sampled_rotation(experiment: Experiment, ops: Ops) -> Rotation:
    """docs/model.md, Rotation, with PHI_LEFT_EDGE."""
    gonio, quirks = experiment.goniometer, experiment.quirks
    n = gonio.n_steps
    assert n is not None
    start, osc = radians(gonio.phi_start_deg, ops), radians(gonio.osc_deg, ops)
    typed_step = gonio.step_deg is not None and Quirk.PHISTEPS_ALONE in quirks
    step = radians(gonio.step_deg, ops) if typed_step else osc / n
    if Quirk.PHI_LEFT_EDGE in quirks:
        return Rotation([start + step * i for i in range(n)], start, osc)
    width = step * n if typed_step else osc
    return Rotation([start + width * (i + 0.5) / n for i in range(n)], start, osc)


def _fluence(experiment: Experiment, ops: Ops) -> Any:
    """flux exposure / size^2 when a flux is given (docs/model.md, Fluence and scale)."""
    beam = experiment.beam
    if beam.flux_decides:
        size = ops.lift(DEFAULT_BEAM_SIZE) if beam.size_mm is None else ops.lift(beam.size_mm) / 1000
        return ops.lift(beam.flux_per_s) * ops.lift(beam.exposure_s) / size / size
    return ops.lift(beam.fluence_per_m2)


def _weights(experiment: Experiment, sources: SourceList, ops: Ops) -> Any:
    """Source weights; generated directions count alike, and all sources do under SOURCE_WEIGHTS_IGNORED."""
    if experiment.beam.spectrum is not None:
        return sources.weight
    if experiment.beam.sources is None or Quirk.SOURCE_WEIGHTS_IGNORED in experiment.quirks:
        return ops.lift(np.ones(len(sources.position)))
    return sources.weight


def _pixel_area(experiment: Experiment, placement: Placement, ops: Ops) -> Any:
    if experiment.detector.point_pixel and Quirk.POINT_PIXEL_AREA in experiment.quirks:
        return ops.lift(1.0)
    area = placement.pixel_size[0] * placement.pixel_size[1]
    return area if placement.sine is None else area * placement.sine


def _background(experiment: Experiment, water: Any, fluence: Any, steps: Any, ops: Ops) -> Any:
    """I_bg: F^2 n_molecules, scaled so that the pixel gets it once (or as WATER_SCALE has it)."""
    f_water = ops.lift(WATER_F)
    if Quirk.WATER_SCALE in experiment.quirks:
        return (
            f_water * f_water * R_E_SQR * fluence * water * water * water * WATER_DENSITY * AVOGADRO / WATER_MOLAR_MASS
        )
    molecules = water * water * water * WATER_DENSITY * AVOGADRO / WATER_MOLAR_MASS
    return f_water * f_water * molecules * steps


def _factor_modes(experiment: Experiment) -> dict[str, FactorMode]:
    sampling, quirks = experiment.sampling, experiment.quirks

    def mode(switch: bool, cached: Quirk) -> FactorMode:
        if switch and Quirk.OVERSAMPLE_CUMULATIVE in quirks:
            return FactorMode.CUMULATIVE
        return FactorMode.CACHED if cached in quirks else FactorMode.PER_TERM

    return {
        "capture_mode": mode(sampling.oversample_thick, Quirk.CAPTURE_LAST_LAYER),
        "polar_mode": mode(sampling.oversample_polar, Quirk.POLAR_CACHED),
        "omega_mode": mode(sampling.oversample_omega, Quirk.OMEGA_CACHED),
    }


def _orientations(
    experiment: Experiment, cell: Cell, placement: Placement, rotation: Rotation, ops: Ops
) -> tuple[Any, Any, NDArray[np.float64] | None]:
    """(n_phi, n_domains, 3, 3) rows a, b, c [m], those of the first pass under STALE_PHI_ZERO (or None), and the weights of the
    domains (or None)."""
    quirks = experiment.quirks
    found = domains(experiment, cell, ops)
    rotation_of = found.rotation
    # one step of one domain stays a handful of plain numbers
    single = rotation_of is None and found.stretch is None and len(rotation.phi) == 1
    phi = rotation.phi[0] if single else ops.stack(rotation.phi)[:, None]
    axes: list[Vec] = []
    for axis in (cell.a, cell.b, cell.c):
        if rotation_of is None:
            turned = rotaxis(axis, placement.spindle, phi, ops)
        elif Quirk.MOSAIC_AFTER_PHI in quirks:
            turned = matvec(rotation_of, rotaxis(axis, placement.spindle, phi, ops))
        else:
            turned = rotaxis(matvec(rotation_of, axis), placement.spindle, phi, ops)
        axes.append(turned if found.stretch is None else scale(turned, found.stretch))
    if single:
        return ops.stack([ops.stack(axis) for axis in axes])[None, None], None, found.weight
    table = ops.stack([ops.stack(axis, axis=-1) for axis in axes], axis=-2)
    if Quirk.STALE_PHI_ZERO not in quirks:
        return table, None, found.weight
    zero = [detached(p) == 0 for p in rotation.phi]
    if all(zero) or not any(zero):
        return table, None, found.weight
    n = len(zero)
    steady = [next(k % n for k in range(i, i - n, -1) if not zero[k % n]) for i in range(n)]
    first = [next((k for k in range(i, -1, -1) if not zero[k]), i) for i in range(n)]
    return table[steady], table[first], found.weight
