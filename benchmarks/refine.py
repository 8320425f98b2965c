"""How well and how quickly images are refined.

    python benchmarks/refine.py first              one still, the case of examples/refine_orientation_and_cell.py in small
    python benchmarks/refine.py stills [--stills 50] [--first 0]   recovery of random stills
    python benchmarks/refine.py shared [--stills 20] [--sets 1] [--first 0]   one detector for many stills, sets of them

Times are CPU seconds of this process, all threads, from the counts to the result. Data are rendered with more mosaic domains, of
another draw, than the model has.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

import nanobragg as nb
from nanobragg.refinement.data.pixels import Image, boxes
from nanobragg.refinement.solving.model import Model
from nanobragg.refinement.variables.crystals import Lattice, rotation
from nanobragg.refinement.variables.parameters import Parameters

CELLS = {
    "cubic": (80.0, 80.0, 80.0, 90.0, 90.0, 90.0), "tetragonal": (79.1, 79.1, 37.9, 90.0, 90.0, 90.0),
    "orthorhombic": (50.0, 60.0, 70.0, 90.0, 90.0, 90.0), "monoclinic": (60.0, 50.0, 70.0, 90.0, 105.0, 90.0),
    "triclinic": (50.0, 60.0, 70.0, 80.0, 95.0, 105.0),
}  # fmt: skip
LIMITS = {"misset": 0.005, "unit_cell": 0.02, "n_cells": 0.05, "spread": 0.2, "fluence": 0.02, "distance": 0.1}
"""What recovery means: degrees, Angstrom and degrees, relative, relative, relative, mm; or four times what `known` says."""
MODEL_DOMAINS, DATA_DOMAINS = 100, 4000
STRONG = 2e5
OFFSET, NOISE = 10.0, 0.5
READ = (NOISE**2 + 1 / 12) ** 0.5
"""Of the read-out, whole counts included."""
IMAGES = ""


def wilson(cell: tuple[float, ...], d_min: float, rng: np.random.Generator) -> nb.StructureFactors:
    """Amplitudes with Wilson's statistics and a B factor of 8."""
    n = [int(edge / d_min) + 1 for edge in cell[:3]]
    h = np.meshgrid(*(np.arange(-m, m + 1) for m in n), indexing="ij")
    s_sqr = sum((index / edge) ** 2 for index, edge in zip(h, cell[:3], strict=True))
    amplitude = 300 * np.sqrt(rng.exponential(size=h[0].shape)) * np.exp(-2 * s_sqr)
    amplitude[tuple(n)] = 0
    return nb.StructureFactors(amplitude=amplitude, hkl_min=tuple(-m for m in n))


def rendered(truth: nb.Experiment, seed: int) -> Any:
    """The image without noise; kept in the folder IMAGES, if it is there, as it takes longer than a refinement."""
    path = os.path.join(IMAGES, f"still_{seed}.npy")
    if IMAGES and os.path.exists(path):
        return np.load(path)
    # where no spot comes near there is nothing to be rendered
    spots = nb.predict(truth.replace("crystal.mosaic.n_domains", 24), min_partiality=1e-4)
    image = nb.simulate(truth.replace("detector.mask", nb.shoeboxes(spots, truth, margin=5) > 0))
    if IMAGES:
        np.save(path, image)
    return image


