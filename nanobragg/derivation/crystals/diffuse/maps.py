"""The diffuse scattering of all reflections as a map over the indices, by Fourier transforms.

Gamma_n is the transform of exp(-n |G^-1 r|), so that the sum over the reflections is the transform of the Patterson function of
F^2 x^n/n!, over as many cells as there are points for each index, times that decay. Between the points it is interpolated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import available_cores, detached, is_tensor
from nanobragg.derivation.crystals.displacement import largest_indices
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import Ops
from nanobragg.errors import ConfigError

HALF_WIDTH = 0.10243120669545891
"""|q| gamma at which Gamma has half its height: sqrt(sqrt(2) - 1)/(2 pi)"""
LARGEST = 1 << 26
"""values of a map: 512 MiB"""
_FADED = (16.0, 12.0, 8.0, 6.0, 4.0)
"""2 pi gamma |q| at the margins of a map, the first where the map stays small. A transform is periodic: at its very edge an even
map sees 1/(2 pi _FADED) of the other side."""
_SMALL = LARGEST // 4
_NARROWEST = 1e-9
"""2 pi gamma over an edge that is told from 0: its map is too large anyway"""


def made_map(
    decided: Decided, scene: Scene, table: Any, forms: Any, weight: NDArray[np.float64], n_orders: int, ops: Ops
) -> tuple[Any, tuple[float, float, float]]:
    """Diffuse intensity of a cell [electrons^2] on a grid, and the indices of its first value.

    Parameters
    ----------
    decided : Decided
    scene : Scene
        Where the table begins, and default_F; derived with `ops`.
    table : (n_h, n_k, n_l)
        F^2
    forms : (n, 2, 6)
        As of `DiffuseScene`.
    weight : (n,)
    n_orders : int
    ops : Ops

    Raises
    ------
    ConfigError
        For a step wider than a quarter of the half width of Gamma, and a map that is too large.
    """
    diffuse = decided.experiment.crystal.diffuse
    n = diffuse.grid
    widths = np.sqrt([[detached(form[1][i]) for i in range(3)] for form in forms])  # 2 pi |G a*|
    _check_step(n, float(widths.max()) / (2 * math.pi))
    squares, first = _squares(decided, scene, table, widths, ops)
    shape = tuple(squares.shape)
    indices = [np.arange(low, low + count, dtype=np.float64) for low, count in zip(first, shape, strict=True)]
    cells = [np.fft.fftfreq(n * count, 1.0 / n) for count in shape]
    cells[2] = np.fft.rfftfreq(n * shape[2], 1.0 / n)
    total: Any = 0.0
    for form, share in zip(forms, weight, strict=True):
        x = _on_grid(form[0], indices, ops)
        length = _on_grid(_inverse(form[1], ops), cells, ops)
        root = _root(length) * (2 * math.pi)
        power = squares
        for order in range(1, n_orders + 1):
            power = power * x / order
            total = total + float(share) * ops.exp(-order * root) * _patterson(power, n)
    return _transformed(total, shape, n), (float(first[0]), float(first[1]), float(first[2]))


def _check_step(n: int, coarsest: float) -> None:
    """Refuse steps of |G a*|/n that are too wide."""
    needed = 4 * coarsest / HALF_WIDTH
    if not needed <= n:
        finer = f"write {math.ceil(needed)}, or method='stencil'" if needed < 1000 else "write method='stencil'"
        raise ConfigError(
            "crystal.diffuse.grid", n, f"is too coarse for gamma_angstrom: a step is {coarsest / n / HALF_WIDTH:.2g} of the half "
            "width, and may be a quarter", finer,
        )  # fmt: skip


def _squares(
    decided: Decided, scene: Scene, table: Any, widths: NDArray[np.float64], ops: Ops
) -> tuple[Any, list[int]]:
    """F^2 with margins, and the indices of the first one: those of the table beside zeros, or where default_F counts also all
    others of the image."""
    default = scene.default_F
    outside = bool(detached(default) != 0)
    size = tuple(table.shape) if math.prod(table.shape) else (0, 0, 0)
    ends = [low + n for low, n in zip(scene.hkl_min, size, strict=True)]
    first, last = list(scene.hkl_min), ends
    if outside or not all(size):
        reach = largest_indices(decided)
        first = [min(-most, low) if all(size) else -most for low, most in zip(first, reach, strict=True)]
        last = [max(most + 1, end) if all(size) else most + 1 for end, most in zip(last, reach, strict=True)]
    margins = _margins(decided.experiment.crystal.diffuse.grid, first, last, widths)
    first = [low - margin for low, margin in zip(first, margins, strict=True)]
    shape = [high + margin - low for low, high, margin in zip(first, last, margins, strict=True)]
    others = np.full(shape, float(outside))
    if not all(size):
        return default * default * ops.lift(others), first
    places = [(low - f, end - f) for low, end, f in zip(scene.hkl_min, ends, first, strict=True)]
    others[tuple(slice(*place) for place in places)] = 0.0
    return default * default * ops.lift(others) + _padded(table, places, shape, ops), first


def _margins(n: int, first: list[int], last: list[int], widths: NDArray[np.float64]) -> list[int]:
    """Indices on either side of first ... last - 1."""
    for faded in _FADED:
        found = [math.ceil(faded / max(width, _NARROWEST)) for width in widths.min(0)]
        shape = [n * (high - low + 2 * margin) for low, high, margin in zip(first, last, found, strict=True)]
        if math.prod(shape) <= (LARGEST if faded == _FADED[-1] else _SMALL):
            return found
    raise ConfigError(
        "crystal.diffuse.grid", n, f"makes a map of {' x '.join(map(str, shape))} values, which is too large",
        "write method='stencil', or fewer structure factors",
    )  # fmt: skip


def _padded(inner: Any, places: list[tuple[int, int]], shape: list[int], ops: Ops) -> Any:
    sides = [(begin, n - end) for (begin, end), n in zip(places, shape, strict=True)]
    if is_tensor(inner):
        from torch.nn.functional import pad

        return pad(ops.lift(inner).to("cpu").double(), [side for pair in reversed(sides) for side in pair])
    return np.pad(inner, sides)


def _on_grid(form: Any, axes: list[NDArray[np.float64]], ops: Ops) -> Any:
    """The quadratic form at every point of a grid."""
    shapes = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    h, k, m = (axis.reshape(shape) for axis, shape in zip(axes, shapes, strict=True))
    products = (h * h, k * k, m * m, h * k, h * m, k * m)
    return sum(form[i] * ops.lift(product) for i, product in enumerate(products))


def _inverse(form: Any, ops: Ops) -> Any:
    """Coefficients of the inverse of a quadratic form."""
    a, b, c = form[0], form[1], form[2]
    f, e, d = form[3] / 2, form[4] / 2, form[5] / 2
    minors = (b * c - d * d, a * c - e * e, a * b - f * f, e * d - f * c, f * d - e * b, f * e - d * a)
    det = a * minors[0] + f * minors[3] + e * minors[4]
    return ops.stack([(1 if i < 3 else 2) * minor / det for i, minor in enumerate(minors)])


def _root(squares: Any) -> Any:
    """Lengths; where they are 0 they have no derivative."""
    if is_tensor(squares):
        return (squares + 1e-200).sqrt()
    return np.sqrt(squares)


def _patterson(power: Any, n: int) -> Any:
    """The transform on the integers, over n cells; of the last axis half."""
    if is_tensor(power):
        import torch

        found = torch.fft.fftn(power)
    else:
        from scipy import fft

        found = fft.fftn(power, workers=available_cores())
    for axis, count in enumerate(power.shape):
        at = np.arange(n * count // 2 + 1 if axis == 2 else n * count) % count
        found = found[(slice(None),) * axis + (at,)]
    return found


def _transformed(total: Any, shape: tuple[int, ...], n: int) -> Any:
    size = [n * count for count in shape]
    if is_tensor(total):
        import torch

        return n**3 * torch.fft.irfftn(total, size)
    from scipy import fft

    values: NDArray[np.float64] = fft.irfftn(total, size, workers=available_cores(), overwrite_x=True)
    values *= n**3
    return values
