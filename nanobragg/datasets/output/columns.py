"""The truth of frames as columns: what is the same for every recipe, and what was drawn by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, elements
from nanobragg.config import Experiment
from nanobragg.datasets.draws.plan import Drawn
from nanobragg.datasets.frame import SPOT_COLUMNS, FrameData
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.derivation import panels
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.crystals.displacement import dose
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.spectra.sampled import sampled_spectrum
from nanobragg.derivation.vectors import FLOAT_OPS

Columns = dict[str, NDArray[Any]]
_SPLIT = {
    "hkl": ("h", "k", "l"),
    "s1": ("s1_x", "s1_y", "s1_z"),
    "bbox": ("fast_min", "fast_max", "slow_min", "slow_max"),
}


def most_lattices(recipe: Recipe) -> int:
    """Of a frame."""
    crystals = recipe.experiment.crystal
    if isinstance(crystals, tuple):
        return len(crystals)
    varied = recipe.varied
    n = 1 if varied.lattices is None else max(int(n) for n in varied.lattices.parameters)
    return n + (varied.split is not None)


def spectrum(experiment: Experiment) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wavelengths of the beam [Angstrom] and their weights; the sum is 1, of a pulse its energy over that of the mean pulse."""
    sources = experiment.beam.sources
    if sources is not None:
        weight = np.asarray(sources.weight, np.float64)
        return np.asarray(sources.wavelength_angstrom, np.float64), weight / weight.sum()
    found = sampled_spectrum(experiment.beam)
    return found.wavelength_angstrom, found.weight


def mean_wavelength(experiment: Experiment) -> float:
    """Of the photons that fall onto the sample [Angstrom]."""
    wavelength, weight = spectrum(experiment)
    return float(np.sum(wavelength * weight) / np.sum(weight))


def orientation_matrices(draws: Drawn) -> list[NDArray[np.float64]]:
    """Rows a*, b*, c* of every lattice at spindle angle 0 [1/Angstrom], laboratory frame."""
    first = panels.experiments(draws.experiment)[0]
    found = []
    for one in lattices.experiments(first):
        cell = resolve(one).cell
        axes = np.array([[float(x) for x in axis] for axis in (cell.a, cell.b, cell.c)]) * 1e10
        found.append(np.asarray(np.linalg.inv(axes).T, np.float64))
    return found


def frame_row(
    draws: Drawn, numbers: Mapping[str, Any], matrices: Sequence[NDArray[np.float64]], most: int
) -> dict[str, Any]:
    """What is true of a frame, by name; of lattices that are not there NaN."""
    experiment, hit = draws.experiment, draws.kind == "hit"
    n = len(matrices) if hit else 0
    cell = np.full((most, 6), np.nan)
    a_star = np.full((most, 3, 3), np.nan)
    n_cells = np.full((most, 3), np.nan)
    doses = np.full(most, np.nan)
    for i in range(n):
        a_star[i] = matrices[i]
        cell[i] = _cell(np.asarray(np.linalg.inv(matrices[i]).T, np.float64))
        n_cells[i] = [detached(x) for x in elements(draws.crystals[i].n_cells)]
        doses[i] = dose(draws.crystals[i], FLOAT_OPS)
    goniometer = experiment.goniometer
    row = {
        "frame": np.int64(draws.frame), "series": np.int64(draws.series), "index": np.int64(draws.index),
        "kind": np.bytes_(draws.kind.ljust(10)), "lattices": np.int32(n),
        "wavelength_angstrom": mean_wavelength(experiment), "pulse_energy": float(spectrum(experiment)[1].sum()),
        "phi_start_deg": detached(goniometer.phi_start_deg), "osc_deg": detached(goniometer.osc_deg or 0.0),
        "a_star": a_star, "cell": cell, "n_cells": n_cells, "dose_mgy": doses,
        **{name: np.float64(value) if name == "photons" else np.int64(value) for name, value in numbers.items()},
    }  # fmt: skip
    for name, value in draws.values.items():
        row[f"drawn/{name}"] = _padded(value, name, most)
    return row


def _padded(value: Any, name: str, most: int) -> Any:
    """A drawn value; those of lattices as one row for each that there may be."""
    if isinstance(value, str):
        return np.bytes_(value.ljust(32))
    if name.startswith("crystal.") and isinstance(value, tuple):
        parts = [_padded(item, "", most) for item in value]
        blank = np.bytes_(b"") if isinstance(parts[0], np.bytes_) else np.full(np.shape(parts[0]), np.nan)
        return np.array([*parts, *([blank] * (most - len(parts)))][:most])
    return np.asarray(value, np.float64)


def _cell(axes: NDArray[np.float64]) -> list[float]:
    edges = np.linalg.norm(axes, axis=1)
    angles = [np.degrees(np.arccos(axes[i] @ axes[j] / edges[i] / edges[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
    return [*edges.tolist(), *(float(angle) for angle in angles)]


def stacked(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Columns of the rows of frames."""
    return {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}


def spectra(draws: Sequence[Drawn]) -> Columns:
    """The spectrum of every frame, filled up with NaN and weight 0."""
    found = [spectrum(one.experiment) for one in draws]
    most = max(len(wavelength) for wavelength, _ in found)
    wavelength, weight = np.full((len(found), most), np.nan), np.zeros((len(found), most))
    for i, (w, v) in enumerate(found):
        wavelength[i, : len(w)], weight[i, : len(v)] = w, v
    return {"spectrum_wavelength_angstrom": wavelength, "spectrum_weight": weight}


def spot_columns(spots: NDArray[Any]) -> Columns:
    """The table of spots as plain columns; indices, rays and boxes are a column for each number."""
    found: Columns = {}
    for name in SPOT_COLUMNS.names or ():
        if name in _SPLIT:
            found.update({part: np.ascontiguousarray(spots[name][:, i]) for i, part in enumerate(_SPLIT[name])})
        else:
            found[name] = np.ascontiguousarray(spots[name])
    return found


def spots_from(columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The table of spots from its plain columns."""
    spots = np.zeros(len(columns["frame"]), SPOT_COLUMNS)
    for name in SPOT_COLUMNS.names or ():
        if name in _SPLIT:
            for i, part in enumerate(_SPLIT[name]):
                spots[name][:, i] = columns[part]
        else:
            spots[name] = columns[name]
    return spots


def peaks(frames: Sequence[FrameData], starts: NDArray[np.int64], least: float) -> Columns:
    """Peak lists as CXI files have them, one row a frame: centers of pixels are whole numbers, panels stand below each other."""
    chosen = [frame.spots[frame.spots["photons"] >= least] for frame in frames]
    chosen = [spots[np.argsort(-spots["photons"], kind="stable")] for spots in chosen]
    most = max([1, *(len(spots) for spots in chosen)])
    found = {
        name: np.zeros((len(frames), most), np.float32) for name in ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")
    }
    for i, spots in enumerate(chosen):
        n = len(spots)
        found["peakXPosRaw"][i, :n] = spots["fast"] - 0.5
        found["peakYPosRaw"][i, :n] = spots["slow"] + starts[spots["panel"]] - 0.5
        found["peakTotalIntensity"][i, :n] = spots["photons"]
    return {"nPeaks": np.array([len(spots) for spots in chosen], np.int64), **found}
