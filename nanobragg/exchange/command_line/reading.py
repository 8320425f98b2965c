"""A command line that has been read: flags, header defaults and options, before anything is built from them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import field
from typing import Any

from nanobragg.arrays import MAX_TABLE_BYTES
from nanobragg.config.quirks import CORRECTED, FIDELITIES, REFERENCE, Quirk, as_quirks
from nanobragg.errors import FlagError, NanoBraggWarning, UsageError
from nanobragg.exchange.command_line.headers import read_header
from nanobragg.exchange.command_line.parse import FlagValue, Note, Parsed, parse_lenient, parse_strict, split_own
from nanobragg.exchange.command_line.settings import (
    DEFAULT_DETECTOR_MM,
    DEFAULT_PIXEL_MM,
    Settings,
    settled,
    take_nan_as_unset,
)  # fmt: skip
from nanobragg.lazy import dataclass

DEFAULT_DUMP = "Fdump.bin"
_NO_FACTORS = (
    "no structure factors: write -hkl FILE, --mtz FILE, --model FILE with --d-min ANGSTROM, -default_F VALUE, "
    "or -dump FILE"
)
_NO_CELL = "no unit cell: write -cell A B C ALPHA BETA GAMMA, or -mat FILE; --mtz FILE and --model FILE hold one"


class MissingInput(UsageError):
    """No source of structure factors (`what` = "hkl"), or none of a cell (`what` = "cell")."""

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.afterwards = ""
        """what is printed after the message"""
        super().__init__(text)


@dataclass(frozen=True)
class Roi:
    """Bounds of the region of interest as the original keeps them: inclusive, the upper ones may be the pixel count."""

    x_min: int
    x_max: int
    y_min: int
    y_max: int

    def slices(self, n_fast: int, n_slow: int) -> tuple[slice, slice]:
        """(slow, fast), half-open and inside the detector; empty slices when nothing is left."""
        return (
            slice(max(self.y_min, 0), max(min(self.y_max + 1, n_slow), self.y_min, 0)),
            slice(max(self.x_min, 0), max(min(self.x_max + 1, n_fast), self.x_min, 0)),
        )


@dataclass(frozen=True)
class Output:
    """What is written, under which name, and how it is scaled."""

    float_file: str
    int_file: str
    pgm_file: str | None
    noise_file: str | None
    scale: float
    pgm_scale: float
    adc: float
    seed: int | None
    """noise seed as typed; None: from the system"""
    printout: bool
    printout_pixel: tuple[int, int] | None
    """(fast, slow)"""
    progress: bool


@dataclass
class CommandLine:
    """Everything that the arguments say, in the flags' own terms."""

    own: dict[str, FlagValue]
    quirks: frozenset[Quirk]
    strict: bool
    as_original: bool
    """files, noise and printed numbers are the original's (--fidelity reference)"""
    parsed: Parsed
    settings: Settings
    headers_read: list[str] = field(default_factory=list)
    """names of the mask and image files that were opened, in that order"""
    mask: Any = None
    """(n_slow, n_fast) bool, True = rendered"""

    def note(self, text: str, category: type[Warning] = NanoBraggWarning) -> None:
        """Add something to tell the user."""
        self.parsed.note(text, category)

    @property
    def notes(self) -> list[Note]:
        """What to tell the user, in the order in which it came up."""
        return self.parsed.notes

    # -- sizes that several parts need

    @property
    def pixel_mm(self) -> float:
        """Pixel edge [mm]."""
        return float(self.settings.get("pixel", DEFAULT_PIXEL_MM))

    def detector_size(self) -> tuple[list[int], list[float | None]]:
        """Pixel counts (fast, slow), and the sizes [mm] where a size and not a count decided (docs/model.md, Pixels).

        Raises
        ------
        ConfigError
            For a pixel size or a pixel count that is not above 0.
        """
        pixel = self.pixel_mm / 1000
        if not (pixel > 0 and math.isfinite(pixel)):
            raise FlagError("detector.pixel_size_mm", self.pixel_mm, "must be > 0", "write -pixel MM")
        counts: list[int] = []
        sizes: list[float | None] = []
        for axis in ("fast", "slow"):
            count = int(self.settings.get(f"n_{axis}", 0))
            typed = None if count else float(self.settings.get(f"size_{axis}", DEFAULT_DETECTOR_MM))
            size = pixel * count if typed is None else typed / 1000
            ratio = size / pixel - 0.5
            if not (math.isfinite(ratio) and 0 < math.ceil(ratio) < 2**31):
                raise FlagError(
                    f"detector.n_{axis}",
                    count or f"{typed} mm / {self.pixel_mm} mm",
                    "the detector has no pixels" if not ratio > 0 else "the detector has too many pixels",
                    "write -detpixels N, or -detsize MM with -pixel MM",
                )
            counts.append(math.ceil(ratio))
            sizes.append(typed)
        return counts, sizes

    def roi(self) -> Roi:
        """The region of interest with its defaults filled in."""
        (n_fast, n_slow), _ = self.detector_size()
        typed = self.settings.get("roi", (-1, -1, -1, -1))
        defaults = (0, n_fast, 0, n_slow)
        return Roi(*(int(default if value < 0 else value) for value, default in zip(typed, defaults, strict=True)))

    @property
    def wavelength_angstrom(self) -> float:
        """Final central wavelength [Angstrom]."""
        return float(self.settings.get("wavelength", 1.0))

    @property
    def convention(self) -> str:
        """The convention that the original ends in."""
        return "custom" if self.drops_to_custom else self.settings.named_convention

    @property
    def drops_to_custom(self) -> bool:
        """True when a vector flag selects the custom convention (CUSTOM_CHANGES_CENTRE)."""
        return self.settings.vector_last and Quirk.CUSTOM_CHANGES_CENTRE in self.quirks

    @property
    def dump_file(self) -> str:
        """The dump to write or read."""
        return str(self.settings.get("dump", DEFAULT_DUMP))

    @property
    def max_bytes(self) -> int:
        """Largest structure-factor table [bytes]."""
        return int(float(self.own["memory"]) * 2**30) if "memory" in self.own else MAX_TABLE_BYTES

    def output(self) -> Output:
        """File names, scales and switches.

        Raises
        ------
        UsageError
            For a scale or offset that is not finite.
        """
        get = self.settings.get
        for name in ("scale", "pgmscale", "adc"):
            if not math.isfinite(get(name, 0.0)):
                raise UsageError(f"-{name} {get(name):g}: must be a finite number")
        pixel = get("printout_pixel")
        return Output(
            float_file=get("floatfile", "floatimage.bin"), int_file=get("intfile", "intimage.img"),
            pgm_file=get("pgmfile", "image.pgm") if get("pgm", True) else None,
            noise_file=get("noisefile", "noiseimage.img") if get("noise", True) else None,
            scale=float(get("scale", 0.0)), pgm_scale=float(get("pgmscale", 0.0)), adc=float(get("adc", 40.0)),
            seed=get("seed"), printout=bool(get("printout", False)),
            printout_pixel=None if pixel is None else (int(pixel[0]), int(pixel[1])),
            progress=bool(get("progress", True)),
        )  # fmt: skip


