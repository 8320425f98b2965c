"""A recipe of small images, and data sets made from it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nanobragg as nb

VARY: dict[str, Any] = {
    "orientation": "random",
    "cell": {"a": 0.002, "b": 0.002, "c": 0.003},
    "crystal.volume_mm3": {"lognormal": [1e-9, 0.5]},
    "crystal.n_cells": {"uniform": [8, 16], "integer": True},
    "detector.distance_mm": {"normal": [0.0, 0.05], "as": "offset"},
    "frames": {"hit": 0.7, "background": 0.2, "empty": 0.1},
    "lattices": {"choice": [1, 2], "weights": [0.7, 0.3]},
}


def experiment(n_pixels: int = 64, **more: Any) -> nb.Experiment:
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(79.1, 79.1, 37.9, 90, 90, 90), n_cells=(10, 10, 20), shape="gauss", volume_mm3=1e-9,
        mosaic=nb.Mosaic(spread_deg=0.2, n_domains=3), structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    parts: dict[str, Any] = {
        "beam": nb.Beam(wavelength_angstrom=1.3, flux_per_s=1e12, size_mm=0.01),
        "detector": nb.Detector(n_fast=n_pixels, n_slow=n_pixels, pixel_size_mm=76.8 / n_pixels, distance_mm=100.0),
        "background": nb.Background(water_um=20.0),
        "sampling": nb.Sampling(oversample=1),
    }
    return nb.Experiment(crystal=crystal, **{**parts, **more})


def recipe(
    n_images: int = 4, *, vary: Any = None, base: Any = None, n_pixels: int = 64, **settings: Any
) -> nb.data.Recipe:
    settings = {"n_images": n_images, "seed": 3, "shard_size": 2, **settings}
    return nb.data.Recipe(
        experiment=experiment(n_pixels) if base is None else base, vary=VARY if vary is None else vary,
        settings=nb.data.DatasetSettings(**settings),
    )  # fmt: skip


def content(folder: Path) -> dict[str, str]:
    """Checksums of everything that a data set holds, by name; the log and the master file, in which HDF5 puts times, aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if (path.is_file() and path.parent not in (folder / "log", folder)) or path.suffix == ".json"
    }
