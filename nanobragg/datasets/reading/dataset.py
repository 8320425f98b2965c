"""`Dataset`: the frames of a data set and what is true of them, by number and by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.datasets.draws.plan import as_seen, drawn
from nanobragg.datasets.frame import FrameData, frame
from nanobragg.datasets.output import columns as columns_of
from nanobragg.datasets.output.layout import Folder, Span
from nanobragg.datasets.output.shard import IMAGES, OWN, TRUTH, image_name
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.datasets.recipe.settings import SUFFIXES
from nanobragg.derivation.panels import several
from nanobragg.errors import ConfigError, FileFormatError, alike
from nanobragg.io.images.hdf5 import open_hdf5
from nanobragg.io.images.image_file import read_image
from nanobragg.lazy import dataclass

_OPEN = 8
"""Shards whose files are kept open."""


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """A frame of a data set."""

    frame: int
    counts: Any
    """(n_slow, n_fast); of several panels (n_panels, n_slow, n_fast), or a list"""
    truth: Mapping[str, Any]
    """what is true of it, by name"""
    spots: NDArray[Any]
    """structured array of its reflections, see `nanobragg.Reflections`, with the number of the frame"""


class Dataset:
    """A data set as `nanoBragg dataset` wrote it, complete or not.

    It may be handed to other processes, and used in the workers of a DataLoader: files are opened where they are read.

    Parameters
    ----------
    path : path
        The folder.

    Raises
    ------
    FileFormatError
        When there is no data set, or one of a later format.

    Examples
    --------
    >>> import nanobragg as nb
    >>> data = nb.data.Dataset("my_data")                              # doctest: +SKIP
    >>> len(data), data[0].counts.shape, data.truth["wavelength_angstrom"].mean()     # doctest: +SKIP
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.layout = Folder(self.path)
        assert self.layout.description
        self._files: dict[int, Any] = {}
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    @cached_property
    def recipe(self) -> Recipe:
        """What it was made from."""
        return self.layout.recipe

    @cached_property
    def _spans(self) -> list[Span]:
        """Shards that are there."""
        return [span for span, _ in self.layout.complete()]

    @cached_property
    def frames(self) -> NDArray[np.int64]:
        """Numbers of the frames that are there."""
        parts = [np.arange(span.first, span.stop) for span in self._spans]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @property
    def complete(self) -> bool:
        """Whether all frames are there."""
        return len(self) == self.recipe.settings.n_images

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images that are stored beside the counts."""
        settings = self.recipe.settings
        return (*settings.extras, *(f"label_{name}" for name in settings.labels))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, i: int) -> StoredFrame:
        """The i-th frame that is there."""
        number = self._number(i)
        return StoredFrame(number, self.counts(i), self.row(i), self.spots(i))

    def __iter__(self) -> Iterator[StoredFrame]:
        return (self[i] for i in range(len(self)))

    def counts(self, i: int) -> Any:
        """The counts of a frame, as `expose` gave them but in 32 bits."""
        number = self._number(i)
        if self.recipe.settings.images != "nxmx":
            return read_image(self.layout.images / image_name(self.recipe, drawn(self.recipe, number)))
        file, span = self._file(number)
        return self._panels(file["/entry/data/data"][number - span.first])

    def image(self, name: str, i: int) -> Any:
        """An image that is stored beside the counts: "label_spots", "label_lattices", "bragg", "background", "expected" ...

        Raises
        ------
        ConfigError
            For a name that the data set does not have.
        """
        if name == "counts":
            return self.counts(i)
        if name not in self.images:
            near = alike(name, self.images)
            raise ConfigError("name", name, f"must be one of {', '.join(map(repr, ('counts', *self.images)))}",
                              f"did you mean {near[0]}?" if near else "")  # fmt: skip
        number = self._number(i)
        file, span = self._file(number)
        return self._panels(file[f"{IMAGES}/{name}"][number - span.first])

    def row(self, i: int) -> dict[str, Any]:
        """What is true of a frame, by name: as `truth`, of one frame."""
        number = self._number(i)
        file, span = self._file(number)
        return {name: values[number - span.first] for name, values in self._columns(file, f"{TRUTH}/frames").items()}

    def spots(self, i: int) -> NDArray[Any]:
        """The reflections of a frame, as `nanobragg.predict` gives them."""
        number = self._number(i)
        file, span = self._file(number)
        begins = file[f"{TRUTH}/spots_begin"][number - span.first : number - span.first + 2]
        group = file[f"{TRUTH}/spots"]
        return columns_of.spots_from({name: group[name][begins[0] : begins[1]] for name in group})

    @cached_property
    def truth(self) -> dict[str, NDArray[Any]]:
        """What is true of all frames that are there: a column a name."""
        parts: list[dict[str, NDArray[Any]]] = []
        for span in self._spans:
            file, _ = self._file(span.first)
            parts.append(self._columns(file, f"{TRUTH}/frames"))
        return {name: _joined([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def positions(self) -> list[NDArray[np.int64]]:
        """The frames of every shard that is there, as positions in this data set."""
        ends = np.cumsum([0, *(len(span) for span in self._spans)])
        return [np.arange(a, b) for a, b in pairwise(ends)]

    def experiment(self, i: int) -> Experiment:
        """The experiment that a frame was simulated from."""
        return as_seen(drawn(self.recipe, self._number(i)))

    def remake(self, i: int, **options: Any) -> FrameData:
        """A frame simulated again, with the kernel that the data set was made with; `options` as for `nanobragg.data.frame`."""
        pinned = self.layout.description["pinned"]
        return frame(self.recipe, self._number(i), **{"kernel": pinned["kernel"], **options})

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def _number(self, i: int) -> int:
        n = len(self)
        if not -n <= i < n:
            raise IndexError(f"frame {i} of {n}")
        return int(self.frames[i])

    def _file(self, number: int) -> tuple[Any, Span]:
        """The open file that a frame is in."""
        if self._owner != os.getpid():  # a worker that was forked: the handles belong to its parent
            self._inherited = self._files  # kept, for closing them is the parent's
            self._files, self._owner = {}, os.getpid()
        at = int(np.searchsorted(self._firsts, number, side="right")) - 1
        span = self._spans[at]
        file = self._files.pop(span.number, None)
        if file is None:
            suffix = SUFFIXES["nxmx"] if self.recipe.settings.images == "nxmx" else ".h5"
            path = self.layout.shard(span.number, suffix)
            file = open_hdf5(path)
            if OWN not in file:
                raise FileFormatError(path, "is no shard of a data set")
            while len(self._files) >= _OPEN:
                self._files.pop(next(iter(self._files))).close()
        self._files[span.number] = file
        return file, span

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        return np.array([span.first for span in self._spans], np.int64)

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        detector = self.recipe.experiment.detector
        return [(p.n_slow, p.n_fast) for p in (detector if isinstance(detector, tuple) else (detector,))]

    def _panels(self, image: NDArray[Any]) -> Any:
        if not several(self.recipe.experiment):
            return image
        starts = np.cumsum([0, *(n for n, _ in self._shapes)])
        parts = [image[at : at + n, :m] for at, (n, m) in zip(starts, self._shapes, strict=False)]
        return np.stack(parts) if len(set(self._shapes)) == 1 else parts

    def _columns(self, file: Any, group: str) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}

        def take(name: str, item: Any) -> None:
            if hasattr(item, "shape"):
                values = item[()]
                found[name] = np.char.strip(np.char.decode(values, "ascii")) if values.dtype.kind == "S" else values

        file[group].visititems(take)
        return found

    def __repr__(self) -> str:
        settings = self.recipe.settings
        return f"<Dataset {str(self.path)!r}: {len(self)} of {settings.n_images} frames, {settings.kind}, seed {settings.seed}>"


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Columns of shards, one after the other; spectra of unlike length are filled up with NaN."""
    if len({part.shape[1:] for part in parts}) > 1:
        most = max(part.shape[1] for part in parts)
        parts = [np.pad(part, ((0, 0), (0, most - part.shape[1])), constant_values=np.nan) for part in parts]
    return np.concatenate(parts)