def random_still(seed: int, with_distance: bool) -> tuple[nb.Experiment, nb.Experiment, Any, list[str], float, float]:
    """Truth, start, counts, what is refined, photons in the spots, and photons of the background per pixel."""
    rng = np.random.default_rng(seed)
    name = list(CELLS)[seed % len(CELLS)]
    cell = CELLS[name]
    blocks = float(rng.uniform(12, 25))
    spread = float(rng.uniform(0.05, 0.2))
    mosaic = nb.Mosaic(model="gaussian", spread_deg=spread, n_domains=DATA_DOMAINS, seed=1000 + seed)
    truth = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(*cell), n_cells=(blocks,) * 3, shape="gauss", mosaic=mosaic,
                           misset_deg=tuple(rng.uniform((-180, -70, -180), (180, 70, 180))),
                           structure_factors=wilson(cell, 1.6, rng)),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e26), sampling=nb.Sampling(oversample=1),
        detector=nb.Detector(n_fast=1000, n_slow=1000, pixel_size_mm=0.1, distance_mm=110.0),
    )  # fmt: skip
    image = rendered(truth, seed)
    # half of the stills above STRONG photons in the spots, half below
    photons = float(np.exp(rng.uniform(*np.log([STRONG, 1e6] if seed // len(CELLS) % 2 else [1e4, STRONG]))))
    truth = truth.replace("beam.fluence_per_m2", 1e26 * photons / image.sum())
    background = float(rng.uniform(0.5, 3.0))
    noisy = rng.poisson(image * photons / image.sum() + background) + rng.normal(0, NOISE, image.shape) + OFFSET
    counts = np.rint(noisy).astype(np.uint16)
    axis = rng.standard_normal(3)
    turned = rotation(0.3 * axis / np.linalg.norm(axis))
    lattice = Lattice(truth)
    other = Lattice(truth.replace("crystal.misset_deg", truth.crystal.misset_deg))
    other.orientation = turned @ lattice.orientation
    free = [cell[group[0]] * (1 + 0.005 * rng.choice([-1, 1])) for group in lattice.free]
    start = (
        truth.replace("crystal.misset_deg", other.misset(np.zeros(3)))
        .replace("crystal.unit_cell", nb.UnitCell(*lattice.filled(free)))
        .replace("crystal.n_cells", (blocks * float(rng.choice([0.77, 1.3])),) * 3)
        .replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=spread * float(rng.choice([0.8, 1.25])),
                                             n_domains=MODEL_DOMAINS, seed=20 * seed))
        .replace("beam.fluence_per_m2", float(truth.beam.fluence_per_m2) * 1.2)
    )  # fmt: skip
    paths = [
        "crystal.misset_deg",
        "crystal.unit_cell",
        "crystal.n_cells",
        "crystal.mosaic.spread_deg",
        "beam.fluence_per_m2",
    ]
    if with_distance:
        start = start.replace("detector.distance_mm", 111.0)
        paths.append("detector.distance_mm")
    return truth, start, counts, paths, photons, background


def known(truth: nb.Experiment, paths: list[str], background: float) -> dict[str, float]:
    """By name as in `deviations`: standard deviations that the photons allow, from the Fisher matrix at the truth.

    Of the shoeboxes that a refinement from there would take, with a plane under each to be solved for.
    """
    parameters = Parameters(truth.replace("crystal.mosaic.n_domains", 400), paths)
    spots = nb.predict(truth.replace("crystal.mosaic.n_domains", 24), min_partiality=0.01)
    brightest = spots[np.argsort(-spots["photons"])[:200]]
    shape = (truth.detector.n_slow, truth.detector.n_fast)
    blank = Image("", [np.zeros(shape)], [np.ones(shape, bool)], READ**2)
    model = Model(parameters, boxes(blank, brightest, truth, 2, "plane"), n_threads=1)
    x = np.zeros(parameters.size)
    model.weigh(model.photons(x) + background, READ**2)
    jacobian = model.jacobian(x)
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    slopes = np.concatenate([parameters.turn_slopes(), parameters.slopes(x)[3:]])
    errors = np.sqrt(np.diag(slopes @ covariance @ slopes.T))
    return dict(zip(["misset x", "misset y", "misset z", *parameters.names[3:]], errors.tolist(), strict=True))


def deviations(found: nb.Refinement, truth: nb.Experiment) -> dict[str, tuple[float, float, float]]:
    """By name: deviation, standard error, and the limit of what counts as recovered."""
    result = {}
    own, exact = Lattice(found.experiment), Lattice(truth)
    turn = own.orientation @ exact.orientation.T
    vector = np.degrees(np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2)
    for i, value in enumerate(vector):
        result[f"misset {'xyz'[i]}"] = (float(value), float(np.sqrt(found.turn_covariance[i, i])), LIMITS["misset"])
    for name, value in found.values.items():
        if name.startswith("crystal.misset"):
            continue
        expected = float(truth.get(name))
        key = next(k for k in LIMITS if k in name)
        limit = LIMITS[key] * (abs(expected) if key in ("n_cells", "spread", "fluence") else 1.0)
        result[name] = (value - expected, found.errors[name], limit)
    return result


def refined(seed: int, with_distance: bool) -> tuple[dict[str, Any], dict[str, float], float, nb.Refinement, float]:
    """Deviations, what the photons allow, CPU seconds from the file to the report, the result, and the photons in the spots."""
    truth, start, counts, paths, photons, background = random_still(seed, with_distance)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = os.path.join(folder, "image.img")
        nb.io.write_smv(image, counts, experiment=truth)
        begin = time.process_time()
        found = nb.refine(image, start, refine=paths, offset=OFFSET, read_noise=READ, n_threads=1)
        found.report(os.path.join(folder, "report.html"))
        seconds = time.process_time() - begin
    return deviations(found, truth), known(truth, paths, background), seconds, found, photons


def stills(count: int, first: int) -> None:
    """Recovery of random stills, every other one with the distance refined too."""
    good, strong, strict, squares, times = 0, 0, 0, [], []
    for seed in range(first, first + count):
        found, allowed, seconds, result, photons = refined(seed, seed % 2 == 1)
        within = all(abs(d) <= max(limit, 4 * allowed[name]) for name, (d, _, limit) in found.items())
        listed = all(abs(d) <= limit for d, _, limit in found.values())
        good += within
        strong += photons > STRONG
        strict += listed and photons > STRONG
        squares += [(d / error) ** 2 for d, error, _ in found.values()]
        times.append(seconds)
        worst = max(found, key=lambda name: abs(found[name][0]) / found[name][1])
        d, error, _ = found[worst]
        loss = max(error / allowed[name] for name, (_, error, _) in found.items())
        print(f"{seed:3d} {list(CELLS)[seed % 5]:12s} {photons:9.3g} photons {'ok' if within else 'NO':2s} "
              f"{'listed' if listed else '':6s} chi2 {result.chi2:5.2f} mean {np.mean(squares[-len(found):]):5.2f} "
              f"worst {worst} {d / error:+.1f} errors; errors up to {loss:.1f} times those of the photons; {seconds:4.1f} s",
              flush=True)  # fmt: skip
    print(f"{good} of {count} recovered, {strict} of {strong} with over {STRONG:g} photons have the listed numbers; pooled "
          f"chi-squared {np.mean(squares):.2f} over {len(squares)}, median {np.median(squares):.2f} (0.45 expected); median "
          f"time {np.median(times):.1f} s")  # fmt: skip


def first_case() -> None:
    """The six lines of a user, on 1000 x 1000 pixels: few domains in the start, 4000 in the data."""
    rng = np.random.default_rng(3)
    cell = CELLS["tetragonal"]
    truth = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(*cell), n_cells=(15, 15, 15), shape="gauss", misset_deg=(10, 20, 30),
                           mosaic=nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=DATA_DOMAINS, seed=7),
                           structure_factors=wilson(cell, 1.6, rng)),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=3e26), sampling=nb.Sampling(oversample=1),
        detector=nb.Detector(n_fast=1000, n_slow=1000, pixel_size_mm=0.1, distance_mm=110.0),
    )  # fmt: skip
    counts = rng.poisson(nb.simulate(truth) + 1.0)
    start = truth.replace("crystal.misset_deg", (10.1, 19.9, 30.1)).replace("crystal.mosaic.seed", 1)
    start = start.replace("crystal.unit_cell", nb.UnitCell(79.3, 79.3, 37.8, 90, 90, 90))
    paths = ["crystal.misset_deg", "crystal.unit_cell", "crystal.mosaic.spread_deg", "beam.fluence_per_m2"]
    start = start.replace("crystal.mosaic.n_domains", 100)
    for number, most in enumerate((500, 500, 100)):  # the first call loads libraries, and makes draws that are kept
        begin, wall = time.process_time(), time.perf_counter()
        found = nb.refine(counts, start, refine=paths, max_boxes=145, max_domains=most)
        seconds, wall = time.process_time() - begin, time.perf_counter() - wall
        off = {name: d / error for name, (d, error, _) in deviations(found, truth).items()}
        turned = ", ".join(f"{off[f'misset {axis}']:+.1f}" for axis in "xyz")
        millidegrees = 1000 * np.sqrt(np.diag(found.turn_covariance)).max()
        print(f"call {number + 1}, at most {most} domains: {seconds:.2f} s of CPU, {wall:.2f} s, {len(found.spots)} boxes, "
              f"chi2 {found.chi2:.2f}; orientation off by {turned} errors of {millidegrees:.2f} mdeg")  # fmt: skip


