"""The experiment of a frame: what is drawn for it, put into the recipe's experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nanobragg.arrays import detached, elements
from nanobragg.config import Background, Crystal, Experiment, UnitCell
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import replaced
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.datasets.draws.mounting import pointed, wobbling
from nanobragg.datasets.draws.numbers import ALONG, MOST_TRIES, Distribution, Key, Place
from nanobragg.datasets.draws.turning import misset, of_misset, turn, uniform_turn
from nanobragg.datasets.draws.vary import Vary, current_value
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.derivation.crystals.unlike_cells import drawn_cell
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass
from nanobragg.streams import Purpose, Stream


@dataclass(frozen=True)
class Drawn:
    """What is drawn for a frame."""

    frame: int
    series: int
    index: int
    """image of the series, from 0"""
    kind: str
    """"hit", "background" or "empty\""""
    experiment: Experiment
    """with the frame's own values; what is not in the beam of a miss is still there"""
    nominal: Experiment
    """what the beamline knows: nothing but the start of a rotation differs from the recipe"""
    readout: Readout
    values: Mapping[str, Any]
    """what was drawn, by name; of what every lattice has its own, a tuple"""

    @property
    def crystals(self) -> tuple[Crystal, ...]:
        """In the beam, were it a hit."""
        return self.experiment.crystal if isinstance(self.experiment.crystal, tuple) else (self.experiment.crystal,)


def drawn(recipe: Recipe, frame: int) -> Drawn:
    """Draw everything that varies for one frame: a function of the recipe and the number alone.

    Raises
    ------
    ConfigError
        For a number that is no frame, and for draws that give nothing acceptable.
    """
    settings = recipe.settings
    if not 0 <= frame < settings.n_images:
        raise ConfigError("frame", frame, f"must be within 0 and {settings.n_images - 1}")
    return _Draws(recipe, frame).all()


