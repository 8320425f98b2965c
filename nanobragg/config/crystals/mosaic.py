"""Mosaic domains: how they are turned, how far, and how their cells differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor, is_transformed
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, Config, setting
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

MODELS = ("cap", "gaussian", "ball", "given", "diffbragg")
_ORTHOGONAL = 1e-6
"""How far the rows of a given rotation may be from orthogonal unit vectors."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mosaic(Config):
    """Mosaic domains: the crystal is many blocks, each turned a little (`model`) and of a slightly different cell (`strain`)."""

    _path = "crystal.mosaic"
    model: str = setting(
        "cap",
        kind="enum",
        choices=MODELS,
        doc="distribution of the rotations: the original's cap, whose widest rotations are the most frequent; gaussian; ball, "
        "uniform within the spread; given, by rotations; diffbragg, for comparison with that program",
    )
    spread_deg: Any = setting(
        0.0,
        kind="spreads",
        unit="degrees",
        differentiable=True,
        check=NOT_NEGATIVE,
        flags="-mosaic",
        doc="cap and ball: largest rotation angle of a domain; gaussian: standard deviation about each axis of the crystal; "
        "three numbers: about a, c* x a and c*",
    )
    covariance_deg2: Any = setting(
        None,
        kind="matrix3",
        unit="degrees^2",
        differentiable=True,
        doc="gaussian: covariance of the rotation vectors in the axes a, c* x a, c* of the crystal, in place of spread_deg",
    )
    n_domains: int | None = setting(
        None,
        kind="int",
        flags="-mosaic_domains",
        check=AT_LEAST_ONE,
        doc="number of domains; None: 10 when there is a spread, else 1; 50 for gaussian and ball, 500 for diffbragg",
    )
    seed: int = setting(12345678, kind="int", flags="-mosaic_seed", doc="seed of the domains")
    rotations: Any = setting(
        None,
        kind="array",
        differentiable=True,
        doc="given: (n, 3, 3) rotation matrices in the axes a, c* x a, c* of the crystal",
    )
    weights: Any = setting(None, kind="array", doc="given: (n,) how much each rotation counts; None: all alike")
    strain: Any = setting(
        0.0,
        kind="scalar",
        differentiable=True,
        check=NOT_NEGATIVE,
        doc="standard deviation of the relative size of the cells of the domains",
    )

    @property
    def spreads(self) -> tuple[Any, Any, Any]:
        """The three spreads [degrees], alike where one was given."""
        value = self.spread_deg
        x, y, z = elements(value) if _several(value) else (value, value, value)
        return x, y, z

    @property
    def largest_spread(self) -> float:
        """[degrees], without its gradient"""
        if self.covariance_deg2 is not None:
            return float(np.sqrt(max(np.diag(plain_array(self.covariance_deg2)).max(), 0.0)))
        return max(detached(x) for x in self.spreads)

    @property
    def varies(self) -> bool:
        """Whether the domains differ from each other."""
        return self.largest_spread > 0 or detached(self.strain) > 0 or self.rotations is not None

    def _check(self) -> None:
        if _several(self.spread_deg) and self.model in ("cap", "given"):
            raise ConfigError(
                f"{self._path}.spread_deg", self.spread_deg, f"must be one number for model {self.model!r}",
                "model='gaussian' or 'ball' has three spreads",
            )  # fmt: skip
        if (
            self.model == "diffbragg"
            and _several(self.spread_deg)
            and not all(is_tensor(x) or x > 0 for x in self.spreads)
        ):
            raise ConfigError(
                f"{self._path}.spread_deg", self.spread_deg, "must be > 0 for model 'diffbragg' about every axis",
                "it takes the harmonic mean of their squares; model='gaussian' takes 0",
            )  # fmt: skip
        if self.covariance_deg2 is not None:
            self._check_covariance()
        if (self.rotations is not None) != (self.model == "given"):
            raise ConfigError(
                f"{self._path}.rotations", "rotations" if self.model != "given" else None,
                "belong to model 'given'" if self.model != "given" else "are required for model 'given'",
                "rotations=(n, 3, 3) matrices and model='given'",
            )  # fmt: skip
        if self.rotations is not None:
            self._check_rotations()
        if self.weights is not None:
            self._check_weights()

    def _check_covariance(self) -> None:
        path = f"{self._path}.covariance_deg2"
        if self.model != "gaussian":
            raise ConfigError(
                path, f"with model {self.model!r}", "belongs to model 'gaussian'", "write model='gaussian'"
            )
        if any(is_tensor(x) or x != 0 for x in self.spreads):
            raise ConfigError(path, "with spread_deg", "takes the place of spread_deg", "leave one of them out")
        if is_transformed(self.covariance_deg2):
            return
        matrix = plain_array(self.covariance_deg2)
        if np.abs(matrix - matrix.T).max() > 1e-12 * np.abs(matrix).max():
            raise ConfigError(path, matrix.tolist(), "must be symmetric", "write (M + M.T)/2")
        if np.linalg.eigvalsh(matrix).min() < -1e-12 * np.abs(matrix).max():
            raise ConfigError(
                path, matrix.tolist(), "must be positive semidefinite", "no direction may have a negative variance"
            )

    def _check_rotations(self) -> None:
        path = f"{self._path}.rotations"
        if is_transformed(self.rotations):
            return
        found = plain_array(self.rotations)
        if found.ndim != 3 or found.shape[1:] != (3, 3) or not len(found):
            raise ConfigError(path, f"array of shape {found.shape}", "must have the shape (n, 3, 3)")
        off = np.abs(found @ found.transpose(0, 2, 1) - np.eye(3)).reshape(len(found), -1).max(1)
        bad = np.flatnonzero(~(off < _ORTHOGONAL) | ~(np.linalg.det(found) > 0))
        if len(bad):
            raise ConfigError(
                f"{path}[{bad[0]}]", found[bad[0]].tolist(), "must be a rotation", "orthogonal, with determinant +1"
            )
        if _several(self.spread_deg) or detached(self.spread_deg) != 0:
            raise ConfigError(
                f"{self._path}.spread_deg", self.spread_deg, "has no part in model 'given'", "the rotations say it all"
            )
        if self.n_domains not in (None, len(found)):
            raise ConfigError(
                f"{self._path}.n_domains",
                self.n_domains,
                f"must be {len(found)}, one for each rotation",
                "leave it out",
            )

    def _check_weights(self) -> None:
        path, weights = f"{self._path}.weights", self.weights
        if self.rotations is None:
            raise ConfigError(path, "weights", "belong to model 'given'", "give rotations too, or leave them out")
        n = len(self.rotations)
        if weights.shape != (n,):
            raise ConfigError(path, f"array of shape {weights.shape}", f"must be {n} numbers, one for each rotation")
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ConfigError(path, weights.tolist(), "must be finite and >= 0")
        if not weights.sum() > 0:
            raise ConfigError(path, weights.tolist(), "must have a sum > 0", "leave them out for equal weights")


def _several(value: Any) -> bool:
    """Whether three numbers stand there, not one."""
    return isinstance(value, tuple) or (is_tensor(value) and len(value.shape) == 1)


def plain_array(value: Any) -> np.ndarray:
    """An array without its gradient."""
    found = value.detach() if is_tensor(value) else value
    return np.asarray(found if isinstance(found, np.ndarray | tuple | list) else found.cpu().numpy(), dtype=np.float64)
