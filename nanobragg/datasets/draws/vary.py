"""The table ``[vary]`` of a recipe: distributions by path, and what has a name of its own."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nanobragg.config import CellSpread, Experiment
from nanobragg.config.fields import Config
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import built, value_at
from nanobragg.datasets.draws.numbers import ALONG, KINDS, OTHERS, Distribution, distribution
from nanobragg.errors import ConfigError, alike
from nanobragg.lazy import dataclass

FRAMES = ("hit", "background", "empty")
"""What a frame holds: crystals and background, background alone, nothing."""
SPECIAL = ("orientation", "cell", "frames", "lattices", "split", "pointing_urad", "wobble_urad")
"""What varies without being a value at a path."""


@dataclass(frozen=True)
class Orientation:
    """Uniform over all orientations, or spread about that of the recipe."""

    random: bool = False
    spread_deg: Distribution | None = None
    """standard deviation of the rotation about every axis"""
    drift_deg: tuple[float, ...] = (0.0, 0.0, 0.0)
    """rotation about lab x, y, z from image to image of a series, or of all stills"""


@dataclass(frozen=True)
class Split:
    """A second lattice, a part of the crystal that is turned against it, over a range of a series."""

    probability: float
    angle_deg: Distribution
    fraction: Distribution
    """of the volume"""
    extent: Distribution
    """length of the range, a fraction of the series"""


@dataclass(frozen=True)
class Vary:
    """What varies."""

    paths: Mapping[str, Distribution]
    """by path of the experiment or the readout, in the order in which they are applied"""
    orientation: Orientation | None = None
    cell: CellSpread | None = None
    frames: Distribution | None = None
    lattices: Distribution | None = None
    split: Split | None = None
    pointing: Distribution | None = None
    """of the beam, about both axes across it"""
    wobble: Distribution | None = None
    """of the spindle, about both axes across it"""


def vary_of(table: Mapping[str, Any], experiment: Experiment, readout: Readout) -> Vary:
    """What a table says, checked against the experiment and readout that it varies.

    Raises
    ------
    ConfigError
        For an unknown path, distribution or option (with the nearest name), and parameters that make no sense.
    """
    paths: dict[str, Distribution] = {}
    special: dict[str, Any] = {}
    for name, spec in _flat(table):
        head = name.partition(".")[0]
        if head in SPECIAL:
            special[head] = table[head]
            continue
        if re.fullmatch(_ALIKE, name):
            raise ConfigError(
                f"vary.{name}", spec, "must be the same in all images of a data set", "make one data set for each"
            )
        _check_path(name, experiment, readout)
        paths[name] = _checked(name, distribution(name, spec), experiment, readout)
    return Vary(paths, **{_FIELDS.get(name, name): _READERS[name](spec) for name, spec in special.items()})


_ALIKE = r"detector(\[\d+\])?\.n_(fast|slow)|readout\.bits"
"""Shape and type of the images."""
_FIELDS = {"pointing_urad": "pointing", "wobble_urad": "wobble"}


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and their tables: ``crystal.mosaic.spread_deg = {...}`` is three tables in TOML."""
    for key, value in table.items():
        name = f"{above}.{key}" if above else str(key)
        deeper = isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values())
        if deeper and name not in SPECIAL:
            yield from _flat(value, name)
        else:
            yield name, value


def _check_path(name: str, experiment: Experiment, readout: Readout) -> None:
    try:
        current_value(name, experiment, readout)
    except ConfigError as error:
        tops = (*SPECIAL, "readout", *(field for field in vars(experiment)))
        head = name.partition(".")[0]
        if head.partition("[")[0] not in tops:
            near = alike(head, tops)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(SPECIAL)}, or a path as crystal.n_cells"
            raise ConfigError(
                f"vary.{name}", head, "is no path of the experiment and nothing else that varies", hint
            ) from None
        raise ConfigError(f"vary.{name}", error.value, error.requirement, error.hint) from None


def current_value(name: str, experiment: Experiment, readout: Readout) -> Any:
    """The value at a path of the experiment, or below ``readout.``."""
    return value_at(readout, name[8:]) if name.startswith("readout.") else value_at(experiment, name)


def _checked(name: str, found: Distribution, experiment: Experiment, readout: Readout) -> Distribution:
    value = current_value(name, experiment, readout)
    if isinstance(value, Config):
        raise ConfigError(
            f"vary.{name}", type(value).__name__, "is a table, not a value", f"vary {name}.... one by one"
        )
    if found.mode != "value" and (value is None or isinstance(value, str)):
        raise ConfigError(f"vary.{name}.as", found.mode, f"needs a number to start from, and {name} is {value!r}",
                          f"give {name} in the recipe")  # fmt: skip
    return found


