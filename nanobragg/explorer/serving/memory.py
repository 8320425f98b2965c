"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys
import time

_SECONDS = 5.0
"""Between two times."""
_OPTIONS = {-3: 2**23, -1: 2**24}
"""Of `mallopt`, in the GNU C library's malloc.h: M_MMAP_THRESHOLD, from which size on an array gets pages of its own, which leave
with it, here that of the image of a megapixel; M_TRIM_THRESHOLD, how much is kept at the end of a heap. Pages take time to come,
too: from 4 MiB on and with nothing kept, 15 ms a picture; this is 1 to 4 ms."""


class Memory:
    """The C library keeps what is freed, for each thread; of images that were large for a moment that is most of it.

    What it keeps at the end of a thread's heap, up to 64 MiB, even `malloc_trim` does not give back: in half an hour of all
    kinds of pictures the explorer came to 0.4 to 1.1 GiB, of which 0.1 was in use. So large arrays are kept out of these heaps.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(library, "malloc_trim", None)
        self._last = time.monotonic()
        set_option = getattr(library, "mallopt", None)
        if set_option is not None:
            for name, value in _OPTIONS.items():
                set_option(name, value)

    def give_back(self) -> None:
        """Give back what is free, unless that was done just now."""
        now = time.monotonic()
        if self._trim is not None and now - self._last > _SECONDS:
            self._last = now
            self._trim(0)
