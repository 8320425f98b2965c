"""Experiments as TOML files: read with everything that `nanoBragg run` needs, and written with comments.

The tables are the config objects, the keys their fields. ``[crystal.structure_factors]`` names a file, ``[run]`` says what
to do with the images, and ``detector.mask`` names an image whose zeros are not rendered.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike, fspath
from typing import Any

from nanobragg import config
from nanobragg.backends import BACKENDS, DEFAULT_BACKEND
from nanobragg.config.beams.spectrum import Spectrum
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, Config, setting
from nanobragg.config.image_chain.background import PACKAGED
from nanobragg.config.image_chain.mask import Mask
from nanobragg.config.image_chain.presets import preset
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.quirks import as_quirks
from nanobragg.config.serialize import Braces, built, check_keys
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, FileFormatError, alike
from nanobragg.exchange.toml_source import Source
from nanobragg.io.atomic import read_bytes
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(Config):
    """What to do: images, noise, files, engine."""

    _path = "run"
    output: str = setting(
        "image.nxs", doc="suffix decides: nxs, cbf, img, tif, edf; frames are numbered (out_####.cbf); bin"
    )
    n_images: int = setting(1, kind="int", check=AT_LEAST_ONE, doc="images of a rotation series")
    noise: bool = setting(
        True, kind="bool", doc="counts; false: expected photons, of a [readout] expected counts (nxs, tif, edf, bin)"
    )
    seed: int | None = setting(None, kind="int", check=NOT_NEGATIVE, doc="of the noise; None: from the system")
    adc_offset: float = setting(0.0, kind="scalar", check=NOT_NEGATIVE, doc="added to the counts")
    saturation: int | None = setting(
        None,
        kind="int",
        check=AT_LEAST_ONE,
        doc="largest count; None: what the format holds (img 65535, others 2147483647)",
    )
    dialect: str = setting("dxtbx", kind="enum", choices=("dxtbx", "nanobragg"), doc="of SMV headers")
    compression: str = setting("gzip", kind="enum", choices=("gzip", "bitshuffle-lz4", "none"), doc="of nxs")
    sidecar: bool = setting(False, kind="bool", doc="also write a DIALS experiment list (.expt)")
    backend: str = setting(DEFAULT_BACKEND, kind="enum", choices=BACKENDS, doc="engine")
    kernel: str = setting("auto", doc="of the C engine")
    n_threads: int | None = setting(None, kind="int", check=AT_LEAST_ONE, doc="None: all cores")

    def _check(self) -> None:
        if not isinstance(self.output, str) or not self.output:
            raise ConfigError("run.output", self.output, "must be the name of a file")


@dataclass(frozen=True)
class RunPlan:
    """A TOML file: the experiment and what to do with it."""

    experiment: config.Experiment
    run: Run
    readout: Readout | None = None
    """None: the noise of `run`"""


TABLES = ("crystal", "beam", "detector", "detector_pose", "goniometer", "sampling", "background")
OPEN = "none"
"""Stands in a list for an element that is not given: TOML has no word for it."""
_TOP = (*TABLES, "readout", "run", "fidelity", "quirks")
_APART = ("refine",)
"""Tables of a command beside those of an experiment: the experiment is the start, which can be looked at like any other."""


def read_toml(path: str | PathLike[str], changes: Iterable[str] = ()) -> RunPlan:
    """Read an experiment file.

    Parameters
    ----------
    path : path
        The file; names in it are relative to its folder.
    changes : iterable of str
        ``path=value`` texts that replace values, as ``crystal.misset_deg=(1,2,3)`` or ``beam.wavelength_angstrom=1.2``.

    Raises
    ------
    FileFormatError
        When the file is not TOML (with the line), or holds an unknown key (with a suggestion) or an impossible value.
    """
    return plan_of(path, *tables_of(path, changes))


def tables_of(path: str | PathLike[str], changes: Iterable[str] = ()) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """The tables of a file with the changes that are keys of them, and the changes of elements and panels."""
    try:
        data = tomllib.loads(read_bytes(path).decode())
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"is not TOML: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(path, f"is not TOML: {error}") from None
    later = []
    for change in changes:
        name, value = _parsed(change)
        if "[" in name:
            later.append((name, value))
        else:
            _put(data, name, value)
    return data, later


def plan_of(path: str | PathLike[str], data: dict[str, Any], later: Iterable[tuple[str, Any]]) -> RunPlan:
    """The plan in the tables of a file, with the changes that came later.

    Raises
    ------
    FileFormatError
    """
    try:
        plan = _plan(data, os.path.dirname(fspath(path)))
        for name, value in later:
            plan = dataclasses.replace(plan, experiment=plan.experiment.replace(name, value))
    except ConfigError as error:
        raise FileFormatError(path, str(error)) from None
    return plan


def _plan(data: dict[str, Any], folder: str) -> RunPlan:
    if "dataset" in data:
        raise ConfigError("dataset", Braces(), "makes the file a recipe of a data set", "nanoBragg dataset reads it")
    data = {key: table for key, table in data.items() if key not in _APART}
    for key in data:
        if key not in _TOP:
            near = alike(key, _TOP)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(_TOP)}"
            raise ConfigError(key, Braces() if isinstance(data[key], dict | list) else data[key], "no such table", hint)
    data = _opened(data)
    _check_keys(data)
    tables: dict[str, Any] = {name: data[name] for name in TABLES if name in data}
    crystals = [_crystal(one, folder) for one in _crystals(data)]
    tables["crystal"] = crystals if isinstance(data.get("crystal"), list) else crystals[0]
    if "detector" in data:
        panels = data["detector"] if isinstance(data["detector"], list) else [data["detector"]]
        read = [_detector(panel, folder) for panel in panels]
        tables["detector"] = read if isinstance(data["detector"], list) else read[0]
    if "file" in _table(_table(data, "beam"), "spectrum"):
        tables["beam"] = _beam(data["beam"], folder)
    if "roi" in _table(data, "sampling"):
        tables["sampling"] = {**data["sampling"], "roi": _roi(data["sampling"]["roi"])}
    if "background" in data:
        tables["background"] = _background(data["background"], folder)
    quirks = as_quirks(data["quirks"] if "quirks" in data else data.get("fidelity", "corrected"))
    experiment = built(config.Experiment, "", {**tables, "quirks": quirks})
    run = built(Run, "run", _table(data, "run"))
    if "readout" not in data:
        return RunPlan(experiment, run)
    if run.adc_offset:
        raise ConfigError("run.adc_offset", run.adc_offset, "is readout.offset_adu where there is a [readout]")
    table = dict(_table(data, "readout"))
    name = table.pop("preset", None)
    if name is not None:
        usual = preset(name).response
        maps = table.get("maps", {})
        if isinstance(maps, dict):  # what else it may be is refused below
            maps = {**usual.get("maps", {}), **maps}
        table = {**usual, **table, "maps": maps}
    return RunPlan(experiment, run, built(Readout, "readout", table))


def _crystals(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of the crystals, one or several."""
    if not isinstance(data.get("crystal"), list):
        return [_table(data, "crystal")]
    found: list[dict[str, Any]] = data["crystal"]
    if not found or not all(isinstance(one, dict) for one in found):
        raise ConfigError("crystal", found, "must be a table, or several", "write [[crystal]] above the keys of each")
    return found


