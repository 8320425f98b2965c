"""Structure factors as a dense table over h, k, l, with one value for every index outside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from nanobragg.arrays import (
    MAX_TABLE_BYTES,
    checked_table_bytes,
    detached,
    is_tensor,
    is_transformed,
    number,
    too_large_in,
)
from nanobragg.config.crystals.by_energy import joined
from nanobragg.config.spoken.speaks import shown_value
from nanobragg.config.table_checks import (
    PATH,
    amplitudes,
    ascending_energies,
    check_finite,
    count,
    finite_scalar,
    index_array,
    six_numbers,
    three_integers,
)
from nanobragg.errors import ConfigError
from nanobragg.io import reflections as files
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class StructureFactors:
    """Structure factor amplitudes on a box of Miller indices.

    Make one with `from_mtz`, `from_cif`, `from_model`, `from_hkl`, `from_arrays`, `constant` or `from_fdump`. The first
    three apply the symmetry of their file; the others apply none: what is not listed, Friedel mates included, has the
    amplitude `default_F` (docs/model.md, Structure factors).

    Parameters
    ----------
    amplitude : (n_h, n_k, n_l) array or tensor, float64
        Amplitudes [electrons], shape (0, 0, 0): no table. An array is kept as a read-only copy. A torch tensor is kept
        itself, with its gradient, device and dtype: writing to it changes the table. With `energy_ev`, a table for each
        energy: (n_energies, n_h, n_k, n_l).
    hkl_min : tuple of 3 int
        Indices of ``amplitude[0, 0, 0]``.
    default_F : float or 0-d tensor
        Amplitude of every index outside the table [electrons].
    n_reflections : int, optional
        Number of records read, duplicates counted; None: the number of cells of the table.
    unit_cell : tuple of 6 float, optional
        Cell of the file that was read [Angstrom, degrees]; a Crystal without a cell takes it.
    space_group : str, optional
        Space group of the file that was read; the table itself is P1.
    d_min_angstrom : float, optional
        Spacing of the outermost reflection in that file [Angstrom].
    energy_ev : tuple of float, optional
        Photon energies of the tables [eV], ascending: every wavelength of the beam takes the table of the nearest one.

    Raises
    ------
    ConfigError
        When an amplitude is complex or not finite, a shape is wrong, or there is neither a table nor a `default_F`.
    """

    amplitude: Any
    hkl_min: tuple[int, int, int]
    default_F: Any = 0.0
    n_reflections: int | None = None
    unit_cell: tuple[float, ...] | None = None
    space_group: str | None = None
    d_min_angstrom: float | None = None
    energy_ev: tuple[float, ...] | None = None
    _origin: ClassVar[Any] = None

    def __post_init__(self) -> None:
        store = object.__setattr__
        store(self, "default_F", finite_scalar(self.default_F, f"{PATH}.default_F"))
        store(self, "hkl_min", three_integers(self.hkl_min))
        self._check_origin()
        store(self, "amplitude", amplitudes(self.amplitude))
        if self.energy_ev is not None:
            store(self, "energy_ev", ascending_energies(self.energy_ev, self.amplitude))
        elif self.amplitude.ndim != 3:
            raise ConfigError(
                f"{PATH}.amplitude", f"shape {tuple(self.amplitude.shape)}", "must have shape (n_h, n_k, n_l)"
            )
        check_finite(self.amplitude, f"{PATH}.amplitude")
        if self.n_reflections is None:
            store(self, "n_reflections", math.prod(self.amplitude.shape[-3:]))
        if not self.has_table and not is_transformed(self.default_F) and detached(self.default_F) == 0:
            raise ConfigError(
                f"{PATH}.default_F",
                0.0,
                "without reflections gives an empty image",
                "give reflections (from_hkl, from_arrays, from_fdump) or a default_F other than 0",
            )

    def _check_origin(self) -> None:
        """Check what is known of the file that was read."""
        store = object.__setattr__
        if self.n_reflections is not None:
            store(self, "n_reflections", count(self.n_reflections, f"{PATH}.n_reflections"))
        if self.unit_cell is not None:
            store(self, "unit_cell", six_numbers(self.unit_cell, f"{PATH}.unit_cell"))
        if self.space_group is not None and not isinstance(self.space_group, str):
            raise ConfigError(f"{PATH}.space_group", self.space_group, "must be the name of a space group")
        if self.d_min_angstrom is not None:
            store(self, "d_min_angstrom", d_min := number(self.d_min_angstrom, f"{PATH}.d_min_angstrom"))
            if not d_min > 0:
                raise ConfigError(f"{PATH}.d_min_angstrom", d_min, "must be > 0")

    def __repr__(self) -> str:
        fill = "default_F=" + shown_value(self.default_F)
        if not self.has_table:
            return f"StructureFactors({fill})"
        box = " ".join(f"{low}..{high}" for low, high in zip(self.hkl_min, self.hkl_max, strict=True))
        kind = shown_value(self.amplitude) if is_tensor(self.amplitude) else ""
        group = "" if self.space_group is None else f"file in {self.space_group}"
        tables = "" if self.energy_ev is None else f"{len(self.energy_ev)} energies"
        known = (f"{self.n_reflections} reflections", f"hkl {box}", tables, kind, fill, group)
        return f"StructureFactors({', '.join(text for text in known if text)})"

    @property
    def has_table(self) -> bool:
        """False when every index has the amplitude `default_F`."""
        return math.prod(self.amplitude.shape) > 0

    @property
    def hkl_max(self) -> tuple[int, int, int]:
        """Indices of ``amplitude[-1, -1, -1]``."""
        return three_integers(low + n - 1 for low, n in zip(self.hkl_min, self.amplitude.shape[-3:], strict=True))

    @classmethod
    def by_energy(cls, tables: Mapping[float, StructureFactors]) -> StructureFactors:
        """Structure factors that depend on the photon energy, from a table for each energy.

        Parameters
        ----------
        tables : dict
            Photon energy [eV]: StructureFactors, as read from an MTZ file for each. All have the same default_F; what one of
            them does not list and another does has it.

        Raises
        ------
        ConfigError
            When there is no table, or the tables have several energies, several default_F or several cells.
        """
        return joined(cls, dict(tables))

    def at(self, energy_ev: float) -> StructureFactors:
        """The table of the energy that is nearest to this one [eV]; itself where there is one for all."""
        if self.energy_ev is None:
            return self
        nearest = int(np.argmin(np.abs(np.asarray(self.energy_ev) - energy_ev)))
        return dataclasses.replace(self, amplitude=self.amplitude[nearest], energy_ev=None)

    @classmethod
    def from_hkl(
        cls, path: str | PathLike[str], *, default_F: Any = 0.0, max_bytes: int = MAX_TABLE_BYTES
    ) -> StructureFactors:
        """Read a text file of lines ``h k l F`` (see `nanobragg.io.read_hkl`).

        Parameters
        ----------
        path : path
            The file. Comments and blank lines, and columns after the fourth, are passed over.
        default_F : float or 0-d tensor
            Amplitude of every index that the file does not mention [electrons].
        max_bytes : int
            Refuse a table larger than this.

        Raises
        ------
        FileFormatError
            When the file is missing, unreadable or malformed, or spans a box larger than `max_bytes`.
        """
        origin = files.origin_of(path, "hkl", default_F=default_F)
        hkl, amplitude = files.read_hkl(path)
        with too_large_in(path):
            return cls.from_arrays(hkl, amplitude, default_F=default_F, max_bytes=max_bytes)._read_from(origin)

    @classmethod
    def from_arrays(
        cls,
        hkl: Any,
        amplitude: Any,
        *,
        default_F: Any = 0.0,
        max_bytes: int = MAX_TABLE_BYTES,
        box: tuple[Any, Any] | None = None,
        n_reflections: int | None = None,
    ) -> StructureFactors:
        """Fill a dense table from a list of reflections; of duplicates the last one wins.

        Parameters
        ----------
        hkl : (n, 3) integers
            Miller indices.
        amplitude : (n,) array or tensor
            Amplitudes [electrons]; a tensor keeps its gradient.
        default_F : float or 0-d tensor
            Amplitude of the other cells and of everything outside [electrons]; a tensor keeps its gradient.
        max_bytes : int
            Refuse a table larger than this.
        box : tuple of two (3,) integers, optional
            Smallest and largest indices of the table; None: those of `hkl`.
        n_reflections : int, optional
            What to report as the number of records; None: n.

        Raises
        ------
        ConfigError
            When shapes disagree, an index is not an integer, an amplitude is complex (its phase plays no part: pass
            ``abs(F)``) or not finite, or the table is too large.
        """
        indices = index_array(hkl)
        amplitude = amplitudes(amplitude)
        if tuple(amplitude.shape) != (len(indices),):
            raise ConfigError(
                f"{PATH}.amplitude",
                f"shape {tuple(amplitude.shape)}",
                f"must be ({len(indices)},), one for each row of hkl",
            )
        if box is None and len(indices) == 0:
            raise ConfigError(
                f"{PATH}.hkl", "no reflection", "must list at least one", "or use StructureFactors.constant"
            )
        low, high = (indices.min(0), indices.max(0)) if box is None else (three_integers(b) for b in box)
        if len(indices) and ((indices < low).any() or (indices > high).any()):
            raise ConfigError(f"{PATH}.hkl", f"box {tuple(low)} to {tuple(high)}", "does not hold every reflection")
        shape = _checked_shape(low, high, max_bytes)
        check_finite(amplitude, f"{PATH}.amplitude")
        default_F = finite_scalar(default_F, f"{PATH}.default_F")
        cells = (
            np.ravel_multi_index(tuple((indices - np.asarray(low)).T), shape) if len(indices) else np.zeros(0, np.int64)
        )
        return cls(
            amplitude=_filled(shape, cells, amplitude, default_F),
            hkl_min=three_integers(low),
            default_F=default_F,
            n_reflections=len(indices) if n_reflections is None else n_reflections,
        )

    @classmethod
    def constant(cls, default_F: Any) -> StructureFactors:
        """The same amplitude `default_F` [electrons] for every index; 0 is a ConfigError."""
        return cls(amplitude=np.zeros((0, 0, 0)), hkl_min=(0, 0, 0), default_F=default_F)

    @classmethod
    def from_fdump(
        cls, path: str | PathLike[str], *, default_F: Any = 0.0, max_bytes: int = MAX_TABLE_BYTES
    ) -> StructureFactors:
        """Read the binary table that the original program writes as ``Fdump.bin`` (see `nanobragg.io.read_fdump`).

        The `default_F` of the run that wrote the file is baked into it; the one given here holds outside the table.

        Raises
        ------
        FileFormatError
            When the file is missing or corrupt, or its table is larger than `max_bytes`.
        """
        origin = files.origin_of(path, "fdump", default_F=default_F)
        amplitude, hkl_min = files.read_fdump(path, max_bytes=max_bytes)
        return cls(amplitude=amplitude, hkl_min=hkl_min, default_F=default_F)._read_from(origin)

    @classmethod
    def from_mtz(
        cls, path: str | PathLike[str], label: str | None = None, *, anomalous: bool | None = None,
        space_group: str | None = None, default_F: Any = 0.0, max_bytes: int = MAX_TABLE_BYTES,
    ) -> StructureFactors:  # fmt: skip
        """Read a merged MTZ file and apply its symmetry.

        Parameters
        ----------
        path : path
            The file.
        label : str, optional
            Column; None: the first of FMODEL, F-model, FC_ALL, FC (single or a pair), FP or F, any one other amplitude,
            F(+)/F(-), and the square root of an intensity. Where there was a choice, a warning says what was taken.
            Differences and map coefficients have to be asked for.
        anomalous : bool, optional
            True: insist on separate values for Friedel mates; False: take their mean; None: as the columns are.
        space_group : str, optional
            In place of the file's.
        default_F : float or 0-d tensor
            Amplitude of every index that the file does not mention [electrons]; systematic absences are 0.
        max_bytes : int
            Refuse a table larger than this.

        Raises
        ------
        FileFormatError
            When the file is missing or no MTZ, holds no usable columns or several equally good ones (the message lists
            them), or contradicts its space group.
        """
        origin = files.origin_of(
            path, "mtz", label=label, anomalous=anomalous, space_group=space_group, default_F=default_F
        )
        listed = files.read_mtz(path, label, anomalous=anomalous, space_group=space_group)
        return _expanded(cls, listed, default_F, max_bytes)._read_from(origin)

    @classmethod
    def from_cif(
        cls, path: str | PathLike[str], label: str | None = None, *, anomalous: bool | None = None,
        space_group: str | None = None, block: str | None = None, default_F: Any = 0.0, max_bytes: int = MAX_TABLE_BYTES,
    ) -> StructureFactors:  # fmt: skip
        """Read a structure-factor mmCIF (``r1abcsf.ent``, ``1abc-sf.cif``) or a list of SHELXL (``.fcf``), with its symmetry.

        Parameters are those of `from_mtz`, labels too (F_meas_au is FP, F_calc_au FC, intensity_meas I); of a ``.fcf`` they
        are F_calc, F_squared_calc, F_meas and F_squared_meas, the calculated ones first. `block` names the data block, None
        takes the first that holds reflections.
        """
        origin = files.origin_of(
            path, "cif", label=label, anomalous=anomalous, space_group=space_group, block=block, default_F=default_F
        )
        listed = files.read_refln_cif(path, label, anomalous=anomalous, space_group=space_group, block=block)
        return _expanded(cls, listed, default_F, max_bytes)._read_from(origin)

    @classmethod
    def from_model(
        cls, path: str | PathLike[str], d_min: float, *, k_sol: float = 0.35, b_sol: float = 46.0,
        energy_ev: float | None = None, default_F: Any = 0.0, max_bytes: int = MAX_TABLE_BYTES,
    ) -> StructureFactors:  # fmt: skip
        """Compute structure factors from the coordinates in a PDB or mmCIF file.

        Parameters
        ----------
        path : path
            Coordinates with unit cell and space group, perhaps gzipped.
        d_min : float
            Spacing of the outermost reflection [Angstrom].
        k_sol, b_sol : float
            Density [electrons/Angstrom^3] and B factor [Angstrom^2] of the flat bulk solvent; ``k_sol=0``: none.
        energy_ev : float, optional
            Photon energy [eV] for anomalous scattering, which parts the Friedel mates; None: none.
        default_F : float or 0-d tensor
            Amplitude of every index beyond `d_min`, and of 0 0 0 [electrons]; systematic absences are 0.
        max_bytes : int
            Refuse a table larger than this.

        Raises
        ------
        ConfigError
            For numbers out of range, and when the table would be larger than `max_bytes`.
        FileFormatError
            When the file is missing, no model, or has no atoms or no cell.
        """
        origin = files.origin_of(
            path, "model", d_min=d_min, k_sol=k_sol, b_sol=b_sol, energy_ev=energy_ev, default_F=default_F
        )
        listed = files.read_model(path, d_min, k_sol=k_sol, b_sol=b_sol, energy_ev=energy_ev, max_bytes=max_bytes)
        return _expanded(cls, listed, default_F, max_bytes)._read_from(origin)

    @property
    def origin(self) -> Any:
        """The file that the table was read from, as a `nanobragg.io.reflections.Origin`; None: it was made or changed."""
        return self._origin

    def _read_from(self, origin: Any) -> StructureFactors:
        object.__setattr__(self, "_origin", origin)
        return self

    def reflections(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices (n, 3) and amplitudes (n,) of the table, without the cells that hold `default_F`.

        Raises
        ------
        ConfigError
            For tables of several energies: take one with `at`.
        """
        if self.energy_ev is not None:
            raise ConfigError(
                f"{PATH}.energy_ev", self.energy_ev, "a list of reflections has one energy", "take one: at(energy_ev)"
            )
        table = np.asarray(self.amplitude.detach().cpu() if is_tensor(self.amplitude) else self.amplitude, np.float64)
        where = np.argwhere(table != detached(self.default_F))
        return where + np.asarray(self.hkl_min), table[tuple(where.T)]

    def to_hkl(self, path: str | PathLike[str]) -> None:
        """Write lines ``h k l F`` of P1, which `from_hkl` with the same `default_F` reads back exactly."""
        files.write_hkl(path, *self.reflections())

    def to_mtz(self, path: str | PathLike[str], unit_cell: Any = None) -> None:
        """Write an MTZ file in P1: F, or F(+) and F(-) where Friedel mates differ (float32, as MTZ keeps them).

        Parameters
        ----------
        path : path
            The file.
        unit_cell : UnitCell or 6 floats, optional
            None: that of the file that was read.

        Raises
        ------
        ConfigError
            When there is no cell.
        """
        if unit_cell is None:
            unit_cell = self.unit_cell
        if unit_cell is None:
            raise ConfigError("unit_cell", None, "an MTZ file needs a unit cell", "give unit_cell=(a, b, c, ...)")
        if dataclasses.is_dataclass(unit_cell):
            unit_cell = [detached(getattr(unit_cell, field.name)) for field in dataclasses.fields(unit_cell)]
        files.write_mtz(path, *self.reflections(), tuple(float(x) for x in unit_cell))


