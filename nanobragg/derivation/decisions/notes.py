"""What there is to tell about a decided experiment, as records; whoever writes it for a reader makes the sentence."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Decision:
    """One value that was decided automatically, and the rule that decided it."""

    path: str
    value: Any
    rule: str


@dataclass(frozen=True)
class Ineffective:
    """Settings that have no effect on a run; ``str()`` says it in the words of the Python interface."""

    paths: tuple[str, ...]
    """dotted paths of the fields"""
    reason: str
    """why, as the end of a sentence"""

    def __str__(self) -> str:
        return f"{' and '.join(self.paths)} {'has' if len(self.paths) == 1 else 'have'} no effect: {self.reason}"


@dataclass
class Notes:
    """What `resolve` has to tell: decisions, and settings that have no effect."""

    decisions: list[Decision] = field(default_factory=list)
    ineffective: list[Ineffective] = field(default_factory=list)

    def decide(self, path: str, value: Any, rule: str) -> Any:
        """Record a decision and return its value."""
        self.decisions.append(Decision(path, value, rule))
        return value

    def without_effect(self, *paths: str, reason: str) -> None:
        """Record that settings have no effect."""
        self.ineffective.append(Ineffective(paths, reason))
