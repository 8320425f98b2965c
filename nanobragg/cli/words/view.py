"""`nanoBragg view`: a picture of an image."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from nanobragg.cli.words.common.experiment_file import experiment_of
from nanobragg.cli.words.common.raw_shape import add_shape
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.errors import FileFormatError, UsageError
from nanobragg.exchange.geometry_files import geometry_in
from nanobragg.inspection.pictures.drawing import drawn
from nanobragg.io.atomic import replacing
from nanobragg.io.geometry.headers.reading import geometry_of_image
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.float_image import read_float
from nanobragg.io.images.image_file import read_image
from nanobragg.prediction.predict import predict


def run_view(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words(
        "view",
        "A picture (PNG) of an image: contrast that shows weak spots, resolution rings, the beam center; panels stand in it "
        "as in the laboratory.",
    )
    options.add_argument("image", help="NXmx, miniCBF, SMV, PGM, TIFF, EDF, or float32 .bin with --shape")
    options.add_argument("-o", "--output", metavar="PNG", help="default: the image's name with .png")
    options.add_argument("-n", "--number", type=int, default=1, help="which image of a stack, from 1")
    add_shape(options, "has no default")
    options.add_argument("--geometry", metavar="FILE", help="geometry file, where the header has none")
    options.add_argument("--no-rings", action="store_true", help="neither rings nor beam center")
    options.add_argument("--predicted", metavar="FILE", help="mark the reflections of this experiment or geometry file")
    options.add_argument(
        "--template", metavar="TOML", help="experiment that supplies what a geometry file does not hold"
    )
    options.add_argument("--d-min", type=float, metavar="ANGSTROM", help="smallest spacing that is marked")
    options.add_argument("--max", type=float, help="count that is shown black (default: automatic)")
    return carried_out(_view, options, args)


def _view(typed: Any) -> int:
    pixels = _pixels(typed)
    geometry = _geometry(typed)
    output = typed.output or os.path.splitext(typed.image)[0] + ".png"
    spots = None
    if typed.predicted:
        found = _predicted(typed)
        spots = (found["crystal"], found["panel"], found["fast"], found["slow"])
        geometry = geometry or found.geometry
    figure = drawn(
        pixels, geometry, os.path.basename(typed.image), typed.max, spots=spots, marks=not typed.no_rings, what="nanoBragg view"
    )  # fmt: skip
    with replacing(output) as temporary:
        figure.savefig(temporary, format="png")
    sys.stdout.write(f"{output}\n")
    return 0


def _pixels(typed: Any) -> Any:
    if typed.image.endswith(".bin"):
        if typed.shape is None:
            raise UsageError(
                f"{typed.image}: a raw image has no header; write --shape SLOW FAST, or write --size FAST SLOW"
            )
        return np.asarray(read_float(typed.image, (typed.shape[0], typed.shape[1])))
    return read_image(typed.image, typed.number)


def _geometry(typed: Any) -> Geometry | None:
    if typed.geometry:
        return geometry_in(typed.geometry)
    try:
        return geometry_of_image(typed.image)
    except FileFormatError:
        return None


def _predicted(typed: Any) -> Any:
    """The predicted reflections."""
    given = SimpleNamespace(file=typed.predicted, template=typed.template, changes=[], index=None, image=None)
    return predict(experiment_of(given), d_min=typed.d_min)
