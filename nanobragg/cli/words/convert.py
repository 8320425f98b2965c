"""`nanoBragg convert`: between geometry files, and between image formats."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from nanobragg.cli.words.common.in_options import in_options
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.cli.words.run import write_images
from nanobragg.config import Experiment
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import FileFormatError, UsageError
from nanobragg.exchange.geometry import of_experiment, to_experiment
from nanobragg.exchange.geometry_files import (
    CRYSTAL_ALONE,
    NAMES,
    folded_wavelength,
    geometry_in,
    kind_of_name,
    save_geometry,
    write_geometry,
)
from nanobragg.exchange.toml import Run, read_toml
from nanobragg.io.geometry.headers.reading import geometry_of_image, kind_of_file
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.hdf5 import find_data, open_hdf5, read_frame
from nanobragg.io.images.image_file import embedded_text, image_format, read_image

IMAGES = (".nxs", ".h5", ".hdf5", ".cbf", ".img", ".smv", ".tif", ".tiff", ".edf")


def run_convert(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words(
        "convert", f"From a geometry file or image header to a geometry file ({NAMES}), or from images to images "
        f"({' '.join(IMAGES)}). The name of the output decides.",
        epilog="Images carry their geometry along where both formats have one; --geometry supplies it where the input has none.",
    )  # fmt: skip
    options.add_argument("inputs", nargs="+", metavar="IN", help="a geometry file, or images in order")
    options.add_argument("output", metavar="OUT")
    options.add_argument("--geometry", metavar="FILE", help="geometry of the images")
    options.add_argument("--index", type=int, help="which experiment or crystal of the input, from 0")
    options.add_argument("--image", type=int, help="which image of the scan the geometry is of")
    options.add_argument(
        "--template", metavar="TOML", help="experiment file that supplies what the input does not hold"
    )
    options.add_argument("--stream", metavar="FILE", help="CrystFEL stream that goes with a .geom")
    options.add_argument("--wavelength", type=float, metavar="ANGSTROM", help="where the input does not hold it")
    options.add_argument(
        "--camera-length", type=float, metavar="METERS", help="clen of a .geom, where it stands in the images"
    )
    options.add_argument("--compression", default="gzip", help="of .nxs: gzip, bitshuffle-lz4, none")
    options.add_argument("--expt", action="store_true", help="also write a DIALS experiment list beside images")
    return carried_out(_convert, options, args)


def _convert(typed: Any) -> int:
    if os.path.splitext(typed.output)[1].lower() in IMAGES:
        return _convert_images(typed)
    if len(typed.inputs) > 1:
        raise UsageError(f"convert: {len(typed.inputs)} inputs for one geometry file; give one")
    source = typed.inputs[0]
    geometry, template = _read(source, typed), _template(typed)
    if template is None:
        _write(typed.output, geometry, source)
    else:
        _format_of(typed.output)
        write_geometry(to_experiment(geometry, source, template, None), typed.output, n_images=geometry.n_images)
    sys.stdout.write(f"{typed.output}\n")
    return 0


def _template(typed: Any) -> Experiment | None:
    return None if typed.template is None else read_toml(typed.template).experiment


def _read(path: str, typed: Any) -> Geometry:
    """Geometry of any file that is known; the content decides."""
    wavelength, template = typed.wavelength, _template(typed)
    if not path.endswith(".toml") and kind_of_file(path) == "matrix" and wavelength is None:
        if template is None:
            raise UsageError(f"{path}: a matrix holds the wavelength as a factor; write --wavelength ANGSTROM")
        wavelength = folded_wavelength(None, template)
    with in_options():
        return geometry_in(
            path, image=typed.image, index=typed.index, stream=typed.stream, wavelength_angstrom=wavelength,
            camera_length_m=typed.camera_length,
        )  # fmt: skip


def _write(path: str, geometry: Geometry, source: str) -> None:
    """Write a geometry file in the format of its name."""
    kind = _format_of(path)
    if kind not in CRYSTAL_ALONE and not geometry.panels:
        raise UsageError(f"{source}: holds a crystal only; the outputs for it are .mat and .stream")
    if kind == "toml":
        write_geometry(to_experiment(geometry, source, None, StructureFactors.constant(1.0)), path)
    else:
        save_geometry(path, geometry)


def _format_of(path: str) -> str:
    """The format that the name of an output says."""
    kind = kind_of_name(path)
    if kind is None:
        raise UsageError(f"{path}: its name is that of no known format; geometry: {NAMES}; images: {' '.join(IMAGES)}")
    return kind


def _convert_images(typed: Any) -> int:
    geometry = _geometry_of_images(typed)
    record = embedded_text(typed.inputs[0])
    more = {"converted_from": [os.path.basename(path) for path in typed.inputs], "source": record}
    if typed.compression not in ("gzip", "bitshuffle-lz4", "none"):
        raise UsageError(f"--compression {typed.compression}: must be gzip, bitshuffle-lz4 or none")
    known = _counted(record)
    more |= known
    run = Run(compression=typed.compression, sidecar=typed.expt, adc_offset=max(known.get("adc_offset", 0.0), 0.0))
    for name in write_images(
        typed.output, _images(typed.inputs, geometry), geometry, run, more, known.get("saturation")
    ):
        sys.stdout.write(f"{name}\n")
    return 0


def _counted(record: str | None) -> dict[str, Any]:
    """Offset and saturation of counts, as the record of an image of ours has them."""
    try:
        found = json.loads(record or "{}")
    except ValueError:
        return {}
    kinds: dict[str, Any] = {"adc_offset": (int, float), "saturation": int}
    return {name: found[name] for name, kind in kinds.items() if isinstance(found.get(name), kind)}


def _geometry_of_images(typed: Any) -> Any:
    """Geometry from --geometry or the first header; None for outputs that hold none."""
    source = typed.geometry or typed.inputs[0]
    try:
        found = _read(source, typed) if typed.geometry else geometry_of_image(source)
        template = _template(typed)
        return found if template is None else of_experiment(to_experiment(found, source, template, None))
    except FileFormatError:
        if not typed.geometry and os.path.splitext(typed.output)[1].lower() in (".tif", ".tiff", ".edf"):
            return None
        raise


def _images(paths: Sequence[str], geometry: Any) -> Iterator[Any]:
    """All images of all files, those of several panels taken apart."""
    for path in paths:
        if image_format(path) != "nxmx":
            yield _panels(path, read_image(path), geometry)
            continue
        with open_hdf5(path) as file:
            data = find_data(path, file)
            for i in range(len(data)):
                yield _panels(path, read_frame(path, data, i + 1), geometry)


def _panels(path: str, frame: Any, geometry: Any) -> Any:
    """The parts of an image that are its panels: where the geometry says, else below each other."""
    if geometry is None or len(geometry.panels) < 2:
        return frame
    places = [panel.image_offset for panel in geometry.panels]
    stacked = len(set(places)) < len(places)
    if stacked:
        rows = itertools.accumulate((panel.n_slow for panel in geometry.panels), initial=0)
        *places, (_, last) = ((0, row) for row in rows)
    parts = [frame[s : s + panel.n_slow, f : f + panel.n_fast]
             for panel, (f, s) in zip(geometry.panels, places, strict=True)]  # fmt: skip
    missing = any(part.shape != (p.n_slow, p.n_fast) for part, p in zip(parts, geometry.panels, strict=True))
    if missing or (stacked and last != frame.shape[0]):
        size, how = f"{frame.shape[1]} x {frame.shape[0]} pixels", ", below each other" if stacked else ""
        raise UsageError(f"{path}: an image of {size} is not that of the {len(parts)} panels of the geometry{how}")
    return parts
