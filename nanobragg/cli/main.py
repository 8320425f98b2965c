"""The command `nanoBragg`: the original's flags, or a word for anything else."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.debug import show_traceback, without_debug
from nanobragg.cli.said import complain, listen, without_quiet
from nanobragg.cli.streams import open_streams
from nanobragg.errors import NanoBraggError, NanoBraggWarning, UsageError

DONE, FAILED, INTERRUPTED = 0, 9, 130
_PRINTING = {"--help", "--version", "-h", "-help"}
"""Options that print and do nothing else."""
_YOUNG = 50_000
"""Objects after which the process looks for garbage: its start makes 20,000 that stay, and its end looks for none."""
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
    if argv is None:
        gc.set_threshold(_YOUNG)
    args = without_debug(sys.argv[1:] if argv is None else list(argv))
    heard = open_streams()
    with warnings.catch_warnings():
        args = without_quiet(args)
        listen(args)
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
            status = _fail(f"error: {error}")
            if text := getattr(error, "afterwards", ""):
                with contextlib.suppress(OSError):
                    sys.stdout.write(text)
                    sys.stdout.flush()
            return status
        except ArithmeticError:
            return _fail(f"error: {_DEGENERATE}")
        except MemoryError:
            return _fail("error: not enough memory; use a smaller detector or fewer structure factors")
        except Exception as error:  # no traceback unless --debug asks for one
            return _fail(_defect(error))
        finally:
            if argv is None:
                gc.freeze()


def _defect(error: Exception) -> str:
    return f"error: {type(error).__name__}: {error}; this is a defect of nanobragg, please report it"


def _note_unheard(args: list[str]) -> None:
    """Say that standard output is closed; where printing is all that was asked for, give up."""
    if _PRINTING.intersection(args) or args[:1] == ["explain"]:
        raise UsageError("standard output is closed, and what was asked for would only be printed there")
    warnings.warn("standard output is closed: what is printed there is lost", NanoBraggWarning, stacklevel=1)


_WORDS = {
    "demo": ("nanobragg.cli.words.demo", "run_demo"),
    "trace": ("nanobragg.cli.words.trace", "run_trace"),
    "compare": ("nanobragg.cli.words.compare", "run_compare"),
    "explain": ("nanobragg.cli.words.explain", "run_explain"),
    "run": ("nanobragg.cli.words.run", "run_experiment"),
    "convert": ("nanobragg.cli.words.convert", "run_convert"),
    "view": ("nanobragg.cli.words.view", "run_view"),
    "init": ("nanobragg.cli.words.init", "run_init"),
    "predict": ("nanobragg.cli.words.predict", "run_predict"),
    "index": ("nanobragg.cli.words.index", "run_index"),
    "refine": ("nanobragg.cli.words.refine", "run_refine"),
    "explore": ("nanobragg.cli.words.explore", "run_explore"),
    "dataset": ("nanobragg.cli.words.datasets.word", "run_dataset"),
    "completion": ("nanobragg.cli.completion", "run_completion"),
    "noisify": ("nanobragg.cli.companions.noisify", "run_noisify"),
    "nonbragg": ("nanobragg.cli.companions.nonbragg", "run_nonbragg"),
}
"""Module and function of every word; `nanobragg.cli.dropin.usage.SUBCOMMANDS` says what each is for."""
_FLAGS = (("nanobragg.cli.dropin.usage", "answered"), ("nanobragg.cli.dropin.run", "run"))
"""Likewise where no word stands first: what is only printed, and the original's run."""


def _dispatch(args: list[str]) -> int:
    if not args or args[0].startswith("-"):
        answered, run = _FLAGS
        return DONE if _loaded(answered)(args) else _loaded(run)(args)
    word = args[0]
    if word not in _WORDS:
        raise UsageError(
            f"{word!r} is not a subcommand; there is {', '.join(_WORDS)}; flags begin with a dash, see nanoBragg --help"
        )
    if word == "completion":  # which asks every word for its options
        return _loaded(_WORDS[word])(args[1:], {name: _loaded(place) for name, place in _WORDS.items()})
    return _loaded(_WORDS[word])(args[1:])


def _loaded(place: tuple[str, str]) -> Any:
    """A function from its module, which is imported now: no word waits for the imports of another."""
    return getattr(importlib.import_module(place[0]), place[1])


class _Warner:
    """Writes each warning once, as one line on stderr."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if text not in self.said:
            self.said.add(text)
            complain(f"warning: {text}")


def _fail(text: str, status: int = FAILED) -> int:
    show_traceback()
    complain(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
