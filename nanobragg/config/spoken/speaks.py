"""Help, signature and repr of the config objects, made from the metadata of their fields when they are asked for."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from nanobragg.arrays import detached, is_tensor, is_transformed

_SMALL = 9
"""Arrays of at most so many numbers are shown whole."""
_SHOWN = 3
"""Of a set, so many members are shown; of several parts, as panels, one."""
_WIDTH = 100
"""A repr that would be longer has a line for each part."""


class Tensor:
    """Stands in signatures for ``torch.Tensor`` as long as torch is not loaded."""


Tensor.__module__ = "torch"


class _Help:
    """The docstring of a config class: its own text, then its fields. Made at the first look, not at the import."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, _: Any, cls: type) -> str:
        if "__match_args__" not in vars(cls):  # `dataclass` is still at work, and only asks whether there is a text
            return self.text
        return "\n".join([self.text.rstrip(), *_fields_help(cls)])


class _Signature:
    """The signature of a config class, with the types that its fields take."""

    def __get__(self, _: Any, cls: type) -> inspect.Signature:
        if not dataclasses.is_dataclass(cls):  # the base of the config objects
            raise AttributeError("__signature__")
        kind = inspect.Parameter.KEYWORD_ONLY
        made: dict[bool, list[inspect.Parameter]] = {False: [], True: []}
        for field in dataclasses.fields(cls):
            default = _Default(field) if _has_default(field) else inspect.Parameter.empty
            place = kind if field.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
            made[field.kw_only is True].append(
                inspect.Parameter(field.name, place, default=default, annotation=type_of(field.metadata, field.default))
            )
        return inspect.Signature([*made[False], *made[True]])


class _Default:
    """A default in a signature."""

    def __init__(self, field: dataclasses.Field[Any]) -> None:
        self.field = field

    def __repr__(self) -> str:
        return default_text(self.field)


class Speaks:
    """Base of the config objects, for what people read of them."""

    __signature__: Any

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.__doc__ = _Help(inspect.cleandoc(vars(cls).get("__doc__") or ""))  # type: ignore[assignment]
        cls.__signature__ = _Signature()  # `dataclass` leaves alone what the class has already
        if "__repr__" not in vars(cls):
            cls.__repr__ = Speaks.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        shown = [f"{name}={self._worded(name, value)}" for name, value in told(self)]
        line = f"{type(self).__name__}({', '.join(shown)})"
        if len(line) <= _WIDTH or not any(isinstance(value, Speaks) for _, value in told(self)):
            return line
        return f"{type(self).__name__}(\n" + "".join(f"{_indented(text)},\n" for text in shown) + ")"

    def _worded(self, name: str, value: Any) -> str:
        """The value of a field in short; overridden where a field has words of its own."""
        return shown_value(value)

    def _overridden(self) -> dict[str, str]:
        """Fields that others make ineffective, with the reason; they are not shown as if they counted."""
        return {}


def overridden(part: Any) -> dict[str, str]:
    """The fields of a part that others of its fields override, each with the reason."""
    return part._overridden() if isinstance(part, Speaks) else {}


