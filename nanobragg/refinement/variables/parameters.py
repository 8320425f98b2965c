"""What is refined: from paths to the variables of a solver, and from variables to experiments and Scenes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Experiment, Mosaic, UnitCell
from nanobragg.derivation import panels
from nanobragg.derivation.crystals.cell_ties import EDGES_AND_ANGLES
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import Derivation, derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import CONTINUOUS, Scene
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass
from nanobragg.refinement.variables.crystals import Lattice
from nanobragg.refinement.variables.panel_groups import group_scalars, is_group, placed
from nanobragg.refinement.variables.scalars import Scalar, scalars

Array = NDArray[np.float64]
_MISSET, _CELL = "crystal.misset_deg", "crystal.unit_cell"
_TURN_STEP = 0.01
"""Of the solver's variables for the rotation [degrees]."""
_DIFFERENCE = 1e-3
"""Step of the central differences of the derivation, in solver's variables: errors of 1e-9 from rounding, 1e-8 from curvature."""

_SEEDS = 2**32
_ALIKE = 1e-5
"""Of a slope: how well one matrix must move all domains."""
_MOST_DERIVED = 4
"""Derivations of a panel that are kept."""
_FIRST = (slice(0, 1), slice(0, 1))
"""Region that stands for all pixels, which are chosen later."""


@dataclass(frozen=True)
class Prior:
    """Center and standard deviation of a value."""

    index: int
    center: float
    sigma: float


