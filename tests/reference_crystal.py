"""The literal twin's crystal: uniform deviates, cell, orientation, mosaic domains and size.

Written from the description alone (docs/model.md, docs/random_numbers.md).
"""

from __future__ import annotations

from math import atan2, ceil, cos, floor, pi, sin, sqrt
from types import SimpleNamespace

import numpy as np
from reference_geometry import DBL_MIN, RTD, cross, dot, matvec, norm, rescale, rotxyz, scale, unit, vector

from nanobragg.config.quirks import Quirk

F32 = np.float32

# ---------------------------------------------------------------- docs/random_numbers.md, Uniform deviate


class Shuffle:
    """The shuffle table and the last output word, which all streams of a run share."""

    def __init__(self):
        self.table = [0] * 32
        self.y = 0


class Stream:
    """Park & Miller's generator with the Bays-Durham shuffle."""

    def __init__(self, state, shuffle):
        self.s = state
        self.shuffle = shuffle

    def _step(self):
        self.s = 16807 * self.s % 2147483647

    def uniform(self):
        shuffle = self.shuffle
        if self.s <= 0 or shuffle.y == 0:
            self.s = 1 if -self.s < 1 else -self.s
            for j in range(39, -1, -1):
                self._step()
                if j < 32:
                    shuffle.table[j] = self.s
            shuffle.y = shuffle.table[0]
        self._step()
        j = shuffle.y // 67108864
        shuffle.y = shuffle.table[j]
        shuffle.table[j] = self.s
        u = F32((1 / 2147483647) * shuffle.y)
        if float(u) > 1 - 1.2e-7:
            u = F32(1 - 1.2e-7)
        return float(u)


def streams(experiment):
    """The misset and the mosaic stream, in the order of their use."""
    shared = Shuffle()

    def stream(seed):
        if Quirk.NEGATIVE_SEED_NO_RESEED in experiment.quirks:
            return Stream(-seed, shared)
        return Stream(-abs(seed), Shuffle())

    return stream(experiment.crystal.misset_seed or 0), stream(experiment.crystal.mosaic.seed)


# ---------------------------------------------------------------- docs/random_numbers.md, Random rotation


def random_rotation(stream, eta, single):
    """Row-major rotation by at most `eta` [rad] about a random axis; `single`: float32 as in the original."""
    r1 = 2 * stream.uniform() - 1
    r2 = 2 * stream.uniform() - 1
    r3 = 2 * stream.uniform() - 1
    x = sqrt(1 - r2 * r2)
    v1, v2, v3 = x * sin(pi * r1), x * cos(pi * r1), r2
    if single:
        base, exponent = float(F32(1 - r3 * r3)), float(F32(1.0 / 3.0))
        theta = float(F32(eta) * F32(base**exponent))
    else:
        theta = eta * (1 - r3 * r3) ** (1.0 / 3.0)
    c, n = cos(theta), sin(theta)
    t = 1 - c
    p = t * v1
    return (
        c + t * (v1 * v1), p * v2 - n * v3, p * v3 + n * v2,
        p * v2 + n * v3, c + t * (v2 * v2), t * v2 * v3 - n * v1,
        p * v3 - n * v2, t * v2 * v3 + n * v1, c + t * (v3 * v3),
    )  # fmt: skip


def angles_of(u):
    """Angles of R_z R_y R_x = U, docs/random_numbers.md, Random orientation."""
    rows = [unit(unit(u[3 * i : 3 * i + 3])) for i in range(3)]
    u = rows[0] + rows[1] + rows[2]
    if u[6] * u[6] < 1:
        return atan2(u[7], u[8]), atan2(-u[6], sqrt(u[7] * u[7] + u[8] * u[8])), atan2(u[3], u[0])
    return 4 * atan2(1, 1), 2 * atan2(1, 1), atan2(u[1], -u[4])


def uniform_rotation(seed):
    """Row-major matrix of a quaternion (x, y, z, w) drawn from PCG64: docs/random_numbers.md, Random orientation."""
    q = np.random.Generator(np.random.PCG64(seed)).standard_normal(4)
    x, y, z, w = (float(c) for c in q / np.sqrt((q * q).sum()))
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip


# ---------------------------------------------------------------- docs/model.md, Unit cell


def reciprocal_of_cell(cell, triclinic_quirk):
    """a*, b*, c* [1/Angstrom] in the default setting, the edges a, b, c and the volume: docs/model.md, Unit cell."""
    a, b, c = float(cell.a), float(cell.b), float(cell.c)
    al, be, ga = (float(angle) / RTD for angle in (cell.alpha, cell.beta, cell.gamma))
    b, c = (a if b <= 0 else b), (a if c <= 0 else c)
    al, be, ga = (pi / 2 if angle <= 0 else angle for angle in (al, be, ga))
    sigma = (al + be + ga) / 2
    k = abs(sin(sigma) * sin(sigma - al) * sin(sigma - be) * sin(sigma - ga))
    v = 2 * a * b * c * sqrt(k)
    if v <= 0:
        v = DBL_MIN
    v_star = 1 / v
    lengths = [b * c * sin(al) * v_star, c * a * sin(be) * v_star, a * b * sin(ga) * v_star]
    if min(lengths) <= 0:
        lengths = [abs(x) or DBL_MIN for x in lengths]
    as_, bs, cs = lengths
    sin_gs = c * v_star / as_ / bs
    cos_as = (cos(be) * cos(ga) - cos(al)) / (sin(be) * sin(ga))
    cos_bs = (cos(ga) * cos(al) - cos(be)) / (sin(ga) * sin(al))
    cos_gs = (cos(al) * cos(be) - cos(ga)) / (sin(al) * sin(be))
    sin_gs = min(1.0, max(-1.0, sin_gs))
    cos_as, cos_bs, cos_gs = (1.0 if x * x > 1 else x for x in (cos_as, cos_bs, cos_gs))
    c_z = cs * v / (a * b * c * sin_gs) if triclinic_quirk else 1 / c
    a_star = (as_, 0.0, 0.0)
    b_star = (bs * cos_gs, bs * sin_gs, 0.0)
    c_star = (cs * cos_bs, cs * (cos_as - cos_bs * cos_gs) / sin_gs, c_z)
    return [a_star, b_star, c_star], (a, b, c), v


