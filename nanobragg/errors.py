"""Exceptions and warnings of the package.

Messages read ``<dotted.path>=<value>: <requirement>; <hint>`` or ``<file>:<line>: <problem>; <hint>``.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath
from typing import Any


class NanoBraggError(Exception):
    """Base class of every error that nanobragg raises on purpose."""


def alike(name: str, names: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """The names, at most n, that are most like one that is none of them: for "did you mean"."""
    from difflib import get_close_matches

    return get_close_matches(name, list(names), n=n, cutoff=cutoff)


class ConfigError(NanoBraggError, ValueError):
    """A field of the experiment has a value that cannot be simulated.

    Parameters
    ----------
    path : str
        Dotted path of the field, for example ``detector.pixel_size_mm``.
    value : object
        The offending value.
    requirement : str
        What the value must satisfy.
    hint : str, optional
        What to write instead.
    """

    def __init__(self, path: str, value: object, requirement: str, hint: str = "") -> None:
        self.path, self.value, self.requirement, self.hint = path, value, requirement, hint
        text = f"{path}={_short(value)}: {requirement}"
        super().__init__(f"{text}; {hint}" if hint else text)

    def __reduce__(self) -> tuple[Any, ...]:  # an exception that does not pickle kills a pool of processes
        return type(self), (self.path, self.value, self.requirement, self.hint)


class FlagError(ConfigError):
    """A `ConfigError` of a command line: the hint says already what to write there."""


class FileFormatError(NanoBraggError, ValueError):
    """A file is missing, unreadable or not what its reader expects.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    problem : str
        What is wrong with it, and what to do.
    line : int, optional
        Line number, counted from 1.
    remedy : str, optional
        What to do with `option`, as the beginning of a clause.
    option : str, optional
        The parameter that helps; the command, which has another name for it, tells its own.
    value : object, optional
        What to give for it.
    """

    def __init__(
        self, path: str | PathLike[str], problem: str, line: int | None = None, remedy: str = "", option: str = "",
        value: object = None,
    ) -> None:  # fmt: skip
        self.path, self.line, self.problem = fspath(path), line, problem
        self.remedy, self.option, self.value = remedy, option, value
        where = self.path if line is None else f"{self.path}:{line}"
        text = f"{where}: {problem}"
        super().__init__(f"{text}; {remedy} {option}={'' if value is None else value}" if remedy else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.problem, self.line, self.remedy, self.option, self.value)


class UsageError(NanoBraggError, ValueError):
    """A command line that cannot be understood; the text names the token and the working spelling."""


class CoreError(NanoBraggError, RuntimeError):
    """The C core refused a scene or failed; carries its status code."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class BackendUnavailableError(NanoBraggError, ImportError):
    """A backend, kernel or optional dependency is not available here; the text names the remedy."""


class RefinementError(NanoBraggError):
    """A refinement that cannot work: no spots, nothing that the image depends on, fewer pixels than parameters."""


class NanoBraggWarning(UserWarning):
    """Base class of the package's warnings."""


class QuirkWarning(NanoBraggWarning):
    """A reproduced defect of the original program changes this run's pixels."""


class IneffectiveWarning(NanoBraggWarning):
    """A setting has no effect on this run.

    Parameters
    ----------
    text : str
    paths : tuple of str, optional
        Dotted paths of the settings, where they are fields of the experiment.
    """

    def __init__(self, text: str, paths: tuple[str, ...] = ()) -> None:
        self.paths = paths
        super().__init__(text)


class PlausibilityWarning(NanoBraggWarning):
    """A value that renders and is hardly ever meant, or an image with nothing in it.

    Parameters
    ----------
    text : str
    path : str, optional
        Dotted path of the field.
    """

    def __init__(self, text: str, path: str = "") -> None:
        self.path = path
        super().__init__(text)


class LongRunWarning(NanoBraggWarning):
    """A run takes more than ten minutes, or more than 8 GiB of memory."""


def _short(value: object) -> str:
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
