"""Changes of an experiment that are more than a value: a rotation by hand, a part that was not there."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import decide
from nanobragg.arrays import detached, elements
from nanobragg.config import Crystal, Experiment
from nanobragg.config.fields import Config
from nanobragg.derivation.orientations import uniform_rotation
from nanobragg.errors import ConfigError
from nanobragg.io.geometry.axes import rotation
from nanobragg.refinement.variables.crystals import angles_of

Array = NDArray[np.float64]
_SAME = (
    ("beam.energy_ev", "beam.wavelength_angstrom"), ("detector.beam_center_mm", "detector.beam_center_convention_mm"),
)  # fmt: skip
"""Fields of which one may be given."""


def turned(experiment: Experiment, across: float, down: float, about: float) -> Experiment:
    """The experiment with its crystals rotated.

    Parameters
    ----------
    experiment : Experiment
    across, down : float
        Angles [degrees] about the slow and the fast axis of the first panel: an axis of the crystal along the beam comes to
        meet the detector further along fast, and along slow, and the circles of spots about it with it.
    about : float
        Angle about the beam [degrees].
    """
    placement = decide(experiment)[0][0].placement
    fast, slow, beam = (np.array(v, np.float64) for v in (placement.fast, placement.slow, placement.beam))
    turn = rotation(np.cross(beam, fast), across) @ rotation(np.cross(beam, slow), down) @ rotation(beam, about)
    several = isinstance(experiment.crystal, tuple)
    crystals = experiment.crystal if several else (experiment.crystal,)
    new = tuple(_turned(one, turn) for one in crystals)
    return experiment.replace(crystal=new if several else new[0])


def fixed(experiment: Experiment) -> Experiment:
    """The experiment with the seeds of its random orientations written down, or every change would draw others."""
    several = isinstance(experiment.crystal, tuple)
    crystals = experiment.crystal if several else (experiment.crystal,)
    if all(one.misset_seed == one.orientation_seed or one.orientation_seed is None for one in crystals):
        return experiment
    new = tuple(
        one if one.orientation_seed is None else one.with_value("misset_seed", one.orientation_seed) for one in crystals
    )
    return experiment.replace(crystal=new if several else new[0])


def _turned(crystal: Crystal, turn: Array) -> Crystal:
    if isinstance(crystal.misset_deg, str):
        before = uniform_rotation(crystal.orientation_seed)
    else:
        x, y, z = (float(detached(angle)) for angle in elements(crystal.misset_deg))
        before = (
            rotation(np.array([0, 0, 1.0]), z) @ rotation(np.array([0, 1.0, 0]), y) @ rotation(np.array([1.0, 0, 0]), x)
        )
    return crystal.with_value("misset_deg", tuple(round(angle, 6) for angle in angles_of(turn @ before)))


def replaced(experiment: Experiment, path: str, value: Any) -> Experiment:
    """The experiment with a value at a path; another that says the same is left open.

    Raises
    ------
    ConfigError
        As of `Experiment.replace`.
    """
    for pair in _SAME:
        if path in pair and value is not None:
            above, other = (pair[1 - pair.index(path)]).split(".")
            part = getattr(experiment, above)
            if not isinstance(part, tuple) and getattr(part, other) is not None:
                experiment = experiment.replace(f"{above}.{other}", None)
    return experiment.replace(path, value)


def made(experiment: Experiment, path: str) -> Config:
    """A part with its defaults, for a path at which there is none.

    Raises
    ------
    ConfigError
        For a path of no part.
    """
    above, _, name = path.rpartition(".")
    owner: Any = experiment.get(above) if above else experiment
    field = {f.name: f for f in dataclasses.fields(owner)}.get(name) if dataclasses.is_dataclass(owner) else None
    kind = None if field is None else field.metadata["part"]
    if kind is None:
        raise ConfigError(path, None, "is no part that can be added")
    return kind()
