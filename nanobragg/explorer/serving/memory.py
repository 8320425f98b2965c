"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys
import time

_SECONDS = 5.0
"""Between two times."""


class Memory:
    """The C library keeps what is freed, for each thread; of images that were large for a moment that is most of it."""

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
        self._last = time.monotonic()

    def give_back(self) -> None:
        """Give back what is free, unless that was done just now."""
        now = time.monotonic()
        if self._trim is not None and now - self._last > _SECONDS:
            self._last = now
            self._trim(0)
