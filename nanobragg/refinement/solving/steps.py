"""Steps of Gauss and Newton within a trust region: scipy's least squares, whose first step is as long as it needs to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_REACH = 1000.0
"""Of the first step, in standard deviations of each variable."""


def minimized(
    residuals: Callable[[Array], Array],
    jacobian: Callable[[Array], Array],
    x: Array,
    *,
    loss: str,
    ftol: float,
    most: int,
) -> Any:
    """What `scipy.optimize.least_squares` gives (method "trf", variables scaled by the Jacobian).

    Its first trust region is as large as the start is far from 0: the variables are counted from a place `_REACH` standard
    deviations away, so that a start at 0 is no reason for small steps.
    """
    from scipy.optimize import least_squares

    lengths = np.linalg.norm(jacobian(x), axis=0)
    origin = x - _REACH / np.where(lengths > 0, lengths, np.inf)
    found = least_squares(lambda y: residuals(origin + y), x - origin, jac=lambda y: jacobian(origin + y), method="trf",
                          x_scale="jac", loss=loss, ftol=ftol, xtol=1e-12, gtol=1e-8, max_nfev=most)  # fmt: skip
    found.x = origin + found.x
    return found
