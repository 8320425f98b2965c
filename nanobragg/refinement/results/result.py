"""What a refinement gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import field
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry_files import write_geometry
from nanobragg.io.spots.comma import write_csv
from nanobragg.io.spots.parquet import write_parquet
from nanobragg.lazy import dataclass
from nanobragg.prediction.table import Reflections
from nanobragg.refinement.results.estimates import Estimates
from nanobragg.refinement.results.measured import measured
from nanobragg.refinement.results.report import page

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One stage of a refinement."""

    name: str
    evaluations: int
    cost: float
    """mean square residual"""
    note: str = ""


@dataclass(frozen=True)
class Shell:
    """Reflections of a range of spacings."""

    d_max: float
    d_min: float
    count: int
    chi2: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Refinement(Estimates):
    """Refined values with their errors.

    Errors are standard deviations: of the photons (the inverse of the Gauss-Newton matrix, times the mean square residual
    where that is above 1), and of the finite number of mosaic domains that the model has (the scatter between groups of
    them).
    """

    experiment: Experiment
    """the refined one, in the form of the start"""
    turn_covariance: Array
    """(3, 3) of the crystal's rotation about the axes of the laboratory [degrees^2]"""
    shells: tuple[Shell, ...]
    """of the shoeboxes, by resolution"""
    steps: tuple[Step, ...]
    spots: Reflections
    """the shoeboxes that were used, as predicted at the end"""
    observed: Array
    """(n, 2) centroids of the photons above the background [pixels]; NaN where there are too few"""
    modelled: Array
    """(n, 2) those of the model, over the same pixels"""
    modelled_at_start: Array
    """(n, 2) those of the start"""
    intensities: Array
    """(n,) photons of every spot, measured: the model's times the factor that fits best"""
    chi2_by_box: Array
    rejected: int
    """shoeboxes that were left out as outliers"""
    message: str
    pictures: tuple[Any, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [self.message, f"{'':{width}s} {'start':>14s} {'refined':>14s} {'error':>11s}"]
        for name, before, after, error, unit in zip(
            self.names, self.start, self.estimate, self.errors.values(), self.units, strict=True
        ):
            lines.append(f"{name:{width}s} {before:14.7g} {after:14.7g} {error:11.2g} {unit}")
        lines.append(f"chi-squared {self.chi2:.3f} over {len(self.spots)} shoeboxes, {self.rejected} left out")
        return "\n".join(lines)

    def reflections(self) -> Reflections:
        """The shoeboxes as the refined experiment predicts them; ``photons`` are those measured."""
        return measured(self.experiment, self.spots, self.intensities)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file that the name says.

        Parameters
        ----------
        path : path
            ``.csv`` or ``.parquet``: the values with their errors; ``.html``: the report; ``.refl`` (DIALS), ``.stream``
            (CrystFEL), ``.cxi``: the measured reflections; any other name that `write_geometry` knows: the refined experiment.
        """
        suffix = os.path.splitext(fspath(path))[1].lower()
        if suffix == ".html":
            self.report(path)
        elif suffix == ".csv":
            write_csv(path, self.columns())
        elif suffix == ".parquet":
            write_parquet(path, self.columns())
        elif suffix in (".refl", ".stream", ".cxi"):
            self.reflections().write(path)
        else:
            write_geometry(self.experiment, path)

    def report(self, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page: values, convergence, offsets over the detector, shoeboxes."""
        page(path, self)


def shells_of(spots: Reflections, chi2: Array, count: int = 5) -> tuple[Shell, ...]:
    """Mean square residuals by resolution, in shells of about as many spots."""
    order = np.argsort(-spots["d"])
    found = []
    for rows in np.array_split(order, min(count, max(len(order), 1))):
        if len(rows):
            d = spots["d"][rows]
            found.append(Shell(float(d.max()), float(d.min()), len(rows), float(chi2[rows].mean())))
    return tuple(found)


def check_progress(progress: Any, text: str, done: int, total: int) -> None:
    """Tell a callable how far the work is."""
    if progress is not None:
        if not callable(progress):
            raise ConfigError("progress", progress, "must be a callable (text, done, total)")
        progress(text, done, total)


def joined_message(parts: Sequence[str]) -> str:
    """Remarks as one line."""
    return "; ".join(part for part in parts if part)
