"""`nanoBragg index`: the orientation of a crystal of known cell, without a start."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.words.common.bar import bar
from nanobragg.cli.words.common.existing import refuse_overwriting
from nanobragg.cli.words.common.experiment_file import plain_template
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.config import Experiment, UnitCell
from nanobragg.errors import NanoBraggWarning, UsageError
from nanobragg.exchange.geometry_files import read_geometry, write_geometry
from nanobragg.exchange.toml import read_toml
from nanobragg.refinement.indexing import index


def run_index(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words(
        "index", "Find the orientation of a crystal of known cell from the spots of an image, without a start."
    )
    options.add_argument("image", metavar="IMAGE", help="NXmx, miniCBF, SMV, TIFF, EDF ...")
    options.add_argument("--cell", nargs=6, type=float, metavar=("A", "B", "C", "AL", "BE", "GA"),
                         help="unit cell [Angstrom, degrees] (default: that of the template or geometry)")  # fmt: skip
    options.add_argument("--space-group", metavar="SYMBOL", help="what may be refined of the cell, and what files name")
    options.add_argument("--geometry", metavar="FILE", help="geometry file, where the header has none")
    options.add_argument("--template", metavar="TOML", help="experiment that supplies the rest")
    options.add_argument("--spots", metavar="FILE", help="places of spots, .refl or CSV (default: found here)")
    options.add_argument(
        "--lattices", type=int, default=1, metavar="N", help="how many crystals to look for (%(default)s)"
    )
    options.add_argument(
        "--device", metavar="NAME", help="where directions are searched, by torch: cuda ... (default: here)"
    )
    options.add_argument("--keep-cell", action="store_true", help="do not fit the cell to the spots")
    options.add_argument("-o", "--output", metavar="FILE", help="found experiment: .expt, .toml, XPARM.XDS ...; of several "
                         "lattices the others are numbered")  # fmt: skip
    options.add_argument("--force", action="store_true", help="overwrite files; do not ask")
    return carried_out(_index, options, args)


def _index(typed: Any) -> int:
    stem, suffix = os.path.splitext(typed.output or "")
    names = (
        [typed.output if i == 0 else f"{stem}_{i + 1}{suffix}" for i in range(typed.lattices)] if typed.output else []
    )
    refuse_overwriting([] if typed.force else names)
    with bar() as progress:
        found = index(typed.image, _experiment(typed), spots=typed.spots, lattices=typed.lattices,
                      refine_cell=not typed.keep_cell, device=typed.device, progress=progress)  # fmt: skip
    for i, lattice in enumerate(found):
        sys.stdout.write(f"{lattice}\n")
        if names:
            write_geometry(lattice.experiment, names[i])
            sys.stdout.write(f"{names[i]}\n")
    return 0


def _experiment(typed: Any) -> Experiment:
    """Geometry from the file or the header, the cell from the words or the template."""
    if typed.template:
        template = read_toml(typed.template).experiment
    else:
        with warnings.catch_warnings():  # its size and structure factors play no part
            warnings.simplefilter("ignore", NanoBraggWarning)
            template = plain_template(typed.image)
    source = typed.geometry or typed.image
    found = template if str(source).endswith(".toml") else read_geometry(source, template=template)
    if typed.cell:
        crystal = found.crystal
        found = found.replace("crystal.unit_cell", UnitCell(*typed.cell))
        if crystal.a_star_matrix is not None:
            found = found.replace("crystal.a_star_matrix", None)
    elif not typed.template and found.crystal.a_star_matrix is None:
        raise UsageError("index: which cell? Write --cell A B C ALPHA BETA GAMMA, or --template FILE.toml")
    return found if typed.space_group is None else found.replace("crystal.space_group", typed.space_group)
