"""`nanoBragg demo`: a protein-like still from synthetic data, in a few seconds and without input."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.cli.dropin.output import recorded_entries
from nanobragg.cli.progress import ProgressReport
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.config import Background, Beam, Crystal, Detector, Experiment, Mosaic, Sampling, UnitCell
from nanobragg.config.image_chain.background import Amorphous
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.errors import UsageError
from nanobragg.exposure import expose
from nanobragg.imaging.background import with_background
from nanobragg.io.atomic import write_bytes
from nanobragg.io.images.float_image import write_float
from nanobragg.io.images.png import write_png
from nanobragg.io.images.smv import save_smv
from nanobragg.io.matrix import write_matrix
from nanobragg.io.reflections.hkl import write_hkl

A, C = 79.1, 38.4
"""Tetragonal cell of a small protein [Angstrom]."""
RESOLUTION, B_FACTOR = 1.9, 18.0
"""Smallest d spacing [Angstrom] and temperature factor [Angstrom^2] of the synthetic amplitudes."""
SUM_F_SQR = 8 * 1000 * 45.0
"""Sum of f^2 over the cell [electrons^2]: 8 molecules of 1000 atoms."""
SEED = 7
WAVELENGTH, DISTANCE, DETECTOR = 1.0, 170.0, "pilatus_1m"
READOUT = Readout(kind="counting", bits=16)
"""Counts that every format holds: 16 bits, 0 in the gaps."""
FOLDER = "nanobragg_demo"
"""Where the files go when no directory is named."""
FILES = ("demo.bin", "demo.img", "demo.png", "demo.toml", "demo.hkl", "demo.mat")
EXPERIMENT = f"""# Half a degree of rotation of the demo's crystal: run it with  nanoBragg run demo.toml
[crystal]
unit_cell = {{ a = {A}, b = {A}, c = {C}, alpha = 90.0, beta = 90.0, gamma = 90.0 }}
n_cells = [20, 20, 40]
misset_deg = [17.0, 33.0, 52.0]
structure_factors = {{ hkl = "demo.hkl" }}

[beam]
wavelength_angstrom = {WAVELENGTH}
flux_per_s = 2e12
exposure_s = 1.0
size_mm = 0.0001

[detector]
preset = "{DETECTOR}"  # pixels and gaps by name
distance_mm = {DISTANCE}

[goniometer]
osc_deg = 0.5
n_steps = 10

[sampling]
oversample = 1

[[background]]
table = "water"
thickness_mm = 0.0005

[readout]
kind = "counting"

[run]
output = "turn.img"
seed = 1
"""


def synthetic_reflections() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Amplitudes with the statistics of a protein: Wilson's exponential distribution of intensities, falling off as
    exp(-2 B sin^2(theta)/lambda^2), in Laue group 4/mmm with the absences of P 4_1 2_1 2, written out for P1.

    Returns
    -------
    hkl : (n, 3) int64
    amplitude : (n,) float64
        [electrons]
    """
    h_max, l_max = int(A / RESOLUTION), int(C / RESOLUTION)
    h, k, l = (  # noqa: E741
        axis.ravel() for axis in np.mgrid[-h_max : h_max + 1, -h_max : h_max + 1, -l_max : l_max + 1]
    )
    s_sqr = (h * h + k * k) / A**2 + l * l / C**2  # 1/d^2
    absent = (
        ((h == 0) & (k == 0) & (l % 4 != 0))
        | ((k == 0) & (l == 0) & (h % 2 != 0))
        | ((h == 0) & (l == 0) & (k % 2 != 0))
    )
    kept = (s_sqr > 0) & (s_sqr <= RESOLUTION**-2) & ~absent
    h, k, l, s_sqr = h[kept], k[kept], l[kept], s_sqr[kept]  # noqa: E741
    unique = np.random.Generator(np.random.PCG64(SEED)).exponential(size=(h_max + 1, h_max + 1, l_max + 1))
    drawn = unique[np.maximum(abs(h), abs(k)), np.minimum(abs(h), abs(k)), abs(l)]
    amplitude = np.sqrt(SUM_F_SQR * drawn * np.exp(-2 * B_FACTOR * s_sqr / 4))
    return np.stack([h, k, l], axis=1), np.round(amplitude, 2)


