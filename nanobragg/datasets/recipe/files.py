"""Recipes as TOML: an experiment file with ``format``, ``[dataset]`` and ``[vary]``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from os import PathLike, fspath
from typing import Any

from nanobragg.config import Experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import built
from nanobragg.datasets.recipe.recipe import FORMAT, Recipe, check_format
from nanobragg.datasets.recipe.replay import expanded, replay
from nanobragg.datasets.recipe.settings import DatasetSettings
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.exchange.toml import plan_of, tables_of


def read_recipe(path: str | PathLike[str], changes: Iterable[str] = ()) -> Recipe:
    """Read the recipe of a data set.

    Parameters
    ----------
    path : path
        TOML: the tables of an experiment file and ``[readout]``, ``format = 1``, ``[dataset]``, ``[vary]`` and ``[replay]``;
        names of files are relative to its folder.
    changes : iterable of str
        ``path=value`` texts that replace values, as ``dataset.n_images=10``.

    Returns
    -------
    Recipe

    Raises
    ------
    FileFormatError
        When the file is not TOML (with the line), or holds an unknown key (with a suggestion) or an impossible value.
    """
    data, later = tables_of(path, changes)
    try:
        if "dataset" not in data:
            raise ConfigError(
                "dataset", None, "is missing: a recipe says how many images", "write [dataset] n_images = 100"
            )
        if "run" in data:
            raise ConfigError("run", "[run]", "belongs to experiment files", "write [dataset] and [readout]")
        check_format(data.pop("format", FORMAT))
        own = data.pop("dataset")
        vary = expanded(data.pop("vary", {}), os.path.dirname(fspath(path)))
        again = data.pop("replay", None)
        settings = built(DatasetSettings, "dataset", own)
        plan = plan_of(path, data, later)
        if again is not None:
            vary = {**vary, **_replayed(again, os.path.dirname(fspath(path)), plan.experiment)}
        readout = Readout() if plan.readout is None else plan.readout
        return Recipe(experiment=plan.experiment, readout=readout, vary=vary, settings=settings)
    except ConfigError as error:
        raise FileFormatError(path, str(error)) from None


def _replayed(table: Any, folder: str, experiment: Experiment) -> dict[str, Any]:
    """What ``[replay]`` says: a file, and perhaps its columns."""
    if not isinstance(table, dict) or not isinstance(table.get("file"), str):
        raise ConfigError("replay", table, "must name a file", '[replay] file = "run.stream"')
    for key in table:
        if key not in ("file", "columns"):
            raise ConfigError(f"replay.{key}", table[key], "must be one of file, columns")
    return replay(os.path.join(folder, table["file"]), experiment, table.get("columns"))
