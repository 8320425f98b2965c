"""How far a run is: one bar on stderr at a terminal, otherwise the original's lines on stdout (docs/command.md, Progress)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO


def thresholds(n_rendered: int, n_roi: int) -> list[int]:
    """Pixel counts at which the original prints a line.

    Parameters
    ----------
    n_rendered : int
        Pixels that are rendered.
    n_roi : int
        (xmax - xmin + 1)(ymax - ymin + 1) with the bounds as the original keeps them.

    Returns
    -------
    list of int
        Every c < `n_rendered`, ascending, with c mod (P/20) = 0, or c mod (P/100) = 0 in the first or last tenth.
    """
    coarse, fine = n_roi // 20, n_roi // 100
    if fine < 1:
        return []
    counts = set(range(0, n_rendered, coarse))
    counts.update(c for c in range(0, n_rendered, fine) if 10 * c < n_roi or 10 * c > 9 * n_roi)
    return sorted(counts)


class ProgressReport:
    """Receives (pixels done, pixels in all) and writes what is due; a context manager.

    Parameters
    ----------
    n_rendered, n_roi : int
        As for `thresholds`.
    shown : bool
        False: neither bar nor lines.
    message, message_at : str, int
        Text that is written to stdout once the pixel with index `message_at` is done, before any line of that pixel.
    out, terminal : text streams
        Where the lines and the bar go.
    """

    def __init__(
        self,
        n_rendered: int,
        n_roi: int,
        *,
        shown: bool = True,
        message: str = "",
        message_at: int = 0,
        out: TextIO | None = None,
        terminal: TextIO | None = None,
    ) -> None:
        self.out = sys.stdout if out is None else out
        terminal = sys.stderr if terminal is None else terminal
        bar = shown and terminal.isatty()
        self._bar: Callable[[int], object] | None = None
        self._close: Callable[[], object] = lambda: None
        if bar:
            from tqdm import tqdm

            meter = tqdm(total=n_rendered, unit="px", unit_scale=True, leave=False, file=terminal)
            self._bar, self._close = (lambda done: meter.update(done - meter.n)), meter.close
        self._n_roi = n_roi
        events = [
            (c, f"{100 * c // n_roi}% done\n") for c in (thresholds(n_rendered, n_roi) if shown and not bar else ())
        ]
        if message:
            events.append((message_at, message))
        self._events = sorted(events, key=lambda event: (event[0], event[1] is not message))
        self._next = 0

    def __call__(self, done: int, total: int) -> None:
        """Write everything that falls due when `done` pixels are finished."""
        begin = self._next
        while self._next < len(self._events) and self._events[self._next][0] < done:
            self._next += 1
        if self._next > begin:
            self.out.write("".join(text for _, text in self._events[begin : self._next]))
            self.out.flush()
        if self._bar is not None:
            self._bar(done)

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
