"""Threads that are kept from one run to the next, and results in order from them.

A thread takes some 0.1 ms to start, as long as a small image takes to render. A forked process starts its own; at the end of
the interpreter they are left waiting, which holds up nothing.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from nanobragg import _core
from nanobragg.arrays import available_cores
from nanobragg.engines.engine import cancelled

_POLL_SECONDS = 0.1
# how long a signal or the question for an end may go unnoticed

Item = TypeVar("Item")
Part = TypeVar("Part")


class _Kept:
    """A thread that waits for the next job."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="nanobragg", daemon=True).start()

    def take(self, job: Callable[[], None]) -> threading.Event:
        """Begin with a job; the event is set when it is done."""
        done = threading.Event()
        _working.add(self)
        self._jobs.put((job, done))
        return done

    def _serve(self) -> None:
        while True:
            job, done = self._jobs.get()
            try:
                job()
            finally:
                del job  # and with it the arrays that it holds
                _working.discard(self)
                stays = len(_idle) < available_cores()
                if stays:
                    _idle.append(self)
                done.set()
            if not stays:
                return


_idle: list[_Kept] = []
_working: set[_Kept] = set()


def _forget() -> None:
    """None of them is in a forked process."""
    _idle.clear()
    _working.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def at_work() -> int:
    """Threads that have a job."""
    return len(_working)


def _begin(job: Callable[[], None]) -> threading.Event:
    """Begin with a job; the event is set when it is done."""
    try:
        kept = _idle.pop()
    except IndexError:
        try:
            kept = _Kept()
        except RuntimeError:  # no more threads, or the interpreter is about to end: the job is done here
            job()
            done = threading.Event()
            done.set()
            return done
    return kept.take(job)


def in_order(
    part: Callable[[Item], Part],
    items: Sequence[Item],
    n_threads: int,
    flag: _core.CancelFlag,
    cancel: Callable[[], bool] | None = None,
) -> Iterator[Part]:
    """The results for the items, in their order, from threads; the calling one only waits, so that it hears a signal.

    Parameters
    ----------
    part : callable
        Makes the result for an item.
    items : sequence
    n_threads : int
    flag : CancelFlag
        Set as soon as the results are not wanted any more; nothing that was begun is left running.
    cancel : callable, optional
        Asked about ten times a second; a true answer ends the work with a `CoreError` of status `CANCELLED`.
    """
    numbers, next_number = iter(range(len(items))), threading.Lock()
    results: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            while not flag:
                with next_number:
                    number = next(numbers, None)
                if number is None:
                    return
                results.put((number, part(items[number])))
        except BaseException as error:
            results.put((-1, error))

    begun: list[threading.Event] = []
    early: dict[int, Part] = {}
    try:
        for _ in range(min(n_threads, len(items))):
            begun.append(_begin(work))
        for number in range(len(items)):
            while number not in early:
                if cancel is not None and cancel():
                    raise cancelled()
                try:
                    found, result = results.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                if found < 0:
                    raise result
                early[found] = result
            yield early.pop(number)
    except BaseException:
        flag.set()
        raise
    finally:
        for done in begun:
            done.wait()
