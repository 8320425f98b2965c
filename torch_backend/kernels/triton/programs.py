"""The kernels: photons, gradients, tangents, and the gradient of the table.

Program (i, j) works on the pixels of block i % n_blocks for the pass i // n_blocks, and on the j-th part of the orientations. It
writes to places that are its own; the host adds them up in a fixed order, so that the bits do not depend on who was first. In
the gradient of the table many programs meet: there whole numbers are added, of which the order does not matter either.
"""

from __future__ import annotations

import triton
import triton.language as tl
from nanobragg.torch_backend.kernels.triton.arithmetic import entry, form, indices, pieces, slopes
from nanobragg.torch_backend.kernels.triton.geometry import (
    BACKGROUND,
    CONTINUOUS,
    COUNTS,
    FUDGE,
    PAIR_CELL,
    PAIR_VECTOR,
    POLAR,
    SCALE,
    SOURCE,
    SPOT,
    WAVENUMBER,
    WEIGHT,
    dot,
    kept,
    locate,
    nine,
    polarization,
    pull_position,
    push_position,
    scattering,
    seen,
    steps,
    three,
)

NUMBERS = (
    "begin", "end", "first", "n_fast", "n_sub", "n_sources", "n_orientations", "n_blocks", "per_part", "s0", "s1", "s2", "m0",
    "m1", "m2",
)  # fmt: skip
"""Whole numbers that every kernel takes. None is looked at when it is compiled: a scene of another size needs no other code."""
PARTS = tl.constexpr(CONTINUOUS.value + SOURCE.value)
"""Gradients that a program adds up: of the constants, then of its source."""


@triton.jit
def lanes(pixels, begin, end, first, n_blocks, CONTIGUOUS: tl.constexpr, BLOCK: tl.constexpr):
    """Positions of the block's pixels behind `begin`, which of them there are, their flat indices, and the pass."""
    i = tl.program_id(0)
    a_pass = i // n_blocks
    local = (i - a_pass * n_blocks) * BLOCK + tl.arange(0, BLOCK)
    mask = local < end - begin
    if CONTIGUOUS:
        return local, mask, tl.where(mask, first + begin + local, first), a_pass
    else:
        return local, mask, tl.load(pixels + begin + local, mask, first), a_pass


@triton.jit
def spot_of(constants, MIXED: tl.constexpr):
    """Cells along the axes, metric of the spot, fudge factor; in the precision of the lattice factor."""
    n, spot, fudge = three(constants + COUNTS), nine(constants + SPOT), tl.load(constants + FUDGE)
    if MIXED:
        n = (n[0].to(tl.float32), n[1].to(tl.float32), n[2].to(tl.float32))
        spot = (
            spot[0].to(tl.float32), spot[1].to(tl.float32), spot[2].to(tl.float32), spot[3].to(tl.float32),
            spot[4].to(tl.float32), spot[5].to(tl.float32), spot[6].to(tl.float32), spot[7].to(tl.float32),
            spot[8].to(tl.float32),
        )  # fmt: skip
        fudge = fudge.to(tl.float32)
    return n, spot, fudge


@triton.jit
def vectors(constants, v, PAIRS: tl.constexpr):
    """The scattering vector as `indices` takes it, and the size of the cells."""
    if PAIRS:
        return pieces(v, tl.load(constants + PAIR_VECTOR)), tl.load(constants + PAIR_CELL).to(tl.float32)
    else:
        return v, 1.0


@triton.jit
def squared(table, domains, o, whole, sizes, first, TABLE: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr):
    """Squared structure factor times the weight of the domain."""
    if TABLE:
        value = tl.load(table + entry(whole, sizes, first, WIDE))
    else:
        value = tl.load(table)
    if WEIGHTED:
        value = value * tl.load(domains + o).to(value.dtype)
    return value


