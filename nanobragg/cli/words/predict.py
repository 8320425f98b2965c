"""`nanoBragg predict`: the reflections that an image holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanobragg.cli.words.common.bar import bar
from nanobragg.cli.words.common.existing import refuse_overwriting
from nanobragg.cli.words.common.experiment_file import add_experiment, experiment_of
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.prediction.predict import METHODS, predict
from nanobragg.prediction.table import SUFFIXES, Reflections

_SHOWN = 20


def run_predict(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words("predict", "The reflections that an image holds: place, spacing, photons, partiality, shoebox.")
    add_experiment(options)
    options.add_argument("-o", "--output", metavar="FILE", help=f"where the table goes: {SUFFIXES}; default: printed")
    options.add_argument(
        "--d-min", type=float, metavar="ANGSTROM", help="smallest spacing (default: that of the corners)"
    )
    options.add_argument("--photons", choices=METHODS, default="analytic", help="how photons are found (%(default)s)")
    options.add_argument("--force", action="store_true", help="overwrite the file; do not ask")
    return carried_out(_predict, options, args)


def _predict(typed: Any) -> int:
    if typed.output and not typed.force:
        refuse_overwriting([typed.output])
    with bar() as progress:
        spots = predict(experiment_of(typed), d_min=typed.d_min, photons=typed.photons, progress=progress)
    if typed.output:
        spots.write(typed.output)
        sys.stdout.write(f"{typed.output}: {len(spots)} reflections\n")
    else:
        _print(spots)
    return 0


def _print(spots: Reflections) -> None:
    several = spots["crystal"].any()
    lines = ["   h    k    l  " + "crystal  " * bool(several) + "panel     fast     slow  d [A]    photons  part"]
    brightest = np.argsort(-spots["photons"], kind="stable")[:_SHOWN]
    for row in spots.table[np.sort(brightest)]:
        index = " ".join(f"{i:4d}" for i in row["hkl"])
        place = f"{row['fast']:8.2f} {row['slow']:8.2f} {row['d']:6.2f}"
        index += f"  {row['crystal']:7d}" if several else ""
        lines.append(f"{index}  {row['panel']:5d} {place} {row['photons']:10.4g} {row['partiality']:5.3f}")
    more = len(spots) - _SHOWN
    lines.append(
        f"{len(spots)} reflections" + (f", the {_SHOWN} brightest shown; --output FILE writes all" if more > 0 else "")
    )
    sys.stdout.write("\n".join(lines) + "\n")
