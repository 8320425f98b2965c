"""Checks of what goes into a table of structure factors."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from nanobragg.arrays import detached, is_complex, is_tensor, is_transformed, number, read_only
from nanobragg.errors import ConfigError

PATH = "crystal.structure_factors"


def index_array(hkl: Any) -> np.ndarray:
    """Miller indices as (n, 3) int64."""
    try:
        array = np.asarray(hkl.detach().cpu() if is_tensor(hkl) else hkl)
    except ValueError:  # rows of several lengths
        raise ConfigError(f"{PATH}.hkl", hkl, "must have shape (n, 3)") from None
    if array.ndim != 2 or array.shape[1] != 3:
        raise ConfigError(f"{PATH}.hkl", f"shape {array.shape}", "must have shape (n, 3)")
    if array.dtype.kind == "f":
        wrong = ~(np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**31)).all(1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ConfigError(f"{PATH}.hkl[{row}]", array[row].tolist(), "must be three integers")
    elif array.dtype.kind not in "iu":
        raise ConfigError(f"{PATH}.hkl", f"dtype {array.dtype}", "must be integers")
    return array.astype(np.int64)


def three_integers(value: Any) -> tuple[int, int, int]:
    """Indices of one corner of the table."""
    try:
        first, second, third = (operator.index(x) for x in value)
    except (TypeError, ValueError):
        raise ConfigError(f"{PATH}.hkl_min", value, "must be three integers") from None
    return first, second, third


def amplitudes(value: Any) -> Any:
    """Real amplitudes: a tensor itself, anything else as a read-only copy in float64."""
    path = f"{PATH}.amplitude"
    if not is_tensor(value):
        return _float_array(value, path)
    _refuse_complex(value, path)
    return value


def _float_array(value: Any, path: str) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind in "fiuO":
            return read_only(array, np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    except RuntimeError:  # a tensor inside a list: its gradient would be lost
        raise ConfigError(path, value, "must be one array or one tensor", "torch.stack([...]) joins tensors") from None
    else:
        _refuse_complex(array, path)
    raise ConfigError(path, value, "must be an array of numbers")


def _refuse_complex(values: Any, path: str) -> None:
    if is_complex(values):
        kind = str(values.dtype) if hasattr(values, "dtype") else "a complex number"
        raise ConfigError(path, kind, "must be real: the imaginary part would be lost", "pass abs(F), the amplitude")


def check_finite(values: Any, path: str) -> None:
    """Refuse NaN and infinities, and say which element it is."""
    if is_transformed(values):
        return
    finite = values.detach().isfinite().cpu().numpy() if is_tensor(values) else np.isfinite(values)
    if not finite.all():
        first = np.unravel_index(int(np.argmin(finite)), finite.shape)
        raise ConfigError(
            f"{path}[{', '.join(str(int(i)) for i in first)}]", float(values[first]), "must be a finite number"
        )


def finite_scalar(value: Any, path: str) -> Any:
    """A finite real number: a 0-d tensor itself, anything else as a float."""
    _refuse_complex(value, path)
    if is_tensor(value):
        if value.ndim != 0:
            raise ConfigError(path, f"tensor of shape {tuple(value.shape)}", "must be a number or a 0-d tensor")
    else:
        value = number(value, path)
    if not is_transformed(value) and not math.isfinite(detached(value)):
        raise ConfigError(path, detached(value), "must be a finite number")
    return value


def ascending_energies(value: Any, tables: Any) -> tuple[float, ...]:
    """Photon energies [eV] of a table each."""
    path = f"{PATH}.energy_ev"
    if is_tensor(value) or not isinstance(value, (tuple, list, np.ndarray)) or not len(value):
        raise ConfigError(path, value, "must be plain energies [eV], one for each table")
    energies = tuple(number(item, f"{path}[{i}]") for i, item in enumerate(value))
    for i, energy in enumerate(energies):
        if not (math.isfinite(energy) and energy > (energies[i - 1] if i else 0.0)):
            raise ConfigError(
                f"{path}[{i}]", energy, "must be finite, > 0 and ascend", "sort them, the tables with them"
            )
    if tables.ndim != 4 or tables.shape[0] != len(energies) or not math.prod(tables.shape):
        raise ConfigError(
            f"{PATH}.amplitude", f"shape {tuple(tables.shape)}",
            f"must have shape ({len(energies)}, n_h, n_k, n_l), a table for each of {len(energies)} energies",
            "StructureFactors.by_energy({energy: table, ...}) joins tables",
        )  # fmt: skip
    return energies


def count(value: Any, path: str) -> int:
    """A whole number >= 0."""
    try:
        whole = -1 if isinstance(value, bool) or is_tensor(value) else operator.index(value)
    except TypeError:
        whole = -1
    if whole < 0:
        raise ConfigError(path, value, "must be a whole number >= 0")
    return whole


def six_numbers(value: Any, path: str) -> tuple[float, ...]:
    """The parameters of a unit cell, as plain numbers."""
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 6:
        raise ConfigError(path, value, "must be six numbers: a, b, c [Angstrom], alpha, beta, gamma [degrees]")
    return tuple(number(item, f"{path}[{i}]") for i, item in enumerate(value))
