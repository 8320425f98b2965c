"""A measured image: what of it counts, on which scale the simulated one lies, and how far apart they are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import decide
from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.image_chain.mask import Mask
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.explorer.comparison.files import check_file
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.rendering import as_images
from nanobragg.explorer.session import Scaling, State
from nanobragg.io.images.image_file import stored_image
from nanobragg.lazy import dataclass

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Shapes = Sequence[tuple[int, int]]
_ROUNDS = 6
"""Of the fit of the scale, whose weights come from the one before."""
_FEWEST = 10
"""Pixels that a fit needs."""
_SEEN = 3.0
"""Standard errors that a scale must be above 0."""


@dataclass(frozen=True)
class ReadoutNumbers:
    """How a detector makes counts of photons: gain x photons + pedestal, with electronic noise."""

    gain: float = 1.0
    pedestal: float = 0.0
    noise: float = 0.0
    """rms [ADU]"""

    def variance(self, counts: Any) -> Any:
        """Of counts with this expected value: that of the photons and of the noise, at least that of one photon."""
        photons = np.maximum((counts - self.pedestal) / self.gain, 0.0)
        return np.maximum(self.gain**2 * photons + self.noise**2, self.gain**2)


PLAIN = ReadoutNumbers()


def numbers_of(state: State) -> ReadoutNumbers:
    """Those of a session's readout, at the central wavelength of its beam."""
    energy = EV_ANGSTROM / (1e10 * wavelength_m(decide(state.experiment)[0][0].experiment, FLOAT_OPS))
    readout = state.readout
    gain, pedestal, noise = (detached(x) for x in (readout.gain(energy / 1000), readout.offset_adu, readout.noise_adu))
    return ReadoutNumbers(float(gain), float(pedestal), float(noise))


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured image and how it is compared: counts = factor x photons (or counts, where those are shown) + offset."""

    name: str
    counts: Any
    """as `nanobragg.simulate` returns images; of several panels also one image with the panels below each other"""
    factor: float = 1.0
    offset: float = 0.0
    low: float | None = None
    """counts from which on pixels count; None: 0"""
    high: float | None = None
    """counts up to which they do; None: all"""
    good: Any = None
    """pixels that count, by the file of the image or by a file of a mask; shaped as the counts"""
    drawn: Any = None
    """pixels that are not masked by hand; shaped as the counts, too, however the detector is divided"""
    readout: ReadoutNumbers = PLAIN
    """of the detector, for the variance of the counts"""
    image: int = 1
    n_images: int = 1
    """in the file"""
    series: object = field(default_factory=object, repr=False)
    """the same of images that share their scale"""
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)
    """what was made for the last layout: other instances share it, which differ in scale alone"""

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
        return by_panel(self.counts, layout.shapes) is not None

    def is_of(self, experiment: Experiment) -> bool:
        """Whether it is an image of the detector of an experiment."""
        return by_panel(self.counts, shapes_of(experiment)) is not None

    def check(self, experiment: Experiment) -> None:
        """Refuse an image of another detector.

        Raises
        ------
        ConfigError
        """
        if not self.is_of(experiment):
            found = [np.shape(one) for one in as_images(self.counts)]
            raise ConfigError(
                "measured image", f"{self.name}: {found}",
                f"must have the shape of the detector, {shapes_of(experiment)} (slow, fast)",
                "take the geometry in its header, or open it with its own",
            )  # fmt: skip

    def picture(self, layout: Layout) -> Array:
        """(rows, columns) of the counts."""
        kept = self._kept.get("picture")
        if kept is None or kept[0] is not layout:
            pixels = by_panel(self.counts, layout.shapes)
            self._kept["picture"] = kept = (layout, np.asarray(layout.picture(pixels), np.float64))
        return np.asarray(kept[1])

    def known(self, layout: Layout) -> Bools:
        """(rows, columns) of the pixels that count."""
        key = (layout, self.low, self.high, self.good, self.drawn)
        kept = self._kept.get("known")
        if kept is None or any(a is not b for a, b in zip(kept[0], key, strict=True)):
            counts = self.picture(layout)
            fine = self._within(counts)
            for mask in self._masks(layout.shapes):
                fine &= layout.picture(mask)
            if layout.known is not None:
                fine &= layout.known
            self._kept["known"] = kept = (key, fine)
        return np.asarray(kept[1])

    def counted(self, shapes: Shapes) -> list[Bools]:
        """Pixels that count, of every panel; the detector's own mask is not in it."""
        found = []
        for i, pixels in enumerate(by_panel(self.counts, shapes) or []):
            fine = self._within(np.asarray(pixels, np.float64))
            for mask in self._masks(shapes):
                fine &= np.asarray(mask[i], bool)
            found.append(fine)
        return found

    def counts_at(self, shapes: Shapes, pixel: tuple[int, int, int]) -> bool:
        """Whether a pixel (panel, slow, fast) counts."""
        panel, *place = pixel
        values = by_panel(self.counts, shapes)
        return bool(
            values is not None
            and self._within(np.asarray(values[panel][tuple(place)], np.float64))
            and all(mask[panel][tuple(place)] for mask in self._masks(shapes))
        )

    def _masks(self, shapes: Shapes) -> list[list[Any]]:
        """Those that there are, one array for each panel."""
        return [by_panel(mask, shapes) or [] for mask in (self.good, self.drawn) if mask is not None]

    def _as_counts(self, parts: list[Any]) -> list[Any]:
        """Arrays of panels, divided as the counts are."""
        return parts if len(parts) == len(as_images(self.counts)) else [np.concatenate(parts)]

    def _within(self, counts: Array) -> Bools:
        fine = np.isfinite(counts) & (counts >= (0.0 if self.low is None else self.low))
        return fine if self.high is None else fine & (counts <= self.high)

    def with_mask(self, path: str, shapes: Shapes, masked: str = "nonzero") -> Measured:
        """With the mask of a file in place of what the image's own says; an empty name: without.

        Raises
        ------
        FileFormatError, ConfigError
            Where it cannot be read, or is that of another detector.
        """
        if not path.strip():
            return replace(self, good=None)
        found = Mask.from_file(os.path.expanduser(path.strip()), masked=masked)
        parts = by_panel(found, shapes)
        if parts is None:
            raise ConfigError("mask", f"{path}: {[np.shape(one) for one in as_images(found)]}",
                              f"must have the shape of the detector, {list(shapes)} (slow, fast)")  # fmt: skip
        if not any(np.any(part) for part in parts):
            raise ConfigError("mask", path, "leaves no pixel", "is it written the other way round, 0 for a bad pixel?")
        return replace(self, good=self._as_counts(parts))

    def with_drawn(self, layout: Layout, where: Bools, counts: bool) -> Measured:
        """With pixels (rows, columns) masked by hand, or counted again."""
        parts = by_panel(self.drawn, layout.shapes)
        flat = np.concatenate([np.ravel(p) for p in parts]) if parts is not None else np.ones(layout.starts[-1], bool)
        if layout.index is None:
            flat[where.ravel()] = counts
        else:
            pixels = where if layout.known is None else where & layout.known
            flat[layout.index[pixels]] = counts
        ends = zip(layout.starts, layout.starts[1:], layout.shapes, strict=False)
        return replace(self, drawn=self._as_counts([flat[a:b].reshape(shape) for a, b, shape in ends]))

    def explained(self, factor: float, pedestal: float) -> Scaling:
        """What becomes of the scale where the light of the beam has changed to suit another factor.

        The pedestal of what is shown, 0 for photons, has not changed with the light.
        """
        offset = self.offset + (self.factor - factor) * pedestal
        return Scaling(self.series, (self.factor, self.offset), (factor, offset))

    def scaled(self, photons: Array) -> Array:
        """Photons as counts."""
        return self.factor * photons + self.offset

    def difference(self, layout: Layout, photons: Array) -> Array:
        """(measured - simulated)/sigma, by the counting statistics of what is simulated; 0 where pixels do not count."""
        model = self.scaled(photons)
        found = (self.picture(layout) - model) / np.sqrt(self.readout.variance(model))
        return np.where(self.known(layout), found, 0.0)


