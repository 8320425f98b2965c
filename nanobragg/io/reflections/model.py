"""Structure factors from coordinates: atoms, bulk solvent and anomalous scattering, by FFT of the density (gemmi)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import MAX_TABLE_BYTES, checked_table_bytes, number
from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.optional import needed
from nanobragg.io.reflections.symmetry import ReflectionList
from nanobragg.lazy import dataclass

_RATE = 1.5
"""Grid points per half of `d_min`; with the artificial B below the error against direct summation is about 3e-5."""
_MAX_B = 1e4
"""Largest B factor [Angstrom^2], and occupancy, that is taken for one."""
_LIGHT = 10
"""Atomic number up to which the anomalous scattering of an element is left out, where none are named."""
_CUTOFF = 1e-7
"""Density at which an atom ends [electrons/Angstrom^3]."""


def read_model(
    path: str | PathLike[str], d_min: float, *, k_sol: float = 0.35, b_sol: float = 46.0,
    energy_ev: float | None = None, max_bytes: int = MAX_TABLE_BYTES,
) -> ReflectionList:  # fmt: skip
    """The unique reflections of the atoms in a PDB or mmCIF file, without 0 0 0.

    Parameters and errors are those of `nanobragg.StructureFactors.from_model`.

    Notes
    -----
    F = F_atoms + k_sol exp(-b_sol s^2/4) F_mask, s = 1/d. The density is linear in the scattering factors, so that
    A, with f', and B, of f'' alone, give |F(+)| = |A + iB| and |F(-)| = |A - iB| (docs/file_formats.md).
    """
    energy_ev = None if energy_ev is None else above_zero(energy_ev, "energy_ev")
    gemmi, structure, group, calculator = _opened(path, d_min, k_sol, b_sol, max_bytes)
    model = structure[0]
    factors = _anomalous_factors(gemmi, model, energy_ev)
    for element, (f1, _) in factors.items():
        calculator.addends.set(element, f1)
    hkl, real_part = _transform(gemmi, calculator, model, d_min)
    imaginary_part = None
    if factors:
        for element, (f1, f2) in factors.items():
            calculator.addends.set(element, f1 + f2)
        imaginary_part = _transform(gemmi, calculator, model, d_min)[1] - real_part
    if k_sol > 0:
        stol_squared = structure.cell.calculate_1_d2_array(hkl.astype(np.int32)) / 4
        real_part = real_part + k_sol * np.exp(-b_sol * stol_squared) * _solvent(gemmi, calculator, model, group, d_min)
    if imaginary_part is None:
        plus, minus = np.abs(real_part), None
    else:
        plus, minus = np.abs(real_part + 1j * imaginary_part), np.abs(real_part - 1j * imaginary_part)
    return ReflectionList(path=path, hkl=hkl, plus=plus, minus=minus, cell=tuple(structure.cell.parameters),
                          space_group=group.xhm(), label="model")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """Complex structure factors of a model, apart by what depends on the photon energy."""

    path: str | PathLike[str]
    hkl: NDArray[np.int64]
    """(n, 3) unique reflections"""
    ordinary: NDArray[np.complex128]
    """(n,) F_0 [electrons]: atoms and solvent without anomalous scattering"""
    sums: dict[str, NDArray[np.complex128]]
    """(n,) by element: SUM over its atoms of occ exp(-B |q|^2/4) exp(2 pi i h.x), which f' + i f'' multiplies"""
    atomic_number: dict[str, int]
    cell: tuple[float, ...]
    space_group: str


def read_model_parts(
    path: str | PathLike[str], d_min: float, *, elements: Sequence[str] | None = None, k_sol: float = 0.35,
    b_sol: float = 46.0, max_bytes: int = MAX_TABLE_BYTES,
) -> ModelParts:  # fmt: skip
    """The unique reflections of a PDB or mmCIF file, without 0 0 0, apart by element.

    Parameters and errors are those of `nanobragg.AnomalousModel.from_model`.
    """
    gemmi, structure, group, calculator = _opened(path, d_min, k_sol, b_sol, max_bytes)
    model, cell = structure[0], structure.cell
    hkl, ordinary = _transform(gemmi, calculator, model, d_min)
    sqr = cell.calculate_1_d2_array(hkl.astype(np.int32))
    if k_sol > 0:
        ordinary = ordinary + k_sol * np.exp(-b_sol * sqr / 4) * _solvent(gemmi, calculator, model, group, d_min)
    present = {site.atom.element.name: site.atom.element.atomic_number for site in model.all()}
    wanted = [name for name, z in present.items() if z > _LIGHT] if elements is None else list(elements)
    sums = {}
    for name in wanted:
        if name not in present:
            raise ConfigError("elements", name, f"is not in {path}", f"it has {', '.join(sorted(present))}")
        atoms = [site.atom for site in model.all() if site.atom.element.name == name]
        sums[name] = _sum_over(hkl, sqr, atoms, cell, group)
    return ModelParts(
        path=path, hkl=hkl, ordinary=ordinary, sums=sums, atomic_number={name: present[name] for name in wanted},
        cell=tuple(cell.parameters), space_group=group.xhm(),
    )  # fmt: skip


def _sum_over(
    hkl: NDArray[np.int64], sqr: NDArray[np.float64], atoms: list[Any], cell: Any, group: Any
) -> NDArray[np.complex128]:
    """SUM of occ exp(-B |q|^2/4) exp(2 pi i h.x) over atoms and their symmetry mates."""
    total = np.zeros(len(hkl), np.complex128)
    operations = list(group.operations())
    for atom in atoms:
        place = cell.fractionalize(atom.pos).tolist()
        mates = np.zeros(len(hkl), np.complex128)
        for operation in operations:
            mates += np.exp(2j * np.pi * (hkl @ np.array(operation.apply_to_xyz(place))))
        total += atom.occ * np.exp(-atom.b_iso * sqr / 4) * mates
    return total


