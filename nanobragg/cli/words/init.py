"""`nanoBragg init`: a commented experiment file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.errors import UsageError
from nanobragg.exchange.toml import commented_toml
from nanobragg.io.atomic import write_bytes


def run_init(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words("init", "Write an experiment file with every setting, its unit, default and meaning.")
    options.add_argument(
        "file", nargs="?", default="experiment.toml", help="default experiment.toml; - for standard output"
    )
    options.add_argument("--force", action="store_true", help="overwrite")
    return carried_out(_init, options, args)


def _init(typed: Any) -> int:
    text = commented_toml()
    if typed.file == "-":
        sys.stdout.write(text)
        return 0
    if os.path.exists(typed.file) and not typed.force:
        raise UsageError(f"{typed.file}: exists; write --force to overwrite it")
    write_bytes(typed.file, [text.encode()])
    sys.stdout.write(f"{typed.file}: now  nanoBragg run {typed.file}\n")
    return 0
