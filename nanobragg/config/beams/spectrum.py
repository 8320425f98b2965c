"""The spectrum of the beam: which wavelengths it has, and how much of each."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from nanobragg.arrays import is_tensor, is_transformed
from nanobragg.config.crystals.mosaic import plain_array
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.errors import ConfigError
from nanobragg.io.spectra.two_columns import read_spectrum
from nanobragg.lazy import dataclass

KINDS = ("mono", "tophat", "gaussian", "pink", "two_color", "sase", "given")
_WIDE = ("tophat", "gaussian", "two_color", "sase")
_OF: dict[str, tuple[str, ...]] = {
    "fwhm_percent": _WIDE, "fwhm_ev": _WIDE, "sigma_low_ev": ("pink",), "sigma_high_ev": ("pink",),
    "separation_ev": ("two_color",), "ratio": ("two_color",), "duration_fs": ("sase",), "jitter_ev": ("sase",),
    "fixed_energy": ("sase",), "seed": ("sase",), "shot": ("sase",),
    "energy_ev": ("given",), "wavelength_angstrom": ("given",), "weight": ("given",),
    "n_wavelengths": ("tophat", "gaussian", "pink", "two_color", "sase"),
}  # fmt: skip
"""The kinds that a field belongs to."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectrum(Config):
    """The spectrum of the beam around its energy, sampled; its weights share the fluence. Replaces dispersion_percent."""

    _path = "beam.spectrum"
    kind: str = setting(
        "mono",
        kind="enum",
        choices=KINDS,
        doc="tophat: flat in wavelength; gaussian; pink: another width above the energy of the beam than below; two_color: "
        "two gaussians; sase: one pulse of a free-electron laser; given: energies or wavelengths, and weights",
    )
    fwhm_percent: Any = setting(
        None, kind="scalar", unit="%", differentiable=True, check=NOT_NEGATIVE,
        doc="tophat: full width, gaussian, sase: full width at half maximum, two_color: of each color, relative to the energy "
        "of the beam; None: from fwhm_ev, else 0.2 for sase and 0 for two_color",
    )  # fmt: skip
    fwhm_ev: Any = setting(
        None, kind="scalar", unit="eV", differentiable=True, check=NOT_NEGATIVE, doc="the same in eV"
    )
    sigma_low_ev: Any = setting(
        None, kind="scalar", unit="eV", differentiable=True, check=NOT_NEGATIVE,
        doc="pink: standard deviation of the half of a gaussian below the energy of the beam",
    )  # fmt: skip
    sigma_high_ev: Any = setting(
        None, kind="scalar", unit="eV", differentiable=True, check=NOT_NEGATIVE, doc="pink: of the half above it"
    )
    separation_ev: Any = setting(
        None, kind="scalar", unit="eV", differentiable=True, check=NOT_NEGATIVE,
        doc="two_color: between the colors, which lie half of it below and above the energy of the beam",
    )  # fmt: skip
    ratio: Any = setting(
        1.0, kind="scalar", differentiable=True, check=NOT_NEGATIVE,
        doc="two_color: photons of the higher energy over those of the lower",
    )  # fmt: skip
    duration_fs: Any = setting(
        10.0, kind="scalar", unit="fs", check=POSITIVE, doc="sase: full width of the pulse at half maximum"
    )
    jitter_ev: Any = setting(
        0.0,
        kind="scalar",
        unit="eV",
        check=NOT_NEGATIVE,
        doc="sase: standard deviation of the center from shot to shot",
    )
    fixed_energy: bool = setting(
        False,
        kind="bool",
        doc="sase: every pulse has the fluence of the beam; False: its mean has, as pulses fluctuate",
    )
    seed: int = setting(12345678, kind="int", check=NOT_NEGATIVE, doc="sase: of all shots")
    shot: int = setting(
        0, kind="int", check=NOT_NEGATIVE, doc="sase: which of them; image i of a series takes shot + i"
    )
    n_wavelengths: int | None = setting(
        None, kind="int", check=AT_LEAST_ONE,
        doc="samples; None: 11 for tophat, 7 for gaussian and for each color, 20 for pink, 50 for sase; 1 where the width is 0",
    )  # fmt: skip
    energy_ev: Any = setting(None, kind="array", unit="eV", differentiable=True, doc="given: (n,), ascending")
    wavelength_angstrom: Any = setting(
        None, kind="array", unit="Angstrom", differentiable=True, doc="given: (n,), ascending, in place of energy_ev"
    )
    weight: Any = setting(None, kind="array", differentiable=True, doc="given: (n,); None: all alike")

    @classmethod
    def from_file(cls, path: str | PathLike[str], *, unit: str | None = None, stride: int = 1) -> Spectrum:
        """Read a spectrum of two columns (see `nanobragg.io.read_spectrum`).

        Parameters
        ----------
        path : path
            The file: energy or wavelength, and flux.
        unit : {"ev", "kev", "angstrom"}, optional
            Of the first column; None: eV where its first number is 100 or more, else Angstrom.
        stride : int
            Take every so many points only.

        Raises
        ------
        FileFormatError
            When the file is missing or malformed.
        """
        if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
            raise ConfigError("stride", stride, "must be a whole number >= 1")
        wavelength, weight = (column[::stride] for column in read_spectrum(path, unit=unit))
        ascending = np.argsort(wavelength)
        return cls(kind="given", wavelength_angstrom=wavelength[ascending], weight=weight[ascending])

    @property
    def varies(self) -> bool:
        """Whether the kind, with its widths, has more than one wavelength; a tensor may always be wide."""
        widths = {"pink": ("sigma_low_ev", "sigma_high_ev"), "two_color": ("fwhm_percent", "fwhm_ev", "separation_ev")}
        given = [getattr(self, name) for name in widths.get(self.kind, ("fwhm_percent", "fwhm_ev"))]
        return self.kind == "sase" or any(value is not None and (is_tensor(value) or value != 0) for value in given)

    def _take(self, field: Any, value: Any) -> None:
        if field.name == "kind" and isinstance(value, str) and value == "two_colour":
            value = "two_color"
        super()._take(field, value)

    def _check(self) -> None:
        for name, kinds in _OF.items():
            value, default = getattr(self, name), self.__dataclass_fields__[name].default
            changed = value is not default and (is_tensor(value) or isinstance(value, np.ndarray) or value != default)
            if changed and self.kind not in kinds:
                raise ConfigError(
                    f"{self._path}.{name}", value, f"has no part in kind {self.kind!r}", f"it belongs to {' and '.join(kinds)}"
                )  # fmt: skip
        if self.fwhm_percent is not None and self.fwhm_ev is not None:
            raise ConfigError(
                f"{self._path}.fwhm_ev", self.fwhm_ev, "given together with fwhm_percent", "give one of them"
            )
        if self.kind in ("tophat", "gaussian") and self.fwhm_percent is None and self.fwhm_ev is None:
            raise ConfigError(
                f"{self._path}.fwhm_percent", None, f"is required for kind {self.kind!r}", "or give fwhm_ev"
            )
        for name, kind in (("sigma_low_ev", "pink"), ("sigma_high_ev", "pink"), ("separation_ev", "two_color")):
            if self.kind == kind and getattr(self, name) is None:
                raise ConfigError(f"{self._path}.{name}", None, f"is required for kind {kind!r}")
        if self.kind == "sase":
            self._check_pulse()
        if self.kind in ("two_color", "pink") and self.n_wavelengths is not None and self.n_wavelengths % 2:
            raise ConfigError(
                f"{self._path}.n_wavelengths", self.n_wavelengths, f"must be even for kind {self.kind!r}",
                "half of them lie on either side",
            )  # fmt: skip
        if self.kind == "given":
            self._check_given()

    def _check_pulse(self) -> None:
        for name in ("fwhm_percent", "fwhm_ev"):
            value = getattr(self, name)
            if is_tensor(value):
                raise ConfigError(
                    f"{self._path}.{name}", value, "is not differentiable for kind 'sase'", "pass a plain number"
                )
            if value == 0:
                raise ConfigError(f"{self._path}.{name}", value, "must be > 0 for kind 'sase'", "or write kind='mono'")

    def _check_given(self) -> None:
        name = "wavelength_angstrom" if self.energy_ev is None else "energy_ev"
        path, points = f"{self._path}.{name}", getattr(self, name)
        if points is None:
            raise ConfigError(path, None, "is required for kind 'given'", "or give energy_ev")
        if self.energy_ev is not None and self.wavelength_angstrom is not None:
            raise ConfigError(path, "energies", "given together with wavelength_angstrom", "give one of them")
        if points.ndim != 1 or len(points) == 0:
            raise ConfigError(path, f"shape {tuple(points.shape)}", "must have shape (n,), n at least 1")
        if not is_transformed(points):
            plain = plain_array(points)
            if not np.isfinite(plain).all() or plain.min() <= 0:
                raise ConfigError(path, plain.tolist(), "must be finite and > 0")
            if (down := np.flatnonzero(np.diff(plain) <= 0)).size:
                at = int(down[0]) + 1
                raise ConfigError(
                    f"{path}[{at}]", float(plain[at]), f"must be larger than {plain[at - 1]:g} before it: spectra ascend",
                    "sort it, the weights with it",
                )  # fmt: skip
        if self.weight is None:
            return
        path, weight = f"{self._path}.weight", self.weight
        if tuple(weight.shape) != tuple(points.shape):
            raise ConfigError(path, f"shape {tuple(weight.shape)}", f"must have shape {tuple(points.shape)}, as {name}")
        if is_transformed(weight):
            return
        plain = plain_array(weight)
        if not np.isfinite(plain).all() or plain.min() < 0:
            raise ConfigError(path, plain.tolist(), "must be finite and >= 0")
        if not plain.sum() > 0:
            raise ConfigError(
                path, plain.tolist(), "the weights must have a sum > 0", "leave them out for equal weights"
            )
