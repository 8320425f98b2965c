"""Decide what the user left open: counts, switches and enums only (docs/model.md, Counts).

Values are read detached, so `resolve` runs once, outside any differentiation or vectorization; it is idempotent. Continuous
defaults stay None and are formed in `derive`, so that their gradients survive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from nanobragg.arrays import detached, elements, is_tensor
from nanobragg.config import Beam, Crystal, Detector, Divergence, Experiment, Goniometer, Mosaic, Sampling, UnitCell
from nanobragg.config.experiment import check_experiment
from nanobragg.config.fields import Config, check_tensors
from nanobragg.config.quirks import Quirk
from nanobragg.constants import EV_ANGSTROM, RTD
from nanobragg.derivation.crystals.blocks import number_of_blocks
from nanobragg.derivation.crystals.diffuse.forms import FIRST_ORDER, MORE_ORDERS, laue_group, orders
from nanobragg.derivation.crystals.displacement import longest_scattering_vector
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.decisions.idle import note_idle
from nanobragg.derivation.decisions.limits import check_limits, refusing_degenerate_geometry
from nanobragg.derivation.decisions.notes import Notes
from nanobragg.derivation.placement import Placement, convention_in_force, place
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.spectra.lines import counted
from nanobragg.derivation.vectors import FLOAT_OPS, cross, dot
from nanobragg.errors import ConfigError
from nanobragg.sensor_materials import attenuation_um

C = TypeVar("C", bound=Config)


def resolve(experiment: Experiment) -> Decided:
    """Decide every count, switch and enum.

    Parameters
    ----------
    experiment : Experiment
        As the user wrote it, or decided already.

    Returns
    -------
    Decided
        The decided experiment, the decisions and the settings without effect, and the placement, cell and size that were
        formed on the way.

    Raises
    ------
    ConfigError
        For combinations that cannot be simulated under the quirks in force.
    """
    notes, typed = Notes(), experiment
    check_experiment(experiment)
    if isinstance(experiment.detector, tuple):
        raise ConfigError(
            "detector",
            f"{len(experiment.detector)} panels",
            "are decided and derived one at a time",
            "nanobragg.derivation.panels.experiments(experiment)[i] is the experiment of panel i",
        )
    if isinstance(experiment.crystal, tuple):
        raise ConfigError(
            "crystal", f"{len(experiment.crystal)} crystals", "are decided and derived one at a time",
            "take one: experiment.replace(crystal=experiment.crystal[0])",
        )  # fmt: skip
    check_tensors(experiment)
    note_idle(experiment, notes)
    with refusing_degenerate_geometry():
        _check_detector(experiment, notes)
        goniometer, beam = _resolve_phi(experiment, notes), _resolve_beam(experiment, notes)
        crystal = _resolve_crystal(experiment, notes)
        experiment = _changed(experiment, goniometer=goniometer, beam=beam, crystal=crystal)
        decided = Decided(typed, _changed(experiment, detector=_with_attenuation(experiment, notes)), notes)
        _check_cell(decided)
        sized = crystal if crystal.block_matrix is not None else _changed(crystal, n_cells=decided.size.n_cells)
        decided = decided.carried(_changed(decided.experiment, crystal=sized), {"cell", "size"})
        _note_blocks(decided)
        _check_geometry(decided)
        ordered = _resolve_diffuse(decided)
        decided = decided.carried(_changed(decided.experiment, crystal=ordered), {"cell", "size", "placement"})
        sampling = _resolve_sampling(decided)
        decided = decided.carried(
            _changed(decided.experiment, sampling=sampling), {"cell", "size", "placement", "recommended_oversample"}
        )
    check_limits(decided.experiment, typed_oversample=typed.sampling.oversample is not None)
    return decided


def _changed(part: C, **values: Any) -> C:
    """A copy with values that need no check, for they were decided here."""
    other = object.__new__(type(part))
    vars(other).update(vars(part) | values)
    return other


# --- detector -----------------------------------------------------------------------------------------------------------


def _check_detector(experiment: Experiment, notes: Notes) -> None:
    det, quirks = experiment.detector, experiment.quirks
    convention = convention_in_force(experiment)
    if convention != det.convention:
        notes.decide("detector.convention", convention, "a vector was given (CUSTOM_CHANGES_CENTRE)")
    sensor = det.sensor
    if sensor is not None:
        thickness = detached(sensor.thickness_um)
        if Quirk.THICK_ABS_INTERPLAY not in quirks:
            if thickness < 0:
                raise ConfigError("detector.sensor.thickness_um", thickness, "must be >= 0")
            if thickness > 0 and sensor.attenuation_um is None and sensor.material is None:
                raise ConfigError(
                    "detector.sensor.attenuation_um",
                    None,
                    "is required with a sensor thickness",
                    "give the 1/e depth (-detector_abs), the material, or inf for no sensor",
                )
        if sensor_counts(experiment) and sensor.n_layers is None:
            notes.decide("detector.sensor.n_layers", 2, "a thickness alone: two layers")


def _with_attenuation(experiment: Experiment, notes: Notes) -> Detector:
    """The detector, its sensor with the attenuation of its material where none is given."""
    detector, sensor = experiment.detector, experiment.detector.sensor
    if sensor is None or sensor.material is None or sensor.attenuation_um is not None:
        return detector
    energy = EV_ANGSTROM / (wavelength_m(experiment, FLOAT_OPS) * 1e10)
    try:
        depth = attenuation_um(sensor.material, energy)
    except ValueError as error:
        raise ConfigError("detector.sensor.material", sensor.material, str(error), "give attenuation_um") from None
    notes.decide("detector.sensor.attenuation_um", depth, f"{sensor.material} at {energy:.0f} eV")
    return _changed(detector, sensor=_changed(sensor, attenuation_um=depth))


def sensor_counts(experiment: Experiment) -> bool:
    """Whether the sensor has an effect: a thickness, and (without THICK_ABS_INTERPLAY) a finite attenuation depth."""
    sensor = experiment.detector.sensor
    if sensor is None or (not is_tensor(sensor.thickness_um) and sensor.thickness_um == 0):
        return False
    if not is_tensor(sensor.thickness_um) and sensor.thickness_um < 0:
        return sensor.n_layers is not None
    if Quirk.THICK_ABS_INTERPLAY in experiment.quirks or sensor.attenuation_um is None:
        return True
    depth = sensor.attenuation_um
    return is_tensor(depth) or (depth != 0 and math.isfinite(depth))


def _check_geometry(decided: Decided) -> None:
    """Refuse what the derivation cannot take."""
    placement = decided.placement
    experiment = decided.experiment
    if experiment.detector.pix0_mm is not None and Quirk.PIX0_IGNORED not in experiment.quirks:
        for field, off in _overruled_by_pix0(experiment, placement):
            decided.notes.without_effect(
                f"detector.{field}", reason=f"pix0_mm decides, and puts it {off:.3g} pixels elsewhere"
            )
    for name in ("pix0", "fast", "slow", "normal", "distance", "close_distance"):
        value = getattr(placement, name)
        if not all(math.isfinite(x) for x in (value if isinstance(value, tuple) else (value,))):
            raise ConfigError("detector", value, f"{name} must be finite", "look at the distances and rotations")


_CENTERS = ("beam_center_mm", "beam_center_convention_mm", "close_point_mm", "org_px")


def _overruled_by_pix0(decided: Experiment, actual: Placement) -> Iterator[tuple[str, float]]:
    """Distances and centers that were given and differ from those of pix0_mm by more than 0.1 pixel, and by how many."""
    det = decided.detector
    if all(getattr(det, given) is None for given in ("distance_mm", "close_distance_mm", *_CENTERS)):
        return
    try:
        meant = place(replace(decided, detector=replace(det, pix0_mm=None)), FLOAT_OPS)
    except ConfigError:
        return
    center = ("fclose", "sclose") if actual.pivot == "sample" else ("fbeam", "sbeam")
    for given, quantities in (
        ("distance_mm", ("distance",)),
        ("close_distance_mm", ("close_distance",)),
        *((name, center) for name in _CENTERS),
    ):
        if getattr(det, given) is None:
            continue
        off = max(abs(getattr(meant, name) - getattr(actual, name)) for name in quantities) / min(actual.pixel_size)
        if off > 0.1:
            yield given, off


# --- phi ----------------------------------------------------------------------------------------------------------------


def _resolve_phi(experiment: Experiment, notes: Notes) -> Goniometer:
    """docs/model.md, Counts, with PHISTEPS_ALONE and PHI_CEIL_ROUNDOFF."""
    gonio, quirks = experiment.goniometer, experiment.quirks
    n, osc, step = gonio.n_steps, gonio.osc_deg, gonio.step_deg
    alone = Quirk.PHISTEPS_ALONE in quirks
    if osc is not None and detached(osc) < 0:
        if not alone:
            raise ConfigError(
                "goniometer.osc_deg", detached(osc), "must be >= 0", "start at the other end of the range"
            )
        osc = None
    if step is not None and detached(step) <= 0 and not alone:
        raise ConfigError("goniometer.step_deg", detached(step), "must be > 0")
    has_step = step is not None and detached(step) > 0
    complete = n is not None and osc is not None
    if osc is None:
        if has_step and not alone:
            raise ConfigError("goniometer.osc_deg", None, "is required with step_deg", "give the range covered")
        if n is not None and n > 1 and not alone:
            raise ConfigError("goniometer.osc_deg", None, f"is required with n_steps={n}", "give the range covered")
        if has_step:
            osc, n = step, notes.decide("goniometer.n_steps", 2, "a step without a range (PHISTEPS_ALONE)")
        elif n is not None and alone:
            osc = notes.decide("goniometer.osc_deg", 1.0, "a count without a range (PHISTEPS_ALONE)")
        else:
            osc, n = 0.0, notes.decide("goniometer.n_steps", 1, "no rotation")
    elif n is None:
        if has_step:
            ratio = (detached(osc) / RTD) / (detached(step) / RTD)
            if Quirk.PHI_CEIL_ROUNDOFF in quirks:
                n = math.ceil(ratio)
            else:
                n = max(1, math.ceil(ratio - 1e-6))
            notes.decide("goniometer.n_steps", n, "osc_deg / step_deg, rounded up")
        elif detached(osc) == 0 and not is_tensor(osc) and not alone:
            n = notes.decide("goniometer.n_steps", 1, "a range of 0 is a still")
        else:
            n = notes.decide("goniometer.n_steps", 2, "a range alone")
        if n < 1:
            raise ConfigError("goniometer.n_steps", n, "no phi step is left", "osc_deg is 0 while step_deg is given")
    elif has_step and not alone:
        notes.without_effect("goniometer.step_deg", reason="osc_deg and n_steps are given")
    keeps_step = alone and step is not None and (has_step or (detached(step) == 0 and complete))
    return _changed(gonio, osc_deg=osc, n_steps=n, step_deg=step if keeps_step else None)


# --- beam ---------------------------------------------------------------------------------------------------------------


def _resolve_beam(experiment: Experiment, notes: Notes) -> Beam:
    beam, quirks = experiment.beam, experiment.quirks
    _check_sources(experiment)
    if beam.fluence_per_m2 is not None and beam.flux_per_s is not None and beam.size_mm is not None:
        if not is_tensor(beam.size_mm) and beam.size_mm == 0:
            raise ConfigError("beam.size_mm", 0.0, "must be > 0 when flux_per_s is given", "or give fluence_per_m2")
    alone = Quirk.DIV_STEPS_ALONE in quirks
    edges = Quirk.DIV_GRID_ASYMMETRIC in quirks
    divergence = beam.divergence or Divergence()
    h = _resolve_range(
        "beam.divergence.h_mrad", divergence.h_mrad, divergence.n_h, divergence.h_step_mrad, alone, edges, notes
    )
    v = _resolve_range(
        "beam.divergence.v_mrad", divergence.v_mrad, divergence.n_v, divergence.v_step_mrad, alone, edges, notes
    )
    divergence = _changed(divergence, h_mrad=h[0], n_h=h[1], h_step_mrad=h[2], v_mrad=v[0], n_v=v[1], v_step_mrad=v[2])
    n, dispersion = beam.n_wavelengths, beam.dispersion_percent
    if detached(dispersion) < 0:
        if not alone:
            raise ConfigError("beam.dispersion_percent", detached(dispersion), "must be >= 0")
        dispersion = 0.0 if n is None else dispersion  # with a count it means 100 %, see source_list
    if detached(dispersion) == 0:
        if n is not None and n > 1 and not alone and beam.sources is None and beam.spectrum is None:
            raise ConfigError(
                "beam.dispersion_percent", 0.0, f"is required with n_wavelengths={n}", "give the full width in percent"
            )
        n = 1
    elif detached(dispersion) < 0:
        notes.decide("beam.dispersion_percent", 100.0, "a negative dispersion with a count (DIV_STEPS_ALONE)")
    elif n is None:
        n = notes.decide("beam.n_wavelengths", 2, "a dispersion alone")
    elif Quirk.DISPERSION_EDGES in quirks and n < 2:
        n = notes.decide("beam.n_wavelengths", 2, "at least two (DISPERSION_EDGES)")
    if beam.sources is not None and (beam.divergence is not None or detached(beam.dispersion_percent) > 0):
        notes.without_effect("beam.divergence", "beam.dispersion_percent", reason="beam.sources is given")
    if beam.spectrum is not None:
        n, rule = counted(beam.spectrum)
        if rule:
            notes.decide("beam.spectrum.n_wavelengths", n, rule)
        if beam.n_wavelengths not in (None, 1, n):
            notes.without_effect("beam.n_wavelengths", reason="beam.spectrum is given")
    return _changed(beam, divergence=divergence, n_wavelengths=n, dispersion_percent=dispersion)


def _resolve_range(
    path: str, width: Any, n: int | None, step: Any, alone: bool, edges: bool, notes: Notes
) -> tuple[Any, int, Any]:
    """docs/model.md, Counts: for one divergence range [mrad]; returns (range, count, step)."""
    if width is not None and detached(width) < 0:
        if not alone:
            raise ConfigError(path, detached(width), "must be >= 0")
        width = None
    if width is None:
        if step is None and (n is None or not alone):
            if n is not None and n > 1:
                raise ConfigError(path, None, f"is required with a count of {n}", "give the full range in mrad")
            return 0.0, 1, None
        if not alone:
            raise ConfigError(path, None, f"is required with a step of {step} mrad", "give the full range in mrad")
        if step is not None:
            return step, notes.decide(path, 2, "a step without a range (DIV_STEPS_ALONE)"), step
        notes.decide(path, 1000.0, "a count without a range means 1 radian (DIV_STEPS_ALONE)")
        n = n or 1
        return 1000.0, n, _mrad(1.0 / n)
    if detached(width) == 0:
        return width, 1, None
    if n is None:
        if step is None:
            return width, notes.decide(path, 2, "a range alone: two points"), None
        ratio = (detached(width) / 1000) / (detached(step) / 1000)
        n = math.ceil(ratio) if edges else max(1, math.ceil(ratio - 1e-6))
        return width, notes.decide(path, n, "range / step, rounded up"), step if edges else None
    if step is not None:
        if not edges:
            notes.without_effect(path.replace("_mrad", "_step_mrad"), reason="the range and the count are given")
            return width, n, None
        return width, n, step
    return width, max(n, 2) if edges else n, None


def _mrad(radians: float) -> float:
    """The number of mrad that gives exactly `radians` when it is divided by 1000."""
    guess = 1000 * radians
    near = (guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf))
    return next((mrad for mrad in near if mrad / 1000 == radians), guess)


def _check_sources(experiment: Experiment) -> None:
    sources = experiment.beam.sources
    if sources is None:
        return
    direction = None if sources.direction is None else FLOAT_OPS.lift(sources.direction)
    wavelength = FLOAT_OPS.lift(sources.wavelength_angstrom)
    weight = FLOAT_OPS.lift(sources.weight)
    for i in range(len(wavelength)):
        if direction is not None and not (math.isfinite(direction[i].sum()) and direction[i].any()):
            raise ConfigError(f"beam.sources.direction[{i}]", direction[i].tolist(), "must be finite and not zero")
        if not (math.isfinite(wavelength[i]) and wavelength[i] > 0):
            raise ConfigError(
                f"beam.sources.wavelength_angstrom[{i}]",
                wavelength[i],
                "must be finite and > 0",
                "source files hold meters, the API takes Angstrom",
            )
    if Quirk.SOURCE_WEIGHTS_IGNORED not in experiment.quirks:
        for i, w in enumerate(weight):
            if not (math.isfinite(w) and w >= 0):
                raise ConfigError(f"beam.sources.weight[{i}]", w, "must be finite and >= 0")
        if not weight.sum() > 0:
            raise ConfigError("beam.sources.weight", weight.tolist(), "the weights must have a sum > 0")


# --- crystal ------------------------------------------------------------------------------------------------------------


def _resolve_crystal(experiment: Experiment, notes: Notes) -> Crystal:
    crystal, quirks = experiment.crystal, experiment.quirks
    if crystal.unit_cell is not None and any(is_tensor(x) for x in vars(crystal.unit_cell).values()):
        # built to refuse angles that close no cell
        UnitCell(**{name: detached(x) for name, x in vars(crystal.unit_cell).items()})
    mosaic = crystal.mosaic
    n = _n_domains(mosaic, notes)
    if mosaic.n_domains is not None and not mosaic.varies and Quirk.MOSAIC_F32 in quirks:
        n = 1
    seed = crystal.misset_seed
    if isinstance(crystal.misset_deg, str) and seed is None:
        rule = "entropy from the system, drawn once when the crystal was made"
        seed = notes.decide("crystal.misset_seed", crystal.orientation_seed, rule)
    if crystal.block_matrix is not None and Quirk.GAUSS_TOPHAT_WIDTH in quirks and crystal.shape != "round":
        raise ConfigError(
            "crystal.block_matrix", "under the quirk GAUSS_TOPHAT_WIDTH", "has no meaning for the original's width",
            "use fidelity='corrected' or n_cells",
        )  # fmt: skip
    negative = isinstance(crystal.misset_deg, str) and (seed or 0) < 0
    if negative and Quirk.MISSET_RANDOM_90_RAD not in quirks:
        raise ConfigError("crystal.misset_seed", seed, "must be >= 0")
    return _changed(crystal, mosaic=_changed(mosaic, n_domains=n), misset_seed=seed)


def _n_domains(mosaic: Mosaic, notes: Notes) -> int:
    if mosaic.n_domains is not None:
        return mosaic.n_domains
    if mosaic.rotations is not None:
        return len(mosaic.rotations)
    many = {"diffbragg": 500, "cap": 10}.get(mosaic.model, 50)
    rule = f"{many} domains when there is a spread, else 1"
    if mosaic.model == "cap" and detached(mosaic.strain) > 0:
        many, rule = 50, "50 domains when their cells differ"
    found: int = notes.decide("crystal.mosaic.n_domains", many if mosaic.varies else 1, rule)
    return found


def _resolve_diffuse(decided: Decided) -> Crystal:
    """The crystal with its Laue group and the orders of diffuse scattering."""
    crystal = decided.experiment.crystal
    diffuse = crystal.diffuse
    if not diffuse.acts or diffuse.map is not None:
        return crystal
    if diffuse.laue_group is None:
        group = decided.notes.decide(
            "crystal.diffuse.laue_group", laue_group(crystal), "that of the crystal, else '-1'"
        )
        diffuse = _changed(diffuse, laue_group=group)
    if diffuse.n_orders is None:
        n, largest = orders(crystal, decided.cell, longest_scattering_vector(decided))
        rule = f"x is {largest:.3g} at most; 1 up to {FIRST_ORDER}, else {MORE_ORDERS}"
        decided.notes.decide("crystal.diffuse.n_orders", n, rule)
        diffuse = _changed(diffuse, n_orders=n)
    return _changed(crystal, diffuse=diffuse)


def _note_blocks(decided: Decided) -> None:
    """Tell how many blocks a volume is."""
    crystal = decided.experiment.crystal
    if crystal.volume_mm3 is not None:
        found = number_of_blocks(crystal, decided.size.n_cells, decided.cell.volume, FLOAT_OPS)
        decided.notes.decide("crystal.n_blocks", found, "volume_mm3 over that of a block")


def _check_cell(decided: Decided) -> None:
    if Quirk.LEFT_HANDED_MATRIX in decided.experiment.quirks:
        return
    if detached(decided.cell.volume) < 0 or _left_handed(decided.experiment):
        raise ConfigError(
            "crystal.a_star_matrix", "a left-handed matrix", "must be right-handed", "swap two of its rows"
        )


def _left_handed(decided: Experiment) -> bool:
    matrix = decided.crystal.a_star_matrix
    if matrix is None:
        return False
    a, b, c = (tuple(row) for row in FLOAT_OPS.lift(matrix))
    return bool(dot(a, cross(b, c)) < 0)


# --- sampling -----------------------------------------------------------------------------------------------------------


def _resolve_sampling(decided: Decided) -> Sampling:
    experiment, notes = decided.experiment, decided.notes
    sampling, quirks, crystal = experiment.sampling, experiment.quirks, experiment.crystal
    table = crystal.structure_factors
    assert table is not None
    interpolate = sampling.interpolate
    if interpolate is None:
        before = Quirk.INTERP_BEFORE_SIZE in quirks
        cells = elements(decided.typed.crystal.n_cells if before else decided.size.n_cells)
        interpolate = "tricubic" if any(detached(n) <= 2 for n in cells) else "nearest"
        rule = "tricubic when any of n_cells is <= 2" + (
            " as typed, before sizes (INTERP_BEFORE_SIZE)" if before else ""
        )
        notes.decide("sampling.interpolate", interpolate, rule)
    if interpolate == "tricubic" and not table.has_table:
        interpolate = notes.decide("sampling.interpolate", "nearest", "there is no table of structure factors")
    oversample = sampling.oversample
    if oversample is None:
        oversample = notes.decide(
            "sampling.oversample", decided.recommended_oversample, "ceil(3 L p/(lambda distance))"
        )
    if Quirk.OVERSAMPLE_CUMULATIVE not in quirks:
        for name in ("oversample_thick", "oversample_polar", "oversample_omega"):
            if getattr(sampling, name):
                notes.without_effect(f"sampling.{name}", reason="every term has its own factor")
    return _changed(sampling, interpolate=interpolate, oversample=oversample)
