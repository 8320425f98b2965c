"""The version of the package that is installed."""

from __future__ import annotations

from functools import cache


@cache
def installed_version() -> str:
    """As the package's metadata state it, which take it from the C header."""
    from importlib.metadata import version

    return version("nanobragg")
