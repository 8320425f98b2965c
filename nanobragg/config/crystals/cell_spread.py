"""How the unit cells of crystals differ from each other, for data sets of many crystals."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.config.fields import NOT_NEGATIVE, Config, setting
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

_RELATIVE: dict[str, Any] = {"kind": "scalar", "check": NOT_NEGATIVE}
_DEGREES: dict[str, Any] = {"kind": "scalar", "check": NOT_NEGATIVE, "unit": "degrees"}


@dataclass(frozen=True, eq=False, kw_only=True)
class CellSpread(Config):
    """Normal distribution of unit cells about that of an experiment, one cell a crystal; 0.001 to 0.005 is usual."""

    _path = "cell_spread"
    a: float = setting(0.0, **_RELATIVE, doc="standard deviation of edge a, relative")
    b: float = setting(0.0, **_RELATIVE, doc="of edge b, relative; edges that are equal by symmetry need the same")
    c: float = setting(0.0, **_RELATIVE, doc="of edge c, relative")
    alpha: float = setting(0.0, **_DEGREES, doc="of alpha; 0 where symmetry fixes it")
    beta: float = setting(0.0, **_DEGREES, doc="of beta; 0 where symmetry fixes it")
    gamma: float = setting(0.0, **_DEGREES, doc="of gamma; 0 where symmetry fixes it")
    covariance: Any = setting(
        None, kind="array", doc="(6, 6) of edges [Angstrom] and angles [degrees] in place of the six numbers"
    )

    @property
    def widths(self) -> tuple[float, ...]:
        """The six numbers."""
        return (self.a, self.b, self.c, self.alpha, self.beta, self.gamma)

    def _check(self) -> None:
        if self.covariance is None:
            return
        path, matrix = f"{self._path}.covariance", self.covariance
        if any(self.widths):
            raise ConfigError(path, "with widths", "takes the place of the six widths", "leave one of them out")
        if matrix.shape != (6, 6):
            raise ConfigError(path, f"array of shape {matrix.shape}", "must have the shape (6, 6)")
        if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > 1e-12 * np.abs(matrix).max():
            raise ConfigError(path, matrix.tolist(), "must be finite and symmetric")
        if np.linalg.eigvalsh(matrix).min() < -1e-12 * np.abs(matrix).max():
            raise ConfigError(
                path, matrix.tolist(), "must be positive semidefinite", "no direction may have a negative variance"
            )
