"""The command `nanoBragg`: the original's flags, or a word for anything else."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nanobragg.cli.debug import show_traceback, without_debug
from nanobragg.cli.streams import open_streams
from nanobragg.errors import ConfigError, NanoBraggError, NanoBraggWarning, UsageError

if TYPE_CHECKING:
    from nanobragg.exchange.command_line.files import Reflections
    from nanobragg.exchange.command_line.reading import CommandLine

DONE, FAILED, INTERRUPTED = 0, 9, 130
_PRINTING = {"--help", "--version", "-h", "-help"}
"""Options that print and do nothing else."""
_DEGENERATE = "the geometry is degenerate or not finite; look at the cell, the vectors, the angles and the distances"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program name; None: those of the process.

    Returns
    -------
    int
        0 done, 9 any error, 130 interrupted. Nothing is raised: errors are lines on stderr.
    """
    args = without_debug(sys.argv[1:] if argv is None else list(argv))
    heard = open_streams()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", NanoBraggWarning)
        warnings.showwarning = _Warner()
        try:
            if not heard:
                _note_unheard(args)
            return _dispatch(args)
        except KeyboardInterrupt:
            return _fail("interrupted", INTERRUPTED)
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")
            return FAILED
        except (NanoBraggError, OSError) as error:
            return _fail(f"error: {error}")
        except (ZeroDivisionError, OverflowError):
            return _fail(f"error: {_DEGENERATE}")
        except MemoryError:
            return _fail("error: not enough memory; use a smaller detector or fewer structure factors")
        except ValueError as error:
            if str(error) == "math domain error":  # the sine of an overflown angle
                return _fail(f"error: {_DEGENERATE}")
            return _fail(_defect(error))
        except Exception as error:  # no traceback unless --debug asks for one
            return _fail(_defect(error))


def _defect(error: Exception) -> str:
    return f"error: {type(error).__name__}: {error}; this is a defect of nanobragg, please report it"


def _note_unheard(args: list[str]) -> None:
    """Say that standard output is closed; where printing is all that was asked for, give up."""
    if _PRINTING.intersection(args) or args[:1] == ["explain"]:
        raise UsageError("standard output is closed, and what was asked for would only be printed there")
    warnings.warn("standard output is closed: what is printed there is lost", NanoBraggWarning, stacklevel=1)


def _dispatch(args: list[str]) -> int:
    if args and not args[0].startswith("-"):
        return _subcommand(args[0], args[1:])
    return run(args)


_WORDS = {
    "demo": ("nanobragg.cli.words.demo", "run_demo"),
    "trace": ("nanobragg.cli.words.trace", "run_trace"),
    "compare": ("nanobragg.cli.words.compare", "run_compare"),
    "explain": ("nanobragg.cli.words.explain", "run_explain"),
    "run": ("nanobragg.cli.words.run", "run_experiment"),
    "convert": ("nanobragg.cli.words.convert", "run_convert"),
    "view": ("nanobragg.cli.words.view", "run_view"),
    "init": ("nanobragg.cli.words.init", "run_init"),
    "noisify": ("nanobragg.cli.companions.noisify", "run_noisify"),
    "nonbragg": ("nanobragg.cli.companions.nonbragg", "run_nonbragg"),
}
"""Module and function of every subcommand; `nanobragg.cli.dropin.usage.SUBCOMMANDS` says what each is for."""


def _subcommand(name: str, args: list[str]) -> int:
    from nanobragg.cli.dropin.usage import SUBCOMMANDS

    if name not in SUBCOMMANDS:
        raise UsageError(
            f"{name!r} is no subcommand; there is {', '.join(SUBCOMMANDS)}; flags begin with a dash, "
            "see nanoBragg --help"
        )
    module, function = _WORDS[name]
    status: int = getattr(importlib.import_module(module), function)(args)
    return status


def run(args: Sequence[str]) -> int:
    """Run one drop-in command line; errors are raised."""
    from nanobragg.exchange.command_line.parse import split_own

    own, _ = split_own(args)
    if own.get("help") or list(args) in (["-h"], ["-help"]):
        from nanobragg.cli.dropin.usage import help_text

        sys.stdout.write(help_text())
        return DONE
    if own.get("version"):
        from importlib.metadata import version

        _say(f"nanobragg {version('nanobragg')}")
        return DONE
    from nanobragg.exchange.command_line.reading import read_command

    line = read_command(args)
    try:
        _simulate(line)
    except ConfigError as error:
        from nanobragg.cli.dropin.named_flags import in_flags

        raise in_flags(line, error) from error
    finally:
        _tell(line)
        sys.stdout.flush()
    return DONE


