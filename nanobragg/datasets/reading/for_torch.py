"""Data sets for torch: by number, as a shuffled stream, and simulated while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np

from nanobragg.datasets.frame import FrameData, as_panels, frame
from nanobragg.datasets.output import columns as columns_of
from nanobragg.datasets.reading.dataset import Dataset
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.derivation.panels import joined
from nanobragg.engines.engine import at_least_one
from nanobragg.errors import ConfigError, alike
from nanobragg.io.optional import needed

_torch: Any = needed("torch", "nanobragg.data for torch")
_data: Any = needed("torch.utils.data", "nanobragg.data for torch")
Transform = Callable[[dict[str, Any]], Any]


class TorchFrames(_data.Dataset):
    """The frames of a data set by number, as dicts of tensors: a ``torch.utils.data.Dataset``.

    Workers of a DataLoader open the files for themselves, whether they are forked or spawned.

    Parameters
    ----------
    path : path
        The folder of the data set.
    images : sequence of str
        "counts", and what is stored beside them: "label_spots", "bragg" ...; (n_slow, n_fast), of several panels
        (n_panels, n_slow, n_fast).
    truth : sequence of str
        Names of numbers of the frames, see `Dataset.truth`.
    transform : callable, optional
        What is made of a dict before it is given.

    Raises
    ------
    ConfigError
        For a name that the data set does not have.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        images: Sequence[str] = ("counts",),
        truth: Sequence[str] = (),
        transform: Transform | None = None,
    ) -> None:
        self.data = Dataset(path)
        self.images, self.truth, self.transform = tuple(images), tuple(truth), transform
        _check_names("images", self.images, ("counts", *self.data.images))
        if self.truth:
            numbers = [name for name, values in self.data.row(0).items() if np.asarray(values).dtype.kind in "iuf"]
            _check_names("truth", self.truth, numbers)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> Any:
        found = {name: _tensor(self.data.image(name, i)) for name in self.images}
        if self.truth:
            row = self.data.row(i)
            found.update({name: _tensor(np.asarray(row[name])) for name in self.truth})
        return found if self.transform is None else self.transform(found)


class TorchStream(_data.IterableDataset):
    """The frames of a data set one after the other, shard by shard: a ``torch.utils.data.IterableDataset``.

    The workers of a DataLoader share the shards. With a seed the shards, and the frames in each, come in a random order, which
    is another one in every epoch (`set_epoch`).

    Parameters
    ----------
    path, images, truth, transform
        As for `TorchFrames`.
    seed : int, optional
        Of the order; None: that of the data set.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        images: Sequence[str] = ("counts",),
        truth: Sequence[str] = (),
        transform: Transform | None = None,
        seed: int | None = None,
    ) -> None:
        self.frames = TorchFrames(path, images, truth, transform)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Which order the frames come in."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Any]:
        worker = _data.get_worker_info()
        part, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        parts = self.frames.data.positions()
        order = None if self.seed is None else np.random.Generator(np.random.PCG64((self.seed, self.epoch)))
        if order is not None:
            parts = [order.permutation(parts[i]) for i in order.permutation(len(parts))]
        if len(parts) >= of:
            own = parts[part::of]
        else:  # fewer shards than workers: they share the frames
            own = [np.concatenate(parts)[part::of]] if parts else []
        for positions in own:
            for i in positions:
                yield self.frames[int(i)]


class SimulatedFrames(_data.Dataset):
    """The frames of a recipe, each simulated when it is asked for; nothing is stored: a ``torch.utils.data.Dataset``.

    Frame k is that of the data set that the recipe would make. With ``backend="torch", device="cuda"`` it is rendered on the GPU.

    Parameters
    ----------
    recipe : Recipe
    images : sequence of str
        "counts", and the extras and labels of the recipe.
    truth, transform
        As for `TorchFrames`.
    n_threads : int
        Of a frame; one, as the workers of a DataLoader have the other cores.
    **options
        As for `nanobragg.data.frame`: backend, device, kernel ...
    """

    def __init__(
        self,
        recipe: Recipe,
        images: Sequence[str] = ("counts",),
        truth: Sequence[str] = (),
        transform: Transform | None = None,
        n_threads: int = 1,
        **options: Any,
    ) -> None:
        self.recipe, self.images, self.truth, self.transform = recipe, tuple(images), tuple(truth), transform
        self.options = {"n_threads": at_least_one("n_threads", n_threads), **options}
        settings = recipe.settings
        beside = (*settings.extras, *(f"label_{name}" for name in settings.labels))
        _check_names("images", self.images, ("counts", *beside))

    def __len__(self) -> int:
        return int(self.recipe.settings.n_images)

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(f"frame {i} of {len(self)}")
        made = frame(self.recipe, int(i), **self.options)
        found = {
            name: _tensor(_widened(made.counts) if name == "counts" else _image(made.images[name]))
            for name in self.images
        }
        if self.truth:
            row = self._row(made)
            _check_names(
                "truth", self.truth, [name for name, value in row.items() if np.asarray(value).dtype.kind in "iuf"]
            )
            found.update({name: _tensor(np.asarray(row[name])) for name in self.truth})
        return found if self.transform is None else self.transform(found)

    def _row(self, made: FrameData) -> dict[str, Any]:
        matrices = columns_of.orientation_matrices(made.drawn)
        return columns_of.frame_row(made.drawn, made.numbers, matrices, columns_of.most_lattices(self.recipe))


def _widened(counts: Any) -> Any:
    """Counts in 32 bits, as they are stored."""
    return _image([np.asarray(panel, np.int32) for panel in as_panels(counts)])


def _image(panels: list[Any]) -> Any:
    return joined(panels) if len(panels) > 1 else panels[0]


def _tensor(value: Any) -> Any:
    if isinstance(value, list):
        return [_tensor(item) for item in value]
    return _torch.from_numpy(np.array(value))


def _check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = alike(name, known)
            hint = f"did you mean {near[0]}?" if near else ""
            raise ConfigError(what, name, f"must be among {', '.join(map(repr, known))}", hint)
