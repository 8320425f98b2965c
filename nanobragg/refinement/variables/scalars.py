"""One refined number: its path, and the smooth map between it and the variable of the solver."""

from __future__ import annotations

import math
from typing import Any

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE
from nanobragg.config.serialize import metadata_at
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

_STEPS = {"degrees": 0.01, "mm": 0.01, "Angstrom": 0.001, "um": 1.0}
"""Of the solver's variable, by unit, where a number is not scaled by itself."""
_RELATIVE, _WAVE = 0.01, 1e-4


@dataclass(frozen=True)
class Scalar:
    """value = f(x) with f(0) the start; x changes by about 1 where the value changes by a typical error."""

    path: str
    unit: str
    start: float
    step: float
    lowest: float | None = None
    """value = lowest + (start - lowest) exp(step x); None: start + step x"""
    bounds: tuple[float, float] | None = None

    def value(self, x: float) -> float:
        """The number at the solver's variable."""
        if self.bounds is not None:
            low, high = self.bounds
            share = (self.start - low) / (high - low)
            # step x/(share (1 - share) (high - low)) is the logit's change for a change by step x of the value
            turn = math.log(share / (1 - share)) + self.step * x / (share * (1 - share) * (high - low))
            return low + (high - low) / (1 + math.exp(-max(min(turn, 20.0), -20.0)))
        if self.lowest is not None:
            return self.lowest + (self.start - self.lowest) * math.exp(max(min(self.step * x, 50.0), -50.0))
        return self.start + self.step * x


def scalars(experiment: Experiment, path: str, bounds: Any) -> list[Scalar]:
    """The numbers at a path, one for each element of a vector.

    Raises
    ------
    ConfigError
        For what cannot be refined, and bounds that leave the start out.
    """
    meta = metadata_at(experiment, path)
    if not meta.get("differentiable"):
        raise ConfigError("refine", path, "cannot be refined: it is not differentiable", "docs/api.md lists what is")
    value = experiment.get(path)
    if isinstance(value, str) or value is None:
        raise ConfigError("refine", path, f"has no start: it is {value!r}", "give it a value in the experiment")
    shape = getattr(value, "shape", ())
    if len(shape) > 1:
        raise ConfigError("refine", path, f"is an array of shape {tuple(shape)}", "numbers and vectors are refined")
    several = isinstance(value, tuple) or len(shape) == 1
    paths = [f"{path}[{i}]" for i in range(len(value))] if several else [path]
    return [_scalar(p, detached(v), meta, bounds) for p, v in zip(paths, value if several else [value], strict=True)]


def _scalar(path: str, start: float, meta: dict[str, Any], bounds: Any) -> Scalar:
    unit = str(meta.get("unit", ""))
    limits = bounds.get(path) or bounds.get(path.partition("[")[0]) if bounds else None
    lowest = {id(POSITIVE): 0.0, id(NOT_NEGATIVE): 0.0, id(AT_LEAST_ONE): 1.0}.get(id(meta.get("check")))
    if path.startswith("crystal.n_cells"):
        lowest = 1.0
    elif path.startswith("beam.fluence"):
        lowest = 0.0
    if limits is not None:
        low, high = (float(x) for x in limits)
        if not low < start < high:
            raise ConfigError(
                "bounds", limits, f"exclude the start of {path}, {start:g}", "move the bounds, or the start"
            )
        return Scalar(path, unit, start, _STEPS.get(unit, _RELATIVE * max(abs(start), 1e-3)), bounds=(low, high))
    if lowest is not None and start > lowest and not path.startswith("detector"):
        return Scalar(
            path, unit, start, _WAVE if path.startswith(("beam.wave", "beam.energy")) else _RELATIVE, lowest=lowest
        )
    if lowest is not None and start <= lowest:
        raise ConfigError("refine", path, f"starts at its limit, {start:g}", "give it a value inside")
    return Scalar(path, unit, start, _STEPS.get(unit, _RELATIVE * max(abs(start), 1e-3)))
