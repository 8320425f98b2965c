"""The spot shapes that are functions of one squared distance from the spot: round, gauss, tophat.

With f the offsets (h - h0, k - k0, l - l0) and y = fudge unit |metric f|^2, the squared lattice factor is height^2 form(y):

    round    s3(x)^2, x^2 = y        s3(x) = 3 (sin x/x - cos x)/x^2
    gauss    exp(-2 y)
    tophat   1 where y < TOPHAT_CUT, else 0

A top-hat has no slope: its edge passes no gradient. Reference: docs/model.md, Lattice factor; docs/quirks.md,
SINC3_CANCELLATION is not reproduced here, in any fidelity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nanobragg.config.quirks import Quirk
from nanobragg.constants import GAUSS_WIDTH, ROUND_SCALE, TOPHAT_CUT
from nanobragg.derivation.scene import Scene, Shape

_SERIES_BELOW = 4.0


@dataclass(frozen=True)
class Radial:
    """One such shape."""

    form: Callable[[Tensor], Tensor]
    """of y"""
    rate: Callable[[Tensor, Tensor], Tensor]
    """d form/dy, of y and the form"""
    unit: float
    """y for fudge = 1 at a distance of 1"""
    height: float = 1.0
    """largest lattice factor over Na Nb Nc"""
    skewed: bool = False
    """whether GAUSS_TOPHAT_WIDTH is about its metric"""
    signed: Callable[[Tensor], Tensor] = torch.ones_like
    """a number with the sign of the lattice factor, of y"""


def metric(scene: Scene) -> Tensor:
    """(3, 3): the squared distance from the spot is |metric offset|^2."""
    if RADIAL[scene.shape].skewed and Quirk.GAUSS_TOPHAT_WIDTH in scene.quirks:
        return scene.a_star.T * scene.n_cells.prod()
    return scene.block_matrix if scene.has_block_matrix else torch.diag(scene.n_cells)


# --- round --------------------------------------------------------------------------------------------------------------


def _split(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the series serves, y for the series, and y for the closed formula."""
    small = y < _SERIES_BELOW
    return small, torch.where(small, y, torch.zeros_like(y)), torch.where(small, torch.full_like(y, _SERIES_BELOW), y)


def _sphere(y: Tensor) -> Tensor:
    """s3(sqrt(y)); for small y the series sum_m (-1)^m 6 (m+1) y^m/(2m+3)!, as in csrc/spots.c."""
    small, low, high = _split(y)
    series = torch.ones_like(y)
    for m in range(13, -1, -1):
        series = 1 - series * low / ((m + 1) * (4 * m + 10))
    x = torch.sqrt(high)
    return torch.where(small, series, 3 * (torch.sin(x) / x - torch.cos(x)) / high)


def _sphere_rate(y: Tensor) -> Tensor:
    """d s3(sqrt(y))/dy = 3 (sin x/x - s3)/(2 y), or the derivative of the series."""
    small, low, high = _split(y)
    series = torch.zeros_like(y)
    for m in range(13, 0, -1):
        series = series * low + (-1) ** m * 6 * (m + 1) * m / math.factorial(2 * m + 3)
    x = torch.sqrt(high)
    sinc = torch.sin(x) / x
    return torch.where(small, series, 1.5 * (sinc - 3 * (sinc - torch.cos(x)) / high) / high)


RADIAL = {
    Shape.ROUND: Radial(
        form=lambda y: _sphere(y).square(),
        rate=lambda y, form: 2 * _sphere(y) * _sphere_rate(y),
        unit=math.pi**2,
        height=ROUND_SCALE,
        signed=_sphere,
    ),
    Shape.GAUSS: Radial(
        form=lambda y: torch.exp(-2 * y), rate=lambda y, form: -2 * form, unit=1 / GAUSS_WIDTH, skewed=True
    ),
    Shape.TOPHAT: Radial(
        form=lambda y: (y < TOPHAT_CUT).to(y.dtype), rate=lambda y, form: torch.zeros_like(y), unit=1.0, skewed=True
    ),
}
"""Every shape but SQUARE."""
