"""What a worker does: one shard, of a data set that lies where it and the others can reach it."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from nanobragg.config.serialize import MODEL_VERSION
from nanobragg.datasets.output.layout import Folder, spans_of
from nanobragg.datasets.output.shard import Made, write_shard
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions
from nanobragg.errors import BackendUnavailableError
from nanobragg.lazy import dataclass
from nanobragg.version import installed_version

_BEAT_SECONDS = 0.3
"""Between two notes of how far a shard is."""


@dataclass(frozen=True)
class Task:
    """A shard to be made."""

    folder: str
    number: int
    pinned: dict[str, Any]
    n_threads: int | None


@dataclass(frozen=True)
class Report:
    """A shard that was made, where and how long it took."""

    made: Made
    seconds: float
    host: str
    pid: int
    peak_bytes: int


class Stopped(Exception):
    """The run was asked to end."""


def pinned_here(recipe: Recipe) -> dict[str, Any]:
    """What all parts of a data set must be made with: the package, its model, the engine and its kernel."""
    settings = recipe.settings
    kernel = engine(settings.backend, RenderOptions(kernel=settings.kernel)).kernel_name
    return {"nanobragg": installed_version(), "model": MODEL_VERSION, "backend": settings.backend, "kernel": kernel}


def check_pinned(pinned: dict[str, Any]) -> None:
    """Refuse to make a part of a data set with another version.

    Raises
    ------
    BackendUnavailableError
    """
    here = {"nanobragg": installed_version(), "model": MODEL_VERSION}
    for name, version in here.items():
        if pinned.get(name) != version:
            raise BackendUnavailableError(
                f"{platform.node()}: {name} {version} is not the {pinned.get(name)} that the data set was begun with; "
                "install that one there, or begin another data set"
            )


def ready(pinned: dict[str, Any]) -> str:
    """Whether a worker can work at all; returns its host."""
    check_pinned(pinned)
    return platform.node()


@lru_cache(maxsize=2)
def _opened(folder: str, digest: str) -> tuple[Folder, Recipe]:
    """A data set and its recipe, kept for the next shard."""
    layout = Folder(Path(folder))
    return layout, layout.recipe


_stop: Any = None
"""Set when the run shall end; None where nobody can say so."""


def begin(stop: Any) -> None:
    """Set a process of a pool up: interrupts are for the parent, and without a parent there is nothing to do."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def beat_file(folder: Path, number: int) -> Path:
    """Where a shard that is being made says how many frames it has."""
    return folder / "log" / f".beat_{number:05d}"


def work(task: Task) -> Report:
    """Make a shard.

    Raises
    ------
    NanoBraggError
        For another version, and as `write_shard`.
    Stopped
        When the run was asked to end.
    """
    begin_time = time.perf_counter()
    check_pinned(task.pinned)
    folder = Path(task.folder)
    digest = Folder(folder).description["digest"]
    layout, recipe = _opened(task.folder, digest)
    note, last = beat_file(folder, task.number), [0.0]

    def beat(done: int) -> None:
        heard()
        now = time.monotonic()
        if now - last[0] > _BEAT_SECONDS:
            last[0] = now
            note.write_text(str(done))

    try:
        made = write_shard(
            layout, recipe, spans_of(recipe)[task.number], n_threads=task.n_threads, beat=beat, progress=heard,
            kernel=task.pinned["kernel"],
        )  # fmt: skip
    finally:
        note.unlink(missing_ok=True)
    return Report(made, time.perf_counter() - begin_time, platform.node(), os.getpid(), peak_bytes())


def heard(*_: Any) -> None:
    """Raise when the run was asked to end; also what `simulate` calls between blocks."""
    if _stop is not None and _stop.is_set():
        raise Stopped("the run was ended")


def peak_bytes() -> int:
    """The most memory that this process has had; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if platform.system() == "Darwin" else 1024 * peak)
