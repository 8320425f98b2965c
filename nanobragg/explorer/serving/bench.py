"""Work that a page asks for and that takes a while: on a thread of its own, so that everything else is answered meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from nanobragg.errors import ConfigError

_MOST_JOBS = 32


class Bench:
    """A thread that does one job after the other; of those of a kind that wait, the newest alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: dict[Hashable, Callable[[], None]] = {}
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._work, name="nanobragg-bench", daemon=True)
        self._thread.start()

    def put(self, kind: Hashable, job: Callable[[], None]) -> None:
        """Do a job, which tells its mistakes itself, after those that wait.

        Raises
        ------
        ConfigError
            When too many wait.
        """
        with self._changed:
            self._jobs.pop(kind, None)
            if len(self._jobs) >= _MOST_JOBS:
                raise ConfigError("server", f"{_MOST_JOBS} jobs that wait", "is busy", "wait a moment")
            self._jobs[kind] = job
            self._changed.notify_all()

    def rest(self, timeout: float) -> bool:
        """Wait until nothing is left to do; False: it takes longer [s]."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._busy, timeout)

    def close(self) -> None:
        """End the thread, after its present job."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
        self._thread.join(5)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._jobs) or self._closed)
                if self._closed:
                    return
                job = self._jobs.pop(next(iter(self._jobs)))
                self._busy = True
            job()
            del job  # and with it what it holds