def shapes_of(experiment: Experiment) -> list[tuple[int, int]]:
    """(n_slow, n_fast) of every panel."""
    panels = experiment.detector if isinstance(experiment.detector, tuple) else (experiment.detector,)
    return [(one.n_slow, one.n_fast) for one in panels]


def by_panel(images: Any, shapes: Shapes) -> list[Any] | None:
    """One image a panel; None: they are not those of panels of these shapes."""
    if images is None:
        return None
    parts = as_images(images)
    if len(parts) == 1 and len(shapes) > 1 and np.ndim(parts[0]) == 2:
        ends = np.cumsum([n for n, _ in shapes])
        parts = np.split(np.asarray(parts[0]), ends[:-1]) if len(parts[0]) == ends[-1] else parts
    return parts if [np.shape(one) for one in parts] == list(shapes) else None


def read_measured(path: str, image: int = 1) -> Measured:
    """A measured image from a file; what the file says of its pixels decides which of them count.

    Raises
    ------
    FileFormatError
        Where it cannot be read, or holds no such image.
    ConfigError
        Without a name.
    """
    if not path.strip():
        raise ConfigError("measured image", path, "must be the name of a file", "NXmx, CBF, SMV, TIFF ...")
    name = os.path.expanduser(path.strip())
    check_file(name)
    try:
        found = stored_image(name, image)
    except MemoryError:
        raise FileFormatError(name, "does not fit into memory") from None
    largest = found.largest
    kinds: set[np.dtype[Any]] = {np.asarray(one).dtype for one in as_images(found.pixels)}
    if largest is not None and largest >= np.iinfo(np.int32).max:  # the end of the type says nothing of the detector
        largest = None
    if all(kind.kind == "u" for kind in kinds):  # its last number stands for overloads, or for what is no pixel
        most = float(min(int(np.iinfo(kind).max) for kind in kinds)) - 1
        largest = most if largest is None else min(largest, most)
    return Measured(name, found.pixels, high=largest, good=found.good, image=image, n_images=found.n_images)