def _opened(path: str | PathLike[str], d_min: float, k_sol: float, b_sol: float, max_bytes: int) -> tuple[Any, ...]:
    """gemmi, the structure, its space group, and a calculator of densities for it, all checked."""
    above_zero(d_min, "d_min")
    for value, name in ((k_sol, "k_sol"), (b_sol, "b_sol")):
        _not_negative(value, name)
    gemmi = needed("gemmi", "structure factors from a model")
    structure = _structure(gemmi, path)
    # before the density, which is larger still
    edges = structure.cell.parameters[:3]
    checked_table_bytes(tuple(2 * int(min(edge / d_min, 1e18)) + 1 for edge in edges), max_bytes)
    _check_atoms(path, structure[0])
    group = _space_group(gemmi, path, structure)
    calculator = gemmi.DensityCalculatorX()
    calculator.d_min, calculator.rate, calculator.cutoff = d_min, _RATE, _CUTOFF
    calculator.grid.setup_from(structure)
    calculator.set_refmac_compatible_blur(structure[0])
    return gemmi, structure, group, calculator


def above_zero(value: Any, name: str) -> float:
    if not number(value, name) > 0 or not np.isfinite(value):
        raise ConfigError(name, value, "must be a finite number > 0")
    return float(value)


def _not_negative(value: Any, name: str) -> float:
    if not number(value, name) >= 0 or not np.isfinite(value):
        raise ConfigError(name, value, "must be a finite number >= 0")
    return float(value)


def _structure(gemmi: Any, path: str | PathLike[str]) -> Any:
    try:
        structure = gemmi.read_structure(fspath(path))
    except OSError as error:
        raise FileFormatError(
            path, f"cannot be read: {error.strerror or error}; check the name and the permissions"
        ) from None
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(path, f"is not a PDB or mmCIF file that can be read: {error}") from None
    if not len(structure) or not structure[0].count_atom_sites():
        raise FileFormatError(path, "holds no atoms; for structure-factor files use from_cif or from_mtz")
    cell = structure.cell
    if not cell.is_crystal() or cell.volume < 10:
        raise FileFormatError(path, "has no unit cell (CRYST1 or _cell); add it, a model alone has no reflections")
    if len(structure) > 1:
        warnings.warn(f"{path}: holds {len(structure)} models, the first is used", NanoBraggWarning, stacklevel=2)
    return structure


def _check_atoms(path: str | PathLike[str], model: Any) -> None:
    """Numbers that would make the density endless are refused."""
    for site in model.all():
        atom = site.atom
        values = (atom.pos.x, atom.pos.y, atom.pos.z, atom.occ, atom.b_iso)
        if not np.isfinite(values).all() or not abs(atom.b_iso) < _MAX_B or not abs(atom.occ) < _MAX_B:
            raise FileFormatError(path, f"atom {site}: coordinates {values[:3]}, occupancy {atom.occ:g}, B {atom.b_iso:g}: "
                                  "must be finite numbers of a reasonable size")  # fmt: skip


def _space_group(gemmi: Any, path: str | PathLike[str], structure: Any) -> Any:
    group = structure.find_spacegroup()
    if group is None:
        try:
            name = structure.spacegroup_hm
        except UnicodeDecodeError:
            name = "(bytes that are not text)"
        if name:
            raise FileFormatError(path, f"space group {name!r} is unknown")
        warnings.warn(f"{path}: names no space group, taken as P 1", NanoBraggWarning, stacklevel=2)
        structure.spacegroup_hm = "P 1"
        group = gemmi.SpaceGroup("P 1")
    return group


def _anomalous_factors(gemmi: Any, model: Any, energy_ev: float | None) -> dict[Any, tuple[float, float]]:
    """f' and f'' (Cromer & Liberman) of every element in the model."""
    if energy_ev is None:
        return {}
    elements = {site.atom.element.name: site.atom.element for site in model.all()}
    return {element: gemmi.cromer_liberman(z=element.atomic_number, energy=energy_ev) for element in elements.values()}


def _transform(
    gemmi: Any, calculator: Any, model: Any, d_min: float
) -> tuple[NDArray[np.int64], NDArray[np.complex128]]:
    """Density of the atoms, transformed: unique indices and complex structure factors."""
    calculator.put_model_density_on_grid(model)
    grid = gemmi.transform_map_to_f_phi(calculator.grid, half_l=True)
    data = grid.prepare_asu_data(dmin=d_min, unblur=calculator.blur)
    return np.array(data.miller_array, np.int64), np.array(data.value_array, np.complex128)


def _solvent(gemmi: Any, calculator: Any, model: Any, group: Any, d_min: float) -> NDArray[np.complex128]:
    """Transform of the mask that is 1 in the solvent and 0 in the protein."""
    mask = gemmi.FloatGrid(calculator.grid.nu, calculator.grid.nv, calculator.grid.nw)
    mask.set_unit_cell(calculator.grid.unit_cell)
    mask.spacegroup = group
    gemmi.SolventMasker(gemmi.AtomicRadiiSet.Refmac).put_mask_on_float_grid(mask, model)
    data = gemmi.transform_map_to_f_phi(mask, half_l=True).prepare_asu_data(dmin=d_min)
    return np.array(data.value_array, np.complex128)