class Parameters:
    """The variables of one image's refinement.

    Parameters
    ----------
    experiment : Experiment
        The start.
    refine : sequence of str
        Paths of differentiable fields: ``crystal.misset_deg`` (a rotation of the crystal, whatever holds its orientation),
        ``crystal.unit_cell`` (the free elements of its crystal system) or one element of it, and any number or vector.
    bounds, priors : mapping, optional
        (lowest, highest), and (center, sigma), by path.

    Raises
    ------
    ConfigError
        For a path that cannot be refined, a path twice, bounds that exclude the start.
    """

    freed = None
    """amplitudes among the variables: those of `FreedParameters`"""

    def __init__(
        self, experiment: Experiment, refine: Sequence[str], *, bounds: Mapping[str, Any] | None = None,
        priors: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        if len(set(refine)) < len(refine):
            raise ConfigError("refine", list(refine), "names a path twice")
        self.start = experiment
        self.first_draw = 0
        self.lattice = Lattice(experiment)
        self.turns = _MISSET in refine
        for path in refine:
            if path.startswith(f"{_MISSET}["):
                raise ConfigError("refine", path, "is refined as a whole", f"write {_MISSET}")
        cells = [path for path in refine if path == _CELL or path.startswith(f"{_CELL}.")]
        self._cell_groups = self._free_cell(cells)
        others = [path for path in refine if path != _MISSET and path not in cells]
        self.scalars: list[Scalar] = [
            Scalar(f"{_CELL}.{EDGES_AND_ANGLES[group[0]]}", "Angstrom" if group[0] < 3 else "degrees",
                   self.lattice.cell[group[0]], 1e-4 * self.lattice.cell[group[0]] if group[0] < 3 else 0.01)
            for group in self._cell_groups
        ]  # fmt: skip
        for path in others:
            self.scalars += group_scalars(experiment, path) if is_group(path) else scalars(experiment, path, bounds)
        self.names = [f"{_MISSET}[{i}]" for i in range(3 * self.turns)] + [s.path for s in self.scalars]
        self.units = ["degrees"] * (3 * self.turns) + [s.unit for s in self.scalars]
        self.size = len(self.names)
        self.priors = self._priors(priors or {})
        self._moves_crystal = self.turns or bool(self._cell_groups)
        parts = panels.experiments(self._with_matrix(experiment) if self._moves_crystal else experiment)
        self._decided = [resolve(_unmasked(part)) for part in parts]
        self._derived: dict[int, dict[Any, tuple[Decided, Derivation]]] = {}

    def _free_cell(self, cells: list[str]) -> list[tuple[int, ...]]:
        if not cells:
            return []
        if _CELL in cells:
            return list(self.lattice.free)
        found = []
        for path in cells:
            name = path.removeprefix(f"{_CELL}.")
            if name not in EDGES_AND_ANGLES:
                raise ConfigError(
                    "refine", path, "is no element of the unit cell", f"one of {', '.join(EDGES_AND_ANGLES)}"
                )
            group = next((g for g in self.lattice.free if EDGES_AND_ANGLES.index(name) in g), None)
            if group is None:
                raise ConfigError("refine", path, f"is fixed by the crystal system, {self.lattice.system}")
            if group not in found:
                found.append(group)
        return found

    def _priors(self, priors: Mapping[str, Any]) -> list[Prior]:
        found = []
        for path, (center, sigma) in priors.items():
            if path not in self.names or path.startswith(_MISSET):
                raise ConfigError(
                    "priors", path, "is no refined number", f"one of {', '.join(self.names[3 * self.turns :])}"
                )
            if not sigma > 0:
                raise ConfigError("priors", sigma, f"the standard deviation of {path} must be > 0")
            found.append(Prior(self.names.index(path), float(center), float(sigma)))
        return found

    @staticmethod
    def _with_matrix(experiment: Experiment) -> Experiment:
        """The experiment with its orientation as a matrix, so that cell and rotation move it alike."""
        own = resolve(panels.experiments(experiment)[0]).cell
        rows = np.array([own.a_star, own.b_star, own.c_star])
        return (
            experiment.replace("crystal.a_star_matrix", rows).replace("crystal.unit_cell", None)
            .replace(_MISSET, (0.0, 0.0, 0.0))
        )  # fmt: skip

    def prior(self, x: Array) -> Array:
        """(n,) deviations from the priors over their standard deviations."""
        return of_priors(self, x)

    def prior_slopes(self, x: Array) -> Array:
        """(n, size): derivative of `prior` by the variables."""
        return slopes_of_priors(self, x)

    # --- from variables to values ------------------------------------------------------------------------------------

    def _split(self, x: Array) -> tuple[Array, tuple[float, ...], dict[str, float]]:
        """Rotation vector, cell and the other values."""
        turn = x[:3] * _TURN_STEP if self.turns else np.zeros(3)
        values = [s.value(float(v)) for s, v in zip(self.scalars, x[3 * self.turns :], strict=True)]
        cell = list(self.lattice.cell)
        for value, group in zip(values, self._cell_groups, strict=False):
            for i in group:
                cell[i] = value
        n = len(self._cell_groups)
        return turn, tuple(cell), {s.path: v for s, v in zip(self.scalars[n:], values[n:], strict=True)}

    def values(self, x: Array) -> Array:
        """(size,) the refined numbers in their own units, in the order of `names`."""
        turn, cell, others = self._split(x)
        misset = self.lattice.misset(turn) if self.turns else ()
        return np.array([*misset, *(cell[group[0]] for group in self._cell_groups), *others.values()])

    def slopes(self, x: Array) -> Array:
        """(size, size): derivative of `values` by the variables; angles of full turns do not jump."""
        return differences(self.values, x, np.arange(self.size) < 3 * self.turns)

    def turn_slopes(self) -> Array:
        """(3, size): derivative of the rotation about the laboratory's axes [degrees] by the variables."""
        rows = np.zeros((3, self.size))
        if self.turns:
            rows[:, :3] = np.eye(3) * _TURN_STEP
        return rows

    def experiment(self, x: Array) -> Experiment:
        """The experiment, in the form of the start: cell and angles, or a matrix."""
        turn, cell, others = self._split(x)
        found = self.start
        if self._moves_crystal:
            if self.lattice.named:
                found = found.replace(_MISSET, self.lattice.misset(turn))
                if self._cell_groups:
                    found = found.replace("crystal.unit_cell", UnitCell(*cell))
            else:
                found = found.replace("crystal.a_star_matrix", self.lattice.matrix(turn, cell))
                found = found.replace(_MISSET, (0.0, 0.0, 0.0))
                if found.crystal.unit_cell is not None:
                    found = found.replace("crystal.unit_cell", UnitCell(*cell))
        for path, value in placed(self.start, others).items():
            found = found.replace(path, value)
        return found

    @property
    def n_domains(self) -> int:
        """Mosaic domains of the model."""
        return self._decided[0].experiment.crystal.mosaic.n_domains or 1

    @property
    def given_domains(self) -> bool:
        """Whether the domains are given one by one, so that there are neither more of them nor others."""
        return self._decided[0].experiment.crystal.mosaic.model == "given"

    @property
    def evened(self) -> bool:
        """Whether few domains are moved apart until they are as even as they can be, which no random draws are."""
        return self._decided[0].experiment.crystal.mosaic.model not in ("given", "cap")

    def derivations(self, x: Array, draw: int = 0) -> list[Derivation]:
        """One for each panel, of its first pixel; see `of_pixels`. `draw` numbers draws of the mosaic domains."""
        turn, cell, others = self._split(x)
        values = placed(self.start, others)
        if self._moves_crystal:
            values["crystal.a_star_matrix"] = self.lattice.matrix(turn, cell)
        number = self.first_draw + draw
        if number and self.n_domains > 1 and not self.given_domains:
            values["crystal.mosaic.seed"] = (self.start.crystal.mosaic.seed + number) % _SEEDS
        if not isinstance(self.start.detector, tuple):
            return [derivation(self._decided[0].with_values(values), roi=_FIRST)]
        own = panels.values_by_panel(values, len(self._decided))
        return [self._of_panel(i, v) for i, v in enumerate(own)]

    def _of_panel(self, i: int, values: dict[str, Any]) -> Derivation:
        """The derivation of a panel; the last few are kept, because most variables move other panels."""
        part = self._decided[i]
        key = (id(part), *((name, np.asarray(value).tobytes()) for name, value in values.items()))
        found = self._derived.setdefault(i, {})
        if key not in found:
            if len(found) >= _MOST_DERIVED:
                del found[next(iter(found))]
            found[key] = part, derivation(part.with_values(values), roi=_FIRST)
        return found[key][1]

    def scenes(self, x: Array, draw: int = 0) -> list[Scene]:
        """One for each panel."""
        return [found.scene for found in self.derivations(x, draw)]

    def stacks(self, x: Array, draw: int = 0) -> list[list[Scene]]:
        """For each panel the scenes whose photons add up: one, or one for each size of the blocks."""
        return [list(found.scenes) for found in self.derivations(x, draw)]

    def with_one_domain(self) -> Parameters:
        """The same variables for a crystal without mosaic domains, for what depends on the mean orientation alone."""
        other = copy(self)
        own = self.start.crystal.mosaic
        still = Mosaic(model=own.model, spread_deg=(0.0,) * 3) if isinstance(own.spread_deg, tuple) else Mosaic()
        single = [part.experiment.replace("crystal.mosaic", still) for part in self._decided]
        other._decided = [resolve(part) for part in single]
        return other

    def with_domains(self, count: int) -> Parameters:
        """The same variables for a crystal with more mosaic domains."""
        other = copy(self)
        other._decided = [resolve(part.experiment.replace("crystal.mosaic.n_domains", count)) for part in self._decided]
        return other

    def with_draws_from(self, first: int) -> Parameters:
        """The same variables with mosaic domains of other draws: `first` is the number of what was draw 0."""
        other = copy(self)
        other.first_draw = first
        return other

    def tangents(
        self, x: Array, draw: int = 0, like: list[list[dict[str, Array]]] | None = None
    ) -> list[list[dict[str, Array]]]:
        """Derivatives of the fields of the scenes in `stacks` by the variables, shape (size, *field), by central differences.

        `like`: those of another draw of the domains, from which only variables that turn the domains differ.
        """
        stacks = self.stacks(x, draw)
        found: list[list[dict[str, Array]]] = [[{} for _ in panel] for panel in stacks]
        turning: Any = range(self.size)
        if like is not None:
            found = [[dict(fields) for fields in panel] for panel in like]
            turning = self._carried_over(stacks, self.stacks(x), found)
        for k in turning:
            step = np.zeros(self.size)
            step[k] = _DIFFERENCE
            for own, ups, downs in zip(found, self.stacks(x + step, draw), self.stacks(x - step, draw), strict=True):
                for fields, up, down in zip(own, ups, downs, strict=True):
                    for name, slope in _slopes(up, down):
                        fields.setdefault(name, np.zeros((self.size, *slope.shape)))[k] = slope
        return found

    def _carried_over(
        self, stacks: list[list[Scene]], others: list[list[Scene]], found: list[list[dict[str, Array]]]
    ) -> list[int]:
        """Take over how variables move another draw's domains, where one matrix moves them all; gives the other variables.

        A turn of the crystal multiplies the axes of a domain on the right, a change of its cell on the left.
        """
        left = set[int]()
        for scenes, of, panel in zip(stacks, others, found, strict=True):
            for scene, other, fields in zip(scenes, of, panel, strict=True):
                if "orientations" not in fields:
                    continue
                axes, before, slopes = scene.orientations, other.orientations, fields["orientations"]
                fields["orientations"] = slopes.copy()
                inverse = np.linalg.inv(before[0, 0])
                for k in range(self.size):
                    by_right, by_left = inverse @ slopes[k][0, 0], slopes[k][0, 0] @ inverse
                    limit = _ALIKE * np.abs(slopes[k]).max()
                    if np.abs(before @ by_right - slopes[k]).max() <= limit:
                        fields["orientations"][k] = axes @ by_right
                    elif np.abs(by_left @ before - slopes[k]).max() <= limit:
                        fields["orientations"][k] = by_left @ axes
                    else:
                        left.add(k)
        return sorted(left)


def _slopes(up: Scene, down: Scene) -> Iterator[tuple[str, Array]]:
    """The fields of a scene that change between two places, and how much for one step of a variable."""
    for name in CONTINUOUS:
        high, low = getattr(up, name), getattr(down, name)
        if name == "f_table" or high is low:
            continue
        slope = (np.asarray(high) - np.asarray(low)) / (2 * _DIFFERENCE)
        if slope.any():
            yield name, slope


def differences(values: Callable[[Array], Array], x: Array, angles: NDArray[np.bool_]) -> Array:
    """(n, n): derivative of values by the variables, by central differences; angles of full turns do not jump."""
    columns = []
    for step in np.eye(len(x)) * _DIFFERENCE:
        change = values(x + step) - values(x - step)
        change[angles] = (change[angles] + 180) % 360 - 180
        columns.append(change / (2 * _DIFFERENCE))
    return np.array(columns).T


def of_priors(variables: Any, x: Array) -> Array:
    """See `Parameters.prior`."""
    values = variables.values(x) if variables.priors else np.zeros(0)
    return np.array([(values[p.index] - p.center) / p.sigma for p in variables.priors])


def slopes_of_priors(variables: Any, x: Array) -> Array:
    """See `Parameters.prior_slopes`."""
    slopes = variables.slopes(x) if variables.priors else np.zeros(0)
    return np.array([slopes[p.index] / p.sigma for p in variables.priors]).reshape(-1, variables.size)


def few_domains(experiment: Experiment, count: int) -> Experiment:
    """The experiment with at most so many mosaic domains in each crystal."""
    crystals: Any = experiment.crystal
    several = isinstance(crystals, tuple)
    found = []
    for crystal in crystals if several else (crystals,):
        mosaic, own = crystal.mosaic, crystal.mosaic.n_domains
        fewer = mosaic.model == "given" or own is None or own <= count
        found.append(crystal if fewer else replace(crystal, mosaic=replace(mosaic, n_domains=count)))
    return experiment.replace(crystal=tuple(found) if several else found[0])


def _unmasked(experiment: Experiment) -> Experiment:
    """The experiment without mask and region: which pixels count is the data's affair."""
    found = experiment if experiment.sampling.roi is None else experiment.replace("sampling.roi", None)
    return found if found.detector.mask is None else found.replace("detector.mask", None)


def of_pixels(scene: Scene, pixels: NDArray[np.int64]) -> Scene:
    """The scene of some pixels of a panel, flat indices in ascending order."""
    return replace(scene, pixels=pixels, interpolation_off=(len(pixels), 0))


def group_of(path: str) -> str:
    """The path without the index of an element."""
    return re.sub(r"\[\d+\]$", "", path)


def fluence_path(experiment: Experiment) -> str:
    """The path of the number that scales the image."""
    flux = experiment.beam.flux_per_s
    return "beam.flux_per_s" if flux is not None and detached(flux) != 0 else "beam.fluence_per_m2"
