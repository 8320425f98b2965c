"""What every flag of a command line did: the settings it made, and those that were overridden or have no effect."""

from __future__ import annotations

from collections.abc import Iterator

from nanobragg.config.quirks import Quirk
from nanobragg.errors import IneffectiveWarning
from nanobragg.exchange.command_line import reading as command_line
from nanobragg.exchange.command_line.flags import VECTOR_KEYS
from nanobragg.exchange.command_line.ineffective import note_ineffective
from nanobragg.exchange.command_line.parse import Occurrence
from nanobragg.exchange.command_line.reading import CommandLine
from nanobragg.exchange.command_line.settings import Settings, settled
from nanobragg.lazy import dataclass

_COLLISIONS = {
    Quirk.MISSET_SEED_SETS_MISSET: ("-misset_seed", "-misset"),
    Quirk.TWOTHETA_AXIS_SETS_ANGLE: ("-twotheta_axis", "-twotheta"),
}
"""The flag that is typed, and the one that the original reads in it too."""


@dataclass(frozen=True)
class FlagEffect:
    """One flag as it was read."""

    typed: str
    """the token and its values"""
    text: str
    """what it did, or why it did nothing"""
    effective: bool


def flag_effects(line: CommandLine) -> list[FlagEffect]:
    """What every flag did, in the order in which they were typed; adds the notes on flags without effect to the line."""
    note_ineffective(line)
    idle = {
        token: note.reason
        for note in reversed(line.notes) if issubclass(note.category, IneffectiveWarning) for token in note.tokens
    }  # fmt: skip
    occurrences = line.parsed.occurrences
    return [_effect(line, occurrence, occurrences[i + 1 :], idle) for i, occurrence in enumerate(occurrences)]


def parser_quirks(line: CommandLine) -> list[tuple[Quirk, str]]:
    """The quirks of reading that changed what the flags mean, and how."""
    return [(note.quirk, note.reason) for note in line.notes if note.quirk is not None]


def without_collision(line: CommandLine, quirk: Quirk) -> CommandLine:
    """The line read again with one of the parser's quirks switched off alone."""
    typed, hit = _COLLISIONS[quirk]
    kept = [o for o in line.parsed.occurrences if not (o.token == typed and o.flag.name == hit)]
    line.parsed.occurrences[:] = kept
    line.settings = Settings()
    line.headers_read.clear()
    command_line.read_headers(line)
    settled(kept, line.settings)
    return line


def _effect(line: CommandLine, occurrence: Occurrence, later: list[Occurrence], idle: dict[str, str]) -> FlagEffect:
    flag = occurrence.flag
    typed = " ".join([occurrence.token, *(_shown(value) for value in occurrence.values)])
    reason = idle.get(occurrence.token, "")
    if reason:
        return FlagEffect(typed, f"no effect: {reason}", False)
    overriding = next((o for o in later if flag.sets and set(flag.sets) <= set(o.flag.sets)), None)
    if overriding is not None:
        return FlagEffect(typed, f"overridden by {overriding.token} further on", False)
    return FlagEffect(typed, "; ".join(_said(line, occurrence)), True)


def _said(line: CommandLine, occurrence: Occurrence) -> Iterator[str]:
    flag = occurrence.flag
    collision = next((quirk for quirk, pair in _COLLISIONS.items() if pair == (occurrence.token, flag.name)), None)
    if collision is not None:
        yield f"read as {flag.name} too ({collision.name})"
    what = flag.help or flag.name.lstrip("-")
    yield f"{flag.field}: {what}" if flag.field and flag.help else flag.field or what
    if flag.sets and flag.sets[0] in VECTOR_KEYS and line.drops_to_custom:
        yield "selects the custom convention (CUSTOM_CHANGES_CENTRE)"
    if flag.pivot and line.drops_to_custom and Quirk.PIVOT_FORCED in line.quirks:
        yield f"moves the pivot to the {flag.pivot} (PIVOT_FORCED)"


def _shown(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
