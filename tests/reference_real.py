"""The literal twin of real crystals: mosaicity models, strain, block matrix and sizes, displacements, damage, several lattices.

Written from docs/crystals.md alone, as loops over single numbers; draws, quadratures and distributions by other ways than the
package's. Corrected fidelity only.
"""

from __future__ import annotations

from dataclasses import replace
from math import asin, cos, exp, log, pi, sin, sqrt

import numpy as np
import reference
from reference_crystal import make_crystal
from reference_geometry import cross, dot, matvec, norm, rotaxis, scale, unit
from scipy.special import ndtri, roots_genlaguerre, roots_hermitenorm
from scipy.stats import chi

from nanobragg.config import BlockSizes, Damage, Displacement, Mosaic

MOSAIC, STRAIN = 21, 22
"""Purposes of random streams: docs/random_numbers.md."""
LARGEST, STEPS, NARROW = 400, 40, 0.3


def simulate(experiment):
    """The image of an experiment, region of interest and all."""
    crystals = experiment.crystal if isinstance(experiment.crystal, tuple) else (experiment.crystal,)
    total = 0.0
    for i, crystal in enumerate(crystals):
        for j, (size, share) in enumerate(sizes(crystal.sizes)):
            total = total + RealTwin(replace(experiment, crystal=crystal), size, share, dry=i + j > 0).image()
    return total


# ---------------------------------------------------------------- docs/crystals.md, Draws


