"""The experiment: its parts, and the quirks under which it is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from nanobragg.config.beam import Beam
from nanobragg.config.crystal import Crystal
from nanobragg.config.detector import Detector, Pose
from nanobragg.config.sampling import Background, Goniometer, Sampling
from nanobragg.errors import ConfigError
from nanobragg.fields import Config, setting
from nanobragg.quirks import CORRECTED, FIDELITIES, Quirk, as_quirks, fidelity_name


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
