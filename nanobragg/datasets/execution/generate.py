"""`generate`: all shards of a data set that are not there yet, by whoever makes them."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from os import PathLike
from pathlib import Path
from typing import Any

from nanobragg.datasets.execution import pools
from nanobragg.datasets.execution.estimate import Expected, check_disk, expected, shares
from nanobragg.datasets.execution.worker import Report, Task, beat_file, check_pinned, pinned_here
from nanobragg.datasets.output.layout import Folder, Span, spans_of
from nanobragg.datasets.output.master import write_masters
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.engines.engine import Progress, at_least_one
from nanobragg.errors import BackendUnavailableError, ConfigError, FileFormatError, NanoBraggError
from nanobragg.lazy import dataclass

_POLL_SECONDS = 0.3
_MOST_DEATHS = 2
"""Of workers over one shard, after which it is left out."""


@dataclass(frozen=True)
class Outcome:
    """What a run has done."""

    frames: int
    """that were made"""
    seconds: float
    reports: tuple[Report, ...]
    failed: dict[int, str]
    """what went wrong, by the number of the shard"""
    deaths: int
    """workers that died"""
    complete: bool
    """whether all shards of the data set are there"""

    def __str__(self) -> str:
        rate = self.frames / self.seconds if self.seconds else 0.0
        text = f"{self.frames} frames in {self.seconds:.1f} s, {rate:.3g} a second"
        if self.deaths:
            text += f"; {self.deaths} worker{'s' if self.deaths > 1 else ''} died"
        if self.failed:
            text += f"; {len(self.failed)} shards failed"
        return text + ("" if self.complete else "; not complete")


def generate(
    recipe: Recipe,
    folder: str | PathLike[str],
    *,
    executor: Any = None,
    workers: int | None = None,
    n_threads: int | None = None,
    part: tuple[int, int] | None = None,
    resume: bool = False,
    progress: bool | Progress | None = None,
    say: Callable[[str], Any] | None = None,
) -> Outcome:
    """Make a data set, or the part of it that is missing.

    Parameters
    ----------
    recipe : Recipe
    folder : path
        Where it goes; made if need be.
    executor : concurrent.futures.Executor, optional
        Any executor whose workers have the package and reach the folder; None: processes of this machine. `dask_pool`
        and `mpi_pool` stand behind the command's ``--dask`` and ``--mpi``.
    workers : int, optional
        Processes of this machine; None: as many as there are cores and memory for.
    n_threads : int, optional
        Threads of each worker; None: so that all cores are used once.
    part : (int, int), optional
        (i, n): the i-th of n parts, from 1, for job arrays; all write into the same folder.
    resume : bool
        Go on with a data set that is there: shards that are complete and undamaged stay.
    progress : bool or callable, optional
        True: a bar on stderr. A callable receives (frames done, frames in all).
    say : callable, optional
        Told what happens, in lines.

    Returns
    -------
    Outcome
        Shards that failed are in `Outcome.failed`; everything else is written.

    Raises
    ------
    ConfigError
        For what cannot be drawn or simulated.
    FileFormatError
        When the folder holds another data set, or the disk is too small or full; what is complete stays.
    BackendUnavailableError
        For a worker without the package, or with another version of it.
    """
    say = (lambda line: None) if say is None else say
    begin = time.perf_counter()
    layout, every = Folder(Path(folder)), spans_of(recipe)
    chosen = _part(every, part)
    before = (layout.folder / "dataset.json").exists()
    layout.begin(recipe, pinned_here(recipe))
    pinned = layout.description["pinned"]
    check_pinned(pinned)
    wanted = _missing(layout, chosen, resume or part is not None, before, say)
    if not wanted:
        say("all shards are there")
        return _ended(layout, [], {}, 0, begin)
    try:
        probe = expected(recipe, sum(len(span) for span in wanted), n_threads=n_threads, kernel=pinned["kernel"])
        check_disk(layout.folder, probe)
    except NanoBraggError:
        if not before and part is None:  # a better recipe may have the folder
            layout.give_up()
        raise
    pool: Any
    if executor is None:
        count, each = shares(probe, _count("workers", workers), _count("n_threads", n_threads), len(wanted))
        pool = pools.Processes(count)
        say(f"{probe}; about {_duration(probe.seconds(count, each))} with {count} workers of {each} threads")
    else:
        pool = executor if isinstance(executor, pools.Given) else pools.given_pool(executor)
        each = 1 if n_threads is None else n_threads
        say(f"{probe}")
    tasks = [Task(str(layout.folder.absolute()), span.number, pinned, each) for span in wanted]
    run = _Run(layout, pool, tasks, {span.number: len(span) for span in wanted}, probe, say)
    run.all(progress)
    return _ended(layout, run.reports, run.failed, run.deaths, begin)


def _count(name: str, value: int | None) -> int | None:
    return None if value is None else at_least_one(name, value)


def _part(every: Sequence[Span], part: tuple[int, int] | None) -> list[Span]:
    if part is None:
        return list(every)
    i, n = part
    if not (isinstance(i, int) and isinstance(n, int) and 1 <= i <= n):
        raise ConfigError("part", part, "must be (i, n), 1 <= i <= n")
    return list(every[i - 1 :: n])


def _missing(layout: Folder, chosen: list[Span], resume: bool, before: bool, say: Callable[[str], Any]) -> list[Span]:
    """The shards that are to be made."""
    there = [span for span in chosen if layout.record(span.number) is not None]
    if before and there and not resume:
        raise FileFormatError(layout.folder, f"holds {len(there)} shards of this data set; go on with --resume")
    if before:
        gone = layout.sweep()
        if gone:
            say(f"{len(gone)} unfinished files of an earlier run removed")
    found = []
    for span in chosen:
        trouble = layout.trouble(span.number)
        if trouble is not None:
            if layout.record(span.number) is not None:
                say(f"shard {span.number}: {trouble}; it is made again")
                layout.shard(span.number, ".json").unlink(missing_ok=True)
            found.append(span)
    if there and len(found) < len(chosen):
        say(f"{len(chosen) - len(found)} of {len(chosen)} shards are there")
    return found


def _ended(layout: Folder, reports: list[Report], failed: dict[int, str], deaths: int, begin: float) -> Outcome:
    complete = all(layout.record(span.number) is not None for span in spans_of(layout.recipe))
    if complete:
        layout.sweep(complete=True)
        write_masters(layout)
    return Outcome(
        sum(report.made.frames for report in reports),
        time.perf_counter() - begin,
        tuple(reports),
        failed,
        deaths,
        complete,
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def poll_seconds(running: int) -> float:
    """Between two looks at how far so many workers are: the files that say so are many."""
    return max(_POLL_SECONDS, 0.002 * running)


class _Run:
    """The shards on their way through a pool."""

    def __init__(
        self,
        layout: Folder,
        pool: Any,
        tasks: list[Task],
        sizes: dict[int, int],
        probe: Expected,
        say: Callable[[str], Any],
    ) -> None:
        self.layout, self.pool, self.sizes, self.say = layout, pool, sizes, say
        self.pending, self.running = deque(tasks), dict[Future[Any], Task]()
        self.died: dict[int, int] = {}
        self.reports: list[Report] = []
        self.failed: dict[int, str] = {}
        self.deaths = 0
        self.log = layout.log / f"run_{platform.node() or 'host'}_{os.getpid()}.jsonl"

    def all(self, progress: bool | Progress | None) -> None:
        """Give all of them out, and take what comes back.

        Raises
        ------
        NanoBraggError
            What stops the run; shards that are on their way are waited for.
        """
        total, now, looked = sum(self.sizes.values()), True, 0.0
        with _Bar(progress, total) as bar:
            try:
                while self.pending or self.running:
                    while self.pending and self.pool.free > 0:
                        task = self.pending.popleft()
                        self.running[self.pool.submit(task)] = task
                    done, _ = wait(self.running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._take(future, self.running.pop(future))
                    if time.monotonic() - looked > poll_seconds(len(self.running)):
                        looked = time.monotonic()
                        bar.show(self.frames_done())
                now = False
            except BrokenExecutor:
                self.pending.clear()
                raise BackendUnavailableError("the executor broke down; go on with --resume") from None
            finally:
                self.pool.close(now=now)
                self._note_rest()

    def frames_done(self) -> int:
        """That are done, those of unfinished shards too."""
        n = sum(report.made.frames for report in self.reports)
        for task in self.running.values():
            try:
                n += int(beat_file(self.layout.folder, task.number).read_text() or 0)
            except (OSError, ValueError):
                continue
        return n

    def _take(self, future: Future[Any], task: Task) -> None:
        """What became of a shard."""
        try:
            error = future.exception()
        except CancelledError:
            error = RuntimeError("was canceled")
        died = isinstance(error, BrokenExecutor) or type(error).__name__ in _DEATHS
        goes_on = self.pool.done(future, died)
        if error is None:
            self._made(future.result())
            return
        if died:
            self.deaths += 1
            self.layout.sweep()
            n = self.died[task.number] = self.died.get(task.number, 0) + 1
            again = goes_on and n < _MOST_DEATHS
            self.say(f"shard {task.number}: its worker died; " + ("it is made again" if again else "it is left out"))
            if again:
                self.pending.append(task)
            else:
                self.failed[task.number] = "its worker died"
            if not goes_on:
                assert error is not None
                raise error
            return
        if isinstance(error, ModuleNotFoundError):
            raise BackendUnavailableError(
                f"a worker lacks a package: {error}; install nanobragg where the workers run"
            ) from None
        if isinstance(error, NanoBraggError):
            raise error
        self.failed[task.number] = f"{type(error).__name__}: {error}"
        self.say(f"shard {task.number}: {self.failed[task.number]}; it is left out")

    def _made(self, report: Report) -> None:
        self.reports.append(report)
        line = {
            "shard": report.made.number, "frames": report.made.frames, "time": time.time(), "host": report.host,
            "pid": report.pid, "seconds": report.seconds, "cpu_seconds": report.made.cpu_seconds, "peak_bytes": report.peak_bytes,
        }  # fmt: skip
        try:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise FileFormatError(self.log, f"cannot be written: {error.strerror}; go on with --resume") from None

    def _note_rest(self) -> None:
        """Shards that were on their way when the run stopped may be complete."""
        for future in self.running:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.reports.append(future.result())


_DEATHS = ("KilledWorker", "WorkerLost")
"""Errors of other executors that mean that a worker has died."""


class _Bar:
    """Frames done, over all workers: a bar, or whoever wants to know."""

    def __init__(self, progress: bool | Progress | None, total: int) -> None:
        self.progress, self.total, self.bar, self.last = progress, total, None, -1

    def __enter__(self) -> _Bar:
        if self.progress is True:
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, unit="frame", file=sys.stderr, leave=False)
        return self

    def show(self, n: int) -> None:
        """So many frames are done."""
        n = max(n, self.last)
        if self.bar is not None:
            self.bar.update(n - self.bar.n)
        elif callable(self.progress) and n != self.last:
            self.progress(n, self.total)
        self.last = n

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
