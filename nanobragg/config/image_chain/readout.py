"""How a detector turns expected photons into numbers. Everything is off by default: nothing is added silently."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from nanobragg.arrays import is_tensor
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check, Config, setting
from nanobragg.config.image_chain.presets import preset
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

_SCALAR: dict[str, Any] = {"kind": "scalar", "differentiable": True}
_FRACTION: Check = (lambda v: 0 <= v < 1, "must be at least 0 and below 1")
_SEED: Check = (lambda v: 0 <= v < 2**32, "must be within 0 and 4294967295")
_DTYPES: dict[int, type] = {16: np.uint16, 20: np.int32, 32: np.int32}


@dataclass(frozen=True, eq=False, kw_only=True)
class Psf(Config):
    """The point spread: of charge between pixels, or of light in a phosphor and its fibers."""

    _path = "readout.psf"
    kind: str = setting(
        "none", kind="enum", choices=("none", "gauss", "fiber", "array"), flags="-psf", doc="form of the spread"
    )
    fwhm_um: Any = setting(
        None, **_SCALAR, unit="um", check=POSITIVE, flags="-psf_fwhm", doc="full width at half maximum"
    )
    kernel: Any = setting(None, kind="array", differentiable=True, doc="of kind array: odd sides, made to sum up to 1")
    radius_px: int | None = setting(
        None, kind="int", unit="pixels", check=AT_LEAST_ONE, flags="-psf_radius",
        doc="half side of the kernel less half a pixel; None: the smallest that leaves less than tail outside, at most 256",
    )  # fmt: skip
    tail: float = setting(
        5e-3,
        kind="scalar",
        check=(lambda v: 0 < v < 1, "must be within 0 and 1"),
        doc="fraction that may be lost outside",
    )
    normalize: bool = setting(
        False, kind="bool", doc="whether what lies outside the kernel is given back, so that it sums up to 1"
    )
    stage: str = setting(
        "after_counting", kind="enum", choices=("before_counting", "after_counting"),
        doc="after: neighbors are correlated (phosphor); before: they are not (charge sharing of a counting detector)",
    )  # fmt: skip

    def _check(self) -> None:
        if self.kind in ("gauss", "fiber") and self.fwhm_um is None:
            raise ConfigError(f"{self._path}.fwhm_um", None, f"is required with kind={self.kind!r}")
        if (self.kernel is None) == (self.kind == "array"):
            hint = "is required with kind='array'" if self.kernel is None else "belongs to kind='array'"
            raise ConfigError(f"{self._path}.kernel", self.kernel, hint)
        if self.kernel is not None:
            shape = tuple(self.kernel.shape)
            if len(shape) != 2 or not (shape[0] % 2 and shape[1] % 2):
                raise ConfigError(f"{self._path}.kernel", f"shape {shape}", "must have two axes of odd length")
            numbers = np.asarray(self.kernel.detach().cpu() if is_tensor(self.kernel) else self.kernel)
            if not (numbers >= 0).all() or not 0 < numbers.sum() < np.inf:
                raise ConfigError(
                    f"{self._path}.kernel", self.kernel, "must hold finite numbers >= 0, of which some are above 0"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Maps(Config):
    """What is the same in all frames of a detector: an array (n_slow, n_fast), or the rms of one that is drawn."""

    _path = "readout.maps"
    efficiency: Any = setting(
        0.0, kind="other", differentiable=True, doc="array: photons that are seen; rms: of that fraction about 1"
    )
    gain_error: Any = setting(0.0, kind="other", differentiable=True, flags="-calibration", doc="fraction of the gain")
    offset_adu: Any = setting(0.0, kind="other", differentiable=True, unit="ADU", doc="on top of readout.offset_adu")
    area: Any = setting(
        None, kind="array", doc="of the pixels in units of the usual one: long pixels see more photons; None: all equal"
    )
    dead_fraction: float = setting(0.0, kind="scalar", check=_FRACTION, doc="pixels that never count")
    hot_fraction: float = setting(0.0, kind="scalar", check=_FRACTION, doc="pixels that always have the largest value")
    seed: int = setting(1, kind="int", check=_SEED, flags="-calib_seed", doc="of the drawn maps")

    def _check(self) -> None:
        for name in ("efficiency", "gain_error", "offset_adu"):
            value = getattr(self, name)
            if is_tensor(value) and value.ndim == 2:
                continue
            try:
                array = np.asarray(value.detach() if is_tensor(value) else value, np.float64)
            except (TypeError, ValueError):
                array = np.array(np.nan)
            if array.ndim not in (0, 2) or not np.isfinite(array).all():
                raise ConfigError(f"{self._path}.{name}", value, "must be a finite rms or an array (n_slow, n_fast)")
            if (array.ndim == 0 or name == "efficiency") and (array < 0).any():
                raise ConfigError(f"{self._path}.{name}", value, "must be >= 0")
            if not is_tensor(value):
                object.__setattr__(self, name, float(array) if array.ndim == 0 else array)
        if self.area is not None and (self.area.ndim != 2 or not (self.area > 0).all()):
            raise ConfigError(f"{self._path}.area", self.area, "must be an array (n_slow, n_fast) of numbers above 0")
        if self.dead_fraction + self.hot_fraction > 1:
            raise ConfigError(
                f"{self._path}.dead_fraction", self.dead_fraction, "dead and hot pixels are more than all"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Rate(Config):
    """What a counting detector loses to photons that come too fast."""

    _path = "readout.rate"
    dead_time_s: Any = setting(0.0, **_SCALAR, unit="s", check=NOT_NEGATIVE, doc="after a count; 0: none")
    model: str = setting("nonparalyzable", kind="enum", choices=("nonparalyzable", "paralyzable"),
                         doc="nonparalyzable: instant retrigger, or a photon in the dead time does not prolong it")  # fmt: skip
    pulse_rate_hz: float | None = setting(
        None, kind="scalar", unit="Hz", check=POSITIVE, doc="bunches of the source, one count each; None: continuous"
    )
    corrected: bool = setting(
        True, kind="bool", doc="counts are corrected for the loss, as in files; False: as counted"
    )
    max_per_s: float | None = setting(
        None, kind="scalar", unit="1/s", check=POSITIVE, doc="rate from which a pixel is an overload; None: none"
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage(Config):
    """One gain of a detector that switches it by the charge in a pixel."""

    _path = "readout.stages"
    up_to_kev: float = setting(kind="scalar", unit="keV", check=POSITIVE, infinite_ok=True, doc="largest charge")
    gain_adu_per_kev: Any = setting(
        **_SCALAR, unit="ADU/keV", check=(lambda v: v != 0, "must not be 0"), doc="numbers for a charge"
    )
    pedestal_adu: Any = setting(0.0, **_SCALAR, unit="ADU", doc="added")
    noise_adu: Any = setting(0.0, **_SCALAR, unit="ADU", check=NOT_NEGATIVE, doc="rms, electronic")


@dataclass(frozen=True, eq=False, kw_only=True)
class Flags(Config):
    """What is written for pixels that hold no count; None: -1, -2 and the largest value, or 0, 0 and it in unsigned images."""

    _path = "readout.flags"
    gap: int | None = setting(None, kind="int", doc="outside the mask")
    dead: int | None = setting(None, kind="int", doc="of maps.dead_fraction")
    overload: int | None = setting(None, kind="int", doc="at or above the maximum")


@dataclass(frozen=True, eq=False, kw_only=True)
class Readout(Config):
    """From expected photons to counts, beside an Experiment."""

    _path = "readout"
    kind: str = setting(
        "integrating",
        kind="enum",
        choices=("integrating", "counting"),
        doc="counting of photons, or integration of their energy",
    )
    counting: str = setting(
        "poisson", kind="enum", choices=("poisson", "none"), flags="-nonoise", doc="statistics of the photons"
    )
    flicker: Any = setting(
        0.0, **_SCALAR, check=NOT_NEGATIVE, flags="-flicker", doc="rms of the factor of a frame, one for all its panels"
    )
    gain_adu_per_photon: Any = setting(
        1.0, **_SCALAR, unit="ADU/photon", check=POSITIVE, flags="-gain", doc="numbers for a photon of the beam"
    )
    gain_adu_per_kev: Any = setting(
        None, **_SCALAR, unit="ADU/keV", check=POSITIVE,
        doc="numbers for the energy of the photons, in place of gain_adu_per_photon",
    )  # fmt: skip
    gain_spread: Any = setting(0.0, **_SCALAR, check=NOT_NEGATIVE, doc="rms fraction of what one photon gives")
    noise_adu: Any = setting(0.0, **_SCALAR, unit="ADU", check=NOT_NEGATIVE, flags="-readout", doc="rms of every pixel")
    offset_adu: Any = setting(0.0, **_SCALAR, unit="ADU", flags="-adc", doc="added to every pixel")
    dark_adu_per_s: Any = setting(0.0, **_SCALAR, unit="ADU/s", check=NOT_NEGATIVE, doc="dark current of every pixel")
    bits: int = setting(
        16,
        kind="int",
        check=(lambda v: v in _DTYPES, "must be 16, 20 or 32"),
        flags="-bits",
        doc="of the numbers in the file",
    )
    min_adu: int | None = setting(
        None, kind="int", unit="ADU", doc="None: 0 of counting detectors, else the smallest of the type"
    )
    max_adu: int | None = setting(None, kind="int", unit="ADU", doc="None: 2^bits - 1, or the largest of the type")
    stages: Any = setting(None, part=Stage, several=True, doc="a tuple of gains, from the finest; None: one gain")
    stage_output: str = setting(
        "calibrated", kind="enum", choices=("calibrated", "raw"),
        doc="calibrated: photons times gain; raw: the converter's 14 bits with the stage in bits 14 and 15",
    )  # fmt: skip
    psf: Psf = setting(factory=Psf, part=Psf, doc="point spread")
    maps: Maps = setting(factory=Maps, part=Maps, doc="what differs from pixel to pixel and stays")
    rate: Rate = setting(factory=Rate, part=Rate, doc="dead time")
    flags: Flags = setting(factory=Flags, part=Flags, doc="values of pixels that hold no count")

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Readout:
        """The typical response of a detector by name; numbers that no source states are left at "off".

        Parameters
        ----------
        name : str
            As for `Detector.preset`.
        **fields
            Fields of a Readout, which win over those of the preset.
        """
        data = preset(name).response
        own = dict(data)
        if "maps" in data:
            own["maps"] = Maps(**data["maps"])
            given = fields.get("maps")
            if isinstance(given, Maps) and given.area is None:
                fields = {**fields, "maps": replace(given, area=own["maps"].area)}
        if "psf" in data:
            own["psf"] = Psf(**data["psf"])
        if "stages" in data:
            own["stages"] = tuple(Stage(**stage) for stage in data["stages"])
        return cls(**{**own, **fields})

    def gain(self, photon_energy_kev: Any) -> Any:
        """Numbers for a photon [ADU] of this energy."""
        return self.gain_adu_per_photon if self.gain_adu_per_kev is None else self.gain_adu_per_kev * photon_energy_kev

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts: int32 where a flag is negative, else by the bits."""
        given = (self.flags.gap, self.flags.dead, self.flags.overload)
        return np.dtype(np.int32 if any(flag is not None and flag < 0 for flag in given) else _DTYPES[self.bits])

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value of a pixel [ADU]."""
        info = np.iinfo(self.dtype)
        low = (0 if self.kind == "counting" else int(info.min)) if self.min_adu is None else self.min_adu
        return low, min(2**self.bits - 1, int(info.max)) if self.max_adu is None else self.max_adu

    @property
    def saturation(self) -> int:
        """Largest number that is a count: above it a pixel is an overload [ADU]."""
        return self.limits[1] - 1

    @property
    def flag_values(self) -> dict[str, int]:
        """Values of gap, dead and overload."""
        default = {"gap": 0, "dead": 0} if self.dtype.kind == "u" else {"gap": -1, "dead": -2}
        default["overload"] = self.limits[1]
        given = {name: getattr(self.flags, name) for name in default}
        return {name: default[name] if value is None else value for name, value in given.items()}

    def _check(self) -> None:
        low, high = self.limits
        info = np.iinfo(self.dtype)
        for name, value in (
            ("min_adu", low),
            ("max_adu", high),
            *((f"flags.{k}", v) for k, v in self.flag_values.items()),
        ):
            if not info.min <= value <= info.max:
                raise ConfigError(f"readout.{name}", value, f"does not fit into {self.dtype} (bits={self.bits})")
        if not is_tensor(self.offset_adu) and high <= max(low, self.offset_adu):
            raise ConfigError(
                "readout.max_adu", high, f"must be above the offset {self.offset_adu:g} and the minimum {low}"
            )
        if self.gain_adu_per_kev is not None and (is_tensor(self.gain_adu_per_photon) or self.gain_adu_per_photon != 1):
            raise ConfigError(
                "readout.gain_adu_per_kev", self.gain_adu_per_kev, "given together with gain_adu_per_photon", "give one of them"
            )  # fmt: skip
        if self.kind == "counting":
            self._check_counting()
        elif self.rate.dead_time_s or self.rate.pulse_rate_hz or self.rate.max_per_s:
            raise ConfigError("readout.rate", self.rate, "belongs to counting detectors", "kind='counting'")
        if self.stages is not None:
            self._check_stages()

    def _check_counting(self) -> None:
        if self.psf.kind != "none" and self.psf.stage == "after_counting":
            raise ConfigError("readout.psf.stage", self.psf.stage, "must be 'before_counting' in a counting detector")
        off = {
            "gain_adu_per_photon": 1.0,
            "gain_adu_per_kev": None,
            "gain_spread": 0.0,
            "noise_adu": 0.0,
            "offset_adu": 0.0,
            "dark_adu_per_s": 0.0,
        }
        for name, value in off.items():
            if is_tensor(getattr(self, name)) or getattr(self, name) != value:
                must = "None" if value is None else f"{value:g}"
                raise ConfigError(f"readout.{name}", getattr(self, name), f"must be {must} in a counting detector")
        if self.stages is not None:
            raise ConfigError("readout.stages", self.stages, "must be None in a counting detector")

    def _check_stages(self) -> None:
        stages = (self.stages,) if isinstance(self.stages, Stage) else self.stages
        object.__setattr__(self, "stages", stages)
        ends = [stage.up_to_kev for stage in stages]
        if len(stages) > 3 or any(b <= a for a, b in pairwise(ends)):
            raise ConfigError("readout.stages", ends, "must be at most three, with up_to_kev ascending")
        if self.stage_output == "raw" and (self.bits != 16 or self.dtype.kind != "u"):
            raise ConfigError("readout.bits", self.bits, "must be 16, without negative flags, for raw stages")
