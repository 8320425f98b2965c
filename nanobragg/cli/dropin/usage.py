"""Help and usage text, generated from the flag table and the config fields' metadata."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from nanobragg import config
from nanobragg.exchange.command_line.flags import FLAGS, GROUPS, OWN_OPTIONS, Flag
from nanobragg.exchange.command_line.parse import split_own
from nanobragg.version import installed_version

BANNER = "nanoBragg nanocrystal diffraction simulator - James Holton and Ken Frankel 5-17-17"
"""First line of the original's report."""
USAGE_LINE = "usage: nanoBragg -mat auto.mat -hkl Fs.hkl"
"""First line of its usage text."""
_FLAG_WIDTH, _WIDTH = 34, 118
SUBCOMMANDS = {
    "demo": "make a protein-like still from synthetic data, and say what to try next",
    "trace": "everything computed on the way to one pixel; the first number in which two engines differ",
    "compare": "two images, two engines, or this program and another: metrics, peaks, pictures",
    "explain": "what a command line means: flags, decisions, quirks at work and their cost, time",
    "init": "write a commented experiment file (TOML) to start from",
    "run": "simulate an experiment file: one image or a scan, in any format",
    "convert": "between geometry files of DIALS, XDS, MOSFLM, CrystFEL, and between image formats",
    "view": "a picture (PNG) of an image, with resolution rings and the beam center",
    "predict": "the reflections that an image holds: where, how bright, how complete; a file of them",
    "index": "the orientation of a crystal of known cell from an image, without a start; several lattices",
    "refine": "orientation, cell, mosaicity, scale, geometry from the pixels of an image, with errors",
    "explore": "an interactive page in the browser: turn the crystal, move every value, compare, refine",
    "dataset": "images by the thousand from one recipe, with their truth, on any number of workers",
    "completion": "a script with which bash or zsh complete words, flags and options",
    "noisify": "the companion noisify with its own flags: noise and point spread on a float image",
    "nonbragg": "the companion nonBragg with its own flags: scattering of water and other amorphous bodies",
}


def help_text() -> str:
    """Everything that the command takes, grouped, with units and defaults."""
    lines = [
        USAGE_LINE + " [flags]",
        *(f"       nanoBragg {name:<12}{text}" for name, text in SUBCOMMANDS.items()),
        "",
        "Simulates the diffraction of a nanocrystal, pixel by pixel, on an absolute scale. A source of structure factors",
        "(-hkl, -dump, -default_F, --mtz, --model) and of a unit cell (-cell, -mat, --mtz, --model) are required. The physics",
        "is that of the original program unless --fidelity corrected is given.",
    ]
    for group in GROUPS:
        lines += ["", f"{group}:"]
        for flag in (*FLAGS, *OWN_OPTIONS):
            if flag.group == group:
                lines += _entry(flag)
    return "\n".join(lines) + "\n"


def _entry(flag: Flag) -> Iterator[str]:
    left, text, default = described(flag)
    left = f"  {left}"
    others = [name for name in flag.spellings if name != flag.name]
    unit = unit_of(flag)
    details = [
        part
        for part in (
            f"[{unit}]" if unit else "",
            f"default {default}" if default else "",
            f"no effect: {flag.no_effect}" if flag.no_effect else "",
            f"also {' '.join(others)}" if others else "",
        )
        if part
    ]
    body = "; ".join([text, *details] if text else details)
    wrapped = textwrap.wrap(body, _WIDTH - _FLAG_WIDTH) or [""]
    if len(left) >= _FLAG_WIDTH:
        yield left
        left = ""
    yield f"{left:<{_FLAG_WIDTH}}{wrapped[0]}".rstrip()
    for more in wrapped[1:]:
        yield " " * _FLAG_WIDTH + more


def described(flag: Flag) -> tuple[str, str, str]:
    """A flag with its values, what it means, and its default: its own text, or that of the config field it sets."""
    meta = _metadata(flag.field)
    text = flag.help or (str(meta["doc"]) if meta else "")
    default = flag.default or (_default(meta) if meta and flag.values else "")
    return f"{flag.name} {_metavar(flag)}".rstrip(), text, default


def unit_of(flag: Flag) -> str:
    """Unit of a flag's values; empty where they have none."""
    meta = _metadata(flag.field)
    return flag.unit or str(meta["unit"] if meta else "")


def _metavar(flag: Flag) -> str:
    if flag.metavar:
        return flag.metavar
    return " ".join({"d": "X", "i": "N", "s": "NAME"}[kind] for kind in flag.values)


def _metadata(path: str) -> dict[str, Any]:
    """Metadata and default of a config field; empty for no path."""
    if not path:
        return {}
    field = _fields()[path]
    default = field.default
    if default is dataclasses.MISSING:
        default = None
    return {**field.metadata, "default": default}


def _fields() -> dict[str, dataclasses.Field[Any]]:
    kinds = (
        config.Mosaic,
        config.Crystal,
        config.Divergence,
        config.Beam,
        config.Sensor,
        config.Detector,
        config.Goniometer,
        config.Sampling,
        config.Background,
    )
    return {f"{kind._path}.{field.name}": field for kind in kinds for field in dataclasses.fields(kind)}


def _default(meta: dict[str, Any]) -> str:
    value = meta["default"]
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, tuple):
        return " ".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def answered(args: Sequence[str]) -> bool:
    """Print the help or the version where that is what the arguments ask for."""
    own, _ = split_own(args)
    if own.get("help") or list(args) in (["-h"], ["-help"]):
        sys.stdout.write(help_text())
        return True
    if own.get("version"):
        sys.stdout.write(f"nanobragg {installed_version()}\n")
        return True
    return False
