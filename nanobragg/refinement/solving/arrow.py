"""Fisher's matrix of many images with amplitudes in common: own variables apart, so that the matrix is an arrow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nanobragg.lazy import dataclass
from nanobragg.refinement.solving.adjoint import whitening

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PartOfArrow:
    """The part of one image."""

    own: Array
    """(k, k)"""
    cross: Array
    """(k, m)"""
    common: Array
    """(m, m) of those common variables that it tells of"""
    columns: NDArray[np.int64]
    """(m,) which they are"""


class Arrow:
    """The factor L of Fisher's matrix L L^T, own variables of each image first; the prior adds to the common ones."""

    def __init__(self, parts: list[PartOfArrow], prior: Array) -> None:
        self.parts = parts
        self._own = [whitening(part.own)[0] for part in parts]
        self._crossed = [w.T @ part.cross for w, part in zip(self._own, parts, strict=True)]
        left = prior.copy()
        for part, crossed in zip(parts, self._crossed, strict=True):
            left[np.ix_(part.columns, part.columns)] += part.common - crossed.T @ crossed
        self._common = whitening(left)[0]
        self._ends = np.cumsum([0, *(len(part.own) for part in parts), len(prior)]).tolist()
        self.size: int = self._ends[-1]

    def split(self, x: Array) -> list[Array]:
        """The variables of each image, then the common ones."""
        return [x[begin:end] for begin, end in pairwise(self._ends)]

    def forth(self, y: Array) -> Array:
        """L^-T y."""
        *each, last = self.split(y)
        common = self._common @ last
        own = [w @ (v - crossed @ common[part.columns])
               for w, v, crossed, part in zip(self._own, each, self._crossed, self.parts, strict=True)]  # fmt: skip
        return np.concatenate([*own, common])

    def back(self, x: Array) -> Array:
        """L^-1 x."""
        *each, last = self.split(x)
        own = [w.T @ v for w, v in zip(self._own, each, strict=True)]
        left = last.copy()
        for v, crossed, part in zip(own, self._crossed, self.parts, strict=True):
            np.subtract.at(left, part.columns, crossed.T @ v)
        return np.concatenate([*own, self._common.T @ left])

    def errors(self) -> list[Array]:
        """The covariance matrices: of each image's variables, then of the common ones."""
        common = self._common @ self._common.T
        found = []
        for w, crossed, part in zip(self._own, self._crossed, self.parts, strict=True):
            through = w @ crossed
            found.append(w @ w.T + through @ common[np.ix_(part.columns, part.columns)] @ through.T)
        return [*found, common]