def _check_keys(data: dict[str, Any]) -> None:
    """Refuse misspelt keys before anything that follows from them is said."""
    for one in _crystals(data):
        crystal = dict(one)
        source = crystal.pop("structure_factors", {})
        if isinstance(source, dict):
            check_keys(Source, Source._path, source)
        check_keys(config.Crystal, "crystal", crystal)
    beam = _table(data, "beam")
    spectrum = {key: value for key, value in _table(beam, "spectrum").items() if key != "file"}
    check_keys(config.Beam, "beam", {**beam, "spectrum": spectrum} if spectrum else {**beam, "spectrum": None})
    for name, kind in (
        ("goniometer", config.Goniometer),
        ("sampling", config.Sampling),
        ("run", Run),
    ):
        check_keys(kind, name, _table(data, name))
    panels = data.get("detector", {})
    for panel in panels if isinstance(panels, list) else [panels]:
        if isinstance(panel, dict):
            check_keys(config.Detector, "detector", {key: value for key, value in panel.items() if key != "preset"})


def _crystal(table: dict[str, Any], folder: str) -> dict[str, Any]:
    """A crystal with its structure factors read."""
    crystal = dict(table)
    source = built(Source, Source._path, crystal.pop("structure_factors", {}))
    return {**crystal, "structure_factors": source.read(folder)}


