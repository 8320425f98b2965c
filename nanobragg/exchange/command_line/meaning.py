"""From the settings of a command line to the Experiment that it means."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanobragg.config import (
    Background,
    Beam,
    Crystal,
    Detector,
    Divergence,
    Experiment,
    Goniometer,
    Mosaic,
    Sampling,
    Sensor,
)  # fmt: skip
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.placement import parallel, place
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError, FlagError, UsageError
from nanobragg.exchange.command_line.files import (
    ReflectionInput,
    check_amorphous_table,
    keeps_vectors,
    read_cell,
    read_orientation,
    read_reflections,
    read_sources,
)  # fmt: skip
from nanobragg.exchange.command_line.flags import FLAGS
from nanobragg.exchange.command_line.ineffective import note_ineffective
from nanobragg.exchange.command_line.reading import CommandLine, read_command, require_inputs

_NO_CLIPPING_MM = 1e300
"""Stands for a -beamsize that clips no crystal: negative, which disables -flux too, or infinite, which -flux makes 0."""

_ZERO_MM = 5e-324
"""Stands for a typed distance of 0, which the API refuses and the original renders: divided by 1000 it is exactly 0."""


def experiment_from_args(args: Sequence[str], fidelity: str = "reference") -> Experiment:
    """The Experiment that a command line of the original means; see `Experiment.from_nanobragg_args`."""
    line = read_command(args, fidelity)
    require_inputs(line)
    experiment = build_experiment(line, read_reflections(line))
    note_ineffective(line)
    for note in line.notes:
        warnings.warn(note.text, note.category, stacklevel=3)
    return experiment


def build_experiment(line: CommandLine, reflections: ReflectionInput) -> Experiment:
    """Put the settings into config objects, unconverted.

    Raises
    ------
    ConfigError, FileFormatError
        For values and files that cannot be simulated.
    """
    check_amorphous_table(line)
    if line.strict:
        _refuse_negative(line)
    detector = _detector(line)
    sampling, detector = _sampling(line, detector)
    experiment = Experiment(
        crystal=_crystal(line, reflections), beam=_beam(line), detector=detector, goniometer=_goniometer(line),
        sampling=sampling, background=Background(water_um=line.settings.get("water", 0.0)), quirks=line.quirks,
    )  # fmt: skip
    _check_side(line, experiment)
    return experiment


def _refuse_negative(line: CommandLine) -> None:
    """Numbers that the original takes as "not given" or as something else when they are below 0."""
    for flag in FLAGS:
        if flag.name in (
            "-osc",
            "-phistep",
            "-detector_thick",
            "-dispersion",
            "-divergence",
            "-hdivrange",
            "-vdivrange",
        ):
            value = line.settings.get(flag.sets[0])
            if value is not None and value < 0 and flag.sets[0] in line.settings.typed:
                raise UsageError(f"{flag.name} {value:g}: must be >= 0")


def _check_side(line: CommandLine, experiment: Experiment) -> None:
    """A detector behind the sample, or a normal against the beam: refused strictly, else rendered as the original does."""
    try:
        placement = place(experiment, FLOAT_OPS)
    except ArithmeticError:
        return  # degenerate: refused with a better text when the experiment is decided
    if parallel(placement.fast, placement.slow):
        if line.strict:
            raise FlagError("detector.slow_axis", placement.slow, "must not be parallel to fast_axis",
                              "write -fdet_vector and -sdet_vector together")  # fmt: skip
        line.note("the fast and slow axes are parallel, all pixels lie on a line; rendered as the original does")
    if placement.close_distance > 0 and placement.distance > 0:
        return
    text = (
        f"the detector lies behind the sample or faces away (close distance {1000 * placement.close_distance:g} mm, "
        f"distance {1000 * placement.distance:g} mm)"
    )
    if line.strict:
        raise ConfigError(
            "detector",
            text,
            "must face the sample and lie behind it along the beam",
            "look at -odet_vector, the rotations and the distances",
        )
    line.note(f"{text}; rendered as the original does")


def _unset(line: CommandLine, name: str, below: float = 0.0, zero: bool = True) -> Any:
    """A setting, or None where the original takes the number as "not given": below `below`, and `zero` itself too."""
    value = line.settings.get(name)
    if value is None or line.strict:
        return value
    return None if value < below or (zero and value == below) else value


def _crystal(line: CommandLine, reflections: ReflectionInput) -> Crystal:
    get = line.settings.get
    cell = read_cell(line)
    matrix, _ = read_orientation(line, cell)
    sizes = tuple(float(get(f"size_{axis}", 0.0)) for axis in "abc")
    if not line.strict:
        sizes = tuple(max(0.0, size) for size in sizes)
    spread = get("mosaic", 0.0)
    blocks, volume = line.own.get("n_blocks"), line.own.get("volume_mm3")
    if blocks is not None and volume is not None:
        raise UsageError(f"--volume-mm3 {volume:g}: says the same as --blocks {blocks:g}; leave one of them out")
    return Crystal(
        unit_cell=cell, a_star_matrix=matrix, misset_deg=get("misset", (0.0, 0.0, 0.0)), misset_seed=get("misset_seed"),
        n_cells=tuple(float(get(f"n_{axis}", 1)) for axis in "abc"), size_mm=sizes if any(sizes) else None,
        shape=get("shape", "square"), fudge=_fudge(line),
        mosaic=Mosaic(spread_deg=spread if line.strict else max(0.0, spread) if spread == spread else spread,
                      n_domains=_unset(line, "mosaic_domains"), seed=get("mosaic_seed", 12345678)),
        structure_factors=reflections.structure_factors,
        n_blocks=blocks, volume_mm3=volume,
    )  # fmt: skip


def _fudge(line: CommandLine) -> float:
    fudge = float(line.settings.get("fudge", 1.0))
    if math.isfinite(fudge) or line.strict or line.settings.get("shape", "square") != "square":
        return fudge
    line.note(f"-fudge {fudge:g}: has no effect on square crystals, as in the original")
    return 1.0


def _beam(line: CommandLine) -> Beam:
    get = line.settings.get
    vectors = keeps_vectors(line)
    beamsize = get("beamsize")
    negative = not line.strict and beamsize is not None and beamsize < 0
    unclipped = negative or (not line.strict and beamsize == math.inf)
    flux = get("flux")
    if flux == 0 or (not line.strict and flux is not None and (negative or not get("exposure", 1.0) > 0)):
        flux = None
    if flux is not None and beamsize == 0:
        raise FlagError("beam.size_mm", 0.0, "makes the fluence infinite", "write -beamsize MM, or -fluence")
    return Beam(
        wavelength_angstrom=line.wavelength_angstrom, fluence_per_m2=get("fluence", _default(Beam, "fluence_per_m2")),
        flux_per_s=flux, exposure_s=get("exposure", 1.0) if flux is not None or line.strict else 1.0,
        size_mm=_NO_CLIPPING_MM if unclipped else beamsize,
        direction=get("direction") if vectors else None, polarization_axis=get("polarization_axis") if vectors else None,
        kahn_factor=get("kahn", 0.0), polarized=not get("nopolar", False), dispersion_percent=get("dispersion", 0.0),
        n_wavelengths=_unset(line, "dispsteps"), divergence=_divergence(line), sources=read_sources(line),
    )  # fmt: skip


def _default(kind: type, name: str) -> Any:
    return kind.__dataclass_fields__[name].default  # type: ignore[attr-defined]


def _divergence(line: CommandLine) -> Divergence | None:
    values = {
        "h_mrad": _unset(line, "h_range", zero=False), "v_mrad": _unset(line, "v_range", zero=False),
        "n_h": _unset(line, "n_h"), "n_v": _unset(line, "n_v"),
        "h_step_mrad": _unset(line, "h_step"), "v_step_mrad": _unset(line, "v_step"),
    }  # fmt: skip
    if all(value is None for value in values.values()):
        return None
    return Divergence(**values, round=line.settings.get("round_div", True))


def _detector(line: CommandLine) -> Detector:
    settings, get = line.settings, line.settings.get
    (n_fast, n_slow), sizes = line.detector_size()
    if line.mask is not None and line.mask.shape != (n_slow, n_fast):
        mask_slow, mask_fast = line.mask.shape
        raise ConfigError(
            "detector.mask",
            f"{mask_fast} x {mask_slow} pixels",
            f"must have the detector's {n_fast} x {n_slow} pixels",
            "leave out -detpixels and -detsize",
        )
    vectors = get if keeps_vectors(line) else (lambda name: None)
    distance, close = get("distance"), get("close_distance")
    if distance is not None and distance < 0 and not line.strict and Quirk.CLOSE_DISTANCE_WINS in line.quirks:
        line.note(f"-distance {distance:g}: rendered as {-distance:g}, as the original does")
        distance = -distance
    if not line.strict and Quirk.NEGATIVE_SOLID_ANGLE in line.quirks:
        distance, close = (_ZERO_MM if value == 0 else value for value in (distance, close))
    if close is not None and close < 0 and line.strict:
        raise FlagError("detector.close_distance_mm", close, "must be > 0", "write -close_distance MM")
    honors_pix0 = Quirk.PIX0_IGNORED not in line.quirks and vectors("pix0") is not None
    if distance is None and close is None and not honors_pix0:
        distance = 100.0
    if distance is not None and close is not None and "distance" not in settings.typed:
        distance = None  # both from one header: the close distance decides
    elif "distance" in settings.typed and "close_distance" not in settings.typed:
        if Quirk.CLOSE_DISTANCE_WINS not in line.quirks:
            close = None  # a flag wins over a header
    center = _pair(get("x_beam"), get("y_beam"))
    other_center = {"org_x", "org_y", "x_close", "y_close"} & settings.typed
    if other_center and not {"x_beam", "y_beam"} & settings.typed and Quirk.XDS_BEAM_IGNORED not in line.quirks:
        center = None  # that of a header, which a flag overrides
    if line.strict and "pivot" in settings.typed and get("pivot") not in ("beam", "sample"):
        raise UsageError("-pivot: neither 'beam' nor 'sample'; write -pivot beam or -pivot sample")
    # under a named convention the side effects (docs/command.md) are inert, and would mislead the corrected model
    pivot_moves = Quirk.PIVOT_FORCED in line.quirks and line.drops_to_custom
    return Detector(
        n_fast=n_fast, n_slow=n_slow, pixel_size_mm=line.pixel_mm, size_mm=_pair(*sizes),
        convention=settings.named_convention, distance_mm=distance, close_distance_mm=close,
        beam_center_convention_mm=center, org_px=_pair(get("org_x"), get("org_y")),
        close_point_mm=_pair(get("x_close"), get("y_close")), pivot=settings.pivot_state if pivot_moves else get("pivot"),
        rotation_deg=tuple(get(f"rot_{axis}", 0.0) for axis in "xyz"), twotheta_deg=get("twotheta", 0.0),
        twotheta_axis=vectors("twotheta_axis"), fast_axis=vectors("fast_axis"), slow_axis=vectors("slow_axis"),
        normal_axis=vectors("normal_axis"), pix0_mm=vectors("pix0"), curved=get("curved", False),
        point_pixel=get("point_pixel", False), sensor=_sensor(line), mask=line.mask,
    )  # fmt: skip


def _pair(first: Any, second: Any) -> tuple[Any, Any] | None:
    return None if first is None and second is None else (first, second)


def _sensor(line: CommandLine) -> Sensor | None:
    """The sensor as the left-to-right effects of the flags leave it (docs/model.md), or as typed without that quirk."""
    settings = line.settings
    if not {"thickness", "attenuation", "layers"} & set(settings.values):
        return None
    depth = settings.sensor_attenuation
    thickness = settings.sensor_thickness
    if Quirk.THICK_ABS_INTERPLAY not in line.quirks:
        thickness = settings.get("thickness", 0.0)
    if not line.strict:
        if thickness < 0 and (_unset(line, "layers") is None or Quirk.THICK_ABS_INTERPLAY not in line.quirks):
            thickness = 0.0  # with a count the original takes 0.5 micrometer (docs/model.md, Sensor)
        depth = None if depth is not None and depth < 0 else depth
    return Sensor(thickness_um=thickness, attenuation_um=depth, n_layers=_unset(line, "layers"))


def _goniometer(line: CommandLine) -> Goniometer:
    get = line.settings.get
    osc, step, count = _unset(line, "osc", zero=False), _unset(line, "phistep"), _unset(line, "phisteps", zero=False)
    if not line.strict:
        if count == 0:
            count = 1
        if get("phistep") == 0 and count is not None and osc is not None:
            step = 0.0  # every step is at the start (docs/model.md, Counts, last row)
        if osc is not None and step and count is None and math.isfinite(osc) and math.ceil(osc / step) < 1:
            raise UsageError("-osc 0 with -phistep: no phi step is left; write -phisteps N or leave -phistep out")
    return Goniometer(
        phi_start_deg=get("phi", 0.0),
        osc_deg=osc,
        step_deg=step,
        n_steps=count,
        axis=get("axis") if keeps_vectors(line) else None,
    )


def _sampling(line: CommandLine, detector: Detector) -> tuple[Sampling, Detector]:
    """Sampling, and the detector with everything masked where the lenient rule leaves an empty region of interest."""
    get = line.settings.get
    roi: tuple[slice, slice] | None = None
    if "roi" in line.settings:
        bounds = line.roi()
        slow, fast = roi = bounds.slices(detector.n_fast, detector.n_slow)
        empty = slow.start >= slow.stop or fast.start >= fast.stop
        beyond = bounds.x_max > detector.n_fast or bounds.y_max > detector.n_slow
        text = f"-roi {bounds.x_min} {bounds.x_max} {bounds.y_min} {bounds.y_max}"
        if line.strict and (empty or beyond):
            raise UsageError(
                f"{text}: {'holds no pixel of' if empty else 'reaches beyond'} the {detector.n_fast} x "
                f"{detector.n_slow} detector; write -roi XMIN XMAX YMIN YMAX, inclusive"
            )
        if empty:
            line.note(f"{text}: holds no pixel, the image is all 0")
            roi = None
            detector = dataclasses.replace(detector, mask=np.zeros((detector.n_slow, detector.n_fast), bool))
        elif beyond:
            line.note(f"{text}: reaches beyond the {detector.n_fast} x {detector.n_slow} detector")
    sampling = Sampling(
        oversample=_unset(line, "oversample"), interpolate=get("interpolate"), d_min_angstrom=_d_min(line), roi=roi,
        oversample_thick=get("oversample_thick", False), oversample_polar=get("oversample_polar", False),
        oversample_omega=get("oversample_omega", False),
    )  # fmt: skip
    return sampling, detector


def _d_min(line: CommandLine) -> float | None:
    d_min = _unset(line, "dmin")
    return None if d_min == 0 else d_min