def random_set(number: int, count: int) -> tuple[list[Any], list[nb.Experiment]]:
    """Counts of stills with one detector, and starts whose distance is 0.5 mm, tilt 0.2 degrees, beam center 2 pixels off."""
    rng, images, starts = np.random.default_rng(11 + number), [], []
    cell = CELLS["tetragonal"]
    table = wilson(cell, 1.6, rng)
    for i in range(count):
        mosaic = nb.Mosaic(model="gaussian", spread_deg=0.08, n_domains=1000, seed=100 * (number + 1) + i)
        truth = nb.Experiment(
            crystal=nb.Crystal(unit_cell=nb.UnitCell(*cell), n_cells=(15, 15, 25), shape="gauss", mosaic=mosaic,
                               structure_factors=table, misset_deg=tuple(rng.uniform((-180, -70, -180), (180, 70, 180)))),
            beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e26), sampling=nb.Sampling(oversample=1),
            detector=nb.Detector(n_fast=1000, n_slow=1000, pixel_size_mm=0.1, distance_mm=110.0, beam_center_mm=(50.0, 50.0)),
        )  # fmt: skip
        images.append(rng.poisson(nb.simulate(truth) + 1.0))
        x, y, z = truth.crystal.misset_deg
        a, b, c = rng.uniform(-0.1, 0.1, 3)
        starts.append(
            truth.replace("crystal.misset_deg", (x + a, y + b, z + c)).replace("detector.distance_mm", 110.5)
            .replace("detector.rotation_deg", (0.0, 0.2, -0.2)).replace("detector.beam_center_mm", (50.2, 49.8))
            .replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=MODEL_DOMAINS, seed=i))
        )  # fmt: skip
    return images, starts


