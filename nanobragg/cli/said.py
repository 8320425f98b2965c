"""Messages of the command, one line each on stderr, in the words that its user types."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Sequence

from nanobragg.errors import NanoBraggWarning

QUIET = "--quiet"
"""Option that leaves the warnings out."""

_FLAG_WORDS = ("trace", "compare", "explain")
"""Words that take a drop-in command line."""
_ARGUMENT = re.compile(r"(?<![\w.])(fidelity|backend|kernel|device|dtype)='([^']*)'")
_KEYS = {"backend": "run.backend", "kernel": "run.kernel"}
"""Where an argument of Python stands in an experiment file."""
_of_flags = True


def listen(args: Sequence[str]) -> None:
    """Note whether flags were typed, or a word that takes an experiment file."""
    global _of_flags
    _of_flags = not args or args[0].startswith("-") or args[0] in _FLAG_WORDS


def without_quiet(args: Sequence[str]) -> list[str]:
    """The arguments without --quiet in front of a ``--``; warnings are shown as that and Python's -W say."""
    end = args.index("--") if "--" in args else len(args)
    quiet = QUIET in args[:end] or "ignore" in sys.warnoptions
    warnings.simplefilter("ignore")
    if not quiet:
        warnings.simplefilter("always", NanoBraggWarning)
    return [arg for arg in args[:end] if arg != QUIET] + list(args[end:])


def complain(text: str) -> None:
    """Write one line."""
    sys.stdout.flush()
    print(f"nanobragg: {' '.join(as_typed(text).split())}", file=sys.stderr, flush=True)


def as_typed(text: str) -> str:
    """A message with what stands for arguments of Python: options, or keys of an experiment file."""
    text = text.replace("=None: is required", " is required")
    if _of_flags:
        return _ARGUMENT.sub(r"--\1 \2", text)
    return _ARGUMENT.sub(lambda found: f'{_KEYS.get(found[1], found[1])} = "{found[2]}"', text)
