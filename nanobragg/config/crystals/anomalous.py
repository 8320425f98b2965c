"""Structure factors of a model as functions of the photon energy (docs/spectra.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import MAX_TABLE_BYTES, checked_table_bytes, is_tensor, real_array
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.config.table_checks import PATH
from nanobragg.errors import ConfigError
from nanobragg.io import reflections as files
from nanobragg.io.optional import needed
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class AnomalousModel:
    """Structure factors of a model of which the anomalous scattering of some elements is known apart.

    F(h, E) = F_0(h) + SUM over elements (f'(E) + i f''(E)) SUM over atoms occ exp(-B |q|^2/4) exp(2 pi i h.x)

    F(-h) has the conjugate of F_0 and of the inner sum. Make one with `from_model`; it is read once, and `at` gives the
    structure factors of any energies.
    """

    parts: files.ModelParts
    default_F: float = 0.0

    @classmethod
    def from_model(
        cls, path: str | PathLike[str], d_min: float, *, elements: Sequence[str] | None = None, k_sol: float = 0.35,
        b_sol: float = 46.0, default_F: float = 0.0, max_bytes: int = MAX_TABLE_BYTES,
    ) -> AnomalousModel:  # fmt: skip
        """Read the coordinates of a PDB or mmCIF file.

        Parameters
        ----------
        path : path
            Coordinates with unit cell and space group, perhaps gzipped.
        d_min : float
            Spacing of the outermost reflection [Angstrom].
        elements : sequence of str, optional
            Whose anomalous scattering counts, as ``("Se", "S")``; None: every element beyond neon.
        k_sol, b_sol : float
            Density [electrons/Angstrom^3] and B factor [Angstrom^2] of the flat bulk solvent; ``k_sol=0``: none.
        default_F : float
            Amplitude of every index beyond `d_min`, and of 0 0 0 [electrons].
        max_bytes : int
            Refuse a table larger than this.

        Raises
        ------
        ConfigError
            For numbers out of range, an element that is not in the file, or a table larger than `max_bytes`.
        FileFormatError
            When the file is missing, no model, or has no atoms or no cell.
        """
        found = files.read_model_parts(path, d_min, elements=elements, k_sol=k_sol, b_sol=b_sol, max_bytes=max_bytes)
        return cls(parts=found, default_F=float(default_F))

    def __repr__(self) -> str:
        return f"AnomalousModel({self.parts.path}, {len(self.parts.hkl)} unique reflections, {' '.join(self.elements)})"

    @property
    def elements(self) -> tuple[str, ...]:
        """Those whose anomalous scattering counts."""
        return tuple(self.parts.sums)

    def at(
        self, energy_ev: Any, *, f_prime: Mapping[str, Any] | None = None, f_double_prime: Mapping[str, Any] | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> StructureFactors:  # fmt: skip
        """The structure factors at some energies.

        Parameters
        ----------
        energy_ev : (n,) array
            Photon energies [eV], ascending; the table has one for each.
        f_prime, f_double_prime : dict, optional
            By element, (n,) array or tensor [electrons], which keeps its gradient; None: of Cromer and Liberman.
        measured : dict, optional
            By element, a table (energy (m,) [eV], f' (m,), f'' (m,)) as a fluorescence scan gives it, taken linearly between
            its rows.

        Raises
        ------
        ConfigError
            For an element that the model has not, a wrong shape, and an energy outside a measured table.
        """
        energies = np.atleast_1d(real_array(energy_ev, f"{PATH}.energy_ev"))
        for name in {*(f_prime or {}), *(f_double_prime or {}), *(measured or {})} - {*self.elements}:
            raise ConfigError(
                "elements", name, "has no anomalous part here", f"the model has {', '.join(self.elements)}"
            )
        hkl, row, friedel = files.every_mate(self.parts.hkl, self.parts.space_group)
        low, high = hkl.min(0), hkl.max(0)
        shape = tuple(int(n) for n in high - low + 1)
        checked_table_bytes((len(energies) * shape[0], shape[1], shape[2]), MAX_TABLE_BYTES)
        rows = [self._factors(name, energies, f_prime, f_double_prime, measured) for name in self.elements]
        # |F(-h)| is that with -f'' and the sums of h
        mates = [_amplitude(self.parts, rows, sign, len(energies)) for sign in (1.0, -1.0)]
        amplitude = _table(mates, (row, friedel), tuple((hkl - low).T), shape, self.default_F)
        spacing = needed("gemmi", "spacings").UnitCell(*self.parts.cell).calculate_d_array(hkl.astype(np.int32))
        return StructureFactors(
            amplitude=amplitude, hkl_min=(int(low[0]), int(low[1]), int(low[2])), default_F=self.default_F,
            n_reflections=len(hkl), unit_cell=self.parts.cell, space_group=self.parts.space_group,
            d_min_angstrom=float(spacing.min()), energy_ev=tuple(energies.tolist()),
        )  # fmt: skip

    def _factors(self, name: str, energies: NDArray[np.float64], *given: Mapping[str, Any] | None) -> tuple[Any, Any]:
        """f' and f'' of an element, (n,) each."""
        tables = given[2] or {}
        if name in tables:
            scan = tables[name]
            at, *columns = (real_array(column, f"measured[{name!r}]") for column in scan)
            if energies.min() < at.min() or energies.max() > at.max():
                raise ConfigError(
                    f"measured[{name!r}]", f"{at.min():g} to {at.max():g} eV",
                    f"does not reach the energies {energies.min():g} to {energies.max():g} eV",
                )  # fmt: skip
            found = [np.interp(energies, at, column) for column in columns]
        else:
            gemmi, z = needed("gemmi", "anomalous scattering factors"), self.parts.atomic_number[name]
            found = list(np.array([gemmi.cromer_liberman(z=z, energy=energy) for energy in energies.tolist()]).T)
        for i, (word, own) in enumerate((("f_prime", given[0]), ("f_double_prime", given[1]))):
            if own is not None and name in own:
                value = own[name] if is_tensor(own[name]) else real_array(own[name], f"{word}[{name!r}]")
                if tuple(value.shape) != energies.shape:
                    raise ConfigError(f"{word}[{name!r}]", f"shape {tuple(value.shape)}", f"must be ({len(energies)},)")
                found[i] = value
        return found[0], found[1]


def _amplitude(parts: files.ModelParts, factors: list[tuple[Any, Any]], sign: float, n: int) -> Any:
    """|F| of the unique reflections at every energy (n, m): of h k l, or with the sign -1 of -h -k -l."""
    if not any(is_tensor(value) for pair in factors for value in pair):
        total = np.tile(parts.ordinary, (n, 1))
        for part, (f1, f2) in zip(parts.sums.values(), factors, strict=True):
            total = total + (f1 + 1j * sign * f2)[:, None] * part
        return np.abs(total)
    import torch

    real, imaginary = torch.as_tensor(parts.ordinary.real)[None], torch.as_tensor(parts.ordinary.imag)[None]
    for part, pair in zip(parts.sums.values(), factors, strict=True):
        f1, f2 = (torch.as_tensor(value, dtype=torch.float64)[:, None] for value in pair)
        x, y = torch.as_tensor(part.real), torch.as_tensor(part.imag)
        real, imaginary = real + f1 * x - sign * f2 * y, imaginary + f1 * y + sign * f2 * x
    return torch.sqrt(real * real + imaginary * imaginary)


def _table(
    mates: list[Any], source: tuple[Any, Any], place: tuple[Any, ...], shape: tuple[int, ...], fill: float
) -> Any:
    """(n, n_h, n_k, n_l) from the amplitudes of the unique reflections."""
    row, friedel = source
    flat = np.ravel_multi_index(place, shape)
    if not is_tensor(mates[0]):
        table = np.full((len(mates[0]), int(np.prod(shape))), fill)
        table[:, flat] = np.where(friedel, mates[1][:, row], mates[0][:, row])
        return table.reshape(-1, *shape)
    import torch

    rows, mask = torch.as_tensor(row), torch.as_tensor(friedel)
    values = torch.where(mask, mates[1][:, rows], mates[0][:, rows])
    full = values.new_full((len(values), int(np.prod(shape))), fill)
    return full.index_copy(1, torch.as_tensor(flat), values).reshape(-1, *shape)
