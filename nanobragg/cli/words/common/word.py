"""What the subcommands run, convert, view and init share: options by argparse, whose mistakes are usage errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from nanobragg.cli.words.common.listing import Listing
from nanobragg.errors import UsageError


class Words(Listing):
    """Options of a subcommand."""

    def __init__(self, name: str, summary: str, epilog: str = "") -> None:
        super().__init__(prog=f"nanoBragg {name}", description=summary, epilog=epilog, allow_abbrev=False)
        self.name = name

    def error(self, message: str) -> NoReturn:
        """See `argparse.ArgumentParser.error`."""
        raise UsageError(f"{self.name}: {message}; see nanoBragg {self.name} --help")


def carried_out(command: Callable[[Any], int], options: Words, args: Sequence[str]) -> int:
    """Parse and run; 0 after --help. Errors are raised, the caller turns them into a line and a status."""
    try:
        return command(options.parse_args(list(args)))
    except SystemExit as finished:
        return int(finished.code or 0)
