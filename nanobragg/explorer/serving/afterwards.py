"""Work that goes with a picture and need not be done before the next one: on a thread that takes the newest alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from nanobragg.explorer.session import Picture


class Afterwards:
    """A thread that does something for the newest picture."""

    def __init__(self, action: Callable[[Picture], None], failed: Callable[[str], None]) -> None:
        self._action, self._failed = action, failed
        self._changed = threading.Condition()
        self._waiting: Picture | None = None
        self._last: Picture | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="nanobragg-afterwards", daemon=True)
        self._thread.start()

    def take(self, picture: Picture) -> None:
        """Do it for a picture, unless another comes before."""
        with self._changed:
            self._waiting = self._last = picture
            self._changed.notify()

    def again(self) -> None:
        """Do it once more for the last picture."""
        with self._changed:
            self._waiting = self._waiting or self._last
            self._changed.notify()

    @property
    def superseded(self) -> bool:
        """Whether another picture waits, or nobody waits for anything any more."""
        return self._waiting is not None or self._closed

    def close(self) -> None:
        """End the thread, after what it does."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(5)

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._waiting is None and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                picture, self._waiting = self._waiting, None
            assert picture is not None
            try:
                with np.errstate(all="ignore"):  # what is not finite is drawn as such
                    self._action(picture)
            except Exception as error:  # the thread goes on: the next picture may be one that works
                self._failed(f"{type(error).__name__}: {error}")
