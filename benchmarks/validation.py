"""What was compared with what: the figures of docs/validation.md and docs/quirks.md.

    python benchmarks/validation.py [quirks] [gemmi] [original] [twin] [dials] [--out docs/measured]

Uses the set-ups of the tests. Writes a JSON file for each part, from which the documentation makes its tables. Needs torch
and gemmi.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
for part in ("", "equivalence", "golden"):
    sys.path.insert(0, str(ROOT / "tests" / part))

import grid  # noqa: E402
import reference  # noqa: E402
import triggers  # noqa: E402
from golden_cases import golden_cases  # noqa: E402

import nanobragg as nb  # noqa: E402
from nanobragg.config.quirks import Quirk  # noqa: E402

Image = np.ndarray
Engine = Callable[[nb.Experiment], Image]


def c(kernel: str) -> Engine:
    """The C engine."""
    return lambda experiment: nb.simulate(experiment, kernel=kernel)


def torch(dtype: str) -> Engine:
    """The torch engine."""
    import torch

    return lambda experiment: nb.simulate(experiment, backend="torch", dtype=getattr(torch, dtype)).numpy()


ENGINES = {
    "C, scalar": c("scalar"),
    "C, vector": c("auto"),
    "torch, float64": torch("float64"),
    "torch, float32": torch("float32"),
}


def against_the_original() -> list[dict[str, Any]]:
    """Every golden case in reference fidelity, by every engine."""
    found: dict[str, list[tuple[str, float, float, bool]]] = {name: [] for name in ENGINES}
    for case in golden_cases(ROOT / "golden"):
        if not case.expected or case.pre_args:
            continue
        with _folder():
            case.copy_inputs(Path.cwd())
            experiment = nb.Experiment.from_nanobragg_args(case.args)
            expected = case.expected["float"]
            largest = float(np.abs(expected).max())
            for name, render in ENGINES.items():
                image = case.crop(render(experiment).astype(np.float32))
                same = float((image == expected).mean())
                worst = float(np.abs(image.astype(float) - expected).max() / largest) if largest else 0.0
                found[name].append((case.name, same, worst, case.sensitive))
    return [_golden_row(name, cases) for name, cases in found.items()]


def _golden_row(name: str, cases: list[tuple[str, float, float, bool]]) -> dict[str, Any]:
    judged = [case for case in cases if not case[3]]
    worst = max(judged, key=lambda case: case[2])
    return {
        "engine": name,
        "cases": len(judged),
        "bit_identical_cases": sum(case[1] == 1 for case in judged),
        "bit_identical_pixels": float(np.mean([case[1] for case in judged])),
        "largest_difference": worst[2],
        "case": worst[0],
        "sensitive_cases": len(cases) - len(judged),
    }


def against_the_twin() -> list[dict[str, Any]]:
    """The literal twin on the pairwise grid of options, half of it in each fidelity."""
    worst = dict.fromkeys(ENGINES, 0.0)
    rows = grid.rows()
    for row in rows:
        experiment = grid.experiment_of(row)
        expected = reference.simulate(experiment)
        largest = np.abs(expected).max()
        if largest < 1e-30:  # an image below the range of float32
            continue
        for name, render in ENGINES.items():
            worst[name] = max(worst[name], float(np.abs(render(experiment) - expected).max() / largest))
    return [{"engine": name, "set_ups": len(rows), "largest_difference": value} for name, value in worst.items()]


def against_gemmi() -> dict[str, float]:
    """Cells and spacings of random triclinic crystals; symmetry of a model's structure factors."""
    import gemmi

    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve

    rng = np.random.default_rng(1)
    spacing = 0.0
    for _ in range(200):
        cell = (*rng.uniform(20, 200, 3), *rng.uniform(70, 110, 3))
        crystal = nb.Crystal(unit_cell=nb.UnitCell(*cell), misset_deg=tuple(rng.uniform(0, 360, 3)),
                             structure_factors=nb.StructureFactors.constant(1.0))  # fmt: skip
        found = derivation(resolve(nb.Experiment(crystal=crystal))).cell
        rows = np.array([found.a_star, found.b_star, found.c_star])
        hkl = rng.integers(-9, 10, (50, 3))
        ours = 1 / np.linalg.norm(hkl[np.any(hkl, axis=1)] @ rows, axis=1)
        theirs = [gemmi.UnitCell(*cell).calculate_d(index.tolist()) for index in hkl[np.any(hkl, axis=1)]]
        spacing = max(spacing, float(np.abs(ours / theirs - 1).max()))
    return {"cells": 200, "spacing": spacing, "amplitude": _amplitudes()}


