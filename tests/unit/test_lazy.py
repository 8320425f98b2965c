"""Records whose methods are not compiled: they behave as those of the library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

import nanobragg
from nanobragg import lazy


def _classes(decorated: Any) -> tuple[Any, ...]:
    @decorated(frozen=True)
    class Point:
        x: float
        y: float = 2.0
        names: list[str] = dataclasses.field(default_factory=list)
        hidden: int = dataclasses.field(default=7, repr=False, compare=False)

    @decorated(frozen=True)
    class Place(Point):
        z: float = 3.0

    @decorated(frozen=True, eq=False, kw_only=True)
    class Named:
        last: int = 3
        first: int

    @decorated
    class Open:
        """Can be changed."""

        value: int = 1
        total: int = 0

        def __post_init__(self) -> None:
            self.total = 2 * self.value

    return Point, Place, Named, Open


OWN, LIBRARY = _classes(lazy.dataclass), _classes(dataclasses.dataclass)
Point, Place, Named, Open = OWN


@pytest.mark.parametrize(("own", "library"), list(zip(OWN, LIBRARY, strict=True)), ids=lambda cls: cls.__name__)
def test_signature_fields_and_repr(own: Any, library: Any) -> None:
    assert str(inspect.signature(own)) == str(inspect.signature(library))
    assert own.__match_args__ == library.__match_args__
    names = [field.name for field in dataclasses.fields(own)]
    assert names == [field.name for field in dataclasses.fields(library)]
    given: dict[str, Any] = {name: i for i, name in enumerate(names) if name in ("x", "first", "y")}
    assert repr(own(**given)) == repr(library(**given))
    assert dataclasses.asdict(own(**given)) == dataclasses.asdict(library(**given))
    assert (own.__hash__ is None) == (library.__hash__ is None)
    assert (own(**given) == own(**given)) == (library(**given) == library(**given))


def test_comparison_and_hash() -> None:
    @lazy.dataclass(frozen=True)
    class Pair:
        a: int
        b: int = 2

    assert hash(Pair(1)) == hash(Pair(1, 2)) == hash((1, 2))
    assert Pair(1) == Pair(a=1, b=2) != Pair(2) and Pair(1) != (1, 2)
    assert Point(1.0, hidden=1) == Point(1.0, hidden=2) != Place(1.0)
    assert Named(first=1) != Named(first=1) and len({Named(first=1), Named(first=1)}) == 2


def test_objects_share_no_default_list() -> None:
    Point(1.0).names.append("a")
    assert Point(1.0).names == []


def test_post_init_and_change() -> None:
    opened = Open(4)
    opened.value = 5
    assert (opened.value, opened.total) == (5, 8)
    point = Point(1.0)
    for change in (lambda: setattr(point, "x", 2.0), lambda: delattr(point, "x"), lambda: setattr(point, "new", 2.0)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert dataclasses.replace(point, x=5.0) == Point(5.0)


@pytest.mark.parametrize(
    ("values", "named", "text"),
    [
        ((), {}, "no value for x"),
        ((1, 2, [], 3, 4), {}, "5 values for 4"),
        ((1,), {"x": 2}, "more than one value for x"),
        ((1,), {"w": 2}, "no argument w"),
    ],
)
def test_wrong_arguments_are_named(values: tuple[Any, ...], named: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Point(*values, **named)
    for cls, arguments in ((LIBRARY[0], values), (Named, (1, 2))):
        with pytest.raises(TypeError):
            cls(*arguments, **named)


def test_copies_and_pickles() -> None:
    cell = nanobragg.UnitCell(70, 80, 90, 90, 95, 90)
    for other in (copy.copy(cell), copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert vars(other) == vars(cell) and type(other) is nanobragg.UnitCell


def test_the_package_compiles_no_record() -> None:
    """The library's decorator costs a quarter of a millisecond a class whenever the command starts; importing torch takes
    a second anyway."""
    for path in Path(nanobragg.__file__).parent.rglob("*.py"):
        if path.name != "lazy.py" and "torch_backend" not in path.parts:
            assert not re.search(
                r"from dataclasses import .*\bdataclass\b|@dataclasses\.dataclass", path.read_text()
            ), path
