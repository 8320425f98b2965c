"""Displacements and damage as factors of the structure factors (docs/crystals.md, Displacements and damage).

They are applied at the reflection, q = h a* + k b* + l c*, so that they are constant across a spot.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_tensor
from nanobragg.config import Crystal
from nanobragg.derivation.cell import Cell
from nanobragg.derivation.crystals.diffuse.forms import mean_displacement
from nanobragg.derivation.crystals.mosaic import crystal_axes
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.sources import source_list
from nanobragg.derivation.vectors import FLOAT_OPS, Ops, dot
from nanobragg.errors import ConfigError

_LARGEST = 1 << 26
"""entries of a table that is made because default_F counts: 512 MiB"""


def dose(crystal: Crystal, ops: Ops) -> Any:
    """Dose in the middle of the exposure [MGy]."""
    return ops.lift(crystal.damage.dose_mgy) + ops.lift(crystal.damage.frame_dose_mgy) / 2


def decay(crystal: Crystal, ops: Ops) -> Any | None:
    """What the dose leaves of all intensities; None: everything."""
    damage = crystal.damage
    if not damage.acts or (not is_tensor(damage.decay_per_mgy) and damage.decay_per_mgy == 0):
        return None
    return ops.exp(-(ops.lift(damage.decay_per_mgy) * dose(crystal, ops)))


class Amplitudes:
    """The structure factors of a Scene."""

    def __init__(self, f_table: Any, hkl_min: tuple[int, int, int], default_F: Any) -> None:
        self.f_table, self.hkl_min, self.default_F = f_table, hkl_min, default_F


def amplitudes(decided: Decided, cell: Cell, ops: Ops) -> Amplitudes:
    """The structure factors with the factors of displacements and damage; `cell` is derived with `ops`."""
    crystal = decided.experiment.crystal
    table = crystal.structure_factors
    assert table is not None
    plain = ops.lift(_flat(table.amplitude)) if table.has_table else ops.lift(np.empty((0, 0, 0)))
    found = Amplitudes(plain, table.hkl_min, ops.lift(table.default_F))
    if not crystal.displaced:
        return found
    if table.energy_ev is not None and len(table.energy_ev) > 1:
        parts = [_displaced(decided, cell, one, ops) for one in _each(found, len(table.energy_ev))]
        return Amplitudes(_joined([part.f_table for part in parts]), parts[0].hkl_min, found.default_F)
    return _displaced(decided, cell, found, ops)


def _flat(amplitude: Any) -> Any:
    """Tables of several energies one behind the other along h."""
    return amplitude if amplitude.ndim == 3 else amplitude.reshape(-1, *amplitude.shape[2:])


def _each(found: Amplitudes, n: int) -> list[Amplitudes]:
    """The tables apart."""
    rows = found.f_table.shape[0] // n
    return [Amplitudes(found.f_table[i * rows : (i + 1) * rows], found.hkl_min, found.default_F) for i in range(n)]


def _joined(tables: list[Any]) -> Any:
    if is_tensor(tables[0]):
        from torch import cat

        return cat(tables)
    return np.concatenate(tables)


def _displaced(decided: Decided, cell: Cell, found: Amplitudes, ops: Ops) -> Amplitudes:
    """One table with the factors."""
    crystal = decided.experiment.crystal
    table = crystal.structure_factors
    assert table is not None
    if is_tensor(table.default_F) or table.default_F != 0:
        found = _extended(found, table.has_table, largest_indices(decided), ops)
    elif not table.has_table:
        return found
    n = found.f_table.shape
    grid = [np.arange(low, low + count, dtype=np.float64) for low, count in zip(found.hkl_min, n, strict=True)]
    factor = _factor(crystal, cell, grid, ops)
    if is_tensor(factor) and hasattr(found.f_table, "device"):
        factor = factor.to(found.f_table)
    return Amplitudes(found.f_table * factor, found.hkl_min, found.default_F)


def _factor(crystal: Crystal, cell: Cell, grid: list[NDArray[np.float64]], ops: Ops) -> Any:
    """What amplitudes are multiplied by, on a grid of indices."""
    displacement, damage = crystal.displacement, crystal.damage
    stars = (cell.a_star, cell.b_star, cell.c_star)
    metric = [[dot(stars[i], stars[j]) for j in range(3)] for i in range(3)]
    b = ops.lift(displacement.b_angstrom2)
    if damage.by_resolution:
        b = b + ops.lift(damage.b_per_mgy) * dose(crystal, ops)
    form = [[b / 4 * metric[i][j] for j in range(3)] for i in range(3)]
    if displacement.u_angstrom2 is not None:
        u, axes = ops.lift(displacement.u_angstrom2), crystal_axes(cell, ops)
        star = [[dot(axis, s) for axis in axes] for s in stars]  # components along the axes of the crystal
        for i, j in product(range(3), range(3)):
            part = sum(star[i][k] * u[k, m] * star[j][m] for k in range(3) for m in range(3))
            form[i][j] = form[i][j] + 2 * math.pi**2 * part
    if crystal.diffuse.damps:
        x = mean_displacement(crystal, cell, ops)
        form = [[form[i][j] + x[i][j] / 2 for j in range(3)] for i in range(3)]
    exponent = _quadratic(form, grid, ops)
    if damage.by_resolution and damage.dose_1_mgy is not None:
        q_sqr = _quadratic(metric, grid, ops)
        law = ops.nonzero(q_sqr) ** (float(damage.exponent) / 2) * ops.lift(_not_zero(grid))
        exponent = exponent + law * (dose(crystal, ops) / (2 * ops.lift(damage.dose_1_mgy)))
    return ops.exp(-exponent)


def _quadratic(form: list[list[Any]], grid: list[NDArray[np.float64]], ops: Ops) -> Any:
    """SUM form_ij h_i h_j on the grid."""
    shapes = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    h = [axis.reshape(shape) for axis, shape in zip(grid, shapes, strict=True)]
    total: Any = 0.0
    for i in range(3):
        total = total + form[i][i] * ops.lift(h[i] * h[i])
        for j in range(i):
            total = total + (form[i][j] + form[j][i]) * ops.lift(h[i] * h[j])
    return total


def _not_zero(grid: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """1, and 0 at the index 0 0 0."""
    zero = [axis == 0 for axis in grid]
    return 1.0 - np.multiply.outer(np.multiply.outer(zero[0], zero[1]), zero[2])


def _extended(found: Amplitudes, has_table: bool, reach: tuple[int, int, int], ops: Ops) -> Amplitudes:
    """A table that holds every index of an image, default_F where the one that there is does not."""
    n = found.f_table.shape if has_table else (0, 0, 0)
    first = [min(low, -most) if has_table else -most for low, most in zip(found.hkl_min, reach, strict=True)]
    last = [
        max(low + count - 1, most) if has_table else most
        for low, count, most in zip(found.hkl_min, n, reach, strict=True)
    ]
    shape = [high - low + 1 for low, high in zip(first, last, strict=True)]
    if math.prod(shape) > _LARGEST:
        raise ConfigError(
            "crystal.displacement", f"with default_F for {' x '.join(map(str, shape))} indices",
            "needs a table of all reflections of the image, which is too large", "give structure factors, and default_F = 0",
        )  # fmt: skip
    outside = np.ones(shape)
    if not has_table:
        return Amplitudes(found.default_F * ops.lift(outside), (first[0], first[1], first[2]), found.default_F)
    before = [low - begin for low, begin in zip(found.hkl_min, first, strict=True)]
    after = [size - b - count for size, b, count in zip(shape, before, n, strict=True)]
    outside[tuple(slice(b, b + count) for b, count in zip(before, n, strict=True))] = 0.0
    if is_tensor(found.f_table):
        from torch.nn.functional import pad

        sides = [side for b, a in zip(reversed(before), reversed(after), strict=True) for side in (b, a)]
        inner = pad(found.f_table, sides)
        filled = inner + (found.default_F * ops.lift(outside)).to(inner)
    else:
        filled = np.pad(found.f_table, list(zip(before, after, strict=True))) + found.default_F * outside
    return Amplitudes(filled, (first[0], first[1], first[2]), found.default_F)


def largest_indices(decided: Decided) -> tuple[int, int, int]:
    """Not below any |h|, |k|, |l| of the image of a decided experiment."""
    slack = 1 + 6 * detached(decided.experiment.crystal.mosaic.strain)
    longest = longest_scattering_vector(decided)
    h, k, m = (math.ceil(length * longest * slack) + 1 for length in decided.cell.lengths)
    return h, k, m


def longest_scattering_vector(decided: Decided) -> float:
    """|q| at the corners of the detector [1/m]; twice the wavenumber where it is curved or reaches behind the sample.

    Raises
    ------
    ConfigError
        For a source whose wavelength is 0.
    """
    experiment, place = decided.experiment, decided.placement
    detector = experiment.detector
    sources = source_list(experiment, place, FLOAT_OPS)
    fast, slow, pix0 = (np.array(v) for v in (place.fast, place.slow, place.pix0))
    across, down = detector.n_fast * place.pixel_size[0] * fast, detector.n_slow * place.pixel_size[1] * slow
    corners = [pix0 + f * across + s * down for f in (0, 1) for s in (0, 1)]
    longest = 0.0
    for position, wavelength in zip(sources.position, sources.wavelength, strict=True):
        if wavelength == 0:
            raise ConfigError(
                "beam.wavelength_angstrom", 0.0, "of one of the sources cannot scatter", "narrow the dispersion"
            )
        incident = -np.array(position) / np.linalg.norm(position)
        for corner in corners:
            direction = corner / np.linalg.norm(corner)
            # the angle on a plane is largest at a corner, as long as it is below 90 degrees
            behind = detector.curved or direction @ incident < 0
            longest = max(longest, (2.0 if behind else float(np.linalg.norm(direction - incident))) / float(wavelength))
    return longest
