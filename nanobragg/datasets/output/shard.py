"""One shard: its frames made one after the other, written under another name, checked in as a whole."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.datasets.draws.plan import Drawn, drawn
from nanobragg.datasets.frame import FrameData, Stopwatch, as_panels, frame
from nanobragg.datasets.output import columns as truth
from nanobragg.datasets.output.layout import Folder, Span, checksum_of
from nanobragg.datasets.recipe.recipe import FORMAT, Recipe
from nanobragg.datasets.recipe.settings import SUFFIXES
from nanobragg.derivation.placement import convention_in_force
from nanobragg.errors import FileFormatError
from nanobragg.exchange.geometry import from_lab, of_experiment
from nanobragg.exchange.images.described import Described
from nanobragg.io.atomic import write_bytes
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.cbf.writing import whole_counts
from nanobragg.io.images.nxmx import data_group, describe, entry_of, filters, stack
from nanobragg.io.optional import needed
from nanobragg.io.spots.parquet import write_parquet
from nanobragg.lazy import dataclass

STARTED = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""Time of the first image, as NXmx wants one: the time of a run is no part of what it makes, and stands in its log."""
OWN = "/entry/nanobragg"
TRUTH, IMAGES = f"{OWN}/truth", f"{OWN}/images"
PEAKS = "/entry_1/result_1"
_SMALL = 4096
"""Bytes below which a column is not packed."""


@dataclass(frozen=True)
class Made:
    """What making a shard has taken; no part of the data set."""

    number: int
    frames: int
    cpu_seconds: dict[str, float]
    """by step: draw, render, chain, truth, write"""
    spots: int
    bytes: int


def write_shard(
    layout: Folder,
    recipe: Recipe,
    span: Span,
    *,
    n_threads: int | None = None,
    beat: Callable[[int], Any] | None = None,
    progress: Any = None,
    **options: Any,
) -> Made:
    """Make the frames of a shard and write them, with their truth.

    Parameters
    ----------
    layout : Folder
    recipe : Recipe
    span : Span
    n_threads : int, optional
        For every frame.
    beat : callable, optional
        Called with the frames that are done, before each of them; what it raises ends the shard.
    progress : callable, optional
        As for `simulate`.
    **options
        As for `frame`.

    Returns
    -------
    Made

    Raises
    ------
    FileFormatError
        When it cannot be written; nothing is left behind.
    """
    h5py = needed("h5py", "writing a data set")
    watch = Stopwatch()
    temporary = layout.temporary(span.number)
    suffix = SUFFIXES["nxmx"] if recipe.settings.images == "nxmx" else ".h5"
    target = layout.shard(span.number, suffix)
    try:
        draws = [drawn(recipe, k) for k in range(span.first, span.stop)]
        with h5py.File(temporary, "w", libver="v112") as file:
            writer = _Writer(layout, recipe, span, draws, file)
            for i, draw in enumerate(draws):
                if beat is not None:
                    beat(i)
                made = frame(recipe, draw.frame, n_threads=n_threads, watch=watch, progress=progress, **options)
                with watch.on("write"):
                    writer.add(i, made)
            with watch.on("write"):
                columns, spots = writer.finish()
        with watch.on("write"):
            _synchronized(temporary)
            os.replace(temporary, target)
            files: list[Path] = [target, *writer.files]
            for name, table in (("frames", columns), ("spots", truth.spot_columns(spots))):
                path = layout.shard(span.number, f".{name}.parquet")
                write_parquet(path, _flat(table))
                files.append(path)
            says = {
                str(path.relative_to(layout.folder)): {"bytes": path.stat().st_size, "sha256": checksum_of(path)}
                for path in files
            }
            record = {"format": FORMAT, "first": span.first, "frames": len(span), "spots": len(spots), "files": says}
            write_bytes(layout.shard(span.number, ".json"), [json.dumps(record, indent=1).encode(), b"\n"])
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) or "write" in str(error) or "flush" in str(error):
            reason = getattr(error, "strerror", None) or str(error)
            raise FileFormatError(
                target, f"cannot be written: {reason}; check the space left, and go on with --resume"
            ) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
    total = sum(path.stat().st_size for path in files)
    return Made(span.number, len(span), watch.seconds, len(spots), total)


