"""A measured image: what of it counts, on which scale the simulated one lies, and how far apart they are."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.derivation.panels import experiments
from nanobragg.errors import ConfigError
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.rendering import as_images
from nanobragg.io.images.image_file import read_image
from nanobragg.lazy import dataclass

Array = NDArray[np.float64]
_ROUNDS = 6
"""Of the fit of the scale, whose weights come from the one before."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured image and how it is compared: counts = factor x photons + offset."""

    name: str
    counts: Any
    """as `nanobragg.simulate` returns images"""
    factor: float = 1.0
    offset: float = 0.0
    low: float | None = None
    """counts from which on pixels count; None: 0"""
    high: float | None = None
    """counts up to which they do; None: all"""

    def __post_init__(self) -> None:
        for name in ("factor", "offset"):
            if not np.isfinite(getattr(self, name)):
                raise ConfigError(f"comparison.{name}", getattr(self, name), "must be a finite number")
        if self.factor <= 0:
            raise ConfigError("comparison.factor", self.factor, "must be > 0")
        if self.low is not None and self.high is not None and self.high < self.low:
            raise ConfigError("comparison.high", self.high, f"must not be below {self.low:g}")

    def fits(self, layout: Layout) -> bool:
        """Whether it is an image of the detector."""
        return [np.shape(one) for one in as_images(self.counts)] == layout.shapes

    def check(self, experiment: Experiment) -> None:
        """Refuse an image of another detector.

        Raises
        ------
        ConfigError
        """
        shapes = [(part.detector.n_slow, part.detector.n_fast) for part in experiments(experiment)]
        found = [np.shape(one) for one in as_images(self.counts)]
        if found != shapes:
            raise ConfigError("measured image", f"{self.name}: {found}", f"must have the shape of the detector, {shapes} "
                              "(slow, fast)", "open it together with the geometry in its header")  # fmt: skip

    def picture(self, layout: Layout) -> Array:
        """(rows, columns) of the counts."""
        return np.asarray(layout.picture(self.counts), np.float64)

    def known(self, layout: Layout) -> NDArray[np.bool_]:
        """(rows, columns) of the pixels that count."""
        counts = self.picture(layout)
        fine = np.isfinite(counts) & (counts >= (0.0 if self.low is None else self.low))
        if self.high is not None:
            fine &= counts <= self.high
        return fine if layout.known is None else fine & layout.known

    def counted(self) -> Any:
        """Images of True where counts are not below the least; None: there is none."""
        return None if self.low is None else [np.asarray(one) >= self.low for one in as_images(self.counts)]

    def scaled(self, photons: Array) -> Array:
        """Photons as counts."""
        return self.factor * photons + self.offset

    def difference(self, layout: Layout, photons: Array) -> Array:
        """(measured - simulated)/sigma, by the counting statistics of what is simulated; 0 where pixels do not count."""
        model = self.scaled(photons)
        found = (self.picture(layout) - model) / np.sqrt(np.maximum(model, 1.0))
        return np.where(self.known(layout), found, 0.0)


def read_measured(path: str) -> Measured:
    """A measured image from a file.

    Raises
    ------
    FileFormatError
        Where it cannot be read.
    ConfigError
        Without a name.
    """
    if not path.strip():
        raise ConfigError("measured image", path, "must be the name of a file", "NXmx, CBF, SMV, TIFF ...")
    name = os.path.expanduser(path.strip())
    return Measured(name, read_image(name))


def fitted(measured: Measured, layout: Layout, photons: Array) -> tuple[float, float]:
    """Factor and offset of least squares over the pixels that count, by the variance of counts; the offset is not negative.

    Raises
    ------
    ConfigError
        Where no pixel counts, or the simulated image is flat there.
    """
    fine = measured.known(layout)
    x, y = photons[fine], measured.picture(layout)[fine]
    if x.size < 10:
        raise ConfigError("measured image", f"{x.size} pixels that count", "are too few", "widen the limits")
    if not np.ptp(x) > 0:
        raise ConfigError("simulated image", "flat", "has no scale where the measured one counts")
    factor, offset = 1.0, 0.0
    weight = 1.0 / np.maximum(y, 1.0)
    for _ in range(_ROUNDS):
        mean_x, mean_y = weight @ x / weight.sum(), weight @ y / weight.sum()
        factor = float(weight @ ((x - mean_x) * (y - mean_y)) / (weight @ (x - mean_x) ** 2))
        offset = float(mean_y - factor * mean_x)
        if offset < 0:
            factor, offset = float(weight @ (x * y) / (weight @ (x * x))), 0.0
        weight = 1.0 / np.maximum(factor * x + offset, 1.0)
    if not factor > 0:
        raise ConfigError("comparison.factor", factor, "is no scale: the images have nothing in common",
                          "are orientation, cell and geometry those of the image?")  # fmt: skip
    return factor, offset


def agreement(measured: Measured, layout: Layout, photons: Array) -> str:
    """How well the images agree, in words."""
    fine = measured.known(layout)
    count = int(fine.sum())
    if count < 10:
        return f"{count} pixels count"
    x, y = measured.scaled(photons)[fine], measured.picture(layout)[fine]
    chi2 = float(np.mean((y - x) ** 2 / np.maximum(x, 1.0)))
    flat = np.ptp(x) == 0 or np.ptp(y) == 0
    correlation = float("nan") if flat else float(np.corrcoef(x, y)[0, 1])
    return f"{count} pixels count; correlation {correlation:.4f}, chi-squared {chi2:.4g}"
