"""The input files of a command line, read leniently (as the original) or strictly."""

from __future__ import annotations

import math
import os
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import too_large_in
from nanobragg.config import Crystal, Experiment, Sources, UnitCell
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.quirks import Quirk
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.cell import reciprocal_from_cell
from nanobragg.derivation.vectors import FLOAT_OPS, lifted, unit
from nanobragg.errors import ConfigError, FileFormatError, UsageError
from nanobragg.exchange.command_line.reading import CommandLine
from nanobragg.io.atomic import read_bytes
from nanobragg.io.matrix import read_matrix, read_matrix_legacy
from nanobragg.io.reflections.hkl import read_hkl_legacy
from nanobragg.io.sourcefile import read_sourcefile, read_sourcefile_legacy
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class ReflectionInput:
    """The structure factors and how they were read."""

    kind: str
    """"hkl", "dump" or "constant\""""
    path: str
    structure_factors: StructureFactors
    non_integer: list[tuple[str, float, int]] = field(default_factory=list)
    """(letter, value, record) of every index that is not an integer, as the original warns"""


def read_reflections(line: CommandLine) -> ReflectionInput:
    """Read the structure factors: from -hkl, else from a dump, else -default_F alone (docs/command.md, Required inputs).

    Raises
    ------
    FileFormatError, ConfigError
        For a file that cannot be used, and a table above the memory limit.
    """
    default_F = float(line.settings.get("default_F", 0.0))
    if has_symmetric_source(line):
        return _from_symmetric_source(line, default_F)
    if "hkl" in line.settings:
        return _from_hkl(line, str(line.settings.get("hkl")), default_F)
    path = line.dump_file
    typed = "dump" in line.settings
    if (typed and (line.strict or os.path.exists(path))) or (not line.strict and os.path.exists(path)):
        if not typed:
            line.note(
                f"reading structure factors from ./{path}, because there is no -hkl; --strict reads a dump only when "
                "-dump names it"
            )
        try:
            table = StructureFactors.from_fdump(path, default_F=default_F, max_bytes=line.max_bytes)
        except FileFormatError as error:
            raise _with_option(error) from None
        return ReflectionInput("dump", path, table)
    if typed:
        line.note(f"{path}: no such dump file; every structure factor is {default_F:g}")
    return ReflectionInput("constant", "", StructureFactors.constant(default_F))


def has_symmetric_source(line: CommandLine) -> bool:
    """Whether --mtz or --model gives structure factors and cell.

    Raises
    ------
    UsageError
        For both, for one of them together with -hkl, and for --label or --d-min without theirs.
    """
    given = [f"--{name}" for name in ("mtz", "model") if name in line.own]
    if given and "hkl" in line.settings:
        given.append("-hkl")
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)}: give one of them")
    for option, owner in (("label", "mtz"), ("model_d_min", "model")):
        if option in line.own and owner not in line.own:
            raise UsageError(f"--{option.replace('model_', '').replace('_', '-')}: belongs to --{owner} FILE")
    if "model" in line.own and "model_d_min" not in line.own:
        raise UsageError("--model: the resolution is missing; write --d-min ANGSTROM")
    return bool(given)


def _from_symmetric_source(line: CommandLine, default_F: float) -> ReflectionInput:
    common: dict[str, Any] = {"default_F": default_F, "max_bytes": line.max_bytes}
    try:
        if "model" in line.own:
            path = str(line.own["model"])
            table = StructureFactors.from_model(path, float(line.own["model_d_min"]), **common)
        else:
            path = str(line.own["mtz"])
            read = StructureFactors.from_mtz if _starts_with(path, b"MTZ ") else StructureFactors.from_cif
            table = read(path, str(line.own["label"]) if "label" in line.own else None, **common)
    except FileFormatError as error:
        raise _with_option(error) from None
    return ReflectionInput("symmetric", path, table)