def deviate(seed, purpose, number):
    """Philox4x32-10 as 52 bits within 0 and 1."""
    x, k = [number, 0, 0, 0], [seed, purpose]
    for _ in range(10):
        p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(q >> 32) ^ x[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ x[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return (((x[0] << 20) | (x[1] >> 12)) + 0.5) / 2**52


def sequence(n, dimensions, seed, purpose):
    """frac(shift + i alpha) with the powers of the root of x^(d+1) = x + 1."""
    root = max(r.real for r in np.roots([1] + [0] * (dimensions - 1) + [-1, -1]) if abs(r.imag) < 1e-12)
    return [
        [(deviate(seed, purpose, j) + i * root ** -(j + 1)) % 1.0 for j in range(dimensions)] for i in range(1, n + 1)
    ]


def normal_points(n, seed):
    """n // 2 points of a normal distribution, moved apart."""
    points = []
    for z, angle, p in sequence(n // 2, 3, seed, MOSAIC):
        r, ring = chi.ppf(p, 3), sqrt(1 - (2 * z - 1) ** 2)
        points.append([r * ring * cos(2 * pi * angle), r * ring * sin(2 * pi * angle), r * (2 * z - 1)])
    points = np.rint(np.array(points) * 2**20) / 2**20
    return (apart(points, n) if 2 < n <= LARGEST else points).tolist()


def apart(x, n):
    """The descent of the energy, of whose points the flattest are taken."""
    g = energy_slope(x, n)
    best, least = x, (g * g).sum()
    step = 0.02 / sqrt((g * g).mean())
    for _ in range(STEPS):
        y = x - step * g
        h = energy_slope(y, n)
        along = ((y - x) * (h - g)).sum()
        step = ((y - x) ** 2).sum() / along if along > 0 else 2 * step
        x, g = y, h
        if (g * g).sum() < least:
            best, least = x, (g * g).sum()
        step = min(step, 0.3 / sqrt((g * g).sum(1).max()))
    return best


def energy_slope(x, n):
    """Of the sum over the widths r = 0.3, 0.6, 1.2, counted 3, 1, 1, and over k = 0..7 of r^2 2^(-k/2) exp(-d^2 2^-k/(4 r^2))."""
    every = [*x, *(-x)] + ([np.zeros(3)] if n % 2 else [])
    found = np.zeros_like(x)
    for share, r in ((3.0, NARROW), (1.0, 2 * NARROW), (1.0, 4 * NARROW)):
        for k in range(8):
            q, weight = 2.0**-k / (4 * r * r), share * (r / NARROW) ** 2 * 2 ** (-k / 2)
            for i, point in enumerate(x):
                for other in every:
                    d = point - other
                    found[i] -= 2 * q * weight * exp(-q * (d @ d)) * d / n
                v = 1 + 2 * q
                found[i] += 2 * q * weight / v**2.5 * exp(-q * (point @ point) / v) * point
    return found


def both_ways(n, half):
    return ([[0.0, 0.0, 0.0]] if n % 2 else []) + [[sign * c for c in point] for point in half for sign in (1, -1)]


def stretches(n, seed):
    """d, d, -d, -d beside two rotations and their opposites; of unit variance."""
    pairs = n // 2
    drawn = [float(ndtri(p)) for (p,) in sequence((pairs + 1) // 2, 1, seed, STRAIN)]
    found = [0.0] * (n % 2)
    for i, d in enumerate(drawn):
        found += [d, d, -d, -d] if 2 * i + 2 <= pairs else [d, -d]
    variance = sum(d * d for d in found) / n
    return [d / sqrt(variance) for d in found] if pairs else found


# ---------------------------------------------------------------- docs/crystals.md, Mosaicity


def domains_of(experiment, crystal):
    """Row-major rotations (or None), stretches and weights of the domains."""
    mosaic = experiment.crystal.mosaic
    e1, e3 = unit(crystal.cell[0]), unit(crystal.stars[2])
    frame = np.array([e1, cross(e3, e1), e3]).T
    n = mosaic.n_domains if mosaic.rotations is None else len(mosaic.rotations)
    weights = (
        [1.0] * n if mosaic.weights is None else [float(w) * n / float(sum(mosaic.weights)) for w in mosaic.weights]
    )
    strained = float(mosaic.strain)
    stretch = [1 + strained * d for d in stretches(n, mosaic.seed)] if strained else [1.0] * n
    if mosaic.model == "cap":
        return crystal.domains, stretch, weights
    if mosaic.model == "given":
        turns = [frame @ np.array(r, dtype=float) @ frame.T for r in mosaic.rotations]
    elif mosaic.model == "diffbragg":
        turns = [rotation_by(w) for w in diffbragg(n, spreads(mosaic))]
    else:
        points = both_ways(n, normal_points(n, mosaic.seed))
        if mosaic.model == "ball":
            points = [in_ball(point) for point in points]
        turns = [rotation_by(frame @ w) for w in np.array(points) @ root(mosaic).T] if n > 1 else [np.eye(3)]
    return [tuple(float(c) for c in turn.ravel()) for turn in turns], stretch, weights


def spreads(mosaic):
    given = mosaic.spread_deg
    return np.radians(given if isinstance(given, tuple) else [given] * 3)


def root(mosaic):
    if mosaic.covariance_deg2 is not None:
        return np.radians(np.linalg.cholesky(np.array(mosaic.covariance_deg2, dtype=float)))
    return np.diag(spreads(mosaic))


def in_ball(point):
    r = norm(point)
    return [c * chi.cdf(r, 3) ** (1 / 3) / r for c in point] if r else point


def rotation_by(w):
    angle = norm(w)
    if angle == 0:
        return np.eye(3)
    x, y, z = (c / angle for c in w)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + sin(angle) * k + (1 - cos(angle)) * k @ k


def diffbragg(n, spread):
    """Half-normal angles about axes on a spiral over the hemisphere."""
    m = n // 2
    order = np.random.RandomState(8675309).permutation(m)
    half = []
    for i in range(m):
        z = (i + 0.5) / m
        ring, angle = sqrt(1 - z * z), sqrt(pi * m) * asin(z)
        axis = [ring * cos(angle), ring * sin(angle), z]
        width = 1 / sqrt(sum(c * c / (s * s) for c, s in zip(axis, spread, strict=True)))
        half.append([c * width * float(ndtri((1 + order[i] / m) / 2)) for c in axis])
    return [np.array(w) for w in both_ways(n, half)]


# ---------------------------------------------------------------- docs/crystals.md, Blocks


def sizes(given):
    """Pairs of the size over the mean and the share of the image: w/<t^3>."""
    width = float(given.width)
    if width == 0:
        return [(1.0, 1.0)]
    if given.distribution == "lognormal":
        z, w = roots_hermitenorm(5)
        sigma = sqrt(log(1 + width * width))
        t = np.exp(sigma * z - sigma * sigma / 2)
    else:
        shape = 1 / (width * width)
        z, w = roots_genlaguerre(5, shape - 1)
        t = z / shape
    w = w / w.sum()
    return [(float(a), float(b / (w * t**3).sum())) for a, b in zip(t, w, strict=True)]


class RealTwin(reference.Twin):
    """The twin of one lattice with blocks of one size."""

    def __init__(self, experiment, size, share, dry):
        real = experiment.crystal
        plain = Mosaic() if real.mosaic.model != "cap" else replace(real.mosaic, strain=0.0)
        bare = replace(
            real, mosaic=plain, block_matrix=None, sizes=BlockSizes(), n_blocks=None, volume_mm3=None,
            displacement=Displacement(), damage=Damage(),
        )  # fmt: skip
        super().__init__(replace(experiment, crystal=bare))
        self.real = real
        whole = make_crystal(replace(experiment, crystal=bare))
        self.crystal = whole
        whole.domains, self.stretch, self.weight = domains_of(experiment, whole)
        self.matrix = np.diag(whole.n) if real.block_matrix is None else np.array(real.block_matrix, dtype=float)
        a, b, c = whole.cell
        volume = abs(dot(a, cross(b, c))) * 1e30  # [Angstrom^3]
        blocks = 1.0 if real.n_blocks is None else float(real.n_blocks)
        if real.volume_mm3 is not None:
            blocks = float(real.volume_mm3) * 1e21 / (volume * np.linalg.det(self.matrix))
        damage = real.damage
        self.dose = float(damage.dose_mgy) + float(damage.frame_dose_mgy) / 2
        self.times = blocks * share * exp(-float(damage.decay_per_mgy) * self.dose)
        self.matrix = self.matrix * size
        whole.n = [n * size for n in whole.n]
        water = 0.0 if dry else self.background / self.steps
        self.steps = self.weight_sum * len(whole.domains) * len(self.phis) * self.oversample * self.oversample
        self.background = water * self.steps
        e1, e3 = unit(a), unit(whole.stars[2])
        self.frame = (e1, cross(e3, e1), e3)

    def sum_crystal(self, scattering, g, total, chi, pol, omega):
        for phi in self.phis:
            for domain, stretch, weight in zip(self.crystal.domains, self.stretch, self.weight, strict=True):
                vectors = [v if domain is None else matvec(domain, v) for v in self.crystal.cell]
                vectors = [scale(rotaxis(v, self.detector.lab.spindle, phi), stretch) for v in vectors]
                h, k, l = (dot(v, scattering) for v in vectors)  # noqa: E741
                f_latt = self.lattice_factor(h, k, l)
                f_cell = self.structure_factor(h, k, l)
                total += f_cell * f_cell * f_latt * f_latt * weight * g * self.times
        return total

    def lattice_factor(self, h, k, l):  # noqa: E741
        shape, fudge = self.real.shape, float(self.real.fudge)
        if shape == "square":
            return super().lattice_factor(h, k, l)
        off = np.array([x - np.ceil(x - 0.5) for x in (h, k, l)])
        v = self.matrix @ off
        cells, v_sqr = float(np.linalg.det(self.matrix)), float(v @ v)
        if shape == "gauss":
            return cells * exp(-v_sqr * fudge / 0.63)
        if shape == "tophat":
            return cells if v_sqr * fudge < 0.3969 else 0.0
        return cells * 0.723601254558268 * reference.sphere_exact(pi * sqrt(v_sqr * fudge))

    def stencil_fits(self, *hkl):
        """A table that displacements act on goes on with default_F as far as the image does."""
        on = self.real.displaced and self.crystal.default_F != 0
        return on or super().stencil_fits(*hkl)

    def nearest(self, *hkl):
        """docs/crystals.md, Displacements and damage: the roots of the factors of intensities, at the reflection."""
        q = [sum(i * star[x] for i, star in zip(hkl, self.crystal.stars, strict=True)) for x in range(3)]
        q_sqr = dot(q, q)
        b = float(self.real.displacement.b_angstrom2) + float(self.real.damage.b_per_mgy) * self.dose
        exponent = b * q_sqr / 4
        u = self.real.displacement.u_angstrom2
        if u is not None:
            along = [dot(q, axis) for axis in self.frame]
            exponent += 2 * pi * pi * sum(along[i] * float(u[i][j]) * along[j] for i in range(3) for j in range(3))
        if self.real.damage.dose_1_mgy is not None and q_sqr > 0:
            law = q_sqr ** (float(self.real.damage.exponent) / 2)
            exponent += self.dose * law / (2 * float(self.real.damage.dose_1_mgy))
        return super().nearest(*hkl) * exp(-exponent)
