"""What the command tests share."""

from __future__ import annotations

from dataclasses import dataclass

SMALL = "-default_F 100 -cell 50 60 70 90 95 90 -N 5 -lambda 1 -distance 100 -pixel 0.4 -detpixels 16 -oversample 1"
"""A run of a few milliseconds that triggers no quirk of the parser."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def messages(self) -> list[str]:
        """Lines on stderr without their prefix; every one of them must have it."""
        lines = self.err.splitlines()
        assert all(line.startswith("nanobragg: ") for line in lines), self.err
        return [line.removeprefix("nanobragg: ") for line in lines]

    def says(self, *parts: str) -> bool:
        """Whether one line on stderr holds all the parts."""
        return any(all(part in line for part in parts) for line in self.messages)
