"""Diffuse scattering beside the spots: CPU time of both for the detector and the structure factors of W3, one thread.

python benchmarks/diffuse.py                 the widest vectors of this machine
python benchmarks/diffuse.py --kernel scalar
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from workloads import WORKLOADS, prepare

import nanobragg as nb
from nanobragg.derivation.crystals.diffuse.scene import DiffuseScene, diffuse_scene
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions


def diffuse_of(experiment: nb.Experiment, **fields: Any) -> DiffuseScene:
    """One orientation of the crystal with these motions."""
    still = experiment.replace("goniometer", nb.Goniometer()).replace("crystal.mosaic", nb.Mosaic())
    decided = resolve(still.replace("crystal.diffuse", nb.Diffuse(**fields)))
    found = diffuse_scene(decided, derive(decided), FLOAT_OPS)
    assert found is not None
    return found


def unlike(found: DiffuseScene, n: int) -> DiffuseScene:
    """The same with n forms, none of which is another one: what n Laue operations cost where none of them can be merged."""
    forms = np.array([found.forms[0] * (1 + 0.01 * i) for i in range(n)])
    return replace(found, forms=forms, form_weight=np.full(n, 1 / n), turns=found.turns[:1], counts=(n,))


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Of the quickest run."""
    best = np.inf
    for _ in range(repeats):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return float(best)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    typed = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        args = prepare(WORKLOADS["W3"], Path(folder), Path(folder))
        here = os.getcwd()
        os.chdir(folder)
        experiment = nb.Experiment.from_nanobragg_args(args, fidelity="corrected")
        os.chdir(here)
    chosen = engine("c", RenderOptions(kernel=typed.kernel, n_threads=1))
    spots = derive(resolve(experiment))
    motions = {"sigma_angstrom": (0.2, 0.25, 0.3), "gamma_angstrom": (30, 20, 40), "laue_group": "4/mmm", "n_orders": 1}
    merged = diffuse_of(experiment, **motions)
    one = cpu_seconds(lambda: chosen.image(spots), typed.repeats)
    print(f"spots of W3                           {one:8.3f} s  {chosen.kernel(spots)}")
    for name, found in (
        ("8 operations, none merged", unlike(merged, 8)), (f"4/mmm, merged to {len(merged.form_weight)}", merged),
        ("isotropic", diffuse_of(experiment, sigma_angstrom=0.3, gamma_angstrom=30.0, n_orders=1)),
        ("isotropic, 4 orders", diffuse_of(experiment, sigma_angstrom=0.3, gamma_angstrom=30.0, n_orders=4)),
    ):  # fmt: skip
        seconds = cpu_seconds(lambda found=found: chosen.diffuse(found), typed.repeats)  # type: ignore[misc]
        each = seconds / found.evaluations_per_pixel / found.scene.n_pixels
        print(f"diffuse, {name:<28} {seconds:8.3f} s  {seconds / one:5.2f} of the spots, {1e9 * each:.2f} ns a term")


if __name__ == "__main__":
    main()
