"""What a program knows of its pass: directions, solid angles, capture fractions, scattering vectors, and their derivatives.

A program works on a block of pixels for one *pass*, that is one point of every pixel (layer and sub-pixel) and one source.
Device functions of Triton; formulas: docs/model.md, and `detector` of the room above for the derivatives.

Continuous numbers lie in three float64 arrays: `constants`, at the places below; `sources`, `SOURCE` numbers for each
(incident direction, 1/wavelength, weight, nine of the polarization, where its table begins); `cells`, nine for each orientation.
"""

from __future__ import annotations

import triton
import triton.language as tl

FRAME, NORMAL, OMEGA, ABSORPTION, SCALE, BACKGROUND, FUDGE, SPOT = (
    tl.constexpr(place) for place in (0, 12, 15, 16, 17, 18, 19, 20)
)
CONTINUOUS = tl.constexpr(29)
"""numbers so far: those that have derivatives"""
COUNTS, D_MIN, PAIR_VECTOR, PAIR_CELL = (tl.constexpr(place) for place in (29, 32, 33, 34))
CONSTANTS = tl.constexpr(35)
WAVENUMBER, WEIGHT, POLAR, ENTRIES, SOURCE = (tl.constexpr(place) for place in (3, 4, 5, 14, 15))


@triton.jit
def three(at):
    """Three numbers at a pointer."""
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def nine(at):
    """Nine numbers at a pointer."""
    return (
        tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3), tl.load(at + 4), tl.load(at + 5),
        tl.load(at + 6), tl.load(at + 7), tl.load(at + 8),
    )  # fmt: skip


@triton.jit
def dot(x, y):
    """Scalar product."""
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


@triton.jit
def applied(m, v):
    """The matrix m (nine numbers) times a vector."""
    return (
        m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
        m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
        m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
    )


@triton.jit
def steps(pixel, point, n_fast, n_sub):
    """Sub-pixel steps along fast and slow from the corner of the first pixel, and the layer, of a point of the pixels."""
    slow = pixel // n_fast
    fast = pixel - slow * n_fast
    fast_steps = (fast * n_sub + point % n_sub).to(tl.float64) + 0.5
    slow_steps = (slow * n_sub + (point // n_sub) % n_sub).to(tl.float64) + 0.5
    return fast_steps, slow_steps, (point // (n_sub * n_sub)).to(tl.float64)


@triton.jit
def spanned(frame, at):
    """Positions from the frame (twelve numbers at a pointer) and the steps."""
    f, s = three(frame), three(frame + 3)
    o, p = three(frame + 6), three(frame + 9)
    return (
        at[0] * f[0] + at[1] * s[0] + (at[2] * o[0] + p[0]),
        at[0] * f[1] + at[1] * s[1] + (at[2] * o[1] + p[1]),
        at[0] * f[2] + at[1] * s[2] + (at[2] * o[2] + p[2]),
    )


@triton.jit
def locate(constants, at, POWER: tl.constexpr, SENSOR: tl.constexpr):
    """Direction, 1/distance, solid angle, capture fraction, its slope by absorption/cosine, and the cosine to the normal."""
    x = spanned(constants + FRAME, at)
    inverse = 1.0 / tl.sqrt(dot(x, x))
    direction = (x[0] * inverse, x[1] * inverse, x[2] * inverse)
    omega = inverse * inverse * tl.load(constants + OMEGA)
    if POWER == 3:
        omega *= inverse
    if SENSOR:
        cosine = dot(three(constants + NORMAL), direction)
        depth = tl.load(constants + ABSORPTION) / cosine
        layer = at[2]
        front, back = tl.exp(-layer * depth), tl.exp(-(layer + 1.0) * depth)
        return direction, inverse, omega, front - back, (layer + 1.0) * back - layer * front, cosine
    else:
        return direction, inverse, omega, inverse, inverse, inverse


@triton.jit
def seen(table, source, TABLE: tl.constexpr):
    """The table that the source at a pointer sees, of those one behind the other."""
    if TABLE:
        return table + tl.load(source + ENTRIES).to(tl.int64)
    else:
        return table


@triton.jit
def scattering(source, direction):
    """Scattering vectors of a source at a pointer."""
    k, w = three(source), tl.load(source + WAVENUMBER)
    return (direction[0] - k[0]) * w, (direction[1] - k[1]) * w, (direction[2] - k[2]) * w


@triton.jit
def polarization(source, direction, POLARIZED: tl.constexpr):
    """Kahn's factor, and its derivative by the direction."""
    if POLARIZED:
        turned = applied(nine(source + POLAR), direction)
        return 0.5 + 0.5 * dot(direction, turned), turned
    else:
        return tl.full(direction[0].shape, 1.0, tl.float64), direction


@triton.jit
def kept(constants, v, mask, DMIN: tl.constexpr):
    """Lanes that d_min does not skip."""
    if DMIN:
        stol = 0.5 * tl.sqrt(dot(v, v))
        return mask & ((stol <= 0.0) | (tl.load(constants + D_MIN) <= 0.5 / stol))
    else:
        return mask


@triton.jit
def pull_position(constants, at, located, toward, factor, into, POWER: tl.constexpr, SENSOR: tl.constexpr):
    """Add up, over the block, the gradients of frame, normal, solid angle and absorption, at a pointer laid out as `constants`.

    `toward` and `factor` are the gradients of the directions and of solid angle x capture fraction. That of the solid angle is
    left times its scale.
    """
    direction, inverse, omega, capture, slope, cosine = located
    along = factor
    if SENSOR:
        along = factor * capture
        deep = factor * omega * slope / cosine
        turn = -deep * tl.load(constants + ABSORPTION) / cosine
        tl.store(into + ABSORPTION, tl.sum(deep, 0))
        normal = three(constants + NORMAL)
        for i in tl.static_range(3):
            tl.store(into + NORMAL + i, tl.sum(turn * direction[i], 0))
        toward = (toward[0] + turn * normal[0], toward[1] + turn * normal[1], toward[2] + turn * normal[2])
    weighted = along * omega
    tl.store(into + OMEGA, tl.sum(weighted, 0))
    reach = dot(direction, toward) + POWER * weighted
    for i in tl.static_range(3):
        moved = (toward[i] - direction[i] * reach) * inverse
        total = tl.sum(moved, 0)
        tl.store(into + FRAME + i, tl.sum(moved * at[0], 0))
        tl.store(into + FRAME + 3 + i, tl.sum(moved * at[1], 0))
        tl.store(into + FRAME + 6 + i, total * at[2])
        tl.store(into + FRAME + 9 + i, total)


@triton.jit
def push_position(constants, tangent, at, located, POWER: tl.constexpr, SENSOR: tl.constexpr):
    """Tangents of the directions, and of solid angle x capture fraction, for one of the constants at a pointer."""
    direction, inverse, omega, capture, slope, cosine = located
    moved = spanned(tangent + FRAME, at)
    reach = dot(direction, moved) * inverse
    turned = (
        moved[0] * inverse - direction[0] * reach,
        moved[1] * inverse - direction[1] * reach,
        moved[2] * inverse - direction[2] * reach,
    )
    change = omega * (tl.load(tangent + OMEGA) / tl.load(constants + OMEGA) - POWER * reach)
    if SENSOR:
        lean = dot(three(tangent + NORMAL), direction) + dot(three(constants + NORMAL), turned)
        deep = (tl.load(tangent + ABSORPTION) - lean * (tl.load(constants + ABSORPTION) / cosine)) / cosine
        change = change * capture + omega * slope * deep
    return turned, change
