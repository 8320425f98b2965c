"""An error about a field of the experiment, told in terms of the flags that were typed (docs/command.md, Two switches)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nanobragg.cli.dropin.usage import unit_of
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError, FlagError, NanoBraggError, PlausibilityWarning, UsageError
from nanobragg.exchange.command_line.flags import FLAGS, OWN_OPTIONS, Flag
from nanobragg.exchange.command_line.parse import Occurrence, example
from nanobragg.exchange.command_line.reading import CommandLine
from nanobragg.exchange.command_line.settings import HEADER_KEYS
from nanobragg.inspection.foresight.limits import LIMITS
from nanobragg.inspection.foresight.plausible import Doubt, doubt_of, typed_doubts


def in_flags(line: CommandLine, error: ConfigError) -> NanoBraggError:
    """The error with the flags and values in front that made the field, and a spelling that works behind.

    The flag table says which settings supply a field; the last flag that was typed for each of them is named, or else the
    header that held it. An error that no flag and no header caused is returned as it is.
    """
    if own := _own_option(line, error.path):
        return UsageError(f"{own}: {error}")
    flags = _supplying(error.path)
    settings = {name for flag in flags for name in flag.sets}
    typed = list(_last(line, settings))
    if typed:
        tokens = " ".join(" ".join((occurrence.token, *occurrence.texts)) for occurrence in typed)
        return UsageError(f"{tokens}: {error}{_remedy(error, [occurrence.flag for occurrence in typed])}")
    given = settings & set(line.settings.values)
    keys = [key for key, name in (*HEADER_KEYS, ("BEAM_CENTER_Y", "y_beam")) if name in given]
    if keys and line.headers_read:
        headers = " or ".join(line.headers_read)
        return UsageError(f"{' and '.join(keys)} in the header of {headers}: {error}{_remedy(error, flags[:1])}")
    return UsageError(f"{error}{_remedy(error, flags[:1])}") if flags and error.value is None else error


def name_in_flags(line: CommandLine, path: str) -> str:
    """A field as a flag: the one that was typed for it, or one that sets it, or the path where there is none."""
    if own := _own_option(line, path):
        return own
    flags = _supplying(path)
    typed = list(_last(line, {name for flag in flags for name in flag.sets}))
    if typed:
        return " ".join(" ".join((occurrence.token, *occurrence.texts)) for occurrence in typed)
    return flags[0].name if flags else path


def note_doubtful_values(line: CommandLine) -> None:
    """Add a note for every typed value that is probably in another unit, before anything is built from the flags."""
    for path in LIMITS:
        for occurrence in _last(line, {name for flag in _supplying(path) for name in flag.sets}):
            doubt = doubt_of(path, list(occurrence.values)) if occurrence.flag.field == path else None
            if doubt is not None:
                line.note(_doubt_in_flags(line, doubt), PlausibilityWarning)


def doubts_in_flags(line: CommandLine, experiment: Experiment) -> list[str]:
    """What is doubtful about the values of a command line, each with the flag as it was typed in front."""
    doubts = typed_doubts(experiment)
    energy = next((o for o in _last(line, {"wavelength"}) if o.flag.field == "beam.energy_ev"), None)
    if energy is not None and any(doubt.path == "beam.wavelength_angstrom" for doubt in doubts):
        typed = doubt_of("beam.energy_ev", energy.values[0])
        doubts = [typed if typed and doubt.path == "beam.wavelength_angstrom" else doubt for doubt in doubts]
    return [_doubt_in_flags(line, doubt) for doubt in doubts]


def _doubt_in_flags(line: CommandLine, doubt: Doubt) -> str:
    flags = _supplying(doubt.path)
    typed = list(_last(line, {name for flag in flags for name in flag.sets}))
    if not typed:
        return str(doubt)
    tokens = " ".join(" ".join((occurrence.token, *occurrence.texts)) for occurrence in typed)
    instead = ""
    if doubt.instead is not None:
        path, value = doubt.instead
        named = typed[0].token if path == doubt.path else _supplying(path)[0].name
        instead = f"{named} {value:.6g}"
    return f"{tokens}: {doubt.text(f'{doubt.path}={doubt.value:.6g}', typed[0].token, instead)}"


def _own_option(line: CommandLine, path: str) -> str | None:
    """The option with two dashes that was typed for a field, with its value."""
    flag = next((flag for flag in OWN_OPTIONS if flag.field == path and flag.sets[0] in line.own), None)
    if flag is None:
        return None
    value = line.own[flag.sets[0]]
    return f"{flag.name} {value:g}" if isinstance(value, float) else f"{flag.name} {value}"


def _remedy(error: ConfigError, flags: Iterable[Flag]) -> str:
    if isinstance(error, FlagError):
        return ""
    return "; write " + " or ".join(dict.fromkeys(f"{example(flag)}{_unit(flag)}" for flag in flags))


def _unit(flag: Flag) -> str:
    unit = unit_of(flag)
    return f" [{unit}]" if unit and unit != "1" and flag.metavar != unit.upper() else ""


def _supplying(path: str) -> list[Flag]:
    """The flags that set a field, or one that this is a part of, or the parts of it."""
    path = re.sub(r"\[\d+\]$", "", path)
    return [flag for flag in FLAGS if flag.field and _concerns(flag.field, path)]


def _concerns(field: str, path: str) -> bool:
    has_part = "." in path and field.startswith(f"{path}.")  # "detector" alone would be every flag of it
    return field == path or path.startswith(f"{field}.") or has_part


def _last(line: CommandLine, settings: Iterable[str]) -> Iterable[Occurrence]:
    """The last flag of each setting, in the order in which they were typed."""
    last = {name: o for o in line.parsed.occurrences for name in o.flag.sets if name in settings}
    return (o for o in line.parsed.occurrences if any(o is one for one in last.values()))
