"""The pictures of docs/gallery.md: each effect of a real crystal or beam, off and on.

    python docs/gallery.py [NAME ...]

Writes docs/pictures/gallery/NAME.png, all of them or those that are named. Needs matplotlib.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nanobragg as nb

FOLDER = Path(__file__).parent / "pictures" / "gallery"
SIDE, COARSE = 240, 180
"""Pixels along each edge, of images of a few spots and of all spots."""
_DECADES = 3.0
"""Between the darkest grey and the lightest."""


class Pair(NamedTuple):
    """An effect: two experiments, and what is written above their images."""

    off: nb.Experiment
    on: nb.Experiment
    words: tuple[str, str]


def amplitudes(cell: float = 60.0, d_min: float = 1.2) -> nb.StructureFactors:
    """Amplitudes as of atoms at random places, the same every time, with a B factor of 15."""
    most = int(cell / d_min)
    h, k, m = (x.ravel() for x in np.mgrid[-most : most + 1, -most : most + 1, -most : most + 1])
    q_sqr = (h * h + k * k + m * m) / cell**2
    near = q_sqr <= 1 / d_min**2
    random = np.random.default_rng(3).exponential(1.0, near.sum())
    found = 300 * np.sqrt(random * np.exp(-15 * q_sqr[near] / 2))
    return nb.StructureFactors.from_arrays(np.stack([h, k, m], 1)[near], found)


TABLE = amplitudes()


def close(**crystal: Any) -> nb.Experiment:
    """A few spots between 2 and 3 Angstrom, large, of a crystal of a few cells that turns a little."""
    given = {
        "unit_cell": nb.UnitCell(60, 60, 60, 90, 90, 90), "n_cells": (25, 25, 25), "shape": "gauss",
        "misset_deg": (10, 25, 40), "structure_factors": nb.StructureFactors.constant(100.0),
    }  # fmt: skip
    return nb.Experiment(
        crystal=nb.Crystal(**{**given, **crystal}), beam=nb.Beam(wavelength_angstrom=1.0, polarized=False),
        detector=nb.Detector(n_fast=SIDE, n_slow=SIDE, pixel_size_mm=0.03, beam_center_mm=(-27.0, -27.0)),
        goniometer=nb.Goniometer(osc_deg=1.0, n_steps=40), sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


def whole(**crystal: Any) -> nb.Experiment:
    """All spots to 1.9 Angstrom, with amplitudes that differ, on 200 mm at a distance of 150."""
    given = {
        "unit_cell": nb.UnitCell(60, 60, 60, 90, 90, 90), "n_cells": (14, 14, 14), "shape": "gauss", "misset_deg": (10, 25, 40),
        "structure_factors": TABLE, "mosaic": nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=30),
    }  # fmt: skip
    return nb.Experiment(
        crystal=nb.Crystal(**{**given, **crystal}), beam=nb.Beam(wavelength_angstrom=1.0),
        detector=nb.Detector(n_fast=COARSE, n_slow=COARSE, pixel_size_mm=200 / COARSE, distance_mm=150),
        sampling=nb.Sampling(oversample=3, interpolate="nearest"),
    )  # fmt: skip


def mosaic(spread: Any, model: str = "gaussian", n_domains: int = 200, **more: Any) -> nb.Mosaic:
    """Many domains."""
    return nb.Mosaic(model=model, spread_deg=spread, n_domains=n_domains, **more)


def pairs() -> dict[str, Pair]:
    """Every effect by the name of its picture."""
    fringes, still = {"shape": "square", "n_cells": (12, 12, 12)}, nb.Goniometer()
    rings = {"shape": "round", "n_cells": (14, 14, 14)}
    matrix = [[14.0, 8.0, 0.0], [8.0, 14.0, 0.0], [0.0, 0.0, 25.0]]
    turned = whole().crystal.with_value("misset_deg", (14, 25, 40))
    liquid = {"sigma_angstrom": 0.45, "gamma_angstrom": 25.0, "laue_group": "m-3"}
    alone = close(n_cells=(40, 40, 40)).replace("goniometer.osc_deg", 2.0)
    pink = nb.Spectrum(kind="pink", sigma_low_ev=60.0, sigma_high_ev=20.0, n_wavelengths=80)
    pulse = nb.Spectrum(kind="sase", fwhm_percent=0.6, duration_fs=4.0, n_wavelengths=200)
    return {
        "mosaicity": Pair(close(), close(mosaic=mosaic(0.15)), ("no mosaicity", "gaussian, 0.15°")),
        "cap": Pair(
            close(mosaic=mosaic(0.3, "cap", 10)).replace("goniometer", still),
            close(mosaic=mosaic(0.15, n_domains=50)).replace("goniometer", still),
            ("still: cap, 10 domains", "gaussian of that width, 50 domains"),
        ),
        "anisotropic_mosaicity": Pair(
            close(mosaic=mosaic(0.15)), close(mosaic=mosaic((0.02, 0.02, 0.4))), ("0.15° about all axes", "0.02°, 0.02°, 0.4°")
        ),
        "block_size": Pair(
            close(volume_mm3=1e-9), close(volume_mm3=1e-9, n_cells=(8, 8, 8)),
            ("blocks of 25³ cells", "8³ cells, the same volume"),
        ),
        "block_shape": Pair(close(**fringes), close(**rings), ("square", "round")),
        "block_matrix": Pair(
            close(n_cells=(14, 14, 25)), close(n_cells=(1, 1, 1), block_matrix=matrix),
            ("14 x 14 x 25 cells", "matrix, along a + b"),
        ),
        "block_sizes": Pair(
            close(**rings), close(**rings, sizes=nb.BlockSizes(width=0.25)), ("round blocks alike", "sizes differ by 25 %")
        ),
        "strain": Pair(
            close(mosaic=mosaic(0.03)), close(mosaic=mosaic(0.03, strain=0.004)),
            ("gaussian, 0.03°", "and cells that differ by 0.4 %"),
        ),
        "b_factor": Pair(
            whole(), whole(displacement=nb.Displacement(b_angstrom2=25.0)), ("B of the structure factors", "25 Å² more")
        ),
        "anisotropic_displacement": Pair(
            whole(), whole(displacement=nb.Displacement(u_angstrom2=np.diag([0.0, 0.0, 0.9]))),
            ("none", "U₃₃ = 0.9 Å², along c*"),
        ),
        "damage": Pair(
            whole(), whole(damage=nb.Damage(dose_mgy=30.0, dose_1_mgy=14.4)), ("undamaged", "30 MGy, by 10 MGy per ångström")
        ),
        "two_lattices": Pair(
            whole(), whole().replace(crystal=(whole().crystal, turned)), ("one crystal", "and one turned by 4°")
        ),
        "diffuse": Pair(
            whole(), whole(diffuse=nb.Diffuse(**liquid, table="static")), ("spots", "and liquid-like motions, 0.45 Å over 25 Å")
        ),
        "spectrum": Pair(
            alone, alone.replace("beam.spectrum", pink), ("one wavelength", "pink, 60 and 20 eV"),
        ),
        "sase": Pair(
            alone, alone.replace("beam.spectrum", pulse), ("one wavelength", "one pulse of a SASE laser, 0.6 %, 4 fs"),
        ),
    }  # fmt: skip


def images(pair: Pair) -> list[np.ndarray]:
    """Both images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nb.NanoBraggWarning)
        return [np.asarray(nb.simulate(one)) for one in (pair.off, pair.on)]


def draw(name: str, pair: Pair) -> Path:
    """The picture of a pair, both in one scale of grey."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    both = images(pair)
    top = float(max(np.percentile(image, 99.8) for image in both))
    figure = Figure(figsize=(5.6, 3.0), dpi=90, layout="constrained")
    for axes, image, words in zip(figure.subplots(1, 2), both, pair.words, strict=True):
        norm = LogNorm(top / 10**_DECADES, top)
        axes.imshow(np.maximum(image, top / 10**_DECADES), cmap="Greys", norm=norm, interpolation="nearest")
        axes.set_title(words, fontsize=9)
        axes.set(xticks=[], yticks=[])
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.png"
    figure.savefig(path, pil_kwargs={"optimize": True})
    return path


def main(names: list[str]) -> None:
    """Draw what is named, or everything."""
    every = pairs()
    for name in names or every:
        path = draw(name, every[name])
        print(f"{path}: {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
