"""The experiment that a word works on: an experiment file, or a geometry file with one to supply the rest."""

from __future__ import annotations

import warnings
from typing import Any

from nanobragg.cli.words.common.in_options import in_options
from nanobragg.cli.words.common.word import Words
from nanobragg.config import Crystal, Experiment, UnitCell
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import NanoBraggWarning
from nanobragg.exchange.geometry_files import read_geometry
from nanobragg.exchange.toml import read_toml

_CELLS = 20
"""Along each axis, where no file says how large the crystal is."""


def add_experiment(options: Words, optional: str = "") -> None:
    """The arguments that `experiment_of` reads; `optional` says what stands for a file that is left out."""
    text = "experiment (TOML), or geometry: .expt, XPARM.XDS, .geom, an image with a header ..."
    options.add_argument("file", help=f"{text} ({optional})" if optional else text, nargs="?" if optional else None)
    options.add_argument(
        "--template", metavar="TOML", help="experiment that supplies what a geometry file does not hold"
    )
    options.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
                         help="replace a value of the experiment file, as crystal.shape=gauss; may be repeated")  # fmt: skip
    options.add_argument("--index", type=int, help="which experiment or crystal of the geometry file, from 0")
    options.add_argument("--image", type=int, help="which image of the scan")


def experiment_of(typed: Any) -> Experiment:
    """The experiment that was typed."""
    if typed.file.endswith(".toml"):
        return read_toml(typed.file, typed.changes).experiment
    template = read_toml(typed.template, typed.changes).experiment if typed.template else plain_template(typed.file)
    with in_options():
        return read_geometry(typed.file, template=template, index=typed.index, image=typed.image)


def plain_template(path: str, cell: tuple[float, ...] = (100.0, 100.0, 100.0, 90.0, 90.0, 90.0)) -> Experiment:
    """What stands in for an experiment file: a small Gaussian crystal with all structure factors alike, and a warning."""
    warnings.warn(
        f"{path}: says neither how large the crystal is nor its structure factors; taken: a Gaussian crystal of {_CELLS} cells "
        "along each axis, every F = 100; --template FILE.toml gives yours",
        NanoBraggWarning, stacklevel=2,
    )  # fmt: skip
    crystal = Crystal(unit_cell=UnitCell(*cell), n_cells=(_CELLS,) * 3, shape="gauss",
                      structure_factors=StructureFactors.constant(100.0))  # fmt: skip
    return Experiment(crystal=crystal)
