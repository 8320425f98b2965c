"""The machinery behind the config objects: field metadata, and the checks made when an object is built.

A check made here holds in every fidelity. What is wrong only under the corrected model (or only as seen by the original)
is decided in `resolve`, where the quirks in force are known.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from nanobragg.arrays import is_complex, is_tensor, is_transformed, real_array
from nanobragg.config.spoken.speaks import Speaks
from nanobragg.errors import ConfigError

Check = tuple[Callable[[float], bool], str]
POSITIVE: Check = (lambda v: v > 0, "must be > 0")
NOT_NEGATIVE: Check = (lambda v: v >= 0, "must be >= 0")
AT_LEAST_ONE: Check = (lambda v: v >= 1, "must be >= 1")


def setting(
    default: Any = dataclasses.MISSING,
    *,
    kind: str = "other",
    part: type | None = None,
    several: bool = False,
    unit: str = "",
    differentiable: bool = False,
    flags: str = "",
    check: Check | None = None,
    choices: Sequence[str] | None = None,
    words: Sequence[str] = (),
    infinite_ok: bool = False,
    items_optional: bool = False,
    doc: str = "",
    factory: Any = dataclasses.MISSING,
) -> Any:
    """Declare one field of a config object together with everything that is known about it.

    Parameters
    ----------
    default, factory : object, optional
        As for `dataclasses.field`. None means "decide for me".
    kind : {"scalar", "edges", "spreads", "int", "bool", "enum", "vector2", "vector3", "matrix3", "array", "symbol", "other"}
        What is stored; decides the conversion and the checks. Edges: a number for both, or (fast, slow); spreads: a number for
        all three axes, or one for each.
    part : type, optional
        Class of a field that holds another object.
    several : bool
        Whether a tuple of such objects may stand there too.
    unit : str
        Unit of the value, empty when it has none.
    differentiable : bool
        Whether a tensor may stand here.
    flags : str
        The command-line flags that set the field.
    check : tuple of (callable, str), optional
        Test of every number and the requirement it states.
    choices : sequence of str, optional
        Legal values of an enum.
    words : sequence of str, optional
        Words that may stand in place of a number or vector.
    infinite_ok : bool
        Whether a number may be infinite.
    items_optional : bool
        Whether an element of a vector may be None, "not given".
    doc : str
        One line.
    """
    metadata = {
        "kind": kind,
        "part": part,
        "several": several,
        "optional": default == () and several,
        "unit": unit,
        "differentiable": differentiable,
        "flags": flags,
        "check": check,
        "choices": choices,
        "words": words,
        "infinite_ok": infinite_ok,
        "items_optional": items_optional,
        "doc": doc,
    }
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Config(Speaks):
    """Base of the config objects: checks every field against its metadata when the object is built."""

    _path: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            self._take(field, getattr(self, field.name))
        self._check()

    def _take(self, field: dataclasses.Field[Any], value: Any) -> None:
        path = f"{self._path}.{field.name}" if self._path else field.name
        if value is None and field.default is not None:
            raise ConfigError(path, None, "must have a value", "leave it out for the default")
        object.__setattr__(self, field.name, None if value is None else _converted(value, field.metadata, path))

    def _check(self) -> None:
        """Checks that concern several fields; overridden where there are any."""

    def stored(self) -> dict[str, Any]:
        """Values that stand in files in place of those of the fields; overridden where there are any."""
        return {}

    def with_value(self, name: str, value: Any) -> Self:
        """A copy with one field replaced: as `dataclasses.replace`, without checking the other fields one by one again."""
        return self.with_values({name: value})

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """The same for several fields, which are checked together."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        for name, value in values.items():
            other._take(self.__dataclass_fields__[name], value)  # type: ignore[attr-defined]
        other._check()
        return other


_LENGTHS = {"edges": 2, "spreads": 3}
"""Kinds that are one number or so many."""


def _converted(value: Any, meta: Any, path: str) -> Any:
    kind, part = meta["kind"], meta["part"]
    if part is not None:
        if meta["several"] and isinstance(value, tuple | list) and not value and meta["optional"]:
            return ()
        if meta["several"] and isinstance(value, tuple | list) and value:
            return tuple(_converted(item, {**meta, "several": False}, f"{path}[{i}]") for i, item in enumerate(value))
        if not isinstance(value, part):
            article = "an" if part.__name__[0] in "AEIO" else "a"
            raise ConfigError(path, value, f"must be {article} {part.__name__}", f"nanobragg.{part.__name__}(...)")
        return value
    if isinstance(value, str) and meta["words"]:
        if value not in meta["words"]:
            raise ConfigError(path, value, f"must be a number or {' or '.join(map(repr, meta['words']))}")
        return value
    if not meta["differentiable"] and _holds_tensor(value) and kind != "other":
        raise ConfigError(path, value, "is not differentiable and takes no tensor", "pass a plain number")
    if kind == "scalar" or (kind in _LENGTHS and not _has_axes(value)):
        return _scalar(value, meta, path)
    if kind in _LENGTHS:
        return _vector(value, _LENGTHS[kind], meta, path)
    if kind == "int":
        return _integer(value, meta, path)
    if kind == "bool":
        if not isinstance(value, (bool, np.bool_)):
            raise ConfigError(path, value, "must be True or False")
        return bool(value)
    if kind == "enum":
        if not isinstance(value, str) or value not in meta["choices"]:
            raise ConfigError(path, value, f"must be one of {', '.join(map(repr, meta['choices']))}")
        return value
    if kind in ("vector2", "vector3"):
        return _vector(value, int(kind[-1]), meta, path)
    if kind == "symbol" and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise ConfigError(path, value, "must be a symbol or a number")
    if kind == "matrix3":
        return _matrix(value, path)
    if kind == "array" and not is_tensor(value):
        return real_array(value, path)
    return value


