"""What the settings of nonBragg mean: sizes, sources, detector and body, by the original's arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.constants import AVOGADRO, DBL_MIN, DEFAULT_BEAM_SIZE, DEFAULT_FLUENCE, R_E_SQR
from nanobragg.derivation.vectors import FLOAT_OPS, Vec, cross, dot, rotaxis, rotxyz, scale, unit
from nanobragg.errors import UsageError
from nanobragg.imaging.original.nonbragg import AmorphousBody, guarded
from nanobragg.io.images.smv import SmvImage, header_values, load_smv
from nanobragg.io.sourcefile import read_sourcefile_legacy
from nanobragg.io.stol import read_stol, read_stol_legacy
from nanobragg.lazy import dataclass

_HEADER = {"PIXEL_SIZE": ("pixel", 1000.0), "DISTANCE": ("distance", 1000.0), "CLOSE_DISTANCE": ("close_distance", 1000.0),
           "WAVELENGTH": ("wavelength", 1e10), "BEAM_CENTER_X": ("x_beam", 1000.0), "ORGX": ("org_x", 1.0),
           "ORGY": ("org_y", 1.0), "PHI": ("phi", 1.0), "OSC_RANGE": ("osc", 1.0)}  # fmt: skip
_DETECTOR, _PIXEL = 102.4e-3, 0.1e-3
_MOST_PIXELS = 2**31 - 1
Edges = tuple[int, int, int, int]


def header_defaults(settings: dict[str, Any]) -> tuple[dict[str, Any], SmvImage]:
    """Defaults from the header of -img, and that image.

    Raises
    ------
    FileFormatError
        Where the original crashes: for a file that is missing or no SMV image.
    """
    path = settings["image"]
    smv = load_smv(path, strict=False)
    found = header_values(path, smv.text, ["SIZE1", "SIZE2", "BEAM_CENTER_Y", *_HEADER], False)
    n_slow, n_fast = smv.pixels.shape
    defaults: dict[str, Any] = {"n_fast": n_fast, "n_slow": n_slow}
    defaults.update({name: found[key] / per for key, (name, per) in _HEADER.items() if key in found})
    if "BEAM_CENTER_Y" in found:
        size = defaults["pixel"] * n_slow if "pixel" in defaults else _DETECTOR
        defaults["y_beam"] = size - found["BEAM_CENTER_Y"] / 1000.0
    return defaults, smv


@dataclass(frozen=True)
class Range:
    """Range, step and number of one sampled quantity."""

    n: int
    width: float
    step: float

    @staticmethod
    def settled(n: int, width: float, step: float) -> Range:
        """Fill in what was not typed (below 0) by the original's rules; a range that ends at 0 is one point."""
        if not (math.isfinite(width) and math.isfinite(step)):
            raise UsageError("nonBragg: divergence and dispersion must be finite numbers")
        if n <= 0:
            if width < 0:
                n, width, step = (2, step, step) if step > 0 else (1, 0.0, 0.0)
            elif step <= 0:
                n, step = 2, width
            else:
                n = math.ceil(width / step)
        elif width < 0:
            n, width, step = (2, step, step) if step > 0 else (n, 1.0, 1.0 / n)
        elif step <= 0:
            n = max(n, 2)
            step = width / (n - 1)
        return Range(n, width, step) if n > 0 and width > 0 and step > 0 else Range(1, 0.0, 0.0)

    def offset(self, i: int) -> float:
        """Of point i from the middle."""
        return self.step * i - self.width / 2

    def reach(self, i: int) -> float:
        """The term of the round cut; NaN where there is no range."""
        if self.width == 0:
            return math.nan
        offset = self.offset(i)
        return (offset * offset - self.step * self.step / 4 * (1 - self.n % 2)) / self.width / self.width


@dataclass(frozen=True)
class SourceRows:
    """Where the rays come from."""

    position: NDArray[np.float64]
    """(n, 3)"""
    weight: NDArray[np.float64]
    wavelength: NDArray[np.float64]
    """[m]"""
    directions: list[tuple[float, float]] | None
    """(horizontal, vertical) of the grid that are kept; None with a source file"""
    wavelengths: list[float]
    horizontal: Range
    vertical: Range
    spectrum: Range


