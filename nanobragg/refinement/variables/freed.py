"""Structure factors among what is refined: one amplitude for each set of symmetry mates that the shoeboxes tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, float_array, is_tensor
from nanobragg.config import Experiment
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.scene import Scene
from nanobragg.errors import ConfigError
from nanobragg.io.reflections.symmetry import codes
from nanobragg.io.space_groups import laue_rotations
from nanobragg.lazy import dataclass
from nanobragg.refinement.variables.parameters import Parameters, Prior

Array = NDArray[np.float64]
AMPLITUDES = "crystal.structure_factors"
"""The path under which they are refined."""
SIGMA = 0.5
"""Standard deviation of ln(F/F_start) where no prior is said."""
LOG_STEP = 0.01
"""Of ln(F/F_start) for one step of the solver's variable."""
_BORDER = 2
"""Indices around those of the shoeboxes that the table holds too."""


@dataclass(frozen=True, eq=False)
class FreedAmplitudes:
    """The sets of symmetry mates, Friedel mates included, that are refined."""

    table: StructureFactors
    """those of the start, for all indices around the shoeboxes"""
    group: NDArray[np.int64]
    """(n_h, n_k, n_l) the set that each index of the table belongs to, -1 where it is held"""
    hkl: NDArray[np.int64]
    """(n, 3) one index of each set"""
    first: int = 0
    """variables of the solver before those of the amplitudes"""

    def factors(self, x: Array) -> Array:
        """(n_h, n_k, n_l) what the table is multiplied by."""
        return np.asarray(np.append(np.exp(LOG_STEP * x[self.first :]), 1.0)[self.group])

    def along(self, f_table: Array) -> Array:
        """(1, n_h, n_k, n_l) how a table changes with one step of all variables together."""
        return np.asarray(np.where(self.group >= 0, LOG_STEP * f_table, 0.0)[None])

    def columns(self, hkl: NDArray[Any]) -> NDArray[np.int64]:
        """(n,) the variables of reflections, -1 where they are held."""
        place = hkl - np.array(self.table.hkl_min)
        inside = ((place >= 0) & (place < self.group.shape)).all(1)
        group = np.full(len(hkl), -1)
        group[inside] = self.group[tuple(place[inside].T)]
        return np.where(group >= 0, group + self.first, -1)

    @cached_property
    def entries(self) -> NDArray[np.int64]:
        """Places in the flattened table of what is not held, ascending."""
        return np.flatnonzero(self.group >= 0)

    def by_variable(self, by_factor: Array) -> Array:
        """(n,) a gradient by the logarithms of the `entries`, as one by the variables."""
        sums = np.bincount(self.group.ravel()[self.entries], by_factor, len(self.hkl))
        return np.asarray(LOG_STEP * sums, np.float64)