def told(part: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields that differ from their default and count."""
    silent = overridden(part)
    for field in dataclasses.fields(part):
        value = getattr(part, field.name, field.default)
        if field.name not in silent and not _is_default(value, field):
            yield field.name, value


def _is_default(value: Any, field: dataclasses.Field[Any]) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return isinstance(value, Speaks) and next(told(value), None) is None
    if value is field.default:
        return True
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(x, float | int | str | frozenset) for x in items) and bool(value == field.default)


def shown_value(value: Any) -> str:
    """A value in short: numbers as they are, arrays by shape and kind."""
    if is_tensor(value):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float | np.floating):
        return f"{value + 0.0:.10g}"  # -0 is 0
    if isinstance(value, slice):
        return f"slice({value.start}, {value.stop})"
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, frozenset | set):
        return _set(value)
    if isinstance(value, tuple | list):
        texts = [shown_value(item) for item in value]
        if any(isinstance(item, Speaks) for item in value):
            return f"({texts[0]},{f' ... {len(value)} in all' if len(value) > 1 else ''})"
        return f"({', '.join(texts)}{',' if len(value) == 1 else ''})"
    return repr(value)


def _set(value: Any) -> str:
    names = sorted(shown_value(item) for item in value)
    more = [f"... {len(names)} in all"] if len(names) > _SHOWN else []
    return f"{{{', '.join([*names[:_SHOWN], *more])}}}"


def _tensor(value: Any) -> str:
    gradient = ", requires_grad" if value.requires_grad else ""
    if value.ndim == 0 and not is_transformed(value):
        return f"tensor({detached(value):.10g}{gradient})"
    return f"<tensor {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}{gradient}>"


def _array(value: Any) -> str:
    if value.dtype == bool and value.ndim == 2:
        return f"<mask {value.shape}, {int((~value).sum())} pixels off>"
    if value.size <= _SMALL and value.dtype.kind in "fiu":
        return shown_value(value.tolist())
    return f"<{value.dtype} {value.shape}>"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def default_text(field: dataclasses.Field[Any]) -> str:
    """The default of a field as one types it; empty: it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return f"{getattr(field.default_factory, '__name__', 'object')}()"
    if not _has_default(field):
        return ""
    return repr(field.default) if isinstance(field.default, str) else shown_value(field.default)


def type_of(meta: Any, default: Any = dataclasses.MISSING) -> Any:
    """The type that a field takes, as `typing` has it."""
    kinds: list[Any] = [_plain_type(meta)]
    if meta["several"]:
        kinds.append(types.GenericAlias(tuple, (meta["part"], ...)))
    if meta["words"]:
        kinds.append(Literal[tuple(meta["words"])])
    if meta["differentiable"]:
        kinds.append(sys.modules["torch"].Tensor if "torch" in sys.modules else Tensor)
    if default is None:
        kinds.append(types.NoneType)
    found: Any = kinds[0]
    for kind in kinds[1:]:
        found = found | kind
    return found


def _plain_type(meta: Any) -> Any:
    if meta["part"] is not None:
        return meta["part"]
    if meta["kind"] == "enum":
        return Literal[tuple(meta["choices"])]
    if meta["kind"] == "spreads":
        return float | types.GenericAlias(tuple, (float,) * 3)
    if meta["kind"].startswith("vector"):
        item: Any = float | None if meta["items_optional"] else float
        return types.GenericAlias(tuple, (item,) * int(meta["kind"][-1]))
    if meta["kind"] == "edges":
        return float | types.GenericAlias(tuple, (float, float))
    known = {"scalar": float, "int": int, "bool": bool, "matrix3": np.ndarray, "array": np.ndarray, "symbol": str | int}
    return known.get(meta["kind"], Any)


def _fields_help(cls: type) -> Iterator[str]:
    yield from ("", "Parameters", "----------")
    for field in dataclasses.fields(cls):
        yield f"{field.name} : {', '.join(field_facts(field))}"
        flags = f" (flags {field.metadata['flags']})" if field.metadata["flags"] else ""
        yield f"    {field.metadata['doc']}{flags}".rstrip()
    yield from (
        "",
        "Raises",
        "------",
        "ConfigError",
        "    For a value that a field refuses; it names field and remedy.",
    )


def field_facts(field: dataclasses.Field[Any]) -> Iterator[str]:
    """Type with unit, default, and whether the image can be differentiated by it, in the words of numpydoc."""
    meta = field.metadata
    unit = f" [{meta['unit']}]" if meta["unit"] else ""
    yield " or ".join(_type_words(meta)) + unit
    yield f"default {default_text(field)}" if _has_default(field) else "required"
    if meta["differentiable"]:
        yield "differentiable"


def _type_words(meta: Any) -> Iterator[str]:
    kind, part = meta["kind"], meta["part"]
    if part is not None:
        yield part.__name__
        if meta["several"]:
            yield f"tuple of {part.__name__}"
    elif kind == "enum":
        yield f"{{{', '.join(map(repr, meta['choices']))}}}"
    elif kind.startswith("vector"):
        yield f"{kind[-1]} floats"
    else:
        known = {
            "scalar": "float",
            "edges": "float or 2 floats",
            "spreads": "float or 3 floats",
            "matrix3": "(3, 3) array",
            "symbol": "str or int",
            "other": "object",
        }
        yield known.get(kind, kind)
    yield from map(repr, meta["words"])
    if meta["differentiable"]:
        yield "tensor"
