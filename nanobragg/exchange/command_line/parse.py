"""The two parsers over the flag table: the original's rule, and the strict one (docs/command.md, Matching of flags)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import field
from typing import Any

from nanobragg.config.quirks import Quirk
from nanobragg.errors import IneffectiveWarning, NanoBraggWarning, QuirkWarning, UsageError, alike
from nanobragg.exchange.command_line.flags import FLAGS, NEVER_WORKED, OWN_OPTIONS, Flag
from nanobragg.exchange.command_line.numbers import LARGEST_INT, atof, atoi, is_too_large, strict_float, strict_int
from nanobragg.lazy import dataclass

FlagValue = float | int | str
_BY_NAME = {flag.name: flag for flag in FLAGS}
_OWN = {flag.name: flag for flag in OWN_OPTIONS}
_MISSPELT = 0.85
"""Least similarity of a flag and a misspelling of it; -Ncells and -cell have 0.83."""
_COLLISIONS = {("-misset_seed", "-misset"), ("-twotheta_axis", "-twotheta")}


@dataclass(frozen=True)
class Occurrence:
    """One flag that fired: the token that was typed, its converted values, and their texts."""

    flag: Flag
    token: str
    values: tuple[FlagValue, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """Something to tell the user that does not stop the run."""

    text: str
    category: type[Warning] = NanoBraggWarning
    tokens: tuple[str, ...] = ()
    """the flags that it is about, as typed, where that matters to readers"""
    reason: str = ""
    """why they have no effect, or what the quirk does with them"""
    quirk: Quirk | None = None
    """the quirk of reading that was at work"""


@dataclass
class Parsed:
    """What a parser made of the command line, in the order of the tokens."""

    occurrences: list[Occurrence] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    bad_number: bool = False

    def note(self, text: str, category: type[Warning] = NanoBraggWarning, **details: Any) -> None:
        """Add a note, each text once; `details` are further fields of `Note`."""
        if all(note.text != text for note in self.notes):
            self.notes.append(Note(text, category, **details))

    def without_effect(self, tokens: Sequence[str], reason: str) -> None:
        """Add the note that flags have no effect."""
        verb = "has" if len(tokens) == 1 else "have"
        text = f"{' '.join(tokens)} {verb} no effect because {reason}"
        self.note(text, IneffectiveWarning, tokens=tuple(tokens), reason=reason)


def split_own(tokens: Sequence[str]) -> tuple[dict[str, FlagValue], list[str]]:
    """Take our own options out of the command line; the rest is for the original's flags.

    Returns
    -------
    own : dict
        Setting to value.
    rest : list of str
        The other tokens, in order.
    """
    own: dict[str, FlagValue] = {}
    rest: list[str] = []
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        name, equals, text = token.partition("=")
        flag = _OWN.get(name)
        if flag is None:
            rest.append(token)
            continue
        if not flag.values:
            if equals:
                raise UsageError(f"{token}: {name} takes no value")
            own[flag.sets[0]] = True
            continue
        if not equals:
            if not waiting:
                raise UsageError(f"{name}: value missing; write {name} {flag.metavar or flag.sets[0].upper()}")
            text = waiting.pop(0)
        own[flag.sets[0]] = _strict_value(flag, flag.values, text, name)
    return own, rest


# ---------------------------------------------------------------------------------------------- the original's rule


def parse_lenient(tokens: Sequence[str]) -> Parsed:
    """Read the tokens as the original does; what it ignores or misreads becomes a note.

    Every token with a leading dash is tested against every rule in turn, values are not consumed, numbers are C prefixes.

    Raises
    ------
    UsageError
        Where the original crashes: a sensor flag without its value.
    """
    parsed = Parsed()
    value_of: dict[int, str] = {}  # token index -> flag whose value it is
    unknown_before = False
    for i, token in enumerate(tokens):
        if not token.startswith("-"):
            if i not in value_of and not unknown_before:
                parsed.note(f"{token!r} is ignored: it is neither a flag nor the value of one")
            continue
        matched = [flag for flag in FLAGS if flag.matches(token)]
        unknown_before = not matched and i not in value_of
        if unknown_before:
            number = strict_float(token) is not None
            parsed.note(f"{token} is ignored: {'it is the value of no flag' if number else _remedy(token)}")
        named = next((flag for flag in matched if token in flag.spellings), None)
        for flag in matched:
            collision = named is not None and (named.name, flag.name) in _COLLISIONS
            texts = _lenient_texts(flag, tokens[i + 1 :])
            if texts is None:
                if flag.crashes:
                    raise UsageError(f"{token}: value missing; write {example(flag)}")
                if not collision:
                    unknown_before = True
                    parsed.note(f"{token} is ignored: {_missing(flag, len(tokens) - i - 1)}")
                continue
            if i in value_of and not collision:
                parsed.note(
                    f"{token} is the value of {value_of[i]}, and is read as the flag {flag.name} too; "
                    "--strict reads it as the value only"
                )
            if collision and named is not None:
                _note_collision(parsed, flag, token, texts)
            else:
                value_of.update(dict.fromkeys(range(i + 1, i + 1 + len(texts)), token))
                _note_oddities(parsed, flag, token, named)
            values = _lenient_values(parsed, flag, token, texts, collision)
            parsed.occurrences.append(Occurrence(flag, token, values, tuple(texts)))
            if flag.stops or _ends_early(flag, texts):
                break
    _forget_overridden(parsed)
    return parsed


def _forget_overridden(parsed: Parsed) -> None:
    """Drop the note of a collision that a later flag of the intended kind undoes."""
    for named, hit in _COLLISIONS:
        meant = [o.token in _BY_NAME[hit].spellings for o in parsed.occurrences if o.flag.name == hit]
        if meant and meant[-1]:
            parsed.notes = [note for note in parsed.notes if not (note.category is QuirkWarning and named in note.text)]


def _lenient_texts(flag: Flag, following: Sequence[str]) -> list[str] | None:
    """The value tokens, or None when the rule does not fire."""
    if len(following) < flag.needed or (flag.crashes and not following):
        return None
    if flag.name == "-cell":
        texts: list[str] = []
        for text in following[:6]:
            if text.startswith("-"):
                break
            texts.append(text)
        return texts
    if flag.name == "-misset":
        if "rand" in following[0]:
            return list(following[:1])
        return list(following[:3]) if len(following) >= 3 else None
    return list(following[: len(flag.values)])


def _ends_early(flag: Flag, texts: Sequence[str]) -> bool:
    return (flag.name == "-cell" and len(texts) < 6) or (flag.name == "-misset" and len(texts) == 1)


def _lenient_values(parsed: Parsed, flag: Flag, token: str, texts: Sequence[str], quiet: bool) -> tuple[FlagValue, ...]:
    if flag.name == "-misset" and len(texts) == 1:
        return ("random",)
    values: list[FlagValue] = []
    for kind, text in zip(flag.values, texts, strict=False):
        if kind == "s":
            values.append(text)
            continue
        number, whole = atoi(text) if kind == "i" else atof(text)
        if not whole:
            parsed.bad_number = True
            if not quiet:
                parsed.note(f"{token}: {text!r} is not {_kind_name(kind)} and is read as {number:g}")
        values.append(number)
    return tuple(values)


def _note_oddities(parsed: Parsed, flag: Flag, token: str, named: Flag | None) -> None:
    if "=" in token:
        parsed.note(
            f"{token}: what follows '=' is ignored, the next token is the value; write "
            f"{token.partition('=')[0]} VALUE, or use --strict"
        )
    elif named is None and token.replace("--", "-", 1) not in flag.spellings:
        parsed.note(f"{token} is read as {flag.name}")
    if flag.no_effect:
        parsed.without_effect([token], flag.no_effect)


def _note_collision(parsed: Parsed, flag: Flag, token: str, texts: Sequence[str]) -> None:
    """Note that the lenient rule reads a second flag in a token."""
    if flag.name == "-twotheta":
        quirk, remedy = Quirk.TWOTHETA_AXIS_SETS_ANGLE, "put -twotheta after it, or use --strict"
        reason = f"{token} sets the two-theta angle to {atof(texts[0])[0]:g} degrees as well"
    else:
        quirk, remedy = Quirk.MISSET_SEED_SETS_MISSET, "put it last or before -misset random, or use --strict"
        what = "random" if len(texts) == 1 else " ".join(f"{atof(text)[0]:g}" for text in texts)
        reason = f"{token} is read as -misset {what} as well"
    text = f"{quirk.name}: {reason}; {remedy}"
    parsed.note(text, QuirkWarning, tokens=(token,), reason=reason, quirk=quirk)


# ---------------------------------------------------------------------------------------------- the strict rule


def parse_strict(tokens: Sequence[str]) -> Parsed:
    """Read the tokens by arity, refusing everything that is not understood.

    ``-name value``, ``--name value``, ``-name=value`` are the same; several values after ``=`` are separated by commas.

    Raises
    ------
    UsageError
        For an unknown flag, a stray token, a missing value or a value of the wrong kind.
    """
    parsed = Parsed()
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        name, equals, attached = token.partition("=")
        if not token.startswith("-") or strict_float(token) is not None:
            raise UsageError(f"{token!r}: neither a flag nor the value of one; {_remedy(token)}")
        flag = _spelled(name)
        if flag is None:
            raise UsageError(f"{name}: {_remedy(name)}")
        if not flag.values:
            if equals:
                raise UsageError(f"{token}: {name} takes no value")
            texts: list[str] = []
        elif equals:
            texts = attached.split(",") if len(flag.values) > 1 else [attached]
        else:
            count = _strict_count(flag, waiting)
            texts, waiting = waiting[:count], waiting[count:]
        parsed.occurrences.append(Occurrence(flag, name, _strict_values(flag, name, texts), tuple(texts)))
        if flag.no_effect:
            parsed.without_effect([name], flag.no_effect)
    return parsed


def _spelled(name: str) -> Flag | None:
    short = name[1:] if name.startswith("--") else name
    return next((flag for flag in FLAGS if short in flag.spellings), None)


def _strict_count(flag: Flag, waiting: Sequence[str]) -> int:
    if flag.name == "-misset" and waiting and waiting[0] in ("random", "rand"):
        return 1
    if flag.name == "-cell":
        count = 0
        while count < min(6, len(waiting)) and not _is_flag(waiting[count]):
            count += 1
        return count
    return len(flag.values)


def _is_flag(token: str) -> bool:
    return token.startswith("-") and strict_float(token) is None and not atof(token)[1]


def _strict_values(flag: Flag, name: str, texts: Sequence[str]) -> tuple[FlagValue, ...]:
    if flag.name == "-misset" and list(texts) in (["random"], ["rand"]):
        return ("random",)
    fewest = 1 if flag.name == "-cell" else len(flag.values)
    if not fewest <= len(texts) <= len(flag.values):
        raise UsageError(f"{name}: {_missing(flag, len(texts))}")
    return tuple(_strict_value(flag, kind, text, name) for kind, text in zip(flag.values, texts, strict=False))


def _strict_value(flag: Flag, kind: str, text: str, name: str) -> FlagValue:
    if kind == "s":
        return text
    value = strict_int(text) if kind == "i" else strict_float(text)
    if value is None:
        limits = f"is too large, integers are within -{LARGEST_INT} and {LARGEST_INT}"
        problem = limits if kind == "i" and is_too_large(text) else f"is not {_kind_name(kind)}"
        raise UsageError(f"{name}: {text!r} {problem}; write {example(flag)}")
    return value


# ---------------------------------------------------------------------------------------------- texts


def _kind_name(kind: str) -> str:
    return "an integer" if kind == "i" else "a number"


def example(flag: Flag) -> str:
    """How the flag is written."""
    return f"{flag.name} {flag.metavar or ' '.join('N' if kind == 'i' else 'X' for kind in flag.values)}"


def _missing(flag: Flag, found: int) -> str:
    if not flag.values:
        return "the original wants a token after it"
    count = len(flag.values)
    wanted = "1 to 6 values" if flag.name == "-cell" else f"{count} value{'s' if count > 1 else ''}"
    return f"it takes {wanted}, {found} follow{'s' if found == 1 else ''}; write {example(flag)}"


def _remedy(token: str) -> str:
    """What to write in place of a token that is not understood."""
    name = token.partition("=")[0]
    short = name[1:] if name.startswith("--") else name
    if short in NEVER_WORKED:
        working = NEVER_WORKED[short]
        return f"the working name is {working}" if working else "the program has no such flag"
    if _spelled(short) is not None:
        return f"write {short} with one dash"
    if token.startswith("-"):
        near = _alike(name, short)
        return f"unknown flag, did you mean {near}?" if near else "unknown flag, see nanoBragg --help"
    if f"-{token}" in _BY_NAME:
        return f"did you mean -{token}?"
    return f"file names follow a flag, as in -hkl {token}" if os.path.exists(token) else "see nanoBragg --help"


def _alike(name: str, short: str) -> str:
    """The flags that an unknown one may stand for: a misspelt one, one with a prefix or an ending too many; or nothing."""
    names = [spelling for flag in FLAGS for spelling in flag.spellings]
    close = alike(short, names)
    own = alike(name, _OWN, cutoff=0.8 if close else 0.6)
    if own or alike(short, names, cutoff=_MISSPELT):
        return (own or close)[0]
    words = short.lstrip("-").split("_")
    behind = [f"-{'_'.join(words[i:])}" for i in range(1, len(words))]
    ahead = sorted((flag for flag in names if short.startswith(flag)), key=len, reverse=True)[:2]
    return " or ".join([flag for flag in behind if flag in names][:1] or ahead or close)
