"""Reflections in MTZ files: choice of the columns, reading and writing (gemmi)."""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.optional import needed
from nanobragg.io.reflections.symmetry import ListedCell, ReflectionList, codes, spacegroup_or_error
from nanobragg.lazy import dataclass

CALCULATED = (("FMODEL",), ("F-MODEL", "F_MODEL"), ("FC_ALL",), ("FC", "FCALC"), ("FC_ALL_LS",))
"""Labels of calculated amplitudes by rank, compared without case; of a pair without its signs."""
PREFERENCE = (*CALCULATED, ("FP", "F", "FOBS", "F-OBS", "FOBS_X"))
"""Then measured ones; then any one other amplitude, F(+)/F(-), and intensities."""
_NOT_AMPLITUDES = re.compile(r"FWT|FOFC|FDM|FEM|FAN|FREE|FOM|ANOM|DANO|EARLY|LATE|DIFF|DELTA|^D_?F", re.IGNORECASE)
"""Differences and map coefficients, which are never taken unasked."""
_SIZE = re.compile(rb"NCOL\s+(\d+)\s+(\d+)")
"""Columns and reflections in the header."""
_ORDERS: dict[int, Literal["big", "little"]] = {0x10: "big", 0x40: "little"}
"""Of bytes, by the first half of the second byte of the machine stamp; any other is taken for that of this machine."""
_MATES = (("(+)", "(-)"), ("+", "-"), ("_plus", "_minus"), ("PLUS", "MINUS"))
_AMPLITUDE, _AMPLITUDE_PAIR, _INTENSITY, _INTENSITY_PAIR = "F", "G", "J", "K"


@dataclass(frozen=True)
class _Choice:
    """Columns that give amplitudes: one, or one for each Friedel mate."""

    labels: tuple[str, ...]
    intensity: bool
    rank: int

    @property
    def name(self) -> str:
        return "/".join(self.labels)


def read_mtz(
    path: str | PathLike[str],
    label: str | None = None,
    *,
    anomalous: bool | None = None,
    space_group: str | None = None,
) -> ReflectionList:
    """Read amplitudes from a merged MTZ file.

    Parameters
    ----------
    path : path
        The file.
    label : str, optional
        Column (of a pair, either one). None: the first of FMODEL, F-model, FC_ALL, FC (single or a pair), FP or F,
        F(+)/F(-), and the square root of an intensity; the choice is said in a warning when there was one. Differences
        and map coefficients have to be asked for.
    anomalous : bool, optional
        True: insist on a pair of columns for the Friedel mates. False: their mean. None: as the columns are.
    space_group : str, optional
        In place of the file's.

    Raises
    ------
    FileFormatError
        When the file is no MTZ, unmerged, without cell or space group, or has no or several equally good columns; the
        message lists what there is.
    """
    gemmi = needed("gemmi", "reading MTZ files")
    data = read_bytes(path)
    order = _ORDERS.get(data[9] & 0xF0 if len(data) > 9 else 0, sys.byteorder)
    place = int.from_bytes(data[4:8], order, signed=True)
    if place == -1:  # of a file beyond 8 GiB
        place = int.from_bytes(data[12:20], order, signed=True)
    if not 0 < place <= len(data) // 4:  # gemmi makes room for all that lies before it
        raise FileFormatError(
            path, "is not an MTZ file that can be read: its header lies beyond its end; is it truncated?"
        )
    promised = _SIZE.search(data)
    if promised is not None and 4 * int(promised[1]) * int(promised[2]) > len(data):  # gemmi makes room first
        raise FileFormatError(path, f"promises {int(promised[1])} columns of {int(promised[2])} reflections, more than its "
                              f"{len(data)} bytes hold; is it truncated?")  # fmt: skip
    try:
        mtz = gemmi.read_mtz_file(fspath(path))
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(path, f"is not an MTZ file that can be read: {error}; is it truncated?") from None
    return from_gemmi(path, mtz, label, anomalous, space_group)


def from_gemmi(
    path: str | PathLike[str], mtz: Any, label: str | None, anomalous: bool | None, space_group: str | None
) -> ReflectionList:
    """The list behind an open gemmi.Mtz; see `read_mtz`."""
    try:
        return _from_gemmi(path, mtz, label, anomalous, space_group)
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"its header holds bytes that are not text: {error}; is it damaged?") from None