def neighbor(measured: Measured, by: int) -> Measured:
    """The next image of the same file, or of files with numbers at the end of their names; scale and drawn mask stay.

    Raises
    ------
    ConfigError
        Where there is none.
    FileFormatError
        Where it cannot be read.
    """
    name, image = measured.name, measured.image
    if measured.n_images > 1:
        image += by
        if not 1 <= image <= measured.n_images:
            raise ConfigError("image", image, f"the file holds images 1 to {measured.n_images}")
    else:
        found = re.fullmatch(r"(.*?)(\d+)(\.\w+(?:\.(?:gz|bz2))?)", name)
        number = -1 if found is None else int(found[2]) + by
        other = "" if found is None or number < 0 else f"{found[1]}{number:0{len(found[2])}d}{found[3]}"
        if not os.path.isfile(other):
            raise ConfigError(
                "image", other or name, "there is no such file" if other else "its name ends in no number"
            )
        name = other
    new = read_measured(name, image)
    if [np.shape(a) for a in as_images(new.counts)] != [np.shape(a) for a in as_images(measured.counts)]:
        raise ConfigError("image", name, "has another shape than the one before")
    good = new.good if new.good is not None else measured.good
    return replace(new, factor=measured.factor, offset=measured.offset, low=measured.low, high=measured.high, good=good,
                   drawn=measured.drawn, series=measured.series)  # fmt: skip


def fitted(measured: Measured, layout: Layout, photons: Array) -> tuple[float, float]:
    """Factor and offset of least squares over the pixels that count, by the variance of counts; the offset is not negative.

    Raises
    ------
    ConfigError
        Where no pixel counts, where an image is flat there, and where the scale is hardly more than nothing.
    """
    fine = measured.known(layout)
    x, y = photons[fine], measured.picture(layout)[fine]
    if x.size < _FEWEST:
        raise ConfigError(
            "measured image", f"{x.size} pixels that count", "are too few", "widen the limits, or the mask"
        )
    if not np.ptp(x) > 0:
        raise ConfigError("simulated image", "flat", "has no scale where the measured one counts")
    if not np.ptp(y) > 0:
        raise ConfigError("measured image", "flat", f"has {y[0]:g} wherever it counts, and no scale",
                          "is it the right file, and not overloaded?")  # fmt: skip
    factor, offset = 1.0, 0.0
    weight = 1.0 / measured.readout.variance(y)
    for _ in range(_ROUNDS):
        mean_x, mean_y = weight @ x / weight.sum(), weight @ y / weight.sum()
        factor = float(weight @ ((x - mean_x) * (y - mean_y)) / (weight @ (x - mean_x) ** 2))
        offset = float(mean_y - factor * mean_x)
        if offset < 0:
            factor, offset = float(weight @ (x * y) / (weight @ (x * x))), 0.0
        weight = 1.0 / measured.readout.variance(factor * x + offset)
    # by what is left over, too: counts of any unit have a scale where they are those of the model
    chi2 = weight @ (y - factor * x - offset) ** 2 / x.size
    if not factor > _SEEN * np.sqrt(chi2 / (weight @ (x - weight @ x / weight.sum()) ** 2)):
        raise ConfigError("comparison.factor", factor, "is no scale: the images have nothing in common",
                          "are orientation, cell and geometry those of the image?")  # fmt: skip
    return factor, offset


def agreement(measured: Measured, layout: Layout, photons: Array) -> str:
    """How well the images agree, in words."""
    fine = measured.known(layout)
    count = int(fine.sum())
    if count < _FEWEST:
        return f"{count} pixels count"
    x, y = measured.scaled(photons[fine]), measured.picture(layout)[fine]
    chi2 = float(np.mean((y - x) ** 2 / measured.readout.variance(x)))
    flat = np.ptp(x) == 0 or np.ptp(y) == 0
    correlation = float("nan") if flat else float(np.corrcoef(x, y)[0, 1])
    return f"{count} pixels count; correlation {correlation:.4f}, chi-squared {chi2:.4g}"
