"""A run as the original program's: its flags, its report, its files."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from nanobragg.arrays import drawn_seed
from nanobragg.cli.dropin import report
from nanobragg.cli.dropin.named_flags import doubts_in_flags, in_flags, name_in_flags, note_doubtful_values
from nanobragg.cli.dropin.output import write_images
from nanobragg.cli.dropin.render import engine_of, render
from nanobragg.cli.dropin.usage import BANNER, USAGE_LINE, help_text
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.orientations import seeded
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.rng import checked_seed
from nanobragg.errors import ConfigError, FileFormatError, NanoBraggError, NanoBraggWarning, PlausibilityWarning
from nanobragg.exchange.command_line.files import ReflectionInput, read_reflections
from nanobragg.exchange.command_line.ineffective import is_told, note_ineffective
from nanobragg.exchange.command_line.meaning import build_experiment
from nanobragg.exchange.command_line.reading import CommandLine, MissingInput, read_command, require_inputs
from nanobragg.inspection.foresight.pictures import image_doubt
from nanobragg.inspection.foresight.warned import warn_about, warn_of_long_run
from nanobragg.io.reflections.fdump import write_fdump


def run(args: Sequence[str]) -> int:
    """Run one drop-in command line; errors are raised."""
    line = read_command(args)
    try:
        _simulate(line)
    except ConfigError as error:
        raise in_flags(line, error) from error
    finally:
        _tell(line)
        sys.stdout.flush()
    return 0


def _simulate(line: CommandLine) -> None:
    """Everything after the arguments are read: report, rendering, files."""
    note_doubtful_values(line)
    for text in report.opened_headers(line):
        _say(text)
    try:
        require_inputs(line)
    except MissingInput as missing:
        _say(BANNER)
        if missing.what == "hkl":
            _say("ERROR: no hkl file and no dump file to read.", end="")
        missing.afterwards = f"{USAGE_LINE}\n\n{help_text()}"
        raise
    output = line.output()
    chosen = engine_of(line)
    try:
        reflections = read_reflections(line)
    except NanoBraggError:
        _report_unread(line)
        raise
    typed = build_experiment(line, reflections)
    experiment = seeded(typed)
    if experiment is not typed:
        seed = experiment.crystal.misset_seed
        line.note(f"-misset random: the orientation is drawn with seed {seed}; to have it again write -misset_seed {seed} "
                  "before -misset random")  # fmt: skip
    note_ineffective(line)
    doubts = doubts_in_flags(line, experiment)
    for text in doubts:
        line.note(text, PlausibilityWarning)
    _tell(line)
    d = derivation(resolve(experiment))
    with warnings.catch_warnings(record=True) as caught:
        doubtful = warn_about([d.decided], [d], doubtful=bool(doubts))
    for warning in caught:
        if not is_told(line, getattr(warning.message, "paths", ())):
            warnings.warn(warning.message, warning.category, stacklevel=1)
    warn_of_long_run([d.decided], [d.scene], chosen, name=lambda path: name_in_flags(line, path))
    seed = drawn_seed() if output.seed is None else output.seed
    if output.noise_file is not None:
        checked_seed("noise.seed", seed)  # now, not when images have been written
    for text in report.setup(line, d, matrix_opened=_matrix_opened(line)):
        _say(text)
    for text in report.reading(reflections):
        _say(text)
    _write_dump(line, reflections)
    for text in report.summary(line, d, reflections, None if output.noise_file is None else seed):
        _say(text)
    sys.stdout.flush()
    image = render(line, chosen, output, d, _say)
    if not doubtful and (nothing := image_doubt(image, d.scene)):
        warnings.warn(PlausibilityWarning(nothing), stacklevel=1)
    write_images(line, output, d, image, seed, _say)


def _report_unread(line: CommandLine) -> None:
    """Structure factors that cannot be read: the report up to them, and the original's error (docs/command.md)."""
    if "mtz" in line.own or "model" in line.own:
        return
    path = str(line.settings.get("hkl", line.dump_file))
    nothing = ReflectionInput("constant", path, StructureFactors.constant(1.0))
    d = derivation(resolve(build_experiment(line, nothing)))
    for text in report.setup(line, d, matrix_opened=_matrix_opened(line)):
        _say(text)
    if not os.path.exists(path):
        _say(f"ERROR: unable to open {path}.")
    elif "hkl" in line.settings:
        _say(
            f"ERROR: not enough HKL indices in {path}"
            if os.path.getsize(path) == 0
            else f"ERROR: unable to read {path}"
        )


def _matrix_opened(line: CommandLine) -> bool:
    return "mat" in line.settings and os.path.exists(str(line.settings.get("mat")))


def _write_dump(line: CommandLine, reflections: ReflectionInput) -> None:
    """The dump for next time, whenever a structure-factor file was read (docs/file_formats.md, Fdump.bin)."""
    if reflections.kind != "hkl":
        return
    try:
        write_fdump(line.dump_file, reflections.structure_factors)
    except FileFormatError as error:
        _say(f"WARNING: unable to open dump file: {line.dump_file}")
        warnings.warn(f"{error}; the run goes on without a dump", NanoBraggWarning, stacklevel=1)
    else:
        _say(f"writing dump file for next time: {line.dump_file}")


def _tell(line: CommandLine) -> None:
    """Pass the notes on to stderr; a text that was said is not said again."""
    for note in line.notes:
        warnings.warn(note.text, note.category, stacklevel=1)


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