def _expanded(cls: type[StructureFactors], listed: Any, default_F: Any, max_bytes: int) -> StructureFactors:
    """The table of a list of unique reflections: every symmetry and Friedel mate, and 0 for systematic absences."""
    full = files.expand(listed)
    hkl, amplitude = full.hkl, full.amplitude
    if is_tensor(default_F) or default_F != 0:
        low, high = hkl.min(0), hkl.max(0)
        checked_table_bytes(tuple(high - low + 1), max_bytes)
        box = np.indices(tuple(high - low + 1)).reshape(3, -1).T + low
        none = box[files.absent(box, listed.space_group)]
        hkl, amplitude = np.concatenate([hkl, none]), np.concatenate([amplitude, np.zeros(len(none))])
    with too_large_in(listed.path):
        table = cls.from_arrays(
            hkl, amplitude, default_F=default_F, max_bytes=max_bytes, n_reflections=len(full.amplitude)
        )
    return dataclasses.replace(table, unit_cell=listed.cell, space_group=listed.space_group, d_min_angstrom=full.d_min)


def _checked_shape(low: Any, high: Any, max_bytes: int) -> tuple[int, int, int]:
    n_h, n_k, n_l = (int(b) - int(a) + 1 for a, b in zip(low, high, strict=True))
    if min(n_h, n_k, n_l) < 1:
        raise ConfigError(f"{PATH}.hkl", f"box {tuple(low)} to {tuple(high)}", "is empty")
    checked_table_bytes((n_h, n_k, n_l), max_bytes)
    return n_h, n_k, n_l


def _filled(shape: tuple[int, int, int], cells: np.ndarray, amplitude: Any, default_F: Any) -> Any:
    """The dense table, differentiable in the amplitudes and in the fill when these are tensors."""
    size = math.prod(shape)
    if not is_tensor(amplitude) and not is_tensor(default_F):
        table = np.full(shape, default_F)
        table.reshape(-1)[cells] = amplitude  # of repeated cells numpy keeps the last value
        table.setflags(write=False)  # new, so it need not be copied
        return table
    # torch leaves open which of several writes to one cell wins, so only the last of each is passed on
    import torch

    cells, from_end = np.unique(cells[::-1], return_index=True)
    last = len(amplitude) - 1 - from_end
    if is_tensor(amplitude):
        fill = default_F.to(amplitude) if is_tensor(default_F) else amplitude.new_full((), default_F)
        values = amplitude[torch.as_tensor(last, device=fill.device)]
    else:
        fill = default_F.double()
        values = torch.as_tensor(amplitude[last], device=fill.device)
    where = torch.as_tensor(cells, device=fill.device)
    return fill.expand(size).index_put((where,), values).reshape(shape)
