"""What the subcommands trace, compare and explain share: their options, the flags behind ``--``, their exit status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from nanobragg.cli.debug import show_traceback
from nanobragg.cli.dropin.named_flags import in_flags
from nanobragg.cli.said import complain
from nanobragg.cli.words.common.listing import Listing
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError, NanoBraggError, UsageError
from nanobragg.exchange.command_line.reading import read_command
from nanobragg.exchange.toml import read_toml

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

    def add_experiment(self) -> None:
        """The arguments of an experiment file, which may stand in place of the flags."""
        self.add_argument("file", nargs="?", metavar="EXPERIMENT", help="an experiment file (TOML) in place of FLAGS")
        self.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
                          help="replace a value of the experiment file, as crystal.shape=gauss; may be repeated")  # fmt: skip

    def experiment_in(self, typed: Any, flags: Sequence[str]) -> Experiment | None:
        """The experiment of the file; None: there are flags.

        Raises
        ------
        UsageError
            For both, and for neither.
        FileFormatError
            See `nanobragg.exchange.toml.read_toml`.
        """
        if typed.file is None:
            if typed.changes:
                self.error("--set belongs to an experiment file, as in: explain run.toml --set beam.energy_ev=9000")
            self.flags_needed(flags)
            return None
        if flags:
            self.error(f"{typed.file}: an experiment file or flags behind --, not both")
        return read_toml(typed.file, typed.changes).experiment

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
    if "--" not in args:
        return error
    return in_flags(read_command(args[args.index("--") + 1 :]), error)


def _complain(error: Exception, status: int) -> int:
    show_traceback()
    complain(f"error: {error}")
    return status
