"""The blocks of a crystal: how many, how large, of which shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor, is_transformed
from nanobragg.config.crystals.mosaic import plain_array
from nanobragg.config.fields import NOT_NEGATIVE, Config, setting
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

DISTRIBUTIONS = ("lognormal", "gamma")


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockSizes(Config):
    """Blocks of unlike size and the same shape: edges t n_cells, t of mean 1."""

    _path = "crystal.sizes"
    distribution: str = setting("lognormal", kind="enum", choices=DISTRIBUTIONS, doc="of t, by number of blocks")
    width: Any = setting(
        0.0, kind="scalar", differentiable=True, check=NOT_NEGATIVE, doc="standard deviation of t; 0: all alike"
    )

    def _check(self) -> None:
        if not is_transformed(self.width) and detached(self.width) > 1:
            raise ConfigError(
                f"{self._path}.width", detached(self.width), "must be at most 1", "it is relative to the mean size"
            )

    @property
    def vary(self) -> bool:
        """Whether there is a distribution at all."""
        return is_tensor(self.width) or self.width > 0


def check_blocks(crystal: Any) -> None:
    """Refuse what the blocks of a crystal cannot be together.

    Raises
    ------
    ConfigError
        For two statements of their number, a matrix beside n_cells, one that is not symmetric or not positive definite, and for
        square blocks whose shape or size would not be whole cells.
    """
    if crystal.n_blocks is not None and crystal.volume_mm3 is not None:
        raise ConfigError(
            "crystal.volume_mm3", crystal.volume_mm3, "says the same as n_blocks", "leave one of them out"
        )  # fmt: skip
    if crystal.sizes.vary and crystal.shape == "square":
        raise ConfigError(
            "crystal.sizes", "with shape 'square'", "square blocks are whole cells", "use shape='gauss' or 'round'"
        )
    if crystal.block_matrix is None:
        return
    path = "crystal.block_matrix"
    if crystal.shape == "square":
        raise ConfigError(path, "with shape 'square'", "the product of gratings has no matrix", "use shape='gauss'")
    if any(is_tensor(n) or n != 1 for n in elements(crystal.n_cells)):
        raise ConfigError(path, "with n_cells", "takes the place of n_cells", "leave one of them out")
    if crystal.size_mm is not None:
        raise ConfigError(path, "with size_mm", "takes the place of size_mm", "leave one of them out")
    if is_transformed(crystal.block_matrix):
        return
    matrix = plain_array(crystal.block_matrix)
    if np.abs(matrix - matrix.T).max() > 1e-12 * np.abs(matrix).max():
        raise ConfigError(path, matrix.tolist(), "must be symmetric", "write (M + M.T)/2")
    if not np.linalg.eigvalsh(matrix).min() > 0:
        raise ConfigError(
            path, matrix.tolist(), "must be positive definite", "make the elements off the diagonal smaller"
        )
