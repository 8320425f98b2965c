"""The settings that a command line leaves behind, in the flags' own units (docs/command.md, Matching of flags).

Nothing is converted here but what the original converts while it reads: everything else stays as typed, so that the
derivation does the original's arithmetic on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from nanobragg.constants import EV_ANGSTROM
from nanobragg.errors import UsageError
from nanobragg.exchange.command_line.flags import VECTOR_KEYS
from nanobragg.exchange.command_line.numbers import atof
from nanobragg.exchange.command_line.parse import Occurrence
from nanobragg.lazy import dataclass

DEFAULT_DETECTOR_MM = 102.4
"""Detector size when neither pixels nor size is typed [mm]."""
DEFAULT_PIXEL_MM = 0.1
HEADER_KEYS = (
    ("PIXEL_SIZE", "pixel"),
    ("DISTANCE", "distance"),
    ("CLOSE_DISTANCE", "close_distance"),
    ("WAVELENGTH", "wavelength"),
    ("BEAM_CENTER_X", "x_beam"),
    ("ORGX", "org_x"),
    ("ORGY", "org_y"),
    ("PHI", "phi"),
    ("OSC_RANGE", "osc"),
    ("TWOTHETA", "twotheta"),
)
"""Keyword of an SMV header and the setting for which it is a default; the units agree."""


@dataclass
class Settings:
    """Settings by name; a name that is missing was not typed and is in no header."""

    values: dict[str, Any] = field(default_factory=dict)
    typed: set[str] = field(default_factory=set)
    """names set by flags, not by headers"""
    named_convention: str = "mosflm"
    """the named convention that came last"""
    vector_last: bool = False
    """a vector flag came after it, so that the original ends in the custom convention"""
    pivot_state: str = "beam"
    """pivot after all side effects, as custom uses it"""
    cell: list[float] = field(default_factory=lambda: [0.0] * 6)
    sensor_thickness: float = 0.0
    """thickness after the left-to-right effects of an infinite attenuation depth [um]"""
    sensor_attenuation: float | None = None
    """attenuation depth [um]; inf also stands for a typed 0"""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a setting."""
        return self.values.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def absorb_header(self, header: Mapping[str, float], flip_y: bool) -> None:
        """Take defaults from an SMV header; `flip_y` turns BEAM_CENTER_Y round, as the original does for a mask."""
        n_fast, n_slow = int(header.get("SIZE1", 0)), int(header.get("SIZE2", 0))
        self.values.update(n_fast=n_fast, n_slow=n_slow)
        self.values.update({name: header[key] for key, name in HEADER_KEYS if key in header})
        if "BEAM_CENTER_Y" in header:
            y = header["BEAM_CENTER_Y"]
            if flip_y:
                size = self.get("pixel") / 1000 * n_slow if "PIXEL_SIZE" in header else DEFAULT_DETECTOR_MM / 1000
                y = as_mm(size - y / 1000)
            self.values["y_beam"] = y

    def apply(self, occurrence: Occurrence) -> None:
        """Let one flag act."""
        flag, values = occurrence.flag, occurrence.values
        if flag.pivot:
            self.pivot_state = flag.pivot
        special = getattr(self, "_on_" + flag.name.lstrip("-"), None)
        self.typed.update(flag.sets)
        if special is not None:
            special(occurrence)
        elif not flag.values:
            self.values.update(dict.fromkeys(flag.sets, flag.put))
        elif len(values) == 1:
            self.values.update(dict.fromkeys(flag.sets, values[0]))
        else:
            self.values[flag.sets[0]] = values
        if flag.sets and flag.sets[0] in VECTOR_KEYS:
            self.vector_last = True
        if flag.sets == ("convention",):
            self.named_convention, self.vector_last = str(flag.put), False

    # -- flags that do more than store their value; the name of the method is that of the flag

    def _on_cell(self, occurrence: Occurrence) -> None:
        for i, value in enumerate(occurrence.values):
            self.cell[i] = float(value)
        self.values["cell"] = True

    def _on_misset(self, occurrence: Occurrence) -> None:
        self.values["misset"] = "random" if occurrence.values == ("random",) else occurrence.values

    def _on_energy(self, occurrence: Occurrence) -> None:
        energy = float(occurrence.values[0])
        if energy == 0:
            raise UsageError(f"{occurrence.token}: the energy is 0; write -energy EV with a value above 0")
        self.values["wavelength"] = EV_ANGSTROM / energy

    def _on_pivot(self, occurrence: Occurrence) -> None:
        text = str(occurrence.values[0])
        for word in ("sample", "beam"):
            if word in text:
                self.pivot_state = self.values["pivot"] = word

    def _on_pix0_vector(self, occurrence: Occurrence) -> None:
        scale = 1.0 if "-pix0_vector_mm" in occurrence.token else 1000.0
        self.values["pix0"] = tuple(scale * float(value) for value in occurrence.values)

    def _on_detector_abs(self, occurrence: Occurrence) -> None:
        text = str(occurrence.values[0])
        depth = atof(text)[0]
        if "inf" in text or depth == 0 or math.isinf(depth):
            self.sensor_attenuation, self.sensor_thickness = math.inf, 0.0
        else:
            self.sensor_attenuation = depth
        self.values["attenuation"] = self.sensor_attenuation

    def _on_detector_thick(self, occurrence: Occurrence) -> None:
        self.values["thickness"] = self.sensor_thickness = float(occurrence.values[0])

    def _on_pgmfile(self, occurrence: Occurrence) -> None:
        self.values.update(pgmfile=occurrence.values[0], pgm=True)

    def _on_pgmscale(self, occurrence: Occurrence) -> None:
        self.values.update(pgmscale=occurrence.values[0], pgm=True)

    def _on_noisefile(self, occurrence: Occurrence) -> None:
        self.values.update(noisefile=occurrence.values[0], noise=True)

    def _on_polar(self, occurrence: Occurrence) -> None:
        self.values.update(kahn=occurrence.values[0], nopolar=False)

    def _on_printout_pixel(self, occurrence: Occurrence) -> None:
        self.values.update(printout_pixel=occurrence.values, printout=True)


def settled(occurrences: Iterable[Occurrence], settings: Settings) -> Settings:
    """Let the flags act on `settings`, which may hold header defaults, from left to right."""
    for occurrence in occurrences:
        settings.apply(occurrence)
    return settings


_WHEN_NAN: dict[str, float | None] = {
    **dict.fromkeys(("x_beam", "y_beam", "x_close", "y_close", "org_x", "org_y", "close_distance", "scale", "pgmscale",
                     "dmin", "size_a", "size_b", "size_c")),
    "exposure": 0.0,
    "beamsize": -1.0,
}  # fmt: skip
"""What the original makes of a NaN, its own mark for "not set" and false in every comparison; None: not given."""


def take_nan_as_unset(settings: Settings) -> list[str]:
    """Replace every NaN that the original survives by what it means there; returns the names of the settings."""
    found = [name for name in _WHEN_NAN if isinstance(value := settings.get(name), float) and math.isnan(value)]
    for name in found:
        meaning = _WHEN_NAN[name]
        if meaning is None:
            del settings.values[name]
        else:
            settings.values[name] = meaning
    return found


def as_mm(meters: float) -> float:
    """The number of mm that gives exactly `meters` when it is divided by 1000."""
    guess = meters * 1000
    for candidate in (guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf)):
        if candidate / 1000 == meters:
            return candidate
    return guess
