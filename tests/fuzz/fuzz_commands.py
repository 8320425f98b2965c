"""Targets: random command lines, alone and with mutated input files.

Each runs in an empty folder. The status is 0 or 9 (130 when the time limit interrupts it); every line on stderr is one
of our messages and none of them calls itself a defect; status 0 leaves finite pixels; any other leaves no temporary and
no half-written file, and an image only where writing the next one failed.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mutated_bytes
import numpy as np
import odd_values
from fuzz_finding import require

from nanobragg.cli.main import main
from nanobragg.config.quirks import Quirk
from nanobragg.errors import FileFormatError
from nanobragg.exchange.command_line.flags import FLAGS, OWN_OPTIONS, Flag
from nanobragg.io import read_fdump, read_pgm, read_smv

INPUTS = Path(__file__).resolve().parents[2] / "golden" / "inputs"
_KINDS = {
    "mat": ("A.mat", "ortho_l1.mat", "ortho_l1p3.mat"),
    "hkl": ("p1_small.hkl", "p1_asym.hkl", "p1_text.hkl"),
    "dump": ("Fdump_asym.bin", "Fdump.bin"),
    "img": ("header_full.img", "header_plain.img"),
    "mask": ("mask.img",),
    "sourcefile": ("sources_full.txt", "sources_partial.txt"),
    "stol": ("bg.stol",),
}
_OUTPUTS = (
    "out.bin",
    "other name.bin",
    "/dev/null",
    "/dev/full",
    "nowhere/out.bin",
    ".",
    "",
    "floatimage.bin",
    "\udcff.img",
)
_BASES = (
    "-default_F 100 -cell 50 60 70 90 95 90 -N 5 -lambda 1 -distance 100 -pixel 0.4",
    "-mat A.mat -hkl p1_small.hkl -lambda 6.2 -pixel 2 -distance 100 -N 5",
    "-hkl p1_asym.hkl -cell 74 74 36 -N 2 -lambda 2 -pixel 1 -distance 60 -misset 10 20 30",
    "-dump Fdump_asym.bin -cell 40 -Na 3 -Nb 2 -Nc 1 -pixel 1 -distance 40 -water 1 -nopgm",
    "-default_F 10 -cell 80 -N 4 -img header_full.img",
    "-default_F 10 -cell 80 -N 4 -mask mask.img -detpixels_f 84 -detpixels_s 60 -roi 3 12 4 9",
    "-default_F 10 -cell 80 -N 4 -sourcefile sources_full.txt -pixel 1 -distance 50",
)
_SMALL = "-detpixels 12 -oversample 1"
_COUNTS = ("1", "2", "3", "0", "-1", "4", "2147483647", "100000000")
_RANGES = ("0", "0.1", "1", "10", "-1", "100")


class Case(NamedTuple):
    """The arguments, and the files that lie in the folder."""

    args: list[str]
    files: dict[str, bytes]


def make(r: random.Random) -> Case:
    """A command line with good, odd and broken values; the files are whole."""
    args = _words(r)
    return Case(args, {name: data for name, data in _inputs().items() if any(name in arg for arg in args)})


def make_mutated(r: random.Random) -> Case:
    """A plain command line with a flag or two; one of its files is mutated."""
    args = r.choice([base for base in _BASES if any(name in base for name in _inputs())]).split()
    for _ in range(r.choice((0, 0, 1, 2))):
        args += _flag(r, 0.05)
    files = {name: data for name, data in _inputs().items() if name in args}
    name = r.choice(sorted(files))
    files[name] = mutated_bytes.mutated(files[name], r)
    return Case([*args, *_SMALL.split()[: r.choice((2, 4))], *_options(r)], files)


def _words(r: random.Random) -> list[str]:
    groups = [r.choice(_BASES).split()] if r.random() < 0.95 else []
    bad = r.choice((0.0, 0.05, 0.3))
    groups += [_flag(r, bad) for _ in range(r.choice((0, 1, 2, 4, 8)))]
    if r.random() < 0.3:
        r.shuffle(groups)
    groups.append(_SMALL.split() if r.random() < 0.95 else [])
    words = [word for group in groups for word in group]
    if bad and r.random() < 0.4:
        place = r.randrange(len(words) + 1)
        words[place : place + r.randint(0, 1)] = [odd_values.token(r)] if r.random() < 0.5 else []
    return [*words, *_options(r)] if r.random() < 0.9 else [*_options(r), *words]


def _options(r: random.Random) -> list[str]:
    words = ["--memory", "0.05"]
    if r.random() < 0.35:
        words.append("--strict")
    if r.random() < 0.25:
        words += ["--fidelity", r.choice(("corrected", "reference"))]
    if r.random() < 0.15:
        words += ["--quirks", r.choice(("none", "all", r.choice([quirk.name or "" for quirk in Quirk])))]
    if r.random() < 0.2:
        words += ["--kernel", r.choice(("auto", "scalar", "simd-baseline", "simd-avx2", "simd-avx512", "fast"))]
    return words


def _flag(r: random.Random, bad: float) -> list[str]:
    if r.random() < 0.03:
        own = r.choice([flag for flag in OWN_OPTIONS if flag.name not in ("--backend", "--device", "--memory")])
        return [own.name, *(odd_values.token(r) for _ in own.values)]
    flag = r.choice(FLAGS)
    name = r.choice(flag.spellings)
    if r.random() < bad:
        name = r.choice(
            (f"-{name}", f"{name}x", name[:-1], f"{name}={odd_values.token(r)}", name.lower(), odd_values.token(r))
        )
    words = [name, *(_value(r, flag, kind, bad) for kind in flag.values)]
    return words[: r.randint(1, len(words))] if r.random() < bad else words


def _value(r: random.Random, flag: Flag, kind: str, bad: float) -> str:
    if r.random() < bad:
        return odd_values.token(r)
    if kind == "s":
        setting = flag.sets[0]
        if setting in _KINDS:
            return r.choice(_KINDS[setting] + (("missing.file", ".", "/dev/null") if r.random() < 0.1 else ()))
        if setting == "pivot":
            return r.choice(("beam", "sample"))
        if setting == "attenuation":
            return r.choice(("inf", "0", "234", "-5"))
        return r.choice(_OUTPUTS)
    if kind == "i":
        if flag.sets[0] in ("n_fast", "n_slow"):
            return r.choice(("1", "7", "20", "0", "-3", "1000000000"))
        return r.choice(_COUNTS)
    if flag.sets[0] in ("size_fast", "size_slow"):
        return r.choice(("5", "12.3", "0", "-4", "1e12"))
    if flag.name == "-cell":
        return r.choice(("30", "80", "90", "90", "120", "0", "100"))
    if len(flag.values) == 3:
        return r.choice(("0", "1", "-1", "0.02", "0.9998", "30"))
    return r.choice(_RANGES) if r.random() < 0.8 else f"{r.uniform(0, 100):.3f}"


def _inputs() -> dict[str, bytes]:
    if not _LOADED:
        names = {name for kind in _KINDS.values() for name in kind}
        _LOADED.update({name: (INPUTS / name).read_bytes() for name in sorted(names) if (INPUTS / name).exists()})
    return _LOADED


_LOADED: dict[str, bytes] = {}


def check(case: Case, folder: Path) -> str:
    """Run the command in this process."""
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with contextlib.chdir(folder), _captured() as (out, err):
        status = main(list(case.args))
    said, complaints = out(), err()
    require(status in (0, 9, 130), f"status {status}")
    require("defect of nanobragg" not in complaints, complaints)
    if "--debug" not in case.args:  # which asks for it
        require("Traceback" not in said + complaints, complaints)
        require(all(line.startswith("nanobragg: ") for line in complaints.split("\n")[:-1]), complaints)
    if status == 9:
        require(bool(complaints), "status 9 without a word")
    new = [path for path in folder.iterdir() if before.get(path.name) != path.stat().st_mtime_ns]
    _check_files(new, said, status, complaints)
    return {0: "done", 9: "refused", 130: "interrupted"}[status]


def _check_files(new: list[Path], said: str, status: int, complaints: str) -> None:
    names = sorted(path.name for path in new)
    require(not any(name.startswith(".nanobragg-") for name in names), f"temporary files left behind: {names}")
    kinds: dict[str, str] = {}  # of each image, as announced; of two with one name the last
    for line in said.splitlines():
        name, found, kind = line.removeprefix("writing ").rpartition(" as ")
        if found and line.startswith("writing "):
            kinds[name] = kind
    for path in new:
        kind = kinds.get(path.name, "")
        if kind == "2-byte integers":
            read_smv(path)
        elif kind == "1-byte integers":
            read_pgm(path)
        elif kind:
            data = path.read_bytes()
            require(len(data) == 4 * int(kind.split()[0]), f"{path.name} has {len(data)} bytes for {kind}")
            require(bool(np.isfinite(np.frombuffer(data, np.float32)).all()), "pixels are not finite")
        else:
            _check_dump(path)
    if status == 0 and "nanobragg 0" not in said and "usage:" not in said:
        require(bool(kinds), "status 0 without an image")
    if status == 9 and "cannot be written" not in complaints:
        require(not kinds.keys() & set(names), f"status 9 leaves images: {names}")


def _check_dump(path: Path) -> None:
    try:
        read_fdump(path)
    except FileFormatError as error:
        require(False, f"{path.name} is left behind, and is no whole dump: {error}")


@contextlib.contextmanager
def _captured() -> Iterator[tuple]:
    streams = sys.stdout, sys.stderr
    new = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in streams]
    sys.stdout, sys.stderr = new

    def text(stream: io.TextIOWrapper) -> str:
        stream.flush()
        return os.fsdecode(stream.buffer.getvalue())  # type: ignore[attr-defined]

    try:
        yield (lambda: text(new[0])), (lambda: text(new[1]))
    finally:
        sys.stdout, sys.stderr = streams