@dataclass(frozen=True)
class Setup:
    """Everything that is decided before the first pixel."""

    body: AmorphousBody
    sources: SourceRows
    sample: tuple[float, float, float]
    """along the beam, across, across [m]"""
    density: float
    """[g/m^3]"""
    molar_mass: float
    clipped: list[tuple[str, float, float]]
    pivot: str
    wavelength: float
    """[m]"""
    size: tuple[float, float]
    """fast, slow [m]"""
    close: tuple[float, float]
    """point next to the sample: fast, slow [m]"""
    center: tuple[float, float]
    """of the beam: fast, slow [m]"""
    abscissa: float
    """of the table, to 1/m"""
    roi: Edges
    """first and last fast, first and last slow pixel as typed or by default: the last may be the number of pixels"""

    @property
    def region(self) -> tuple[slice, slice]:
        """(slow, fast) pixels that are rendered."""
        first_f, last_f, first_s, last_s = self.inside
        return slice(first_s, last_s + 1), slice(first_f, last_f + 1)

    @property
    def inside(self) -> Edges:
        """The region within the detector, inclusive."""
        return self.roi[0], min(self.roi[1], self.body.n_fast - 1), self.roi[2], min(self.roi[3], self.body.n_slow - 1)


def build(settings: dict[str, Any], *, corrected: bool = False) -> Setup:
    """Decide everything that the settings leave open.

    Parameters
    ----------
    settings : dict
    corrected : bool
        Numbers of pixels are rounded, and the table is left to its reader.

    Raises
    ------
    UsageError, FileFormatError
    """
    get = settings.get
    wavelength = get("wavelength", 1e-10)
    pixel = get("pixel", _PIXEL)
    if not pixel > 0:
        raise UsageError(f"nonBragg: the pixel size is {1000 * pixel:g} mm, must be above 0; write -pixel MM")
    sizes = [pixel * get(f"n_{axis}", 0) or get(f"size_{axis}", _DETECTOR) for axis in ("fast", "slow")]
    ratios = [size / pixel for size in sizes]
    if not all(0 < ratio <= _MOST_PIXELS for ratio in ratios) or math.prod(map(math.ceil, ratios)) > _MOST_PIXELS:
        raise UsageError(f"nonBragg: the detector cannot have {ratios[0]:g} x {ratios[1]:g} pixels; write -detpixels N")
    # no half pixel is taken off (NB_PIXEL_CEIL)
    n_fast, n_slow = (math.ceil(ratio - 0.5 if corrected else ratio) for ratio in ratios)

    close = (
        get("org_x") * pixel if "org_x" in settings else get("x_close", (sizes[0] - pixel) / 2),
        get("org_y") * pixel if "org_y" in settings else get("y_close", (sizes[1] + pixel) / 2),
    )
    center = (get("x_beam", close[0]), get("y_beam", close[1]))
    typed = get("roi", (-1, -1, -1, -1))
    first_f, last_f, first_s, last_s = (
        end if value < 0 else value for value, end in zip(typed, (0, n_fast, 0, n_slow), strict=True)
    )

    beamsize, exposure = get("beamsize", DEFAULT_BEAM_SIZE), get("exposure", 1.0)
    fluence = get("fluence", DEFAULT_FLUENCE)
    if get("flux", 0.0) != 0 and exposure > 0 and beamsize >= 0:
        if beamsize == 0:
            raise UsageError("nonBragg: the beam size is 0; write -beamsize MM, or -fluence")
        fluence = get("flux") * exposure / beamsize / beamsize
    sample = [get("thick", 1e-4), get("wide", 1e-4), get("high", 1e-4)]
    clipped = []
    for i, name in ((1, "high"), (2, "wide")):
        if 0 <= beamsize < sample[i]:
            clipped.append((name, sample[i], beamsize))
            sample[i] = beamsize
    volume = sample[0] * sample[1] * sample[2]
    density, molar_mass = get("density", 1e6), get("molar_mass", 18.0)
    if molar_mass == 0 or (get("molecules", 0.0) != 0 and volume == 0):
        raise UsageError("nonBragg: molar mass and sample size must not be 0; write -MW and -samplesize")
    if get("molecules", 0.0) != 0:
        density = get("molecules") / volume / AVOGADRO * molar_mass
    molecules = volume * density * AVOGADRO / molar_mass

    beam, fast, slow = (unit(get(name, default), FLOAT_OPS) for name, default in
                        (("beam", (1.0, 0.0, 0.0)), ("fast", (0.0, 0.0, 1.0)), ("slow", (0.0, -1.0, 0.0))))  # fmt: skip
    normal = unit(cross(fast, slow), FLOAT_OPS)
    polar_axis = unit(get("polar_axis", (0.0, 0.0, 1.0)), FLOAT_OPS)
    vertical = unit(cross(beam, polar_axis), FLOAT_OPS)
    for vector, name in ((beam, "-beam_vector"), (normal, "-fdet_vector and -sdet_vector")):
        if not any(vector):
            raise UsageError(f"nonBragg: {name} must not be zero or parallel")
    sources = _sources(settings, beam, polar_axis, vertical, wavelength)
    stol, factor = (read_stol if corrected else read_stol_legacy)(settings["stol"])
    guarded_stol, guarded_factor = guarded(stol * settings["abscissa"], factor)

    turns = (get("rot_x", 0.0), get("rot_y", 0.0), get("rot_z", 0.0))

    def turned(v: Vec) -> Vec:
        axis = get("twotheta_axis", (0.0, 1.0, 0.0))
        return rotaxis(rotxyz(v, turns, FLOAT_OPS), axis, get("twotheta", 0.0), FLOAT_OPS)

    ratio = dot(beam, rotxyz(normal, turns, FLOAT_OPS)) or DBL_MIN
    close_distance = get("close_distance", ratio * get("distance", 0.1))
    distance = close_distance / ratio
    pivot = get("pivot", "beam")
    if pivot == "sample":
        x, y, z = (-close[0] * fast[k] - close[1] * slow[k] + close_distance * normal[k] for k in range(3))
        pix0 = turned((x, y, z))
    fast, slow, normal = turned(fast), turned(slow), turned(normal)
    if pivot == "beam":
        x, y, z = (-center[0] * fast[k] - center[1] * slow[k] + distance * beam[k] for k in range(3))
        pix0 = (x, y, z)
    close = (-dot(pix0, fast), -dot(pix0, slow))
    close_distance = dot(pix0, normal)
    x, y, z = (close_distance / ratio * beam[k] - pix0[k] for k in range(3))
    center = (dot(fast, (x, y, z)), dot(slow, (x, y, z)))
    distance = close_distance / ratio
    body = AmorphousBody(
        n_fast=n_fast, n_slow=n_slow, pixel_size=pixel, pix0=pix0, fast=fast, slow=slow, beam=beam,
        close_distance=close_distance, distance=distance, curved=get("curved", False),
        point_pixel=get("point_pixel", False), oversample=max(get("oversample", 1), 1), source=sources.position,
        weight=sources.weight, wavelength=sources.wavelength, polarized=get("polarized", True),
        kahn_factor=get("kahn", 0.0), polarization_axis=polar_axis, stol=guarded_stol, factor=guarded_factor,
        r_e_sqr=R_E_SQR, fluence=fluence, molecules=molecules, map_factor=get("map_factor", False),
    )  # fmt: skip
    return Setup(
        body=body, sources=sources, sample=(sample[0], sample[1], sample[2]), density=density, molar_mass=molar_mass,
        clipped=clipped, pivot=pivot, wavelength=wavelength, size=(sizes[0], sizes[1]), close=close, center=center,
        abscissa=settings["abscissa"], roi=(first_f, last_f, first_s, last_s),
    )  # fmt: skip


