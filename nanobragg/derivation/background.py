"""From the amorphous components of an experiment to arrays in SI units, which `nanobragg.imaging.background` evaluates."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_tensor
from nanobragg.config import Experiment
from nanobragg.config.image_chain.background import Amorphous
from nanobragg.constants import AVOGADRO, DEFAULT_BEAM_SIZE
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import Ops
from nanobragg.lazy import dataclass

_LARGEST_INDEX = 1 << 16
_EQUIDISTANT = 1e-11
"""Fraction of a step by which rows may miss multiples of it."""
MOST_WAVELENGTHS = 8
"""A spectrum is reduced to so many, for the background is smooth."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Component:
    """One amorphous body."""

    stol: Any
    """(n,) abscissae of the table [1/m], n >= 2, ascending"""
    polynomial: Any
    """(n - 1, 4) F = c0 + c1 t + c2 t^2 + c3 t^3 in t = s - stol[i]"""
    strength: Any
    """photons times r_e^2 times molecules per m^2 of a slab, per m^3 of a path [1, 1/m]"""
    path: tuple[Any, Any] | None
    """from, to along the beam [m]; None: a slab at the sample"""
    beamstop: tuple[float, float] | None
    """radius and distance from the sample [m]"""
    depth: Any
    """thickness in units of the attenuation length; 0: no absorption"""
    oversample: int

    @property
    def lookup(self) -> IndexedTable:
        """The table as the C core reads it."""
        stol, polynomial = _plain(self.stol), _plain(self.polynomial)
        widths = np.diff(stol)
        parts = np.rint(widths / widths.min()).astype(np.int64)  # of one width, where rows are multiples of it apart
        n = int(parts.sum())
        grid = np.linspace(stol[0], stol[-1], n + 1) if n <= _LARGEST_INDEX else stol
        at = np.concatenate([[0], np.cumsum(parts)]) if n <= _LARGEST_INDEX else np.arange(len(stol))
        scale = (len(grid) - 1) / (stol[-1] - stol[0])
        if np.abs(grid[at] - stol).max() <= _EQUIDISTANT * widths.min() and np.array_equal(np.diff(at), parts):
            inside = np.arange(n) - np.repeat(at[:-1], parts)
            return IndexedTable(grid, _shifted(np.repeat(polynomial, parts, axis=0), inside / scale), None, scale, 0)
        n = min(int(np.ceil((stol[-1] - stol[0]) / widths.min())) + 1, _LARGEST_INDEX)
        scale = n / (stol[-1] - stol[0])
        begins = stol[0] + (np.arange(n + 1) - 1e-6) / scale  # a little early, for the core rounds
        found = np.clip(np.searchsorted(stol, begins, side="right") - 1, 0, len(stol) - 2)
        return IndexedTable(stol, polynomial, found[:-1].astype(np.float64), scale, int(np.diff(found).max()) + 1)


class IndexedTable(NamedTuple):
    """A table with the way to find an interval."""

    stol: NDArray[np.float64]
    """(n,) [1/m]"""
    polynomial: NDArray[np.float64]
    """(n - 1, 4), as `Component.polynomial`"""
    begins: NDArray[np.float64] | None
    """interval in which each of many equal steps begins; None: the rows are equal steps apart"""
    scale: float
    """steps for each 1/m"""
    most: int
    """intervals that begin within one step"""


