"""The tables of a refinement in a TOML file: ``[refine]`` and those below it, beside the tables of the start."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.config.serialize import Braces, built
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.exchange.toml import plan_of, tables_of, value_text
from nanobragg.lazy import dataclass
from nanobragg.refinement.refine import BACKGROUNDS, INTENSITIES, LIKELIHOODS, LOSSES, METHODS
from nanobragg.refinement.variables.parameters import fluence_path

USUAL = "orientation, cell, block size, scale, and the mosaic spread where there is one"


@dataclass(frozen=True, eq=False, kw_only=True)
class Data(Config):
    """How counts become photons, and which of them are used."""

    _path = "refine.data"
    gain: float = setting(1.0, kind="scalar", check=POSITIVE, doc="counts of a photon")
    offset: float = setting(0.0, kind="scalar", doc="counts without photons")
    read_noise: float = setting(
        0.0, kind="scalar", check=NOT_NEGATIVE, doc="standard deviation of the read-out [counts]"
    )
    saturation: float | None = setting(
        None, kind="scalar", check=POSITIVE, doc="counts from which on a pixel is left out"
    )
    mask: str | None = setting(None, doc="image whose zeros do not count, on top of the masks of the detector")
    spots: str | None = setting(None, doc=".refl or CSV file with the places of spots; None: they are found")
    d_min_angstrom: float | None = setting(
        None, kind="scalar", unit="Angstrom", check=POSITIVE, doc="smallest spacing of shoeboxes"
    )
    max_boxes: int = setting(200, kind="int", check=AT_LEAST_ONE, doc="brightest shoeboxes that are used")
    margin: int = setting(2, kind="int", check=NOT_NEGATIVE, doc="pixels around the predicted shoeboxes")


@dataclass(frozen=True, eq=False, kw_only=True)
class Stages(Config):
    """How the work goes."""

    _path = "refine.stages"
    index: bool = setting(False, kind="bool", doc="find the orientation first, as nanoBragg index does")
    positions: bool = setting(True, kind="bool", doc="fit the places of spots before the pixels")
    max_steps: int = setting(30, kind="int", check=AT_LEAST_ONE, doc="evaluations of each stage")
    max_domains: int = setting(500, kind="int", check=AT_LEAST_ONE, doc="up to which mosaic domains are taken")
    time_budget_s: float | None = setting(
        None, kind="scalar", unit="s", check=POSITIVE, doc="after which no new stage of an image begins"
    )
    memory_budget_mib: float | None = setting(
        None,
        kind="scalar",
        unit="MiB",
        check=POSITIVE,
        doc="what shoeboxes and their derivatives may take for each image",
    )
    n_threads: int | None = setting(None, kind="int", check=AT_LEAST_ONE, doc="of each image; None: all cores")
    checkpoint: str | None = setting(
        None, doc="folder for images that are finished: cut off and run again, the others follow"
    )
    workers: int = setting(1, kind="int", check=AT_LEAST_ONE, doc="processes that images are given to")


@dataclass(frozen=True, eq=False, kw_only=True)
class OutputFiles(Config):
    """Where the results go; an empty name: not written. Of several images the files of each are numbered."""

    _path = "refine.output"
    experiment: str = setting("refined.toml", doc="refined experiment: .toml, .expt, XPARM.XDS, .geom, .stream ...")
    values: str = setting("refined.csv", doc="values and errors: .csv, .parquet")
    report: str = setting("refined.html", doc="report for each image")
    spots: str = setting("", doc="shoeboxes with their intensities: .csv, .parquet, .refl, .stream")
    amplitudes: str = setting("refined.hkl", doc="structure factors, where they are refined: .hkl, .mtz")


@dataclass(frozen=True, eq=False, kw_only=True)
class RefineRecipe(Config):
    """What is refined, and against which images."""

    _path = "refine"
    images: Any = setting((), doc="names of images; * and ? stand for parts of names")
    experiments: str | None = setting(
        None, doc="geometry file with the start of every image; None: the tables of this file"
    )
    parameters: Any = setting((), doc=f"paths of what each image has of its own; none: {USUAL}")
    shared: Any = setting((), doc="paths of what all images have in common, or crystal.structure_factors alone")
    background: str = setting("plane", kind="enum", choices=BACKGROUNDS, doc="under each spot")
    intensities: str = setting("model", kind="enum", choices=INTENSITIES, doc="free: structure factors play no part")
    likelihood: str = setting(
        "gaussian", kind="enum", choices=LIKELIHOODS, doc="of the photons; poisson: without read-out noise"
    )
    loss: str = setting("linear", kind="enum", choices=LOSSES, doc="of residuals, as in scipy's least_squares")
    method: str = setting("auto", kind="enum", choices=METHODS, doc="lbfgs: for many parameters, as auto has it")
    bounds: Any = setting((), doc="[lowest, highest] by path")
    priors: Any = setting(
        (), doc="[center, standard deviation] by path; of crystal.structure_factors that of ln(F/F_start)"
    )
    data: Data = setting(factory=Data, part=Data, doc="counts and shoeboxes")
    stages: Stages = setting(factory=Stages, part=Stages, doc="how the work goes")
    output: OutputFiles = setting(factory=OutputFiles, part=OutputFiles, doc="files")

    def _check(self) -> None:
        for name in ("images", "parameters", "shared"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(one, str) for one in value):
                raise ConfigError(f"refine.{name}", value, "must be a list of texts", 'write ["...", "..."]')
        if not self.images:
            raise ConfigError("refine.images", list(self.images), "names no image", 'write images = ["image.cbf"]')
        for name in ("bounds", "priors"):
            object.__setattr__(self, name, _pairs(f"refine.{name}", getattr(self, name)))


@dataclass(frozen=True)
class RefinePlan:
    """A file: the start and what is to be done."""

    start: Experiment
    recipe: RefineRecipe
    folder: str
    """to which names are relative"""

    def path(self, name: str) -> str:
        """A name of the recipe from where the program runs."""
        return os.path.join(self.folder, name)


def read_recipe(path: str | PathLike[str], changes: Iterable[str] = ()) -> RefinePlan | None:
    """The refinement in a file; None where it has no ``[refine]``.

    Parameters
    ----------
    path : path
        TOML; names in it are relative to its folder.
    changes : iterable of str
        ``path=value`` texts that replace values, as ``refine.data.gain=2.5``.

    Raises
    ------
    FileFormatError
        For what `read_toml` refuses, an unknown key and an impossible value.
    """
    data, later = tables_of(path, changes)
    table = data.pop("refine", None)
    if table is None:
        return None
    plan = plan_of(path, data, later)
    try:
        recipe = built(RefineRecipe, "refine", table)
    except ConfigError as error:
        raise FileFormatError(path, str(error)) from None
    return RefinePlan(plan.experiment, recipe, os.path.dirname(fspath(path)))


def usual_paths(start: Experiment) -> list[str]:
    """What is refined where nothing is said."""
    mosaic = start.crystal.mosaic
    spread = ["crystal.mosaic.spread_deg"] if mosaic.model != "given" and np.any(detached(mosaic.spread_deg)) else []
    return ["crystal.misset_deg", "crystal.unit_cell", "crystal.n_cells", *spread, fluence_path(start)]


def commented_recipe() -> str:
    """Every key of ``[refine]`` with unit, default and meaning, as TOML comments."""
    lines = [
        "# A refinement: the tables of the start (see nanoBragg init), and these. Run it with  nanoBragg refine FILE"
    ]
    for path, kind in (("refine", RefineRecipe), *((part._path, part) for part in (Data, Stages, OutputFiles))):
        lines += ["", f"# {(kind.__doc__ or '').splitlines()[0]}", f"[{path}]", *_keys(kind)]
    lines += ["", "# [refine.bounds]", '# "detector.distance_mm" = [100.0, 120.0]', "", "# [refine.priors]",
              '# "detector.distance_mm" = [110.0, 0.2]']  # fmt: skip
    return "\n".join(lines) + "\n"


_EXAMPLES = {
    "images": ("image_*.cbf",), "parameters": ("crystal.misset_deg", "crystal.unit_cell"), "experiments": "indexed.expt",
    "saturation": 65535.0, "mask": "mask.img", "spots": "strong.refl", "d_min_angstrom": 1.8, "time_budget_s": 60.0,
    "n_threads": 1, "memory_budget_mib": 500.0, "checkpoint": "refine_kept", "shared": ("detector.distance_mm",),
}  # fmt: skip


def _keys(kind: type) -> Iterator[str]:
    for field in dataclasses.fields(kind):
        meta = field.metadata
        if meta.get("part") is not None or field.name in ("bounds", "priors"):
            continue
        example = field.default in (None, ())
        value = _EXAMPLES[field.name] if example else field.default
        notes = ["example" if example else "", f"[{meta['unit']}]" if meta["unit"] else "", meta["doc"],
                 " | ".join(meta["choices"]) if meta["choices"] else ""]  # fmt: skip
        mark = "" if field.name == "images" else "# "
        yield f"{mark}{field.name} = {value_text(value)}  # {'; '.join(note for note in notes if note)}"


def _pairs(path: str, table: Any) -> dict[str, tuple[float, float]]:
    """Two numbers by path; tables inside tables are paths with dots."""
    if table == ():
        return {}
    if not isinstance(table, Mapping):
        raise ConfigError(path, table, "must be a table of paths", f"write [{path}] above the keys")
    found: dict[str, tuple[float, float]] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": pair for name, pair in _pairs(f"{path}.{key}", value).items()}
            continue
        numbers = isinstance(value, list | tuple) and all(type(v) in (int, float) for v in value)
        if not numbers or len(value) != 2:
            raise ConfigError(f"{path}.{key}", Braces() if isinstance(value, dict) else value, "must be two numbers")
        found[str(key)] = (float(value[0]), float(value[1]))
    return found