class _Draws:
    def __init__(self, recipe: Recipe, frame: int) -> None:
        self.recipe, self.frame = recipe, frame
        self.vary: Vary = recipe.varied
        self.seed, length = recipe.settings.seed, recipe.settings.length
        self.series, self.index = divmod(frame, length)
        self.first = self.series * length
        self.length = min(length, recipe.settings.n_images - self.first)
        self.values: dict[str, Any] = {}

    def place(self, name: str, distribution: Distribution, per: str | None, lattice: int = 0) -> Place:
        """Where a distribution is asked: once a series, unless it says once a frame; stills drift as one series."""
        if distribution.kind in ALONG and self.recipe.settings.kind == "stills":
            whole = Key(self.seed, name, 0, lattice)
            return Place(whole, self.frame, self.frame, whole)
        own = per == "frame"
        return Place(
            Key(self.seed, name, self.frame if own else self.first, lattice), self.index, self.frame if own else self.series,
            Key(self.seed, name, self.first, lattice),
        )  # fmt: skip

    def ask(self, name: str, distribution: Distribution, lattice: int = 0) -> Any:
        return distribution.draw(self.place(name, distribution, distribution.per, lattice))[0]

    def all(self) -> Drawn:
        experiment, readout = self.along_series(self.recipe.experiment), self.recipe.readout
        nominal = experiment
        kind = "hit" if self.vary.frames is None else str(self.ask("frames", self.vary.frames))
        for path, distribution in self.vary.paths.items():
            if path.startswith("crystal."):
                continue
            if path.startswith("readout."):
                readout = self.put(path, distribution, readout, path[8:])
            else:
                experiment = self.put(path, distribution, experiment, path)
        experiment = self.with_pulse(experiment)
        if self.vary.pointing is not None:
            experiment = pointed(experiment, self.pair("pointing_urad", self.vary.pointing))
        if self.vary.wobble is not None:
            experiment = wobbling(experiment, self.pair("wobble_urad", self.vary.wobble))
        experiment = self.with_crystals(experiment)
        return Drawn(self.frame, self.series, self.index, kind, experiment, nominal, readout, self.values)

    def with_pulse(self, experiment: Experiment) -> Experiment:
        """Every frame has a pulse of its own, where the spectrum is one of pulses."""
        spectrum = experiment.beam.spectrum
        if spectrum is None or spectrum.kind != "sase":
            return experiment
        pulse = dataclasses.replace(spectrum, seed=self.seed, shot=self.frame)
        return experiment.replace("beam.spectrum", pulse)

    def along_series(self, experiment: Experiment) -> Experiment:
        """The image of the series, before anything is drawn: angle and dose."""
        if not self.index:
            return experiment
        goniometer = experiment.goniometer
        start = detached(goniometer.phi_start_deg) + self.index * detached(goniometer.osc_deg)
        experiment = experiment.replace("goniometer.phi_start_deg", start)
        several = isinstance(experiment.crystal, tuple)
        crystals = experiment.crystal if several else (experiment.crystal,)
        for i, crystal in enumerate(crystals):
            if crystal.damage.acts:
                dose = detached(crystal.damage.dose_mgy) + self.index * detached(crystal.damage.frame_dose_mgy)
                experiment = experiment.replace(
                    f"crystal[{i}].damage.dose_mgy" if several else "crystal.damage.dose_mgy", dose
                )
        return experiment

    def put(self, path: str, distribution: Distribution, node: Any, inner: str, lattice: int | None = None) -> Any:
        """The experiment or readout with a drawn value at a path of it."""

        def accepts(value: Any) -> Any:
            return replaced(node, inner, _combined(value, current, distribution.mode), {})

        current = current_value(inner, node, self.recipe.readout)
        value, changed = distribution.draw(self.place(path, distribution, distribution.per, lattice or 0), accepts)
        if lattice is None:
            self.values[path] = value
        else:
            self.values[path] = (*self.values.get(path, ()), value)
        return changed

    def pair(self, name: str, distribution: Distribution) -> np.ndarray:
        """Two angles [rad], drawn for every frame unless it says once a series."""
        per = distribution.per or "frame"
        found = [float(distribution.draw(self.place(f"{name}[{i}]", distribution, per))[0]) for i in (0, 1)]
        self.values[name] = tuple(found)
        return np.array(found) * 1e-6

    def with_crystals(self, experiment: Experiment) -> Experiment:
        """The lattices, each with draws of its own."""
        if isinstance(experiment.crystal, tuple):
            for path in self.vary.paths:
                if path.startswith("crystal."):
                    raise ConfigError(f"vary.{path}", "several crystals", "does not say which", "write crystal[0]....")
            return experiment
        n = 1 if self.vary.lattices is None else int(self.ask("lattices", self.vary.lattices))
        if self.vary.lattices is not None:
            self.values["lattices"] = n
        made = [self.lattice(experiment, i).crystal for i in range(n)]
        if self.vary.split is not None:
            made = self.split(made, experiment)
        return experiment.replace(crystal=made[0] if len(made) == 1 else tuple(made))

    def lattice(self, experiment: Experiment, i: int) -> Experiment:
        """An experiment with one lattice, its own values drawn."""
        for path, distribution in self.vary.paths.items():
            if path.startswith("crystal."):
                experiment = self.put(path, distribution, experiment, path, i)
        if self.vary.cell is not None:
            experiment = self.with_cell(experiment, i)
        if self.vary.orientation is not None:
            experiment = experiment.replace("crystal.misset_deg", self.oriented(experiment.crystal, i))
        return experiment

    def with_cell(self, experiment: Experiment, i: int) -> Experiment:
        assert self.vary.cell is not None
        if experiment.crystal.a_star_matrix is not None:
            raise ConfigError(
                "vary.cell", "a_star_matrix", "cells vary about crystal.unit_cell", "leave a_star_matrix out"
            )
        shot = (self.first * _MOST_LATTICES + i) % 2**32  # a stream for every crystal
        for attempt in range(MOST_TRIES):
            try:
                cell = drawn_cell(experiment, self.vary.cell, (self.seed + attempt * _OTHER_SEED) % 2**32, shot)
            except ConfigError as error:
                if not error.path.startswith("crystal.unit_cell"):
                    path = error.path.replace("cell_spread", "vary.cell", 1)
                    raise ConfigError(path, error.value, error.requirement, error.hint) from None
                refused = error
            else:
                return experiment.replace("crystal.unit_cell", cell)
        raise ConfigError("vary.cell", "widths", f"give no cell in {MOST_TRIES} tries: {refused}", "smaller widths")

    def oriented(self, crystal: Crystal, i: int) -> tuple[float, float, float]:
        """The missets of a lattice [degrees]."""
        spec = self.vary.orientation
        assert spec is not None
        stream = Stream(self.seed, Purpose.ORIENTATION, panel=i, frame=self.first)
        if spec.random:
            matrix = uniform_turn(stream.uniform(3))
        elif isinstance(crystal.misset_deg, str):
            raise ConfigError(
                "crystal.misset_deg", crystal.misset_deg, "is drawn by the data set", "vary.orientation = 'random'"
            )
        else:
            matrix = of_misset(elements(crystal.misset_deg))
        if spec.spread_deg is not None:
            width = np.radians(float(self.ask("orientation.spread_deg", spec.spread_deg, i)))
            matrix = turn(width * stream.normal(3, draw=1)) @ matrix
        along = self.frame if self.recipe.settings.kind == "stills" else self.index
        if any(spec.drift_deg) and along:
            matrix = turn(np.radians(spec.drift_deg) * along) @ matrix
        return misset(matrix)

    def split(self, crystals: list[Crystal], experiment: Experiment) -> list[Crystal]:
        """The first lattice in two parts, in the images of the series that show both."""
        spec = self.vary.split
        assert spec is not None
        chance, start, *axis = Key(self.seed, "split", self.first).uniform(5)
        if chance >= spec.probability:
            return crystals
        angle = float(self.ask("split.angle_deg", spec.angle_deg))
        fraction = float(self.ask("split.fraction", spec.fraction))
        extent = float(self.ask("split.extent", spec.extent)) * self.length
        first = start * max(0.0, self.length - extent)
        self.values |= {"split.angle_deg": angle, "split.fraction": fraction}
        if self.length > 1 and not first <= self.index + 0.5 <= first + extent:
            return crystals
        whole = crystals[0]
        direction = uniform_turn(np.array([*axis])) @ np.array([1.0, 0.0, 0.0])
        matrix = turn(np.radians(angle) * direction) @ of_misset(elements(whole.misset_deg))
        parts = [_part(whole, 1.0 - fraction), _part(whole.with_value("misset_deg", misset(matrix)), fraction)]
        return [*parts, *crystals[1:]]


