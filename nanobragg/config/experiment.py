"""The experiment: its parts, and the quirks under which it is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from nanobragg.config.beam import Beam
from nanobragg.config.crystal import Crystal
from nanobragg.config.detector import Detector, Pose
from nanobragg.config.fields import Config, setting
from nanobragg.config.quirks import CORRECTED, FIDELITIES, Quirk, as_quirks, fidelity_name
from nanobragg.config.sampling import Background, Goniometer, Sampling
from nanobragg.errors import ConfigError


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment(Config):
    """Everything that decides the image, and the quirks under which it is simulated."""

    _path = ""
    crystal: Crystal = setting(part=Crystal)
    beam: Beam = setting(factory=Beam, part=Beam)
    detector: Any = setting(factory=Detector, part=Detector, several=True, doc="a Detector, or a tuple of panels")
    detector_pose: Pose | None = setting(None, part=Pose, doc="motion of all panels together; None: none")
    goniometer: Goniometer = setting(factory=Goniometer, part=Goniometer)
    sampling: Sampling = setting(factory=Sampling, part=Sampling)
    background: Background = setting(factory=Background, part=Background)
    quirks: frozenset[Quirk] = setting(CORRECTED, kind="other", flags="--fidelity --quirks")

    def _check(self) -> None:
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

    def replace(self, path: str | None = None, value: Any = None, **parts: Any) -> Experiment:
        """A new experiment with one value or several parts replaced.

        Parameters
        ----------
        path : str, optional
            Dotted path of one value: ``"crystal.misset_deg"``, ``"crystal.misset_deg[2]"``, ``"crystal.unit_cell.a"``,
            ``"detector[1].distance_mm"`` of a detector of several panels.
        value : object
            What to put there.
        **parts
            Top-level parts by name, for example ``detector=...``.
        """
        from nanobragg.config.serialize import replaced

        return replaced(self, path, value, parts)

    def get(self, path: str) -> Any:
        """The value at a dotted path, as in `replace`."""
        from nanobragg.config.serialize import value_at

        return value_at(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: units in the names, tensors as floats, with model version and quirks."""
        from nanobragg.config.serialize import to_dict

        return to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Experiment:
        """The experiment behind `to_dict`'s data; unknown keys are refused by name."""
        from nanobragg.config.serialize import from_dict

        return from_dict(data)

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        from nanobragg.config.serialize import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        """The experiment behind `to_json`'s text."""
        from nanobragg.config.serialize import from_json

        return from_json(text)

    def equals(self, other: Experiment) -> bool:
        """True when both mean the same: every value equal, tensors compared by value."""
        from nanobragg.config.serialize import equal

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
        from nanobragg.exchange.command_line.meaning import experiment_from_args

        if isinstance(args, str):
            raise ConfigError("args", args, "must be a list of arguments", "split it: shlex.split(args)")
        return experiment_from_args([str(arg) for arg in args], fidelity)

    @classmethod
    def from_dials(
        cls, path: str | PathLike[str], template: Experiment | None = None, *, structure_factors: Any = None,
        index: int | None = None, image: int | None = None,
    ) -> Experiment:  # fmt: skip
        """The geometry of a DIALS experiment list (``.expt``).

        Parameters
        ----------
        path : path
            The file.
        template : Experiment, optional
            Supplies all that the file does not hold: structure factors, size, shape and mosaicity of the crystal, fluence,
            sampling. Its laboratory frame is kept. This holds for all readers of geometry.
        structure_factors : StructureFactors, optional
            In place of the template's; with neither, every index has 1 electron.
        index : int, optional
            Which experiment of the list, from 0; None: the only one.
        image : int, optional
            Number of the image in the scan; None: the first.

        Raises
        ------
        FileFormatError
            For what cannot be read or represented; the message names the place inside the file.
        """
        from nanobragg.exchange.geometry import to_experiment
        from nanobragg.io.geometry.dials import read_expt

        return to_experiment(read_expt(path, index, image), path, template, structure_factors)

    @classmethod
    def from_xds(
        cls, path: str | PathLike[str], template: Experiment | None = None, *, structure_factors: Any = None,
        image: int | None = None,
    ) -> Experiment:  # fmt: skip
        """The geometry of XPARM.XDS, GXPARM.XDS or XDS.INP; parameters as `from_dials`."""
        from nanobragg.exchange.geometry import to_experiment
        from nanobragg.io.geometry.xds import read_xds

        return to_experiment(read_xds(path, image), path, template, structure_factors)

    @classmethod
    def from_mosflm(
        cls, path: str | PathLike[str], template: Experiment | None = None, *, structure_factors: Any = None,
        wavelength_angstrom: float | None = None,
    ) -> Experiment:  # fmt: skip
        """The crystal orientation of a MOSFLM matrix file; detector and beam are those of the template.

        `wavelength_angstrom` is the one folded into the matrix; None: that of the template.
        """
        from nanobragg.exchange.geometry import to_experiment
        from nanobragg.io.geometry.mosflm import read_mosflm

        if wavelength_angstrom is None:
            if template is None:
                raise ConfigError("wavelength_angstrom", None, "is needed: the matrix holds it as a factor",
                                  "give it, or template=")  # fmt: skip
            from nanobragg.derivation.sources import wavelength_m
            from nanobragg.derivation.vectors import FLOAT_OPS

            wavelength_angstrom = wavelength_m(template, FLOAT_OPS) * 1e10
        return to_experiment(read_mosflm(path, wavelength_angstrom), path, template, structure_factors)

    @classmethod
    def from_crystfel(
        cls, geom: str | PathLike[str], stream: str | PathLike[str] | None = None, template: Experiment | None = None, *,
        structure_factors: Any = None, index: int | None = None, wavelength_angstrom: float | None = None,
        camera_length_m: float | None = None,
    ) -> Experiment:  # fmt: skip
        """The panels of a CrystFEL geometry file, and a crystal of a stream.

        `index` chooses the crystal, from 0; `wavelength_angstrom` and `camera_length_m` are needed where the geometry
        file refers to the image files for them. Other parameters as `from_dials`.
        """
        from nanobragg.exchange.geometry import to_experiment
        from nanobragg.io.geometry.crystfel import read_crystfel

        found = read_crystfel(geom, stream, index=index, wavelength=wavelength_angstrom, camera_length=camera_length_m)
        return to_experiment(found, geom, template, structure_factors)

    @classmethod
    def from_image(
        cls, path: str | PathLike[str], template: Experiment | None = None, *, structure_factors: Any = None,
        image: int | None = None,
    ) -> Experiment:  # fmt: skip
        """The geometry in the header of an image: SMV, miniCBF or NXmx; parameters as `from_dials`."""
        from nanobragg.exchange.geometry import to_experiment
        from nanobragg.io.geometry.image_headers import read_header

        return to_experiment(read_header(path, image), path, template, structure_factors)

    def to_dials(self, path: str | PathLike[str], *, n_images: int = 1, images: str | None = None) -> None:
        """Write a DIALS experiment list of a scan of `n_images` that starts here.

        `images` names the image files, as ``out_####.cbf``; DIALS programs that predict the spots of a scan need it, and the
        images there (the writers of images write both with ``sidecar=True``). Beam spread, mosaicity and crystal size are
        not part of it.

        Raises
        ------
        ConfigError
            For a curved detector, in this and all other writers of geometry.
        """
        from nanobragg.exchange.geometry import of_experiment
        from nanobragg.io.geometry.dials import write_expt

        write_expt(path, of_experiment(self, n_images), images)

    def to_xds_inp(self, path: str | PathLike[str], *, n_images: int = 1, images: str = "image_????.cbf") -> None:
        """Write an XDS.INP; one panel only."""
        from nanobragg.exchange.geometry import of_experiment
        from nanobragg.io.geometry.xds import write_xds_inp

        write_xds_inp(path, of_experiment(self, n_images), images)

    def to_xparm(self, path: str | PathLike[str]) -> None:
        """Write an XPARM.XDS; one panel only."""
        from nanobragg.exchange.geometry import of_experiment
        from nanobragg.io.geometry.xds import write_xparm

        write_xparm(path, of_experiment(self))

    def to_mosflm(self, path: str | PathLike[str], *, digits: int = 8) -> None:
        """Write a MOSFLM matrix file with 8 decimals, as MOSFLM reads them; 17 digits keep the orientation exactly."""
        from nanobragg.exchange.geometry import of_experiment
        from nanobragg.io.geometry.mosflm import write_mosflm

        write_mosflm(path, of_experiment(self), digits)

    def to_crystfel(self, geom: str | PathLike[str], stream: str | PathLike[str] | None = None) -> None:
        """Write a CrystFEL geometry file, and the crystal (at phi 0) as a stream of one chunk."""
        from nanobragg.exchange.geometry import of_experiment
        from nanobragg.io.geometry.crystfel import write_geom, write_stream

        geometry = of_experiment(self)
        write_geom(geom, geometry)
        if stream is not None:
            write_stream(stream, geometry)


def check_experiment(value: object) -> None:
    """Refuse what is no Experiment.

    Raises
    ------
    ConfigError
        For anything else.
    """
    if not isinstance(value, Experiment):
        raise ConfigError("experiment", value, "must be an Experiment", "nanobragg.Experiment(crystal=...)")
