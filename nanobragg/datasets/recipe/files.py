"""Recipes as TOML: an experiment file with ``format``, ``[dataset]`` and ``[vary]``."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import built
from nanobragg.datasets.recipe.recipe import FORMAT, Recipe, check_format
from nanobragg.datasets.recipe.settings import DatasetSettings
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.exchange.toml import plan_of, tables_of


def read_recipe(path: str | PathLike[str], changes: Iterable[str] = ()) -> Recipe:
    """Read the recipe of a data set.

    Parameters
    ----------
    path : path
        TOML: the tables of an experiment file and ``[readout]``, ``format = 1``, ``[dataset]`` and ``[vary]``; names of files are
        relative to its folder.
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
        vary = data.pop("vary", {})
        settings = built(DatasetSettings, "dataset", own)
        plan = plan_of(path, data, later)
        readout = Readout() if plan.readout is None else plan.readout
        return Recipe(experiment=plan.experiment, readout=readout, vary=vary, settings=settings)
    except ConfigError as error:
        raise FileFormatError(path, str(error)) from None
