"""More than one lattice in the beam: every crystal is decided and derived as one of its own, and the images add up.

Automatic decisions (oversample, interpolation, domains) are made for each. The background is counted once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.derivation.scene import Scene
from nanobragg.errors import ConfigError


def several(experiment: Experiment) -> bool:
    """Whether the crystal is a tuple of crystals."""
    return isinstance(experiment.crystal, tuple)


def experiments(experiment: Experiment) -> list[Experiment]:
    """One experiment for each crystal.

    Raises
    ------
    ConfigError
        For several crystals under a quirk of the original.
    """
    check_experiment(experiment)
    crystals: Any = experiment.crystal
    if not isinstance(crystals, tuple):
        return [experiment]
    if experiment.quirks:
        raise ConfigError(
            "crystal",
            f"{len(crystals)} crystals",
            "are more than the original program has",
            "write fidelity='corrected'",
        )
    return [dataclasses.replace(experiment, crystal=crystal) for crystal in crystals]


def single(experiment: Experiment, what: str) -> Experiment:
    """The experiment, which has one crystal.

    Raises
    ------
    ConfigError
        For several; `what` says what takes one.
    """
    crystals: Any = experiment.crystal
    if isinstance(crystals, tuple):
        raise ConfigError(
            "crystal", f"{len(crystals)} crystals", f"are more than {what} takes",
            "take one: experiment.replace(crystal=experiment.crystal[0])",
        )  # fmt: skip
    return experiment


def values_by_lattice(values: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Values by path, as each lattice's own experiment knows them: ``crystal[1].misset_deg`` concerns the second alone.

    Raises
    ------
    ConfigError
        For a path into the crystal that does not say which, or an index that is too large.
    """
    own: list[dict[str, Any]] = [{} for _ in range(n)]
    for path, value in values.items():
        match = re.fullmatch(r"crystal\[(\d+)\]\.(.+)", path)
        if match is None and path.startswith("crystal"):
            raise ConfigError(path, f"{n} crystals", "does not say which", "write crystal[0]...")
        if match is None:
            for part in own:
                part[path] = value
        elif int(match[1]) < n:
            own[int(match[1])][f"crystal.{match[2]}"] = value
        else:
            raise ConfigError(path, int(match[1]), f"must be an index below {n}")
    return own


def with_one_background(lattices: Sequence[Sequence[Scene]]) -> list[list[Scene]]:
    """The scenes of every lattice, of which the first alone has a background."""
    first, *others = lattices
    without = [[dataclasses.replace(s, background=s.background * 0.0) for s in scenes] for scenes in others]
    return [list(first), *without]