def _amplitudes() -> float:
    """A model by the density and Fourier transform, against direct summation over its atoms: rms relative to rms."""
    import gemmi

    with _folder():
        Path("model.pdb").write_text(_model())
        table = nb.StructureFactors.from_model("model.pdb", 2.0, k_sol=0.0)
        hkl, amplitude = table.reflections()
        structure = gemmi.read_structure("model.pdb")
        calculator = gemmi.StructureFactorCalculatorX(structure.cell)
        chosen = np.random.default_rng(2).choice(len(hkl), 400, replace=False)
        direct = np.array([abs(calculator.calculate_sf_from_model(structure[0], hkl[i].tolist())) for i in chosen])
    return float(np.sqrt(np.mean((amplitude[chosen] - direct) ** 2) / np.mean(direct**2)))


def _model() -> str:
    rng = np.random.default_rng(3)
    lines = ["CRYST1   37.430   37.430   61.250  90.00  90.00  90.00 P 41 21 2"]
    for number, (x, y, z) in enumerate(rng.uniform((2, 2, 2), (35, 35, 59), (60, 3)), 1):
        lines.append(f"ATOM  {number:5d}  CA  ALA A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 15.00           C")
    return "\n".join([*lines, "END", ""])


def against_dials() -> list[dict[str, Any]]:
    """What DIALS makes of images in three formats; see tests/interop/test_dials.py."""
    if not os.environ.get("NANOBRAGG_DIALS_PY"):
        raise SystemExit("dials: set NANOBRAGG_DIALS_PY to a command that runs the Python of DIALS")
    command = [sys.executable, "-m", "pytest", "-q", "-s", str(ROOT / "tests/interop/test_dials.py")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [ast.literal_eval(text) for text in re.findall(r"^\.*(\{.*\})$", said, re.M)]
    return [{"format": name, **row} for name, row in zip(("NXmx", "miniCBF", "SMV"), rows, strict=True)]


def quirks() -> Iterator[tuple[str, dict[str, Any]]]:
    """What every quirk changes, alone, on the set-up that its tests use, with pixels a tenth as large."""
    for quirk in Quirk:
        if quirk in triggers.REFUSED:
            yield quirk.name or "", {"note": "refused"}
        elif quirk in triggers.TRIGGERS:
            options, settings, besides = triggers.TRIGGERS[quirk]
            on, off = (
                nb.simulate(_finer(triggers.experiment(options, settings, quirks)), kernel="scalar")
                for quirks in ({quirk, *besides}, besides)
            )
            yield (
                quirk.name or "",
                {
                    "rms": float(np.sqrt(np.mean((on - off) ** 2) / np.mean(off**2))),
                    "sum_ratio": float(on.sum() / off.sum()),
                },
            )


def _finer(experiment: nb.Experiment, times: int = 10) -> nb.Experiment:
    """The same detector with smaller pixels."""
    detector = experiment.detector
    assert isinstance(detector, nb.Detector)
    return dataclasses.replace(experiment, detector=dataclasses.replace(
        detector, n_fast=times * detector.n_fast, n_slow=times * detector.n_slow,
        pixel_size_mm=detector.pixel_size_mm / times))  # fmt: skip


class _folder:
    """A temporary folder to work in."""

    def __enter__(self) -> None:
        self.before = os.getcwd()
        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)

    def __exit__(self, *_: object) -> None:
        os.chdir(self.before)
        self.folder.cleanup()


PARTS: dict[str, Callable[[], Any]] = {
    "quirks": lambda: dict(quirks()),
    "gemmi": against_gemmi,
    "original": against_the_original,
    "twin": against_the_twin,
    "dials": against_dials,
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), help="default: all but dials")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measured")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.out.mkdir(exist_ok=True)
    for name in options.parts or [name for name in PARTS if name != "dials"]:
        _write(options.out / f"{name}.json", PARTS[name]())


def _write(path: Path, record: Any) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
