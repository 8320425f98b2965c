"""Names of a room that are loaded from their file when they are first used, so that importing the package stays quick.

The stub of the room (``__init__.pyi``) is the one list of them: mypy and editors read it for the types, `attach` for the
files. This is the only way in which the package loads files of its own late; inside functions it imports third parties
alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

_LINE = re.compile(r"^from (\S+) import (\w+) as \2$", re.MULTILINE)
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
        return {name: home for home, name in _LINE.findall(stub.read())}


def _within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")
