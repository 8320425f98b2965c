"""The one table of what values are believed, and what one outside of it was probably meant to be.

Everything here renders; it is told because it is hardly ever meant. No case of golden/ is outside.
"""

from __future__ import annotations

from nanobragg.constants import EV_ANGSTROM
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Guess:
    """What a number may have been meant as."""

    text: str
    factor: float
    """the value times this is in the unit of the field"""
    inverse: bool = False
    """factor / value instead"""
    field: str = ""
    """another field that takes the number, times `scale`"""
    scale: float = 1.0

    def converted(self, value: float) -> float:
        """The number in the unit of the field."""
        return self.factor / value if self.inverse else self.factor * value


@dataclass(frozen=True)
class Limit:
    """What is believed of one field."""

    unit: str
    low: float
    high: float
    usual: tuple[float, float]
    """a guess counts when it gives a number in here"""
    guesses: tuple[Guess, ...]


_METRES, _MICROMETRES = Guess("meters", 1000.0), Guess("micrometers", 0.001)
_WAVELENGTH = Limit(
    "Angstrom", 0.005, 30.0, (0.05, 12.0),
    (
        Guess("an energy in eV", EV_ANGSTROM, inverse=True, field="beam.energy_ev"),
        Guess("an energy in keV", EV_ANGSTROM / 1000, inverse=True, field="beam.energy_ev", scale=1000.0),
        Guess("meters", 1e10),
        Guess("an energy typed in keV where eV is expected", 1e-3),
    ),
)  # fmt: skip
_DISTANCE = Limit("mm", 1.0, 1e5, (20.0, 2e4), (_METRES, _MICROMETRES))

LIMITS: dict[str, Limit] = {
    "beam.wavelength_angstrom": _WAVELENGTH,
    "beam.sources.wavelength_angstrom": _WAVELENGTH,
    "beam.energy_ev": Limit(
        "eV", EV_ANGSTROM / _WAVELENGTH.high, EV_ANGSTROM / _WAVELENGTH.low, (1000.0, 2.5e5),
        (
            Guess("keV", 1000.0),
            Guess("a wavelength in Angstrom", EV_ANGSTROM, inverse=True, field="beam.wavelength_angstrom"),
        ),
    ),
    "beam.fluence_per_m2": Limit(
        "photons/m^2", 1e15, float("inf"), (1e20, 1e32),
        (
            Guess("a flux in photons/s, which takes beam.flux_per_s and beam.size_mm, or photons per square micrometer", 1e12),
            Guess("photons per square millimeter", 1e6),
        ),
    ),
    "detector.distance_mm": _DISTANCE,
    "detector.close_distance_mm": _DISTANCE,
    "detector.pixel_size_mm": Limit("mm", 0.003, 2.0, (0.003, 0.5), (_MICROMETRES, _METRES)),
    "crystal.size_mm": Limit(
        "mm", 0.0, 1.0, (1e-5, 0.5), (_MICROMETRES, Guess("nanometers", 1e-6), Guess("Angstrom", 1e-7))
    ),
}  # fmt: skip
"""By dotted path; the limits themselves are believed."""

LEAST_INSIDE = 0.1
"""Share of the rendered pixels that lies inside the list of structure factors."""
FARTHEST_BEAM = 3.0
"""How far beside the detector the beam may pass, in sizes of the detector: swung detectors are beside it by 2.4."""
FAINTEST_SPOT = 0.01
"""Brightest pixel, in units of what a pixel holds on average when every reflection contributes (docs/model.md)."""
