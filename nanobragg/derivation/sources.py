"""The list of sources: divergence x dispersion, or an explicit list (docs/model.md, Sources)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanobragg.arrays import detached, is_tensor
from nanobragg.config import Beam, Divergence, Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.constants import EV_ANGSTROM, SOURCE_DISTANCE
from nanobragg.derivation.placement import Placement
from nanobragg.derivation.spectra.lines import counted, lines_of, mean_wavelength_m
from nanobragg.derivation.vectors import Ops, Vec, rotaxis, scale, unit
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Axis:
    """One sampled range: n points over `width`, `step` apart (0 when n is 1 and there is no range)."""

    n: int
    width: Any
    step: Any

    def point(self, i: int, left_edge: bool) -> Any:
        """Offset of point i from the center: from the left edge by steps, or the mid-point of interval i."""
        return self.step * i - self.width / 2 if left_edge else self.width * ((i + 0.5) / self.n - 0.5)


@dataclass(frozen=True)
class SourceList:
    """n sources in loop order (horizontal, vertical, wavelength fastest)."""

    position: list[Vec]
    """from the sample to the source, not normalized"""
    weight: Any
    """(n,) as given, 1/n, or of mean 1 for a spectrum"""
    wavelength: list[Any]
    """[m]"""
    grid: list[tuple[Any, Any]] | None
    """kept divergence angles (h, v) [rad]; None for an explicit list"""
    wavelengths: list[Any] | None
    """the sampled wavelengths [m]; None for an explicit list"""
    horizontal: Axis
    vertical: Axis
    spectrum: Axis
    energy: Any = 1.0
    """of a pulse, over that of the mean pulse"""

    def incident(self, ops: Ops) -> Any:
        """(n, 3) unit vectors along the rays."""
        rows = [unit(position, ops) for position in self.position]
        return ops.stack([ops.stack([-x for x in row]) for row in rows])


def wavelength_m(experiment: Experiment, ops: Ops) -> Any:
    """The central wavelength [m]; the mean of a given spectrum."""
    return center_m(experiment.beam, ops)


def center_m(beam: Beam, ops: Ops) -> Any:
    """The same of a beam."""
    if beam.spectrum is not None and beam.spectrum.kind == "given":
        return mean_wavelength_m(beam.spectrum, ops)
    if beam.energy_ev is not None:
        return EV_ANGSTROM / ops.lift(beam.energy_ev) / 1e10
    return ops.lift(1.0 if beam.wavelength_angstrom is None else beam.wavelength_angstrom) / 1e10


def source_list(experiment: Experiment, placement: Placement, ops: Ops) -> SourceList:
    """The sources of a decided experiment.

    Raises
    ------
    ConfigError
        When the round cut leaves no source.
    """
    beam, quirks = experiment.beam, experiment.quirks
    divergence = beam.divergence or Divergence()
    edges = Quirk.DIV_GRID_ASYMMETRIC in quirks
    horizontal = _axis(divergence.h_mrad, divergence.n_h, divergence.h_step_mrad, 1000, edges, ops)
    vertical = _axis(divergence.v_mrad, divergence.n_v, divergence.v_step_mrad, 1000, edges, ops)
    dispersion = beam.dispersion_percent
    if (
        not is_tensor(dispersion) and dispersion < 0
    ):  # resolve has let it pass: 100 %, stepped by 1/n (docs/model.md, Counts)
        n_wavelengths = beam.n_wavelengths or 1
        spectrum = Axis(n_wavelengths, ops.lift(1.0), ops.lift(1.0) / n_wavelengths)
    else:
        spectrum = _axis(dispersion, beam.n_wavelengths, None, 100, Quirk.DISPERSION_EDGES in quirks, ops)
    if beam.sources is not None:
        wavelength = ops.lift(beam.sources.wavelength_angstrom)
        n = len(wavelength)
        if beam.sources.direction is None:
            position = [scale(placement.beam, -SOURCE_DISTANCE)] * n
        else:
            direction = ops.lift(beam.sources.direction)
            position = [(direction[i, 0], direction[i, 1], direction[i, 2]) for i in range(n)]
        return SourceList(
            position,
            ops.lift(beam.sources.weight),
            [wavelength[i] / 1e10 for i in range(n)],
            None,
            None,
            horizontal,
            vertical,
            spectrum,
        )
    grid = [
        (horizontal.point(i, edges), vertical.point(j, edges))
        for i in range(horizontal.n) for j in range(vertical.n)
        if not divergence.round or _kept(horizontal, vertical, i, j, edges, Quirk.ROUND_CUT_1D in quirks)
    ]  # fmt: skip
    if not grid:
        raise ConfigError(
            "beam.divergence",
            f"{horizontal.n} x {vertical.n} directions",
            "the round cut leaves no source",
            "set round=False (-square_div) or use more steps",
        )
    center = wavelength_m(experiment, ops)
    lower = Quirk.DISPERSION_EDGES in quirks
    wavelengths = [
        center * (1.0 + spectrum.step * m - spectrum.width / 2) if lower else center * (1.0 + spectrum.point(m, False))
        for m in range(spectrum.n)
    ]
    lines = None
    if beam.spectrum is not None:
        lines = lines_of(beam.spectrum, center, counted(beam.spectrum)[0], ops)
        wavelengths = lines.wavelength
    position = []
    for h, v in grid:
        x = scale(placement.beam, -SOURCE_DISTANCE)
        x = rotaxis(x, placement.polarization_axis, v, ops)
        position.append(rotaxis(x, placement.vertical, h, ops))
    n = len(grid) * len(wavelengths)
    weight = ops.lift(np.full(n, 1.0 / n))
    if lines is not None:
        weight = lines.weight if len(grid) == 1 else ops.stack([w for _ in grid for w in lines.weight])
    return SourceList(
        [p for p in position for _ in wavelengths], weight, wavelengths * len(grid),
        grid, wavelengths, horizontal, vertical, spectrum, 1.0 if lines is None else lines.energy,
    )  # fmt: skip


def _axis(width: Any, n: int | None, step: Any, unit_factor: float, edges: bool, ops: Ops) -> Axis:
    """Range, count and step of a decided axis; a range of 0 is a single point (docs/model.md, Counts)."""
    n = n or 1
    zero = ops.lift(0.0)
    # a tensor with a single point sits in the middle of its range whatever its value, which is not read here
    if width is None or (n == 1 and not is_tensor(width) and width <= 0):
        return Axis(1, zero, zero)
    width = ops.lift(width) / unit_factor
    if not edges:
        return Axis(n, width, width / n)
    if step is not None:
        return Axis(n, width, ops.lift(step) / unit_factor)
    return Axis(n, width, width / (n - 1) if n > 1 else width)


def _kept(horizontal: Axis, vertical: Axis, i: int, j: int, edges: bool, original_cut: bool) -> bool:
    """Whether the round cut keeps the grid point (i, j)."""
    if original_cut:
        terms = []
        for axis, k in ((horizontal, i), (vertical, j)):
            width, step = detached(axis.width), detached(axis.step)
            if width == 0:  # 0/0: nothing is ever cut
                return True
            angle = detached(axis.point(k, edges))
            terms.append((angle * angle - step * step / 4 * (1 - axis.n % 2)) / width / width)
        return not (terms[0] + terms[1]) * 4 > 1.1
    reach = 0.0
    for axis, k in ((horizontal, i), (vertical, j)):
        width = detached(axis.width)
        if width <= 0:
            return True
        fraction = (k + 0.5) / axis.n - 0.5  # from the counts, so that no rounding decides about points on the ellipse
        if edges:
            span = detached(axis.step) * (axis.n - 1) / width
            fraction = (1.0 if math.isclose(span, 1) else span) * k / max(1, axis.n - 1) - 0.5
        reach += (2 * fraction) ** 2
    return reach <= 1.0
