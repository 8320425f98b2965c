"""Space groups as files name them: Hall symbols, Hermann-Mauguin symbols and numbers, every setting kept (gemmi).

A group is passed on as its Hall symbol (International Tables B 1.4), which says every operation in any setting and begins
with a blank or with ``-``; that is how it is told from a Hermann-Mauguin symbol: `` P 4 2`` is P 4 2 2, ``P 4 2`` is P 42.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nanobragg.io.optional import needed

P1 = " P 1"


def is_hall(group: str | int) -> bool:
    """Whether a group is given by a Hall symbol: its first character is a blank or ``-``."""
    return isinstance(group, str) and group[:1] in (" ", "-")


@lru_cache
def hall_symbol(group: str | int) -> str:
    """The Hall symbol of a group.

    Parameters
    ----------
    group : str or int
        Hall symbol (with a blank or ``-`` in front), Hermann-Mauguin symbol as ``P 21 21 21`` or ``R 3 2:H``, or number
        from 1 to 230, which means the setting that XDS takes: unique axis b, cell choice 1, hexagonal axes.

    Raises
    ------
    ValueError
        When no such group is known; the text says why.
    """
    gemmi = needed("gemmi", "space groups")
    if isinstance(group, int):
        if not 1 <= group <= 230:
            raise ValueError(f"{group} is not the number of a space group: 1 to 230")
        return _with_blank(gemmi.SpaceGroup(group).hall)
    if is_hall(group):
        try:
            gemmi.symops_from_hall(group)
        except RuntimeError as error:
            raise ValueError(f"{group!r} is not a Hall symbol: {error}") from None
        return group
    found = gemmi.find_spacegroup_by_name(group)
    if found is None:
        raise ValueError(f"{group!r} is the symbol of no known space group; write for example 'P 21 21 21'")
    return _with_blank(found.hall)


def as_hall(symbol: str) -> str:
    """A Hall symbol as it stands in a list, with the blank in front that some programs leave away."""
    return _with_blank(symbol.strip())


@lru_cache
def group_name(hall: str) -> str:
    """The Hermann-Mauguin symbol with its setting, or the Hall symbol where no table has the setting."""
    found = _found(hall)
    return hall if found is None else str(found.xhm())


@lru_cache
def standard_number(hall: str) -> int | None:
    """The number of a group in the one setting that XDS knows for it; None: it is in another setting.

    The origin plays no part, as it does not change which reflections are equivalent or absent.
    """
    gemmi = needed("gemmi", "space groups")
    symbol, _, change = hall.partition("(")
    change = change.rstrip(") ")
    found = _found(hall)
    if found is None and change and (not _letters(change) or gemmi.Op(change).rot == gemmi.Op("x,y,z").rot):
        found = _found(symbol)  # a shift of the origin alone
    if found is None or found.basisop.rot != gemmi.Op("x,y,z").rot:
        return None
    return int(found.number)


@lru_cache
def number(hall: str) -> int:
    """The number of a group in any setting: of a setting that no table has, that of the symbol before the parenthesis."""
    found = _found(hall) or _found(hall.partition("(")[0])
    if found is None:
        raise ValueError(f"{hall!r}: no table of space groups has it")
    return int(found.number)


LAUE_GROUPS = {
    "-1": "-P 1", "2/m": "-P 2y", "mmm": "-P 2 2", "4/m": "-P 4", "4/mmm": "-P 4 2", "-3": "-P 3", "-3m": '-P 3 2"',
    "-3m1": '-P 3 2"', "-31m": "-P 3 2", "6/m": "-P 6", "6/mmm": "-P 6 2", "m-3": "-P 2 2 3", "m-3m": "-P 4 2 3",
}  # fmt: skip
"""A group of each Laue group, in the usual setting: unique axis b, hexagonal axes; ``-3m`` is ``-3m1``."""


@lru_cache
def laue_rotations(group: str | int) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """The rotations (determinant +1) of a Laue group, as integer matrices that act on fractional coordinates.

    Parameters
    ----------
    group : str or int
        A Laue group, as ``4/mmm``, or a space group, which stands for the Laue group of its setting; as for `hall_symbol`.

    Raises
    ------
    ValueError
        When no such group is known.
    """
    gemmi = needed("gemmi", "Laue groups")
    if group in LAUE_GROUPS:
        hall = LAUE_GROUPS[group]
    else:
        try:
            hall = hall_symbol(group)
        except ValueError as error:
            raise ValueError(f"{error}; Laue groups are {', '.join(LAUE_GROUPS)}") from None
    found = set()
    for op in gemmi.symops_from_hall(hall).sym_ops:
        sign = 1 if op.det_rot() > 0 else -1
        found.add(tuple(tuple(sign * x // op.DEN for x in row) for row in op.rot))
    return tuple(sorted(found, reverse=True))


def _found(hall: str) -> Any:
    gemmi = needed("gemmi", "space groups")
    return gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(hall))


def _letters(change: str) -> bool:
    return any(letter in change for letter in "xyz")


def _with_blank(symbol: str) -> str:
    return symbol if symbol.startswith("-") else f" {symbol}"