def _beam(table: dict[str, Any], folder: str) -> dict[str, Any]:
    """A beam with its spectrum read."""
    spectrum = dict(table["spectrum"])
    name = spectrum.pop("file")
    if not isinstance(name, str):
        raise ConfigError("beam.spectrum.file", name, "must be the name of a file")
    if spectrum:
        raise ConfigError(f"beam.spectrum.{next(iter(spectrum))}", Braces(), "has no part in a spectrum from a file")
    return {**table, "spectrum": Spectrum.from_file(os.path.join(folder, name))}


def _background(table: Any, folder: str) -> Any:
    """The background: its table, or its components alone; names of tables are relative to the folder."""
    table = {"components": table} if isinstance(table, list) else table
    components = table.get("components") if isinstance(table, dict) else None
    if not isinstance(components, list):
        return table
    return {**table, "components": [_component(one, folder) for one in components]}


def _component(one: Any, folder: str) -> Any:
    name = one.get("table") if isinstance(one, dict) else None
    if not isinstance(name, str) or name in PACKAGED or not os.path.exists(os.path.join(folder, name)):
        return one
    return {**one, "table": os.path.join(folder, name)}


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(name, table, "must be a table", f"write [{name}] above its keys")
    return table


def _detector(table: Any, folder: str) -> Any:
    if not isinstance(table, dict) or not {"mask", "preset"} & table.keys():
        return table
    table = dict(table)
    name = table.pop("preset", None)
    if "mask" in table:
        if not isinstance(table["mask"], str):
            raise ConfigError(
                "detector.mask", table["mask"], "must be the name of an image file whose zeros are not rendered"
            )
        table["mask"] = Mask.from_file(os.path.join(folder, table["mask"]), masked="zero")
    if name is None:
        return table
    own = config.Detector.preset(name, **{key: table[key] for key in ("mask",) if key in table})
    fields = ("n_fast", "n_slow", "pixel_size_mm", "mask", "sensor")
    return {**{field: getattr(own, field) for field in fields}, **{k: v for k, v in table.items() if k != "mask"}}


def _opened(value: Any) -> Any:
    """Values as TOML has them with None for the elements that are left open."""
    if isinstance(value, dict):
        return {key: _opened(item) for key, item in value.items()}
    return [None if item == OPEN else _opened(item) for item in value] if isinstance(value, list) else value


def _roi(value: Any) -> Any:
    good = isinstance(value, list) and len(value) == 2 and all(isinstance(v, list) and len(v) == 2 for v in value)
    if not good:
        raise ConfigError("sampling.roi", value, "must be [[slow from, to], [fast from, to]], half-open")
    return tuple(slice(*v) for v in value)


_PYTHON_WORDS = {"True": True, "False": False, "None": None}