def _holds_tensor(value: Any) -> bool:
    if is_tensor(value):
        return True
    return isinstance(value, (tuple, list)) and any(_holds_tensor(item) for item in value)


def check_tensors(config: Config) -> None:
    """Check what stands in tensors as plain numbers are checked when the object is built.

    Raises
    ------
    ConfigError
        For a tensor that holds NaN, an infinity or a number that its field refuses.
    """
    if "torch" not in sys.modules:
        return
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if isinstance(value, Config):
            check_tensors(value)
        elif isinstance(value, tuple) and any(isinstance(item, Config) for item in value):
            for item in value:
                check_tensors(item)
        elif field.metadata["differentiable"] and _holds_tensor(value) and not _holds_transformed(value):
            _converted(_without_gradient(value), field.metadata, f"{config._path}.{field.name}")


def _holds_transformed(value: Any) -> bool:
    return is_transformed(value) or (isinstance(value, tuple | list) and any(_holds_transformed(v) for v in value))


def _without_gradient(value: Any) -> Any:
    if is_tensor(value):
        return value.detach().cpu().numpy()
    return [_without_gradient(item) for item in value] if isinstance(value, (tuple, list)) else value


def _scalar(value: Any, meta: Any, path: str) -> Any:
    if is_tensor(value):
        if value.ndim != 0:
            raise ConfigError(path, f"tensor of shape {tuple(value.shape)}", "must be a number or a 0-d tensor")
        return value
    if isinstance(value, np.ndarray) and value.ndim:
        raise ConfigError(path, f"array of shape {value.shape}", "must be a number or a 0-d tensor")
    if isinstance(value, (bool, np.bool_, str, bytes)) or is_complex(value):
        raise ConfigError(path, value, "must be a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError(path, value, "must be a number") from None
    except OverflowError:
        number = math.inf
    if math.isnan(number) or (math.isinf(number) and not meta["infinite_ok"]):
        raise ConfigError(path, number, "must be a finite number")
    if meta["check"] and not meta["check"][0](number):
        raise ConfigError(path, number, meta["check"][1])
    return number


def _integer(value: Any, meta: Any, path: str) -> int:
    if isinstance(value, bool):
        raise ConfigError(path, value, "must be an integer")
    try:
        number = operator.index(value)
    except TypeError:
        if not (isinstance(value, float | np.floating) and value.is_integer()):
            raise ConfigError(path, value, "must be an integer") from None
        number = int(value)
    if meta["check"] and not meta["check"][0](number):
        raise ConfigError(path, number, meta["check"][1])
    return number


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except TypeError:  # not a sequence, or an array without axes
        return None


def _has_axes(value: Any) -> bool:
    return value.ndim > 0 if is_tensor(value) else not isinstance(value, str | bytes) and _length(value) is not None


def _vector(value: Any, length: int, meta: Any, path: str) -> Any:
    if is_tensor(value):
        if tuple(value.shape) != (length,):
            raise ConfigError(path, f"tensor of shape {tuple(value.shape)}", f"must have shape ({length},)")
        return value
    if isinstance(value, str | bytes | set | frozenset | dict) or _length(value) != length:
        raise ConfigError(path, value, f"must have {length} elements")
    if not meta["items_optional"] and any(item is None for item in value):
        raise ConfigError(path, value, f"must be {length} numbers")
    return tuple(None if item is None else _scalar(item, meta, f"{path}[{i}]") for i, item in enumerate(value))


def _matrix(value: Any, path: str) -> Any:
    if is_tensor(value):
        if tuple(value.shape) != (3, 3):
            raise ConfigError(path, f"tensor of shape {tuple(value.shape)}", "must have shape (3, 3)")
        return value
    matrix = real_array(value, path)
    if matrix.shape != (3, 3):
        raise ConfigError(path, f"array of shape {matrix.shape}", "must have shape (3, 3)")
    if not np.isfinite(matrix).all():
        raise ConfigError(path, value, "must be finite")
    return matrix
