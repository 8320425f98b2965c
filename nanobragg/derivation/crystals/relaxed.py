"""Draws that are moved until every projection of them is as even as it can be (docs/crystals.md, Draws).

The total of a spot is the mean over the domains of a function of one rotation alone, about an axis that depends on the
reflection. The square of its error, summed over all axes and places, is an energy of the points: a repulsion between them and an
attraction by the distribution. With spots of the width r in units of the spread the repulsion is

    K(d) = (pi r^2/d) erf(d/(2 r)) = sqrt(pi) r INTEGRAL_0^1 exp(-t^2 d^2/(4 r^2)) dt,

a sum of Gaussians (t^2 = 2^-k here), whose mean over a normal distribution is a Gaussian again. Source: the mean of
exp(-(u.d)^2/(4 r^2)) over directions u; for kernels as errors of quadrature see Gretton et al., J. Mach. Learn. Res. 13
(2012) 723. Gradient descent with the steps of Barzilai and Borwein, IMA J. Numer. Anal. 8 (1988) 141.

Only additions, multiplications, divisions and roots, in a fixed order, so that the points are the same on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NARROW = 0.3
"""Width of the narrowest spots, over the spread."""
SHARES = (3.0, 1.0, 1.0)
"""How much spots of the widths 0.3, 0.6 and 1.2 count."""
STEPS = 40
"""of the descent, of whose points the flattest ones are taken: the steps are not monotonic"""
LARGEST = 400
"""Draws beyond which nothing is moved: the square of their number is worked on."""
_LEVELS = 8
_FIRST, _LONGEST = 0.02, 0.3
"""The first step in the mean, and the longest one of a single point, in spreads."""
_GRID = 2.0**20
_TAYLOR = 9
_HALVINGS = 7


def relaxed(half: Array, n: int) -> Array:
    """The n // 2 points moved; each stands for itself and its opposite, and of an odd number n one stays at 0.

    Parameters
    ----------
    half : (n // 2, 3) array
        Points of a normal distribution of unit variance along every axis.
    n : int
        Of all points; up to `LARGEST`, else they stay.

    Returns
    -------
    (n // 2, 3) array
    """
    x = np.rint(half.T * _GRID) / _GRID
    if 2 < n <= LARGEST:
        slope = _slope(x, n)
        best, least = x, _square(slope)
        step = _FIRST / math.sqrt(least / slope.size)
        for _ in range(STEPS):
            moved = x - step * slope
            other = _slope(moved, n)
            along = math.fsum(((moved - x) * (other - slope)).ravel().tolist())
            step = _square(moved - x) / along if along > 0 else 2 * step
            x, slope = moved, other
            if _square(slope) < least:
                best, least = x, _square(slope)
            step = min(step, _LONGEST / math.sqrt(float((slope * slope).sum(0).max())))
        x = best
    return np.ascontiguousarray(x.T)


def _square(x: Array) -> float:
    return math.fsum((x * x).ravel().tolist())


def _weights() -> list[float]:
    """Of the Gaussians exp(-2^-k d^2/(4 NARROW^2)), k = 0, 1 ...; all widths together."""
    found = [0.0] * (_LEVELS + 2 * len(SHARES) - 2)
    for i, share in enumerate(SHARES):
        for k in range(_LEVELS):
            found[2 * i + k] += share * 4.0**i * 2.0 ** (-k / 2)
    return found


_WEIGHTS = _weights()


def _slope(x: Array, n: int) -> Array:
    """Derivative of the energy by the points (3, m), over the number of points."""
    rate = 1 / (4 * NARROW * NARROW)
    narrowing = 2.0 ** -(len(_WEIGHTS) - 1)
    between = np.stack([x[:, :, None] - x[:, None, :], x[:, :, None] + x[:, None, :]], 1)
    pairs = _falling(rate * narrowing * (between[0] * between[0] + between[1] * between[1] + between[2] * between[2]))
    sums = np.zeros_like(pairs)
    radius_sqr = x[0] * x[0] + x[1] * x[1] + x[2] * x[2]
    pulled, pushed = np.zeros_like(radius_sqr), np.zeros_like(radius_sqr)
    rates = [rate * 2.0**-k for k in range(len(_WEIGHTS))]
    # of all levels at once: many small arrays take longer than one
    toward = _falling(np.array([q / (1 + 2 * q) for q in rates])[:, None] * radius_sqr)
    away = _falling(np.array(rates)[:, None] * radius_sqr) if n % 2 else toward  # an even number has none at 0
    for k in range(len(_WEIGHTS) - 1, -1, -1):
        q = rates[k]
        broad = 1 + 2 * q
        sums += (2 * q * _WEIGHTS[k]) * pairs
        pairs = pairs * pairs
        pulled += (2 * q * _WEIGHTS[k] / (broad * broad * math.sqrt(broad))) * toward[k]
        if n % 2:
            pushed += (2 * q * _WEIGHTS[k]) * away[k]
    # rows are added one by one: in the same order everywhere
    force = [(sums[0] * between[a, 0]).sum(0) - (sums[1] * between[a, 1]).sum(0) for a in range(3)]
    return np.stack([force[a] / n + (pulled - pushed / n) * x[a] for a in range(3)])


def _falling(z: Array) -> Array:
    """exp(-z), by a Taylor series for z/2^_HALVINGS."""
    small = z / 2.0**_HALVINGS
    found = np.ones_like(z)
    for k in range(_TAYLOR, 0, -1):
        found = 1 - small / k * found
    for _ in range(_HALVINGS):
        found = found * found
    return found
