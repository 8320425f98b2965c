"""The image chain once more, literally: loops over pixels, random numbers from the words of Philox. Nothing is shared."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri
from scipy.stats import poisson as poisson_law


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (p1 >> 32) ^ x1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ x3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x0, x1, x2, x3


def uniform(seed: int, purpose: int, pixel: int, panel: int = 0, frame: int = 0, draw: int = 0) -> float:
    high, low, _, _ = philox((pixel, panel, frame, draw), (seed, purpose))
    return (((high << 20) | (low >> 12)) + 0.5) / 2**52


def normal(*where: int) -> float:
    return float(ndtri(uniform(*where)))


def fiber(x: float, y: float, g: float) -> float:
    """Fraction of the light on the pixel (x, y); lengths in pixels."""
    total = 0.0
    for a, sign_a in ((x + 0.5, 1), (x - 0.5, -1)):
        for b, sign_b in ((y + 0.5, 1), (y - 0.5, -1)):
            total += sign_a * sign_b * math.atan2(a * b, g * math.sqrt(g * g + a * a + b * b)) / (2 * math.pi)
    return total


def gauss(x: float, y: float, w: float) -> float:
    a = 2 * math.sqrt(math.log(2)) / w

    def along(t: float) -> float:
        return 0.5 * (math.erf(a * (t + 0.5)) - math.erf(a * (t - 0.5)))

    return along(x) * along(y)


def spread(image: np.ndarray, fraction, radius: int) -> np.ndarray:
    """Every pixel gives its photons to its neighbors; what crosses the edge is lost."""
    n_slow, n_fast = image.shape
    out = np.zeros(image.shape)
    for s in range(n_slow):
        for f in range(n_fast):
            for ds in range(-radius, radius + 1):
                for df in range(-radius, radius + 1):
                    if 0 <= s + ds < n_slow and 0 <= f + df < n_fast:
                        out[s + ds, f + df] += image[s, f] * fraction(df, ds)
    return out


def integrating(
    mu: np.ndarray, *, seed: int, frame: int = 0, panel: int = 0, maps_seed: int = 1, flicker: float = 0.0,
    efficiency: float = 0.0, gain_error: float = 0.0, offset_map: float = 0.0, gain: float = 1.0, offset: float = 0.0,
    dark: float = 0.0, noise: float = 0.0, limits: tuple[int, int] = (0, 65535), kernel=None, radius: int = 0,
) -> np.ndarray:  # fmt: skip
    """Counts of an integrating detector of one gain."""
    factor = 1 + flicker * normal(seed, 6, 0, 0, frame) if flicker else 1.0
    n = np.zeros(mu.shape)
    for i in range(mu.size):
        q = max(1 + efficiency * normal(maps_seed, 2, i, panel), 0.0)
        mean = mu.flat[i] * factor * q
        assert mean < 18  # above, photons are not the inverse of their distribution
        n.flat[i] = poisson_law.ppf(uniform(seed, 0, i, panel, frame), mean) if mean > 0 else 0
    if kernel is not None:
        n = spread(n, kernel, radius)
    counts = np.zeros(mu.shape, int)
    for i in range(mu.size):
        adu = gain * n.flat[i] * (1 + gain_error * normal(maps_seed, 3, i, panel)) + offset + dark
        adu += offset_map * normal(maps_seed, 4, i, panel) + noise * normal(seed, 1, i, panel, frame)
        counts.flat[i] = min(max(math.floor(adu + 0.5), limits[0]), limits[1])
    return counts