def orient(experiment, misset_stream):
    """Real-space vectors a0, b0, c0 [m] and a*, b*, c* [1/Angstrom]: docs/model.md, Unit cell."""
    crystal, quirks = experiment.crystal, experiment.quirks
    edges = None
    if crystal.unit_cell is not None:
        stars, edges, v_cell = reciprocal_of_cell(crystal.unit_cell, Quirk.TRICLINIC_CELL in quirks)
    if crystal.a_star_matrix is not None:
        stars = [vector(row) for row in crystal.a_star_matrix]

    if isinstance(crystal.misset_deg, str):
        if Quirk.MISSET_RANDOM_90_RAD in quirks:
            angles = angles_of(random_rotation(misset_stream, 90.0, single=True))
            stars = [rotxyz(x, angles) for x in stars]
        else:
            u = uniform_rotation(crystal.misset_seed)
            stars = [matvec(u, x) for x in stars]
    else:
        angles = tuple(float(angle) / RTD for angle in crystal.misset_deg)
        stars = [rotxyz(x, angles) for x in stars]

    a_s, b_s, c_s = stars
    axb, bxc, cxa = cross(a_s, b_s), cross(b_s, c_s), cross(c_s, a_s)
    v_star = dot(a_s, bxc)
    if edges is not None:
        bxc = rescale(bxc, edges[0] / v_cell)
        cxa = rescale(cxa, edges[1] / v_cell)
        axb = rescale(axb, edges[2] / v_cell)
        v_star = 1 / v_cell
    v = 1 / v_star
    a, b, c = scale(bxc, v), scale(cxa, v), scale(axb, v)
    stars = [scale(cross(b, c), v_star), scale(cross(c, a), v_star), scale(cross(a, b), v_star)]
    cell = [scale(x, 1e-10) for x in (a, b, c)]
    return cell, stars


# ---------------------------------------------------------------- docs/model.md, Mosaic domains


def mosaic_domains(experiment, stream):
    """Row-major rotations of the domains, or one None per domain when there is no spread."""
    mosaic, quirks = experiment.crystal.mosaic, experiment.quirks
    eta = float(mosaic.spread_deg) / RTD
    n = mosaic.n_domains
    if eta == 0:
        # identical domains when a count is typed (corrected); the original falls back to one, a rule that has no quirk
        # of its own and goes with the other mosaic rule of the original that changes nothing visible
        return [None] * (1 if n is None or Quirk.MOSAIC_F32 in quirks else n)
    n = 10 if n is None else n
    domains = [random_rotation(stream, eta, Quirk.MOSAIC_F32 in quirks) for _ in range(n)]
    domains[0] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    return domains


# ---------------------------------------------------------------- docs/model.md, Crystal size


def cells(experiment, lengths):
    """Numbers of cells along a, b, c."""
    crystal, quirks = experiment.crystal, experiment.quirks
    n = [float(x) for x in crystal.n_cells]
    if crystal.size_mm is not None:
        sizes = [0.0 if x is None else float(x) / 1000 for x in crystal.size_mm]
        beam_size = None if experiment.beam.size_mm is None else float(experiment.beam.size_mm) / 1000
        if beam_size is None and Quirk.CLIP_DEFAULT_BEAM in quirks:
            beam_size = 1e-4
        if beam_size is not None:
            sizes[1:] = [min(size, beam_size) for size in sizes[1:]]
        for i, size in enumerate(sizes):
            if size > 0:
                if Quirk.XTALSIZE_CEIL in quirks:
                    n[i] = float(ceil(size / lengths[i]))
                else:
                    n[i] = float(max(1, floor(size / lengths[i] + 0.5)))
    if Quirk.N_CLAMP in quirks:
        n = [1.0 if x <= 1 else x for x in n]
    return n


def make_crystal(experiment):
    """Everything the pixel loop needs to know about the crystal."""
    misset_stream, mosaic_stream = streams(experiment)
    cell, stars = orient(experiment, misset_stream)
    lengths = [norm(x) for x in cell]
    n_cells = cells(experiment, lengths)

    table = experiment.crystal.structure_factors
    interpolate = experiment.sampling.interpolate
    if interpolate is None:
        counts = experiment.crystal.n_cells if Quirk.INTERP_BEFORE_SIZE in experiment.quirks else n_cells
        interpolate = "tricubic" if any(float(x) <= 2 for x in counts) else "nearest"
    amplitude = np.asarray(table.amplitude, dtype=float)
    if amplitude.size == 0:
        interpolate = "nearest"
    return SimpleNamespace(
        cell=cell, stars=stars, lengths=lengths, n=n_cells, domains=mosaic_domains(experiment, mosaic_stream),
        interpolate=interpolate == "tricubic", table=amplitude, hkl_min=tuple(int(x) for x in table.hkl_min),
        default_F=float(table.default_F),
    )  # fmt: skip
