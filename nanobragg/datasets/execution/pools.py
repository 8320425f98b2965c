"""Where shards are made: processes of this machine, dask, MPI, or any executor of concurrent.futures."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

from nanobragg.datasets.execution import worker
from nanobragg.datasets.execution.worker import Task
from nanobragg.errors import BackendUnavailableError, ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes
from nanobragg.io.optional import needed

_AHEAD = 1000
"""Shards that an executor is given ahead."""


class Processes:
    """Processes of this machine, each an executor of its own: one that dies takes no other with it."""

    def __init__(self, n: int) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.stop = self.context.Event()
        self.slots: list[ProcessPoolExecutor] = [self._new() for _ in range(n)]
        self.busy: dict[Future[Any], int] = {}

    @property
    def free(self) -> int:
        """Shards that can be given out now."""
        return len(self.slots) - len(self.busy)

    def submit(self, task: Task) -> Future[Any]:
        """Give a shard to a process that has none."""
        slot = next(i for i in range(len(self.slots)) if i not in self.busy.values())
        try:
            future = self.slots[slot].submit(worker.work, task)
        except BrokenExecutor:  # it died while it had nothing to do
            self.slots[slot] = self._new()
            future = self.slots[slot].submit(worker.work, task)
        self.busy[future] = slot
        return future

    def done(self, future: Future[Any], died: bool) -> bool:
        """Take a process back; a new one stands in for one that has died. Returns whether the run can go on."""
        slot = self.busy.pop(future)
        if died:
            self.slots[slot].shutdown(wait=False)
            self.slots[slot] = self._new()
        return True

    def close(self, *, now: bool) -> None:
        """End the processes: `now`, within a block of a frame."""
        if now:
            self.stop.set()
        for slot in self.slots:
            slot.shutdown(wait=True, cancel_futures=True)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=self.context, initializer=worker.begin, initargs=(self.stop,))


class Given:
    """An executor of the user's."""

    def __init__(self, executor: Executor, end: Callable[[], Any] | None = None) -> None:
        self.executor, self.end = executor, end
        self.running: set[Future[Any]] = set()

    @property
    def free(self) -> int:
        """See `Processes.free`."""
        return _AHEAD - len(self.running)

    def submit(self, task: Task) -> Future[Any]:
        """See `Processes.submit`."""
        future = self.executor.submit(worker.work, task)
        self.running.add(future)
        return future

    def done(self, future: Future[Any], died: bool) -> bool:
        """See `Processes.done`: a pool that one dead worker breaks cannot go on."""
        self.running.discard(future)
        return not (died and isinstance(future.exception(), BrokenExecutor))

    def close(self, *, now: bool) -> None:
        """See `Processes.close`."""
        for future in self.running:
            future.cancel()
        if self.end is not None:
            self.end()


def dask_pool(address: str) -> Given:
    """The workers of a dask scheduler.

    Parameters
    ----------
    address : str
        ``tcp://host:8786``, or the name of a scheduler file.

    Raises
    ------
    BackendUnavailableError
        Without dask.distributed, or where no scheduler answers.
    FileFormatError
        For a scheduler file that is not there, or is none.
    """
    distributed = needed("distributed", "--dask")
    where = {"address": _scheduler_in(address) if address.endswith(".json") else address}
    try:
        client = distributed.Client(**where, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise BackendUnavailableError(f"no dask scheduler answers at {address}: {error}") from None
    return Given(client.get_executor(pure=False, retries=1), client.close)


_SECONDS = 15
"""In which a scheduler must answer."""


def _scheduler_in(path: str) -> str:
    """The address in a scheduler file, for which dask itself would wait forever."""
    data = read_bytes(path)
    try:
        return str(json.loads(data)["address"])
    except (ValueError, KeyError, TypeError):
        raise FileFormatError(
            path, "is no scheduler file of dask: it has no address; dask-scheduler --scheduler-file writes one"
        ) from None


def mpi_pool() -> Given:
    """The processes of an MPI run, as ``mpiexec -n 9 python -m mpi4py.futures -m nanobragg dataset recipe.toml --mpi``.

    Raises
    ------
    BackendUnavailableError
        Without mpi4py, or without an MPI library.
    """
    try:
        futures = needed("mpi4py.futures", "--mpi")
    except RuntimeError as error:  # mpi4py is there and finds no library
        raise BackendUnavailableError(f"--mpi: no MPI library can be loaded: {error}") from None
    executor = futures.MPIPoolExecutor()
    return Given(executor, lambda: executor.shutdown(wait=True, cancel_futures=True))


def given_pool(executor: Any) -> Given:
    """An executor that a caller hands over.

    Raises
    ------
    ConfigError
        For what is none.
    """
    if not callable(getattr(executor, "submit", None)):
        raise ConfigError("executor", executor, "must be an executor of concurrent.futures")
    return Given(executor)
