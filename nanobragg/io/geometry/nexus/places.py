"""Places in an open HDF5 file: what stands there, in which unit, and what to say when it is not there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.geometry.axes import Array
from nanobragg.io.geometry.record import Path
from nanobragg.io.images.hdf5 import broken_link, member, of_class, text_of
from nanobragg.io.units import known


class Places:
    """An open file; `where` is the place that is read, for messages."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file, self.where = path, file, "/"

    def fail(self, problem: str, where: str | None = None) -> FileFormatError:
        return FileFormatError(self.path, f"{where or self.where}: {problem}")

    def warn(self, problem: str) -> None:
        warnings.warn(f"{self.path}: {problem}", NanoBraggWarning, stacklevel=2)

    def item(self, name: str) -> Any:
        """What stands at a place, or None."""
        return member(self.file, name)

    def need(self, name: str) -> Any:
        self.where = name
        found = self.item(name)
        if found is None:
            broken = broken_link(self.file, name)
            if broken:
                raise FileFormatError(self.path, f"{broken}; put the file beside it")
            raise self.fail("is missing")
        return found

    def optional(self, name: str, what: str) -> Any:
        """What stands at a place; None, with a warning where a link to another file is broken."""
        found = self.item(name)
        if found is None:
            broken = broken_link(self.file, name)
            if broken:
                self.warn(f"{broken}; {what} is not read")
        return found

    def value(self, name: str, units: Mapping[str, float], default: str | None = None, *, quiet: bool = False) -> Array:
        """Numbers in our unit; `default` is the unit where none is stated, said in a warning unless `quiet`."""
        item = self.need(name)
        stated = item.attrs.get("units")
        if stated is None and default is not None:
            if not quiet:
                self.warn(f"{name}: has no units; {default} is taken")
            stated = default
        values = np.atleast_1d(np.asarray(item[()], dtype=np.float64)) * self.factor(name, stated, units)
        if not values.size or not np.isfinite(values).all():
            raise self.fail("holds no number, or one that is not finite", name)
        return values

    def factor(self, name: str, stated: Any, units: Mapping[str, float]) -> float:
        if stated is None:
            raise self.fail(f"has no units; expected one of {known(units)}", name)
        unit = text_of(stated).strip().lower()
        if unit not in units:
            raise self.fail(f"units={text_of(stated)!r}: expected one of {known(units)}", name)
        return units[unit]

    def of_class(self, group: Any, kind: str) -> list[str]:
        """Paths of the groups of a NeXus class, in order of their names."""
        return of_class(group, kind)

    def one(self, group: Any, kind: str) -> Any:
        self.where = group.name
        found = self.of_class(group, kind)
        if not found:
            raise self.fail(f"holds no {kind}")
        return self.need(found[0])

    def parent(self, name: str, item: Any) -> str:
        """What an axis depends on; ``.`` for nothing."""
        found = text_of(item.attrs.get("depends_on", "."))
        if found == ".":
            return found
        found = found if found.startswith("/") else f"{name.rpartition('/')[0]}/{found}"
        if self.item(found) is None:
            raise self.fail(broken_link(self.file, found) or f"depends on {found}, which is not there", name)
        return found
