"""Messages of the readers of geometry, which name arguments of Python, in the options of the commands."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nanobragg.errors import FileFormatError

_OPTIONS = {"camera_length_m": "--camera-length", "wavelength_angstrom": "--wavelength", "index": "--index",
            "image": "--image", "stream": "--stream"}  # fmt: skip
"""By argument."""


@contextmanager
def in_options() -> Iterator[None]:
    """What is read within warns and fails in words of the command line."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except FileFormatError as error:
        raise FileFormatError(error.path, _renamed(error.problem), error.line) from None
    finally:
        for warning in caught:
            warnings.warn(_renamed(str(warning.message)), warning.category, stacklevel=3)


def _renamed(text: str) -> str:
    for argument, option in _OPTIONS.items():
        text = re.sub(rf"(?<![\w/]){argument}=(?=\s|$)", option, text)
        text = re.sub(rf"(?<![\w/]){argument}=", f"{option} ", text)
    return text
