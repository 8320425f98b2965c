"""Spectra sampled too coarsely: a spot would be a row of spots (docs/spectra.md, Sampling)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Spectrum
from nanobragg.derivation.crystals.displacement import largest_indices
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.spectra.lines import GAUSS_HERMITE, REACH, counted, lines_of
from nanobragg.derivation.vectors import FLOAT_OPS

_FAINT = 0.01
"""Share of the strongest line below which one does not count."""


def coarse_spectrum(decided: Decided) -> str:
    """A sentence where neighboring wavelengths part the spots of the largest indices; else empty.

    A step of 1/(2 n h) of the wavelength moves the index h by half the width of a spot of n cells. Unlike cells within the
    crystal, of the standard deviation s, make it as wide as s.
    """
    spectrum = decided.experiment.beam.spectrum
    if spectrum is None or (n := counted(spectrum)[0]) < 3:
        return ""
    found = lines_of(spectrum, wavelength_m(decided.experiment, FLOAT_OPS), n, FLOAT_OPS)
    step = _largest_step(spectrum, np.array(found.wavelength), np.asarray(found.weight))
    cells, index = _finest(decided)
    limit = max(0.5 / (cells * index), detached(decided.experiment.crystal.mosaic.strain))
    if step <= limit:
        return ""
    return (
        f"beam.spectrum: {n} wavelengths are up to {100 * step:.2g} % apart, and spots of {cells:.0f} cells at the index {index} "
        f"are resolved with {100 * limit:.2g} %: such a spot becomes a row of spots; {_remedy(spectrum, n, step / limit)}"
    )


def _largest_step(spectrum: Spectrum, wavelength: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The largest relative distance of neighbors, within each color of two."""
    n = len(wavelength)
    colors = [slice(0, n // 2), slice(n // 2, n)] if spectrum.kind == "two_color" else [slice(0, n)]
    return max(_widest(wavelength[color], weight[color]) for color in colors) / float(wavelength.min())


def _widest(points: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The widest gap between neighbors of which one counts."""
    order = np.argsort(points)
    strong = weight[order] > _FAINT * weight.max()
    return float(np.max(np.diff(points[order])[strong[1:] | strong[:-1]], initial=0.0))


def _finest(decided: Decided) -> tuple[float, int]:
    """Cells and index, along the axis where their product is the largest."""
    table = decided.experiment.crystal.structure_factors
    indices = list(largest_indices(decided))
    if table is not None and table.has_table and detached(table.default_F) == 0:
        held = [max(abs(a), abs(b)) for a, b in zip(table.hkl_min, table.hkl_max, strict=True)]
        indices = [max(1, min(pair)) for pair in zip(indices, held, strict=True)]
    cells = [detached(n) for n in decided.size.n_cells]
    return max(zip(cells, indices, strict=True), key=math.prod)


def _remedy(spectrum: Spectrum, n: int, excess: float) -> str:
    if spectrum.kind == "given":
        return "give more points, or a smaller stride"
    colors = 2 if spectrum.kind == "two_color" else 1
    if spectrum.kind in ("gaussian", "two_color") and n // colors <= GAUSS_HERMITE:
        # the widest gap of few nodes, as a share of the standard deviation, against equal steps of 2 REACH/n
        gap = math.sqrt(2.0) * _widest(*np.polynomial.hermite.hermgauss(n // colors))
        enough = max(GAUSS_HERMITE + 1, math.ceil(2.0 * REACH / gap * excess * 1.01)) * colors
    else:
        enough = math.ceil(n * excess * 1.01)
    return f"write beam.spectrum.n_wavelengths={enough + enough % 2}"