def shared(count: int, workers: int, sets: int, first: int) -> None:
    """Recovery of one detector, from sets of stills."""
    paths, common = ["crystal.misset_deg", "beam.fluence_per_m2", "crystal.mosaic.spread_deg"], [
        "detector.distance_mm", "detector.rotation_deg[1]", "detector.rotation_deg[2]", "detector.beam_center_mm",
    ]  # fmt: skip
    exact = np.array([110.0, 0.0, 0.0, 50.0, 50.0])
    options: dict[str, Any] = {"refine": paths, "shared": common, "n_threads": 1, "max_boxes": 100}
    pulls, whitened, gains, alone_whitened = [], [], [], []
    for number in range(first, first + sets):
        images, starts = random_set(number, count)
        begin = time.perf_counter()
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = nb.refine_shared(images, starts, executor=pool, **options)
        errors = np.sqrt(np.diag(found.covariance))
        alone = np.median([[image.errors[name] for name in found.names] for image in found.images], axis=0)
        gains.append(alone / errors)
        pulls.append((found.estimate - exact) / errors)
        whitened.append(apart(found, found.names, exact))
        alone_whitened += [apart(image, found.names, exact) for image in found.images]
        chi2 = float((whitened[-1] ** 2).mean())
        print(f"set {number}: {found}\nerrors of one image over those of all: {np.array2string(gains[-1], precision=2)}\n"
              f"deviations in errors: {np.array2string(pulls[-1], precision=2)}; with correlations, chi-squared {chi2:.2f} over "
              f"{len(exact)} numbers; {time.perf_counter() - begin:.0f} s, {workers} workers", flush=True)  # fmt: skip
    for name, column in zip(found.names, np.transpose(pulls), strict=True):
        print(f"{name}: mean deviation {column.mean():+.2f} +- {len(column) ** -0.5:.2f} errors, mean square "
              f"{(column**2).mean():.2f} over {len(column)} sets")  # fmt: skip
    for text, values in (("one by one", alone_whitened), ("together", whitened)):
        print(f"{sets} sets of {count} images, {text}: pooled chi-squared {np.square(values).mean():.2f} +- "
              f"{(2 / np.size(values)) ** 0.5:.2f} over {np.size(values)} numbers")  # fmt: skip
    print(f"errors at least {np.min(gains):.2f} times smaller than those of the median image")


def apart(found: Any, names: tuple[str, ...], exact: Any) -> Any:
    """Deviations of the named numbers, so turned and scaled that they are independent with the variance 1."""
    places = [found.names.index(name) for name in names]
    root = np.linalg.cholesky(found.covariance[np.ix_(places, places)])
    return np.linalg.solve(root, found.estimate[places] - exact)


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("first", "stills", "shared"))
    parser.add_argument("--stills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sets", type=int, default=1)
    parser.add_argument(
        "--images", default="", help="folder for rendered stills, which are taken from there the next time"
    )
    typed = parser.parse_args()
    globals()["IMAGES"] = typed.images
    if typed.part == "first":
        first_case()
    elif typed.part == "shared":
        shared(min(typed.stills, 20), typed.workers, typed.sets, typed.first)
    else:
        stills(typed.stills, typed.first)


if __name__ == "__main__":
    main()
