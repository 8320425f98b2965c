"""How both companions read their command line: every token is tested, values are not consumed, the last one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Any

from nanobragg.errors import UsageError, alike
from nanobragg.exchange.command_line.numbers import atof, atoi, strict_float
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Option:
    """One option of a companion.

    Parameters
    ----------
    sets : str
        Names of the settings, separated by blanks. Several settings receive the same value.
    texts : str
        Spellings, separated by blanks; a token counts that holds one of them anywhere behind its dash.
    values : str
        One letter for each value: d number, i integer, s text; empty for a switch. Several values make a tuple.
    per : float
        What the number is divided by on its way into the setting.
    length : int
        Length that the token must have; 0: any.
    whole : bool
        The token must be one of the texts.
    convert : callable, optional
        Makes the setting of the number, in place of `per`.
    also : dict or callable
        Further settings that the option makes, or what makes them of the value.
    many : bool
        Values are collected in a list.
    crashes : bool
        The original crashes when the value is missing.
    put : object
        What a switch stores.
    needs : int
        Tokens that must follow a switch.
    help : str
        What it does, for --help.
    """

    sets: str
    texts: str
    values: str = ""
    per: float = 1.0
    length: int = 0
    whole: bool = False
    convert: Callable[[float], float] | None = None
    also: dict[str, Any] | Callable[[Any], dict[str, Any]] = field(default_factory=dict)
    many: bool = False
    crashes: bool = False
    put: Any = True
    needs: int = 0
    help: str = ""

    def matches(self, token: str) -> bool:
        """Whether the token is this option by the program's rule."""
        if self.length and len(token) != self.length:
            return False
        return any(token == text if self.whole else text in token for text in self.texts.split())

    def read(self, following: Sequence[str]) -> Any:
        """The value that the following tokens give, or None where too few follow."""
        if len(following) < max(len(self.values), self.needs):
            return None
        if not self.values:
            return self.put
        values = [self._value(kind, text) for kind, text in zip(self.values, following, strict=False)]
        return values[0] if len(values) == 1 else tuple(values)

    def _value(self, kind: str, text: str) -> Any:
        if kind == "s":
            return text
        if kind == "i":
            return atoi(text)[0]
        number = atof(text)[0]
        return number / self.per if self.convert is None else self.convert(number)


OWN = {"--help": False, "--fidelity": True, "--generator": True, "--threads": True}
"""Our own options, and whether a value follows."""
GENERATORS = ("nanobragg", "pcg64")


def own_options(tokens: Sequence[str], fidelities: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take our own options out of the command line.

    Parameters
    ----------
    tokens : sequence of str
    fidelities : sequence of str
        What --fidelity may name.

    Returns
    -------
    own : dict
        Name without dashes to text.
    rest : list of str
        The tokens of the original.

    Raises
    ------
    UsageError
        For an option of two dashes that there is not, or a value that it does not take.
    """
    own: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        name, equals, text = token.partition("=")
        if name not in OWN:
            rest.append(token)
            continue
        if OWN[name] and not equals:
            if not waiting:
                raise UsageError(f"{name}: value missing")
            text = waiting.pop(0)
        own[name[2:]] = text
    for name, choices in (("fidelity", fidelities), ("generator", GENERATORS)):
        if own.get(name, choices[0]) not in choices:
            raise UsageError(f"--{name} {own[name]}: must be {' or '.join(choices)}")
    if not own.get("threads", "1").isdigit() or own.get("threads") == "0":
        raise UsageError(f"--threads {own['threads']}: must be a whole number above 0")
    return own, rest


def read_tokens(
    tokens: Sequence[str],
    options: Sequence[Option],
    note: Callable[[str], None],
    claimed: Callable[[str], str | None] = lambda token: None,
) -> dict[str, Any]:
    """The settings that a command line leaves behind.

    Parameters
    ----------
    tokens : sequence of str
        Without our own options.
    options : sequence of Option
        The program's.
    note : callable
        Receives a line for each token that is ignored.
    claimed : callable
        Names the setting that takes a token itself, whether or not it begins with a dash, or gives None.
    """
    settings: dict[str, Any] = {}
    values_until = 0
    for i, token in enumerate(tokens):
        name = claimed(token)
        if name is not None:
            settings[name] = token
            continue
        if not token.startswith("-"):
            if i >= values_until:
                note(f"{token!r} is ignored: it is neither an option nor the value of one")
            continue
        matched = [option for option in options if option.matches(token)]
        for option in matched:
            value = option.read(tokens[i + 1 :])
            if value is None and option.crashes:
                raise UsageError(f"{token}: value missing; {option.help}")
            if value is None:
                note(f"{token} is ignored: its value is missing")
                continue
            values_until = max(values_until, i + 1 + max(len(option.values), option.needs))
            for name in option.sets.split():
                settings[name] = [*settings.get(name, ()), value] if option.many else value
            settings.update(option.also(value) if callable(option.also) else option.also)
        if not matched and i >= values_until and strict_float(token) is None:
            note(f"{token} is ignored: {_remedy(token, options)}")
            values_until = len(tokens) if i + 2 >= len(tokens) else i + 2
    return settings


def _remedy(token: str, options: Sequence[Option]) -> str:
    names = [text for option in options for text in option.texts.split()]
    near = alike(token, names)
    return f"unknown option, did you mean {near[0]}?" if near else "unknown option, see --help"


def described(options: Sequence[Option]) -> Iterator[str]:
    """One line of help for each option."""
    kinds = {"d": "X", "i": "N", "s": "NAME"}
    for option in options:
        first, *others = option.texts.split()
        left = f"  {first} {' '.join(kinds[kind] for kind in option.values)}".rstrip()
        more = f" (also {' '.join(others)})" if others else ""
        yield f"{left:<34}{option.help}{more}"
