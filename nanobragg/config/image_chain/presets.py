"""Detectors by name: the table in presets.toml, and what it means for the fields of `Detector` and `Readout`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, alike
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Preset:
    """A detector as the table describes it."""

    name: str
    pixel_um: float
    n_fast: int
    n_slow: int
    module: tuple[int, int] | None
    """pixels of a module (fast, slow); None: one piece"""
    gap: tuple[int, int]
    """pixels between modules (fast, slow)"""
    sensor: dict[str, Any]
    """material, and thickness_um where it is known"""
    readout: dict[str, Any]
    """fields of a Readout, as plain data"""
    long: dict[str, Any] | None
    """columns and rows of the pixels that are longer than the others, and their length in pixels; None: there are none"""
    movable: bool
    """whether the modules of the detector can be moved, so that this is one of them"""
    sources: tuple[str, ...]
    """where the numbers come from"""
    note: str

    @property
    def pixel_mm(self) -> float:
        """Edge of a pixel [mm]."""
        return round(self.pixel_um / 1000, 9)

    @property
    def not_stated(self) -> list[str]:
        """What no source states, and what is off therefore."""
        known = {**self.readout, **{f"sensor {name}": True for name in self.sensor}}
        wanted = {"sensor thickness_um": "thickness of the sensor"}
        if self.readout["kind"] == "counting":
            wanted |= {"rate": "dead time and largest rate"}
        else:
            wanted |= {"gain_adu_per_photon": "gain", "psf": "point spread"}
            wanted |= {} if "stages" in known else {"noise_adu": "read noise"}
        return [text for name, text in wanted.items() if name not in known]

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """(n_slow, n_fast), False in the gaps between modules; None: there are none."""
        if self.module is None or (self.n_fast, self.n_slow) == self.module:
            return None
        along = [
            np.arange(n) % (m + g) < m
            for n, m, g in zip((self.n_fast, self.n_slow), self.module, self.gap, strict=True)
        ]
        return along[1][:, None] & along[0][None, :]

    @property
    def area(self) -> NDArray[np.float64] | None:
        """(n_slow, n_fast) areas of the pixels in units of the usual one; None: all are equal."""
        if self.long is None:
            return None
        along = [np.ones(self.n_slow), np.ones(self.n_fast)]
        along[0][self.long["rows"]] = along[1][self.long["columns"]] = self.long["length"]
        return along[0][:, None] * along[1][None, :]

    @property
    def response(self) -> dict[str, Any]:
        """Fields of a Readout as plain data, the areas of the pixels among its maps."""
        area = self.area
        return self.readout if area is None else {**self.readout, "maps": {"area": area}}


@cache
def _table() -> dict[str, Any]:
    import tomllib

    with open(os.path.join(os.path.dirname(__file__), "presets.toml"), "rb") as table:
        return tomllib.load(table)


@cache
def presets() -> dict[str, Preset]:
    """All detectors of the table."""
    data = _table()
    return {
        name: _preset(name, data["family"][entry["family"]], entry, data["source"])
        for name, entry in data["detector"].items()
    }


def _preset(name: str, family: dict[str, Any], entry: dict[str, Any], sources: dict[str, str]) -> Preset:
    module, gap = family.get("module"), family.get("gap", (0, 0))
    if "modules" in entry:
        n_fast, n_slow = (n * m + (n - 1) * g for n, m, g in zip(entry["modules"], family["module"], gap, strict=True))
    else:
        n_fast, n_slow = entry["size"]
    notes = [
        family.get("note", ""),
        entry.get("note", ""),
        "one module: the others stand where a geometry file says" if entry.get("movable") else "",
    ]
    return Preset(
        name=name, pixel_um=float({**family, **entry}["pixel_um"]), n_fast=n_fast, n_slow=n_slow,
        module=None if module is None else (module[0], module[1]), gap=(gap[0], gap[1]), sensor=family["sensor"],
        readout={**family["readout"], **entry.get("readout", {})}, long=entry.get("long", family.get("long")),
        movable=entry.get("movable", False),
        sources=tuple(sources[letter] for letter in family["source"].split()), note="; ".join(filter(None, notes)),
    )  # fmt: skip


def alike_presets(n_fast: int, n_slow: int, pixel_mm: tuple[float, float], thickness_um: float | None) -> list[Preset]:
    """The detectors of the table with as many pixels of this size (fast, slow) and, if one is given, a sensor as thick."""
    return [
        one
        for one in presets().values()
        if (one.n_fast, one.n_slow) == (n_fast, n_slow) and all(abs(edge - one.pixel_mm) < 1e-6 for edge in pixel_mm)
        and thickness_um in (None, one.sensor.get("thickness_um"))
    ]  # fmt: skip


def preset(name: str) -> Preset:
    """The detector of a name, in any case, with blanks or dashes for underlines.

    Raises
    ------
    ConfigError
        For a name that there is not, with the nearest ones.
    """
    known = presets()
    key = str(name).lower().replace(" ", "_").replace("-", "_")
    key = _table()["alias"].get(key, key)
    if key not in known:
        near = alike(key, known, n=3, cutoff=0.5)
        raise ConfigError("preset", name, "is no detector that is known",
                          f"did you mean {', '.join(near)}?" if near else f"one of {', '.join(known)}")  # fmt: skip
    return known[key]
