"""Beams that do not point where they should, and spindles that wobble, in front of a detector that stays where it is."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Detector, Experiment
from nanobragg.datasets.draws.turning import tilted
from nanobragg.derivation import panels
from nanobragg.derivation.placement import place
from nanobragg.derivation.vectors import FLOAT_OPS


def pointed(experiment: Experiment, by: NDArray[np.float64]) -> Experiment:
    """The beam tilted by two angles [rad]; the detector, whose place may follow from the beam, stays."""
    fixed = _standing(experiment)
    first = panels.experiments(dataclasses.replace(experiment, detector_pose=None))[0]
    beam = np.array([float(x) for x in place(first, FLOAT_OPS).beam])
    return fixed.replace("beam.direction", tuple(tilted(beam, by).tolist()))


def wobbling(experiment: Experiment, by: NDArray[np.float64]) -> Experiment:
    """The spindle tilted by two angles [rad]."""
    first = panels.experiments(dataclasses.replace(experiment, detector_pose=None))[0]
    spindle = np.array([float(x) for x in place(first, FLOAT_OPS).spindle])
    return experiment.replace("goniometer.axis", tuple(tilted(spindle, by).tolist()))


def _standing(experiment: Experiment) -> Experiment:
    """The experiment with the place of its panels in vectors, which no beam moves."""
    bare = dataclasses.replace(experiment, detector_pose=None)
    made = []
    for part in panels.experiments(bare):
        found, detector = place(part, FLOAT_OPS), part.detector
        made.append(
            Detector(
                n_fast=detector.n_fast, n_slow=detector.n_slow, pixel_size_mm=detector.pixel_size_mm, mask=detector.mask,
                convention=detector.convention, fast_axis=_floats(found.fast), slow_axis=_floats(found.slow),
                normal_axis=_floats(found.normal), pix0_mm=tuple(1000 * x for x in _floats(found.pix0)), name=detector.name,
                sensor=detector.sensor, point_pixel=detector.point_pixel, curved=detector.curved,
            )
        )  # fmt: skip
    return dataclasses.replace(experiment, detector=tuple(made) if panels.several(experiment) else made[0])


def _floats(vector: tuple[object, ...]) -> tuple[float, ...]:
    return tuple(float(x) for x in vector)  # type: ignore[arg-type]