def _parsed(change: str) -> tuple[str, Any]:
    """Path and value of ``path=value``; a value is TOML or Python (round brackets, True, False, None), or a bare word."""
    name, found, text = change.partition("=")
    if not found or not re.fullmatch(r"[\w.\[\]]+", name.strip()):
        raise ConfigError("--set", change, "must look like crystal.misset_deg=(1,2,3)")
    text = text.strip()
    if text in _PYTHON_WORDS:
        return name.strip(), _PYTHON_WORDS[text]
    for candidate in (text, text.replace("(", "[").replace(")", "]"), json.dumps(text)):
        try:
            return name.strip(), tomllib.loads(f"value = {candidate}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    raise ConfigError("--set", change, "has a value that cannot be read")


def _put(data: dict[str, Any], name: str, value: Any) -> None:
    *way, last = name.split(".")
    node = data
    for step in way:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            raise ConfigError("--set", name, f"{step} is no table", "write detector[0].n_fast for a panel")
    node[last] = value


# --- writing ------------------------------------------------------------------------------------------------------------


def commented_toml(given: dict[str, Any] | None = None) -> str:
    """Every table and key with unit, default and meaning as comments; the given values are set, the others commented out.

    Parameters
    ----------
    given : dict, optional
        Value by path; None: an example that runs.
    """
    given = _EXAMPLE if given is None else given
    lines = [
        "# An experiment of nanobragg: run it with  nanoBragg run FILE",
        "# Keys that are commented out show the default. Where a key has none, they show an example, marked so: without the key",
        "# (None) the program decides. Names of files are relative to this file.",
        "",
        '# fidelity = "corrected"  # or "reference": the physics of the original program, defects included',
    ]
    for path, kind in _sections():
        lines += ["", *_section(path, kind, given)]
    return "\n".join(lines) + "\n"


_EXAMPLE: dict[str, Any] = {
    "crystal.unit_cell.a": 79.1, "crystal.unit_cell.b": 79.1, "crystal.unit_cell.c": 37.9, "crystal.unit_cell.alpha": 90.0,
    "crystal.unit_cell.beta": 90.0, "crystal.unit_cell.gamma": 90.0, "crystal.n_cells": (20.0, 20.0, 20.0),
    "crystal.misset_deg": (10.0, 20.0, 30.0), "crystal.mosaic.model": "gaussian",
    "crystal.structure_factors.default_F": 100.0,
    "detector.n_fast": 512, "detector.n_slow": 512, "detector.pixel_size_mm": 0.2, "detector.distance_mm": 100.0,
    "beam.wavelength_angstrom": 1.0, "beam.fluence_per_m2": 1e24, "run.output": "image.nxs",
}  # fmt: skip
_INSTANCES: dict[str, Any] = {
    "crystal.a_star_matrix": ((0.0126, 0.0, 0.0), (0.0, 0.0126, 0.0), (0.0, 0.0, 0.0264)), "crystal.misset_seed": 1,
    "crystal.size_mm": (0.001, 0.001, 0.001), "crystal.space_group": "P 43 21 2", "crystal.mosaic.n_domains": 20,
    "crystal.mosaic.covariance_deg2": ((0.01, 0.0, 0.0), (0.0, 0.01, 0.0), (0.0, 0.0, 0.04)),
    "crystal.mosaic.rotations": (((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),), "crystal.mosaic.weights": (1.0,),
    "crystal.block_matrix": ((10.0, 2.0, 1.0), (2.0, 12.0, 0.5), (1.0, 0.5, 8.0)), "crystal.n_blocks": 1000.0,
    "crystal.volume_mm3": 1e-6, "crystal.damage.dose_1_mgy": 14.4,
    "crystal.diffuse.n_orders": 4, "crystal.diffuse.laue_group": "4/mmm", "crystal.diffuse.map": (((0.0, 0.1), (0.2, 0.3)),) * 2,
    "crystal.displacement.u_angstrom2": ((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.2)),
    f"{Source._path}.mtz": "data.mtz", f"{Source._path}.cif": "data.cif", f"{Source._path}.label": "FP",
    f"{Source._path}.model": "model.pdb", f"{Source._path}.d_min_angstrom": 1.8,
    f"{Source._path}.energies_ev": (12640.0, 12680.0), f"{Source._path}.elements": ("Se",),
    f"{Source._path}.anomalous_energy_ev": 12000.0, f"{Source._path}.hkl": "data.hkl", f"{Source._path}.fdump": "Fdump.bin",
    f"{Source._path}.table": "experiment_table.json", f"{Source._path}.sha256": "00c0ffee",
    "beam.energy_ev": 12398.4, "beam.flux_per_s": 1e12, "beam.size_mm": 0.05, "beam.direction": (1.0, 0.0, 0.0),
    "beam.polarization_axis": (0.0, 0.0, 1.0), "beam.n_wavelengths": 5,
    "beam.divergence.h_mrad": 1.0, "beam.divergence.v_mrad": 0.2, "beam.divergence.n_h": 5, "beam.divergence.n_v": 5,
    "beam.divergence.h_step_mrad": 0.25, "beam.divergence.v_step_mrad": 0.05,
    "beam.sources.direction": ((-1.0, 0.0, 0.0), (-1.0, 0.0, 0.001)), "beam.sources.wavelength_angstrom": (1.0, 1.001),
    "beam.sources.weight": (0.5, 0.5),
    "beam.spectrum.fwhm_percent": 0.2, "beam.spectrum.fwhm_ev": 20.0, "beam.spectrum.sigma_low_ev": 60.0,
    "beam.spectrum.sigma_high_ev": 30.0, "beam.spectrum.separation_ev": 100.0, "beam.spectrum.n_wavelengths": 50,
    "beam.spectrum.energy_ev": (9000.0, 9010.0), "beam.spectrum.wavelength_angstrom": (1.0, 1.001),
    "beam.spectrum.weight": (0.5, 0.5),
    "detector.size_mm": (102.4, 102.4), "detector.close_distance_mm": 100.0, "detector.beam_center_mm": (51.2, 51.2),
    "detector.beam_center_convention_mm": (51.2, 51.2), "detector.org_px": (256.5, 256.5),
    "detector.close_point_mm": (51.2, 51.2), "detector.pivot": "sample", "detector.twotheta_axis": (0.0, 0.0, -1.0),
    "detector.fast_axis": (0.0, 0.0, 1.0), "detector.slow_axis": (0.0, -1.0, 0.0), "detector.normal_axis": (1.0, 0.0, 0.0),
    "detector.pix0_mm": (100.0, 51.2, -51.2), "detector.mask": "mask.img",
    "detector.sensor.attenuation_um": 234.0, "detector.sensor.n_layers": 5, "detector.sensor.material": "Si",
    "detector.name": "D0q1",
    "goniometer.osc_deg": 0.5, "goniometer.step_deg": 0.1, "goniometer.n_steps": 5, "goniometer.axis": (0.0, 0.0, 1.0),
    "sampling.oversample": 2, "sampling.interpolate": "nearest", "sampling.d_min_angstrom": 1.8,
    "sampling.roi": ((200, 300), (200, 300)),
    "background.components.thickness_mm": 0.1, "background.components.along_beam_mm": (-30.0, 20.0),
    "background.components.density_g_cm3": 1.0, "background.components.molar_mass_g": 18.0,
    "background.components.width_mm": 0.05, "background.components.height_mm": 0.05,
    "background.components.attenuation_mm": 2.0, "background.components.beamstop.radius_mm": 1.0,
    "background.components.beamstop.distance_mm": 30.0,
    "readout.gain_adu_per_kev": 16.0, "readout.min_adu": 0, "readout.max_adu": 65535, "readout.psf.fwhm_um": 41.0,
    "readout.psf.kernel": ((0.0, 0.1, 0.0), (0.1, 0.6, 0.1), (0.0, 0.1, 0.0)), "readout.psf.radius_px": 30,
    "readout.maps.area": ((1.0, 2.0), (1.0, 2.0)),
    "readout.rate.pulse_rate_hz": 5e6, "readout.rate.max_per_s": 1e7, "readout.flags.gap": -1, "readout.flags.dead": -2,
    "readout.flags.overload": 65535, "readout.stages.up_to_kev": 400.0, "readout.stages.gain_adu_per_kev": 36.0,
    "run.seed": 1, "run.n_threads": 4, "run.saturation": 65535,
}  # fmt: skip
"""A value of every key that has no default, as TOML writes it."""


def _sections() -> Iterator[tuple[str, type]]:
    """Path and class of every table, outer ones first."""

    def below(kind: type, path: str) -> Iterator[tuple[str, type]]:
        yield path, kind
        for field in dataclasses.fields(kind):
            part = field.metadata.get("part")
            if part is StructureFactors:
                yield Source._path, Source
            elif part is not None:
                yield from below(part, f"{path}.{field.name}")

    for field in dataclasses.fields(config.Experiment):
        if field.metadata.get("part") is not None:
            yield from below(field.metadata["part"], field.name)
    yield from below(Readout, "readout")
    yield "run", Run


_LISTS = ("background.components", "readout.stages")
"""Tables of which there may be several."""


def _section(path: str, kind: type, given: dict[str, Any]) -> Iterator[str]:
    used = any(key.startswith(f"{path}.") for key in given)
    optional = path not in ("crystal", "beam", "detector", "run", Source._path)
    yield f"# {(kind.__doc__ or '').splitlines()[0]}"
    head = f"[[{path}]]" if path in _LISTS else f"[{path}]"
    yield head if used or not optional else f"# {head}"
    for field in dataclasses.fields(kind):
        meta = field.metadata
        if meta.get("part") is not None:
            continue
        name = f"{path}.{field.name}"
        default = None if field.default is dataclasses.MISSING else field.default
        if name in given:
            text, instance = f"{field.name} = {value_text(given[name])}", False
        else:
            instance = default is None
            text = f"# {field.name} = {value_text(_INSTANCES[name] if instance else default)}"
        notes = ["example" if instance else "", f"[{meta['unit']}]" if meta["unit"] else "", meta["doc"],
                 " | ".join(meta["choices"]) if meta["choices"] else ""]  # fmt: skip
        note = "; ".join(text for text in notes if text)
        yield f"{text}  # {note}" if note else text


def value_text(value: Any) -> str:
    """A value as TOML writes it."""
    if value is None:
        return json.dumps(OPEN)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(value_text(item) for item in value)}]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
