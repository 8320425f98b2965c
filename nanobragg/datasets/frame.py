"""One frame of a data set: drawn, rendered, read out, with what is true of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import simulate
from nanobragg.arrays import is_tensor
from nanobragg.datasets.draws.plan import Drawn, as_seen, drawn
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.errors import NanoBraggWarning
from nanobragg.exposure import expose
from nanobragg.lazy import dataclass
from nanobragg.prediction.predict import predict
from nanobragg.prediction.table import COLUMNS

SPOT_COLUMNS = np.dtype([("frame", np.int64), *COLUMNS.descr])
"""Of the table of spots of a data set: those of `nanobragg.predict` with the frame."""


@dataclass(frozen=True, eq=False)
class FrameData:
    """A frame and its truth."""

    drawn: Drawn
    counts: Any
    """as `expose` gives them"""
    spots: NDArray[Any]
    """(n,) rows of `SPOT_COLUMNS`"""
    images: Mapping[str, Any]
    """what is stored beside the counts: labels and extras by name"""
    numbers: Mapping[str, Any]
    """what is known after the frame is made: photons, overloads"""


class Stopwatch:
    """CPU seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count the time of a block."""
        begin = time.process_time()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - begin


def frame(
    recipe: Recipe,
    number: int,
    *,
    n_threads: int | None = None,
    watch: Stopwatch | None = None,
    progress: Any = None,
    **options: Any,
) -> FrameData:
    """Make one frame of a data set: the same alone as among others, whatever the machine does beside it.

    Parameters
    ----------
    recipe : Recipe
    number : int
        From 0.
    n_threads : int, optional
        As for `simulate`.
    watch : Stopwatch, optional
        Where the time of the steps is counted.
    progress : callable, optional
        As for `simulate`.
    **options
        As for `simulate`, in place of the recipe's: backend, kernel, device ...

    Returns
    -------
    FrameData

    Raises
    ------
    ConfigError
        For a number that is no frame, draws that give nothing acceptable, and what cannot be simulated.
    """
    watch = Stopwatch() if watch is None else watch
    settings = recipe.settings
    with warnings.catch_warnings():  # those of the first frame are told before a run begins
        warnings.simplefilter("ignore", NanoBraggWarning)
        with watch.on("draw"):
            draws = drawn(recipe, number)
            experiment = as_seen(draws)
        given = {"backend": settings.backend, "kernel": settings.kernel, "n_threads": n_threads, **options}
        apart = bool(settings.labels) or bool({"bragg", "background"} & set(settings.extras))
        with watch.on("render"):
            photons, more = _rendered(recipe, experiment, apart, progress, given)
        with watch.on("chain"):
            made = expose(
                experiment, draws.readout, seed=settings.seed, frame=number, photons=photons, n_threads=n_threads
            )
        with watch.on("truth"):
            spots = _spots(recipe, draws)
            images = _images(recipe, draws, spots, made, more)
            numbers = {"photons": _total(made.photons), "overloads": made.overloads, "spots": len(spots)}
    return FrameData(draws, made.counts, spots, images, numbers)


def _rendered(
    recipe: Recipe, experiment: Any, apart: bool, progress: Any, given: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The photons, and the mean wavelength if it is stored."""
    if "mean_wavelength" in recipe.settings.extras:
        if apart:
            _, mean = simulate(experiment, channels="mean_wavelength", progress=progress, **given)
            photons = simulate(experiment, parts=True, progress=progress, **given)
        else:
            photons, mean = simulate(experiment, channels="mean_wavelength", progress=progress, **given)
        return _on_cpu(photons), {"mean_wavelength": _on_cpu(mean)}
    return _on_cpu(simulate(experiment, parts=apart, progress=progress, **given)), {}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _on_cpu(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_on_cpu(item) for item in value]
    return value.detach().cpu().numpy() if is_tensor(value) else value


def _spots(recipe: Recipe, draws: Drawn) -> NDArray[Any]:
    """The reflections of a hit."""
    settings = recipe.settings
    if not settings.spots or draws.kind != "hit":
        return np.zeros(0, SPOT_COLUMNS)
    found = predict(draws.experiment, d_min=settings.d_min_angstrom).table
    found = found[found["photons"] >= settings.least_spot_photons]
    rows = np.zeros(len(found), SPOT_COLUMNS)
    rows["frame"] = draws.frame
    for name in COLUMNS.names or ():
        rows[name] = found[name]
    return rows


def _total(photons: Any) -> float:
    return float(sum(float(np.sum(panel)) for panel in photons) if isinstance(photons, list) else np.sum(photons))


def _images(recipe: Recipe, draws: Drawn, spots: NDArray[Any], made: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored beside the counts, as lists with one array a panel."""
    found: dict[str, Any] = {}
    for name in recipe.settings.extras:
        if name == "expected":
            value: Any = made.expected
        elif name == "bragg":
            lattices = [part for key, part in made.parts.items() if key.startswith("bragg")]
            value = _added(lattices)
        elif name == "background":
            value = made.parts["background"]
        else:
            value = more[name]
        found[name] = [np.asarray(panel, np.float32) for panel in as_panels(value)]
    for name in recipe.settings.labels:
        found[f"label_{name}"] = _labels(name, recipe, draws, spots, made)
    return found


def as_panels(image: Any) -> list[Any]:
    """The image of every panel."""
    return [image] if not isinstance(image, list) and image.ndim == 2 else list(image)


def _added(images: list[Any]) -> list[Any]:
    return [np.sum(panels, axis=0) for panels in zip(*(as_panels(image) for image in images), strict=True)]


def _labels(name: str, recipe: Recipe, draws: Drawn, spots: NDArray[Any], made: Any) -> list[NDArray[np.int32]]:
    """The label image of every panel: pixels with enough photons of the spots, by the spot or by the lattice."""
    of_lattices = [as_panels(part) for key, part in made.parts.items() if key.startswith("bragg")]
    least, found = recipe.settings.label_photons, []
    for panel in range(len(of_lattices[0])):
        shares = np.stack([lattice[panel] for lattice in of_lattices])
        lit = shares.sum(axis=0) >= max(least, np.finfo(float).tiny)
        if draws.kind != "hit":
            found.append(np.zeros(lit.shape, np.int32))
        elif name == "lattices":
            found.append(np.where(lit, 1 + np.argmax(shares, axis=0), 0).astype(np.int32))
        else:
            found.append(np.where(lit, _nearest(spots, panel, lit.shape), 0).astype(np.int32))
    return found


def _nearest(spots: NDArray[Any], panel: int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """1 + the row of the spot in whose shoebox a pixel lies, of several the nearest; 0: in none."""
    labels, nearest = np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32)
    for row in np.flatnonzero(spots["panel"] == panel):
        f0, f1, s0, s1 = (int(x) for x in spots["bbox"][row])
        if f1 <= f0 or s1 <= s0:
            continue
        box = (slice(s0, s1), slice(f0, f1))
        s, f = np.ogrid[s0:s1, f0:f1]
        apart = (f + 0.5 - spots["fast"][row]) ** 2 + (s + 0.5 - spots["slow"][row]) ** 2
        closer = apart < nearest[box]
        labels[box][closer] = row + 1
        nearest[box][closer] = apart[closer]
    return labels
