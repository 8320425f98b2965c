"""Values that render and are hardly ever meant: other units, a beam beside the detector, a list that ends before the pixels.

`typed_doubts` needs nothing but the experiment as written, so that it speaks before anything is refused or takes long;
`decided_doubts` needs the placement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nanobragg.arrays import detached, is_transformed
from nanobragg.config import Beam, Detector, Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.inspection.foresight.limits import FARTHEST_BEAM, LEAST_INSIDE, LIMITS, Limit
from nanobragg.inspection.foresight.spectra import coarse_spectrum
from nanobragg.lazy import dataclass

_CENTERS = ("beam_center_mm", "beam_center_convention_mm", "close_point_mm")
_GRID = 24
"""Pixels along each edge that stand for all of them."""


@dataclass(frozen=True)
class Doubt:
    """A value that is probably a mistake; ``str()`` says so in the words of the Python interface."""

    path: str
    """dotted path of the field"""
    value: float
    expected: str
    """what is expected, with its unit"""
    meaning: str = ""
    """what was probably meant"""
    instead: tuple[str, float] | None = None
    """path and value that say it"""

    def __str__(self) -> str:
        return self.text(f"{self.path}={self.value:.6g}", self.path.rpartition(".")[2], self.instead_text)

    @property
    def instead_text(self) -> str:
        """What to write, in the words of the Python interface."""
        return "" if self.instead is None else f"{self.instead[0]}={self.instead[1]:.6g}"

    def text(self, given: str, name: str, instead: str) -> str:
        """The sentence with other words for the field, its value and the remedy."""
        said = f"{given} is not {self.expected}"
        if self.meaning:
            unit = self.expected.rpartition(" ")[2]
            said += f": {self.meaning}? {name} is in {unit}" + (f"; write {instead}" if instead else "")
        return said


def typed_doubts(experiment: Experiment) -> list[Doubt]:
    """Doubts about the values of an experiment as it was written."""
    check_experiment(experiment)
    beam, crystal = experiment.beam, experiment.crystal
    crystals = crystal if isinstance(crystal, tuple) else (crystal,)
    detectors = experiment.detector if isinstance(experiment.detector, tuple) else (experiment.detector,)
    given: list[tuple[str, Any]] = [
        ("beam.wavelength_angstrom", beam.wavelength_angstrom), ("beam.energy_ev", beam.energy_ev),
        *(("crystal.size_mm", one.size_mm) for one in crystals),
    ]  # fmt: skip
    if beam.sources is not None:
        given.append(("beam.sources.wavelength_angstrom", beam.sources.wavelength_angstrom))
    given.append(("beam.fluence_per_m2", _fluence(beam)))
    for name in ("distance_mm", "close_distance_mm", "pixel_size_mm"):
        given += [(f"detector.{name}", getattr(one, name)) for one in detectors]
    found = (doubt_of(path, value) for path, value in given)
    doubts = [doubt for doubt in found if doubt is not None]
    if len(detectors) == 1:
        doubts += _center_in_pixels(detectors[0])
    return list({(doubt.path, doubt.value): doubt for doubt in doubts}.values())  # one, not one a panel


def _fluence(beam: Beam) -> Any:
    """The fluence that counts [photons/m^2]: from flux, exposure and size [mm] where they are given."""
    if beam.flux_per_s is None or beam.size_mm is None:
        return beam.fluence_per_m2
    found = [_numbers(value) for value in (beam.flux_per_s, beam.exposure_s, beam.size_mm)]
    if not all(found) or not all(1e-100 < one[0] < 1e100 for one in found):  # the square of a size overflows
        return None
    size = found[2][0]
    return 1e6 * found[0][0] * found[1][0] / size / size  # the square of an odd size would overflow, or be 0


def doubt_of(path: str, value: Any) -> Doubt | None:
    """The doubt about a value, or about the worst of several; None: it is believed.

    Parameters
    ----------
    path : str
        A key of `LIMITS`.
    value : number, sequence, array or tensor
    """
    limit = LIMITS[path]
    for number in _numbers(value):
        if number != 0 and math.isfinite(number) and not limit.low <= abs(number) <= limit.high:
            return _outside(path, number, limit)
    return None


def _outside(path: str, value: float, limit: Limit) -> Doubt:
    if limit.low == 0:
        expected = f"below {limit.high:g} {limit.unit}"
    elif math.isinf(limit.high):
        expected = f"above {limit.low:g} {limit.unit}"
    else:
        expected = f"between {limit.low:.4g} and {limit.high:.4g} {limit.unit}"
    for guess in limit.guesses:
        meant = guess.converted(abs(value))
        if limit.usual[0] <= meant <= limit.usual[1]:
            instead = (guess.field, value * guess.scale) if guess.field else (path, meant)
            return Doubt(path, value, expected, guess.text, instead)
    return Doubt(path, value, expected)


def _numbers(value: Any) -> list[float]:
    """Every number that stands in a value; None and what torch transforms are left out."""
    if value is None or isinstance(value, str) or is_transformed(value):
        return []
    if isinstance(value, tuple | list):
        return [number for item in value for number in _numbers(item)]
    plain = np.ravel(FLOAT_OPS.lift(value))
    return [float(x) for x in plain] if len(plain) < 2 else [float(plain.min()), float(plain.max())]


def _center_in_pixels(detector: Detector) -> Iterator[Doubt]:
    """A beam center beyond the detector that lies on it when its numbers count pixels."""
    pixel = max(_numbers(detector.pixel_size_mm), default=0.0)
    edge = pixel * max(detector.n_fast, detector.n_slow)
    for name in _CENTERS:
        numbers = _numbers(getattr(detector, name))
        if numbers and max(numbers) > edge >= pixel * max(numbers) and min(numbers) >= 0:
            worst = max(numbers)
            path = f"detector.{name}"
            yield Doubt(path, worst, f"on the detector of {edge:.4g} mm", "pixels", (path, worst * pixel))


def decided_doubts(panels: Sequence[Decided]) -> list[str]:
    """Doubts that take the placement: a beam beside every panel, pixels beyond the list of structure factors, a coarse
    spectrum."""
    return [text for text in (_beam_beside(panels), _beyond_list(panels), coarse_spectrum(panels[0])) if text]


def _beam_beside(panels: Sequence[Decided]) -> str:
    corners = np.array([corner for one in panels for corner in _corners(one)])
    size = float(np.ptp(corners, axis=0).max())
    gaps = []
    for one in panels:
        p, det = one.placement, _panel(one)
        places = zip((p.fbeam, p.sbeam), (det.n_fast, det.n_slow), p.pixel_size, strict=True)
        gaps.append(max(max(-detached(at), detached(at) - n * detached(edge)) for at, n, edge in places))
    if not min(gaps) > FARTHEST_BEAM * size:
        return ""
    return (
        f"the direct beam passes {1000 * min(gaps):.4g} mm beside the detector, which is {1000 * size:.4g} mm wide: is "
        "detector.beam_center_mm in mm from the corner of the detector, and are the rotations in degrees?"
    )


def _corners(decided: Decided) -> list[np.ndarray]:
    p, det = decided.placement, _panel(decided)
    origin = np.array([detached(x) for x in p.pix0])
    fast, slow = (
        np.array([detached(x) for x in axis]) * detached(edge)
        for axis, edge in zip((p.fast, p.slow), p.pixel_size, strict=True)
    )
    return [origin + f * fast + s * slow for f in (0, det.n_fast) for s in (0, det.n_slow)]


def _panel(decided: Decided) -> Detector:
    assert isinstance(decided.experiment.detector, Detector)
    return decided.experiment.detector


def _beyond_list(panels: Sequence[Decided]) -> str:
    """Fewer than a tenth of the pixels have indices that the list reaches, and there is nothing beyond."""
    experiment = panels[0].experiment
    table = experiment.crystal.structure_factors
    if table is None or not table.has_table or detached(table.default_F) != 0:
        return ""
    shape = np.array(table.amplitude.shape[-3:])
    if not shape.all():
        return ""
    hkl = np.concatenate([_miller_indices(one) for one in panels])
    low = np.array(table.hkl_min) - 1.0
    share = float(((hkl > low) & (hkl < low + shape + 1.0)).all(axis=-1).mean()) if len(hkl) else 1.0
    if share >= LEAST_INSIDE:
        return ""
    return (
        f"{100 * share:.2g} % of the rendered pixels have Miller indices inside the list of structure factors, and there is "
        "nothing beyond: are wavelength [Angstrom], distance [mm] and unit cell [Angstrom] what was meant? Else give more "
        "reflections or a default_F"
    )


def _miller_indices(decided: Decided) -> np.ndarray:
    """(n, 3) indices of pixels on a grid over the rendered region, for the crystal as mounted."""
    p, experiment, det = decided.placement, decided.experiment, _panel(decided)
    roi = experiment.sampling.roi or (slice(None), slice(None))
    rows, columns = (
        np.linspace(*_first_and_last(part.indices(n)), num=_GRID) + 0.5
        for part, n in zip(roi, (det.n_slow, det.n_fast), strict=True)
    )
    slow, fast = (grid.reshape(-1, 1) for grid in np.meshgrid(rows, columns, indexing="ij"))
    if det.mask is not None:
        kept = det.mask[slow.astype(int), fast.astype(int)].ravel()
        slow, fast = slow[kept], fast[kept]
    at = np.array(p.pix0) + fast * p.pixel_size[0] * np.array(p.fast) + slow * p.pixel_size[1] * np.array(p.slow)
    out = at / np.linalg.norm(at, axis=1, keepdims=True)
    cell = decided.cell
    return (out - np.array(p.beam)) @ np.array([cell.a, cell.b, cell.c]).T / wavelength_m(experiment, FLOAT_OPS)


def _first_and_last(indices: tuple[int, int, int]) -> tuple[int, int]:
    begin, end, _ = indices
    return begin, max(begin, end - 1)
