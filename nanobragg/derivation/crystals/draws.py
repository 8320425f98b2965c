"""Unit-free draws for the domains of a crystal that converge quicker than random ones: the same numbers everywhere.

Points of a Kronecker sequence, x_i = frac(shift + i alpha), fill the unit cube evenly for every number of points; alpha are the
powers of 1/phi, phi the root of phi^(d+1) = phi + 1. The shift is a random point, keyed by the seed. Rotations are then moved
apart (`relaxed`). Every draw comes with its opposite, so that the mean is exactly 0; of an odd number the first one is 0.
Source: Roberts, The unreasonable effectiveness of quasirandom sequences (2018); Niederreiter, Random Number Generation and
Quasi-Monte Carlo Methods (1992).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import read_only
from nanobragg.derivation.crystals.relaxed import relaxed
from nanobragg.streams import Purpose, Stream, checked_seed


def kronecker(n: int, dimensions: int, seed: int, purpose: Purpose) -> NDArray[np.float64]:
    """The first n points of a shifted Kronecker sequence, shape (n, dimensions), within 0 and 1.

    Parameters
    ----------
    n, dimensions : int
    seed : int
        0 to 2^32 - 1; keys the shift.
    purpose : Purpose
    """
    root = 1.0
    for _ in range(60):  # a contraction: each step halves the error at least
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    shift = Stream(checked_seed("crystal.mosaic.seed", seed), purpose).uniform(dimensions)
    x = shift + np.arange(1.0, n + 1)[:, None] * steps
    return x - np.floor(x)


@lru_cache(64)
def turns(model: str, n: int, seed: int) -> NDArray[np.float64]:
    """The n unit-free rotation vectors of "gaussian" or "ball", shape (n, 3), read-only; kept, because every derivation of an
    experiment asks for the same ones."""
    half = relaxed(gaussian(kronecker(n // 2, 3, seed, Purpose.MOSAIC)), n)
    return read_only(opposed(n, in_ball(half) if model == "ball" else half), np.float64)


@lru_cache(64)
def stretches(n: int, seed: int) -> NDArray[np.float64]:
    """n deviates of mean 0 and variance 1, shape (n,), read-only, without correlation to the rotations of `turns`.

    They come by fours, d, d, -d and -d, beside two rotations and their opposites; of what is left over by one and its
    opposite.
    """
    pairs = n // 2
    fours = normal(kronecker((pairs + 1) // 2, 1, seed, Purpose.STRAIN)[:, 0])
    signed = np.concatenate([[d, d, -d, -d] if 2 * i + 1 < pairs else [d, -d] for i, d in enumerate(fours)] or [[]])
    found = np.concatenate([np.zeros(n % 2), signed])
    return read_only(found / math.sqrt(math.fsum(found * found) / n) if pairs else found, np.float64)


def normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal deviates with the cumulative probabilities `x`."""
    from statistics import NormalDist

    quantile = NormalDist().inv_cdf
    return np.array([quantile(min(max(p, 1e-16), 1 - 1e-16)) for p in x.ravel().tolist()]).reshape(x.shape)


def in_ball(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) uniform in the unit ball, from points of a normal distribution: in the same directions, as many within."""
    radius = [math.sqrt(math.fsum(p * p for p in point)) for point in x.tolist()]
    return np.array([np.cbrt(_within(r)) / r if r else 0.0 for r in radius])[:, None] * x


def gaussian(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) of a normal distribution of unit variance along every axis, from points of the unit cube.

    Directions and radii are spread evenly: the images converge quicker than with three normal deviates.
    """
    return np.array([_radius(p) for p in x[:, 2].tolist()])[:, None] * _directions(x)


def _directions(x: NDArray[np.float64]) -> NDArray[np.float64]:
    z, angle = 2 * x[:, 0] - 1, 2 * np.pi * x[:, 1]
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def _radius(p: float) -> float:
    """The radius that a normal deviate in three dimensions does not exceed with probability p."""

    low, high = 0.0, 9.0
    for _ in range(55):  # to the last bits: the function is flat at both ends
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle) < p else (low, middle)
    return (low + high) / 2


def _within(r: float) -> float:
    """The probability that a normal deviate in three dimensions is shorter than r."""
    return math.erf(r / math.sqrt(2)) - math.sqrt(2 / math.pi) * r * math.exp(-r * r / 2)


def opposed(n: int, half: NDArray[np.float64]) -> NDArray[np.float64]:
    """n draws: 0 first where n is odd, then each of the n // 2 given ones and its opposite."""
    pairs = np.stack([half, -half], axis=1).reshape(2 * len(half), *half.shape[1:])
    return np.concatenate([np.zeros((1, *half.shape[1:])), pairs]) if n % 2 else pairs
