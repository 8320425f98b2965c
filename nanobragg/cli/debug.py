"""The option --debug: show the traceback behind an error."""

from __future__ import annotations

import sys
from collections.abc import Sequence

OPTION = "--debug"
_wanted = False


def without_debug(args: Sequence[str]) -> list[str]:
    """The arguments without --debug in front of a ``--``; tracebacks are shown from now on if it was there."""
    global _wanted
    end = args.index("--") if "--" in args else len(args)
    _wanted = OPTION in args[:end]
    return [arg for arg in args[:end] if arg != OPTION] + list(args[end:])


def show_traceback() -> None:
    """Print the traceback of the error that is being handled, where that was asked for."""
    if _wanted:
        sys.stdout.flush()
        import traceback

        traceback.print_exc()
