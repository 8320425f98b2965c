"""Random numbers of the package: one stream for each purpose, the same whatever the order, the threads and the backend.

A deviate is a function of (seed, purpose) and of (pixel, panel, frame, draw) alone, by the counter-based generator
Philox4x32-10 (Salmon et al., SC'11): frames may be made in any order, and a frame alone is that of the whole set.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _imaging
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass

_LARGEST = 2**32 - 1
_SHARE = 1 << 16
"""Pixels that a thread takes at least."""


class Purpose(IntEnum):
    """What random numbers are for; the numbers are part of every result and never change."""

    PHOTONS = 0
    READ_NOISE = 1
    EFFICIENCY = 2
    GAIN_ERROR = 3
    OFFSET = 4
    BAD_PIXELS = 5
    FRAME_FACTOR = 6
    GAIN_SPREAD = 7
    SASE = 16
    ORIENTATION = 17
    CELL = 18
    JITTER = 19
    HIT = 20
    MOSAIC = 21
    STRAIN = 22
    VARIED = 23


def checked_seed(path: str, seed: Any) -> int:
    """A seed within 0 and 2^32 - 1.

    Raises
    ------
    ConfigError
        For anything else.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) <= _LARGEST:
        raise ConfigError(path, seed, f"must be a whole number within 0 and {_LARGEST}")
    return int(seed)


@dataclass(frozen=True)
class Stream:
    """The deviates of one purpose for the pixels of one panel in one frame.

    Parameters
    ----------
    seed : int
        0 to 2^32 - 1.
    purpose : Purpose
    panel, frame : int
        Counted from 0.
    """

    seed: int
    purpose: Purpose
    panel: int = 0
    frame: int = 0

    def uniform(self, shape: tuple[int, ...] | int, *, draw: int = 0, n_threads: int = 1) -> NDArray[np.float64]:
        """Deviates within 0 and 1, both excluded; `draw` numbers several for one pixel."""
        sampler = self._sampler(draw)
        return _filled(np.empty(shape), n_threads, lambda first, out, _: sampler.uniform(first, out))

    def normal(self, shape: tuple[int, ...] | int, *, draw: int = 0, n_threads: int = 1) -> NDArray[np.float64]:
        """Deviates of mean 0 and variance 1."""
        sampler = self._sampler(draw)
        return _filled(np.empty(shape), n_threads, lambda first, out, _: sampler.normal(first, out))

    def poisson(self, mean: Any, *, n_threads: int = 1) -> NDArray[np.float64]:
        """Counts of the given means, as whole float64 numbers; NaN and negative means give 0."""
        means = np.ascontiguousarray(mean, np.float64)
        flat, sampler = means.reshape(-1), self._sampler(0)
        return _filled(
            np.empty(means.shape), n_threads, lambda first, out, part: sampler.poisson(first, flat[part], out)
        )

    def _sampler(self, draw: int) -> Any:
        return _imaging.Sampler(self.seed, int(self.purpose), self.panel, self.frame, draw)


def _filled(
    out: NDArray[np.float64], n_threads: int, fill: Callable[[int, NDArray[np.float64], slice], None]
) -> NDArray[np.float64]:
    """Fill an array in parts, each with fill(number of its first pixel, part, slice)."""
    flat = out.reshape(-1)
    share = max(_SHARE, -(-len(flat) // max(n_threads, 1)))
    in_parts(len(flat), share, n_threads, lambda part: fill(part.start, flat[part], part))
    return out


def in_parts(n: int, share: int, n_threads: int, work: Callable[[slice], Any]) -> list[Any]:
    """Call work(part of 0 ... n) for parts of `share`, on threads where there are several; returns what the calls do."""
    parts = [slice(begin, min(begin + share, n)) for begin in range(0, n, share)]
    if min(len(parts), n_threads) <= 1:
        return [work(part) for part in parts]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(parts), n_threads)) as pool:
        return list(pool.map(work, parts))
