"""`nanoBragg compare`: two images, two engines, or this program and an executable of the user's."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.backends import BACKENDS
from nanobragg.cli.dropin.render import engine_of
from nanobragg.cli.progress import ProgressReport
from nanobragg.cli.words.common.raw_shape import add_shape
from nanobragg.cli.words.common.reference_run import (
    RunnerError,
    console_difference,
    executable,
    own_program,
    run_program,
    stage,
)
from nanobragg.cli.words.common.tool import AGREE, DIFFER, Options, with_status
from nanobragg.config import Experiment
from nanobragg.derivation.derive import derive
from nanobragg.derivation.orientations import seeded
from nanobragg.derivation.resolve import resolve
from nanobragg.errors import FileFormatError, UsageError
from nanobragg.exchange.command_line.reading import read_command
from nanobragg.inspection.comparison import Gates, ImageComparison, compare
from nanobragg.inspection.report_html import difference_picture, picture_of, report_page
from nanobragg.inspection.tracing.printout import as_trace, read_printout, with_printed
from nanobragg.inspection.tracing.scaling import audit_lines
from nanobragg.inspection.tracing.trace import trace
from nanobragg.inspection.tracing.versus import compare_traces
from nanobragg.io.atomic import write_bytes
from nanobragg.io.geometry.headers.reading import geometry_of_image
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.float_image import read_float
from nanobragg.io.images.image_file import read_image
from nanobragg.io.images.pgm import read_pgm
from nanobragg.io.images.png import encode_png, preview
from nanobragg.lazy import dataclass

_FLOAT_ENDINGS = (".bin", ".raw", ".float", ".f32")
_TRACED = 3
"""Worst pixels that are traced."""


@dataclass
class _Pair:
    """Two images, and what more is known about how they came to be."""

    names: tuple[str, str]
    images: tuple[Any, Any]
    where_they_part: Callable[[int, int], str] | None = None
    """(slow, fast): the first quantity in which the two runs differ there"""
    sections: list[tuple[str, str]] = field(default_factory=list)
    geometry: Geometry | None = None
    """of the panels, where there are several"""


def run_compare(args: Sequence[str]) -> int:
    """Run the subcommand; see `nanobragg.cli.words.common.tool` for the exit status."""
    return with_status(_run, args)


def _options() -> Options:
    options = Options(
        "compare", "Two images compared: metrics, peaks, worst pixels, pictures. Exit status: 0 within the gates, 1 outside, "
        "2 wrong usage, 3 something that should run failed.",
        "A B  |  --backends c torch -- FLAGS  |  --reference-exe PATH -- FLAGS",
    )  # fmt: skip
    gates = Gates()
    add = options.add_argument
    add("images", nargs="*", metavar="A B", help="float image (.bin), npy, SMV, NXmx, miniCBF, PGM, TIFF, EDF")
    add_shape(options, "else that of the other image, else square")
    add("--backends", nargs=2, choices=BACKENDS, metavar=("X", "Y"), help="render the flags with both engines")
    add(
        "--reference-exe",
        nargs="?",
        const="",
        metavar="PATH",
        help="run the flags with this executable (default: $NB_C_BIN)",
    )
    add("--max-diff", type=float, default=gates.max_diff, help="largest difference, of the maximum (%(default)g)")
    add("--sum-ratio", type=float, default=gates.sum_ratio, help="of |sum ratio - 1| (%(default)g)")
    add("--corr", type=float, default=gates.corr, help="least correlation (%(default)g)")
    add("--peaks", type=int, default=20, metavar="N", help="brightest peaks to match (%(default)s)")
    add("--worst", type=int, default=5, metavar="N", help="worst pixels to list (%(default)s)")
    add("--out", metavar="DIR", help="write summary.json and report.html there")
    add("--png", action="store_true", help="write the pictures there too, as PNG")
    add("--json", action="store_true", help="print the summary as JSON")
    return options


def _run(args: Sequence[str]) -> int:
    options = _options()
    typed, flags = options.read(args)
    if typed.png and not typed.out:
        options.error("--png needs --out DIR")
    pair = _pair(options, typed, flags)
    gates = Gates(typed.max_diff, typed.sum_ratio, typed.corr)
    found = compare(*pair.images, gates=gates, top=typed.peaks, worst=typed.worst, names=pair.names)
    found = _traced(found, pair)
    if typed.out:
        _write(typed.out, typed.png, found, pair)
    if typed.json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        lines = list(found.lines())
        for head, text in pair.sections:
            lines += ["", f"{head}:", *text.splitlines()]
        sys.stdout.write("\n".join(lines) + "\n")
    if not found:
        sys.stdout.flush()
        print(f"nanobragg: compare: FAIL: {'; '.join(found.failures)}", file=sys.stderr)
    return AGREE if found else DIFFER


def _pair(options: Options, typed: Any, flags: list[str]) -> _Pair:
    ways = [bool(typed.images), typed.backends is not None, typed.reference_exe is not None]
    if not any(ways) and flags and os.environ.get("NB_C_BIN"):
        typed.reference_exe, ways[2] = "", True
    if sum(ways) != 1:
        options.error("name two images, or --backends, or --reference-exe, and only one of them")
    if typed.images:
        if len(typed.images) != 2 or flags:
            options.error("two images are compared, without flags")
        images = _read_both(typed.images, typed.shape)
        return _Pair((typed.images[0], typed.images[1]), images, geometry=_geometry(typed.images, images[0]))
    options.flags_needed(flags)
    return _backends(typed.backends, flags) if typed.backends else _against(typed.reference_exe, flags)


def _traced(found: ImageComparison, pair: _Pair) -> ImageComparison:
    """The comparison with the traces of its worst pixels, where they were different at all."""
    if pair.where_they_part is None:
        return found
    worst = [
        dataclasses.replace(pixel, note=pair.where_they_part(pixel.slow, pixel.fast))
        if i < _TRACED and pixel.difference != 0 else pixel
        for i, pixel in enumerate(found.worst)
    ]  # fmt: skip
    return dataclasses.replace(found, worst=worst)


def _write(out: str, png: bool, found: ImageComparison, pair: _Pair) -> None:
    os.makedirs(out, exist_ok=True)
    folder = Path(out)
    summary = {**found.to_dict(), "more": dict(pair.sections)}
    write_bytes(folder / "summary.json", [json.dumps(summary, indent=1).encode()])
    page = report_page(found, *pair.images, sections=pair.sections, geometry=pair.geometry)
    write_bytes(folder / "report.html", [page.encode()])
    if png:
        seen = [picture_of(image, pair.geometry) for image in pair.images]
        for name, image in zip(("a.png", "b.png"), seen, strict=True):
            write_bytes(folder / name, [encode_png(preview(image))])
        write_bytes(folder / "difference.png", [encode_png(difference_picture(*seen))])


# -- two files


def _read_both(paths: Sequence[str], shape: Sequence[int] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both images; a float image without header takes the shape that is typed, or the other's, or is square."""
    given = None if shape is None else (shape[0], shape[1])
    bare = [_is_float_image(path) for path in paths]
    images: list[NDArray[Any] | None] = [
        None if is_bare else _read(path) for path, is_bare in zip(paths, bare, strict=True)
    ]
    other = next((np.shape(image) for image in images if isinstance(image, np.ndarray)), None)
    for i, path in enumerate(paths):
        if images[i] is None:
            images[i] = _read_float(path, given or other)
    first, second = images
    assert first is not None and second is not None
    return first, second