def demo_experiment() -> Experiment:
    """A still of one nanocrystal in a thin layer of water, in the focus of a free-electron laser; corrected physics."""
    hkl, amplitude = synthetic_reflections()
    return Experiment(
        crystal=Crystal(
            unit_cell=UnitCell(A, A, C, 90, 90, 90), misset_deg=(17.0, 33.0, 52.0), n_cells=(24, 24, 48), shape="gauss",
            mosaic=Mosaic(spread_deg=0.25, n_domains=6),
            structure_factors=StructureFactors.from_arrays(hkl, amplitude),
        ),
        beam=Beam(wavelength_angstrom=WAVELENGTH, flux_per_s=2e12, size_mm=0.0001, kahn_factor=0.98),
        detector=Detector.preset(DETECTOR, distance_mm=DISTANCE),
        sampling=Sampling(oversample=2),
        background=Background(components=Amorphous(table="water", thickness_mm=0.0005)),
    )  # fmt: skip


def run_demo(args: Sequence[str]) -> int:
    """Run the subcommand.

    Raises
    ------
    UsageError
        For what is no directory.
    NanoBraggError
        When a file cannot be written.
    """
    options = Words("demo", f"Make a protein-like still from synthetic data: {', '.join(FILES)}.")
    options.add_argument(
        "directory",
        nargs="?",
        default=FOLDER,
        metavar="DIR",
        help=f"where to write; made if need be (default: {FOLDER})",
    )
    return carried_out(_demo, options, args)


def _demo(typed: Any) -> int:
    directory = typed.directory
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise UsageError(f"demo {directory}: no directory to write to: {error.strerror}") from None
    begin = time.perf_counter()
    d = derivation(resolve(demo_experiment()))
    chosen = engine("c")
    with ProgressReport(d.scene.n_pixels, 0) as progress:
        image = chosen.image(d.scene, progress=progress)
    image = with_background(image, d.experiment, d.scene, chosen.ops)
    counts = expose(d.experiment, READOUT, seed=SEED, photons=image).counts
    paths = {name: os.path.join(directory, name) for name in FILES}
    write_float(paths["demo.bin"], image)
    save_smv(paths["demo.img"], counts, recorded_entries(d, backend=chosen.name, noise_seed=SEED, adc_offset=0.0))
    write_png(paths["demo.png"], counts.astype(np.float64))
    write_inputs(directory, d.decided)
    _say(directory, time.perf_counter() - begin, image)
    return 0


def write_inputs(directory: str | os.PathLike[str], decided: Decided | None = None) -> None:
    """Write what a run needs: demo.toml, demo.hkl, and demo.mat where the demo's crystal is given."""
    paths = {name: os.path.join(directory, name) for name in FILES}
    write_bytes(paths["demo.toml"], [EXPERIMENT.encode()])
    write_hkl(paths["demo.hkl"], *synthetic_reflections())
    if decided is not None:
        cell = decided.cell
        write_matrix(paths["demo.mat"], np.array([cell.a_star, cell.b_star, cell.c_star]), WAVELENGTH)


def next_command() -> str:
    """A drop-in command line that works on the demo's own files."""
    detector = Detector.preset(DETECTOR)
    return (
        f"nanoBragg -mat demo.mat -hkl demo.hkl -lambda {WAVELENGTH:g} -distance {DISTANCE:g} "
        f"-pixel {detector.pixel_size_mm:g} -detpixels_f {detector.n_fast} -detpixels_s {detector.n_slow} -N 20 "
        "-oversample 1 -phi 10 -osc 0.5 -phisteps 10 -fluence 2e26 -water 0.17 -seed 1 --fidelity corrected"
    )


def _say(directory: str, seconds: float, image: NDArray[np.float64]) -> None:
    texts = {
        "demo.png": "picture to look at",
        "demo.img": "counts with photon noise, SMV: opens in ADXV, DIALS, Albula, MOSFLM, XDS",
        "demo.bin": "expected photons, {} x {} float32 (slow x fast) without header".format(*image.shape),
        "demo.toml": "an experiment to run and to change",
        "demo.hkl": "the synthetic structure factors",
        "demo.mat": "the orientation matrix",
    }
    sys.stdout.write(
        f"A still of a protein-like nanocrystal, {image.size} pixels in {seconds:.1f} s, brightest pixel "
        f"{image.max():.0f} photons:\n"
    )
    for name, text in texts.items():
        sys.stdout.write(f"  {os.path.abspath(os.path.join(directory, name))}  {text}\n")
    where = "" if os.path.abspath(directory) == os.getcwd() else f"cd {directory} && "
    sys.stdout.write(
        f"\nOpen {os.path.join(directory, 'demo.png')}. Try next, half a degree of rotation:\n  {where}nanoBragg run demo.toml\n"
        f"and the same crystal with the original's flags:\n  {next_command()}\n"
        "and nanoBragg --help for every flag. In Python:\n"
        "  import nanobragg as nb; help(nb.Experiment); nb.simulate(experiment)\n"
    )
