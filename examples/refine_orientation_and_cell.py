"""Refine the orientation and the unit cell of a crystal from one noisy still image.

A still of a small crystal with a lysozyme-like cell is simulated with Poisson noise. The refinement starts 0.5 degrees and
0.5 % of the cell away, which is several spot widths, and maximizes the Poisson likelihood of the photon counts. It sees
broad spots near the beam first, and sharper spots further out at every stage; the last stage has the true model. Every
stage is Fisher scoring with the Jacobian of the image, whose Gauss-Newton matrix gives the standard errors.

    python examples/refine_orientation_and_cell.py [--seed 1] [--picture refinement.png]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch

import nanobragg as nb

NAMES = ("misset x", "misset y", "misset z", "a", "b", "c", "alpha", "beta", "gamma")
UNITS = ("deg", "deg", "deg", "A", "A", "A", "deg", "deg", "deg")
FIELDS = (
    "crystal.misset_deg", "crystal.unit_cell.a", "crystal.unit_cell.b", "crystal.unit_cell.c",
    "crystal.unit_cell.alpha", "crystal.unit_cell.beta", "crystal.unit_cell.gamma",
)  # fmt: skip
CELL = (79.1, 79.1, 37.9, 90.0, 90.0, 90.0)
N_CELLS = 15
N_PIXELS = 660
ROOM = 2**13
"""pixels whose derivatives are worked on together"""


@dataclass(frozen=True)
class Stage:
    """What the model looks like at one stage: crystal size, the central square that counts, and sub-pixels."""

    n_cells: float
    half_width: int
    """[pixels]"""
    oversample: int
    shape: str = "gauss"
    iterations: int = 8


STAGES = (
    Stage(3, 63, 1),
    Stage(4, 102, 1),
    Stage(6, 152, 1),
    Stage(9, 216, 1),
    Stage(N_CELLS, N_PIXELS // 2, 2, "square"),
)


@dataclass(frozen=True)
class Refinement:
    """Estimates with standard errors, in the order of `NAMES`."""

    start: np.ndarray
    estimate: np.ndarray
    covariance: np.ndarray
    """inverse of the Gauss-Newton matrix at the estimate"""

    @property
    def error(self) -> np.ndarray:
        """Standard errors."""
        return np.sqrt(np.diag(self.covariance))


def crystallography(seed: int) -> tuple[nb.Experiment, np.ndarray]:
    """The experiment in a random orientation, and its parameters in the order of `NAMES`."""
    rng = np.random.default_rng(seed)
    axes = [np.arange(-n, n + 1) for n in (60, 60, 29)]
    h, k, l = np.meshgrid(*axes, indexing="ij")  # noqa: E741
    resolution_sqr = (h / CELL[0]) ** 2 + (k / CELL[1]) ** 2 + (l / CELL[2]) ** 2
    amplitude = 300 * np.sqrt(rng.exponential(size=h.shape)) * np.exp(-2 * resolution_sqr)  # Wilson statistics, B = 8
    amplitude[60, 60, 29] = 0
    truth = np.array([*rng.uniform((-180, -60, -180), (180, 60, 180)), *CELL])  # away from +-90, where x and z coincide
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(*CELL), misset_deg=tuple(truth[:3]), n_cells=(N_CELLS,) * 3,
            structure_factors=nb.StructureFactors(amplitude=amplitude, hkl_min=(-60, -60, -29)),
        ),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1.2e26),
        detector=nb.Detector(n_fast=N_PIXELS, n_slow=N_PIXELS, pixel_size_mm=0.1, distance_mm=55.0),
        sampling=nb.Sampling(oversample=2, interpolate="nearest"),
        background=nb.Background(water_um=0.08),
    )  # fmt: skip
    return experiment, truth


def displaced(truth: np.ndarray, seed: int) -> np.ndarray:
    """The start: turned by 0.5 degrees about a random axis of the misset angles, cell off by 0.5 % in random directions."""
    rng = np.random.default_rng(seed + 1000)
    turn = rng.standard_normal(3)
    start = truth.copy()
    start[:3] += 0.5 * turn / np.linalg.norm(turn)
    start[3:] *= 1 + 0.005 * rng.choice([-1, 1], 6)
    return start


def without_spots(experiment: nb.Experiment) -> nb.Experiment:
    """The experiment with nothing but its background."""
    return experiment.replace("crystal.structure_factors", nb.StructureFactors.constant(1e-12))


def set_parameters(experiment: nb.Experiment, values: np.ndarray) -> nb.Experiment:
    """The experiment with orientation and cell replaced."""
    misset, cell = (tuple(float(x) for x in part) for part in (values[:3], values[3:]))
    return experiment.replace(FIELDS[0], misset).replace("crystal.unit_cell", nb.UnitCell(*cell))


class Model:
    """The image of one stage, and its Jacobian, as a function of the nine parameters."""

    def __init__(self, experiment: nb.Experiment, stage: Stage, photons: np.ndarray, background: np.ndarray) -> None:
        middle = N_PIXELS // 2
        square = slice(middle - stage.half_width, middle + stage.half_width)
        self.square = square, square
        for path, value in {
            "crystal.shape": stage.shape,
            "crystal.n_cells": (stage.n_cells,) * 3,
            "sampling.oversample": stage.oversample,
            "sampling.roi": self.square,
        }.items():
            experiment = experiment.replace(path, value)
        self.module = nb.ExperimentModule(experiment, FIELDS, kernel="core")
        self.photons = torch.from_numpy(photons[self.square].astype(np.float64)).flatten()
        self.background = torch.from_numpy(background[self.square]).flatten()
        self.lit = self.photons.nonzero()[:, 0]
        self.counts = self.photons[self.lit]
        self.perfect = float((torch.xlogy(self.counts, self.counts) - self.counts).sum())
        self.gain = None if stage.shape == "gauss" else 1.0

    @torch.no_grad()
    def move(self, values: torch.Tensor) -> None:
        """Set the parameters of the module."""
        for parameter, part in zip(self.module.parameters(), [values[:3], *values[3:].unbind()], strict=True):
            parameter.copy_(part)

    @torch.no_grad()
    def image(self, values: torch.Tensor) -> torch.Tensor:
        """Expected photons in the square."""
        self.move(values)
        return self.balanced(self.module()[self.square].flatten())

    def balanced(self, image: torch.Tensor) -> torch.Tensor:
        """The Bragg photons of a broadened model scaled to those that were counted, by what the first image takes."""
        if self.gain is None:
            self.gain = float((self.photons - self.background).sum() / (image - self.background).sum())
        return image if self.gain == 1.0 else torch.lerp(self.background, image, self.gain)

    def deviance(self, image: torch.Tensor) -> float:
        """Minus twice the logarithm of the Poisson likelihood ratio to the perfect model."""
        return 2 * float(self.perfect - self.counts @ image.index_select(0, self.lit).log() + image.sum())

    def normal_equations(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fisher information, score and image."""
        self.move(values)
        image, slopes = self.module.jacobian(cropped=True)
        image = self.balanced(image.flatten())
        each = [one for slope in slopes.values() for one in (slope.unbind(-1) if slope.ndim == 3 else [slope])]
        rows = [one.flatten().numpy() for one in (*each, self.photons - image)]
        sums, weight = np.zeros((len(each) + 1, len(each))), 1 / image.numpy()
        for begin in range(0, len(weight), ROOM):
            part = slice(begin, begin + ROOM)
            jacobian = np.stack([row[part] for row in rows])
            sums += jacobian @ (jacobian[:-1] * weight[part]).T
        return torch.from_numpy(sums[:-1] * self.gain**2), torch.from_numpy(sums[-1] * self.gain), image


