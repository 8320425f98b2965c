"""`nanoBragg refine`: parameters of an experiment against images."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.words.common.bar import bar
from nanobragg.cli.words.common.existing import refuse_overwriting
from nanobragg.cli.words.common.experiment_file import add_experiment, experiment_of
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.errors import UsageError
from nanobragg.io.atomic import write_bytes
from nanobragg.refinement.recipes.carry_out import RefineOutcome, carry_out, images_of, outputs_of, write
from nanobragg.refinement.recipes.tables import (
    USUAL,
    OutputFiles,
    RefinePlan,
    RefineRecipe,
    commented_recipe,
    read_recipe,
)
from nanobragg.refinement.refine import BACKGROUNDS, INTENSITIES, LOSSES, METHODS

_KEYS = {
    "paths": "parameters", "shared": "shared", "background": "background", "intensities": "intensities", "loss": "loss",
    "method": "method", "spots": "data.spots", "d_min": "data.d_min_angstrom", "max_boxes": "data.max_boxes",
    "gain": "data.gain", "offset": "data.offset", "read_noise": "data.read_noise", "saturation": "data.saturation",
    "workers": "stages.workers", "checkpoint": "stages.checkpoint",
}  # fmt: skip
"""Key of ``[refine]`` for what is typed."""


def run_refine(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words("refine", "Refine orientation, cell, mosaicity, scale, geometry ... against the pixels of images, with "
                    "errors: a start and images as typed, or all that a file with a table [refine] says.")  # fmt: skip
    add_experiment(options)
    options.add_argument("images", metavar="IMAGE", nargs="*", help="NXmx, miniCBF, SMV, TIFF, EDF ... (default: those of the "
                         "table [refine])")  # fmt: skip
    options.add_argument("--refine", nargs="+", metavar="PATH", dest="paths",
                         help=f"what to refine (default: {USUAL})")  # fmt: skip
    options.add_argument(
        "--shared",
        nargs="+",
        metavar="PATH",
        help="what all images have in common; crystal.structure_factors alone: structure factors",
    )
    options.add_argument("-o", "--output", action="append", default=[], metavar="FILE",
                         help="refined experiment (.toml, .expt, XPARM.XDS, .geom ...), values (.csv, .parquet), report (.html), "
                         "reflections (.refl, .stream), structure factors (.hkl, .mtz); may be repeated; of several "
                         "images numbered")  # fmt: skip
    options.add_argument("--spots", metavar="FILE", help="places of spots, .refl or CSV (default: found here)")
    options.add_argument("--background", choices=BACKGROUNDS, help="under each spot (default: plane)")
    options.add_argument("--intensities", choices=INTENSITIES,
                         help="free: structure factors play no part (default: model)")  # fmt: skip
    options.add_argument("--loss", choices=LOSSES, help="of residuals (default: linear)")
    options.add_argument("--method", choices=METHODS, help="lbfgs: for many parameters (default: auto)")
    options.add_argument("--d-min", type=float, metavar="ANGSTROM", help="smallest spacing of shoeboxes")
    options.add_argument("--max-boxes", type=int, metavar="N", help="brightest shoeboxes used (default: 200)")
    options.add_argument("--gain", type=float, help="counts of a photon (default: 1)")
    options.add_argument("--offset", type=float, help="counts without photons (default: 0)")
    options.add_argument("--read-noise", type=float, help="standard deviation of the read-out, in counts")
    options.add_argument("--saturation", type=float, help="counts from which on a pixel is left out")
    options.add_argument("--workers", type=int, metavar="N", help="processes that images are given to (default: 1)")
    options.add_argument("--checkpoint", metavar="FOLDER", help="where images that are finished are kept: cut off and run again, "
                         "the others follow")  # fmt: skip
    options.add_argument("--force", action="store_true", help="overwrite files; do not ask")
    options.add_argument("--keys", action="store_true", help="write the commented tables of [refine], all keys with their "
                         "meaning, to FILE, and refine nothing")  # fmt: skip
    return carried_out(_refine, options, args)


def _refine(typed: Any) -> int:
    if typed.keys:
        refuse_overwriting([] if typed.force else [typed.file])
        write_bytes(typed.file, [commented_recipe().encode()])
        sys.stdout.write(f"{typed.file}\n")
        return 0
    plan = _plan(typed)
    outputs = outputs_of(plan, len(images_of(plan)), typed.output)
    refuse_overwriting([] if typed.force else list(outputs))
    with bar() as progress:
        outcome = carry_out(plan, progress)
    sys.stdout.write(f"{_told(outcome)}\n")
    for name in write(outcome, outputs):
        sys.stdout.write(f"{name}\n")
    return 0


def _plan(typed: Any) -> RefinePlan:
    """The table [refine] of the file, or one without output, with what was typed in its place."""
    plan = read_recipe(typed.file, typed.changes) if typed.file.endswith(".toml") else None
    names = tuple(map(os.path.abspath, typed.images))
    if plan is None:
        if not names:
            raise UsageError(f"refine: which images? {typed.file} has no table [refine], and none was typed")
        nothing = OutputFiles(experiment="", values="", report="", amplitudes="")
        plan = RefinePlan(experiment_of(typed), RefineRecipe(images=names, output=nothing), "")
    recipe = plan.recipe.with_value("images", names) if names else plan.recipe
    for word, key in _KEYS.items():
        value = getattr(typed, word)
        if value is not None:
            value = (
                os.path.abspath(value)
                if word in ("spots", "checkpoint")
                else tuple(value)
                if isinstance(value, list)
                else value
            )
            table, _, name = key.rpartition(".")
            recipe = recipe.with_value(table, getattr(recipe, table).with_value(name, value)) if table else (
                recipe.with_value(name, value))  # fmt: skip
    return dataclasses.replace(plan, recipe=recipe)


def _told(outcome: RefineOutcome) -> str:
    """What is printed: one image as it is, of several a line each, and what they have in common."""
    if len(outcome.images) == 1 and outcome.together is None and outcome.amplitudes is None:
        return str(outcome.refinements[0])
    lines = [f"{name}: {found.message}, chi-squared {found.chi2:.3f}"
             for name, found in zip(outcome.images, outcome.refinements, strict=True)]  # fmt: skip
    shared = outcome.together or outcome.amplitudes
    return "\n".join([*lines, *([] if shared is None else [str(shared)])])
