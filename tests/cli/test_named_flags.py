"""Errors about values name what was typed, the field that it supplies and a spelling that works (docs/command.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import SMALL, Result
from test_bad_input import smv

from nanobragg.cli.dropin.named_flags import in_flags
from nanobragg.errors import ConfigError
from nanobragg.exchange.command_line.flags import FLAGS, Flag

Run = Callable[..., Result]


def the_error(done: Result) -> str:
    """The one error of a run that failed."""
    errors = [line.removeprefix("error: ") for line in done.messages if line.startswith("error: ")]
    assert done.status == 9 and len(errors) == 1, done.err
    return errors[0]


@pytest.mark.parametrize(("flags", "text"), [
    ("-lambda 0", "-lambda 0: beam.wavelength_angstrom=0.0: must be > 0; write -lambda X [Angstrom]"),
    ("-water -1", "-water -1: background.water_um=-1.0: must be >= 0; write -water X [um]"),
    ("-polar 2", "-polar 2: beam.kahn_factor=2.0: must be between -1 and 1; write -polar X"),
    ("-distance nan", "-distance nan: detector.distance_mm=nan: must be a finite number; write -distance X [mm]"),
    # the text that was typed, and the spelling
    ("--wavelength 0x", "--wavelength 0x: beam.wavelength_angstrom=0.0: "),
    # the flag that came last, whatever other flags set the same
    ("-lambda 2 -energy nan", "-energy nan: beam.wavelength_angstrom=nan: "),
    ("-divergence nan", "-divergence nan: beam.divergence.h_mrad=nan: "),
    ("-divergence 3 -vdivrange nan", "-vdivrange nan: beam.divergence.v_mrad=nan: "),
    # several flags make one field; a flag makes part of one
    ("-detector_rotx nan -detector_roty 3", "-detector_rotx nan -detector_roty 3: detector.rotation_deg[0]=nan: "),
    ("-cell 50 nan 3", "-cell 50 nan 3: crystal.unit_cell.b=nan: "),
    # a hint that names a flag is the remedy already
    ("-pixel 0", "-pixel 0: detector.pixel_size_mm=0.0: must be > 0; write -pixel MM"),
    # nothing was typed that should have been
    ("--fidelity corrected -hdivsteps 3", "beam.divergence.h_mrad is required with a count of 3; give the full range "
     "in mrad; write -hdivrange X [mrad]"),
    # found after the experiment is built
    ("--fidelity corrected -N 0", "-N 0: crystal.n_cells[0]=0.0: must be >= 1"),
])  # fmt: skip
def test_the_message(run: Run, flags: str, text: str) -> None:
    found = the_error(run("--kernel scalar -nonoise", SMALL, flags))
    assert found == text if text.endswith(("]", "X", "MM")) else found.startswith(text)


VALUES = [flag for flag in FLAGS if flag.values and set(flag.values) == {"d"}]


@pytest.mark.parametrize("flag", VALUES, ids=lambda flag: flag.name)
def test_every_flag_that_takes_numbers_is_named(run: Run, flag: Flag) -> None:
    """A NaN is refused or counts as not given (docs/command.md); either way the user learns which flag it was."""
    typed = " ".join([flag.name, *["nan"] * len(flag.values)])
    done = run("--kernel scalar -nonoise -nopgm", SMALL, typed)
    if done.status == 9:
        assert the_error(done).startswith(f"{flag.name} nan")
    elif not flag.no_effect:
        assert done.says("warning: ", flag.name), done.err


def test_a_value_from_a_header_names_the_file(run: Run, tmp_path: Path) -> None:
    header = smv().replace(b"PIXEL_SIZE=0.4;", b"WAVELENGTH=0.0;")
    (tmp_path / "zero.img").write_bytes(header)
    found = the_error(run(SMALL.replace("-lambda 1", ""), "-img zero.img"))
    assert found.startswith("WAVELENGTH in the header of zero.img: beam.wavelength_angstrom=0.0: must be > 0")
    assert "write -lambda X" in found


def test_words_that_take_flags_name_them_too(run: Run) -> None:
    for word in ("explain", "trace --at 1 1", "compare --backends c c"):
        done = run(word, "--", SMALL, "-polar 2")
        assert done.status != 0 and done.says("error: -polar 2: beam.kahn_factor=2.0: ")


def test_an_error_that_no_flag_caused_stays_as_it_is() -> None:
    from nanobragg.exchange.command_line.reading import read_command

    error = ConfigError("experiment", 1, "is wrong")
    assert in_flags(read_command(SMALL.split()), error) is error