def _starts_with(path: str, magic: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return True  # the reader says what is wrong


def _from_hkl(line: CommandLine, path: str, default_F: float) -> ReflectionInput:
    if line.strict:
        try:
            table = StructureFactors.from_hkl(path, default_F=default_F, max_bytes=line.max_bytes)
        except FileFormatError as error:
            raise _with_option(error) from None
        return ReflectionInput("hkl", path, table)
    read = read_hkl_legacy(path)
    if read.stopped_at_line is not None:
        line.note(
            f"{path}:{read.stopped_at_line}: not an integer h k l and a number F; everything from this line on is lost"
        )
    elif len(read.hkl) < read.n_records:
        line.note(
            f"{path}: {read.n_records - len(read.hkl)} of {read.n_records} records are lost: their indices are not "
            "written as integers"
        )
    try:
        with too_large_in(path):
            table = StructureFactors.from_arrays(
                read.hkl,
                read.amplitude,
                default_F=default_F,
                max_bytes=line.max_bytes,
                box=(read.hkl_min, read.hkl_max),
                n_reflections=read.n_records,
            )
    except FileFormatError as error:
        raise _with_option(error) from None
    return ReflectionInput("hkl", path, table, read.non_integer)


_OPTIONS = {"label": "--label NAME", "max_bytes": "--memory GIB"}
"""The command's options for parameters of the readers."""


def _with_option(error: FileFormatError) -> FileFormatError:
    """The error with the command's option in place of the reader's parameter."""
    if error.option not in _OPTIONS:
        return error
    return FileFormatError(error.path, f"{error.problem}; {error.remedy} {_OPTIONS[error.option]}", error.line)


def read_cell(line: CommandLine) -> UnitCell | None:
    """The typed cell, with what the original fills in: b, c = a and 90 degrees (docs/model.md, Unit cell).

    Raises
    ------
    ConfigError
        For an edge that is not above 0, and (strictly, or in corrected fidelity) for edges and angles that close no cell.
    """
    if not line.settings.get("cell"):
        return None
    a, b, c, *angles = line.settings.cell
    typed = max(len(o.values) for o in line.parsed.occurrences if o.flag.name == "-cell")
    if line.strict:  # what was not typed is filled in, what was typed is checked
        b, c = (a if typed <= i else edge for i, edge in ((1, b), (2, c)))
        angles = [90.0 if typed <= 3 + i else angle for i, angle in enumerate(angles)]
    else:
        b, c = (a if edge <= 0 else edge for edge in (b, c))
        angles = [90.0 if angle <= 0 else angle for angle in angles]
    alpha, beta, gamma = angles
    try:
        return UnitCell(a, b, c, alpha, beta, gamma)
    except ConfigError as error:
        solid = all(math.isfinite(x) for x in (a, b, c, *angles)) and min(a, b, c) > 0
        if line.strict or not solid or Quirk.TRICLINIC_CELL not in line.quirks:
            raise
        line.note(f"{error}; rendered as the original does")
        return UnitCell.unchecked(a, b, c, alpha, beta, gamma)


def read_orientation(line: CommandLine, cell: UnitCell | None) -> tuple[NDArray[np.float64] | None, bool]:
    """The matrix of -mat as rows a*, b*, c* [1/Angstrom], and whether its file was opened.

    The file holds the matrix times the wavelength: every vector is multiplied by 1e-10/lambda [m] (docs/model.md, Unit cell).

    Raises
    ------
    FileFormatError
        For a missing or short matrix, unless the lenient rule can fall back on -cell.
    """
    if "mat" not in line.settings:
        return None, False
    path = str(line.settings.get("mat"))
    wavelength = line.wavelength_angstrom / 1e10
    if not wavelength > 0:
        raise ConfigError("beam.wavelength_angstrom", line.wavelength_angstrom, "must be > 0")
    scale = 1e-10 / wavelength
    if line.strict:
        return read_matrix(path).T * scale, True
    if cell is not None and not os.path.exists(path):
        line.note(f"{path}: no such matrix file; the run goes on with -cell alone")
        return None, False
    read = read_matrix_legacy(path)
    if read.complete:
        return np.array(read.values).reshape(3, 3).T * scale, True
    short = FileFormatError(
        path,
        f"{len(read.values)} numbers, expected nine: x, y, z components of a*, b*, c*",
        read.stopped_at_line or None,
    )
    if cell is None:
        raise short
    line.note(f"{short}; the others are those of -cell")
    values = _unrotated(line, cell).T.ravel()
    values[: len(read.values)] = read.values
    return values.reshape(3, 3).T * scale, True


def _unrotated(line: CommandLine, cell: UnitCell) -> NDArray[np.float64]:
    """Rows a*, b*, c* [1/Angstrom] of a cell before any orientation."""
    upright = Experiment(
        crystal=Crystal(unit_cell=cell, structure_factors=StructureFactors.constant(1.0)), quirks=line.quirks
    )
    return np.array(reciprocal_from_cell(upright, FLOAT_OPS).vectors)


def read_sources(line: CommandLine) -> Sources | None:
    """The explicit sources of -sourcefile, missing columns filled in (docs/file_formats.md, Source file)."""
    if "sourcefile" not in line.settings:
        return None
    path = str(line.settings.get("sourcefile"))
    table = (read_sourcefile if line.strict else read_sourcefile_legacy)(path)
    away = [-10.0 * x for x in beam_direction(line)]
    position = np.where(np.isnan(table.position), away, table.position)
    weight = np.where(np.isnan(table.weight), 1.0, table.weight)
    wavelength = np.where(np.isnan(table.wavelength_m), line.wavelength_angstrom / 1e10, table.wavelength_m)
    return Sources(
        direction=position, wavelength_angstrom=np.array([as_angstrom(x) for x in wavelength]), weight=weight
    )


def beam_direction(line: CommandLine) -> tuple[float, float, float]:
    """Unit vector along the beam, as the flags and the convention give it."""
    typed = line.settings.get("direction")
    if typed is None or not keeps_vectors(line):
        typed = CONVENTIONS[line.convention].beam
    x, y, z = unit(lifted(typed, FLOAT_OPS), FLOAT_OPS)
    return x, y, z


def keeps_vectors(line: CommandLine) -> bool:
    """False when a named convention comes after every vector flag and overwrites them (CUSTOM_CHANGES_CENTRE)."""
    return line.settings.vector_last or Quirk.CUSTOM_CHANGES_CENTRE not in line.quirks


def as_angstrom(meters: float) -> float:
    """The wavelength [Angstrom] that gives exactly `meters` when it is divided by 1e10."""
    guess = float(meters) * 1e10
    for candidate in (guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf)):
        if candidate / 1e10 == meters:
            return candidate
    return guess


def check_amorphous_table(line: CommandLine) -> str | None:
    """Read the file of -stol as the original does, to no effect; returns its name.

    Raises
    ------
    FileFormatError
        When it is missing or empty.
    """
    path: Any = line.settings.get("stol")
    if path is None:
        return None
    if not read_bytes(path).strip():
        raise FileFormatError(path, "no data in input file")
    return str(path)
