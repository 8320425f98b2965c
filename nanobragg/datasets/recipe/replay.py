"""Runs that have been: the crystals of a stream or an experiment list, the rows of a table, as what varies in a recipe."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError, FileFormatError, alike
from nanobragg.exchange.geometry import to_experiment, wavelength_angstrom
from nanobragg.exchange.geometry_files import geometry_in
from nanobragg.io.atomic import read_bytes
from nanobragg.io.geometry.axes import FROM_NEXUS
from nanobragg.io.geometry.crystfel.stream import crystals
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.spots.comma import read_csv
from nanobragg.io.spots.parquet import read_parquet

Path = str | PathLike[str]


def replay(path: Path, experiment: Experiment, columns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What varies when a run is simulated again, row by row.

    Parameters
    ----------
    path : path
        ``.stream`` of CrystFEL, ``.expt`` of DIALS: a frame for every crystal, with its axes and its wavelength. ``.parquet``,
        ``.csv``: a frame for every row.
    experiment : Experiment
        What all frames share.
    columns : mapping, optional
        Of a table: by path of the experiment the column, or the list of columns of a vector or matrix; None: every column
        whose name is a path.

    Returns
    -------
    dict
        Entries of ``Recipe(vary=...)``.

    Raises
    ------
    FileFormatError
        For a file that cannot be read, or has none of the columns.
    """
    suffix = os.path.splitext(fspath(path))[1].lower()
    if suffix in (".stream", ".expt"):
        if columns is not None:
            raise ConfigError("replay.columns", dict(columns), "belong to tables")
        found = _streamed(path) if suffix == ".stream" else _listed(path)
        models = [to_experiment(one, path, experiment, None) for one in found]
        matrices = [np.asarray(model.crystal.a_star_matrix, float).tolist() for model in models]
        wavelengths = [detached(wavelength_angstrom(model)) for model in models]
        vary: dict[str, Any] = {"crystal.a_star_matrix": {"column": matrices}}
        if experiment.beam.energy_ev is None and len(set(wavelengths)) > 1:
            vary["beam.wavelength_angstrom"] = {"column": wavelengths}
        return vary
    return _of_table(path, table_columns(path), experiment, columns)


def _streamed(path: Path) -> list[Geometry]:
    beam = np.array([0.0, 0.0, 1.0])
    return [
        Geometry(wavelength=one.wavelength, beam=beam, a_star=one.a_star, phi_start=0.0).turned(FROM_NEXUS)
        for one in crystals(path)
    ]


def _listed(path: Path) -> list[Geometry]:
    try:
        count = len(json.loads(read_bytes(path))["experiment"])
    except (ValueError, KeyError, TypeError):
        raise FileFormatError(path, "is not a DIALS experiment list: it has no entry 'experiment'") from None
    return [dataclasses.replace(geometry_in(path, index=i), panels=()) for i in range(count)]


def table_columns(path: Path) -> dict[str, list[Any]]:
    """The columns of a table by name.

    Raises
    ------
    FileFormatError
        For a file that is no such table.
    """
    suffix = os.path.splitext(fspath(path))[1].lower()
    if suffix == ".parquet":
        return read_parquet(path)
    if suffix == ".csv":
        return {name: values.tolist() for name, values in read_csv(path).items()}
    raise FileFormatError(path, "is no table that can be read; use .parquet or .csv, .stream or .expt")


def column(path: Path, name: str) -> list[Any]:
    """One column of a table.

    Raises
    ------
    FileFormatError
        When there is none of that name, with the nearest.
    """
    found = table_columns(path)
    if name not in found:
        near = alike(name, found)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(found)}"
        raise FileFormatError(path, f"has no column {name!r}; {hint}")
    return found[name]


def _of_table(
    path: Path, table: Mapping[str, list[Any]], experiment: Experiment, columns: Mapping[str, Any] | None
) -> dict[str, Any]:
    if columns is None:
        tops = {field.name for field in dataclasses.fields(experiment)} | {"readout"}
        columns = {name: name for name in table if name.partition(".")[0].partition("[")[0] in tops and "." in name}
        if not columns:
            raise FileFormatError(path, "has no column whose name is a path of an experiment; name them with columns=")
    vary: dict[str, Any] = {}
    for target, names in columns.items():
        several = isinstance(names, list | tuple)
        parts = []
        for name in names if several else [names]:
            if name not in table:
                near = alike(str(name), table)
                raise FileFormatError(path, f"has no column {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
            parts.append(table[name])
        rows: list[Any] = [list(row) for row in zip(*parts, strict=True)] if several else parts[0]
        if several and len(parts) == 9:
            rows = [[row[:3], row[3:6], row[6:]] for row in rows]
        vary[target] = {"column": rows}
    return vary


def expanded(table: Any, folder: str) -> Any:
    """A table of distributions with the columns of files in place of their names."""
    if not isinstance(table, Mapping):
        return table
    if "column" in table and "file" in table:
        values = column(os.path.join(folder, str(table["file"])), str(table["column"]))
        return {**{key: value for key, value in table.items() if key != "file"}, "column": values}
    return {key: expanded(value, folder) for key, value in table.items()}
