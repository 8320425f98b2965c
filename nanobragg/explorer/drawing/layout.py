"""Where the pixels of the panels stand on the picture: one panel row by row, several as the beam sees them.

Panels that the beam sees edge-on, and curved ones, stand below each other instead, or some would not be seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry import of_decided
from nanobragg.exchange.notebook.layout import on_plane
from nanobragg.explorer.rendering import Prepared, as_images
from nanobragg.inspection.pictures.assembled import assembled
from nanobragg.io.geometry.record import Geometry

Array = NDArray[np.float64]


class Layout:
    """The picture of a detector.

    Places on the picture are (column, row) from its upper left corner; a pixel of a single panel is the place (fast, slow).
    """

    def __init__(self, plan: Prepared) -> None:
        details = [part[0].experiment.detector for part in plan.decided]
        self.shapes = [(one.n_slow, one.n_fast) for one in details]
        self.starts = np.cumsum([0, *(n * m for n, m in self.shapes)])
        self.scenes = [part[0][0] for part in plan.scenes]
        """of every panel, for their geometry alone"""
        self.geometry: Geometry | None = None
        self.obstacle = ""
        try:
            self.geometry = of_decided([part[0] for part in plan.decided]).along_beam()
        except ConfigError as error:
            self.obstacle = str(error)
        rendered = [_rendered(part[0].experiment) for part in plan.decided]
        self.index: NDArray[np.int64] | None = None
        self.known: NDArray[np.bool_] | None = None
        self._rows: NDArray[np.int64] | None = None
        if len(details) == 1:
            self.shape = self.shapes[0]
            self.known = rendered[0]
            return
        seen = self.geometry is not None and self._assemble(self.geometry)
        if not seen:
            self._stack()
        assert self.index is not None and self.known is not None
        masks = [
            np.ones(n * m, bool) if r is None else r.ravel() for r, (n, m) in zip(rendered, self.shapes, strict=True)
        ]
        self.known &= np.concatenate(masks)[self.index]

    def _numbers(self) -> list[NDArray[np.float64]]:
        """Of every panel the numbers of its pixels, counted through all panels."""
        spans = zip(self.starts, self.starts[1:], self.shapes, strict=False)
        return [np.arange(a, b, dtype=np.float64).reshape(shape) for a, b, shape in spans]

    def _assemble(self, geometry: Geometry) -> bool:
        """As the beam sees them; False: a panel would not be seen."""
        laid = assembled(self._numbers(), geometry)
        known = np.isfinite(laid.values)
        index = np.where(known, laid.values, 0).astype(np.int64)
        panels = np.searchsorted(self.starts, index[known], side="right")
        if len(np.unique(panels)) < len(self.shapes):
            return False
        self.shape, self.index, self.known = laid.values.shape, index, known
        left, right, _, self._top = laid.extent
        self._left, self._size = left, (right - left) / self.shape[1]
        return True

    def _stack(self) -> None:
        """Below each other, with a gap between them."""
        gap = max(1, round(0.02 * max(n for n, _ in self.shapes)))
        self._rows = np.cumsum([0, *(n + gap for n, _ in self.shapes)])
        self.shape = (int(self._rows[-1]) - gap, max(m for _, m in self.shapes))
        self.index, self.known = np.zeros(self.shape, np.int64), np.zeros(self.shape, bool)
        for first, numbers in zip(self._rows, self._numbers(), strict=False):
            place = np.s_[first : first + numbers.shape[0], : numbers.shape[1]]
            self.index[place], self.known[place] = numbers, True

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
        if self._rows is not None:
            return fast, slow + self._rows[panel]
        assert self.geometry is not None
        x, y = on_plane(self.geometry.panels[panel], fast, slow)
        return (x - self._left) / self._size, (self._top - y) / self._size

    def name(self, panel: int) -> str:
        """Name of a panel; empty: it has none."""
        return self.geometry.panels[panel].name if self.geometry is not None else ""


def _rendered(experiment: Experiment) -> NDArray[np.bool_] | None:
    """Pixels of a panel that are neither masked nor outside the region; None: all."""
    mask: NDArray[np.bool_] | None = experiment.detector.mask
    if experiment.sampling.roi is None:
        return mask
    inside = np.zeros((experiment.detector.n_slow, experiment.detector.n_fast), bool)
    inside[experiment.sampling.roi] = True
    return inside if mask is None else inside & mask
