"""Experiments in files of their own: JSON and TOML, with tables inline, beside them, or in the files they came from."""

from __future__ import annotations

import json
import os
from os import fspath
from typing import Any

import numpy as np

from nanobragg.config import Experiment, serialize
from nanobragg.config.experiment import File
from nanobragg.config.serialize import plain
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.exchange.toml import read_toml
from nanobragg.exchange.toml_text import experiment_toml
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.images.smv import save_smv
from nanobragg.io.reflections.origin import Origin, checksum

_TABLES = ("auto", "inline")
_READERS = ("mtz", "cif", "model", "hkl", "fdump")
_UNLIMITED = 2**62
"""For a file that was read before [bytes]."""


def to_json(experiment: Experiment, path: File | None, tables: str) -> str:
    """See `Experiment.to_json`."""
    if tables not in _TABLES:
        raise ConfigError("tables", tables, f"must be one of {', '.join(map(repr, _TABLES))}")
    if path is None:
        return serialize.to_json(experiment)
    data = serialize.to_dict(experiment)
    if tables == "auto":
        data["crystal"] = _referring(data["crystal"], experiment.crystal, _folder(path))
    text = serialize.json_text(data)
    write_bytes(path, [text.encode(), b"\n"])
    return text


def from_json_file(kind: type[Experiment], path: File) -> Experiment:
    """See `Experiment.from_json_file`."""
    text = read_bytes(path)
    try:
        data = json.loads(text.decode())
    except ValueError as error:  # of either encoding
        raise FileFormatError(path, f"is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise FileFormatError(path, "must be a JSON object")
    if "crystal" in data:
        data["crystal"] = _read(data["crystal"], path)
    try:
        return serialize.from_dict(kind, data)
    except ConfigError as error:
        raise FileFormatError(path, str(error)) from None


def from_toml(path: File) -> Experiment:
    """See `Experiment.from_toml`."""
    return read_toml(path).experiment


def to_toml(experiment: Experiment, path: File) -> list[str]:
    """See `Experiment.to_toml`."""
    stem, written = os.path.splitext(fspath(path))[0], [fspath(path)]
    crystals = experiment.crystal if isinstance(experiment.crystal, tuple) else (experiment.crystal,)
    sources = []
    for i, crystal in enumerate(crystals):
        source = _source(crystal.structure_factors, _folder(path))
        if source is None:
            written.append(f"{stem}_table{f'_{i}' if len(crystals) > 1 else ''}.json")
            write_bytes(written[-1], [serialize.json_text(plain(crystal.structure_factors)).encode(), b"\n"])
            source = {"table": os.path.basename(written[-1])}
        sources.append(source)
    panels = experiment.detector if isinstance(experiment.detector, tuple) else (experiment.detector,)
    masks: list[str | None] = []
    for i, panel in enumerate(panels):
        masks.append(None if panel.mask is None else f"{stem}_mask{f'_{i}' if len(panels) > 1 else ''}.img")
        if masks[-1] is not None:
            save_smv(masks[-1], np.asarray(panel.mask, np.uint16), ())
            written.append(masks[-1])
    names = [None if name is None else os.path.basename(name) for name in masks]
    write_bytes(path, [experiment_toml(experiment, sources, names).encode()])
    return written


def _source(table: StructureFactors, folder: str) -> dict[str, Any] | None:
    """The keys of ``[crystal.structure_factors]`` where these can say what the table is; else None."""
    if not table.has_table and (table.unit_cell, table.space_group, table.d_min_angstrom) == (None, None, None):
        return {"default_F": plain(table.default_F)}
    found, digest = _unchanged(table)
    if found is None:
        return None
    words = {"d_min": "d_min_angstrom", "energy_ev": "anomalous_energy_ev"}
    keys = {words.get(name, name): value for name, value in found.options.items()}
    if {"anomalous", "space_group", "block"} & keys.keys():
        return None
    return {found.format: _seen_from(folder, found.path), **keys, "sha256": digest}


def _referring(crystal: Any, part: Any, folder: str) -> Any:
    """Plain data of a crystal with the name of its file in place of an unchanged table."""
    if isinstance(crystal, list):
        return [_referring(one, its, folder) for one, its in zip(crystal, part, strict=True)]
    found, digest = _unchanged(part.structure_factors)
    if found is None:
        return crystal
    reference = {"file": _seen_from(folder, found.path), "sha256": digest, "format": found.format}
    return {**crystal, "structure_factors": {**reference, "options": found.options}}


def _unchanged(table: StructureFactors) -> tuple[Origin | None, str | None]:
    found: Origin | None = table.origin
    digest = None if found is None else found.checksum()
    return (None, None) if digest is None else (found, digest)


def _read(crystal: Any, path: File) -> Any:
    """Plain data of a crystal with its table read where it refers to a file."""
    if isinstance(crystal, list):
        return [_read(one, path) for one in crystal]
    reference = crystal.get("structure_factors") if isinstance(crystal, dict) else None
    if not isinstance(reference, dict) or "file" not in reference:
        return crystal
    name, kind, options = reference["file"], reference.get("format"), reference.get("options", {})
    if not isinstance(name, str) or kind not in _READERS or not isinstance(options, dict):
        raise FileFormatError(path, f"crystal.structure_factors: needs file, and format: one of {', '.join(_READERS)}")
    name = os.path.join(_folder(path), name)
    check_file(name, reference.get("sha256"), path)
    try:
        table = getattr(StructureFactors, f"from_{kind}")(name, **options, max_bytes=_UNLIMITED)
    except TypeError as error:
        raise FileFormatError(path, f"crystal.structure_factors.options: {error}") from None
    return {**crystal, "structure_factors": table}


def check_file(name: str, digest: Any, path: File) -> None:
    """Refuse a file that is not the one a record names.

    Raises
    ------
    FileFormatError
        When its checksum is another one.
    """
    found = checksum(name)
    if digest is not None and found != digest:
        raise FileFormatError(
            path, f"refers to {name}, which has changed since: SHA-256 {found[:12]}..., was {str(digest)[:12]}..."
        )


def _folder(path: File) -> str:
    return os.path.dirname(os.path.abspath(fspath(path)))


def _seen_from(folder: str, path: str) -> str:
    """A file as it is named in a folder: relative when it lies there or below, so that both can be moved together."""
    inside = path.startswith(os.path.join(folder, ""))
    return os.path.relpath(path, folder).replace(os.sep, "/") if inside else path
