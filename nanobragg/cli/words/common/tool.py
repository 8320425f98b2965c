"""What the subcommands trace, compare and explain share: their options, the flags behind ``--``, their exit status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from nanobragg.cli.debug import show_traceback
from nanobragg.cli.dropin.named_flags import in_flags
from nanobragg.cli.said import complain
from nanobragg.cli.words.common.listing import Listing
from nanobragg.errors import ConfigError, NanoBraggError, UsageError
from nanobragg.exchange.command_line.reading import read_command

AGREE, DIFFER, WRONG_USAGE, RUNNER_FAILED = 0, 1, 2, 3
"""Exit status."""


class Options(Listing):
    """Options of a subcommand; a mistake is a `UsageError`."""

    def __init__(self, name: str, summary: str, tail: str = "-- FLAGS") -> None:
        super().__init__(
            prog=f"nanoBragg {name}", description=summary, usage=f"nanoBragg {name} [options] {tail}",
            allow_abbrev=False, epilog="FLAGS are those of nanoBragg itself, see nanoBragg --help.",
        )  # fmt: skip
        self.name = name

    def error(self, message: str) -> NoReturn:
        """See `argparse.ArgumentParser.error`."""
        raise UsageError(f"{self.name}: {message}; see nanoBragg {self.name} --help")

    def read(self, args: Sequence[str]) -> tuple[Any, list[str]]:
        """The options, and the flags behind ``--``."""
        args = list(args)
        cut = args.index("--") if "--" in args else len(args)
        return self.parse_args(args[:cut]), args[cut + 1 :]

    def flags_needed(self, flags: Sequence[str]) -> None:
        """Refuse an empty list of flags.

        Raises
        ------
        UsageError
        """
        if not flags:
            self.error("no flags; write them behind --, as in: -- -hkl P1.hkl -mat A.mat -N 5")


def with_status(command: Callable[[Sequence[str]], int], args: Sequence[str]) -> int:
    """Run a subcommand: 0 agrees, 1 differs, 2 wrong usage, 3 what should run failed."""
    try:
        return command(args)
    except UsageError as error:
        return _complain(error, WRONG_USAGE)
    except ConfigError as error:
        return _complain(_in_flags(args, error), RUNNER_FAILED)
    except (NanoBraggError, OSError) as error:
        return _complain(error, RUNNER_FAILED)
    except SystemExit as finished:  # argparse, after --help
        return int(finished.code or 0)


def _in_flags(args: Sequence[str], error: ConfigError) -> NanoBraggError:
    """The error in terms of the flags behind ``--``."""
    flags = args[args.index("--") + 1 :] if "--" in args else []
    return in_flags(read_command(flags), error)


def _complain(error: Exception, status: int) -> int:
    show_traceback()
    complain(f"error: {error}")
    return status
