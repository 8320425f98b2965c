"""Which quirks a run triggers: those in force that change its pixels.

What a quirk of the geometry moves, `place` has noted; the other quirks are told by the settings and values that they act on.
Pure rounding noise (SINCG_ROUNDOFF, SINC3_CANCELLATION) and what only the command line knows (MISSET_SEED_SETS_MISSET,
TWOTHETA_AXIS_SETS_ANGLE) is not reported here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from nanobragg.arrays import detached, elements
from nanobragg.config import Sources
from nanobragg.config.quirks import Quirk
from nanobragg.constants import DEFAULT_BEAM_SIZE
from nanobragg.derivation.decisions.size import crystal_size, recommended_oversample
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.sources import source_list
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Trigger:
    """One quirk at work, and what set it off."""

    quirk: Quirk
    reason: str
    refused: bool = False
    """the corrected model refuses this experiment"""


def triggered(d: Derivation) -> list[Trigger]:
    """The quirks in force that change this run's pixels."""
    quirks = d.experiment.quirks
    if not quirks:
        return []
    run = _Run(d)
    found = ((quirk, rule(run)) for quirk, rule in _RULES.items() if quirk in quirks)
    return [Trigger(quirk, reason, quirk in run.refused) for quirk, reason in found if reason]


class _Run:
    """The experiment as written, decided and derived, with what the rules look at."""

    def __init__(self, d: Derivation) -> None:
        self.decided, self.derivation = d.decided, d
        self.typed, experiment = d.decided.typed, d.experiment
        self.crystal, self.detector, self.beam = experiment.crystal, experiment.detector, experiment.beam
        self.sampling, self.goniometer = experiment.sampling, experiment.goniometer
        self.moved_by = d.decided.placement.moved_by
        self.refused = {quirk for quirk, refused in self.moved_by.items() if refused}

    @cached_property
    def spread(self) -> float:
        return self.crystal.mosaic.largest_spread if (self.crystal.mosaic.n_domains or 1) > 1 else 0.0

    @property
    def capped(self) -> bool:
        """Whether the original's draws make its domains."""
        return self.spread > 0 and self.crystal.mosaic.model == "cap"

    @cached_property
    def phi(self) -> list[float]:
        return [detached(p) for p in self.derivation.rotation.phi]

    @property
    def osc(self) -> float:
        return detached(self.goniometer.osc_deg or 0.0)

    @property
    def sub_steps(self) -> int:
        """Points of one pixel that differ in position."""
        return (self.sampling.oversample or 1) ** 2 * self.derivation.scene.n_layers

    @property
    def width(self) -> tuple[float, float]:
        divergence = self.beam.divergence
        if divergence is None or self.beam.sources is not None:
            return 0.0, 0.0
        return detached(divergence.h_mrad or 0.0), detached(divergence.v_mrad or 0.0)


def _geometric(quirk: Quirk, reason: str) -> Callable[[_Run], str]:
    return lambda run: reason if quirk in run.moved_by else ""


def _triclinic(run: _Run) -> str:
    cell = run.crystal.unit_cell
    if cell is None or run.crystal.a_star_matrix is not None:
        return ""
    angles = [detached(x) for x in (cell.alpha, cell.beta, cell.gamma)]
    return "two or more oblique cell angles" if sum(angle != 90 for angle in angles) > 1 else ""


def _stale(run: _Run) -> str:
    zero = [p == 0 for p in run.phi]
    return f"phi step {zero.index(True)} is exactly 0" if any(zero) and not all(zero) else ""


def _steps_alone(run: _Run) -> str:
    typed = run.typed.goniometer
    if typed.osc_deg is None and (typed.step_deg is not None or (typed.n_steps or 1) > 1):
        return "a phi count or step without a range"
    if None not in (typed.osc_deg, typed.step_deg, typed.n_steps):
        covered = detached(typed.step_deg) * (typed.n_steps or 1)
        return (
            "count x step is not the range" if not math.isclose(covered, detached(typed.osc_deg), rel_tol=1e-9) else ""
        )
    return ""


def _ceil(run: _Run) -> str:
    typed = run.typed.goniometer
    if typed.n_steps is not None or typed.osc_deg is None or typed.step_deg is None or detached(typed.step_deg) <= 0:
        return ""
    exact = max(1, math.ceil(detached(typed.osc_deg) / detached(typed.step_deg) - 1e-6))
    return f"{run.goniometer.n_steps} steps instead of {exact}" if run.goniometer.n_steps != exact else ""


def _xtalsize(run: _Run) -> str:
    if run.typed.crystal.size_mm is None:
        return ""
    other = crystal_size(run.typed, run.decided.cell, without=Quirk.XTALSIZE_CEIL).n_cells
    return f"{list(other)} cells when rounded" if other != run.decided.size.n_cells else ""


