"""The experiment: its parts, and the quirks under which it is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from nanobragg.config import serialize
from nanobragg.config.beam import Beam
from nanobragg.config.crystal import Crystal
from nanobragg.config.detector import Detector, Pose
from nanobragg.config.fields import Config, setting
from nanobragg.config.image_chain.background import Background
from nanobragg.config.quirks import CORRECTED, FIDELITIES, Quirk, as_quirks, fidelity_name
from nanobragg.config.sampling import Goniometer, Sampling
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

File = str | PathLike[str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment(Config):
    """Everything that decides the image, and the quirks under which it is simulated.

    Experiments and their parts are frozen. ``==`` and `hash` go by identity: two objects are equal when they are the same
    object, so that each can be a key of a dict or a member of a set, tensors included; `equals` compares values.
    """

    _path = ""
    crystal: Any = setting(part=Crystal, several=True, doc="what diffracts")
    beam: Beam = setting(factory=Beam, part=Beam, doc="what falls on it")
    detector: Any = setting(factory=Detector, part=Detector, several=True, doc="a Detector, or a tuple of panels")
    detector_pose: Pose | None = setting(None, part=Pose, doc="motion of all panels together; None: none")
    goniometer: Goniometer = setting(factory=Goniometer, part=Goniometer, doc="rotation during the exposure")
    sampling: Sampling = setting(factory=Sampling, part=Sampling, doc="how finely the sum is sampled")
    background: Background = setting(factory=Background, part=Background, doc="what else scatters")
    quirks: frozenset[Quirk] = setting(
        CORRECTED,
        kind="other",
        flags="--fidelity --quirks",
        doc='defects of the original that are reproduced: a set of Quirk, "corrected" or "reference"',
    )

    def _check(self) -> None:
        object.__setattr__(self, "quirks", as_quirks(self.quirks))

    def _worded(self, name: str, value: Any) -> str:
        return repr(self.fidelity) if name == "quirks" and self.fidelity in FIDELITIES else super()._worded(name, value)

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
        return serialize.replaced(self, path, value, parts)

    def get(self, path: str) -> Any:
        """The value at a dotted path, as in `replace`."""
        return serialize.value_at(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: units in the names, tensors as floats, with model version and quirks."""
        return serialize.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Experiment:
        """The experiment behind `to_dict`'s data; unknown keys are refused by name."""
        return serialize.from_dict(cls, data)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        """The experiment behind `to_json`'s text; a text whose table is in another file needs `from_json_file`."""
        return serialize.from_json(cls, text)

    def equals(self, other: Experiment) -> bool:
        """True when both mean the same: every value equal, tensors and arrays compared by value, random orientations by draw."""
        return serialize.equal(self, other)

    # fmt: off
    if TYPE_CHECKING:  # the doors, which `nanobragg.exchange.doors` attaches; their docstrings are there
        @classmethod
        def from_nanobragg_args(cls, args: Sequence[File], fidelity: str = "reference") -> Experiment: ...
        @classmethod
        def from_dials(cls, path: File, template: Experiment | None = None, *, structure_factors: Any = None,
                       index: int | None = None, image: int | None = None) -> Experiment: ...
        @classmethod
        def from_xds(cls, path: File, template: Experiment | None = None, *, structure_factors: Any = None,
                     image: int | None = None) -> Experiment: ...
        @classmethod
        def from_mosflm(cls, path: File, template: Experiment | None = None, *, structure_factors: Any = None,
                        wavelength_angstrom: float | None = None) -> Experiment: ...
        @classmethod
        def from_crystfel(cls, geom: File, stream: File | None = None, template: Experiment | None = None, *,
                          structure_factors: Any = None, index: int | None = None,
                          wavelength_angstrom: float | None = None, camera_length_m: float | None = None) -> Experiment: ...
        @classmethod
        def from_image(cls, path: File, template: Experiment | None = None, *, structure_factors: Any = None,
                       image: int | None = None) -> Experiment: ...
        @classmethod
        def from_json_file(cls, path: File) -> Experiment: ...
        @classmethod
        def from_toml(cls, path: File) -> Experiment: ...
        def to_json(self, path: File | None = None, *, tables: str = "auto") -> str: ...
        def to_toml(self, path: File) -> list[str]: ...
        def to_dials(self, path: File, *, n_images: int = 1, images: str | None = None) -> None: ...
        def to_xds_inp(self, path: File, *, n_images: int = 1, images: str = "image_????.cbf") -> None: ...
        def to_xparm(self, path: File) -> None: ...
        def to_mosflm(self, path: File, *, digits: int = 8) -> None: ...
        def to_crystfel(self, geom: File, stream: File | None = None) -> None: ...
    # fmt: on


def check_experiment(value: object) -> None:
    """Refuse what is no Experiment.

    Raises
    ------
    ConfigError
        For anything else.
    """
    if not isinstance(value, Experiment):
        raise ConfigError("experiment", value, "must be an Experiment", "nanobragg.Experiment(crystal=...)")
