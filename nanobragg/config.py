"""What is simulated: frozen, keyword-only dataclasses in the field's units.

None means "decide for me". Defaults, units, validity, differentiability and the flags that set a field stand here and
nowhere else (in the field's metadata, see `nanobragg.fields.setting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nanobragg.conventions import CONVENTIONS
from nanobragg.errors import ConfigError
from nanobragg.fields import NOT_NEGATIVE, POSITIVE, Config, detached, elements, is_tensor, setting
from nanobragg.quirks import CORRECTED, FIDELITIES, Quirk, as_quirks, fidelity_name
from nanobragg.structure_factors import StructureFactors

if TYPE_CHECKING:
    from os import PathLike

_NOT_ZERO = (lambda v: v != 0, "must not be 0")
_ANGLE = (lambda v: 0 < v < 180, "must be > 0 and < 180")
_KAHN = (lambda v: -1 <= v <= 1, "must be between -1 and 1")
_AT_LEAST_ONE = (lambda v: v >= 1, "must be >= 1")


@dataclass(frozen=True, eq=False)
class UnitCell(Config):
    """Unit cell: edges a, b, c [Angstrom] and angles alpha, beta, gamma [degrees]."""

    _path = "crystal.unit_cell"
    a: Any = setting(kind="scalar", unit="Angstrom", differentiable=True, flags="-cell", check=POSITIVE)
    b: Any = setting(kind="scalar", unit="Angstrom", differentiable=True, flags="-cell", check=POSITIVE)
    c: Any = setting(kind="scalar", unit="Angstrom", differentiable=True, flags="-cell", check=POSITIVE)
    alpha: Any = setting(kind="scalar", unit="degrees", differentiable=True, flags="-cell", check=_ANGLE)
    beta: Any = setting(kind="scalar", unit="degrees", differentiable=True, flags="-cell", check=_ANGLE)
    gamma: Any = setting(kind="scalar", unit="degrees", differentiable=True, flags="-cell", check=_ANGLE)

    def _check(self) -> None:
        angles = (self.alpha, self.beta, self.gamma)
        if any(is_tensor(angle) for angle in angles):
            return
        radians = np.radians([detached(angle) for angle in angles])
        half = radians.sum() / 2
        if np.sin(half) * np.prod(np.sin(half - radians)) <= 0:
            raise ConfigError(
                self._path, angles, "these angles close no cell",
                "each must be smaller than the sum of the other two, and the sum below 360 degrees",
            )

    @classmethod
    def unchecked(cls, a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> UnitCell:
        """A cell that the original program renders although it closes no cell; for the lenient command line only."""
        cell = object.__new__(cls)
        for name, value in zip(("a", "b", "c", "alpha", "beta", "gamma"), (a, b, c, alpha, beta, gamma), strict=True):
            object.__setattr__(cell, name, float(value))
        return cell


@dataclass(frozen=True, eq=False, kw_only=True)
class Mosaic(Config):
    """Mosaic domains: random rotations by at most `spread_deg` about random axes; the first domain is aligned."""

    _path = "crystal.mosaic"
    spread_deg: Any = setting(0.0, kind="scalar", unit="degrees", differentiable=True, check=NOT_NEGATIVE,
                              flags="-mosaic", doc="largest rotation angle of a domain")
    n_domains: int | None = setting(None, kind="int", flags="-mosaic_domains", check=_AT_LEAST_ONE,
                                    doc="number of domains; None: 10 when there is a spread, else 1")
    seed: int = setting(12345678, kind="int", flags="-mosaic_seed", doc="seed of the domains")


@dataclass(frozen=True, eq=False, kw_only=True)
class Crystal(Config):
    """The crystal: cell or matrix, orientation, size, shape, mosaic domains and structure factors."""

    _path = "crystal"
    unit_cell: UnitCell | None = setting(None, kind="part", flags="-cell")
    a_star_matrix: Any = setting(None, kind="matrix3", unit="1/Angstrom", differentiable=True, flags="-mat",
                                 doc="rows a*, b*, c* in the laboratory frame, wavelength removed")
    misset_deg: Any = setting((0.0, 0.0, 0.0), kind="other", unit="degrees", differentiable=True, flags="-misset",
                              doc="rotations about lab x, y, z in that order, or 'random'")
    misset_seed: int | None = setting(None, kind="int", flags="-misset_seed",
                                      doc="seed of the random orientation; None: from the system")
    n_cells: Any = setting((1.0, 1.0, 1.0), kind="vector3", differentiable=True, flags="-N -Na -Nb -Nc",
                           doc="cells along a, b, c")
    size_mm: Any = setting(None, kind="vector3", unit="mm", flags="-xtalsize -sample_x -sample_y -sample_z",
                           check=NOT_NEGATIVE, doc="size along a, b, c; 0 or None for an axis leaves n_cells")
    shape: str = setting("square", kind="enum", choices=("square", "round", "gauss", "tophat"),
                         flags="-square_xtal -round_xtal -gauss_xtal -tophat_spots")
    fudge: Any = setting(1.0, kind="scalar", differentiable=True, flags="-fudge",
                         doc="radius^2 multiplier of round, gauss and tophat")
    mosaic: Mosaic = setting(factory=Mosaic, kind="part")
    structure_factors: StructureFactors | None = setting(None, kind="part", flags="-hkl -default_F -dump")

    def _check(self) -> None:
        for name, kind in (("unit_cell", UnitCell), ("mosaic", Mosaic), ("structure_factors", StructureFactors)):
            _check_part(f"crystal.{name}", getattr(self, name), kind, name != "mosaic")
        if self.unit_cell is None and self.a_star_matrix is None:
            raise ConfigError("crystal.unit_cell", None, "is required", "give unit_cell or a_star_matrix")
        if self.structure_factors is None:
            raise ConfigError("crystal.structure_factors", None, "is required",
                              "use StructureFactors.from_hkl, from_arrays, from_fdump or constant")
        if isinstance(self.misset_deg, str):
            if self.misset_deg != "random":
                raise ConfigError("crystal.misset_deg", self.misset_deg, "must be three angles or 'random'")
        else:
            from nanobragg.fields import _vector

            object.__setattr__(self, "misset_deg", _vector(self.misset_deg, 3, {"check": None}, "crystal.misset_deg"))
        if any(is_tensor(n) for n in elements(self.n_cells)) and self.shape in ("square", "tophat"):
            raise ConfigError("crystal.n_cells", self.n_cells, f"is not differentiable for shape {self.shape!r}",
                              "use shape='gauss' or 'round', or plain integers")
        if self.shape in ("square", "round"):
            for i, n in enumerate(elements(self.n_cells)):
                if not is_tensor(n) and n != int(n):
                    raise ConfigError(f"crystal.n_cells[{i}]", n, f"must be a whole number for shape {self.shape!r}",
                                      "use shape='gauss' for fractional sizes")


@dataclass(frozen=True, eq=False, kw_only=True)
class Divergence(Config):
    """Beam divergence sampled on a grid of directions; ranges are full widths."""

    _path = "beam.divergence"
    h_mrad: Any = setting(None, kind="scalar", unit="mrad", differentiable=True, flags="-hdivrange -divergence",
                          doc="horizontal range: rotations about beam x polarization axis")
    v_mrad: Any = setting(None, kind="scalar", unit="mrad", differentiable=True, flags="-vdivrange -divergence",
                          doc="vertical range: rotations about the polarization axis")
    n_h: int | None = setting(None, kind="int", flags="-hdivsteps -divsteps", check=_AT_LEAST_ONE)
    n_v: int | None = setting(None, kind="int", flags="-vdivsteps -divsteps", check=_AT_LEAST_ONE)
    h_step_mrad: Any = setting(None, kind="scalar", unit="mrad", flags="-hdivstep", check=POSITIVE)
    v_step_mrad: Any = setting(None, kind="scalar", unit="mrad", flags="-vdivstep", check=POSITIVE)
    round: bool = setting(True, kind="bool", flags="-round_div -square_div", doc="cut the grid to an ellipse")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sources(Config):
    """An explicit list of n sources; replaces divergence and dispersion."""

    _path = "beam.sources"
    direction: Any = setting(kind="array", differentiable=True, flags="-sourcefile",
                             doc="(n, 3), from the sample to the source; normalised")
    wavelength_angstrom: Any = setting(kind="array", unit="Angstrom", differentiable=True, flags="-sourcefile", doc="(n,)")
    weight: Any = setting(None, kind="array", differentiable=True, flags="-sourcefile", doc="(n,); None: all equal")

    def _check(self) -> None:
        for name in ("direction", "wavelength_angstrom", "weight"):
            value = getattr(self, name)
            if value is not None and not is_tensor(value):
                object.__setattr__(self, name, np.array(value, dtype=np.float64))
        if self.weight is None:
            object.__setattr__(self, "weight", np.ones(len(self.direction)))
        n = len(self.direction)
        if n == 0:
            raise ConfigError("beam.sources", self.direction, "holds no source", "give at least one")
        for name, shape in (("direction", (n, 3)), ("wavelength_angstrom", (n,)), ("weight", (n,))):
            if tuple(getattr(self, name).shape) != shape:
                raise ConfigError(f"beam.sources.{name}", f"shape {tuple(getattr(self, name).shape)}",
                                  f"must have shape {shape}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Beam(Config):
    """The incident beam: wavelength, flux, direction, polarization and its spread."""

    _path = "beam"
    wavelength_angstrom: Any = setting(None, kind="scalar", unit="Angstrom", differentiable=True, check=POSITIVE,
                                       flags="-lambda -wave", doc="None: 1 Angstrom unless energy_ev is given")
    energy_ev: Any = setting(None, kind="scalar", unit="eV", differentiable=True, check=POSITIVE, flags="-energy")
    fluence_per_m2: Any = setting(1.2593201528622709e29, kind="scalar", unit="photons/m^2", differentiable=True,
                                  check=NOT_NEGATIVE, flags="-fluence")
    flux_per_s: Any = setting(None, kind="scalar", unit="photons/s", differentiable=True, check=NOT_NEGATIVE,
                              flags="-flux", doc="when given: fluence = flux exposure / size^2")
    exposure_s: Any = setting(1.0, kind="scalar", unit="s", differentiable=True, check=NOT_NEGATIVE, flags="-exposure")
    size_mm: Any = setting(None, kind="scalar", unit="mm", differentiable=True, check=NOT_NEGATIVE, flags="-beamsize",
                           doc="edge of the square beam; also clips the crystal along b and c")
    direction: Any = setting(None, kind="vector3", differentiable=True, flags="-beam_vector",
                             doc="lab frame, along the beam; None: by convention")
    polarization_axis: Any = setting(None, kind="vector3", differentiable=True, flags="-polar_vector",
                                     doc="lab frame, along the electric field; None: by convention")
    kahn_factor: Any = setting(0.0, kind="scalar", differentiable=True, check=_KAHN, flags="-polar")
    polarized: bool = setting(True, kind="bool", flags="-nopolar", doc="False: no polarization factor at all")
    dispersion_percent: Any = setting(0.0, kind="scalar", unit="%", differentiable=True, flags="-dispersion",
                                      doc="full width of the wavelength range")
    n_wavelengths: int | None = setting(None, kind="int", flags="-dispsteps", check=_AT_LEAST_ONE)
    divergence: Divergence | None = setting(None, kind="part")
    sources: Sources | None = setting(None, kind="part")

    def _check(self) -> None:
        if self.wavelength_angstrom is not None and self.energy_ev is not None:
            raise ConfigError("beam.energy_ev", self.energy_ev, "given together with wavelength_angstrom", "give one of them")
        _check_part("beam.divergence", self.divergence, Divergence, True)
        _check_part("beam.sources", self.sources, Sources, True)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sensor(Config):
    """A detector sensor of finite thickness, sampled in layers."""

    _path = "detector.sensor"
    thickness_um: Any = setting(0.0, kind="scalar", unit="um", differentiable=True, flags="-detector_thick")
    attenuation_um: Any = setting(None, kind="other", unit="um", differentiable=True, flags="-detector_abs",
                                  doc="1/e depth; inf or 0: no sensor")
    n_layers: int | None = setting(None, kind="int", flags="-detector_thicksteps -thicksteps", check=_AT_LEAST_ONE)

    def _check(self) -> None:
        if self.attenuation_um is not None and not is_tensor(self.attenuation_um):
            from nanobragg.fields import _scalar

            meta = {"check": NOT_NEGATIVE, "infinite_ok": True}
            object.__setattr__(self, "attenuation_um", _scalar(self.attenuation_um, meta, "detector.sensor.attenuation_um"))


@dataclass(frozen=True, eq=False, kw_only=True)
class Detector(Config):
    """A flat (or curved) detector and its place in the laboratory."""

    _path = "detector"
    n_fast: int = setting(1024, kind="int", flags="-detpixels -detpixels_f -detsize", check=_AT_LEAST_ONE)
    n_slow: int = setting(1024, kind="int", flags="-detpixels -detpixels_s -detsize", check=_AT_LEAST_ONE)
    pixel_size_mm: Any = setting(0.1, kind="scalar", unit="mm", differentiable=True, check=POSITIVE, flags="-pixel")
    size_mm: Any = setting(None, kind="vector2", unit="mm", flags="-detsize", check=POSITIVE,
                           doc="(fast, slow) as typed, when not pixels x pixel size; used by DETSIZE_NOT_ROUNDED only")
    convention: str = setting("mosflm", kind="enum", choices=tuple(CONVENTIONS),
                              flags="-mosflm -denzo -adxv -xds -dials")
    distance_mm: Any = setting(None, kind="scalar", unit="mm", differentiable=True, check=POSITIVE, flags="-distance",
                               doc="along the beam; None: 100 mm unless close_distance_mm is given")
    close_distance_mm: Any = setting(None, kind="scalar", unit="mm", differentiable=True, check=_NOT_ZERO,
                                     flags="-close_distance", doc="to the nearest point of the plane")
    beam_center_mm: Any = setting(None, kind="vector2", unit="mm", differentiable=True,
                                  doc="(fast, slow) from the outer corner of pixel [0, 0], whatever the convention")
    beam_center_convention_mm: Any = setting(None, kind="vector2", unit="mm", differentiable=True, flags="-Xbeam -Ybeam",
                                             doc="(X, Y) as the convention writes them; either may be None")
    org_px: Any = setting(None, kind="vector2", unit="pixels", differentiable=True, flags="-ORGX -ORGY",
                          doc="foot of the normal, pixel n spans n-0.5 ... n+0.5; either may be None")
    close_point_mm: Any = setting(None, kind="vector2", unit="mm", differentiable=True, flags="-Xclose -Yclose",
                                  doc="foot of the normal (X fast, Y slow); either may be None")
    pivot: str | None = setting(None, kind="enum", choices=("beam", "sample"), flags="-pivot", doc="None: by convention")
    rotation_deg: Any = setting((0.0, 0.0, 0.0), kind="vector3", unit="degrees", differentiable=True,
                                flags="-detector_rotx -detector_roty -detector_rotz")
    twotheta_deg: Any = setting(0.0, kind="scalar", unit="degrees", differentiable=True, flags="-twotheta")
    twotheta_axis: Any = setting(None, kind="vector3", differentiable=True, flags="-twotheta_axis")
    fast_axis: Any = setting(None, kind="vector3", differentiable=True, flags="-fdet_vector")
    slow_axis: Any = setting(None, kind="vector3", differentiable=True, flags="-sdet_vector")
    normal_axis: Any = setting(None, kind="vector3", differentiable=True, flags="-odet_vector")
    pix0_mm: Any = setting(None, kind="vector3", unit="mm", differentiable=True, flags="-pix0_vector -pix0_vector_mm",
                           doc="outer corner of pixel [0, 0] before rotations, lab frame")
    curved: bool = setting(False, kind="bool", flags="-curved_det", doc="all pixels equidistant from the sample")
    point_pixel: bool = setting(False, kind="bool", flags="-point_pixel", doc="no obliquity in the solid angle")
    sensor: Sensor | None = setting(None, kind="part")
    mask: Any = setting(None, kind="other", flags="-mask", doc="(n_slow, n_fast) bool, True = rendered")

    def _check(self) -> None:
        _check_part("detector.sensor", self.sensor, Sensor, True)
        if self.beam_center_mm is not None:
            if self.beam_center_convention_mm is not None:
                raise ConfigError("detector.beam_center_convention_mm", self.beam_center_convention_mm,
                                  "given together with beam_center_mm", "give one of them")
            if any(x is None for x in elements(self.beam_center_mm)):
                raise ConfigError("detector.beam_center_mm", self.beam_center_mm, "must be two numbers")
        if self.mask is not None:
            if is_tensor(self.mask):
                raise ConfigError("detector.mask", "a tensor", "is not differentiable and takes no tensor", "pass a numpy array")
            mask = np.asarray(self.mask, dtype=bool)
            if mask.shape != (self.n_slow, self.n_fast):
                raise ConfigError("detector.mask", f"shape {mask.shape}",
                                  f"must have the detector's shape {(self.n_slow, self.n_fast)} (slow, fast)")
            object.__setattr__(self, "mask", mask)


@dataclass(frozen=True, eq=False, kw_only=True)
class Goniometer(Config):
    """The rotation of the crystal during the exposure."""

    _path = "goniometer"
    phi_start_deg: Any = setting(0.0, kind="scalar", unit="degrees", differentiable=True, flags="-phi")
    osc_deg: Any = setting(None, kind="scalar", unit="degrees", differentiable=True, flags="-osc")
    step_deg: Any = setting(None, kind="scalar", unit="degrees", differentiable=True, flags="-phistep")
    n_steps: int | None = setting(None, kind="int", flags="-phisteps", check=_AT_LEAST_ONE)
    axis: Any = setting(None, kind="vector3", differentiable=True, flags="-spindle_axis", doc="None: by convention")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sampling(Config):
    """How finely the sum is sampled, and which pixels are rendered."""

    _path = "sampling"
    oversample: int | None = setting(None, kind="int", flags="-oversample", check=_AT_LEAST_ONE,
                                     doc="sub-pixels per axis; None: from crystal size and geometry")
    interpolate: str | None = setting(None, kind="enum", choices=("nearest", "tricubic"),
                                      flags="-interpolate -nointerpolate",
                                      doc="None: tricubic when any of n_cells is <= 2")
    d_min_angstrom: float | None = setting(None, kind="scalar", unit="Angstrom", flags="-dmin", check=POSITIVE)
    roi: Any = setting(None, kind="other", flags="-roi", doc="(slow slice, fast slice), half-open")
    oversample_thick: bool = setting(False, kind="bool", flags="-oversample_thick", doc="reference quirk only")
    oversample_polar: bool = setting(False, kind="bool", flags="-oversample_polar", doc="reference quirk only")
    oversample_omega: bool = setting(False, kind="bool", flags="-oversample_omega", doc="reference quirk only")


@dataclass(frozen=True, eq=False, kw_only=True)
class Background(Config):
    """Diffuse background on the absolute scale."""

    _path = "background"
    water_um: Any = setting(0.0, kind="scalar", unit="um", differentiable=True, check=NOT_NEGATIVE, flags="-water",
                            doc="edge of a cube of water")


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment(Config):
    """Everything that decides the image, and the quirks under which it is simulated."""

    _path = ""
    crystal: Crystal = setting(kind="part")
    beam: Beam = setting(factory=Beam, kind="part")
    detector: Detector = setting(factory=Detector, kind="part")
    goniometer: Goniometer = setting(factory=Goniometer, kind="part")
    sampling: Sampling = setting(factory=Sampling, kind="part")
    background: Background = setting(factory=Background, kind="part")
    quirks: frozenset[Quirk] = setting(CORRECTED, kind="other", flags="--fidelity --quirks")

    def _check(self) -> None:
        for name, kind in (("crystal", Crystal), ("beam", Beam), ("detector", Detector), ("goniometer", Goniometer),
                           ("sampling", Sampling), ("background", Background)):
            _check_part(name, getattr(self, name), kind, False)
        object.__setattr__(self, "quirks", as_quirks(self.quirks))

    @property
    def fidelity(self) -> str:
        """``corrected``, ``reference`` or ``custom``, by the quirks in force."""
        return fidelity_name(self.quirks)

    def with_fidelity(self, fidelity: str) -> Experiment:
        """The same experiment under ``"reference"`` or ``"corrected"``."""
        if fidelity not in FIDELITIES:
            raise ConfigError("fidelity", fidelity, f"must be one of {', '.join(map(repr, FIDELITIES))}")
        return self.replace(quirks=FIDELITIES[fidelity])

    def replace(self, path: str | None = None, value: Any = None, /, **parts: Any) -> Experiment:
        """A new experiment with one value or several parts replaced.

        Parameters
        ----------
        path : str, optional
            Dotted path of one value: ``"crystal.misset_deg"``, ``"crystal.misset_deg[2]"``, ``"crystal.unit_cell.a"``.
        value : object
            What to put there.
        **parts
            Top-level parts by name, for example ``detector=...``.
        """
        from nanobragg.serialize import replaced

        return replaced(self, path, value, parts)

    def get(self, path: str) -> Any:
        """The value at a dotted path, as in `replace`."""
        from nanobragg.serialize import value_at

        return value_at(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: units in the names, tensors as floats, with model version and quirks."""
        from nanobragg.serialize import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Experiment:
        """The experiment behind `to_dict`'s data; unknown keys are refused by name."""
        from nanobragg.serialize import from_dict

        return from_dict(data)

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        from nanobragg.serialize import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        """The experiment behind `to_json`'s text."""
        from nanobragg.serialize import from_json

        return from_json(text)

    def equals(self, other: Experiment) -> bool:
        """True when both mean the same: every value equal, tensors compared by value."""
        from nanobragg.serialize import equal

        return equal(self, other)

    @classmethod
    def from_nanobragg_args(cls, args: Sequence[str | PathLike[str]], fidelity: str = "reference") -> Experiment:
        """The experiment that a command line of the original program means.

        Parameters
        ----------
        args : sequence of str
            The arguments, without the program name. Files are read relative to the current directory.
        fidelity : {"reference", "corrected"}
            ``"corrected"`` implies the strict parsing rules, ``"reference"`` the lenient ones. A ``--fidelity``,
            ``--strict`` or ``--quirks`` token among `args` wins.
        """
        from nanobragg.cli.experiment import experiment_from_args

        return experiment_from_args([str(arg) for arg in args], fidelity)


def _check_part(path: str, value: Any, kind: type, optional: bool) -> None:
    if not (isinstance(value, kind) or (optional and value is None)):
        raise ConfigError(path, value, f"must be a {kind.__name__}", f"nanobragg.{kind.__name__}(...)")
