"""Reflection lists of SHELXL (``.fcf``): CIF whose names have an underscore, symmetry by its operations (gemmi)."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.optional import needed
from nanobragg.io.reflections.symmetry import ListedCell, ReflectionList, spacegroup_or_error

_LABELS = ("F_calc", "F_squared_calc", "F_meas", "F_squared_meas")
"""Columns by rank, without ``_refln_``."""
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def read_fcf(
    path: str | PathLike[str], block: Any, label: str | None, anomalous: bool | None, space_group: str | None
) -> ReflectionList:
    """The amplitudes of an open gemmi.cif.Block; parameters as `nanobragg.io.reflections.mtz.read_mtz`.

    Squares of amplitudes become amplitudes, negative ones 0.

    Raises
    ------
    FileFormatError
        When a column, the cell or the symmetry is missing or has a value that is no number.
    """
    found = [name for name in _LABELS if len(block.find_values(f"_refln_{name}"))]
    if label is None:
        chosen = found[:1]
    else:
        chosen = [name for name in found if label.removeprefix("_refln_").lower() == name.lower()]
    if not chosen:
        raise FileFormatError(path, f"has no column {label or 'of amplitudes'}; usable: {', '.join(found) or 'none'}")
    if anomalous:
        raise FileFormatError(path, "has no F(+)/F(-) columns for anomalous=True: mates stand in rows of their own")
    if label is None and len(found) > 1:
        warnings.warn(f"{path}: structure factors are taken from {chosen[0]}; also there: {', '.join(found[1:])} (label=)",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
    columns = [_numbers(path, block, f"_refln_index_{letter}") for letter in "hkl"]
    values = _numbers(path, block, f"_refln_{chosen[0]}")
    if any(len(column) != len(values) for column in columns):
        raise FileFormatError(path, f"_refln_index_h, _k, _l: must have a row for each value of {chosen[0]}")
    hkl = np.stack(columns, 1)
    if not np.isfinite(hkl).all() or (hkl != np.rint(hkl)).any() or (np.abs(hkl) >= 2**20).any():
        raise FileFormatError(path, "_refln_index_h, _k, _l: must be whole numbers below 2^20")
    if "squared" in chosen[0]:
        negative = int((values < 0).sum())
        if negative:
            warnings.warn(
                f"{path}: {negative} negative values of {chosen[0]} count as 0", NanoBraggWarning, stacklevel=2
            )
        values = np.sqrt(np.maximum(values, 0.0))
    return ReflectionList(path=path, hkl=hkl.astype(np.int64), plus=values, minus=None, cell=_cell(path, block),
                          space_group=_group(path, block, space_group), label=chosen[0])  # fmt: skip


def _numbers(path: str | PathLike[str], block: Any, name: str) -> NDArray[np.float64]:
    """A column; ``.`` and ``?`` are NaN, a standard uncertainty in parentheses is passed over."""
    as_number = needed("gemmi", "reading CIF").cif.as_number
    texts = list(block.find_values(name))
    values = np.array([as_number(text) for text in texts], dtype=np.float64)
    wrong = [text for text, value in zip(texts, values, strict=True) if np.isnan(value) and text not in (".", "?")]
    if wrong or np.isinf(values).any():
        raise FileFormatError(path, f"{name}: {wrong[0] if wrong else 'inf'} is not a number")
    return values


def _cell(path: str | PathLike[str], block: Any) -> ListedCell:
    values = []
    for name in _CELL:
        column = _numbers(path, block, f"_cell_{name}")
        if len(column) != 1 or not column[0] > 0:
            raise FileFormatError(path, f"has no _cell_{name}; add it to the file")
        values.append(float(column[0]))
    return tuple(values)


def _group(path: str | PathLike[str], block: Any, stated: str | None) -> str:
    gemmi = needed("gemmi", "symmetry")
    found = None
    for name in _OPERATIONS:
        texts = [gemmi.cif.as_string(text) for text in block.find_values(name)]
        if texts:
            try:
                found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps([gemmi.Op(text) for text in texts]))
            except (RuntimeError, ValueError) as error:
                raise FileFormatError(path, f"{name}: {error}") from None
            break
    return spacegroup_or_error(path, found, stated)