def _simulate(line: CommandLine) -> None:
    """Everything after the arguments are read: report, rendering, files."""
    from nanobragg.api import warn_about
    from nanobragg.arrays import drawn_seed
    from nanobragg.cli.dropin import report
    from nanobragg.cli.dropin.output import write_images
    from nanobragg.cli.dropin.render import engine_of, render
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.orientations import seeded
    from nanobragg.derivation.resolve import resolve
    from nanobragg.derivation.rng import checked_seed
    from nanobragg.exchange.command_line.files import read_reflections
    from nanobragg.exchange.command_line.ineffective import is_told, note_ineffective
    from nanobragg.exchange.command_line.meaning import build_experiment
    from nanobragg.exchange.command_line.reading import MissingInput, require_inputs

    for text in report.opened_headers(line):
        _say(text)
    try:
        require_inputs(line)
    except MissingInput as missing:
        from nanobragg.cli.dropin.usage import BANNER, USAGE_LINE, help_text

        _say(BANNER)
        if missing.what == "hkl":
            _say("ERROR: no hkl file and no dump file to read.", end="")
        _say(USAGE_LINE + "\n\n" + help_text(), end="")
        raise
    output = line.output()
    chosen = engine_of(line)
    try:
        reflections = read_reflections(line)
    except NanoBraggError:
        _report_unread(line)
        raise
    typed = build_experiment(line, reflections)
    experiment = seeded(typed)
    if experiment is not typed:
        seed = experiment.crystal.misset_seed
        line.note(f"-misset random: the orientation is drawn with seed {seed}; to have it again write -misset_seed {seed} "
                  "before -misset random")  # fmt: skip
    note_ineffective(line)
    _tell(line)
    d = derivation(resolve(experiment))
    with warnings.catch_warnings(record=True) as caught:
        warn_about(d.decided, d)
    for warning in caught:
        if not is_told(line, str(warning.message)):
            warnings.warn(warning.message, warning.category, stacklevel=1)
    seed = drawn_seed() if output.seed is None else output.seed
    if output.noise_file is not None:
        checked_seed("noise.seed", seed)  # now, not when images have been written
    for text in report.setup(line, d, matrix_opened=_matrix_opened(line)):
        _say(text)
    for text in report.reading(reflections):
        _say(text)
    _write_dump(line, reflections)
    for text in report.summary(line, d, reflections, None if output.noise_file is None else seed):
        _say(text)
    sys.stdout.flush()
    image = render(line, chosen, output, d, _say)
    write_images(line, output, d, image, seed, _say)


def _report_unread(line: CommandLine) -> None:
    """Structure factors that cannot be read: the report up to them, and the original's error (spec cli.md 3)."""
    from nanobragg.cli.dropin import report
    from nanobragg.config.structure_factors import StructureFactors
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve
    from nanobragg.exchange.command_line.files import Reflections
    from nanobragg.exchange.command_line.meaning import build_experiment

    if "mtz" in line.own or "model" in line.own:
        return
    path = str(line.settings.get("hkl", line.dump_file))
    nothing = Reflections("constant", path, StructureFactors.constant(1.0))
    d = derivation(resolve(build_experiment(line, nothing)))
    for text in report.setup(line, d, matrix_opened=_matrix_opened(line)):
        _say(text)
    if not os.path.exists(path):
        _say(f"ERROR: unable to open {path}.")
    elif "hkl" in line.settings:
        _say(
            f"ERROR: not enough HKL indices in {path}"
            if os.path.getsize(path) == 0
            else f"ERROR: unable to read {path}"
        )


def _matrix_opened(line: CommandLine) -> bool:
    return "mat" in line.settings and os.path.exists(str(line.settings.get("mat")))


def _write_dump(line: CommandLine, reflections: Reflections) -> None:
    """The dump for next time, whenever a structure-factor file was read (spec formats.md 4)."""
    if reflections.kind != "hkl":
        return
    from nanobragg.errors import FileFormatError
    from nanobragg.io.reflections.fdump import write_fdump

    try:
        write_fdump(line.dump_file, reflections.structure_factors)
    except FileFormatError as error:
        _say(f"WARNING: unable to open dump file: {line.dump_file}")
        warnings.warn(f"{error}; the run goes on without a dump", NanoBraggWarning, stacklevel=1)
    else:
        _say(f"writing dump file for next time: {line.dump_file}")


def _tell(line: CommandLine) -> None:
    """Pass the notes on to stderr; a text that was said is not said again."""
    for note in line.notes:
        warnings.warn(note.text, note.category, stacklevel=1)


class _Warner:
    """Writes each warning once, as one line on stderr."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if text not in self.said:
            self.said.add(text)
            _complain(f"warning: {text}")


def _complain(text: str) -> None:
    sys.stdout.flush()
    print(f"nanobragg: {' '.join(text.split())}", file=sys.stderr, flush=True)


def _fail(text: str, status: int = FAILED) -> int:
    show_traceback()
    _complain(text)
    return status


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)


if __name__ == "__main__":
    sys.exit(main())
