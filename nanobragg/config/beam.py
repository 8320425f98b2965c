"""The incident beam and its sources."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import is_tensor
from nanobragg.config.beams.spectrum import Spectrum
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.constants import DEFAULT_FLUENCE
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

_KAHN = (lambda v: -1 <= v <= 1, "must be between -1 and 1")


@dataclass(frozen=True, eq=False, kw_only=True)
class Divergence(Config):
    """Beam divergence sampled on a grid of directions; ranges are full widths."""

    _path = "beam.divergence"
    h_mrad: Any = setting(
        None,
        kind="scalar",
        unit="mrad",
        differentiable=True,
        flags="-hdivrange -divergence",
        doc="horizontal range: rotations about beam x polarization axis",
    )
    v_mrad: Any = setting(
        None,
        kind="scalar",
        unit="mrad",
        differentiable=True,
        flags="-vdivrange -divergence",
        doc="vertical range: rotations about the polarization axis",
    )
    n_h: int | None = setting(
        None,
        kind="int",
        flags="-hdivsteps -divsteps",
        check=AT_LEAST_ONE,
        doc="directions along the horizontal range; None: from the step",
    )
    n_v: int | None = setting(
        None,
        kind="int",
        flags="-vdivsteps -divsteps",
        check=AT_LEAST_ONE,
        doc="directions along the vertical range; None: from the step",
    )
    h_step_mrad: Any = setting(
        None, kind="scalar", unit="mrad", flags="-hdivstep", check=POSITIVE, doc="between directions, horizontal"
    )
    v_step_mrad: Any = setting(
        None, kind="scalar", unit="mrad", flags="-vdivstep", check=POSITIVE, doc="between directions, vertical"
    )
    round: bool = setting(True, kind="bool", flags="-round_div -square_div", doc="cut the grid to an ellipse")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sources(Config):
    """An explicit list of n sources; replaces divergence and dispersion."""

    _path = "beam.sources"
    direction: Any = setting(
        None,
        kind="array",
        differentiable=True,
        flags="-sourcefile",
        doc="(n, 3), from the sample to the source; normalized; None: all along the beam",
    )
    wavelength_angstrom: Any = setting(
        kind="array", unit="Angstrom", differentiable=True, flags="-sourcefile", doc="(n,)"
    )
    weight: Any = setting(None, kind="array", differentiable=True, flags="-sourcefile", doc="(n,); None: all equal")

    def _check(self) -> None:
        counted = self.wavelength_angstrom if self.direction is None else self.direction
        if self.direction is not None and counted.ndim == 1 and len(counted):
            raise ConfigError("beam.sources.direction", f"shape {tuple(counted.shape)}", "must have shape (n, 3)")
        n = len(counted) if counted.ndim else 0
        if self.weight is None:
            object.__setattr__(self, "weight", np.ones(n))
        if n == 0:
            raise ConfigError("beam.sources", counted, "holds no source", "give at least one")
        for name, shape in (("direction", (n, 3)), ("wavelength_angstrom", (n,)), ("weight", (n,))):
            if getattr(self, name) is not None and tuple(getattr(self, name).shape) != shape:
                raise ConfigError(
                    f"beam.sources.{name}", f"shape {tuple(getattr(self, name).shape)}", f"must have shape {shape}"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Beam(Config):
    """The incident beam: wavelength, flux, direction, polarization and its spread."""

    _path = "beam"
    wavelength_angstrom: Any = setting(
        None,
        kind="scalar",
        unit="Angstrom",
        differentiable=True,
        check=POSITIVE,
        flags="-lambda -wave",
        doc="None: 1 Angstrom unless energy_ev is given",
    )
    energy_ev: Any = setting(
        None,
        kind="scalar",
        unit="eV",
        differentiable=True,
        check=POSITIVE,
        flags="-energy",
        doc="of the photons, in place of wavelength_angstrom",
    )
    fluence_per_m2: Any = setting(
        DEFAULT_FLUENCE,
        kind="scalar",
        unit="photons/m^2",
        differentiable=True,
        check=NOT_NEGATIVE,
        flags="-fluence",
        doc="photons through a unit area in the whole exposure; flux_per_s replaces it",
    )
    flux_per_s: Any = setting(
        None,
        kind="scalar",
        unit="photons/s",
        differentiable=True,
        check=NOT_NEGATIVE,
        flags="-flux",
        doc="when given: fluence = flux exposure / size^2",
    )
    exposure_s: Any = setting(
        1.0,
        kind="scalar",
        unit="s",
        differentiable=True,
        check=NOT_NEGATIVE,
        flags="-exposure",
        doc="length of the exposure; counts where flux_per_s is given",
    )
    size_mm: Any = setting(
        None,
        kind="scalar",
        unit="mm",
        differentiable=True,
        check=NOT_NEGATIVE,
        flags="-beamsize",
        doc="edge of the square beam; also clips the crystal along b and c",
    )
    direction: Any = setting(
        None,
        kind="vector3",
        differentiable=True,
        flags="-beam_vector",
        doc="lab frame, along the beam; None: by convention",
    )
    polarization_axis: Any = setting(
        None,
        kind="vector3",
        differentiable=True,
        flags="-polar_vector",
        doc="lab frame, along the electric field; None: by convention",
    )
    kahn_factor: Any = setting(
        0.0,
        kind="scalar",
        differentiable=True,
        check=_KAHN,
        flags="-polar",
        doc="degree of polarization: 1 along polarization_axis, -1 across it, 0 none",
    )
    polarized: bool = setting(True, kind="bool", flags="-nopolar", doc="False: no polarization factor at all")
    dispersion_percent: Any = setting(
        0.0, kind="scalar", unit="%", differentiable=True, flags="-dispersion", doc="full width of the wavelength range"
    )
    n_wavelengths: int | None = setting(
        None,
        kind="int",
        flags="-dispsteps",
        check=AT_LEAST_ONE,
        doc="samples of the wavelength range; None: 1 without dispersion_percent",
    )
    spectrum: Spectrum | None = setting(None, part=Spectrum, doc="wavelengths, in place of dispersion_percent")
    divergence: Divergence | None = setting(None, part=Divergence, doc="spread of directions; None: none")
    sources: Sources | None = setting(
        None, part=Sources, doc="explicit list in place of divergence and dispersion_percent"
    )

    def _check(self) -> None:
        if self.wavelength_angstrom is not None and self.energy_ev is not None:
            raise ConfigError(
                "beam.energy_ev", self.energy_ev, "given together with wavelength_angstrom", "give one of them"
            )
        if self.spectrum is not None:
            self._check_spectrum()

    def _check_spectrum(self) -> None:
        dispersed = is_tensor(self.dispersion_percent) or self.dispersion_percent != 0
        for name, given in (("dispersion_percent", dispersed), ("sources", self.sources is not None)):  # fmt: skip
            if given:
                raise ConfigError(
                    "beam.spectrum", getattr(self.spectrum, "kind", None), f"given together with {name}", "give one of them"
                )  # fmt: skip

    @property
    def flux_decides(self) -> bool:
        """Whether the fluence follows from `flux_per_s`, so that `fluence_per_m2` does not count."""
        given = self.flux_per_s is not None and (is_tensor(self.flux_per_s) or self.flux_per_s != 0)
        return given and (is_tensor(self.exposure_s) or self.exposure_s > 0)

    def _overridden(self) -> dict[str, str]:
        found = {"fluence_per_m2": "flux_per_s decides"} if self.flux_decides else {}
        if self.spectrum is not None and self.spectrum.kind == "given":
            found |= dict.fromkeys(("wavelength_angstrom", "energy_ev"), "the given spectrum decides")
        return found
