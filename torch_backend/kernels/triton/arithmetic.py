"""One evaluation: offsets from the nearest lattice point, squared lattice factor with its slopes, structure factor.

Everything here is a device function of Triton: it works on a block of pixels, one orientation at a time. Formulas: docs/model.md,
Lattice factor; those of plain torch are in `phase`, `lattice`, `shapes` and `lookup` of the room above.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl
from nanobragg.torch_backend.kernels.fused import fitted

from nanobragg.constants import TOPHAT_CUT
from nanobragg.derivation.scene import Shape

# in f^2, highest first: sin(pi f)/f and cos(pi f) for |f| <= 1/2; errors 1e-15 and 3e-15 in float64, 6e-9 and 5e-8 in float32
_sine, _cosine = (
    (lambda y: math.sin(math.pi * math.sqrt(y)) / math.sqrt(y)),
    (lambda y: math.cos(math.pi * math.sqrt(y))),
)
SINE_64, COSINE_64 = tl.constexpr(fitted(_sine, 7)), tl.constexpr(fitted(_cosine, 7))
SINE_32, COSINE_32 = tl.constexpr(fitted(_sine, 4)), tl.constexpr(fitted(_cosine, 4))

ROUND, GAUSS, TOPHAT = (tl.constexpr(int(shape)) for shape in (Shape.ROUND, Shape.GAUSS, Shape.TOPHAT))
SQUARE = tl.constexpr(int(Shape.SQUARE))
CUT = tl.constexpr(float(TOPHAT_CUT))
PI, TWO_PI, INVERSE_PI = tl.constexpr(math.pi), tl.constexpr(2 * math.pi), tl.constexpr(1 / math.pi)
BIG_64, BIG_32 = tl.constexpr(1.5 * 2.0**52), tl.constexpr(1.5 * 2.0**23)
"""Adding and subtracting it rounds to a whole number."""
TINY_64, TINY_32 = tl.constexpr(1e-80), tl.constexpr(1e-11)
"""Added to an offset: it replaces 0 alone, where the grating function then has its limit; its cube is a normal number."""
NEAR_64, NEAR_32 = tl.constexpr(1e-5 / math.pi), tl.constexpr(1e-2 / math.pi)
"""n f below which the slope of the grating function is taken as proportional to f (error: its square)."""

_SERIES = 10
SPHERE = tl.constexpr(tuple((-1) ** m * 6 * (m + 1) / math.factorial(2 * m + 3) for m in range(_SERIES - 1, -1, -1)))
SPHERE_SLOPE = tl.constexpr(
    tuple((-1) ** m * 6 * (m + 1) * m / math.factorial(2 * m + 3) for m in range(_SERIES - 1, 0, -1))
)
"""s3(sqrt(y)) = 3 (sin x/x - cos x)/x^2 and its derivative for y < 1, highest power first (next term below 1e-16)."""


@triton.jit
def polynomial(y, c: tl.constexpr, N: tl.constexpr):
    """The polynomial with N coefficients c, highest first."""
    total = y * c[0] + c[1]
    for i in tl.static_range(2, N):
        total = total * y + c[i]
    return total


@triton.jit
def rounded(x):
    """The nearest whole number, ties to even."""
    if x.dtype == tl.float32:
        return (x + BIG_32) - BIG_32
    else:
        return (x + BIG_64) - BIG_64


@triton.jit
def sine(y):
    """sin(pi f)/f of y = f^2."""
    if y.dtype == tl.float32:
        return polynomial(y, SINE_32, 5)
    else:
        return polynomial(y, SINE_64, 8)


@triton.jit
def cosine(y):
    """cos(pi f) of y = f^2."""
    if y.dtype == tl.float32:
        return polynomial(y, COSINE_32, 5)
    else:
        return polynomial(y, COSINE_64, 8)


# --- offsets ------------------------------------------------------------------------------------------------------------


@triton.jit
def index(axis, v):
    """Offset in (-1/2, 1/2] and nearest integer (exact halves go down) of the axis at a pointer, in float64."""
    h = tl.load(axis) * v[0] + tl.load(axis + 1) * v[1] + tl.load(axis + 2) * v[2]
    whole = rounded(h)
    f = h - whole
    half = f == -0.5
    return tl.where(half, 0.5, f), tl.where(half, whole - 1.0, whole)


@triton.jit
def product(axis, v, i: tl.constexpr):
    """Scalar product of three numbers at a pointer with piece i of the scattering vector."""
    return tl.load(axis) * v[i] + tl.load(axis + 1) * v[i + 1] + tl.load(axis + 2) * v[i + 2]


@triton.jit
def index_of_pieces(axis, v, size):
    """As `index`, in exact float32 pieces (see `phase`): nine numbers at a pointer, of which the last six add up to the rest."""
    large = product(axis, v, 0) * size
    small = product(axis + 3, v, 0) + product(axis, v, 3)
    rest = product(axis + 6, v, 0) + product(axis, v, 6)
    for c in tl.static_range(3):
        rest += (tl.load(axis + 3 + c) + tl.load(axis + 6 + c)) * (v[3 + c] + v[6 + c])
    whole = rounded(large)
    offset = ((large - whole) + small * size) + rest * size
    carry = tl.where(offset > 0.5, 1.0, tl.where(offset <= -0.5, -1.0, 0.0))
    return offset - carry, whole + carry


@triton.jit
def cut(x, grid: tl.constexpr):
    """Two float32 pieces of 11 bits and the float32 rest of a float64 number."""
    first = rounded(x * grid) / grid
    second = rounded((x - first) * (grid * 2048.0)) / (grid * 2048.0)
    return first.to(tl.float32), second.to(tl.float32), (x - first - second).to(tl.float32)


@triton.jit
def pieces(v, scale):
    """The scattering vector as nine pieces: three first ones, three second ones, three rests."""
    x, y, z = cut(v[0] * scale, 512.0), cut(v[1] * scale, 512.0), cut(v[2] * scale, 512.0)
    return x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]


@triton.jit
def indices(cells, o, v, size, MIXED: tl.constexpr, PAIRS: tl.constexpr):
    """Offsets and nearest integers along a, b, c of orientation o."""
    if PAIRS:
        at = cells + o * 27
        fa, ha = index_of_pieces(at, v, size)
        fb, hb = index_of_pieces(at + 9, v, size)
        fc, hc = index_of_pieces(at + 18, v, size)
    else:
        at = cells + o * 9
        fa, ha = index(at, v)
        fb, hb = index(at + 3, v)
        fc, hc = index(at + 6, v)
    if MIXED:
        return (fa.to(tl.float32), fb.to(tl.float32), fc.to(tl.float32)), (ha, hb, hc)
    else:
        return (fa.to(tl.float64), fb.to(tl.float64), fc.to(tl.float64)), (ha, hb, hc)


# --- square -------------------------------------------------------------------------------------------------------------


@triton.jit
def grating(f, n):
    """Numerator and denominator of sin(pi n f)/sin(pi f), up to the sign."""
    if f.dtype == tl.float32:
        f = f + TINY_32
    else:
        f = f + TINY_64
    phase = f * n
    r = phase - rounded(phase)
    return sine(r * r) * r, sine(f * f) * f


@triton.jit
def square(f, n, AXES: tl.constexpr):
    """Product of sin^2(pi n f)/sin^2(pi f) over the axes with more than one cell (bits of AXES)."""
    above = tl.full(f[0].shape, 1.0, f[0].dtype)
    below = above
    for i in tl.static_range(3):
        if (AXES >> i) & 1:
            up, down = grating(f[i], n[i])
            above *= up
            below *= down
    ratio = above / below
    return ratio * ratio


@triton.jit
def grating_parts(f, n, AXES: tl.constexpr, i: tl.constexpr):
    """What `grating_slope` is put together from: numerator, n cos(pi n f), cos(pi f) and denominator; ones along an axis with one
    cell."""
    one = tl.full(f.shape, 1.0, f.dtype)
    above, fast, slow, below = one, one, one, one
    if (AXES >> i) & 1:
        if f.dtype == tl.float32:
            away = tl.maximum(tl.abs(f), NEAR_32 / n)
        else:
            away = tl.maximum(tl.abs(f), NEAR_64 / n)
        phase = away * n
        r = phase - rounded(phase)
        y, z = away * away, r * r
        # the sign (-1)^rounded(n f) of sine and cosine cancels wherever the ratio appears
        above, fast, slow, below = sine(z) * r * away, n * cosine(z), cosine(y), sine(y) * y
    return above, fast, slow, below


@triton.jit
def grating_slope(f, parts, inverse):
    """sin^2(pi n f)/sin^2(pi f) and its derivative by f; `inverse` is 1/denominator."""
    ratio = parts[0] * inverse
    return ratio * ratio, ratio * (parts[1] - ratio * parts[2]) * inverse * f * TWO_PI


@triton.jit
def square_slopes(f, n, AXES: tl.constexpr):
    """The product of the three, and its derivatives by the offsets."""
    a, b, c = grating_parts(f[0], n[0], AXES, 0), grating_parts(f[1], n[1], AXES, 1), grating_parts(f[2], n[2], AXES, 2)
    if f[0].dtype == tl.float32:  # the product of the denominators of large crystals is too small a number
        ia, ib, ic = 1.0 / a[3], 1.0 / b[3], 1.0 / c[3]
    else:
        ab = a[3] * b[3]
        inverse = 1.0 / (ab * c[3])
        ia, ib, ic = inverse * (b[3] * c[3]), inverse * (a[3] * c[3]), inverse * ab
    va, sa = grating_slope(f[0], a, ia)
    vb, sb = grating_slope(f[1], b, ib)
    vc, sc = grating_slope(f[2], c, ic)
    return va * vb * vc, (sa * vb * vc, va * sb * vc, va * vb * sc)


# --- round, gauss, tophat -----------------------------------------------------------------------------------------------


@triton.jit
def turned(f, spot):
    """The metric of the spot (nine numbers) times the offset."""
    return (
        spot[0] * f[0] + spot[1] * f[1] + spot[2] * f[2],
        spot[3] * f[0] + spot[4] * f[1] + spot[5] * f[2],
        spot[6] * f[0] + spot[7] * f[1] + spot[8] * f[2],
    )


@triton.jit
def sphere(y):
    """s3(sqrt(y)), sin x/x and 1/y with x = sqrt(y), the last two for y >= 1."""
    high = tl.maximum(y, 1.0)
    x = tl.sqrt(high)
    t = x * INVERSE_PI
    whole = rounded(t)
    r = t - whole
    # sine and cosine change sign together with the parity of the whole number: the parity is left out here and in the square
    inverse = 1.0 / high
    sinc = sine(r * r) * r * x * inverse
    closed = 3.0 * (sinc - cosine(r * r)) * inverse
    return closed, sinc, inverse


@triton.jit
def radial(y, SHAPE: tl.constexpr):
    """The form at y: see `shapes`."""
    if SHAPE == ROUND:
        s = tl.where(y < 1.0, polynomial(tl.minimum(y, 1.0), SPHERE, 10), sphere(y)[0])
        return s * s
    elif SHAPE == GAUSS:
        return tl.exp(-2.0 * y)
    else:
        return tl.where(y < CUT, 1.0, 0.0).to(y.dtype)


@triton.jit
def radial_rate(y, SHAPE: tl.constexpr):
    """The form at y, and its derivative."""
    if SHAPE == ROUND:
        closed, sinc, inverse = sphere(y)
        low = tl.minimum(y, 1.0)
        s = tl.where(y < 1.0, polynomial(low, SPHERE, 10), closed)
        rate = tl.where(y < 1.0, polynomial(low, SPHERE_SLOPE, 9), 1.5 * (sinc - closed) * inverse)
        return s * s, 2.0 * s * rate
    elif SHAPE == GAUSS:
        value = tl.exp(-2.0 * y)
        return value, -2.0 * value
    else:
        return tl.where(y < CUT, 1.0, 0.0).to(y.dtype), tl.full(y.shape, 0.0, y.dtype)


@triton.jit
def form(f, n, spot, fudge, SHAPE: tl.constexpr, AXES: tl.constexpr):
    """Squared lattice factor; of the shapes other than square without its height."""
    if SHAPE == SQUARE:
        return square(f, n, AXES)
    else:
        s = turned(f, spot)
        return radial((s[0] * s[0] + s[1] * s[1] + s[2] * s[2]) * fudge, SHAPE)


@triton.jit
def slopes(f, n, spot, fudge, SHAPE: tl.constexpr, AXES: tl.constexpr):
    """The form, its derivatives by the offsets, derivative by y, squared distance from the spot, turned offset."""
    if SHAPE == SQUARE:
        value, slope = square_slopes(f, n, AXES)
        return value, slope, value, value, f
    else:
        s = turned(f, spot)
        radius = s[0] * s[0] + s[1] * s[1] + s[2] * s[2]
        value, rate = radial_rate(radius * fudge, SHAPE)
        twice = 2.0 * fudge * rate
        da = (spot[0] * s[0] + spot[3] * s[1] + spot[6] * s[2]) * twice
        db = (spot[1] * s[0] + spot[4] * s[1] + spot[7] * s[2]) * twice
        dc = (spot[2] * s[0] + spot[5] * s[1] + spot[8] * s[2]) * twice
        return value, (da, db, dc), rate, radius, s


# --- structure factors --------------------------------------------------------------------------------------------------


@triton.jit
def place(whole, size, first):
    """Where an index stands along an axis of the bordered table: clamped into the border if it lies outside."""
    return tl.minimum(tl.maximum(whole.to(tl.int32) - (first - 1), 0), size - 1)


@triton.jit
def entry(whole, sizes, first, WIDE: tl.constexpr):
    """Flat position in the bordered table."""
    a, b, c = (
        place(whole[0], sizes[0], first[0]),
        place(whole[1], sizes[1], first[1]),
        place(whole[2], sizes[2], first[2]),
    )
    if WIDE:
        a = a.to(tl.int64)
    return (a * sizes[1] + b) * sizes[2] + c
