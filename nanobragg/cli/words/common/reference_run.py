"""Running a nanoBragg executable of the user's, in a temporary folder with the input files of a command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nanobragg.errors import NanoBraggError, UsageError
from nanobragg.exchange.command_line.reading import CommandLine

ENVIRONMENT = "NB_C_BIN"
"""Variable that names the executable."""
_INPUTS = ("hkl", "mat", "img", "mask", "sourcefile", "stol")
_OUTPUTS = ("floatfile", "intfile", "pgmfile", "noisefile")
_LEFT_OUT = re.compile(r"^\s*$|^mmap\(|% done$|^  seed: |photons on noise image|^nanoBragg nanocrystal")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)")


class RunnerError(NanoBraggError):
    """A program that was run for a comparison failed."""


def executable(given: str | None) -> str:
    """The path of the executable: the one given, else that of `ENVIRONMENT`.

    Raises
    ------
    UsageError
        When there is none, or it cannot be run.
    """
    path = given or os.environ.get(ENVIRONMENT, "")
    if not path:
        raise UsageError(f"compare: no executable; write --reference-exe PATH, or set {ENVIRONMENT}")
    found = shutil.which(path)
    if found is None:
        raise UsageError(f"compare: {path} cannot be run; is it an executable file?")
    return os.path.abspath(found)


def stage(line: CommandLine, flags: Sequence[str], folder: Path) -> list[str]:
    """Make the input files of a command line available in a folder; returns the flags as they are to be run there.

    Relative names stay as they are; a name outside the current directory becomes absolute. Output files are written into
    the folder, whatever directory was typed.
    """
    wanted = {str(line.settings.get(name)) for name in _INPUTS if name in line.settings}
    reads_dump = "hkl" not in line.settings
    if reads_dump:
        wanted.add(line.dump_file)
    written = {str(line.settings.get(name)) for name in _OUTPUTS if name in line.settings}
    if not reads_dump and "dump" in line.settings:
        written.add(line.dump_file)
    renamed: dict[str, str] = {name: os.path.basename(name) for name in written}
    for name in wanted:
        if not os.path.isfile(name):
            continue
        inside = not os.path.isabs(name) and ".." not in Path(name).parts
        if inside:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.symlink_to(os.path.abspath(name))
            except OSError:  # Windows lets few users make links
                shutil.copyfile(name, target)
        else:
            renamed[name] = os.path.abspath(name)
    return [renamed.get(token, token) for token in flags]


def run_program(command: Sequence[str], folder: Path) -> str:
    """Run a program in a folder and return its console output.

    Raises
    ------
    RunnerError
        When it cannot be started or ends with a status other than 0.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise RunnerError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise RunnerError(f"{command[0]} ended with status {done.returncode}: {' '.join(last)}")
    return done.stdout


def own_program() -> list[str]:
    """How to start this program."""
    return [sys.executable, "-m", "nanobragg"]


def console_difference(theirs: str, ours: str) -> str:
    """The first line in which two console outputs differ by more than the rounding of printed digits; empty: none.

    Progress, addresses, the seed of the noise and what follows from it are left out.
    """
    a, b = ([line.rstrip() for line in text.splitlines() if not _LEFT_OUT.search(line)] for text in (theirs, ours))
    for x, y in zip(a, b, strict=False):
        if _NUMBER.sub("#", x) != _NUMBER.sub("#", y):
            return f"{x!r} against {y!r}"
        for p, q in zip(_NUMBER.findall(x), _NUMBER.findall(y), strict=True):
            if p != q and not abs(float(p) - float(q)) <= 2e-5 * abs(float(p)):
                return f"{x!r} against {y!r}"
    return "" if len(a) == len(b) else f"{len(a)} lines against {len(b)}"