def _geometry(paths: Sequence[str], image: Any) -> Geometry | None:
    """Where the panels stand, as the first of the files says that knows it."""
    if np.ndim(image) != 3:
        return None
    for path in paths:
        try:
            found = geometry_of_image(path)
        except FileFormatError:
            continue
        if [(panel.n_slow, panel.n_fast) for panel in found.panels] == [panel.shape for panel in image]:
            return found
    return None


def _is_float_image(path: str) -> bool:
    return path.lower().endswith(_FLOAT_ENDINGS)


def _read(path: str) -> NDArray[Any]:
    if path.lower().endswith(".npy"):
        try:
            return np.asarray(np.load(path, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise FileFormatError(path, f"is not a readable npy file: {error}") from None
    return read_image(path)


def _read_float(path: str, shape: tuple[int, ...] | None) -> NDArray[Any]:
    if shape is None:
        try:
            edge = round((os.path.getsize(path) / 4) ** 0.5)
        except OSError as error:
            raise FileFormatError(path, f"cannot be read: {error.strerror}") from None
        if 4 * edge * edge != os.path.getsize(path):
            raise UsageError(f"compare: {path} is not square; write --shape SLOW FAST")
        shape = (edge, edge)
    return read_float(path, (shape[0], shape[1]))


# -- two engines


def _backends(backends: Sequence[str], flags: list[str]) -> _Pair:
    experiment = seeded(Experiment.from_nanobragg_args(flags))
    decided = resolve(experiment)
    images = []
    line = read_command(flags)
    for backend in backends:
        chosen = engine_of(line, backend)
        scene = derive(decided, chosen.ops)
        with ProgressReport(scene.n_pixels, 0) as progress:
            images.append(chosen.image(scene, progress=progress))

    def part(slow: int, fast: int) -> str:
        found = compare_traces(
            trace(experiment, (slow, fast), backends[0]), trace(experiment, (slow, fast), backends[1])
        )
        if found.first is None:
            return "the traces agree within 1e-9"
        return str(found.first) + (f"; rounding noise of the original ({found.noise})" if found.noise else "")

    first = np.asarray(images[0].detach().cpu() if hasattr(images[0], "detach") else images[0])
    slow, fast = (int(i) for i in np.unravel_index(int(first.argmax()), first.shape))
    traces = (trace(experiment, (slow, fast), backends[0]), trace(experiment, (slow, fast), backends[1]))
    audit = (f"scaling at the brightest pixel, slow {slow} fast {fast}", "\n".join(audit_lines(*traces)))
    names = (backends[0], backends[1]) if backends[0] != backends[1] else (f"{backends[0]} (1)", f"{backends[1]} (2)")
    return _Pair(names, (images[0], images[1]), part, [audit])


# -- an executable of the user's


def _against(given: str, flags: list[str]) -> _Pair:
    """Float images of the executable (a) and of this program (b), run on the same flags; every other output as a section."""
    program = executable(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        line = read_command(flags)
        experiment = Experiment.from_nanobragg_args(flags)
    output = line.output()
    n_fast, n_slow = line.detector_size()[0]
    with tempfile.TemporaryDirectory(prefix="nanobragg-compare-") as temporary:
        folders = Path(temporary) / "reference", Path(temporary) / "ours"
        consoles = []
        for folder, command in zip(folders, ([program], own_program()), strict=True):
            folder.mkdir()
            consoles.append(run_program([*command, *stage(line, flags, folder)], folder))
        read = [_read_float(str(folder / os.path.basename(output.float_file)), (n_slow, n_fast)) for folder in folders]
        counts = {"int image": output.int_file, "PGM": output.pgm_file, "noise image": output.noise_file}
        rows = [
            _counts_row(name, file, folders) for name, file in counts.items() if file and _comparable(name, output.seed)
        ]
    rows.append(f"console: {console_difference(*consoles) or 'equal to the printed digits'}")

    def part(slow: int, fast: int) -> str:
        return _printed_difference(program, line, flags, experiment, (slow, fast))

    names = (os.path.basename(program), "nanobragg")
    return _Pair(names, (read[0], read[1]), part, [("other outputs", "\n".join(rows))])


def _comparable(name: str, seed: int | None) -> bool:
    return name != "noise image" or seed is not None


def _counts_row(name: str, file: str, folders: tuple[Path, Path]) -> str:
    """Largest difference of two images of whole numbers, or of the bytes of two files."""
    paths = [str(folder / os.path.basename(file)) for folder in folders]
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        return f"{name}: {os.path.basename(file)} was not written by {'both' if len(missing) == 2 else 'one'}"
    images = [(read_pgm(path) if name == "PGM" else _read(path)).astype(np.int64) for path in paths]
    difference = np.abs(images[0] - images[1])
    return f"{name}: largest difference {difference.max()}, {np.count_nonzero(difference)} of {difference.size} pixels differ"


def _printed_difference(program: str, line: Any, flags: list[str], experiment: Any, at: tuple[int, int]) -> str:
    """Where the executable's printed block and our trace part."""
    slow, fast = at
    with tempfile.TemporaryDirectory(prefix="nanobragg-compare-") as temporary:
        folder = Path(temporary)
        # in front, because flags behind others change what some command lines mean
        asked = ["-printout", "-printout_pixel", str(fast), str(slow)]
        try:
            text = run_program([program, *asked, *stage(line, flags, folder)], folder)
        except RunnerError as error:
            return str(error)
    printed = next((block for block in read_printout(text) if block.pixel == at), None)
    if printed is None:
        return "the executable prints no block for this pixel"
    ours = with_printed(trace(experiment, at))
    found = compare_traces(as_trace(printed, ours, os.path.basename(program)), ours)
    return "agrees with the printed digits" if found.first is None else str(found.first)
