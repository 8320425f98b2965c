"""Work on many images, here or by an executor: results in order, warnings told where the work was given out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class _Recorded:
    """A function that gives its warnings with its result: those of another process would be lost."""

    work: Callable[[Any], Any]

    def __call__(self, task: Any) -> tuple[Any, list[Any]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = self.work(task)
        return found, [(one.category, str(one.message)) for one in caught]


def spread(
    executor: Any, work: Callable[[Any], Any], tasks: Iterable[Any], told: Callable[[int], object] | None = None
) -> list[Any]:
    """The results for all tasks.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None
        None: here, one after the other.
    work : callable
        A function of a module, of one task.
    tasks : iterable
    told : callable, optional
        Receives how many are done.
    """
    found = []
    for one, caught in (map if executor is None else executor.map)(_Recorded(work), tasks):
        for category, text in caught:
            warnings.warn(text, category, stacklevel=3)
        found.append(one)
        if told is not None:
            told(len(found))
    return found
