"""What refused tokens are told: which token, what is wrong with it, and what to write (docs/command.md, Two switches)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import SMALL, Result

Run = Callable[..., Result]


@pytest.mark.parametrize(("flags", "text"), [
    ("-cell nan 3 4", "-cell: 'nan' is not a number; write -cell A B C AL BE GA"),
    ("-cell 50 -inf 4", "-cell: '-inf' is not a number; write -cell A B C AL BE GA"),
    ("-cell 50 60 stray", "-cell: 'stray' is not a number; write -cell A B C AL BE GA"),
    ("-cell", "-cell: it takes 1 to 6 values, 0 follow; write -cell A B C AL BE GA"),
    ("-cell -N 5", "-cell: it takes 1 to 6 values, 0 follow; write -cell A B C AL BE GA"),
    ("-cell 50 60 70 90 95 90 stray", "'stray': neither a flag nor the value of one; see nanoBragg --help"),
    ("-seed 99999999999", "-seed: '99999999999' is too large, integers are within -2147483647 and 2147483647; write -seed N"),
    ("-seed -2147483648", "-seed: '-2147483648' is too large, integers are within -2147483647 and 2147483647; write -seed N"),
    ("-seed 1.5", "-seed: '1.5' is not an integer; write -seed N"),
    ("-seed 1e10x", "-seed: '1e10x' is not an integer; write -seed N"),
])  # fmt: skip
def test_strict_values(run: Run, flags: str, text: str) -> None:
    done = run("--strict", SMALL, flags)
    assert done.status == 9 and done.messages == [f"error: {text}"]


def test_the_largest_integer_is_taken(run: Run) -> None:
    assert run("--strict --kernel scalar", SMALL, "-seed 2147483647 -nopgm").status == 0


@pytest.mark.parametrize(("token", "near"), [
    ("-Ncells", "-Nc or -N"),  # what the original takes it for, and what is meant
    ("-detector_twotheta", "-twotheta"),
    ("-water_F", "-water"), ("-lambda_spread", "-lambda"), ("-dump_only", "-dump"),  # inventions
    ("-lamda", "-lambda"), ("-wavelenght", "-wavelength"), ("-Xbeem", "-Xbeam"), ("-phistepz", "-phistep"),  # misspelt
    ("--thread", "--threads"), ("--backed", "--backend"),
])  # fmt: skip
def test_suggestions(run: Run, token: str, near: str) -> None:
    done = run("--strict", SMALL, token, "3")
    assert done.status == 9 and done.messages == [f"error: {token}: unknown flag, did you mean {near}?"]


def test_every_spelling_with_its_last_letter_doubled_is_found() -> None:
    """Spellings of four letters or less have other neighbors."""
    from nanobragg.exchange.command_line.flags import FLAGS
    from nanobragg.exchange.command_line.parse import _alike

    names = [name for flag in FLAGS for name in flag.spellings if len(name) > 4]
    found = {name: _alike(name + name[-1], name + name[-1]) for name in names}
    assert found == {name: name for name in names} | {"-detpixels": "-detpixels_s"}  # as near as -detpixels


def test_debug_shows_the_traceback(run: Run) -> None:
    plain, wordy = run("-lambda nonsense --strict"), run("-lambda nonsense --strict --debug")
    assert plain.status == wordy.status == 9 and "Traceback" not in plain.err
    assert "Traceback" in wordy.err and wordy.err.endswith(plain.err)
    assert "Traceback" in run("trace --debug --at 1 1 -- -N 5").err


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("[crystal]\nunit_cel = { a = 4.0 }\n", "crystal.unit_cel={...}: no such field; did you mean unit_cell?"),
        (
            "[crystal]\nstructure_factor = { default_F = 1.0 }\n",
            "crystal.structure_factor={...}: no such field; did you mean",
        ),
        ("[crystl]\nn_cells = [1, 1, 1]\n", "crystl={...}: no such table; did you mean crystal?"),
        (
            "[crystal]\nunit_cell = { a = 4.0, gama = 90.0 }\nstructure_factors = { mtz = 'no.mtz' }\n",
            "crystal.unit_cell.gama=90.0: no such field; did you mean gamma?",
        ),
        (
            "[crystal]\nstructure_factors = { mtz = 'no.mtz' }\n[run]\nkernl = 'simd'\n",
            "run.kernl='simd': no such field",
        ),
        (
            "[crystal]\nn_cells = [1, 1, 1]\n",
            "crystal.structure_factors={...}: holds no structure factors; name a file (mtz",
        ),
    ],
)
def test_what_is_wrong_in_a_recipe_comes_before_what_follows(run: Run, tmp_path: Path, recipe: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(recipe)
    found = run("run a.toml")
    assert found.status == 9 and len(found.messages) == 1 and found.says(said), found.err


def test_messages_are_in_the_words_of_the_command(run: Run, tmp_path: Path) -> None:
    cell = "-cell 50 60 70 90 95 90 -N 5 -detpixels 8 -oversample 1"
    missing = run(cell)
    assert missing.says("error: no structure factors", "--mtz FILE", "--model FILE with --d-min")
    assert "usage: nanoBragg" in missing.out
    assert run(f"-default_F 1 {cell} --kernel foo").says("error: --kernel foo: must be one of")
    assert run(f"explain -- -default_F 1 {cell} --kernel foo").says("error: --kernel foo: must be one of")
    assert run(f"-default_F 1 {cell}").says("; --fidelity corrected instead: ")
    alone = run(f"-default_F 1 {cell} -phisteps 5 --fidelity corrected")
    assert alone.says("goniometer.osc_deg is required with n_steps=5", "write -osc X") and "None" not in alone.err
    (tmp_path / "a.toml").write_text("[crystal]\nstructure_factors = { default_F = 1.0 }\n[run]\nkernel = 'foo'\n")
    assert run("run a.toml").says('run.kernel = "foo": must be one of') or run("run a.toml").says("crystal.unit_cell")


def test_the_message_comes_before_the_help_text() -> None:
    """In the order in which a terminal shows them."""
    command = [sys.executable, "-m", "nanobragg", "-N", "5"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 9
    assert 0 < done.stdout.index("error: no structure factors") < done.stdout.index("usage: nanoBragg")


def test_quiet(run: Run) -> None:
    """Warnings are left out, errors are not; a flag of the original is not mistaken for the option."""
    wordy = run(f"-default_F 1 {SMALL} -distance 0.5")
    assert wordy.says("-distance is in mm")
    assert run(f"-default_F 1 {SMALL} -distance 0.5 --quiet").err == ""
    assert run(f"--quiet explain -- -default_F 1 {SMALL}").err == ""
    assert run("--quiet -lambda 1").says("error: no structure factors")
    flags = "-default_F 1 -cell 5 5 5 -distance 0.5 -detpixels 2 -oversample 1"
    code = f"from nanobragg.cli.main import main; main({flags!r}.split())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