def _clip(run: _Run) -> str:
    size = run.typed.crystal.size_mm
    if size is None or run.beam.size_mm is not None:
        return ""
    return "a crystal larger than 0.1 mm" if any((s or 0) / 1000 > DEFAULT_BEAM_SIZE for s in size[1:]) else ""


def _weights(run: _Run) -> str:
    sources: Sources | None = run.beam.sources
    if sources is None:
        return ""
    weight = FLOAT_OPS.lift(sources.weight)
    return "source weights are not equal" if np.ptp(weight) > 0 else ""


def _div_alone(run: _Run) -> str:
    typed = run.typed.beam.divergence
    if run.beam.sources is not None:
        return ""
    if detached(run.beam.dispersion_percent) < 0:
        return "a negative dispersion with a count"
    if typed is None:
        return ""
    pairs = ((typed.h_mrad, typed.n_h, typed.h_step_mrad), (typed.v_mrad, typed.n_v, typed.v_step_mrad))
    alone = any(width is None and (n is not None or step is not None) for width, n, step in pairs)
    return "a divergence count or step without a range" if alone else ""


def _round_cut(run: _Run) -> str:
    if min(run.width) <= 0 or not (run.beam.divergence and run.beam.divergence.round):
        return ""
    kept = len(run.derivation.sources.position)
    exact = replace(run.derivation.experiment, quirks=run.derivation.experiment.quirks - {Quirk.ROUND_CUT_1D})
    try:
        wanted = len(source_list(exact, run.decided.placement, FLOAT_OPS).position)
    except ConfigError:  # nothing is left
        wanted = 0
    return f"the round cut keeps {kept} sources instead of {wanted}" if kept != wanted else ""


def _polar(run: _Run) -> str:
    if not run.beam.polarized or run.sampling.oversample_polar:
        return ""
    return "several sources or sub-pixels" if run.derivation.scene.n_sources * run.sub_steps > 1 else ""


def _switches(run: _Run) -> str:
    sampling = run.sampling
    names = [n for n in ("oversample_thick", "oversample_polar", "oversample_omega") if getattr(sampling, n)]
    return ", ".join(names) if run.derivation.scene.evaluations_per_pixel > 1 else ""


def _overshoot(run: _Run) -> str:
    layers, sensor = run.derivation.layers, run.detector.sensor
    return "a typed number of layers" if layers.active and sensor and sensor.n_layers is not None else ""


def _absorption(run: _Run) -> str:
    sensor = run.detector.sensor
    if sensor is None or detached(sensor.thickness_um) <= 0:
        return ""
    if sensor.attenuation_um is None:
        run.refused.add(Quirk.THICK_ABS_INTERPLAY)
        return "a thickness without attenuation"
    depth = detached(sensor.attenuation_um)
    return "an infinite attenuation depth" if depth == 0 or math.isinf(depth) else ""


def _switched_off(run: _Run) -> str:
    found = run.derivation.out_of_range if run.derivation.scene.tricubic else None
    if found is None:
        return "" if run.derivation.looked_through else "if a lookup is out of range, which the first million are not"
    pixel = run.derivation.scene.interpolation_off[0]
    slow, fast = divmod(int(run.derivation.scene.pixels[pixel]), run.detector.n_fast)
    return f"from pixel slow {slow}, fast {fast} on nothing is interpolated"


def _before_size(run: _Run) -> str:
    if run.typed.crystal.size_mm is None or run.typed.sampling.interpolate is not None:
        return ""
    table = run.crystal.structure_factors
    choice = "tricubic" if min(detached(n) for n in run.decided.size.n_cells) <= 2 else "nearest"
    return f"{choice} would be chosen" if choice != run.sampling.interpolate and table and table.has_table else ""


def _twotheta_distance(run: _Run) -> str:
    placement = run.decided.placement
    if detached(run.detector.twotheta_deg) == 0:
        return ""
    if run.detector.curved:
        same = math.isclose(placement.distance_to_plane, placement.distance, rel_tol=1e-9)
        return "" if same else "a swung curved detector"
    if run.typed.sampling.oversample is not None:
        return ""
    wanted = recommended_oversample(
        run.derivation.experiment, run.decided.cell, placement.distance_to_plane, placement.pixel_size
    )
    return (
        f"{run.sampling.oversample}-fold oversampling instead of {wanted}" if wanted != run.sampling.oversample else ""
    )


def _clamp(run: _Run) -> str:
    typed = run.typed.crystal
    if typed.size_mm is not None or all(detached(n) >= 1 for n in elements(typed.n_cells)):
        return ""
    run.refused.add(Quirk.N_CLAMP)
    return "a cell count below 1"


def _left_handed(run: _Run) -> str:
    if run.crystal.a_star_matrix is None or run.decided.cell.volume > 0:
        return ""
    run.refused.add(Quirk.LEFT_HANDED_MATRIX)
    return "the matrix is left-handed"


def _say(condition: bool, reason: str) -> str:
    return reason if condition else ""


