"""The master file of a data set, or of each of its rotation series: one NXmx file that shows the images of all shards."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from nanobragg.datasets.draws.plan import drawn
from nanobragg.datasets.output import columns as truth
from nanobragg.datasets.output.layout import Folder, Span
from nanobragg.datasets.output.shard import IMAGES, PEAKS, STARTED, TRUTH, geometries
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.io.atomic import replacing
from nanobragg.io.images.nxmx import data_group, describe, entry_of
from nanobragg.io.optional import needed

_DATA = "/entry/data/data"
_WAVELENGTH, _OF_FRAMES = "/entry/instrument/beam/incident_wavelength", f"{TRUTH}/frames/wavelength_angstrom"


def write_masters(layout: Folder) -> list[Path]:
    """Write them for a data set that is complete; images that have a file each need none.

    Returns
    -------
    list of Path
        ``master.nxs``, or ``series_0000.nxs`` and so on where there are several rotation series.
    """
    recipe = layout.recipe
    if recipe.settings.images != "nxmx":
        return []
    parts = [span for span, _ in layout.complete()]
    length = recipe.settings.length
    if length == 1 or length >= recipe.settings.n_images:
        return [_master(layout, recipe, layout.folder / "master.nxs", parts)]
    found = []
    for series in sorted({span.first // length for span in parts}):
        own = [span for span in parts if span.first // length == series]
        found.append(_master(layout, recipe, layout.folder / f"series_{series:04d}.nxs", own))
    return found


def _master(layout: Folder, recipe: Recipe, path: Path, parts: list[Span]) -> Path:
    h5py = needed("h5py", "writing a master file")
    draws = [drawn(recipe, parts[0].first)]
    (geometry,) = geometries(recipe, draws, [truth.orientation_matrices(draws[0])])
    count = sum(len(part) for part in parts)
    if recipe.settings.kind == "stills":
        geometry = dataclasses.replace(geometry, a_star=None)
    with replacing(path) as temporary, h5py.File(temporary, "w", libver="v112") as file:
        entry = entry_of(file)
        data_group(entry)
        describe(file, geometry, count, saturation=recipe.readout.saturation, started=STARTED)
        names = [str(layout.shard(part.number, ".nxs").relative_to(layout.folder)) for part in parts]
        with h5py.File(layout.shard(parts[0].number, ".nxs"), "r") as first:
            shown = [
                _DATA,
                *(f"{IMAGES}/{name}" for name in first.get(IMAGES, ())),
                *_columns(first[f"{TRUTH}/frames"]),
            ]
            if recipe.settings.kind == "stills":
                shown += ["/entry/nanobragg/real_space_vectors", "/entry/nanobragg/spindle_angle"]
            for name in shown:
                _virtual(h5py, file, name, first[name], names, parts)
        if recipe.settings.kind == "stills":
            del file[_WAVELENGTH]
            with h5py.File(layout.shard(parts[0].number, ".nxs"), "r") as first:
                _virtual(h5py, file, _WAVELENGTH, first[_OF_FRAMES], names, parts, source_name=_OF_FRAMES)
            file[_WAVELENGTH].attrs["units"] = "angstrom"
        _peaks(h5py, file, layout, names, parts)
    return path


def _columns(group: Any) -> list[str]:
    found: list[str] = []
    group.visititems(lambda name, item: found.append(f"{group.name}/{name}") if hasattr(item, "shape") else None)
    return found


def _virtual(
    h5py: Any, file: Any, name: str, like: Any, names: list[str], parts: list[Span], source_name: str | None = None
) -> None:
    """A dataset that shows those of the shards, one after the other."""
    total = sum(len(part) for part in parts)
    layout = h5py.VirtualLayout(shape=(total, *like.shape[1:]), dtype=like.dtype)
    at = 0
    for source, part in zip(names, parts, strict=True):
        layout[at : at + len(part)] = h5py.VirtualSource(
            source, source_name or name, shape=(len(part), *like.shape[1:])
        )
        at += len(part)
    made = file.create_virtual_dataset(name, layout)
    made.attrs.update(dict(like.attrs))


def _peaks(h5py: Any, file: Any, layout: Folder, names: list[str], parts: list[Span]) -> None:
    """The peak lists, whose width differs from shard to shard."""
    widths, names_of = [], ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")
    for part in parts:
        with h5py.File(layout.shard(part.number, ".nxs"), "r") as shard:
            widths.append(shard[f"{PEAKS}/{names_of[0]}"].shape[1])
    total = sum(len(part) for part in parts)
    for name, kind, most in (("nPeaks", np.int64, None), *((name, np.float32, max(widths)) for name in names_of)):
        virtual = h5py.VirtualLayout(shape=(total,) if most is None else (total, most), dtype=kind)
        at = 0
        for source, part, width in zip(names, parts, widths, strict=True):
            shape = (len(part),) if most is None else (len(part), width)
            rows = slice(at, at + len(part))
            virtual[rows if most is None else (rows, slice(0, width))] = h5py.VirtualSource(
                source, f"{PEAKS}/{name}", shape=shape
            )
            at += len(part)
        file.create_virtual_dataset(f"{PEAKS}/{name}", virtual, fillvalue=0)
    file["cxi_version"] = 150
