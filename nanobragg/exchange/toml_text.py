"""An experiment as the text of a TOML file: the values that are not the defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nanobragg import config
from nanobragg.arrays import is_tensor
from nanobragg.config.fields import Config
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import plain
from nanobragg.exchange.toml import TABLES, value_text
from nanobragg.exchange.toml_source import Source


def experiment_toml(
    experiment: config.Experiment,
    structure_factors: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
    masks: Sequence[str | None] = (),
) -> str:
    """The values of an experiment that are not the defaults, as TOML.

    Parameters
    ----------
    experiment : Experiment
        The numbers of its structure factors and masks are not part of the text.
    structure_factors : dict, or sequence of dict, optional
        Keys of ``[crystal.structure_factors]``, or those of every crystal; None: ``default_F``.
    masks : sequence of str, optional
        Images that hold the masks of the panels.
    """
    sources = [structure_factors] if isinstance(structure_factors, dict) else structure_factors
    lines = [f'fidelity = "{experiment.fidelity}"'] if experiment.fidelity in ("corrected", "reference") else []
    if not lines:
        lines = [f"quirks = {value_text(sorted(str(quirk.name) for quirk in experiment.quirks))}"]
    for field in dataclasses.fields(experiment):
        name = field.name
        if name not in TABLES:
            continue
        part = getattr(experiment, name)
        for i, one in enumerate(part if isinstance(part, tuple) else (part,)):
            mask = masks[i] if name == "detector" and masks else None
            if one is not None:
                named = isinstance(part, tuple) or field.default is None
                lines += _tables(_head(name, part), one, named, {} if mask is None else {"mask": mask})
            if name == "crystal":
                source = sources[i] if sources else {"default_F": plain(one.structure_factors.default_F)}
                lines += ["", f"[{Source._path}]", *(f"{key} = {value_text(value)}" for key, value in source.items())]
    return "\n".join(lines) + "\n"


def readout_toml(readout: Readout) -> str:
    """The table of a readout in an experiment file: the values that are not the defaults."""
    return "\n".join(_tables("[readout]", readout, True, {})) + "\n"


def _head(path: str, value: Any) -> str:
    return f"[[{path}]]" if isinstance(value, tuple) else f"[{path}]"


def _tables(head: str, part: Any, named: bool, beside: dict[str, Any]) -> Iterator[str]:
    """The table of a part, with further keys, and the tables below it; one that is named stands there though it is empty."""
    path = head.strip("[]")
    values = [f"{key} = {value_text(value)}" for key, value in beside.items()]
    below: list[str] = []
    stored = part.stored()
    for field in dataclasses.fields(part):
        value = stored.get(field.name, getattr(part, field.name))
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        items = value if isinstance(value, tuple) else (value,)
        if any(isinstance(item, Config) for item in items):
            here, optional = _head(f"{path}.{field.name}", value), default is None or isinstance(value, tuple)
            for item in items:
                below += _tables(here, item, optional, {})
        elif (
            field.name not in ("structure_factors", "mask")
            and value is not None
            and (default is dataclasses.MISSING or plain(value) != plain(default))
        ):
            text = [[part.start, part.stop] for part in value] if field.name == "roi" else _listed(value)
            values.append(f"{field.name} = {value_text(text)}")
    if values or named:
        yield from ("", head, *values)
    yield from below


def _listed(value: Any) -> Any:
    """Plain data with arrays of any size as lists."""
    array = value.detach().cpu().numpy() if is_tensor(value) else value
    return array.tolist() if isinstance(array, np.ndarray) else plain(value)