def _sources(settings: dict[str, Any], beam: Vec, polar_axis: Vec, vertical: Vec, wavelength: float) -> SourceRows:
    get = settings.get
    horizontal = Range.settled(get("n_h", -1), get("h_range", -1.0), get("h_step", -1.0))
    upright = Range.settled(get("n_v", -1), get("v_range", -1.0), get("v_step", -1.0))
    spectrum = Range.settled(get("n_dispersion", -1), get("dispersion", 0.0), -1.0)
    away = scale(beam, -get("source_distance", 10.0))
    if "sourcefile" in settings:
        table = read_sourcefile_legacy(settings["sourcefile"])
        return SourceRows(
            np.ascontiguousarray(np.where(np.isnan(table.position), away, table.position)),
            np.where(np.isnan(table.weight), 1.0, table.weight),
            np.where(np.isnan(table.wavelength_m), wavelength, table.wavelength_m),
            None, [], horizontal, upright, spectrum,
        )  # fmt: skip
    if any(axis.n > 10**6 for axis in (horizontal, upright, spectrum)):
        raise UsageError("nonBragg: the grid of directions or wavelengths has more than a million steps")
    directions, rows = [], []
    for i in range(horizontal.n):
        for j in range(upright.n):
            if get("round", True) and (horizontal.reach(i) + upright.reach(j)) * 4 > 1.1:
                continue
            h, v = horizontal.offset(i), upright.offset(j)
            directions.append((h, v))
            rows.append(rotaxis(rotaxis(away, polar_axis, v, FLOAT_OPS), vertical, h, FLOAT_OPS))
    if not directions:
        raise UsageError("nonBragg: the round cut leaves no source; write -square_div, or more than one step")
    wavelengths = [wavelength * (1.0 + spectrum.step * m - spectrum.width / 2) for m in range(spectrum.n)]
    n = len(rows) * len(wavelengths)
    return SourceRows(np.repeat(np.array(rows), len(wavelengths), axis=0), np.ones(n), np.tile(wavelengths, len(rows)),
                   directions, wavelengths, horizontal, upright, spectrum)  # fmt: skip