def refine(experiment: nb.Experiment, photons: np.ndarray, start: np.ndarray, verbose: bool = True) -> Refinement:
    """Fisher scoring through all stages."""
    values = torch.from_numpy(start)
    experiment = set_parameters(experiment, start)
    background = nb.simulate(without_spots(experiment).replace("sampling.oversample", 1))
    for number, stage in enumerate(STAGES, 1):
        model = Model(experiment, stage, photons, background)
        damping, before = 1e-3, None
        for iteration in range(stage.iterations):
            information, score, image = model.normal_equations(values)
            before = model.deviance(image) if before is None else before
            for _ in range(6):
                ridge = torch.diag(damping * information.diag())
                step = torch.linalg.solve(information + ridge, score)
                after = model.deviance(model.image(values + step))
                if after <= before:
                    values, damping = values + step, damping / 5
                    break
                damping *= 8
            else:
                break
            if verbose:
                print(
                    f"  stage {number}.{iteration + 1:<2d} N = {stage.n_cells:<4g} deviance {after:12.1f}  damping {damping:.0e}",
                    flush=True,
                )
            gained, before = before - after, after
            if gained < (0.001 if stage.shape == "square" else 1.0):
                break
    # of the last stage, whose model is the true one; its last step, if there was one, is a few hundredths of an error at most
    return Refinement(start, values.numpy(), torch.linalg.inv(information).numpy())


