"""From the unique reflections of a space group to every reflection of P1, Friedel mates kept apart.

Amplitudes alone are expanded: F(hR) and F(h) have the same amplitude for every operation x -> R x + t, and h as a row
(International Tables B 1.4.4), so no phase is needed.
"""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.optional import needed
from nanobragg.lazy import dataclass

ListedCell = tuple[float, ...]
"""a, b, c [Angstrom], alpha, beta, gamma [degrees]"""
_DISAGREE = 0.01
"""Relative difference of two amplitudes that symmetry makes equal, above which a list is not in the stated symmetry."""
_ABSENT = 0.1
"""Mean amplitude of listed absences, relative to that of all, above which a list is not in the stated symmetry: noise
in measured absences stays below it."""


@dataclass(frozen=True, kw_only=True)
class ReflectionList:
    """Reflections of one space group as a file lists them."""

    path: str | PathLike[str]
    hkl: NDArray[np.int64]
    """(n, 3)"""
    plus: NDArray[np.float64]
    """(n,) amplitude of h k l [electrons]; NaN: not in the file"""
    minus: NDArray[np.float64] | None
    """(n,) amplitude of -h -k -l; NaN: not in the file; None: Friedel mates are equal unless both are listed"""
    cell: ListedCell
    space_group: str
    """Hermann-Mauguin symbol with its setting, as gemmi writes it"""
    label: str
    """columns that were read"""


@dataclass(frozen=True, kw_only=True)
class FullList:
    """Every reflection of P1, both Friedel mates, each once."""

    hkl: NDArray[np.int64]
    amplitude: NDArray[np.float64]
    d_min: float
    """spacing of the outermost reflection [Angstrom]"""


def expand(reflections: ReflectionList) -> FullList:
    """All symmetry mates and Friedel mates of a list.

    Systematic absences are dropped when they are weak (with a warning), since their amplitude is 0.

    Raises
    ------
    FileFormatError
        When nothing is left, or the list contradicts its space group: strong absences, or mates that disagree.
    """
    path = reflections.path
    rotations, translations = operations(reflections.space_group)
    hkl, amplitude = _entries(reflections, rotations)
    if not len(hkl):
        raise FileFormatError(path, f"column {reflections.label}: no reflection has a value")
    hkl, amplitude = _without_absences(reflections, hkl, amplitude, rotations, translations)
    if not len(hkl):
        raise FileFormatError(path, f"every reflection is a systematic absence of {reflections.space_group}")
    hkl, amplitude = _unique(reflections, hkl, amplitude, rotations)
    every = np.concatenate([hkl @ r for r in rotations])
    amplitudes = np.tile(amplitude, len(rotations))
    _, first = np.unique(codes(every), return_index=True)
    every, amplitudes = every[first], amplitudes[first]
    gemmi = needed("gemmi", "symmetry")
    try:
        d = gemmi.UnitCell(*reflections.cell).calculate_d_array(every.astype(np.int32))
    except RuntimeError:  # an angle that is a multiple of 180 degrees
        d = np.zeros(1)
    if not 0 < np.min(d) < np.inf:
        cell = " ".join(f"{x:g}" for x in reflections.cell)
        raise FileFormatError(path, f"the unit cell {cell} gives reflections no spacing")
    return FullList(hkl=every, amplitude=amplitudes, d_min=float(np.min(d)))


