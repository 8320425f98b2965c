"""Two images of the same thing, compared: metrics, peaks, worst pixels, and a gate that correlation alone cannot pass."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError
from nanobragg.inspection.peaks import DEFAULT_RADIUS, Peak, PeakPair, match_peaks
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Gates:
    """Limits that a comparison must keep, all of them together."""

    max_diff: float = 1e-5
    """of the largest difference, relative to the maximum of the first image"""
    sum_ratio: float = 1e-5
    """of |sum(b)/sum(a) - 1|"""
    corr: float = 0.99999
    """the correlation must be at least this"""


@dataclass(frozen=True)
class WorstPixel:
    """A pixel with a large difference."""

    slow: int
    fast: int
    a: float
    b: float
    note: str = ""
    """where the traces of the two runs part, when they were taken"""

    @property
    def difference(self) -> float:
        """b - a"""
        return self.b - self.a


@dataclass(frozen=True)
class ImageComparison:
    """What `compare` returns; true when the images are within the gates, ``str()`` gives the findings."""

    shape: tuple[int, int]
    """(n_slow, n_fast); panels stand below each other"""
    gates: Gates
    correlation: float
    """Pearson's, over all pixels"""
    rmse: float
    max_difference: float
    max_difference_at: tuple[int, int]
    """(slow, fast)"""
    max_difference_of_maximum: float
    """relative to the maximum of the first image"""
    relative_l2: float
    """|b - a|/|a| over all pixels"""
    maxima: tuple[float, float]
    sums: tuple[float, float]
    sum_ratio: float
    """sum(b)/sum(a)"""
    identical: float
    """share of pixels that are equal bit for bit, in the narrower of the two number types"""
    undefined: int
    """pixels that are infinite or not a number in exactly one image, or differently so"""
    peaks: list[PeakPair] = field(default_factory=list)
    """the brightest peaks of a with their partners in b"""
    lost_peaks: list[Peak] = field(default_factory=list)
    """peaks of a that b does not have"""
    worst: list[WorstPixel] = field(default_factory=list)
    """the pixels with the largest differences"""
    names: tuple[str, str] = ("a", "b")
    panel_slow: int = 0
    """n_slow of one panel; 0: there are no panels"""

    @property
    def failures(self) -> list[str]:
        """The gates that are not kept, in words; empty: passed."""
        gates, found = self.gates, []
        if self.undefined:
            found.append(f"{self.undefined} pixels are undefined (NaN or infinite) in one image and not in the other")
        if not abs(self.sum_ratio - 1) <= gates.sum_ratio:
            factor = self.sum_ratio if self.sum_ratio >= 1 or self.sum_ratio <= 0 else 1 / self.sum_ratio
            text = f"sum ratio {self.sum_ratio:.9g}, allowed 1 +- {gates.sum_ratio:g}"
            if not 0.5 < self.sum_ratio < 2:
                text += (f": THE IMAGES ARE NOT ON THE SAME SCALE (a factor {factor:,.6g}); "
                         f"a correlation of {self.correlation:.4f} does not see that")  # fmt: skip
            found.append(text)
        if not self.max_difference_of_maximum <= gates.max_diff:
            slow, fast = self.max_difference_at
            found.append(f"largest difference {self.max_difference_of_maximum:.4g} of the maximum "
                         f"(slow {slow}, fast {fast}), allowed {gates.max_diff:g}")  # fmt: skip
        if not self.correlation >= gates.corr:
            found.append(f"correlation {self.correlation:.9g}, wanted at least {gates.corr:g}")
        return found

    @property
    def passed(self) -> bool:
        """Whether every gate is kept."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.passed

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite are words, which JSON lacks numbers for."""
        data = asdict(self)
        data["peaks"] = [
            {**asdict(pair), "displacement_px": pair.displacement, "ratio": pair.ratio} for pair in self.peaks
        ]
        data["worst"] = [{**asdict(pixel), "difference": pixel.difference} for pixel in self.worst]
        return {"passed": self.passed, "failures": self.failures, **_finite(data)}

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def metrics(self) -> list[tuple[str, str]]:
        """Name and value of every metric, for reports."""
        slow, fast = self.max_difference_at
        displacement = max((pair.displacement for pair in self.peaks), default=0.0)
        ratios = [pair.ratio for pair in self.peaks] or [1.0]
        return [
            ("correlation", f"{self.correlation:.12g}"),
            ("RMSE", f"{self.rmse:.6g}"),
            ("largest difference", f"{self.max_difference:.6g} (slow {slow}, fast {fast})"),
            ("  of the maximum", f"{self.max_difference_of_maximum:.4g}"),
            ("relative L2", f"{self.relative_l2:.4g}"),
            ("maxima", f"{self.maxima[0]:.9g}, {self.maxima[1]:.9g}"),
            ("sums", f"{self.sums[0]:.12g}, {self.sums[1]:.12g}"),
            ("sum ratio", f"{self.sum_ratio:.12g}"),
            ("identical pixels", f"{100 * self.identical:.4f} %"),
            ("peaks matched", f"{len(self.peaks)} of {len(self.peaks) + len(self.lost_peaks)}"),
            ("  largest displacement", f"{displacement:.4g} pixels"),
            ("  intensity ratios", f"{min(ratios):.9g} to {max(ratios):.9g}"),
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The findings in readable lines, the verdict first."""
        yield f"{'PASS' if self.passed else 'FAIL'}: {self.names[0]} against {self.names[1]}, {self.shape[0]} x {self.shape[1]}"
        for text in self.failures:
            yield f"  FAIL: {text}"
        for name, value in self.metrics():
            yield f"  {name:<24}{value}"
        if self.worst and self.worst[0].difference != 0:
            yield "worst pixels (slow, fast, a, b, b - a):"
            for pixel in self.worst:
                note = f"  {pixel.note}" if pixel.note else ""
                if self.panel_slow:
                    note += f"  panel {pixel.slow // self.panel_slow}, slow {pixel.slow % self.panel_slow} there"
                yield (f"  {pixel.slow:>5} {pixel.fast:>5} {pixel.a:>16.9g} {pixel.b:>16.9g} "
                       f"{pixel.difference:>14.6g}{note}")  # fmt: skip


def compare(
    a: Any,
    b: Any,
    *,
    gates: Gates | None = None,
    top: int = 20,
    radius: float = DEFAULT_RADIUS,
    worst: int = 5,
    names: tuple[str, str] = ("a", "b"),
) -> ImageComparison:
    """Compare two images of the same shape.

    Parameters
    ----------
    a, b : (n_slow, n_fast) array or tensor, or (n_panels, n_slow, n_fast)
        The first is the one that differences are related to.
    gates : Gates, optional
        Limits for the verdict.
    top : int
        Peaks to match one to one.
    radius : float
        Largest displacement of a matched peak [pixels].
    worst : int
        Pixels to list.
    names : tuple of str
        What the images are called.

    Returns
    -------
    ImageComparison

    Raises
    ------
    ConfigError
        For images that are neither two- nor three-dimensional, or of different shapes.
    """
    raw_a, raw_b = _array("a", a), _array("b", b)
    if raw_a.shape != raw_b.shape:
        raise ConfigError("b", raw_b.shape, f"must have the shape of a, {raw_a.shape}", "images are (n_slow, n_fast)")
    panel_slow = raw_a.shape[1] if raw_a.ndim == 3 else 0
    raw_a, raw_b = (raw.reshape(-1, raw.shape[-1]) for raw in (raw_a, raw_b))
    x, y = raw_a.astype(np.float64), raw_b.astype(np.float64)
    defined = np.isfinite(x) & np.isfinite(y)
    undefined = int(np.count_nonzero(~defined & ~_same(x, y)))
    x, y = np.where(defined, x, 0.0), np.where(defined, y, 0.0)
    difference = y - x
    size = np.abs(difference)
    flat = int(size.argmax())
    norm, maximum = float(np.linalg.norm(x)), float(np.abs(x).max())
    largest = float(size.ravel()[flat])
    pairs, lost = match_peaks(x, y, top, radius)
    return ImageComparison(
        shape=(x.shape[0], x.shape[1]), gates=gates or Gates(), correlation=_correlation(x, y),
        rmse=float(np.sqrt(np.mean(difference**2))), max_difference=largest,
        max_difference_at=_place(flat, x), max_difference_of_maximum=_over(largest, maximum),
        relative_l2=_over(float(np.linalg.norm(difference)), norm), maxima=(float(x.max()), float(y.max())),
        sums=(float(x.sum()), float(y.sum())), sum_ratio=_sum_ratio(float(x.sum()), float(y.sum())),
        identical=_identical(raw_a, raw_b), undefined=undefined, peaks=pairs, lost_peaks=lost,
        worst=_worst(x, y, size, worst), names=names, panel_slow=panel_slow,
    )  # fmt: skip


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(item) for item in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data


def _array(name: str, image: Any) -> NDArray[Any]:
    try:
        array = image.detach().cpu().numpy() if hasattr(image, "detach") else np.asarray(image)
    except ValueError:  # panels that differ in shape
        raise ConfigError(
            name, f"list of {len(image)}", "must be one image (n_slow, n_fast) of numbers", "compare panels one by one"
        ) from None
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "fiub":
        raise ConfigError(name, f"{array.dtype} of shape {array.shape}", "must be an image (n_slow, n_fast) of numbers")
    return array


def _same(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (x == y) | (np.isnan(x) & np.isnan(y))


def _identical(a: NDArray[Any], b: NDArray[Any]) -> float:
    kind = a.dtype if a.dtype == b.dtype or a.dtype.itemsize < b.dtype.itemsize else b.dtype
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        return float(np.mean(_same(a.astype(np.float64), b.astype(np.float64))))
    return float(np.mean(_same(a.astype(kind).astype(np.float64), b.astype(kind).astype(np.float64))))


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's correlation; flat images correlate perfectly with flat images and not at all with others."""
    dx, dy = (x - x.mean()).ravel(), (y - y.mean()).ravel()
    dx, dy = (d / (np.abs(d).max() or 1.0) for d in (dx, dy))  # squares of the faintest images would underflow
    scale = math.sqrt(float(dx @ dx)) * math.sqrt(float(dy @ dy))
    if scale == 0:
        return 1.0 if not dx.any() and not dy.any() else 0.0
    return min(1.0, float(dx @ dy) / scale)


def _over(value: float, reference: float) -> float:
    return value / reference if reference else (0.0 if value == 0 else math.inf)


def _sum_ratio(a: float, b: float) -> float:
    return b / a if a else (1.0 if b == 0 else math.inf)


def _place(flat: int, image: NDArray[Any]) -> tuple[int, int]:
    slow, fast = divmod(flat, image.shape[1])
    return slow, fast


def _worst(x: NDArray[np.float64], y: NDArray[np.float64], size: NDArray[np.float64], count: int) -> list[WorstPixel]:
    count = max(0, min(count, size.size))
    if count == 0:
        return []
    some = np.argpartition(size.ravel(), size.size - count)[size.size - count :]
    order = some[np.argsort(-size.ravel()[some], kind="stable")]
    places = [_place(int(flat), x) for flat in order]
    return [WorstPixel(slow, fast, float(x[slow, fast]), float(y[slow, fast])) for slow, fast in places]
