"""What refused tokens are told: which token, what is wrong with it, and what to write (docs/command.md, Two switches)."""

from __future__ import annotations

from collections.abc import Callable

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
