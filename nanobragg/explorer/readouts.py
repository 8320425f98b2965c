"""Values of a readout, and its point spread."""

from __future__ import annotations

from typing import Any

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.errors import ConfigError


def has_spread(readout: Readout) -> bool:
    """Whether it has a point spread, which may be switched off."""
    return bool(readout.psf.kind != "none")


def spread_um(experiment: Experiment) -> float:
    """Of a point spread that was switched on without a width: 1.5 pixels."""
    detector = experiment.detector
    first = detector[0] if isinstance(detector, tuple) else detector
    return round(1500.0 * min(float(detached(edge)) for edge in first.pixel_edges_mm), 6)


def with_value(readout: Readout, path: str, value: Any) -> Readout:
    """The readout with a value at a path of at most two names."""
    if not path:
        return value if isinstance(value, Readout) else Readout()
    name, _, rest = path.partition(".")
    if name not in readout.__dataclass_fields__:
        raise ConfigError(f"readout.{path}", value, "no such field")
    if not rest:
        return readout.with_value(name, value)
    part = getattr(readout, name)
    if rest not in getattr(part, "__dataclass_fields__", {}):
        raise ConfigError(f"readout.{path}", value, "no such field")
    return readout.with_value(name, part.with_value(rest, value))
