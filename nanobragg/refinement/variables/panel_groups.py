"""Panels that move together: ``detector[0,1,2].shift_mm`` and ``.rotation_deg``, away from where the start has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError
from nanobragg.refinement.variables.crystals import rotation
from nanobragg.refinement.variables.scalars import Scalar

Array = NDArray[np.float64]
_GROUP = r"(detector\[\d+(?:,\d+)*\])\.(shift_mm|rotation_deg)"
_AXES = ("fast_axis", "slow_axis", "normal_axis")


def is_group(path: str) -> bool:
    """Whether a path means the motion of a group of panels."""
    return re.fullmatch(_GROUP, path) is not None


def group_scalars(experiment: Experiment, path: str) -> list[Scalar]:
    """The three numbers of a motion, 0 at the start: along (or about) x, y, z of the laboratory.

    Raises
    ------
    ConfigError
        For a panel that is not there, or is not placed by vectors.
    """
    match = re.fullmatch(_GROUP, path)
    assert match is not None
    detectors: Any = experiment.detector
    if not isinstance(detectors, tuple):
        raise ConfigError("refine", path, "names panels of a detector that has one", "write detector_pose.shift_mm")
    numbers = _numbers(match[1])
    if len(set(numbers)) < len(numbers) or max(numbers) >= len(detectors):
        raise ConfigError("refine", path, f"must name panels from 0 to {len(detectors) - 1}, each once")
    for i in numbers:
        if detectors[i].pix0_mm is None or detectors[i].fast_axis is None or detectors[i].slow_axis is None:
            raise ConfigError("refine", path, f"moves panel {i}, which is not placed by vectors",
                              "give it pix0_mm, fast_axis and slow_axis, as geometry files do")  # fmt: skip
    unit = "mm" if match[2] == "shift_mm" else "degrees"
    return [Scalar(f"{path}[{k}]", unit, 0.0, 0.01) for k in range(3)]


def placed(experiment: Experiment, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path, those of groups as vectors of their panels.

    A group is turned about the mean of its panels' corners (first pixels), about x, then y, then z, and then shifted.
    """
    found = {path: value for path, value in values.items() if not is_group(path.rpartition("[")[0])}
    motions: dict[str, dict[str, Array]] = {}
    for path, value in values.items():
        whole, _, k = path.rpartition("[")
        match = re.fullmatch(_GROUP, whole)
        if match is not None:
            motion = motions.setdefault(match[1], {"shift_mm": np.zeros(3), "rotation_deg": np.zeros(3)})
            motion[match[2]][int(k[:-1])] = value
    moved: dict[str, Array] = {}
    for group, motion in motions.items():
        x, y, z = (rotation(row) for row in np.diag(motion["rotation_deg"]))
        turn, numbers = z @ y @ x, _numbers(group)
        panels: Any = experiment.detector
        corners = {i: moved.get(f"detector[{i}].pix0_mm", _vector(panels[i].pix0_mm)) for i in numbers}
        center = np.mean(list(corners.values()), axis=0)
        for i, corner in corners.items():
            moved[f"detector[{i}].pix0_mm"] = turn @ (corner - center) + center + motion["shift_mm"]
            for name in _AXES:
                axis = moved.get(f"detector[{i}].{name}", getattr(panels[i], name))
                if axis is not None:
                    moved[f"detector[{i}].{name}"] = turn @ _vector(axis)
    return found | {path: tuple(float(v) for v in vector) for path, vector in moved.items()}


def _vector(value: Any) -> Array:
    return np.array([detached(v) for v in value])


def _numbers(group: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", group)]
