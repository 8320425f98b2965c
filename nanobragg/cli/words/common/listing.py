"""Parsers of words that tell their options, for the completion of shells."""

from __future__ import annotations

import argparse
from typing import Any

ASKED = "--list-options"
"""Alone on the line of a word: its parser is handed over in place of a run."""


class OptionsTold(Exception):
    """The parser of a word that was asked for its options."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        super().__init__(parser.prog)


class Listing(argparse.ArgumentParser):
    """A parser that can be asked for itself."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser.parse_args`."""
        if args is not None and list(args) == [ASKED]:
            raise OptionsTold(self)
        return super().parse_args(args, namespace)
