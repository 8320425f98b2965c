"""Golden cases for the tools: their command lines, run in a folder of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from golden_cases import GoldenCase

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "golden"
PRINTED_CASES = sorted(path.parent.name for path in GOLDEN.glob("*/pixels.json"))


def args_of(name: str, folder: Path = GOLDEN) -> list[str]:
    return json.loads((folder / name / "args.json").read_text())


def pixels_of(name: str) -> list[dict[str, Any]]:
    return json.loads((GOLDEN / name / "pixels.json").read_text())


@contextlib.contextmanager
def in_case_folder(name: str, folder: Path = GOLDEN) -> Iterator[Path]:
    """An empty current folder with the case's input files."""
    case = GoldenCase(name, folder, {})
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as temporary:
        case.copy_inputs(Path(temporary))
        os.chdir(temporary)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for args in case.pre_args:
                    from nanobragg.cli.main import main

                    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                        main(args)
                yield Path(temporary)
        finally:
            os.chdir(before)


def block_of(pixel: dict[str, Any]) -> str:
    """The printed block that the numbers of pixels.json come from, in the formats of docs/command.md, The report."""
    lines = [
        f"{pixel['f']:4d} {pixel['s']:4d} : stol = {pixel['stol']:g} or {pixel['stol_from_twotheta']:g}",
        "at " + " ".join(f"{x:g}" for x in pixel["at"]),
    ]
    if "hkl" in pixel:
        lines.append("hkl= {:f} {:f} {:f}  hkl0= {} {} {}".format(*pixel["hkl"], *pixel["hkl0"]))
        lines.append(f" F_cell={pixel['F_cell']:g}  F_latt={pixel['F_latt']:g}   I = {pixel['I']:g}")
    for label, key in (
        ("I/steps", "I_over_steps"), ("polar  ", "polar"), ("omega  ", "omega"), ("capfrac", "capfrac"),
        ("pixel  ", "pixel"),
    ):  # fmt: skip
        lines.append(f"{label} {pixel[key]:15.10g}")
    if "real_space_xyz_by_abc" in pixel:
        lines += ["real-space cell vectors (Angstrom):", "     a           b           c         "]
        for row, values in zip("XYZ", pixel["real_space_xyz_by_abc"], strict=True):
            lines.append(f"{row}: {values[0]:11.8f} {values[1]:11.8f} {values[2]:11.8f}")
    return "\n".join(lines) + "\n"