def _shifted(polynomial: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same cubics (n, 4) in t - by."""
    c0, c1, c2, c3 = polynomial.T
    shifted = [c0 + by * (c1 + by * (c2 + by * c3)), c1 + by * (2 * c2 + 3 * by * c3), c2 + 3 * by * c3, c3]
    return np.ascontiguousarray(np.stack(shifted, axis=1))


@dataclass(frozen=True, eq=False, kw_only=True)
class BackgroundScene:
    """All components, and the rays that they scatter."""

    components: tuple[Component, ...]
    incident: Any
    """(m, 3) unit vectors along the rays"""
    wavelength: Any
    """(m,) [m]"""
    weight: Any
    """(m,), sum 1"""


def background_scene(experiment: Experiment, scene: Scene, ops: Ops) -> BackgroundScene | None:
    """The arrays of the components; None where there are none."""
    components = experiment.background.components
    if not components:
        return None
    incident, wavelength, weight = reduced_rays(scene, ops)
    return BackgroundScene(
        components=tuple(_component(one, experiment, scene, ops) for one in components),
        incident=incident, wavelength=wavelength, weight=weight,
    )  # fmt: skip


def _component(one: Amorphous, experiment: Experiment, scene: Scene, ops: Ops) -> Component:
    beam_size = DEFAULT_BEAM_SIZE if experiment.beam.size_mm is None else ops.lift(experiment.beam.size_mm) / 1000
    photons = scene.fluence * (beam_size * beam_size)
    density, mass = (ops.lift(value) for value in one.matter)
    per_volume = density * 1e6 * AVOGADRO / mass
    inside = 1.0
    for size in (one.width_mm, one.height_mm):
        if size is not None and detached(size) / 1000 < detached(beam_size):
            inside = inside * (ops.lift(size) / 1000) / beam_size
    strength = photons * scene.r_e_sqr * per_volume * ops.lift(one.scale) * inside
    path, depth = None, ops.lift(0.0)
    if one.along_beam_mm is not None:
        first, last = (ops.lift(z) / 1000 for z in one.along_beam_mm)
        path = (first, last)
    else:
        thickness = ops.lift(one.thickness_mm) / 1000
        strength = strength * thickness
        if one.attenuation_mm is not None:
            depth = thickness / (ops.lift(one.attenuation_mm) / 1000)
    stop = None if one.beamstop is None else (one.beamstop.radius_mm / 1000, one.beamstop.distance_mm / 1000)
    stol, polynomial = _table(one, ops)
    return Component(stol=stol, polynomial=polynomial, strength=strength, path=path, beamstop=stop, depth=depth,
                     oversample=one.oversample)  # fmt: skip


def _table(one: Amorphous, ops: Ops) -> tuple[Any, Any]:
    """Abscissae and polynomials of the table."""
    rows = ops.lift(one.rows)
    x, y = rows[:, 0] * 1e10, rows[:, 1]
    if len(rows) == 1:
        return ops.stack([x[0], x[0] + 1.0]), ops.stack([ops.stack([y[0], 0.0 * y[0], 0.0 * y[0], 0.0 * y[0]])])
    h = x[1:] - x[:-1]
    slope = (y[1:] - y[:-1]) / h
    if one.interpolation == "linear" or len(rows) == 2:
        return x, ops.stack([y[:-1], slope, 0.0 * slope, 0.0 * slope], axis=1)
    d = _pchip_slopes(h, slope, ops)
    return x, ops.stack(
        [y[:-1], d[:-1], (3.0 * slope - 2.0 * d[:-1] - d[1:]) / h, (d[:-1] + d[1:] - 2.0 * slope) / (h * h)], axis=1
    )


def _pchip_slopes(h: Any, slope: Any, ops: Ops) -> Any:
    """Slopes at the rows that keep the interpolant monotonic where the table is.

    Reference: Fritsch & Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300.
    """
    plain = _plain(slope)
    same = ops.lift((plain[1:] * plain[:-1] > 0).astype(np.float64))
    w1, w2 = 2.0 * h[1:] + h[:-1], h[1:] + 2.0 * h[:-1]
    before, after = ops.nonzero(slope[:-1]), ops.nonzero(slope[1:])
    # the mean is only taken where both slopes have one sign, so that its divisor is not 0
    harmonic = (w1 + w2) / ops.nonzero((w1 / before + w2 / after) * same) * same
    ends = [_end_slope(h[0], h[1], slope[0], slope[1]), _end_slope(h[-1], h[-2], slope[-1], slope[-2])]
    return ops.stack([ends[0], *harmonic, ends[1]])


def _end_slope(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    """Three-point formula at an end, kept in shape."""
    d = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    if detached(d) * detached(m0) <= 0:
        return 0.0 * d
    if detached(m0) * detached(m1) <= 0 and abs(detached(d)) > 3.0 * abs(detached(m0)):
        return 3.0 * m0
    return d


def _plain(value: Any) -> NDArray[np.float64]:
    return np.asarray(value.detach().cpu() if is_tensor(value) else value, np.float64)


def reduced_rays(scene: Scene, ops: Ops) -> tuple[Any, Any, Any]:
    """Directions, wavelengths and weights; the spectrum of every direction in at most MOST_WAVELENGTHS parts of one weight."""
    weight = scene.weight / scene.weight.sum()
    directions, wavelengths = _plain(scene.incident), _plain(scene.wavelength)
    _, group = np.unique(directions, axis=0, return_inverse=True)
    group = group.reshape(-1)
    if np.bincount(group).max() <= MOST_WAVELENGTHS:
        return scene.incident, scene.wavelength, weight
    rays, means, weights = [], [], []
    for number in range(group.max() + 1):
        members = np.flatnonzero(group == number)
        members = members[np.argsort(wavelengths[members], kind="stable")]
        running = np.cumsum(_plain(weight)[members])
        part = np.minimum((running / running[-1] * MOST_WAVELENGTHS - 1e-9).astype(int), MOST_WAVELENGTHS - 1)
        for k in np.unique(part):
            chosen = members[part == k]
            total = weight[chosen].sum()
            rays.append(scene.incident[chosen[0]])
            means.append((weight[chosen] * scene.wavelength[chosen]).sum() / total)
            weights.append(total)
    return ops.stack(rays), ops.stack(means), ops.stack(weights)
