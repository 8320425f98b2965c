"""How far a word is: a bar on stderr at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


@contextmanager
def bar(terminal: TextIO | None = None) -> Iterator[Callable[[str, int, int], None] | None]:
    """A callable that receives (stage, done, of how many) and draws; None where stderr is no terminal."""
    terminal = sys.stderr if terminal is None else terminal
    if not terminal.isatty():
        yield None
        return
    from tqdm import tqdm

    meter: Any = tqdm(total=1, leave=False, file=terminal, bar_format="{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}")

    def told(stage: str, done: int, total: int) -> None:
        meter.set_description_str(stage, refresh=False)
        meter.total, meter.n = total, done
        meter.refresh()

    try:
        yield told
    finally:
        meter.close()
