"""What a data set will take: a few frames are made, timed and packed before anything long runs."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from nanobragg.arrays import available_cores
from nanobragg.datasets.draws.plan import drawn
from nanobragg.datasets.execution.worker import peak_bytes
from nanobragg.datasets.frame import SPOT_COLUMNS, as_panels, frame
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.errors import FileFormatError
from nanobragg.io.images.nxmx import filters
from nanobragg.io.optional import needed
from nanobragg.lazy import dataclass

_TRIES = 5
_ENOUGH_SECONDS = 1.0
_SHARE_OF_MEMORY = 0.8
_WORKER_BYTES, _PIXEL_BYTES = 130_000_000, 64
"""Of a worker that has the package and its libraries loaded; of a pixel while a frame is made."""
_FRAME_BYTES = 4096
"""Truth of a frame beside its images and spots."""


@dataclass(frozen=True)
class Expected:
    """What the frames that are not made yet are expected to take."""

    frames: int
    frame_seconds: float
    """CPU time of a hit"""
    bytes: int
    worker_bytes: int
    """most memory of a worker"""

    def seconds(self, workers: int, n_threads: int) -> float:
        """With so many workers, no more than there are cores."""
        return self.frames * self.frame_seconds / max(1, min(workers * n_threads, available_cores()))

    def __str__(self) -> str:
        return (
            f"{self.frames} frames, {self.frame_seconds:.3g} s of CPU time each, {size(self.bytes)} on disk, "
            f"{size(self.worker_bytes)} of memory a worker"
        )


def expected(recipe: Recipe, n_frames: int, **options: Any) -> Expected:
    """Make a few frames of the recipe and say what so many will take.

    Raises
    ------
    ConfigError
        Whatever is wrong with the recipe's first frames.
    """
    settings = recipe.settings
    numbers = sorted({int(k) for k in np.linspace(0, settings.n_images - 1, _TRIES)})
    hits = [k for k in numbers if drawn(recipe, k).kind == "hit"]
    misses = 0 if recipe.varied.frames is None else 1 - len(hits) / len(numbers)
    seconds, stored = [], []
    resident, peak = _resident(), peak_bytes()
    begin = time.perf_counter()
    for k in hits or numbers[:1]:
        before = time.process_time()
        made = frame(recipe, k, **options)
        seconds.append(time.process_time() - before)
        images = [as_panels(made.counts), *made.images.values()]
        stored.append(sum(packed_bytes(panels, settings.compression) for panels in images)
                      + 2 * len(made.spots) * SPOT_COLUMNS.itemsize + _FRAME_BYTES)  # fmt: skip
        if time.perf_counter() - begin > _ENOUGH_SECONDS:
            break
    each = float(np.mean(seconds)) * (1 - 0.9 * misses if hits else 1.0)
    return Expected(n_frames, each, int(n_frames * np.mean(stored)), _WORKER_BYTES + _growth(recipe, resident, peak))


def _growth(recipe: Recipe, resident: int, peak: int) -> int:
    """What frames have added to the memory of this process; of one that was larger before, by the number of pixels."""
    after = peak_bytes()
    if after > peak and resident:
        return after - resident
    detector = recipe.experiment.detector
    panels = detector if isinstance(detector, tuple) else (detector,)
    return _PIXEL_BYTES * sum(panel.n_fast * panel.n_slow for panel in panels)


def _resident() -> int:
    """Memory of this process now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


def packed_bytes(panels: Any, compression: str) -> int:
    """What images take in a file."""
    h5py = needed("h5py", "writing a data set")
    total = 0
    with h5py.File("estimate", "w", driver="core", backing_store=False) as file:
        for i, panel in enumerate(panels):
            image = np.asarray(panel)
            image = image.astype(np.int32) if image.dtype.kind in "iu" else image.astype(np.float32)
            dataset = file.create_dataset(str(i), data=image, chunks=image.shape, **filters(compression))
            total += dataset.id.get_storage_size()
    return total


def check_disk(folder: Path, wanted: Expected) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises
    ------
    FileFormatError
    """
    free = shutil.disk_usage(folder).free
    if wanted.bytes > free:
        raise FileFormatError(
            folder, f"the data set needs {size(wanted.bytes)}, and {size(free)} are free; "
            "make room, choose another disk, or fewer images",
        )  # fmt: skip


def shares(wanted: Expected, workers: int | None, n_threads: int | None, n_shards: int) -> tuple[int, int]:
    """Workers and threads of each: as many as there are cores and memory for.

    Parameters
    ----------
    wanted : Expected
    workers, n_threads : int, optional
        As the user wants them.
    n_shards : int
        That are to be made.
    """
    cores = available_cores()
    if workers is None:
        workers = max(1, cores // (n_threads or 1))
        memory = _memory()
        if memory and wanted.worker_bytes:
            workers = max(1, min(workers, int(_SHARE_OF_MEMORY * memory / wanted.worker_bytes)))
    workers = max(1, min(workers, n_shards))
    return workers, max(1, cores // workers) if n_threads is None else n_threads


def _memory() -> int:
    """Memory that can be had [bytes]; 0 where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def size(n: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"
