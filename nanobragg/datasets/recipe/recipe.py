"""The recipe of a data set, in Python and as plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

import numpy as np

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import built, plain
from nanobragg.datasets.draws.vary import Vary, vary_of
from nanobragg.datasets.recipe.settings import DatasetSettings
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

FORMAT = 1
"""Of recipes and of data sets; a higher number is refused, a lower one migrated."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """Everything that decides a data set: an experiment, its readout, what varies, how many images, the seed.

    Parameters
    ----------
    experiment : Experiment
        What all images share.
    readout : Readout
        How they are counted.
    vary : mapping
        Distributions by path, ``{"crystal.n_cells": {"uniform": [10, 30], "integer": True}}``, and ``orientation``, ``cell``,
        ``frames``, ``lattices``, ``split``, ``pointing_urad``, ``wobble_urad`` (docs/howto/data_sets.md).
    settings : DatasetSettings
        How many images, the seed, what is stored.

    Raises
    ------
    ConfigError
        For an unknown path, distribution or option, with the nearest name, and for what makes no sense.
    """

    experiment: Experiment
    readout: Readout = Readout()
    vary: Mapping[str, Any] = field(default_factory=dict)
    settings: DatasetSettings = DatasetSettings()

    def __post_init__(self) -> None:
        check_experiment(self.experiment)
        for name, kind in (("readout", Readout), ("settings", DatasetSettings)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"recipe.{name}", getattr(self, name), f"must be a {kind.__name__}")
        if not isinstance(self.vary, Mapping):
            raise ConfigError("recipe.vary", self.vary, "must be a table of distributions by path")
        assert self.varied is not None  # whether it can be understood
        experiment, settings = self.experiment, self.settings
        several = isinstance(experiment.crystal, tuple)
        v = self.varied
        if several and (v.orientation or v.cell or v.lattices or v.split):
            raise ConfigError("crystal", f"{len(experiment.crystal)} crystals", "is one where orientation, cell, lattices or "
                              "split vary", "vary crystal[0]...., crystal[1].... by path")  # fmt: skip
        if settings.kind == "rotation" and not experiment.goniometer.osc_deg:
            raise ConfigError("goniometer.osc_deg", experiment.goniometer.osc_deg, "must be > 0 in a rotation series",
                              "it is the width of one image")  # fmt: skip
        if settings.kind == "stills" and experiment.goniometer.osc_deg:
            raise ConfigError("goniometer.osc_deg", experiment.goniometer.osc_deg, "belongs to rotation series",
                              "dataset.kind = 'rotation', or leave it out")  # fmt: skip
        if settings.images != "nxmx" and isinstance(experiment.detector, tuple):
            raise ConfigError("dataset.images", settings.images, "holds one panel", "images = 'nxmx'")

    @cached_property
    def varied(self) -> Vary:
        """What varies, understood."""
        return vary_of(self.vary, self.experiment, self.readout)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, tables of structure factors and masks included."""
        return {
            "format": FORMAT, "settings": plain(self.settings), "vary": _plain(self.vary), "readout": plain(self.readout),
            "experiment": self.experiment.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The recipe behind `to_dict`'s data.

        Raises
        ------
        ConfigError
            For data of a later format, and for what is no recipe.
        """
        check_format(data.get("format"))
        for key in ("settings", "experiment", "readout"):
            if not isinstance(data.get(key), Mapping):
                raise ConfigError(f"recipe.{key}", data.get(key), "must be a table")
        return cls(
            experiment=Experiment.from_dict(dict(data["experiment"])), readout=built(Readout, "readout", data["readout"]),
            vary=data.get("vary", {}), settings=built(DatasetSettings, "dataset", data["settings"]),
        )  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the images: two data sets of one digest hold the same."""
        data = self.to_dict()
        del data["experiment"]["nanobragg_version"]
        return hashlib.sha256(json.dumps(data, sort_keys=True, allow_nan=False).encode()).hexdigest()


def check_format(version: Any) -> None:
    """Refuse a format that is not known here.

    Raises
    ------
    ConfigError
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ConfigError("format", version, f"must be a whole number up to {FORMAT}", f"write format = {FORMAT}")
    if version > FORMAT:
        raise ConfigError("format", version, f"this version knows recipes up to format {FORMAT}", "update nanobragg")


def _plain(value: Any) -> Any:
    """A table of distributions as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