def draw(path: str, experiment: nb.Experiment, photons: np.ndarray, result: Refinement) -> None:
    """Counts with the model before and after, near the beam and as a whole."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 5.4), layout="constrained")
    top = np.percentile(photons, 99.8)
    images = {
        "photons counted": photons,
        "model before": nb.simulate(set_parameters(experiment, result.start)),
        "model after": nb.simulate(set_parameters(experiment, result.estimate)),
    }
    for axis, (title, image) in zip(axes, images.items(), strict=True):
        axis.imshow(np.sqrt(image), vmin=0, vmax=np.sqrt(top), cmap="gray_r", interpolation="nearest")
        axis.set_title(title)
    figure.savefig(path, dpi=110)


def run(seed: int, verbose: bool = True) -> tuple[Refinement, np.ndarray, nb.Experiment, np.ndarray]:
    """Simulate and refine one still: what was found, the truth, and the data."""
    experiment, truth = crystallography(seed)
    expected = nb.simulate(experiment)
    photons = np.random.default_rng(seed + 2000).poisson(expected)
    if verbose:
        water = nb.simulate(without_spots(experiment))
        print(f"{(expected - water).sum():.0f} photons in the spots, {water.mean():.2f} of background in a pixel")
    return refine(experiment, photons, displaced(truth, seed), verbose), truth, experiment, photons


def report(result: Refinement, truth: np.ndarray) -> None:
    """The nine parameters before and after."""
    print(f"\n{'':10s}{'truth':>12s}{'start - truth':>16s}{'found - truth':>16s}{'standard error':>16s}")
    for i, name in enumerate(NAMES):
        off, left = result.start[i] - truth[i], result.estimate[i] - truth[i]
        print(f"{name:10s}{truth[i]:12.4f}{off:16.4f}{left:16.5f}{result.error[i]:16.5f} {UNITS[i]}")


def repeat(seeds: int) -> None:
    """Many stills: the worst deviations and the pooled chi^2 of deviation/standard error."""
    squares, correlated = [], []
    for seed in range(1, seeds + 1):
        result, truth, _, _ = run(seed, verbose=False)
        deviation = result.estimate - truth
        squares.append((deviation / result.error) ** 2)
        correlated.append(deviation @ np.linalg.solve(result.covariance, deviation) / len(deviation))
        worst = np.abs(deviation)
        print(
            f"seed {seed:3d}: misset within {worst[:3].max():.4f} deg, edges {worst[3:6].max():.4f} A, "
            f"angles {worst[6:].max():.4f} deg; chi^2 {squares[-1].mean():.2f}, with correlations {correlated[-1]:.2f}",
            flush=True,
        )
    print(
        f"pooled chi^2 of {9 * seeds} deviations: {np.mean(squares):.3f}, with correlations {np.mean(correlated):.3f}"
    )


def main() -> None:
    """Run one refinement, or many, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seeds", type=int, help="refine this many stills, one after the other, and pool the deviations"
    )
    parser.add_argument("--picture", help="write a before/after picture here (needs matplotlib)")
    options = parser.parse_args()
    if options.seeds:
        repeat(options.seeds)
        return
    began = time.perf_counter()
    result, truth, experiment, photons = run(options.seed)
    report(result, truth)
    chi_sqr = float((((result.estimate - truth) / result.error) ** 2).mean())
    print(f"\nmean squared deviation in standard errors: {chi_sqr:.2f};  {time.perf_counter() - began:.1f} s")
    if options.picture:
        draw(options.picture, experiment, photons, result)


if __name__ == "__main__":
    main()
