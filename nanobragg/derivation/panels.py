"""Detectors of several panels: every panel is rendered as a detector of its own.

Automatic decisions (oversample, interpolation) are made for each panel, from its own distance.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanobragg.arrays import is_tensor
from nanobragg.config import Detector, Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.derivation.orientations import seeded
from nanobragg.derivation.placement import place
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError


def experiments(experiment: Experiment) -> list[Experiment]:
    """One experiment for each panel; all have the same random orientation.

    Raises
    ------
    ConfigError
        For ``sampling.roi`` together with several panels.
    """
    check_experiment(experiment)
    panels = experiment.detector
    if not isinstance(panels, tuple):
        return [experiment]
    if experiment.sampling.roi is not None:
        raise ConfigError(
            "sampling.roi", experiment.sampling.roi, "has no meaning for several panels", "mask pixels in each panel"
        )
    whole = seeded(experiment)
    return [dataclasses.replace(whole, detector=panel) for panel in panels]


def panel_at(experiment: Experiment, pixel: tuple[int, ...]) -> tuple[Experiment, tuple[int, int]]:
    """The experiment of the panel that holds a pixel, and (slow, fast) there.

    Raises
    ------
    ConfigError
        When the pixel is not (slow, fast), or (panel, slow, fast) for several panels, or there is no such panel.
    """
    parts = experiments(experiment)
    several = isinstance(experiment.detector, tuple)
    try:
        numbers = [operator.index(number) for number in pixel]
    except TypeError:
        numbers = []
    if len(numbers) != 2 + several:
        form = "(panel, slow, fast)" if several else "(slow, fast)"
        raise ConfigError("pixel", pixel, f"must be {form}, whole numbers counted from 0")
    panel = numbers[0] if several else 0
    if not 0 <= panel < len(parts):
        raise ConfigError("pixel", pixel, f"there are panels 0 to {len(parts) - 1}")
    return parts[panel], (numbers[-2], numbers[-1])


def joined(images: Sequence[Any]) -> Any:
    """Images of panels as one array (n_panels, n_slow, n_fast) when their shapes agree, else a list."""
    if len({tuple(image.shape) for image in images}) > 1:
        return list(images)
    if is_tensor(images[0]):
        import torch

        return torch.stack(list(images))
    return np.stack(images)


def several(experiment: Experiment) -> bool:
    """Whether the detector is a tuple of panels."""
    return isinstance(experiment.detector, tuple)


def part_of(out: Any, index: int, n: int) -> Any:
    """Where the image of a panel goes: its part of an array or list of n; None of None."""
    if out is None:
        return None
    try:
        if len(out) == n:
            return out[index]
    except TypeError:
        pass
    raise ConfigError("out", type(out).__name__, f"must hold one image for each of the {n} panels")


def rois(roi: Any, n: int) -> list[Any]:
    """The region of interest of each panel.

    Raises
    ------
    ConfigError
        For a single region with several panels.
    """
    if roi is None:
        return [None] * n
    if isinstance(roi, list) and len(roi) == n:
        return roi
    raise ConfigError("roi", roi, f"must be a list of {n}, one for each panel", "None renders the whole panel")


def values_by_panel(values: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Values by path, as each panel's own experiment knows them: ``detector[2].pix0_mm`` concerns panel 2 alone."""
    own: list[dict[str, Any]] = [{} for _ in range(n)]
    for path, value in values.items():
        match = re.fullmatch(r"detector\[(\d+)\]\.(.+)", path)
        if match is None:
            for part in own:
                part[path] = value
        elif int(match[1]) < n:
            own[int(match[1])][f"detector.{match[2]}"] = value
        else:
            raise ConfigError(path, int(match[1]), f"must be an index below {n}")
    return own


def split(experiment: Experiment, n_slow: int, n_fast: int) -> Experiment:
    """Cut a detector into n_slow x n_fast panels that lie where its pixels lay.

    Panels are in raster order. They hold vectors (``pix0_mm``, axes), so that the original's conventions no longer
    play a part; quirks that act on such vectors do.

    Raises
    ------
    ConfigError
        When the pixels cannot be divided evenly, or the detector is curved.
    """
    det = experiment.detector
    if det.n_slow % n_slow or det.n_fast % n_fast:
        raise ConfigError("detector", f"{det.n_fast} x {det.n_slow} pixels", f"cannot be cut into {n_fast} x {n_slow}")
    if det.curved:
        raise ConfigError("detector.curved", True, "cannot be cut into panels")
    p = place(dataclasses.replace(experiment, detector_pose=None), FLOAT_OPS)
    along_fast, along_slow = p.pixel_size[0] * np.array(p.fast), p.pixel_size[1] * np.array(p.slow)
    rows, columns = det.n_slow // n_slow, det.n_fast // n_fast
    panels = []
    for s in range(0, det.n_slow, rows):
        for f in range(0, det.n_fast, columns):
            corner = np.array(p.pix0) + f * along_fast + s * along_slow
            panels.append(
                Detector(
                    n_fast=columns, n_slow=rows, pixel_size_mm=det.pixel_size_mm, convention=det.convention,
                    fast_axis=p.fast, slow_axis=p.slow, normal_axis=p.normal, pix0_mm=tuple(1000 * corner),
                    point_pixel=det.point_pixel, sensor=det.sensor,
                    mask=None if det.mask is None else det.mask[s : s + rows, f : f + columns],
                )
            )  # fmt: skip
    return dataclasses.replace(experiment, detector=tuple(panels))
