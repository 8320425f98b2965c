"""How near a few mosaic domains come to very many, old draws and new, and the steps of a rotation: docs/crystals.md, Convergence.

    python benchmarks/convergence.py [--domains 10 25 50 100 200] [--seeds 16] [--limit]

A still with spots of the width b and a broadening m. Each model is compared with its own image of 2000 domains: relative L2 of
the image, and of the totals of the spots; the root of the mean square over the seeds. `--limit`: how much nearer than random
draws the totals can come at all, with the best places of that many domains for that one width of the spots.
"""

from __future__ import annotations

import argparse
import math
import warnings

import numpy as np
from scipy import ndimage, optimize, special

import nanobragg as nb

PER_AXIS = {"cap": 0.4963784, "gaussian": 1.0, "ball": 0.4472136}
"""Standard deviation of the rotations about an axis, over the spread."""
WIDTH = math.radians(0.06)
"""About an axis, of every model."""


def still(model: str, n: int, seed: int, cells: int) -> np.ndarray:
    """The image."""
    mosaic = nb.Mosaic(model=model, spread_deg=math.degrees(WIDTH) / PER_AXIS[model], n_domains=n, seed=seed)
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(60, 60, 60, 90, 90, 90), misset_deg=(10, 25, 40), shape="gauss", n_cells=(cells,) * 3,
        mosaic=mosaic, structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    return nb.simulate(
        nb.Experiment(
            crystal=crystal,
            beam=nb.Beam(wavelength_angstrom=1.0, polarized=False),
            detector=nb.Detector(n_fast=256, n_slow=256, pixel_size_mm=0.06, beam_center_mm=(-30, -30)),
            sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    ))  # fmt: skip


