"""How the shape of a raw image without header is written: the same options for every subcommand that reads one."""

from __future__ import annotations

import argparse
from typing import Any


class _FastFirst(argparse.Action):
    """Stores FAST SLOW as (slow, fast)."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, list(reversed(values)))


def add_shape(options: argparse.ArgumentParser, otherwise: str) -> None:
    """Add ``--shape SLOW FAST``, and ``--size FAST SLOW`` for the order of the original's flags; both give (slow, fast)."""
    group = options.add_mutually_exclusive_group()
    group.add_argument("--shape", nargs=2, type=_pixels, metavar=("SLOW", "FAST"),
                       help=f"rows and columns of a float image without header ({otherwise})")  # fmt: skip
    group.add_argument("--size", nargs=2, type=_pixels, metavar=("FAST", "SLOW"), action=_FastFirst, dest="shape",
                       help="the same, columns first")  # fmt: skip


def _pixels(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number >= 1")
    return int(text)
