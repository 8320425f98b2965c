"""The workloads W1-W8, as command lines of the original program, and what the original takes for them."""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CRYSTAL = "-hkl synthetic.hkl -cell 78 78 37 90 90 90 -misset 10 20 30 -N 20"
GEOMETRY = "-lambda 1 -distance 100 -pixel 0.1"
SMALL = f"{CRYSTAL} {GEOMETRY} -detpixels 512 -oversample 1"
LARGE = f"{GEOMETRY} -detpixels 1024"
DOMAINS = "-mosaic 0.3 -mosaic_domains"
CUBE = "-default_F 100 -cell 100 100 100 90 90 90 -N 5"


@dataclass(frozen=True)
class Workload:
    """One of the eight."""

    name: str
    text: str
    args: str | None
    """None: the recorded command line of the folder given with ``--w4``"""
    original_ns: float
    """per evaluation, of the original program built with -O2 on a Zen 4 core (gcc 12.2)"""
    floor: float
    """least ratio original / vector kernel with AVX-512"""
    announced: float = 1.5
    """largest factor between the time that explain announces and that of the run"""


WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", "1024^2, N 5, no table", f"{CUBE} {LARGE} -oversample 1", 178, 25),
        Workload("W2", "1024^2, table to 2 A, N 20, oversample 2", f"{CRYSTAL} {LARGE} -oversample 2", 160, 25),
        Workload("W3", "512^2, 50 domains x 10 phi", f"{SMALL} {DOMAINS} 50 -osc 1 -phisteps 10", 112, 25),
        Workload("W4", "2463 x 2527, 10 phi, measured structure factors", None, 158, 25),
        Workload("W5", "512^2, gauss, 50 domains", f"{SMALL} -gauss_xtal {DOMAINS} 50", 69, 150, 3.0),
        Workload("W6", "512^2, round", f"{SMALL} -round_xtal", 121, 25),
        Workload("W7", "512^2, 100 wavelengths x 25 domains", f"{SMALL} {DOMAINS} 25 -dispersion 1 -dispsteps 100", 118, 25),
        Workload("W8", "512^2, tophat, 50 domains", f"{SMALL} -tophat_spots {DOMAINS} 50", 40, 150, 3.0),
    )
}  # fmt: skip


def write_synthetic_hkl(path: Path) -> None:
    """All 117,877 reflections of the cell 78 78 37 to 2 Angstrom, with amplitudes 10 ... 106 in no order."""
    h, k, l = np.mgrid[-39:40, -39:40, -18:19]  # noqa: E741
    near = (h / 78) ** 2 + (k / 78) ** 2 + (l / 37) ** 2 <= 0.25
    table = np.stack([h, k, l, 10 + (7 * h + 11 * k + 13 * l) % 97], axis=-1)[near]
    path.write_text("".join(f"{a} {b} {c} {f}\n" for a, b, c, f in table.tolist()))


def recorded_run(text: str) -> Path:
    """The folder that ``--w4`` names.

    Raises
    ------
    argparse.ArgumentTypeError
        When it holds no recorded run.
    """
    folder = Path(text)
    if not (folder / "args.json").is_file():
        raise argparse.ArgumentTypeError(f"{text}: no args.json there; leave --w4 out for golden/supervisor_cmd")
    return folder


def prepare(workload: Workload, folder: Path, w4: Path) -> list[str]:
    """Put the input files of a workload into the folder; return its command line."""
    if workload.args is not None:
        if not (folder / "synthetic.hkl").exists():
            write_synthetic_hkl(folder / "synthetic.hkl")
        return workload.args.split()
    args = json.loads((w4 / "args.json").read_text())
    for arg in args:
        for inputs in (w4 / "inputs", w4.parent / "inputs"):
            if "/" not in arg and (inputs / arg).is_file():
                shutil.copy(inputs / arg, folder)
            elif "/" not in arg and (inputs / f"{arg}.gz").is_file():
                (folder / arg).write_bytes(gzip.decompress((inputs / f"{arg}.gz").read_bytes()))
    return args
