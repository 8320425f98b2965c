"""Distributions of numbers, and of values from a list or a column.

Every number is a function of the seed, the name of what is drawn, the frame (or series) and the lattice, by the streams of
the package: it depends neither on the order of drawing nor on what else varies.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, alike
from nanobragg.lazy import dataclass
from nanobragg.streams import Purpose, Stream

Array = NDArray[np.float64]
MOST_TRIES = 1000
"""For a number that must lie within limits or be accepted by its field."""


@dataclass(frozen=True)
class Key:
    """Which number of a data set: what it is for, and where."""

    seed: int
    name: str
    frame: int
    """the frame, or the first one of a series"""
    lattice: int = 0

    @property
    def _stream(self) -> Stream:
        # the name takes the place of the panel
        return Stream(self.seed, Purpose.VARIED, panel=zlib.crc32(self.name.encode()), frame=self.frame)

    def uniform(self, n: int) -> Array:
        """n deviates within 0 and 1."""
        return self._stream.uniform(n, draw=2 * self.lattice)

    def normal(self, n: int) -> Array:
        """n deviates of mean 0 and variance 1."""
        return self._stream.normal(n, draw=2 * self.lattice + 1)


@dataclass(frozen=True)
class Place:
    """Where in the data set a value is needed."""

    key: Key
    """of the frame or series, as the distribution wants it"""
    index: int
    """image of the series, from 0"""
    row: int
    """of a table: the number of the series, or of the frame"""
    series_key: Key
    """of the series"""


@dataclass(frozen=True)
class Law:
    """A distribution: how many parameters it takes, their check, and n tries of a value."""

    parameters: tuple[str, ...]
    draw: Callable[[tuple[float, ...], Place, int], Array]
    check: Callable[[tuple[float, ...]], str]
    """what is wrong with the parameters; empty: nothing"""


def _positive(*which: int) -> Callable[[tuple[float, ...]], str]:
    def check(p: tuple[float, ...]) -> str:
        return "" if all(p[i] > 0 for i in which) else "must be > 0"

    return check


def _gamma(p: tuple[float, ...], at: Place, n: int) -> Array:
    from scipy.special import gammaincinv

    shape = 1.0 / p[1] ** 2
    return np.asarray(p[0] * gammaincinv(shape, at.key.uniform(n)) / shape)


def _walk(p: tuple[float, ...], at: Place, n: int) -> Array:
    steps = at.series_key.normal(at.index) if at.index else np.zeros(0)
    return np.full(n, p[0] * float(np.sum(steps)))


KINDS: dict[str, Law] = {
    "uniform": Law(("from", "to"), lambda p, at, n: p[0] + (p[1] - p[0]) * at.key.uniform(n),
                    lambda p: "" if p[0] <= p[1] else "must be [from, to], from <= to"),
    "loguniform": Law(("from", "to"), lambda p, at, n: p[0] * (p[1] / p[0]) ** at.key.uniform(n),
                       lambda p: "" if 0 < p[0] <= p[1] else "must be [from, to], 0 < from <= to"),
    "normal": Law(("mean", "sigma"), lambda p, at, n: p[0] + p[1] * at.key.normal(n),
                   lambda p: "" if p[1] >= 0 else "must be [mean, sigma], sigma >= 0"),
    "lognormal": Law(("median", "sigma of the logarithm"), lambda p, at, n: p[0] * np.exp(p[1] * at.key.normal(n)),
                      lambda p: "" if p[0] > 0 and p[1] >= 0 else "must be [median, sigma], median > 0, sigma >= 0"),
    "gamma": Law(("mean", "relative width"), _gamma, _positive(0, 1)),
    "drift": Law(("per image",), lambda p, at, n: np.full(n, p[0] * at.index), lambda p: ""),
    "walk": Law(("sigma of a step",), _walk, lambda p: "" if p[0] >= 0 else "must be >= 0"),
    "sine": Law(("amplitude", "images of a period"),
                 lambda p, at, n: np.full(n, p[0] * math.sin(2 * math.pi * (at.index / p[1] + at.series_key.uniform(1)[0]))),
                 _positive(1)),
}  # fmt: skip
"""By name; drift, walk and sine change along a series, or along all stills."""
OTHERS = ("choice", "column", "value")
_OPTIONS = ("as", "per", "min", "max", "integer", "weights", "order")
ALONG = ("drift", "walk", "sine")


@dataclass(frozen=True)
class Distribution:
    """What a value is drawn from."""

    kind: str
    parameters: tuple[Any, ...] = ()
    """numbers of a distribution, or the values of a choice or column"""
    cumulative: tuple[float, ...] = ()
    """of the weights of a choice"""
    mode: str = "value"
    """value: in place of what the recipe has; offset, factor: on top of it"""
    per: str | None = None
    """"frame" or "series"; None: by what it is for"""
    low: float = -math.inf
    high: float = math.inf
    integer: bool = False
    in_order: bool = False
    """of a column: row by row, in place of a drawn row"""

    def tries(self, at: Place, n: int) -> list[Any]:
        """n values, the first of which that is acceptable counts.

        Raises
        ------
        ConfigError
            For a column that ends before the data set.
        """
        if self.kind == "value":
            return [self.parameters[0]]
        if self.kind == "choice":
            picks = np.searchsorted(np.array(self.cumulative), at.key.uniform(n), side="right")
            return [self.parameters[min(int(i), len(self.parameters) - 1)] for i in picks]
        if self.kind == "column":
            if self.in_order:
                if at.row >= len(self.parameters):
                    raise ConfigError(f"vary.{at.key.name}.column", len(self.parameters), "has fewer rows than are needed",
                                      "order='random', or fewer images")  # fmt: skip
                return [self.parameters[at.row]]
            picks = (at.key.uniform(n) * len(self.parameters)).astype(int)
            return [self.parameters[int(i)] for i in picks]
        values = KINDS[self.kind].draw(self.parameters, at, n)
        return [int(v) for v in np.rint(values)] if self.integer else [float(v) for v in values]

    def draw(self, at: Place, accepts: Callable[[Any], Any] | None = None, n: int = MOST_TRIES) -> tuple[Any, Any]:
        """A value within the limits, and what `accepts` makes of it, which raises a ConfigError where it does not.

        Raises
        ------
        ConfigError
            After a thousand tries.
        """
        refused: ConfigError | None = None
        for count in (1, n):
            values = self.tries(at, count)
            for value in values[1:] if count > 1 else values:
                if isinstance(value, int | float) and not self.low <= value <= self.high:
                    continue
                try:
                    return value, (value if accepts is None else accepts(value))
                except ConfigError as error:
                    refused = error
            if len(values) < count:
                break
        reason = str(refused) if refused else f"outside of {self.low:g} ... {self.high:g}"
        raise ConfigError(f"vary.{at.key.name}", self.described(), f"gives nothing acceptable in {n} tries: {reason}",
                          "other limits or another width")  # fmt: skip

    def described(self) -> str:
        """In the words of a recipe."""
        shown = list(self.parameters[:4]) + (["..."] if len(self.parameters) > 4 else [])
        return f"{self.kind} {shown}"


def distribution(name: str, spec: Any) -> Distribution:
    """The distribution that a table of a recipe describes, as ``{uniform = [1, 2], integer = true}``.

    Raises
    ------
    ConfigError
        For an unknown distribution or option (with the nearest name), and parameters that make no sense.
    """
    path = f"vary.{name}"
    if not isinstance(spec, Mapping):
        return Distribution("value", (spec,))
    known = (*KINDS, *OTHERS)
    given = [key for key in spec if key in known]
    for key in spec:
        if key not in known and key not in _OPTIONS:
            near = alike(str(key), (*known, *_OPTIONS))
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            what = "no such distribution" if not given else "no such option of a distribution"
            raise ConfigError(f"{path}.{key}", spec[key], what, hint)
    if len(given) != 1:
        raise ConfigError(path, dict(spec), f"must name one distribution of {', '.join(known)}",
                          f"{name} = {{ uniform = [1, 2] }}")  # fmt: skip
    (kind,) = given
    options: dict[str, Any] = {"mode": spec.get("as", "offset" if kind in ALONG else "value"), "per": spec.get("per")}
    for option, choices in (("mode", ("value", "offset", "factor")), ("per", (None, "frame", "series"))):
        if options[option] not in choices:
            key = "as" if option == "mode" else option
            names = ", ".join(map(repr, filter(None, choices)))
            raise ConfigError(f"{path}.{key}", options[option], f"must be one of {names}")
    options |= {
        "low": _number(f"{path}.min", spec.get("min", -math.inf)),
        "high": _number(f"{path}.max", spec.get("max", math.inf)),
        "integer": bool(spec.get("integer", False)),
    }
    if "weights" in spec and kind != "choice":
        raise ConfigError(f"{path}.weights", spec["weights"], "belong to a choice")
    if kind in OTHERS:
        return _listed(path, kind, spec, options)
    values = spec[kind] if isinstance(spec[kind], list | tuple) else [spec[kind]]
    wanted = KINDS[kind].parameters
    if len(values) != len(wanted):
        raise ConfigError(f"{path}.{kind}", spec[kind], f"must be [{', '.join(wanted)}]")
    numbers = tuple(_number(f"{path}.{kind}", value) for value in values)
    if wrong := KINDS[kind].check(numbers):
        raise ConfigError(f"{path}.{kind}", spec[kind], wrong)
    return Distribution(kind, numbers, **options)


def _listed(path: str, kind: str, spec: Mapping[str, Any], options: dict[str, Any]) -> Distribution:
    values = spec[kind]
    if kind == "value":
        return Distribution(kind, (values,), **options)
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, list | tuple) or not values:
        raise ConfigError(f"{path}.{kind}", values, "must be a list of values")
    if kind == "column":
        order = spec.get("order", "rows")
        if order not in ("rows", "random"):
            raise ConfigError(f"{path}.order", order, "must be 'rows' or 'random'")
        return Distribution(kind, tuple(values), in_order=order == "rows", **options)
    weights = spec.get("weights", [1.0] * len(values))
    if not isinstance(weights, list | tuple) or len(weights) != len(values):
        raise ConfigError(f"{path}.weights", weights, f"must be {len(values)} numbers, one for each value")
    shares = [_number(f"{path}.weights", weight) for weight in weights]
    if min(shares) < 0 or not sum(shares) > 0:
        raise ConfigError(f"{path}.weights", weights, "must be >= 0, and some above 0")
    cumulative = np.cumsum(shares) / sum(shares)
    return Distribution(kind, tuple(values), tuple(cumulative.tolist()), **options)


def _number(path: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or math.isnan(value):
        raise ConfigError(path, value, "must be a number")
    return float(value)
