"""Numbers with their errors: what every refinement gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.lazy import dataclass

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimates:
    """Refined numbers, where they came from, and how well they are known."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    start: Array
    estimate: Array
    covariance: Array
    """(n, n), of the numbers in the order of `names`"""
    sampling_covariance: Array
    """the part of it that comes from the number of mosaic domains"""
    chi2: float
    """mean square residual"""
    converged: bool

    @property
    def values(self) -> dict[str, float]:
        """The refined numbers by path."""
        return dict(zip(self.names, self.estimate.tolist(), strict=True))

    @property
    def errors(self) -> dict[str, float]:
        """Their standard deviations by path."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def correlation(self) -> Array:
        """(n, n) correlation matrix."""
        sigma = np.sqrt(np.diag(self.covariance))
        return np.asarray(self.covariance / np.outer(sigma, sigma))

    def columns(self) -> dict[str, NDArray[Any]]:
        """The values as columns: name, unit, start, refined, error."""
        errors = np.sqrt(np.diag(self.covariance))
        return {"name": np.array(self.names), "unit": np.array(self.units), "start": self.start, "refined": self.estimate,
                "error": errors}  # fmt: skip
