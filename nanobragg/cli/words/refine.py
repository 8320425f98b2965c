"""`nanoBragg refine`: parameters of an experiment against an image."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.words.common.experiment_file import add_experiment, experiment_of
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.refinement.refine import BACKGROUNDS, INTENSITIES, LOSSES, refine

_USUAL = (
    "crystal.misset_deg",
    "crystal.unit_cell",
    "crystal.n_cells",
    "crystal.mosaic.spread_deg",
    "beam.fluence_per_m2",
)


def run_refine(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words("refine", "Refine orientation, cell, mosaicity, scale, geometry ... against the pixels of an image, with "
                    "errors.")  # fmt: skip
    add_experiment(options)
    options.add_argument("image_file", metavar="IMAGE", help="NXmx, miniCBF, SMV, TIFF, EDF ...")
    options.add_argument("--refine", nargs="+", metavar="PATH", default=list(_USUAL), dest="paths",
                         help=f"what to refine (default: {' '.join(_USUAL)})")  # fmt: skip
    options.add_argument("-o", "--output", action="append", default=[], metavar="FILE",
                         help="refined experiment (.toml, .expt, XPARM.XDS, .geom ...), values (.csv), report (.html); may be "
                         "repeated")  # fmt: skip
    options.add_argument("--spots", metavar="FILE", help="places of spots, .refl or CSV (default: found here)")
    options.add_argument("--background", choices=BACKGROUNDS, default="plane", help="under each spot (%(default)s)")
    options.add_argument("--intensities", choices=INTENSITIES, default="model",
                         help="free: structure factors play no part (%(default)s)")  # fmt: skip
    options.add_argument("--loss", choices=LOSSES, default="linear", help="(%(default)s)")
    options.add_argument("--d-min", type=float, metavar="ANGSTROM", help="smallest spacing of shoeboxes")
    options.add_argument(
        "--max-boxes", type=int, default=200, metavar="N", help="brightest shoeboxes used (%(default)s)"
    )
    options.add_argument("--gain", type=float, default=1.0, help="counts of a photon (%(default)s)")
    options.add_argument("--offset", type=float, default=0.0, help="counts without photons (%(default)s)")
    options.add_argument("--read-noise", type=float, default=0.0, help="standard deviation of the read-out, in counts")
    options.add_argument("--saturation", type=float, help="counts from which on a pixel is left out")
    return carried_out(_refine, options, args)


def _refine(typed: Any) -> int:
    found = refine(
        typed.image_file, experiment_of(typed), refine=typed.paths, spots=typed.spots, background=typed.background,
        intensities=typed.intensities, loss=typed.loss, d_min=typed.d_min, max_boxes=typed.max_boxes, gain=typed.gain,
        offset=typed.offset, read_noise=typed.read_noise, saturation=typed.saturation,
    )  # fmt: skip
    sys.stdout.write(f"{found}\n")
    for path in typed.output:
        found.write(path)
        sys.stdout.write(f"{os.fspath(path)}\n")
    return 0