@triton.jit(do_not_specialize=NUMBERS)
def photons(
    out, pixels, constants, sources, cells, domains, table, begin, end, first, n_fast, n_sub, n_sources, n_orientations,
    n_blocks, per_part, s0, s1, s2, m0, m1, m2,
    SHAPE: tl.constexpr, AXES: tl.constexpr, POWER: tl.constexpr, CONTIGUOUS: tl.constexpr, SENSOR: tl.constexpr,
    POLARIZED: tl.constexpr, DMIN: tl.constexpr, TABLE: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
    MIXED: tl.constexpr, PAIRS: tl.constexpr, SIZES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out (parts, passes, pixels): photons of a pass; with SIZES the absolute values of those of the spots."""
    local, mask, pixel, a_pass = lanes(pixels, begin, end, first, n_blocks, CONTIGUOUS, BLOCK)
    point, source = a_pass // n_sources, sources + (a_pass % n_sources) * SOURCE
    located = locate(constants, steps(pixel, point, n_fast, n_sub), POWER, SENSOR)
    direction = located[0]
    v = scattering(source, direction)
    n, spot, fudge = spot_of(constants, MIXED)
    w, size = vectors(constants, v, PAIRS)
    table = seen(table, source, TABLE)
    total = tl.zeros((BLOCK,), tl.float64)
    start = tl.program_id(1) * per_part
    for o in range(start, tl.minimum(start + per_part, n_orientations)):
        f, whole = indices(cells, o, w, size, MIXED, PAIRS)
        f_sqr = squared(table, domains, o, whole, (s0, s1, s2), (m0, m1, m2), TABLE, WIDE, WEIGHTED)
        total += (form(f, n, spot, fudge, SHAPE, AXES) * f_sqr).to(tl.float64)
    total *= tl.load(constants + SCALE)
    value = tl.where(kept(constants, v, mask, DMIN), total, 0.0)
    if not SIZES:
        value += tl.where(start == 0, tl.load(constants + BACKGROUND), 0.0)
    factor = tl.load(source + WEIGHT) * polarization(source, direction, POLARIZED)[0] * located[2]
    if SENSOR:
        factor *= located[3]
    value *= factor
    if SIZES:
        value = tl.abs(value)
    row = (tl.program_id(1) * (tl.num_programs(0) // n_blocks) + a_pass).to(tl.int64)
    tl.store(out + row * (end - begin) + local, value, mask)


@triton.jit(do_not_specialize=NUMBERS)
def gradients(
    into, into_cells, cotangent, pixels, constants, sources, cells, axes, domains, table, begin, end, first, n_fast, n_sub,
    n_sources, n_orientations, n_blocks, per_part, s0, s1, s2, m0, m1, m2,
    SHAPE: tl.constexpr, AXES: tl.constexpr, POWER: tl.constexpr, CONTIGUOUS: tl.constexpr, SENSOR: tl.constexpr,
    POLARIZED: tl.constexpr, DMIN: tl.constexpr, TABLE: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
    MIXED: tl.constexpr, PAIRS: tl.constexpr, GEOMETRY: tl.constexpr, SOURCES: tl.constexpr, CELLS: tl.constexpr,
    METRIC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """into (parts, passes, blocks, PARTS): gradients of the constants and of the source;
    into_cells (passes, blocks, orientations, 9): of the cells. `axes` are the cells in float64, whatever `cells` are."""
    local, mask, pixel, a_pass = lanes(pixels, begin, end, first, n_blocks, CONTIGUOUS, BLOCK)
    point, source = a_pass // n_sources, sources + (a_pass % n_sources) * SOURCE
    at = steps(pixel, point, n_fast, n_sub)
    located = locate(constants, at, POWER, SENSOR)
    direction = located[0]
    v = scattering(source, direction)
    polar, turned = polarization(source, direction, POLARIZED)
    factor = located[2]
    if SENSOR:
        factor *= located[3]
    weight, scale = tl.load(source + WEIGHT), tl.load(constants + SCALE)
    c = tl.load(cotangent + begin + local, mask, 0.0)
    upon = c * (weight * polar * factor)
    lit = kept(constants, v, mask, DMIN)
    upon_kept = tl.where(lit, upon, 0.0)
    per_term = upon_kept * scale
    n, spot, fudge = spot_of(constants, MIXED)
    w, size = vectors(constants, v, PAIRS)
    table = seen(table, source, TABLE)
    zero = tl.zeros((BLOCK,), tl.float64)
    total, bx, by, bz = zero, zero, zero, zero
    rate_sum = zero
    metric = (zero, zero, zero, zero, zero, zero, zero, zero, zero)
    start = tl.program_id(1) * per_part
    for o in range(start, tl.minimum(start + per_part, n_orientations)):
        f, whole = indices(cells, o, w, size, MIXED, PAIRS)
        f_sqr = squared(table, domains, o, whole, (s0, s1, s2), (m0, m1, m2), TABLE, WIDE, WEIGHTED)
        value, slope, rate, radius, s = slopes(f, n, spot, fudge, SHAPE, AXES)
        total += (value * f_sqr).to(tl.float64)
        if GEOMETRY or CELLS:
            va = (slope[0] * f_sqr).to(tl.float64)
            vb = (slope[1] * f_sqr).to(tl.float64)
            vc = (slope[2] * f_sqr).to(tl.float64)
        if GEOMETRY:
            a, b, c_ = three(axes + o * 9), three(axes + o * 9 + 3), three(axes + o * 9 + 6)
            bx += va * a[0] + vb * b[0] + vc * c_[0]
            by += va * a[1] + vb * b[1] + vc * c_[1]
            bz += va * a[2] + vb * b[2] + vc * c_[2]
        if CELLS:
            to = into_cells + (tl.program_id(0).to(tl.int64) * n_orientations + o) * 9
            for i in tl.static_range(3):
                along = per_term * v[i]
                tl.store(to + i, tl.sum(va * along, 0))
                tl.store(to + 3 + i, tl.sum(vb * along, 0))
                tl.store(to + 6 + i, tl.sum(vc * along, 0))
        if METRIC:
            bright = rate * f_sqr
            rate_sum += (bright * radius).to(tl.float64)
            metric = (
                metric[0] + (bright * s[0] * f[0]).to(tl.float64), metric[1] + (bright * s[0] * f[1]).to(tl.float64),
                metric[2] + (bright * s[0] * f[2]).to(tl.float64), metric[3] + (bright * s[1] * f[0]).to(tl.float64),
                metric[4] + (bright * s[1] * f[1]).to(tl.float64), metric[5] + (bright * s[1] * f[2]).to(tl.float64),
                metric[6] + (bright * s[2] * f[0]).to(tl.float64), metric[7] + (bright * s[2] * f[1]).to(tl.float64),
                metric[8] + (bright * s[2] * f[2]).to(tl.float64),
            )  # fmt: skip
    once = tl.where(start == 0, 1.0, 0.0).to(tl.float64)
    row = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    to = into + row * PARTS
    tl.store(to + SCALE, tl.sum(upon_kept * total, 0))
    tl.store(to + BACKGROUND, once * tl.sum(upon, 0))
    if METRIC:
        twice = 2.0 * tl.load(constants + FUDGE)
        tl.store(to + FUDGE, tl.sum(per_term * rate_sum, 0))
        for i in tl.static_range(9):
            tl.store(to + SPOT + i, twice * tl.sum(per_term * metric[i], 0))
    if GEOMETRY:
        wavenumber = tl.load(source + WAVENUMBER)
        d = (bx * per_term, by * per_term, bz * per_term)
        bright = c * (tl.where(lit, total * scale, 0.0) + once * tl.load(constants + BACKGROUND))
        through = bright * factor
        tilt = through * weight
        toward = (d[0] * wavenumber, d[1] * wavenumber, d[2] * wavenumber)
        if SOURCES:
            of_source = to + CONTINUOUS
            k = three(source)
            away = (direction[0] - k[0], direction[1] - k[1], direction[2] - k[2])
            for i in tl.static_range(3):
                tl.store(of_source + i, -tl.sum(toward[i], 0))
            tl.store(of_source + WAVENUMBER, tl.sum(dot(d, away), 0))
            tl.store(of_source + WEIGHT, tl.sum(through * polar, 0))
            if POLARIZED:
                for i in tl.static_range(3):
                    for j in tl.static_range(3):
                        tl.store(of_source + POLAR + 3 * i + j, 0.5 * tl.sum(tilt * direction[i] * direction[j], 0))
        if POLARIZED:
            toward = (toward[0] + tilt * turned[0], toward[1] + tilt * turned[1], toward[2] + tilt * turned[2])
        pull_position(constants, at, located, toward, bright * weight * polar, to, POWER, SENSOR)


@triton.jit(do_not_specialize=(*NUMBERS, "n_table"))
def tangents(
    out, moving, moving_sources, moving_cells, moving_table, n_table, pixels, constants, sources, cells, axes, domains, table,
    begin, end, first, n_fast, n_sub, n_sources, n_orientations, n_blocks, per_part, s0, s1, s2, m0, m1, m2,
    SHAPE: tl.constexpr, AXES: tl.constexpr, POWER: tl.constexpr, CONTIGUOUS: tl.constexpr, SENSOR: tl.constexpr,
    POLARIZED: tl.constexpr, DMIN: tl.constexpr, TABLE: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
    MIXED: tl.constexpr, PAIRS: tl.constexpr, GEOMETRY: tl.constexpr, CELLS: tl.constexpr, METRIC: tl.constexpr,
    AMPLITUDES: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out (COUNT, parts, passes, pixels): tangents of the photons of a pass for COUNT tangents of everything continuous.

    `moving` (COUNT, CONTINUOUS), `moving_sources` (COUNT, sources, SOURCE), `moving_cells` (orientations, COUNT, 9) and
    `moving_table` (COUNT, n_table), as the arrays that they are tangents of."""
    local, mask, pixel, a_pass = lanes(pixels, begin, end, first, n_blocks, CONTIGUOUS, BLOCK)
    point, source = a_pass // n_sources, sources + (a_pass % n_sources) * SOURCE
    at = steps(pixel, point, n_fast, n_sub)
    located = locate(constants, at, POWER, SENSOR)
    direction = located[0]
    v = scattering(source, direction)
    n, spot, fudge = spot_of(constants, MIXED)
    w, size = vectors(constants, v, PAIRS)
    table = seen(table, source, TABLE)
    zero = tl.zeros((BLOCK,), tl.float64)
    total, bx, by, bz = zero, zero, zero, zero
    sums = (zero,) * COUNT
    start = tl.program_id(1) * per_part
    for o in range(start, tl.minimum(start + per_part, n_orientations)):
        f, whole = indices(cells, o, w, size, MIXED, PAIRS)
        f_sqr = squared(table, domains, o, whole, (s0, s1, s2), (m0, m1, m2), TABLE, WIDE, WEIGHTED)
        value, slope, rate, radius, s = slopes(f, n, spot, fudge, SHAPE, AXES)
        total += (value * f_sqr).to(tl.float64)
        va = (slope[0] * f_sqr).to(tl.float64)
        vb = (slope[1] * f_sqr).to(tl.float64)
        vc = (slope[2] * f_sqr).to(tl.float64)
        if GEOMETRY:
            a, b, c = three(axes + o * 9), three(axes + o * 9 + 3), three(axes + o * 9 + 6)
            bx += va * a[0] + vb * b[0] + vc * c[0]
            by += va * a[1] + vb * b[1] + vc * c[1]
            bz += va * a[2] + vb * b[2] + vc * c[2]
        if CELLS or METRIC or AMPLITUDES:
            grown = ()
            for k in tl.static_range(COUNT):
                change = sums[k]
                if CELLS:
                    moved = nine(moving_cells + (o * COUNT + k) * 9)
                    change += va * (moved[0] * v[0] + moved[1] * v[1] + moved[2] * v[2])
                    change += vb * (moved[3] * v[0] + moved[4] * v[1] + moved[5] * v[2])
                    change += vc * (moved[6] * v[0] + moved[7] * v[1] + moved[8] * v[2])
                if METRIC:
                    shifted = moving + k * CONTINUOUS
                    metric = nine(shifted + SPOT)
                    lean = s[0] * (metric[0] * f[0] + metric[1] * f[1] + metric[2] * f[2])
                    lean += s[1] * (metric[3] * f[0] + metric[4] * f[1] + metric[5] * f[2])
                    lean += s[2] * (metric[6] * f[0] + metric[7] * f[1] + metric[8] * f[2])
                    lean = 2.0 * fudge * lean + radius * tl.load(shifted + FUDGE)
                    change += ((rate * f_sqr).to(tl.float64) * lean).to(tl.float64)
                if AMPLITUDES:
                    other = seen(moving_table + tl.full((), k, tl.int64) * n_table, source, TABLE)
                    part = squared(other, domains, o, whole, (s0, s1, s2), (m0, m1, m2), TABLE, WIDE, WEIGHTED)
                    change += (value * part).to(tl.float64)
                grown = grown + (change,)  # type: ignore[assignment] # noqa: RUF005 - Triton knows no starred tuple
            sums = grown
    once = tl.where(start == 0, 1.0, 0.0).to(tl.float64)
    lit = kept(constants, v, mask, DMIN)
    scale = tl.load(constants + SCALE)
    polar, turned = polarization(source, direction, POLARIZED)
    factor = located[2]
    if SENSOR:
        factor *= located[3]
    weight, wavenumber, incident = tl.load(source + WEIGHT), tl.load(source + WAVENUMBER), three(source)
    bright = tl.where(lit, total * scale, 0.0) + once * tl.load(constants + BACKGROUND)
    rows = tl.num_programs(0) // n_blocks
    row = (tl.program_id(1) * rows + a_pass).to(tl.int64)
    for k in tl.static_range(COUNT):
        shifted = moving + k * CONTINUOUS
        change = sums[k]
        d_factor = zero
        if GEOMETRY:
            moved_source = moving_sources + (k * n_sources + a_pass % n_sources) * SOURCE
            d_direction, d_omega = push_position(constants, shifted, at, located, POWER, SENSOR)
            d_incident, d_wavenumber = three(moved_source), tl.load(moved_source + WAVENUMBER)
            d_vector = (
                (d_direction[0] - d_incident[0]) * wavenumber + (direction[0] - incident[0]) * d_wavenumber,
                (d_direction[1] - d_incident[1]) * wavenumber + (direction[1] - incident[1]) * d_wavenumber,
                (d_direction[2] - d_incident[2]) * wavenumber + (direction[2] - incident[2]) * d_wavenumber,
            )
            change += bx * d_vector[0] + by * d_vector[1] + bz * d_vector[2]
            d_polarized = tl.load(moved_source + WEIGHT) * polar
            if POLARIZED:
                m = nine(moved_source + POLAR)
                tilt = direction[0] * (m[0] * direction[0] + m[1] * direction[1] + m[2] * direction[2])
                tilt += direction[1] * (m[3] * direction[0] + m[4] * direction[1] + m[5] * direction[2])
                tilt += direction[2] * (m[6] * direction[0] + m[7] * direction[1] + m[8] * direction[2])
                d_polarized += weight * (dot(turned, d_direction) + 0.5 * tilt)
            d_factor = d_polarized * factor + weight * polar * d_omega
        d_bright = tl.where(lit, change * scale + total * tl.load(shifted + SCALE), 0.0)
        d_bright += once * tl.load(shifted + BACKGROUND)
        value = d_factor * bright + weight * polar * factor * d_bright
        to = out + ((k * tl.num_programs(1)) * rows + row) * (end - begin)
        tl.store(to + local, value, mask)


@triton.jit(do_not_specialize=NUMBERS)
def amplitudes(
    into, quantum, cotangent, pixels, constants, sources, cells, domains, begin, end, first, n_fast, n_sub, n_sources,
    n_orientations, n_blocks, per_part, s0, s1, s2, m0, m1, m2,
    SHAPE: tl.constexpr, AXES: tl.constexpr, POWER: tl.constexpr, CONTIGUOUS: tl.constexpr, SENSOR: tl.constexpr,
    POLARIZED: tl.constexpr, DMIN: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr, MIXED: tl.constexpr,
    PAIRS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """into (table), whole numbers: the gradient of the squared amplitudes, in units of 1/quantum."""
    local, mask, pixel, a_pass = lanes(pixels, begin, end, first, n_blocks, CONTIGUOUS, BLOCK)
    point, source = a_pass // n_sources, sources + (a_pass % n_sources) * SOURCE
    located = locate(constants, steps(pixel, point, n_fast, n_sub), POWER, SENSOR)
    direction = located[0]
    v = scattering(source, direction)
    factor = tl.load(source + WEIGHT) * polarization(source, direction, POLARIZED)[0] * located[2]
    if SENSOR:
        factor *= located[3]
    per_term = tl.load(cotangent + begin + local, mask, 0.0) * factor * tl.load(constants + SCALE) * tl.load(quantum)
    lit = kept(constants, v, mask, DMIN)
    n, spot, fudge = spot_of(constants, MIXED)
    w, size = vectors(constants, v, PAIRS)
    into = seen(into, source, True)
    start = tl.program_id(1) * per_part
    for o in range(start, tl.minimum(start + per_part, n_orientations)):
        f, whole = indices(cells, o, w, size, MIXED, PAIRS)
        value = form(f, n, spot, fudge, SHAPE, AXES).to(tl.float64) * per_term
        if WEIGHTED:
            value *= tl.load(domains + o)
        count = tl.floor(value + 0.5).to(tl.int64)
        tl.atomic_add(into + entry(whole, (s0, s1, s2), (m0, m1, m2), WIDE), count, lit & (count != 0), sem="relaxed")