def every_mate(
    hkl: NDArray[np.int64], space_group: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """All symmetry mates and Friedel mates of unique reflections, each once, without systematic absences.

    Returns
    -------
    hkl : (m, 3)
    row : (m,)
        Which of the unique reflections each of them is a mate of.
    friedel : (m,)
        True where it is one by inversion alone: F is that of -h -k -l.
    """
    rotations, translations = operations(space_group)
    kept = np.flatnonzero(~_absent(hkl, rotations, translations))
    every = np.concatenate([sign * hkl[kept] @ r for sign in (1, -1) for r in rotations])
    _, first = np.unique(codes(every), return_index=True)
    return every[first], kept[first % len(kept)], first >= len(kept) * len(rotations)


def operations(space_group: str) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """Rotations, each (3, 3) and used as h' = h @ R, and translations (n_centrings, n_rotations, 3) [fractions of the cell].

    The identity comes first in both; every centring vector is added to the translation of every rotation.
    """
    gemmi = needed("gemmi", "symmetry")
    group = gemmi.SpaceGroup(space_group).operations()
    rotations = [np.array(op.rot, dtype=np.int64) // op.DEN for op in group.sym_ops]
    shifts = [
        [[(t + c) / op.DEN for t, c in zip(op.tran, centring, strict=True)] for op in group.sym_ops]
        for centring in group.cen_ops
    ]
    return rotations, np.array(shifts, dtype=np.float64)


def absent(hkl: NDArray[np.int64], space_group: str) -> NDArray[np.bool_]:
    """True for the systematic absences: an operation leaves h alone but shifts its phase."""
    return _absent(hkl, *operations(space_group))


def _absent(
    hkl: NDArray[np.int64], rotations: list[NDArray[np.int64]], translations: NDArray[np.float64]
) -> NDArray[np.bool_]:
    found = np.zeros(len(hkl), bool)
    for shifts in translations:
        for rotation, shift in zip(rotations, shifts, strict=True):
            phase = hkl @ shift
            found |= (hkl @ rotation == hkl).all(1) & (np.abs(phase - np.rint(phase)) > 1e-6)
    return found


def codes(hkl: NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer for each index triple with |index| < 2^20, ordered as the triples are."""
    shifted = np.asarray(hkl, np.int64) + (1 << 20)
    return (shifted[:, 0] << 42) | (shifted[:, 1] << 21) | shifted[:, 2]


def _representative(hkl: NDArray[np.int64], rotations: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The code that all symmetry mates (not Friedel mates) share: the largest of theirs."""
    largest = codes(hkl)
    for rotation in rotations[1:]:
        np.maximum(largest, codes(hkl @ rotation), out=largest)
    return largest


def _entries(
    reflections: ReflectionList, rotations: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Both Friedel mates as separate entries, those without a value filled from the other mate."""
    hkl, plus = reflections.hkl, reflections.plus
    if reflections.minus is None:
        present = ~np.isnan(plus)
        hkl, plus = hkl[present], plus[present]
        alone = ~np.isin(_representative(-hkl, rotations), _representative(hkl, rotations))
        return np.concatenate([hkl, -hkl[alone]]), np.concatenate([plus, plus[alone]])
    minus = np.where(np.isnan(reflections.minus), plus, reflections.minus)
    plus = np.where(np.isnan(plus), minus, plus)
    present = ~np.isnan(plus)
    hkl, plus, minus = hkl[present], plus[present], minus[present]
    centric = _representative(hkl, rotations) == _representative(-hkl, rotations)
    mean = (plus + minus) / 2  # mates by symmetry: one value
    plus, minus = np.where(centric, mean, plus), np.where(centric, mean, minus)
    return np.concatenate([hkl, -hkl]), np.concatenate([plus, minus])


def _without_absences(
    reflections: ReflectionList, hkl: NDArray[np.int64], amplitude: NDArray[np.float64],
    rotations: list[NDArray[np.int64]], translations: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    gone = _absent(hkl, rotations, translations)
    if not gone.any():
        return hkl, amplitude
    strength = amplitude[gone].mean() / max(amplitude.mean(), 1e-300)
    first = hkl[gone][int(np.argmax(amplitude[gone]))].tolist()
    if strength > _ABSENT:
        raise FileFormatError(
            reflections.path,
            f"the list is not in its space group {reflections.space_group}: {int(gone.sum())} systematic absences have "
            f"amplitudes, for example F{tuple(first)}={amplitude[gone].max():g}; give the right one with space_group=",
        )
    if amplitude[gone].any():
        warnings.warn(
            f"{reflections.path}: {int(gone.sum())} weak systematic absences of {reflections.space_group} are set to 0",
            NanoBraggWarning, stacklevel=2,
        )  # fmt: skip
    return hkl[~gone], amplitude[~gone]


def _unique(
    reflections: ReflectionList, hkl: NDArray[np.int64], amplitude: NDArray[np.float64],
    rotations: list[NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """One entry for each set of mates; mates that disagree are refused."""
    key = _representative(hkl, rotations)
    _, first, inverse, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    mean = np.bincount(inverse, amplitude) / count
    off = np.abs(amplitude - mean[inverse])
    wrong = off > _DISAGREE * np.maximum(np.abs(mean[inverse]), 1e-3 * np.abs(amplitude).mean())
    if wrong.any():
        row = int(np.argmax(wrong))
        mate = int(first[inverse[row]])
        if mate == row:
            mate = int(np.flatnonzero((inverse == inverse[row]) & (np.arange(len(key)) != row))[0])
        raise FileFormatError(
            reflections.path,
            f"the list is not in its space group {reflections.space_group}: {tuple(hkl[mate].tolist())} and "
            f"{tuple(hkl[row].tolist())} are equivalent but have F={amplitude[mate]:g} and {amplitude[row]:g}; "
            "merge it first, or give the right one with space_group=",
        )
    return hkl[first], mean


def spacegroup_or_error(path: str | PathLike[str], found: Any, stated: str | None) -> str:
    """The space group that the caller states, or the one found in the file.

    Raises
    ------
    FileFormatError
        When there is neither, or the stated one is unknown.
    """
    gemmi = needed("gemmi", "symmetry")
    if stated is not None:
        group = gemmi.find_spacegroup_by_name(stated)
        if group is None:
            raise FileFormatError(path, f"space_group={stated!r} is unknown; write for example 'P 21 21 21'")
        return str(group.xhm())
    if found is None:
        raise FileFormatError(path, "names no known space group; give it with space_group='P 21 21 21'")
    return str(found.xhm())