def _of_frames(spec: Any) -> Distribution:
    """``hit_rate``, or the shares of what frames hold."""
    if isinstance(spec, int | float) and not isinstance(spec, bool):
        spec = {"hit": float(spec), "background": 1.0 - float(spec)}
    if not isinstance(spec, Mapping) or not spec:
        raise ConfigError("vary.frames", spec, f"must be the share of hits, or of each of {', '.join(FRAMES)}",
                          "frames = { hit = 0.6, background = 0.3, empty = 0.1 }")  # fmt: skip
    for key in spec:
        if key not in FRAMES:
            raise ConfigError(
                f"vary.frames.{key}", spec[key], f"must be one of {', '.join(FRAMES)}", _near(key, FRAMES)
            )
    weights = [spec.get(name, 0.0) for name in FRAMES]
    return distribution("frames", {"choice": list(FRAMES), "weights": weights})


def _of_lattices(spec: Any) -> Distribution:
    found = distribution("lattices", spec)
    values = found.parameters if found.kind in ("choice", "value", "column") else ()
    if found.kind not in ("choice", "value", "column") or not all(isinstance(n, int) and n >= 1 for n in values):
        raise ConfigError("vary.lattices", spec, "must be a choice of whole numbers >= 1",
                          "lattices = { choice = [1, 2], weights = [0.9, 0.1] }")  # fmt: skip
    return found


def _of_orientation(spec: Any) -> Orientation:
    if spec == "random":
        return Orientation(random=True)
    names = ("random", "spread_deg", "drift_deg")
    if not isinstance(spec, Mapping):
        raise ConfigError(
            "vary.orientation", spec, "must be 'random', or a table", "orientation = { spread_deg = 0.5 }"
        )
    for key in spec:
        if key not in names:
            raise ConfigError(
                f"vary.orientation.{key}", spec[key], f"must be one of {', '.join(names)}", _near(key, names)
            )
    drift = spec.get("drift_deg", (0.0, 0.0, 0.0))
    if not isinstance(drift, list | tuple) or len(drift) != 3 or not all(isinstance(x, int | float) for x in drift):
        raise ConfigError("vary.orientation.drift_deg", drift, "must be three numbers, about lab x, y, z")
    spread = spec.get("spread_deg")
    return Orientation(
        bool(spec.get("random", False)), None if spread is None else _not_negative("orientation.spread_deg", spread),
        tuple(float(x) for x in drift),
    )  # fmt: skip


def _of_split(spec: Any) -> Split:
    names = ("probability", "angle_deg", "fraction", "extent")
    if not isinstance(spec, Mapping):
        raise ConfigError(
            "vary.split", spec, "must be a table", "split = { probability = 0.3, angle_deg = { uniform = [0.5, 3] } }"
        )
    for key in spec:
        if key not in names:
            raise ConfigError(f"vary.split.{key}", spec[key], f"must be one of {', '.join(names)}", _near(key, names))
    probability = spec.get("probability", 1.0)
    if not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise ConfigError("vary.split.probability", probability, "must be within 0 and 1")
    parts = {
        name: _not_negative(f"split.{name}", spec.get(name, usual))
        for name, usual in (
            ("angle_deg", {"uniform": [0.5, 3.0]}),
            ("fraction", {"uniform": [0.1, 0.5], "max": 1}),
            ("extent", {"uniform": [0.2, 0.6], "max": 1}),
        )
    }
    return Split(float(probability), **parts)


def _of_angle(name: str) -> Any:
    def read(spec: Any) -> Distribution:
        found = distribution(name, {"normal": [0.0, spec]} if isinstance(spec, int | float) else spec)
        if found.kind in OTHERS and not all(isinstance(v, int | float) for v in found.parameters):
            raise ConfigError(f"vary.{name}", spec, "must be numbers")
        return found

    return read


def _not_negative(name: str, spec: Any) -> Distribution:
    """A distribution of numbers that are cut off at 0."""
    found = distribution(name, spec)
    if found.kind in ALONG or (
        found.kind not in KINDS and not all(isinstance(v, int | float) for v in found.parameters)
    ):
        raise ConfigError(f"vary.{name}", spec, "must be a number >= 0, or a distribution of such")
    return dataclasses.replace(found, low=max(0.0, found.low))


def _of_cell(spec: Any) -> CellSpread:
    try:
        found = built(CellSpread, "vary.cell", spec)
    except ConfigError as error:
        path = error.path.replace("cell_spread", "vary.cell", 1)
        raise ConfigError(path, error.value, error.requirement, error.hint) from None
    assert isinstance(found, CellSpread)
    return found


def _near(key: Any, names: tuple[str, ...]) -> str:
    near = alike(str(key), names)
    return f"did you mean {near[0]}?" if near else ""


_READERS: dict[str, Any] = {
    "orientation": _of_orientation, "cell": _of_cell, "frames": _of_frames, "lattices": _of_lattices, "split": _of_split,
    "pointing_urad": _of_angle("pointing_urad"), "wobble_urad": _of_angle("wobble_urad"),
}  # fmt: skip
