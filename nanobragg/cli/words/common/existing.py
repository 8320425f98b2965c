"""Files that are there already: the same recipe goes on where it was cut off, what another one wrote is not overwritten."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nanobragg.errors import NanoBraggError, UsageError
from nanobragg.exchange.images.provenance import provenance_json, read_provenance

_NOT_THE_RECIPE = {"image", "program"}
"""Entries of a record that say which image it is of, and not how it was made."""


def record_of(paths: Sequence[str]) -> dict[str, Any] | None:
    """What the first of the files that exist recorded of its making; None: nothing, or there is no file."""
    path = next(filter(os.path.exists, paths), None)
    if path is None:
        return None
    try:
        return read_provenance(path)
    except (NanoBraggError, OSError, ValueError):
        return None


def same_recipe(record: Mapping[str, Any] | None, experiment: Any, more: Mapping[str, Any]) -> bool:
    """Whether a record is that of an experiment with the same noise, readout and engine."""
    if record is None:
        return False
    ours = json.loads(provenance_json(experiment, **more))
    return _recipe(ours) == _recipe(record)


def _recipe(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _NOT_THE_RECIPE}


def refuse_overwriting(paths: Sequence[str], confirmed: Callable[[str], bool] | None = None) -> None:
    """Ask on a terminal whether files that exist may be overwritten.

    Raises
    ------
    UsageError
        Without a terminal, or when the answer is no.
    """
    found = [path for path in paths if os.path.exists(path)]
    if not found:
        return
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    if not (confirmed or confirm)(f"{found[0]}{more}: made from another recipe; overwrite?"):
        raise UsageError(
            f"{found[0]}{more}: exists, and was not made from this recipe; write --force to overwrite, or -o another name"
        )


def confirm(question: str) -> bool:
    """The answer at a terminal; no where there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"nanobragg: {question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
