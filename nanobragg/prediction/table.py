"""The table of predicted reflections, and the files that it is written to."""

from __future__ import annotations

import os
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry import of_experiment
from nanobragg.io.geometry.crystfel.writing import write_stream
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.optional import needed
from nanobragg.io.spots.comma import write_csv
from nanobragg.io.spots.parquet import write_parquet
from nanobragg.io.spots.peaks import write_cxi
from nanobragg.io.spots.refl import PREDICTED, write_refl
from nanobragg.lazy import dataclass

COLUMNS = np.dtype(
    [
        ("hkl", np.int32, (3,)), ("crystal", np.int32), ("panel", np.int32), ("fast", np.float64), ("slow", np.float64),
        ("d", np.float64), ("phi_deg", np.float64), ("excitation", np.float64), ("photons", np.float64),
        ("partiality", np.float64), ("F", np.float64), ("s1", np.float64, (3,)), ("bbox", np.int32, (4,)),
    ]
)  # fmt: skip
"""Columns of `Reflections`."""
_NAMES = {
    "hkl": ("h", "k", "l"),
    "s1": ("s1_x", "s1_y", "s1_z"),
    "bbox": ("fast_min", "fast_max", "slow_min", "slow_max"),
}
"""Of the columns of numbers, where a format has no rows of several."""
SUFFIXES = ".refl, .csv, .parquet, .cxi, .stream"


@dataclass(frozen=True, eq=False)
class Reflections:
    """Predicted reflections, a numpy structured table with one row for each reflection and panel.

    Columns: ``hkl`` (3 int), ``crystal`` and ``panel`` (from 0), ``fast`` and ``slow`` [pixels from the outer corner of
    the panel: the center of a pixel is at .5], ``d`` [Angstrom], ``phi_deg`` [degrees], ``excitation``
    [1/Angstrom] (distance from the Ewald sphere, positive outside), ``photons`` (expected, over all pixels),
    ``partiality``, ``F`` [electrons], ``s1`` (unit vector of the diffracted ray, laboratory frame), ``bbox`` (first
    and last + 1 pixel along fast, then slow).
    """

    table: NDArray[Any]
    geometry: Geometry
    """of the image, in the frame of DIALS"""
    to_dials: NDArray[np.float64]
    """(3, 3) from the laboratory frame to that of DIALS"""
    photons_by: str = "analytic"
    """how the photons were found: "analytic" or "rendering\""""

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: Any) -> Any:
        """A column by name, or the reflections of a slice, mask or list of rows."""
        if isinstance(key, str):
            return self.table[key]
        rows = self.table[key]
        return Reflections(np.atleast_1d(rows), self.geometry, self.to_dials, self.photons_by)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Plain columns by name; ``hkl``, ``s1`` and ``bbox`` are one column for each number."""
        found = {}
        for name in COLUMNS.names or ():
            if name in _NAMES:
                found.update({part: self.table[name][:, i] for i, part in enumerate(_NAMES[name])})
            else:
                found[name] = self.table[name]
        return {name: np.ascontiguousarray(column) for name, column in found.items()}

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame."""
        return needed("pandas", "to_pandas").DataFrame(self.columns())

    def write(self, path: str | PathLike[str]) -> None:
        """Write the table in the format of the suffix.

        Parameters
        ----------
        path : path
            ``.refl`` (DIALS), ``.csv``, ``.parquet``, ``.cxi`` (peak list; panels below each other), ``.stream`` (CrystFEL).

        Raises
        ------
        ConfigError
            For another suffix.
        """
        suffix = os.path.splitext(fspath(path))[1].lower()
        if suffix == ".refl":
            write_refl(path, self._dials())
        elif suffix == ".csv":
            write_csv(path, self.columns())
        elif suffix == ".parquet":
            write_parquet(path, self.columns())
        elif suffix == ".cxi":
            write_cxi(path, self.table["fast"], self.table["slow"] + self._starts()[self.table["panel"]],
                      self.table["photons"])  # fmt: skip
        elif suffix == ".stream":
            write_stream(path, self.geometry, self._listed())
        else:
            raise ConfigError("path", fspath(path), "is the name of no known format of reflections", f"use {SUFFIXES}")

    def _starts(self) -> NDArray[np.int64]:
        """First row of each panel where they stand below each other."""
        return np.concatenate([[0], np.cumsum([panel.n_slow for panel in self.geometry.panels])]).astype(np.int64)

    def _dials(self) -> dict[str, tuple[str, NDArray[Any]]]:
        table, geometry = self.table, self.geometry
        n = len(table)
        sizes = np.array([panel.edges_mm for panel in geometry.panels])[table["panel"]]
        start, osc = geometry.phi_start or 0.0, geometry.osc
        frame = (table["phi_deg"] - start) / osc if osc else np.zeros(n)
        assert geometry.wavelength is not None
        pixels = np.column_stack([table["fast"], table["slow"], frame])
        bbox = np.column_stack([table["bbox"], np.zeros(n), np.ones(n)])
        return {
            "miller_index": ("cctbx::miller::index<>", table["hkl"]),
            "id": ("int", table["crystal"]),
            "panel": ("std::size_t", table["panel"]),
            "flags": ("std::size_t", np.full(n, PREDICTED)),
            "s1": ("vec3<double>", table["s1"] @ self.to_dials.T / geometry.wavelength),
            "xyzcal.px": ("vec3<double>", pixels),
            "xyzcal.mm": ("vec3<double>", pixels * np.column_stack([sizes, np.full(n, np.radians(osc or 0.0))])
                          + [0.0, 0.0, np.radians(start if osc else 0.0)]),
            "bbox": ("int6", bbox),
            "partiality": ("double", table["partiality"]),
            "intensity.cal.value": ("double", table["photons"]),
            "d": ("double", table["d"]),
        }  # fmt: skip

    def _listed(self) -> list[list[str]]:
        """The reflections of every crystal as rows of a CrystFEL stream."""
        starts = self._starts()
        names = [panel.name for panel in self.geometry.panels]
        rows: list[list[str]] = [[] for _ in self.geometry.lattices]
        for row in self.table:
            index, photons = " ".join(f"{i:4d}" for i in row["hkl"]), row["photons"]
            place = f"{row['fast']:6.1f} {row['slow'] + starts[row['panel']]:6.1f} {names[row['panel']]}"
            rows[row["crystal"]].append(
                f"{index} {photons:10.2f} {max(photons, 0.0) ** 0.5:10.2f} {photons:10.2f} {0.0:10.2f} {place}"
            )
        return rows


def reflections(table: NDArray[Any], experiment: Any, to_dials: NDArray[Any], photons_by: str) -> Reflections:
    """The table with the geometry that its files need."""
    return Reflections(table, of_experiment(experiment), to_dials, photons_by)