_RULES: dict[Quirk, Callable[[_Run], str]] = {
    Quirk.TRICLINIC_CELL: _triclinic,
    Quirk.STALE_PHI_ZERO: _stale,
    Quirk.PHI_LEFT_EDGE: lambda r: _say(r.osc > 0, "a phi range"),
    Quirk.PHISTEPS_ALONE: _steps_alone,
    Quirk.PHI_CEIL_ROUNDOFF: _ceil,
    Quirk.MOSAIC_AFTER_PHI: lambda r: _say(r.spread > 0 and any(r.phi), "mosaic spread and a spindle rotation"),
    Quirk.MOSAIC_F32: lambda r: _say(r.capped, "mosaic spread"),
    Quirk.NEGATIVE_SEED_NO_RESEED: lambda r: _say(
        (r.capped and r.crystal.mosaic.seed < 0)
        or (isinstance(r.crystal.misset_deg, str) and (r.crystal.misset_seed or 0) < 0), "a negative seed"),
    Quirk.MISSET_RANDOM_90_RAD: lambda r: _say(isinstance(r.crystal.misset_deg, str), "a random orientation"),
    Quirk.LEFT_HANDED_MATRIX: _left_handed,
    Quirk.XTALSIZE_CEIL: _xtalsize,
    Quirk.N_CLAMP: _clamp,
    Quirk.CLIP_DEFAULT_BEAM: _clip,
    Quirk.SOURCE_WEIGHTS_IGNORED: _weights,
    Quirk.DIV_STEPS_ALONE: _div_alone,
    Quirk.DIV_GRID_ASYMMETRIC: lambda r: _say(max(r.width) > 0, "a divergence range"),
    Quirk.ROUND_CUT_1D: _round_cut,
    Quirk.DISPERSION_EDGES: lambda r: _say(
        detached(r.beam.dispersion_percent) != 0 and r.beam.sources is None, "a dispersion range"),
    Quirk.NOPOLAR_DEFEATED: lambda r: _say(not r.beam.polarized and r.sampling.oversample_polar, "both switches are set"),
    Quirk.POLAR_CACHED: _polar,
    **{quirk: _geometric(quirk, reason) for quirk, reason in {
        Quirk.DETSIZE_NOT_ROUNDED: "the typed size is not a whole number of pixels",
        Quirk.DEFAULT_CENTRE_SHIFT: "no beam center is given",
        Quirk.XDS_BEAM_IGNORED: "a center is given in a way that the convention ignores",
        Quirk.CUSTOM_CHANGES_CENTRE: "a vector is given under a named convention",
        Quirk.PIVOT_FORCED: "the convention forces its pivot",
        Quirk.CLOSE_DISTANCE_WINS: "two inconsistent distances",
        Quirk.ODET_REPLACED: "the normal is not taken as given",
        Quirk.NEGATIVE_SOLID_ANGLE: "the detector lies behind the sample",
        Quirk.PIX0_IGNORED: "pix0 is given",
        Quirk.TWOTHETA_AXIS_NOT_UNIT: "the two-theta axis is not a unit vector",
    }.items()},
    Quirk.TWOTHETA_DISTANCE: _twotheta_distance,
    Quirk.CURVED_DET_AXES: lambda r: _say(r.detector.curved, "a curved detector"),
    Quirk.POINT_PIXEL_AREA: lambda r: _say(r.detector.point_pixel, "point pixels"),
    Quirk.OMEGA_CACHED: lambda r: _say(r.sub_steps > 1 and not r.sampling.oversample_omega, "several sub-pixels or layers"),
    Quirk.THICK_STEP_OVERSHOOT: _overshoot,
    Quirk.THICK_ABS_INTERPLAY: _absorption,
    Quirk.CAPTURE_LAST_LAYER: lambda r: _say(
        r.derivation.layers.active and not r.sampling.oversample_thick, "a sensor"),
    Quirk.OVERSAMPLE_CUMULATIVE: _switches,
    Quirk.WATER_SCALE: lambda r: _say(detached(r.derivation.scene.background) > 0, "a water background"),
    Quirk.DMIN_ZEROES_WATER: lambda r: _say(
        detached(r.derivation.scene.background) > 0 and bool(r.sampling.d_min_angstrom) and r.beam.polarized, "d_min and water"),
    Quirk.LATTICE_ZERO_SKIP: lambda r: _say(
        r.crystal.shape in ("gauss", "tophat") and bool(_switches(r)) and not r.derivation.scene.background,
        "zero lattice factors under an oversample switch"),
    Quirk.GAUSS_TOPHAT_WIDTH: lambda r: _say(r.crystal.shape in ("gauss", "tophat"), f"shape {r.crystal.shape}"),
    Quirk.INTERP_SWITCHED_OFF: _switched_off,
    Quirk.INTERP_LOW_EDGE: lambda r: _say(r.derivation.scene.tricubic, "tricubic interpolation"),
    Quirk.INTERP_BEFORE_SIZE: _before_size,
}  # fmt: skip
