"""What is made when it is first needed, so that importing the package stays quick: files of a room, methods of records.

The stub of a room (``__init__.pyi``) is the one list of its names that are loaded late: mypy and editors read it for the
types, `attach` for the files. This is the only way in which the package loads files of its own late; inside functions it
imports third parties alone.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

_LINE = r"^from (\S+) import (\w+) as \2$"
_HOMES: dict[str, dict[str, str]] = {}
"""Module of every name that a room can load, by room."""


def attach(room: str, *beside: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The ``__getattr__``, ``__dir__`` and ``__all__`` of a room: the names that its stub lists.

    Names that the stub takes from a room above are left to that room, see `supply`.

    Parameters
    ----------
    room : str
        ``__name__`` of the package; its stub has lines ``from module import name as name``.
    *beside : str
        Other packages that belong to the room.
    """
    listed = _listed(room)
    homes = _HOMES[room] = {
        name: home for name, home in listed.items() if any(_within(home, own) for own in (room, *beside))
    }

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        home = homes[name]
        value = import_module(f"{home}.{name}") if home == room else getattr(import_module(home), name)
        setattr(sys.modules[room], name, value)
        return value

    def names() -> list[str]:
        return sorted({*listed, *(name for name in vars(sys.modules[room]) if name.startswith("__"))})

    return load, names, sorted(listed)


def supply(room: str, above: str) -> None:
    """Let a room load the names that its stub takes from a room `above` it; called by the room above."""
    _HOMES[room].update((name, home) for name, home in _listed(room).items() if _within(home, above))


def _listed(room: str) -> dict[str, str]:
    with open(f"{sys.modules[room].__file__}i", encoding="utf-8") as stub:
        return {name: home for home, name in re.findall(_LINE, stub.read(), re.MULTILINE)}


def _within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, *, frozen: bool = False, eq: bool = True, kw_only: bool = False) -> Any:
        """As `dataclasses.dataclass`, a quarter of a millisecond quicker: nothing is compiled for the class.

        The library writes and compiles up to six methods for every class. Here they are the functions below, which walk
        along the list of fields. ``dataclasses.fields``, ``replace``, ``asdict``, ``inspect.signature`` and subclasses work
        as ever.
        """
        if cls is None:
            return lambda decorated: dataclass(decorated, frozen=frozen, eq=eq, kw_only=kw_only)
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        methods = {"__init__": _init, "__repr__": _repr}
        if not hasattr(cls, "__signature__"):
            methods["__signature__"] = _Signature()
        if eq:
            methods |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
        if frozen:
            methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
        for name, method in methods.items():
            if name not in vars(cls):
                setattr(cls, name, method)
        return cls


class _Plan:
    """How an object of a class is filled."""

    def __init__(self, cls: Any) -> None:
        fields = dataclasses.fields(cls)
        self.positional = tuple(f.name for f in fields if not f.kw_only)
        self.empty = {f.name: f.default for f in fields}
        self.factories = tuple(
            (f.name, f.default_factory) for f in fields if f.default_factory is not dataclasses.MISSING
        )
        made = {name for name, _ in self.factories}
        self.required = tuple(name for name, d in self.empty.items() if d is dataclasses.MISSING and name not in made)
        self.completed = hasattr(cls, "__post_init__")


_PLANS: dict[type, _Plan] = {}


def _init(self: Any, /, *values: Any, **named: Any) -> None:
    cls, state = type(self), self.__dict__
    plan = _PLANS.get(cls) or _PLANS.setdefault(cls, _Plan(cls))
    state.update(plan.empty)
    if values:
        if len(values) > len(plan.positional):
            raise TypeError(f"{cls.__name__}: {len(values)} values for {len(plan.positional)} positional arguments")
        if named and (twice := named.keys() & plan.positional[: len(values)]):
            raise TypeError(f"{cls.__name__}: more than one value for {', '.join(sorted(twice))}")
        state.update(zip(plan.positional, values, strict=False))
    if named:
        state.update(named)
        if len(state) != len(plan.empty):
            raise TypeError(
                f"{cls.__name__} has no argument {', '.join(name for name in named if name not in plan.empty)}"
            )
    for name, factory in plan.factories:
        if state[name] is dataclasses.MISSING:
            state[name] = factory()
    for name in plan.required:
        if state[name] is dataclasses.MISSING:
            raise TypeError(f"{cls.__name__}: no value for {name}")
    if plan.completed:
        self.__post_init__()


def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(record: Any) -> tuple[Any, ...]:
    return tuple([getattr(record, f.name) for f in dataclasses.fields(record) if f.compare])


def _eq(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _refuse(self: Any, name: str, *_: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name!r} of {type(self).__name__}; use dataclasses.replace")


class _Signature:
    """``__signature__`` of a class, made when it is asked for: help and documentation show every argument."""

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is not None:
            raise AttributeError("__signature__")
        import inspect

        kinds = inspect.Parameter
        parameters = []
        for f in dataclasses.fields(owner):
            made = f.default_factory is not dataclasses.MISSING
            default = _FACTORY if made else kinds.empty if f.default is dataclasses.MISSING else f.default
            kind = kinds.KEYWORD_ONLY if f.kw_only else kinds.POSITIONAL_OR_KEYWORD
            parameters.append(kinds(f.name, kind, default=default, annotation=f.type))
        parameters.sort(key=lambda parameter: parameter.kind)
        return inspect.Signature(parameters, return_annotation=None)


class _Factory:
    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()