def read_command(args: Sequence[str], fidelity: str = "reference") -> CommandLine:
    """Read the arguments and the headers they name.

    Parameters
    ----------
    args : sequence of str
        Without the program name.
    fidelity : {"reference", "corrected"}
        Physics and parsing rule where the arguments themselves name none.

    Raises
    ------
    UsageError, ConfigError, FileFormatError
        For arguments or header files that cannot be used.
    """
    own, rest = split_own(args)
    name = str(own.get("fidelity", fidelity))
    quirks, strict = _physics(own, name)
    parsed = parse_strict(rest) if strict else parse_lenient(rest)
    line = CommandLine(own, quirks, strict, name == "reference", parsed, Settings())
    read_headers(line)
    settled(parsed.occurrences, line.settings)
    for setting in take_nan_as_unset(line.settings):
        tokens = [o.token for o in parsed.occurrences if setting in o.flag.sets]
        line.note(f"{tokens[-1] if tokens else setting}: nan counts as not given, as in the original")
    return line


def _physics(own: dict[str, FlagValue], name: str) -> tuple[frozenset[Quirk], bool]:
    """The quirks in force, and whether the strict parser is meant."""
    if name not in FIDELITIES:
        raise UsageError(f"--fidelity {name}: must be one of {', '.join(FIDELITIES)}")
    quirks = FIDELITIES[name]
    if "quirks" in own:
        text = str(own["quirks"])
        quirks = {"none": CORRECTED, "all": REFERENCE}.get(text) if text in ("none", "all") else as_quirks(text)  # type: ignore[assignment]
    return quirks, bool(own.get("strict")) or name == "corrected"


def read_headers(line: CommandLine) -> None:
    """Pass 1: the mask file first, the image file second; their headers supply defaults (docs/command.md)."""
    named = {
        occurrence.flag.name: str(occurrence.values[0])
        for occurrence in line.parsed.occurrences
        if occurrence.flag.name in ("-img", "-mask")
    }
    for flag in ("-mask", "-img"):
        if flag not in named:
            continue
        path = named[flag]
        if not line.strict and not os.path.exists(path):
            line.note(f"{path}: no such file; the run goes on without {flag}")
            continue
        header, pixels = read_header(path, line.strict)
        line.headers_read.append(path)
        line.settings.absorb_header(header, flip_y=flag == "-mask" and not line.strict)
        if flag == "-mask":
            line.mask = pixels != 0


def require_inputs(line: CommandLine) -> None:
    """Check that there is a source of structure factors and one of a cell (docs/command.md, Required inputs).

    Raises
    ------
    MissingInput
        When one of them is missing.
    """
    if "mtz" in line.own or "model" in line.own:
        return
    get = line.settings.get
    dump_ok = os.path.exists(line.dump_file) if not line.strict else "dump" in line.settings
    if "hkl" not in line.settings and get("default_F", 0.0) == 0 and not dump_ok:
        raise MissingInput(
            "hkl",
            _NO_FACTORS,
        )
    if "mat" not in line.settings and not (get("cell") and line.settings.cell[0] != 0):
        raise MissingInput(
            "cell",
            _NO_CELL,
        )
