"""What the screen shows of an image: a part of it, at the size of the screen, in 256 shades."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

SCALES = ("log", "linear", "percentile")
LAYERS = ("simulated", "measured", "beside", "blend", "difference")
NO_PIXEL = 255
"""The shade of what is no pixel: outside the panels, or masked. Shades of pixels are 0 to 254."""
_TOP = 254
_DECADES = 4.0
"""Of the logarithmic scale, where no limits are typed."""
_SAMPLE = 1 << 16
"""Pixels from which limits are found."""
_LARGEST_SCREEN = 8192
_HUGE = 1e300
_NEAR = 2.6
"""Limits that differ less stay as they were, or shades would flicker from picture to picture."""


@dataclass(frozen=True)
class View:
    """Which part of the picture a screen shows, and how."""

    fast: tuple[float, float] = (0.0, 1024.0)
    """first and last + 1 column of the picture"""
    slow: tuple[float, float] = (0.0, 1024.0)
    width: int = 512
    """of the screen [pixels]"""
    height: int = 512
    scale: str = "log"
    low: float | None = None
    """typed limits, in photons or in percent; None: found"""
    high: float | None = None
    layer: str = "simulated"
    opacity: float = 0.5
    """of the measured image over the simulated one"""

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError("view.scale", self.scale, f"must be one of {', '.join(SCALES)}")
        if self.layer not in LAYERS:
            raise ConfigError("view.layer", self.layer, f"must be one of {', '.join(LAYERS)}")
        for name in ("low", "high", "opacity"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and np.isfinite(value)):
                raise ConfigError(f"view.{name}", value, "must be a finite number")
        for name in ("fast", "slow"):
            first, last = getattr(self, name)
            if not (np.isfinite([first, last]).all() and last > first and max(abs(first), abs(last)) < 1e7):
                raise ConfigError(f"view.{name}", (first, last), "must be two ascending numbers")
        for name in ("width", "height"):
            if not 1 <= getattr(self, name) <= _LARGEST_SCREEN:
                raise ConfigError(f"view.{name}", getattr(self, name), f"must be within 1 and {_LARGEST_SCREEN}")


@dataclass(frozen=True, eq=False)
class Tile:
    """Shades for a screen."""

    shades: NDArray[np.uint8]
    """(rows, columns)"""
    fast: tuple[int, int]
    """columns of the picture that it covers"""
    slow: tuple[int, int]
    low: float
    high: float


def tile(
    image: NDArray[Any],
    known: NDArray[np.bool_] | None,
    view: View,
    *,
    about_zero: bool = False,
    last: tuple[float, float] | None = None,
) -> Tile:
    """A part of an image at the size of a screen: pixels as they are where they are magnified, else the brightest of each place,
    of a difference the mean.

    Parameters
    ----------
    image : (rows, columns) array
    known : (rows, columns) bool, optional
        Where there are pixels; None: everywhere.
    view : View
    about_zero : bool
        A difference: shades about the middle one, linear.
    last : (low, high), optional
        Limits of the picture before, which stay where those of this one are near.
    """
    n_slow, n_fast = image.shape
    rows, columns = _covered(view.slow, n_slow), _covered(view.fast, n_fast)
    part = image[rows, columns]
    if part.size == 0:
        return Tile(np.zeros((0, 0), np.uint8), (columns.start, columns.stop), (rows.start, rows.stop), 0.0, 1.0)
    height = _places(part.shape[0], view.slow, view.height)
    width = _places(part.shape[1], view.fast, view.width)
    low, high = _kept(_limits(image, known, view, about_zero), last)
    low, high = (float(np.nan_to_num(value, nan=0.0, posinf=_HUGE, neginf=-_HUGE)) for value in (low, high))
    # single precision, which is what shades are made of, is half the memory to go over
    values = _mean(part, height, width) if about_zero else _reduced(np.asarray(part, np.float32), height, width)
    shades = _shaded(values, low, high, "linear" if about_zero else view.scale)
    if known is not None:
        seen = _reduced(known[rows, columns].view(np.uint8), height, width)
        shades[seen == 0] = NO_PIXEL
    return Tile(shades, (columns.start, columns.stop), (rows.start, rows.stop), low, high)


def _covered(range_: tuple[float, float], n: int) -> slice:
    return slice(max(0, min(n, int(np.floor(range_[0])))), max(0, min(n, int(np.ceil(range_[1])))))


def _places(n: int, shown: tuple[float, float], screen: int) -> int:
    """How many places so many pixels have on the screen; not more than pixels."""
    return max(1, min(n, round(n * screen / (shown[1] - shown[0]))))


def _mean(part: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """(height, width) of the means: the largest of many differences would be noise alone."""
    for axis, n in ((0, height), (1, width)):
        have = part.shape[axis]
        if n < have:
            edges = np.arange(n + 1) * have // n
            counts = np.diff(edges)
            part = np.add.reduceat(part, edges[:-1], axis=axis) / (counts[:, None] if axis == 0 else counts)
    return part


def _reduced(part: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """(height, width) of the largest values."""
    for axis, n in ((0, height), (1, width)):
        have = part.shape[axis]
        if n >= have:
            continue
        edges = np.arange(n + 1) * have // n
        found = part.take(edges[:-1], axis=axis)
        for j in range(1, int(np.diff(edges).max())):
            np.maximum(found, part.take(np.minimum(edges[:-1] + j, edges[1:] - 1), axis=axis), out=found)
        part = found
    return part


def _limits(image: NDArray[Any], known: NDArray[np.bool_] | None, view: View, about_zero: bool) -> tuple[float, float]:
    """Values of the first and the last shade."""
    step = max(1, int(np.sqrt(image.size / _SAMPLE)))
    sample = image[::step, ::step]
    # the sample misses small spots, of which the largest value is never one
    values = sample if known is None else sample[known[::step, ::step]]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    if about_zero:
        size = _round_up(float(np.percentile(np.abs(values), 99.0))) if view.high is None else abs(view.high)
        size = size or 1.0
        return -size, size
    if view.scale == "percentile":
        low = 1.0 if view.low is None else float(np.clip(view.low, 0, 100))
        high = 99.5 if view.high is None else float(np.clip(view.high, 0, 100))
        first, last = (float(x) for x in np.percentile(values, [low, max(high, low)]))
        return first, max(last, first + 1e-30)
    most = float(np.nanmax(image))
    # few pixels of strong spots may be 1000 times above all others: they are black, and the weak ones are seen
    top = _round_up(min(most, 10 * float(np.percentile(values, 99.9)))) or most if view.high is None else view.high
    if view.scale == "linear":
        if view.high is None:
            top = _round_up(float(np.percentile(values, 99.8))) or top
        low = 0.0 if view.low is None else view.low
        return low, max(top, low + 1e-30)
    top = max(top, 1e-30)
    if view.low is None or view.low <= 0:
        # a background takes up no shades: half of what nearly all pixels have is the first
        low = max(top * 10**-_DECADES, _round_up(float(np.percentile(values, 5.0))) / 4)
    else:
        low = view.low
    return min(low, top / 1.001), top


def _kept(found: tuple[float, float], last: tuple[float, float] | None) -> tuple[float, float]:
    """The limits of the last picture, unless those of this one are further off than a step of the rounding."""
    if last is None:
        return found
    near = all(a == b or (a * b > 0 and max(a / b, b / a) <= _NEAR) for a, b in zip(found, last, strict=True))
    return last if near else found


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 ..., so that shades stand still while a crystal turns."""
    if not (value > 0 and np.isfinite(value)):
        return 0.0
    decade = 10.0 ** np.floor(np.log10(value))
    return float(next(n * decade for n in (1, 2, 5, 10) if n * decade >= value * 0.999999))


def _shaded(values: NDArray[Any], low: float, high: float, scale: str) -> NDArray[np.uint8]:
    with np.errstate(all="ignore"):
        small = np.asarray(values, np.float32)
        if scale == "log":
            small = np.maximum(small, np.float32(max(low, 1e-37)))
            np.log(small, out=small)
            first, last = np.log(max(low, 1e-37)), np.log(max(high, 1e-37))
        else:
            first, last = low, high
        small = (small - np.float32(first)) * np.float32(_TOP / max(last - first, 1e-30))
        np.fmax(small, 0, out=small)  # what is no number becomes 0
        return np.fmin(small, _TOP, out=small).astype(np.uint8)