_MOST_LATTICES = 64
"""Of a frame, for the numbers of their streams."""
_SQUARED_IS_0 = 1e-170
"""[electrons]: an amplitude that gives no intensity; 0 itself is refused as a mistake."""
_OTHER_SEED = 0x9E3779B9
"""Added to the seed where a cell is refused."""


def _part(crystal: Crystal, fraction: float) -> Crystal:
    """A crystal with a fraction of the volume."""
    if crystal.volume_mm3 is not None:
        return crystal.with_value("volume_mm3", detached(crystal.volume_mm3) * fraction)
    blocks = 1.0 if crystal.n_blocks is None else detached(crystal.n_blocks)
    return crystal.with_value("n_blocks", blocks * fraction)


def _combined(value: Any, current: Any, mode: str) -> Any:
    """What stands at a path: the drawn value, or it on top of what stood there; one number for every element of a vector."""
    if isinstance(value, list):
        value = tuple(value)
    if mode == "value":
        return tuple(value for _ in current) if _is_vector(current) and isinstance(value, int | float) else value
    combine: Callable[[float, float], float] = (lambda a, b: a + b) if mode == "offset" else (lambda a, b: a * b)
    if _is_vector(current):
        drawn_ = value if isinstance(value, tuple) else (value,) * len(current)
        return tuple(combine(detached(a), b) for a, b in zip(current, drawn_, strict=True))
    return combine(detached(current), value)


def _is_vector(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, int | float) for item in value)


def as_seen(draws: Drawn) -> Experiment:
    """The experiment as it is in the beam: without crystals of a miss, without background where nothing is hit.

    A crystal that is not there is one without intensity, of a single domain and orientation, so that it costs next to nothing.
    """
    experiment = draws.experiment
    if draws.kind == "hit":
        return experiment
    plain = Crystal(unit_cell=UnitCell(100.0, 100.0, 100.0, 90.0, 90.0, 90.0), n_cells=(5, 5, 5),
                    structure_factors=StructureFactors.constant(_SQUARED_IS_0))  # fmt: skip
    goniometer = experiment.goniometer
    still = dataclasses.replace(goniometer, n_steps=1, osc_deg=None, step_deg=None)
    experiment = experiment.replace(crystal=plain, goniometer=still)
    sampling = dataclasses.replace(experiment.sampling, oversample=1, interpolate="nearest")
    experiment = experiment.replace(sampling=sampling)
    return experiment.replace(background=Background()) if draws.kind == "empty" else experiment
