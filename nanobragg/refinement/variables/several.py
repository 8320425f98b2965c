"""What is refined of an image with several crystals: the variables of each, then those that they have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.scene import Scene
from nanobragg.errors import ConfigError
from nanobragg.refinement.variables.freed import AMPLITUDES, FreedParameters
from nanobragg.refinement.variables.parameters import Parameters, Prior, differences, of_priors, slopes_of_priors

Array = NDArray[np.float64]
_OWN = r"crystal\[(\d+)\]\.(.+)"


def variables_of(
    experiment: Experiment, refine: Sequence[str], *, bounds: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
) -> Parameters | CrystalsParameters | FreedParameters:  # fmt: skip
    """The variables of an image's refinement; arguments as those of `Parameters`.

    Of several crystals every path into one says which: ``crystal[1].misset_deg``.

    Raises
    ------
    ConfigError
        As `Parameters`, and for an empty list.
    """
    if isinstance(refine, str) or not refine:
        raise ConfigError("refine", refine, "must be a list of paths", "for example ['crystal.misset_deg']")
    if AMPLITUDES in refine and not lattices.several(experiment):
        others = [path for path in refine if path != AMPLITUDES]
        return FreedParameters(experiment, others, bounds=bounds, priors=priors)
    kind = CrystalsParameters if lattices.several(experiment) else Parameters
    return kind(experiment, refine, bounds=bounds, priors=priors)


class CrystalsParameters:
    """As `Parameters`, for several crystals."""

    freed = None

    def __init__(
        self, experiment: Experiment, refine: Sequence[str], *, bounds: Mapping[str, Any] | None = None,
        priors: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.start = experiment
        each = lattices.experiments(experiment)
        n = len(each)
        own, common = _sorted(list(refine), n)
        limits, weights = ([_of_crystal(dict(table or {}), i) for i in range(n)] for table in (bounds, priors))
        self.alone = [Parameters(e, paths, bounds=b) for e, paths, b in zip(each, own, limits, strict=True)]
        """of the crystals' own variables"""
        names = [{path for path in p.names} for p in self.alone]
        self.parts = [
            Parameters(e, [*paths, *common], bounds=b, priors={k: v for k, v in w.items() if i == 0 or k in names[i]})
            for i, (e, paths, b, w) in enumerate(zip(each, own, limits, weights, strict=True))
        ]
        starts = np.cumsum([0, *(p.size for p in self.alone)]).tolist()
        n_common = self.parts[0].size - self.alone[0].size
        self.size = starts[-1] + n_common
        shared = list(range(starts[-1], self.size))
        self.members = [np.array([*range(a, b), *shared], np.int64) for a, b in pairwise(starts)]
        """of every crystal, which of all variables are its"""
        self.names, self.units = [""] * self.size, [""] * self.size
        self.priors: list[Prior] = []
        for i, (part, mine) in enumerate(zip(self.parts, self.members, strict=True)):
            for k, name, unit in zip(mine, part.names, part.units, strict=True):
                self.names[k], self.units[k] = re.sub(r"^crystal\.", f"crystal[{i}].", name), unit
            self.priors += [replace(prior, index=int(mine[prior.index])) for prior in part.priors]

    def values(self, x: Array) -> Array:
        """See `Parameters.values`."""
        found = np.zeros(self.size)
        for part, mine in zip(self.parts, self.members, strict=True):
            found[mine] = part.values(x[mine])
        return found

    def slopes(self, x: Array) -> Array:
        """See `Parameters.slopes`."""
        return differences(self.values, x, np.array(["misset_deg" in name for name in self.names]))

    def prior(self, x: Array) -> Array:
        """See `Parameters.prior`."""
        return of_priors(self, x)

    def prior_slopes(self, x: Array) -> Array:
        """See `Parameters.prior_slopes`."""
        return slopes_of_priors(self, x)

    def turn_slopes(self) -> Array:
        """See `Parameters.turn_slopes`; of the first crystal."""
        rows = np.zeros((3, self.size))
        rows[:, self.members[0]] = self.parts[0].turn_slopes()
        return rows

    def experiment(self, x: Array) -> Experiment:
        """See `Parameters.experiment`."""
        found = [part.experiment(x[mine]) for part, mine in zip(self.parts, self.members, strict=True)]
        return found[0].replace(crystal=tuple(one.crystal for one in found))

    @property
    def n_domains(self) -> int:
        """Most mosaic domains of a crystal."""
        return max(part.n_domains for part in self.parts)

    @property
    def given_domains(self) -> bool:
        """Whether the domains of every crystal are given one by one."""
        return all(part.given_domains for part in self.parts)

    @property
    def evened(self) -> bool:
        """See `Parameters.evened`."""
        return all(part.evened or part.n_domains == 1 for part in self.parts)

    def stacks(self, x: Array, draw: int = 0) -> list[list[Scene]]:
        """See `Parameters.stacks`; the background is that of the first crystal."""
        each = [part.stacks(x[mine], draw) for part, mine in zip(self.parts, self.members, strict=True)]
        of_crystals = [[scene for panel in one for scene in panel] for one in each]
        found = lattices.with_one_background(of_crystals)
        whole: list[list[Scene]] = [[] for _ in each[0]]
        for one, scenes in zip(each, found, strict=True):
            left = iter(scenes)
            for panel, own in zip(whole, one, strict=True):
                panel += [next(left) for _ in own]
        return whole

    def tangents(self, x: Array, draw: int = 0, like: Any = None) -> list[list[dict[str, Array]]]:
        """See `Parameters.tangents`; all of them anew."""
        whole: list[list[dict[str, Array]]] = []
        for i, (part, mine) in enumerate(zip(self.parts, self.members, strict=True)):
            for number, panel in enumerate(part.tangents(x[mine], draw)):
                if i == 0:
                    whole.append([])
                whole[number] += [self._among_all(fields, mine, i) for fields in panel]
        return whole

    def _among_all(self, fields: dict[str, Array], mine: NDArray[np.int64], crystal: int) -> dict[str, Array]:
        found = {}
        for name, rows in fields.items():
            if name == "background" and crystal:
                continue
            found[name] = np.zeros((self.size, *rows.shape[1:]))
            found[name][mine] = rows
        return found

    def with_domains(self, count: int) -> CrystalsParameters:
        """See `Parameters.with_domains`."""
        other = copy(self)
        other.parts = [
            part if part.given_domains or part.n_domains == 1 else part.with_domains(count) for part in self.parts
        ]
        return other

    def with_draws_from(self, first: int) -> CrystalsParameters:
        """See `Parameters.with_draws_from`."""
        other = copy(self)
        other.parts = [part.with_draws_from(first) for part in self.parts]
        return other


def _sorted(refine: list[str], n: int) -> tuple[list[list[str]], list[str]]:
    """Paths of each crystal, and the others."""
    own: list[list[str]] = [[] for _ in range(n)]
    common = []
    for path in refine:
        match = re.fullmatch(_OWN, path)
        if match is None and path.startswith("crystal"):
            raise ConfigError("refine", path, f"does not say which of {n} crystals", "write crystal[0]...")
        if match is None:
            common.append(path)
        elif int(match[1]) < n:
            own[int(match[1])].append(f"crystal.{match[2]}")
        else:
            raise ConfigError("refine", path, f"has an index that must be below {n}")
    return own, common


def _of_crystal(table: dict[str, Any], i: int) -> dict[str, Any]:
    """Values by path, as one crystal's own experiment knows them."""
    found = {}
    for path, value in table.items():
        match = re.fullmatch(_OWN, path)
        if match is None:
            found[path] = value
        elif int(match[1]) == i:
            found[f"crystal.{match[2]}"] = value
    return found
