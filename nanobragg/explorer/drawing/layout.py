"""Where the pixels of the panels stand on the picture: one panel row by row, several as the beam sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry import of_decided
from nanobragg.exchange.notebook.layout import on_plane
from nanobragg.explorer.rendering import Prepared, as_images
from nanobragg.inspection.pictures.assembled import assembled
from nanobragg.io.geometry.record import Geometry, Panel

Array = NDArray[np.float64]


class Layout:
    """The picture of a detector.

    Places on the picture are (column, row) from its upper left corner; a pixel of a single panel is the place (fast, slow).
    """

    def __init__(self, plan: Prepared) -> None:
        details = [part[0].experiment.detector for part in plan.decided]
        self.shapes = [(one.n_slow, one.n_fast) for one in details]
        self.starts = np.cumsum([0, *(n * m for n, m in self.shapes)])
        self.geometry: Geometry | None = None
        self.obstacle = ""
        try:
            self.geometry = of_decided([part[0] for part in plan.decided]).along_beam()
        except ConfigError as error:
            self.obstacle = str(error)
        masks = [
            np.ones(shape, bool) if one.mask is None else one.mask
            for one, shape in zip(details, self.shapes, strict=True)
        ]
        self.index: NDArray[np.int64] | None = None
        self.known: NDArray[np.bool_] | None = None
        if len(details) == 1:
            self.shape = self.shapes[0]
            self.known = details[0].mask
        elif self.geometry is None:
            raise ConfigError("detector", f"{len(details)} panels", "cannot be put together", self.obstacle)
        else:
            self._assemble(self.geometry, masks)

    def _assemble(self, geometry: Geometry, masks: list[NDArray[np.bool_]]) -> None:
        numbers = [
            np.arange(a, b, dtype=np.float64).reshape(s)
            for a, b, s in zip(self.starts, self.starts[1:], self.shapes, strict=False)
        ]
        laid = assembled(numbers, geometry)
        self.shape = laid.values.shape
        known = np.isfinite(laid.values)
        self.index = np.where(known, laid.values, 0).astype(np.int64)
        self.known = known & np.concatenate([mask.ravel() for mask in masks])[self.index]
        left, right, _, self._top = laid.extent
        self._left, self._size = left, (right - left) / self.shape[1]

    def picture(self, photons: Any) -> NDArray[Any]:
        """(rows, columns) of the images of the panels; what is no pixel holds any value."""
        images = as_images(photons)
        if self.index is None:
            return np.asarray(images[0])
        return np.concatenate([np.ravel(image) for image in images])[self.index]

    def pixel(self, column: float, row: float) -> tuple[int, int, int] | None:
        """(panel, slow, fast) of the pixel at a place; None: there is none."""
        j, i = int(np.floor(column)), int(np.floor(row))
        if not (0 <= i < self.shape[0] and 0 <= j < self.shape[1]):
            return None
        if self.index is None:
            return 0, i, j
        assert self.known is not None
        if not self.known[i, j]:
            return None
        number = int(self.index[i, j])
        panel = int(np.searchsorted(self.starts, number, side="right")) - 1
        slow, fast = divmod(number - int(self.starts[panel]), self.shapes[panel][1])
        return panel, slow, fast

    def places(self, panel: int, fast: Array, slow: Array) -> tuple[Array, Array]:
        """(columns, rows) on the picture of places of a panel [pixels]."""
        if self.index is None:
            return fast, slow
        assert self.geometry is not None
        x, y = on_plane(self.geometry.panels[panel], fast, slow)
        return (x - self._left) / self._size, (self._top - y) / self._size

    def panel(self, number: int) -> Panel:
        """A panel of the geometry."""
        assert self.geometry is not None
        return self.geometry.panels[number]