class FreedParameters:
    """As `Parameters`, with amplitudes of structure factors behind the other variables; at first there are none of them.

    Parameters
    ----------
    experiment, refine, bounds, priors
        As for `Parameters`, of what else is refined. A prior of ``crystal.structure_factors`` is that of ln(F/F_start).
    hkl : (n, 3) array, optional
        Reflections whose amplitudes are refined.
    """

    def __init__(
        self, experiment: Experiment, refine: Sequence[str], *, bounds: Mapping[str, Any] | None = None,
        priors: Mapping[str, Any] | None = None, hkl: NDArray[Any] | None = None,
    ) -> None:  # fmt: skip
        factors = experiment.crystal.structure_factors
        if factors.energy_ev is not None:
            raise ConfigError(f"{AMPLITUDES}.energy_ev", "tables", "of several energies are not refined", "give one")
        self._made = experiment, list(refine), bounds, priors
        others = dict(priors or {})
        self._center, self._sigma = others.pop(AMPLITUDES, (0.0, SIGMA))
        if not self._sigma > 0:
            raise ConfigError("priors", self._sigma, f"the standard deviation of {AMPLITUDES} must be > 0")
        self.freed = amplitudes_of(experiment, np.zeros((0, 3), np.int64) if hkl is None else hkl)
        self.start = experiment.replace(AMPLITUDES, self.freed.table)
        self.base = Parameters(self.start, refine, bounds=bounds, priors=others)
        self.freed = replace(self.freed, first=self.base.size)
        self.size = self.base.size + len(self.freed.hkl)
        own = [f"{AMPLITUDES}[{h},{k},{index}]" for h, k, index in self.freed.hkl.tolist()]
        self.names, self.units = [*self.base.names, *own], [*self.base.units, *["electrons"] * len(own)]

    def including(self, hkl: NDArray[Any]) -> FreedParameters:
        """The same with the amplitudes of further reflections."""
        experiment, refine, bounds, priors = self._made
        return FreedParameters(
            experiment, refine, bounds=bounds, priors=priors, hkl=np.concatenate([self.freed.hkl, hkl])
        )

    def carried(self, x: Array, source: FreedParameters) -> Array:
        """Variables of others with fewer amplitudes, as these have them."""
        values = dict(zip(source.names, x.tolist(), strict=True))
        return np.array([values.get(name, 0.0) for name in self.names])

    # --- as those of `Parameters` ------------------------------------------------------------------------------------

    @property
    def priors(self) -> list[Prior]:
        """See `Parameters.priors`: of the other variables."""
        return self.base.priors

    @property
    def n_domains(self) -> int:
        """See `Parameters.n_domains`."""
        return self.base.n_domains

    @property
    def evened(self) -> bool:
        """See `Parameters.evened`."""
        return self.base.evened

    @property
    def given_domains(self) -> bool:
        """See `Parameters.given_domains`."""
        return self.base.given_domains

    def values(self, x: Array) -> Array:
        """See `Parameters.values`; amplitudes [electrons]."""
        n = self.base.size
        return np.concatenate([self.base.values(x[:n]), self._at_start * np.exp(LOG_STEP * x[n:])])

    @property
    def _at_start(self) -> Array:
        table = self.freed.table
        return np.asarray(np.asarray(table.amplitude)[tuple((self.freed.hkl - table.hkl_min).T)])

    def slopes(self, x: Array) -> Array:
        """See `Parameters.slopes`."""
        n, found = self.base.size, np.diag(LOG_STEP * self.values(x))
        found[:n, :n] = self.base.slopes(x[:n])
        return found

    def prior(self, x: Array) -> Array:
        """See `Parameters.prior`."""
        n = self.base.size
        return np.concatenate([self.base.prior(x[:n]), (LOG_STEP * x[n:] - self._center) / self._sigma])

    def prior_slopes(self, x: Array) -> Array:
        """See `Parameters.prior_slopes`."""
        n = self.base.size
        own = self.base.prior_slopes(x[:n])
        found = np.zeros((len(own) + self.size - n, self.size))
        found[: len(own), :n] = own
        found[len(own) :, n:] = np.eye(self.size - n) * LOG_STEP / self._sigma
        return found

    def turn_slopes(self) -> Array:
        """See `Parameters.turn_slopes`."""
        return np.pad(self.base.turn_slopes(), ((0, 0), (0, self.size - self.base.size)))

    def experiment(self, x: Array) -> Experiment:
        """See `Parameters.experiment`."""
        table = self.freed.table
        refined = replace(table, amplitude=np.asarray(table.amplitude) * self.freed.factors(x))
        return self.base.experiment(x[: self.base.size]).replace(AMPLITUDES, refined)

    def stacks(self, x: Array, draw: int = 0) -> list[list[Scene]]:
        """See `Parameters.stacks`."""
        stacks = self.base.stacks(x[: self.base.size], draw)
        if not len(self.freed.hkl):
            return stacks
        factors = self.freed.factors(x)
        return [[replace(scene, f_table=scene.f_table * factors) for scene in panel] for panel in stacks]

    def tangents(self, x: Array, draw: int = 0, like: Any = None) -> list[list[dict[str, Array]]]:
        """See `Parameters.tangents`: of the other variables, which come first."""
        return self.base.tangents(x[: self.base.size], draw, like)

    def with_domains(self, count: int) -> FreedParameters:
        """See `Parameters.with_domains`."""
        other = copy(self)
        other.base = self.base.with_domains(count)
        return other

    def with_draws_from(self, first: int) -> FreedParameters:
        """See `Parameters.with_draws_from`."""
        other = copy(self)
        other.base = self.base.with_draws_from(first)
        return other


def amplitudes_of(experiment: Experiment, hkl: NDArray[Any]) -> FreedAmplitudes:
    """The sets of symmetry mates of reflections, by the Laue group of ``crystal.space_group``; none: Friedel mates alone.

    A reflection whose amplitude is 0 at the start is held.
    """
    own: StructureFactors = experiment.crystal.structure_factors
    if is_tensor(own.amplitude):
        own = replace(own, amplitude=float_array(own.amplitude, AMPLITUDES))
    if not len(hkl):
        return FreedAmplitudes(own, np.full(own.amplitude.shape, -1), np.zeros((0, 3), np.int64))
    group = experiment.crystal.space_group
    rotations = [np.eye(3, dtype=np.int64)] if group is None else [np.array(r) for r in laue_rotations(group)]
    turned = np.array([hkl @ rotation for rotation in rotations], dtype=np.int64)
    mates = np.concatenate([turned, -turned])
    number = np.array([codes(mate) for mate in mates])
    _, first = np.unique(number.max(0), return_index=True)
    mates, number = mates[:, first], number[:, first]
    table = _table(own, mates.reshape(-1, 3))
    one = mates[number.argmax(0), np.arange(len(first))]
    present = np.asarray(table.amplitude)[tuple((one - table.hkl_min).T)] != 0
    found = np.full(table.amplitude.shape, -1)
    found[tuple(np.moveaxis(mates[:, present] - table.hkl_min, -1, 0))] = np.arange(present.sum())
    return FreedAmplitudes(table, found, one[present])


def _table(factors: StructureFactors, hkl: NDArray[np.int64]) -> StructureFactors:
    """The structure factors as a table of all indices around some."""
    low, high = hkl.min(0) - _BORDER, hkl.max(0) + _BORDER
    there = factors.amplitude.size > 0
    if there:
        low = np.minimum(low, factors.hkl_min)
        high = np.maximum(high, np.add(factors.hkl_min, factors.amplitude.shape) - 1)
    amplitude = np.full(high - low + 1, float(detached(factors.default_F)))
    if there:
        begin = np.subtract(factors.hkl_min, low)
        place = tuple(slice(b, b + n) for b, n in zip(begin, factors.amplitude.shape, strict=True))
        amplitude[place] = factors.amplitude
    return replace(factors, amplitude=amplitude, hkl_min=(int(low[0]), int(low[1]), int(low[2])), n_reflections=None)
