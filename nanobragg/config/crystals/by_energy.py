"""Tables of structure factors of several photon energies, joined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanobragg.arrays import MAX_TABLE_BYTES, checked_table_bytes, detached, is_tensor
from nanobragg.config.table_checks import PATH
from nanobragg.errors import ConfigError


def joined(kind: Any, tables: dict[float, Any]) -> Any:
    """An object of the class StructureFactors from one for each energy; see its `by_energy`."""
    if not tables or not all(isinstance(table, kind) and table.has_table for table in tables.values()):
        raise ConfigError(
            f"{PATH}.by_energy", list(tables.values()), "must have a table for each energy", "{9000.0: StructureFactors...}"
        )  # fmt: skip
    energies = sorted(tables)
    parts = [tables[energy] for energy in energies]
    first = parts[0]
    for energy, part in zip(energies, parts, strict=True):
        if part.energy_ev is not None:
            raise ConfigError(
                f"{PATH}.by_energy[{energy:g}]", part, "has several energies already", "take one: at(energy_ev)"
            )
        if detached(part.default_F) != detached(first.default_F):
            raise ConfigError(
                f"{PATH}.by_energy[{energy:g}]",
                part,
                f"default_F must be {detached(first.default_F):g} as that of the others",
            )
        if None not in (part.unit_cell, first.unit_cell) and not np.allclose(
            part.unit_cell, first.unit_cell, rtol=1e-3
        ):
            raise ConfigError(
                f"{PATH}.by_energy[{energy:g}]", part.unit_cell, f"is another cell than {first.unit_cell}",
                "tables of one crystal belong together",
            )  # fmt: skip
    low = np.min([part.hkl_min for part in parts], axis=0)
    high = np.max([part.hkl_max for part in parts], axis=0)
    shape = tuple(int(n) for n in high - low + 1)
    checked_table_bytes((shape[0] * len(parts), shape[1], shape[2]), MAX_TABLE_BYTES)
    filled = [_within(part, low, shape) for part in parts]
    amplitude = np.stack(filled) if not any(is_tensor(one) for one in filled) else _stacked(filled)
    known = [part.d_min_angstrom for part in parts if part.d_min_angstrom is not None]
    return kind(
        amplitude=amplitude, hkl_min=tuple(int(x) for x in low), default_F=first.default_F,
        n_reflections=max(part.n_reflections for part in parts), unit_cell=first.unit_cell, space_group=first.space_group,
        d_min_angstrom=min(known, default=None), energy_ev=tuple(energies),
    )  # fmt: skip


def _within(table: Any, low: Any, shape: tuple[int, ...]) -> Any:
    """The amplitudes of a table in a larger box; default_F where it has none."""
    before = [int(first - begin) for first, begin in zip(table.hkl_min, low, strict=True)]
    after = [n - b - count for n, b, count in zip(shape, before, table.amplitude.shape, strict=True)]
    if not any(before) and not any(after):
        return table.amplitude
    if is_tensor(table.amplitude) or is_tensor(table.default_F):
        import torch

        inner = torch.as_tensor(table.amplitude)
        full = torch.as_tensor(table.default_F).to(inner).expand(shape)
        where = torch.arange(math.prod(shape)).reshape(shape)
        for axis, (b, count) in enumerate(zip(before, inner.shape, strict=True)):
            where = where.narrow(axis, b, count)
        return full.flatten().index_put((where.flatten().to(inner.device),), inner.flatten()).reshape(shape)
    filled = np.full(shape, float(table.default_F))
    filled[tuple(slice(b, b + count) for b, count in zip(before, table.amplitude.shape, strict=True))] = table.amplitude
    return filled


def _stacked(tables: list[Any]) -> Any:
    import torch

    return torch.stack([torch.as_tensor(table) for table in tables])
