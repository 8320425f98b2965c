"""`nanoBragg trace`: everything that is computed on the way to one pixel, or the first number in which two runs differ."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

from nanobragg.backends import BACKENDS, DEFAULT_BACKEND
from nanobragg.cli.words.common.tool import AGREE, DIFFER, Options, with_status
from nanobragg.config import Experiment
from nanobragg.derivation.orientations import seeded
from nanobragg.errors import FileFormatError, UsageError
from nanobragg.inspection.tracing.printout import as_trace, read_printout, with_printed
from nanobragg.inspection.tracing.scaling import audit_lines
from nanobragg.inspection.tracing.trace import Trace, trace
from nanobragg.inspection.tracing.versus import compare_traces
from nanobragg.io.atomic import write_bytes


def run_trace(args: Sequence[str]) -> int:
    """Run the subcommand; see `nanobragg.cli.words.common.tool` for the exit status."""
    return with_status(_run, args)


def _options() -> Options:
    options = Options("trace", "Everything that is computed on the way to one pixel, in the order of evaluation.",
                      "EXPERIMENT.toml | -- FLAGS")  # fmt: skip
    options.add_experiment()
    options.add_argument("--at", nargs=2, type=int, required=True, metavar=("SLOW", "FAST"), help="the pixel")
    options.add_argument("--backend", choices=BACKENDS, default=DEFAULT_BACKEND, help="engine (default %(default)s)")
    options.add_argument(
        "--versus", metavar=f"{'|'.join(BACKENDS)}|FILE", help="compare with the other engine, with a trace that "
        "--json wrote, or with the "
        "console output of the original program under -printout, and name the first quantity that differs",
    )  # fmt: skip
    options.add_argument("--tolerance", type=float, default=1e-9, help="difference that counts as none (default 1e-9)")
    options.add_argument("--scaling", action="store_true", help="the chain of factors to photons only")
    options.add_argument("--json", metavar="FILE", help="write the trace as JSON; - for standard output")
    return options


def _run(args: Sequence[str]) -> int:
    options = _options()
    typed, flags = options.read(args)
    experiment = seeded(options.experiment_in(typed, flags) or Experiment.from_nanobragg_args(flags))
    at = (typed.at[0], typed.at[1])
    ours = trace(experiment, at, typed.backend)
    if typed.json:
        _write(typed.json, ours.to_json() + "\n")
        if typed.json == "-" and not typed.versus:
            return AGREE
    if not typed.versus:
        lines = _scaling(ours) if typed.scaling else [*ours.lines(), "", "scaling", *_scaling(ours)]
        if not typed.json or typed.scaling:
            _say(lines)
        return AGREE
    if typed.versus in BACKENDS:
        theirs = trace(experiment, at, typed.versus)
    else:
        ours, theirs = _from_file(typed.versus, ours)
    found = compare_traces(ours, theirs, typed.tolerance)
    lines = list(found.lines())
    if theirs.complete and not ours.parts:
        lines += ["", "scaling", *audit_lines(ours, theirs)]
    _say(lines)
    return AGREE if found else DIFFER


def _scaling(ours: Trace) -> list[str]:
    """The factors to photons, of every crystal and size of the blocks where there are several."""
    if not ours.parts:
        return [*audit_lines(ours)]
    return [line for part in ours.parts for line in (part.name, *audit_lines(part))]


def _from_file(path: str, ours: Trace) -> tuple[Trace, Trace]:
    """Our trace and the one in a file: written by --json, or the printed block of that pixel in a console output."""
    if not os.path.exists(path):
        raise UsageError(f"--versus {path}: neither an engine ({', '.join(BACKENDS)}) nor a file")
    with open(path, encoding="latin1") as file:
        text = file.read()
    if not text.lstrip().startswith("{"):
        return _printed(path, text, ours)
    try:
        theirs = Trace.from_json(text)
    except ValueError as error:
        raise FileFormatError(path, str(error)) from None
    if theirs.pixel != ours.pixel:
        raise FileFormatError(path, f"is the trace of pixel slow {theirs.pixel[0]} fast {theirs.pixel[1]}")
    return ours, replace(theirs, source=path)


def _printed(path: str, text: str, ours: Trace) -> tuple[Trace, Trace]:
    """Our trace with what only the printed block has, and the block of that pixel."""
    blocks = read_printout(text)
    slow, fast = ours.pixel
    printed = next((block for block in blocks if block.pixel == ours.pixel), None)
    if printed is None:
        pixels = ", ".join(f"{block.pixel[0]} {block.pixel[1]}" for block in blocks[:8])
        raise FileFormatError(
            path, f"no printed block for pixel slow {slow} fast {fast}; run the original with -printout -printout_pixel "
            f"{fast} {slow}" + (f" (there is: {pixels})" if blocks else ""),
        )  # fmt: skip
    ours = with_printed(ours)
    return ours, as_trace(printed, ours, path)


def _write(path: str, text: str) -> None:
    if path == "-":
        sys.stdout.write(text)
        return
    write_bytes(path, [text.encode()])


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