def rotation(start: float, width: float, n_steps: int) -> np.ndarray:
    """The image of a crystal without domains that turns."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(60, 60, 60, 90, 90, 90), misset_deg=(10, 25, 40), shape="gauss", n_cells=(12, 12, 12),
        structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    return nb.simulate(
        nb.Experiment(
            crystal=crystal,
            beam=nb.Beam(wavelength_angstrom=1.0, polarized=False),
            detector=nb.Detector(n_fast=128, n_slow=128, pixel_size_mm=0.3, beam_center_mm=(-20, -20)),
            goniometer=nb.Goniometer(phi_start_deg=start, osc_deg=width, n_steps=n_steps),
            sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    ))  # fmt: skip


def errors(model: str, ratio: float, numbers: list[int], seeds: int) -> dict[int, tuple[float, float]]:
    """Of the image and of the totals, by number of domains."""
    cells = round(0.3969 / (ratio * WIDTH * 0.55 * 60))
    converged = still(model, 2000, 999, cells)
    places, count = ndimage.label(converged > 1e-4 * converged.max())

    def totals(image: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.sum(image, places, range(1, count + 1)))

    found = {}
    for n in numbers:
        off = [still(model, n, seed, cells) - converged for seed in range(1, seeds + 1)]
        image = math.sqrt(np.mean([(one**2).sum() for one in off]) / (converged**2).sum())
        sums = math.sqrt(np.mean([(totals(one) ** 2).sum() for one in off]) / (totals(converged) ** 2).sum())
        found[n] = image, sums
    return found


def limit(ratio: float, n: int, starts: int = 3, weighted: bool = False) -> float:
    """Gain of the best set of domains that a descent finds, over random ones, in totals of spots.

    A total depends on the rotation u.x about one axis: T(e) = sum_d w_d exp(-(e - u.x_d)^2 / 2 b^2). The mean square of its error
    over e and over all axes u is a sum over pairs, of K(r) = int_0^inf exp(-b^2 k^2) sin(kr)/(kr) dk; lengths in units of m.
    """
    half, root = n // 2, math.sqrt(math.pi) / 2

    def pairs(r: np.ndarray, a: float) -> tuple[np.ndarray, np.ndarray]:
        """K and dK/dr over r, for exp(-a k^2)."""
        r = np.maximum(r, 1e-9)
        value = math.pi / 2 * special.erf(r / (2 * math.sqrt(a))) / r
        return value, (root / math.sqrt(a) * np.exp(-(r**2) / (4 * a)) - value) / r**2

    def error(z: np.ndarray) -> tuple[float, np.ndarray]:
        x = z[: 3 * half].reshape(half, 3)
        share = np.exp(z[3 * half :]) if weighted else np.ones(half)
        w = share / (2 * share.sum())
        value, force = 0.0, np.zeros_like(x)
        by_weight = np.zeros(half)
        for sign in (1, -1):
            apart = x[:, None] - sign * x[None]
            k, slope = pairs(np.linalg.norm(apart, axis=2), ratio**2)
            if sign > 0:
                np.fill_diagonal(k, root / ratio)
            value += 2 * float(w @ k @ w)
            by_weight += 4 * k @ w
            force += 4 * np.einsum("i,j,ij,ijc->ic", w, w, slope, apart)
        k, slope = pairs(np.linalg.norm(x, axis=1), ratio**2 + 0.5)
        value += root / math.sqrt(1 + ratio**2) - 4 * float(w @ k)
        by_weight -= 4 * k
        force -= 4 * (w * slope)[:, None] * x
        to_share = w * (by_weight - 2 * (w @ by_weight)) if weighted else np.zeros(half)
        return value, np.concatenate([force.ravel(), to_share])

    best = min(
        optimize.minimize(
            error, np.concatenate([np.random.default_rng(seed).normal(size=3 * half), np.zeros(half)]),
            jac=True, method="L-BFGS-B", options={"maxiter": 4000, "maxfun": 8000, "ftol": 1e-15, "gtol": 1e-13},
        ).fun
        for seed in range(starts)
    )  # fmt: skip
    return math.sqrt(root * (1 / ratio - 1 / math.sqrt(1 + ratio**2)) / n / best)


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--domains", type=int, nargs="+", default=[10, 25, 50, 100, 200])
    options.add_argument("--seeds", type=int, default=16)
    options.add_argument("--limit", action="store_true", help="the best gain of totals that there can be")
    typed = options.parse_args()
    if typed.limit:
        print("b/m  domains   best gain of totals: equal weights   weights free")
        for ratio in (0.3, 0.6, 1.0):
            for n in typed.domains:
                print(
                    f"{ratio:3.1f}  {n:7d}   {limit(ratio, n):34.2f}   {limit(ratio, n, weighted=True):12.2f}",
                    flush=True,
                )
        return
    warnings.simplefilter("ignore")
    print("b/m  domains   cap: image totals   gaussian: image totals   gain: image totals   ball: image totals")
    for ratio in (0.3, 0.6, 1.0):
        found = {model: errors(model, ratio, typed.domains, typed.seeds) for model in PER_AXIS}
        for n in typed.domains:
            old, new, ball = (found[model][n] for model in ("cap", "gaussian", "ball"))
            gains = old[0] / new[0], old[1] / new[1], old[0] / ball[0], old[1] / ball[1]
            print(f"{ratio:3.1f}  {n:7d}  {old[0]:11.3f} {old[1]:6.3f}  {new[0]:16.4f} {new[1]:6.4f}"
                  f"  {gains[0]:12.2f} {gains[1]:6.2f}  {gains[2]:12.2f} {gains[3]:6.2f}")  # fmt: skip
    converged, rng = rotation(0.0, 1.0, 400), np.random.default_rng(1)
    print("steps of a rotation of 1 degree   midpoints   jittered   gain")
    for n in (3, 5, 10, 20):
        places = (np.arange(n) + rng.random((6, n))) / n
        off = [np.linalg.norm(np.mean([rotation(x, 0.0, 1) for x in row], 0) - converged) for row in places]
        jittered = float(np.sqrt(np.mean(np.square(off))) / np.linalg.norm(converged))
        middle = float(np.linalg.norm(rotation(0.0, 1.0, n) - converged) / np.linalg.norm(converged))
        print(f"{n:31d}   {middle:9.4f}   {jittered:8.4f}   {jittered / middle:4.1f}")


if __name__ == "__main__":
    main()