def _from_gemmi(
    path: str | PathLike[str], mtz: Any, label: str | None, anomalous: bool | None, space_group: str | None
) -> ReflectionList:
    if len(mtz.batches):
        raise FileFormatError(
            path, f"holds unmerged data ({len(mtz.batches)} batches); merge it first, e.g. with aimless"
        )
    indices = _indices(path, mtz)
    choice = _chosen(path, mtz, label, anomalous)
    group = spacegroup_or_error(path, mtz.spacegroup, space_group)
    cell: ListedCell = tuple(mtz.cell.parameters)
    if not mtz.cell.is_crystal():
        raise FileFormatError(path, f"has no unit cell ({' '.join(f'{x:g}' for x in cell)}); add it to the file")
    with np.errstate(invalid="ignore"):
        columns = [np.array(mtz.column_with_label(name).array, dtype=np.float64) for name in choice.labels]
    if np.isinf(columns).any():
        raise FileFormatError(path, f"column {choice.name}: holds an infinite value")
    if choice.intensity:
        negative = sum(int((column < 0).sum()) for column in columns)
        columns = [np.sqrt(np.maximum(column, 0.0)) for column in columns]
        warnings.warn(
            f"{path}: amplitudes are the square roots of the intensities {choice.name}"
            + (f"; {negative} negative ones count as 0" if negative else ""),
            NanoBraggWarning, stacklevel=2,
        )  # fmt: skip
    plus, minus = columns[0], columns[1] if len(columns) == 2 else None
    if minus is not None and anomalous is False:
        plus, minus = np.nanmean(np.stack([np.where(np.isnan(plus), minus, plus),
                                           np.where(np.isnan(minus), plus, minus)]), axis=0), None  # fmt: skip
    missing = int(np.isnan(plus).sum() if minus is None else (np.isnan(plus) & np.isnan(minus)).sum())
    if missing == len(plus):
        raise FileFormatError(path, f"column {choice.name}: every value is missing (NaN)",
                              remedy="choose another with", option="label")  # fmt: skip
    if missing:
        warnings.warn(f"{path}: {missing} of {len(plus)} reflections have no value in {choice.name} and get default_F",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
    return ReflectionList(
        path=path, hkl=indices, plus=plus, minus=minus, cell=cell, space_group=group, label=choice.name
    )


def _indices(path: str | PathLike[str], mtz: Any) -> NDArray[np.int64]:
    """(n, 3) from the columns of type H with the names H, K, L, wherever they stand."""
    found = {column.label.upper(): column for column in mtz.columns if column.type == "H"}
    if not {"H", "K", "L"} <= set(found):
        raise FileFormatError(
            path, f"has no columns H, K and L of type H; of this type it has: {', '.join(found) or 'none'}"
        )
    with np.errstate(invalid="ignore"):  # signalling NaN in a damaged file
        values = np.stack([np.array(found[name].array, dtype=np.float64) for name in "HKL"], 1)
    if not (np.isfinite(values).all() and (values == np.rint(values)).all() and (np.abs(values) < 2**20).all()):
        raise FileFormatError(path, "columns H, K, L: hold a value that is no whole number below 2^20")
    return values.astype(np.int64)


def _chosen(path: str | PathLike[str], mtz: Any, label: str | None, anomalous: bool | None) -> _Choice:
    choices = _choices(mtz, asked=label is not None)
    present = ", ".join(f"{column.label} ({column.type})" for column in mtz.columns if column.type != "H") or "none"
    if not choices:
        others = ", ".join(choice.name for choice in _choices(mtz, asked=True))
        hint = f"; differences and map coefficients have to be asked for with label=: {others}" if others else ""
        raise FileFormatError(path, f"has no column of amplitudes or intensities; it has: {present}{hint}")
    if label is not None:
        same = [c for c in choices if label in c.labels or label == c.name] or [
            c for c in choices if label.lower() in (x.lower() for x in (*c.labels, c.name))
        ]
        if not same:
            if label in mtz.column_labels():
                raise FileFormatError(
                    path,
                    f"column {label} holds no amplitudes or intensities (type {mtz.column_with_label(label).type}); "
                    f"usable: {', '.join(c.name for c in choices)}",
                )
            raise FileFormatError(path, f"has no column {label}; usable: {', '.join(c.name for c in choices)}")
        choices = same
    if anomalous:
        choices = [c for c in choices if len(c.labels) == 2]
        if not choices:
            raise FileFormatError(path, f"has no F(+)/F(-) or I(+)/I(-) columns for anomalous=True; it has: {present}")
    best = [c for c in choices if c.rank == choices[0].rank]
    if len(best) > 1:
        raise FileFormatError(
            path, f"ambiguous: {', '.join(c.name for c in best)} are equally good",
            remedy="choose one with", option="label",
        )  # fmt: skip
    if label is None and len(choices) > 1:
        others = ", ".join(c.name for c in choices[1:])
        warnings.warn(f"{path}: structure factors are taken from {best[0].name}; also there: {others} (label=)",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
    return best[0]


def _choices(mtz: Any, *, asked: bool) -> list[_Choice]:
    """Usable columns, best rank first; differences and map coefficients only when they are asked for."""
    labels = {column.label: column.type for column in mtz.columns}
    found = []
    for name, kind in labels.items():
        if kind == _AMPLITUDE and (asked or not _NOT_AMPLITUDES.search(name)):
            found.append(_Choice((name,), False, _rank(name, PREFERENCE, len(PREFERENCE))))
        elif kind == _INTENSITY:
            found.append(_Choice((name,), True, len(PREFERENCE) + (2 if name.upper() in _USUAL_INTENSITY else 3)))
        elif kind in (_AMPLITUDE_PAIR, _INTENSITY_PAIR):
            mate = _minus_mate(name, labels)
            if mate is not None:
                intensity = kind == _INTENSITY_PAIR
                rank = len(PREFERENCE) + (4 if intensity else 1)
                found.append(
                    _Choice((name, mate), intensity, rank if intensity else _rank(_base(name), CALCULATED, rank))
                )
    return sorted(found, key=lambda choice: choice.rank)


def _rank(name: str, preference: Any, other: int) -> int:
    return next((i for i, names in enumerate(preference) if name.upper() in names), other)


def _base(name: str) -> str:
    """The label of a pair without its sign."""
    for plus, _ in _MATES:
        name = name.replace(plus, "")
    return name


_USUAL_INTENSITY = ("I", "IMEAN", "I-OBS", "IOBS")


def _minus_mate(label: str, labels: dict[str, str]) -> str | None:
    for plus, minus in _MATES:
        mate = label.replace(plus, minus)
        if mate != label and labels.get(mate) == labels[label]:
            return mate
    return None


def write_mtz(
    path: str | PathLike[str], hkl: Any, amplitude: Any, cell: ListedCell, *, title: str = "nanobragg"
) -> None:
    """Write reflections of P1 as an MTZ file.

    One column ``F`` for half of reciprocal space when all Friedel mates agree, else ``F(+)`` and ``F(-)``.

    Parameters
    ----------
    path : path
        The file.
    hkl : (n, 3) integers
        Each index once, in any order.
    amplitude : (n,) array
        [electrons]
    cell : tuple of 6 float
        [Angstrom, degrees]
    title : str
        Of the file.
    """
    gemmi = needed("gemmi", "writing MTZ files")
    indices = np.asarray(hkl, np.int64)
    values = np.asarray(amplitude, np.float64)
    if indices.shape != (len(values), 3) or len(np.unique(codes(indices))) != len(indices):
        raise ConfigError("hkl", f"shape {indices.shape}", "must be (n, 3), each index once")
    half, plus, minus = _halves(indices, values)
    mtz = gemmi.Mtz(with_base=True)
    mtz.title = title
    mtz.spacegroup = gemmi.SpaceGroup("P 1")
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.add_dataset("nanobragg")
    if np.array_equal(plus, minus, equal_nan=True):
        mtz.add_column("F", _AMPLITUDE)
        data = [plus]
    else:
        mtz.add_column("F(+)", _AMPLITUDE_PAIR)
        mtz.add_column("F(-)", _AMPLITUDE_PAIR)
        data = [plus, minus]
    mtz.set_data(np.column_stack([half, *data]).astype(np.float32))
    with tempfile.NamedTemporaryFile(suffix=".mtz") as file:
        mtz.write_to_file(file.name)
        write_bytes(path, [file.read()])


def _halves(
    indices: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Half of reciprocal space, the amplitudes there and those of the mates (NaN where not listed)."""
    own, other = codes(indices), codes(-indices)
    upper = own >= other
    keys = np.unique(np.where(upper, own, other))
    half = np.stack([(keys >> 42) - (1 << 20), ((keys >> 21) & 0x1FFFFF) - (1 << 20), (keys & 0x1FFFFF) - (1 << 20)], 1)
    plus, minus = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    plus[np.searchsorted(keys, own[upper])] = values[upper]
    lower = ~upper | (own == other)
    minus[np.searchsorted(keys, other[lower])] = values[lower]
    return half, plus, minus
