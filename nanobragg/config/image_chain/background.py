"""What scatters besides the crystal: water, air, ice, anything amorphous in the beam."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_tensor, read_only
from nanobragg.config.fields import NOT_NEGATIVE, POSITIVE, Check, Config, setting
from nanobragg.errors import ConfigError, alike
from nanobragg.io.stol import read_stol
from nanobragg.lazy import dataclass

_SCALAR: dict[str, Any] = {"kind": "scalar", "differentiable": True}
_SUB_PIXELS: Check = (lambda v: 1 <= v <= 1000, "must be within 1 and 1000")
_TABLES = os.path.join(os.path.dirname(__file__), "tables")
PACKAGED = {
    "water": (1.0, 18.0), "air": (1.2e-3, 28.0), "ice": (0.92, 18.0), "nanoice": (0.92, 18.0), "unity": (1.0, 18.0),
}  # fmt: skip
"""Tables of the package, with density [g/cm^3] and molar mass [g/mol] of what they are made for; unity: those of water."""


@cache
def _packaged(name: str) -> NDArray[np.float64]:
    return read_only(np.column_stack(read_stol(os.path.join(_TABLES, f"{name}.stol"))), np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Beamstop(Config):
    """A disk that keeps what is scattered before it, along the beam, from the detector."""

    _path = "background.components.beamstop"
    radius_mm: float = setting(kind="scalar", unit="mm", check=POSITIVE, doc="of the disk")
    distance_mm: float = setting(kind="scalar", unit="mm", check=POSITIVE, doc="from the sample along the beam")


@dataclass(frozen=True, eq=False, kw_only=True)
class Amorphous(Config):
    """An amorphous body in the beam: a slab at the sample, or a stretch of the beam's path.

    It scatters ``photons molecules/m^2 r_e^2 <F(s)^2 P solid angle capture absorption>`` into a pixel; not included are Compton
    scattering (unless it is in the table), multiple scattering and fluorescence.
    """

    _path = "background.components"
    table: Any = setting(
        "water", kind="other", differentiable=True,
        doc="water, air, ice, nanoice, unity (F = 1); a file; rows of sin(theta)/lambda [1/Angstrom], F",
    )  # fmt: skip
    thickness_mm: Any = setting(None, **_SCALAR, unit="mm", check=NOT_NEGATIVE, doc="of a slab at the sample")
    along_beam_mm: Any = setting(
        None,
        kind="vector2",
        differentiable=True,
        unit="mm",
        doc="(from, to) relative to the sample, in place of thickness_mm",
    )
    density_g_cm3: Any = setting(
        None, **_SCALAR, unit="g/cm^3", check=NOT_NEGATIVE, doc="None: that of the packaged table"
    )
    molar_mass_g: Any = setting(
        None, **_SCALAR, unit="g/mol", check=POSITIVE, doc="of what F is of; None: that of the packaged table"
    )
    width_mm: Any = setting(None, **_SCALAR, unit="mm", check=POSITIVE, doc="None: wider than the beam")
    height_mm: Any = setting(None, **_SCALAR, unit="mm", check=POSITIVE, doc="None: higher than the beam")
    attenuation_mm: Any = setting(
        None, **_SCALAR, unit="mm", check=POSITIVE, doc="1/e depth in the slab, of both rays; None: none"
    )
    beamstop: Beamstop | None = setting(
        None, part=Beamstop, doc="keeps what is scattered before it from the detector; None: none"
    )
    scale: Any = setting(1.0, **_SCALAR, check=NOT_NEGATIVE, doc="factor on the whole component")
    interpolation: str = setting(
        "pchip", kind="enum", choices=("pchip", "linear"), doc="between the rows; constant outside"
    )
    oversample: int = setting(1, kind="int", check=_SUB_PIXELS, doc="sub-pixels per axis")

    def _check(self) -> None:
        path = self._path
        if (self.thickness_mm is None) == (self.along_beam_mm is None):
            raise ConfigError(f"{path}.thickness_mm", self.thickness_mm, "give this or along_beam_mm, one of them")
        if self.along_beam_mm is not None:
            first, last = (detached(z) for z in self.along_beam_mm)
            if first > last:
                raise ConfigError(
                    f"{path}.along_beam_mm", (first, last), "must be (from, to) along the beam, from below to"
                )
            if self.beamstop is not None and self.beamstop.distance_mm < last:
                raise ConfigError(
                    f"{path}.along_beam_mm", (first, last), "must end at the beam stop, where the beam ends"
                )
            if self.attenuation_mm is not None:
                raise ConfigError(f"{path}.attenuation_mm", self.attenuation_mm, "belongs to a slab", "thickness_mm=")
        object.__setattr__(self, "table", self._table())
        for name in ("density_g_cm3", "molar_mass_g"):
            if getattr(self, name) is None and not isinstance(self.table, str):
                raise ConfigError(f"{path}.{name}", None, "is required with a table of your own")

    def _table(self) -> Any:
        """The name of a packaged table, or an array (n, 2)."""
        table, path = self.table, f"{self._path}.table"
        if isinstance(table, str | os.PathLike):
            if table in PACKAGED:
                return table
            if isinstance(table, str) and not os.path.exists(table) and not os.path.splitext(table)[1]:
                near = alike(table, PACKAGED)
                raise ConfigError(path, table, "is neither a packaged table nor a file",
                                  f"did you mean {near[0]}?" if near else f"one of {', '.join(PACKAGED)}")  # fmt: skip
            table = np.column_stack(read_stol(table))
        try:
            numbers = np.asarray(table.detach().cpu() if is_tensor(table) else table, np.float64)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.ndim != 2 or numbers.shape[1] != 2 or not len(numbers) or not np.isfinite(numbers).all():
            raise ConfigError(path, self.table, "must be rows of two finite numbers, sin(theta)/lambda and F")
        if (np.diff(numbers[:, 0]) <= 0).any():
            i = int(np.argmax(np.diff(numbers[:, 0]) <= 0)) + 1
            raise ConfigError(f"{path}[{i}]", float(numbers[i, 0]), "sin(theta)/lambda must ascend", "sort the table")
        return table if is_tensor(table) else read_only(numbers, np.float64)

    @property
    def rows(self) -> Any:
        """(n, 2) sin(theta)/lambda [1/Angstrom] and F [electrons]."""
        return _packaged(self.table) if isinstance(self.table, str) else self.table

    @property
    def matter(self) -> tuple[Any, Any]:
        """Density [g/cm^3] and molar mass [g/mol]."""
        usual = PACKAGED.get(self.table, (None, None)) if isinstance(self.table, str) else (None, None)
        given = (self.density_g_cm3, self.molar_mass_g)
        density, mass = (own if value is None else value for value, own in zip(given, usual, strict=True))
        return density, mass


@dataclass(frozen=True, eq=False, kw_only=True)
class Background(Config):
    """Diffuse background on the absolute scale."""

    _path = "background"
    water_um: Any = setting(
        0.0,
        kind="scalar",
        unit="um",
        differentiable=True,
        check=NOT_NEGATIVE,
        flags="-water",
        doc="edge of a cube of water",
    )
    components: Any = setting((), part=Amorphous, several=True, doc="a tuple of amorphous bodies")

    def _check(self) -> None:
        if isinstance(self.components, Amorphous):
            object.__setattr__(self, "components", (self.components,))