def _synchronized(path: Path) -> None:
    """Bytes on the disk before the name says that they are there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Writer:
    """The HDF5 file of a shard while it is filled."""

    def __init__(self, layout: Folder, recipe: Recipe, span: Span, draws: Sequence[Drawn], file: Any) -> None:
        self.layout, self.recipe, self.span, self.draws, self.file = layout, recipe, span, draws, file
        self.most = truth.most_lattices(recipe)
        self.matrices = [truth.orientation_matrices(one) for one in draws]
        self.geometries = geometries(recipe, draws, self.matrices)
        self.single = recipe.settings.images != "nxmx"
        self.entry = entry_of(file)
        self.images: dict[str, Any] = {}
        self.frames: list[FrameData] = []
        self.rows: list[dict[str, Any]] = []
        self.files: list[Path] = []

    def add(self, i: int, made: FrameData) -> None:
        """Write the images of a frame and keep its truth."""
        if self.single:
            self.files.append(self._image_file(made))
        else:
            self._put("/entry/data/data", i, made.counts)
        for name, panels in made.images.items():
            self._put(f"{IMAGES}/{name}", i, panels if len(panels) > 1 else panels[0])
        self.rows.append(truth.frame_row(made.drawn, made.numbers, self.matrices[i], self.most))
        self.frames.append(dataclasses.replace(made, counts=None, images={}))

    def finish(self) -> tuple[truth.Columns, NDArray[Any]]:
        """Write geometry and truth; returns the columns of the frames, and the spots."""
        recipe, draws = self.recipe, self.draws
        saturation = recipe.readout.saturation
        text = json.dumps({"program": "nanobragg", "recipe": recipe.digest, "first": self.span.first, "frames": len(self.span),
                           "seed": recipe.settings.seed})  # fmt: skip
        one = self.geometries[0] if recipe.settings.kind == "rotation" else self.geometries
        describe(self.file, one, len(draws), saturation=saturation, text=text, started=STARTED)
        columns = {**truth.stacked(self.rows), **truth.spectra(draws)}
        for name, values in columns.items():
            self._column(f"{TRUTH}/frames/{name}", values)
        spots = np.concatenate([made.spots for made in self.frames])
        for name, values in truth.spot_columns(spots).items():
            self._column(f"{TRUTH}/spots/{name}", values)
        begins = np.cumsum([0, *(len(made.spots) for made in self.frames)])
        self._column(f"{TRUTH}/spots_begin", begins.astype(np.int64))
        starts = np.cumsum([0, *(panel.n_slow for panel in self.geometries[0].panels)]).astype(np.int64)
        for name, values in truth.peaks(self.frames, starts, recipe.settings.peak_photons).items():
            self._column(f"{PEAKS}/{name}", values)
        self.file["cxi_version"] = 150
        return columns, spots

    def _put(self, path: str, i: int, image: Any) -> None:
        (joined,) = stack([image], self.geometries[0])
        if path not in self.images:
            group, _, name = path.rpartition("/")
            parent = data_group(self.entry) if group == "/entry/data" else self.file.require_group(group)
            n = len(self.draws)
            self.images[path] = parent.create_dataset(
                name, shape=(n, *joined.shape), dtype=joined.dtype, chunks=(1, *joined.shape),
                **filters(self.recipe.settings.compression),
            )  # fmt: skip
        self.images[path][i] = joined
        self.images[path].flush()  # as below

    def _column(self, path: str, values: NDArray[Any]) -> None:
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if values.nbytes > _SMALL else {}
        # chunks get their places now: their order must not depend on who else holds the data set, such as a profiler
        self.file.create_dataset(path, data=values, **packed).flush()

    def _image_file(self, made: FrameData) -> Path:
        """Write the counts of a frame into a file of its own; returns its name."""
        draw, settings = made.drawn, self.recipe.settings
        path = self.layout.images / image_name(self.recipe, draw)
        described = Described(
            _named(draw), {"recipe": self.recipe.digest, "frame": draw.frame}, self.recipe.readout.saturation
        )
        image = draw.index + 1 if settings.kind == "rotation" else 1
        if settings.images == "cbf":
            described.write_cbf(path, made.counts, image)
        else:
            shape = np.shape(made.counts)
            offset = float(self.recipe.readout.offset_adu)
            described.write_smv(path, whole_counts(made.counts, shape, np.uint16), "dxtbx", image, offset)
        return path


def image_name(recipe: Recipe, draw: Drawn) -> str:
    """Name of the file of an image, from 1 as readers of frames want it."""
    suffix = SUFFIXES[recipe.settings.images]
    if recipe.settings.kind == "stills":
        return f"still_{draw.frame + 1:06d}{suffix}"
    return f"series_{draw.series:04d}_{draw.index + 1:05d}{suffix}"


def _named(draw: Drawn) -> Experiment:
    """The experiment that the header of an image file tells: that of the first image of the series, as the beamline knows it."""
    crystal = draw.crystals[0]
    if draw.nominal.goniometer.osc_deg is None:
        return draw.nominal.replace(crystal=crystal)
    start = draw.nominal.goniometer.phi_start_deg - draw.index * draw.nominal.goniometer.osc_deg
    return draw.nominal.replace(crystal=crystal).replace("goniometer.phi_start_deg", start)


def geometries(
    recipe: Recipe, draws: Sequence[Drawn], matrices: Sequence[Sequence[NDArray[np.float64]]]
) -> list[Geometry]:
    """The geometry of every frame as its file tells it: detector, spindle and angles that the beamline knows, the frame's own
    wavelength and first lattice."""
    nominal = draws[0].nominal
    one = nominal.replace(crystal=nominal.crystal[0]) if isinstance(nominal.crystal, tuple) else nominal
    frame_of = from_lab(convention_in_force(_single(one)))
    first = of_experiment(one)
    found = []
    for draw, of_lattices in zip(draws, matrices, strict=True):
        own: dict[str, Any] = {
            "wavelength": truth.mean_wavelength(draw.experiment), "a_star": of_lattices[0] @ frame_of.T,
        }  # fmt: skip
        found.append(dataclasses.replace(first, **own).along_beam())
    return found


def _single(experiment: Experiment) -> Experiment:
    detector = experiment.detector
    return experiment.replace(detector=detector[0]) if isinstance(detector, tuple) else experiment


def _flat(columns: truth.Columns) -> dict[str, Any]:
    """Columns of plain numbers, as Parquet has them: one for every element."""
    found: dict[str, Any] = {}
    for name, values in columns.items():
        if values.dtype.kind == "S":
            values = np.char.strip(np.char.decode(values, "ascii"))
        if values.ndim == 1:
            found[name] = values
        else:
            for index in np.ndindex(*values.shape[1:]):
                found[f"{name}[{','.join(map(str, index))}]"] = np.ascontiguousarray(values[(slice(None), *index)])
    return found


__all__ = ["Made", "as_panels", "geometries", "image_name", "write_shard"]
