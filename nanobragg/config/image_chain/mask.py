"""Masks: which pixels are rendered and counted. True is rendered; masks are combined with ``&``."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError
from nanobragg.io.images.image_file import read_image

ImageShape = tuple[int, int]


class Mask:
    """Makes masks (n_slow, n_fast) of bool, False in the shape that is named.

    Coordinates are (fast, slow) in pixels, whose middles are at half numbers: pixel 0 spans 0 to 1.

    Examples
    --------
    >>> stop = Mask.circle((100, 120), center=(60.0, 50.0), radius=4.0)
    >>> holder = Mask.rectangle((100, 120), (58, 0), (62, 50))
    >>> bool((stop & holder)[50, 60]), bool(stop[0, 0])
    (False, True)
    """

    @staticmethod
    def circle(shape: ImageShape, center: Sequence[float], radius: float) -> NDArray[np.bool_]:
        """Pixels whose middle lies within a circle, as of a beam stop, are not rendered."""
        slow, fast = _middles(shape)
        x, y = _pair("center", center)
        if not radius > 0:
            raise ConfigError("radius", radius, "must be > 0")
        return np.asarray((fast - x) ** 2 + (slow - y) ** 2 > radius * radius)

    @staticmethod
    def rectangle(shape: ImageShape, corner: Sequence[float], opposite: Sequence[float]) -> NDArray[np.bool_]:
        """Pixels whose middle lies between two corners (fast, slow) are not rendered."""
        slow, fast = _middles(shape)
        (a, b), (c, d) = _pair("corner", corner), _pair("opposite", opposite)
        inside = (fast >= min(a, c)) & (fast < max(a, c)) & (slow >= min(b, d)) & (slow < max(b, d))
        return np.asarray(~inside)

    @staticmethod
    def polygon(shape: ImageShape, corners: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
        """Pixels whose middle lies inside a polygon of corners (fast, slow) are not rendered; even-odd rule."""
        slow, fast = _middles(shape)
        points = [_pair(f"corners[{i}]", corner) for i, corner in enumerate(corners)]
        if len(points) < 3:
            raise ConfigError("corners", len(points), "must be at least three")
        inside = np.zeros(shape, bool)
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if y0 == y1:
                continue
            crossing = x0 + (slow - y0) * (x1 - x0) / (y1 - y0)
            inside ^= ((y0 > slow) != (y1 > slow)) & (fast < crossing)
        return ~inside

    @staticmethod
    def from_file(path: str | PathLike[str], *, masked: str = "nonzero") -> NDArray[np.bool_]:
        """A mask from an image file: EDF and TIFF of pyFAI, SMV, CBF, NXmx, the mask data of CrystFEL's bad pixels ...

        Parameters
        ----------
        path : path
            Anything that `nanobragg.io.read_image` reads, of one panel.
        masked : {"nonzero", "zero"}
            Pixels that are not rendered: those that are not 0, as pyFAI, NXmx and CrystFEL write them, or those that are 0, as
            for the command's -mask. Of a count image negative pixels are masked in any case.
        """
        if masked not in ("nonzero", "zero"):
            raise ConfigError("masked", masked, "must be 'nonzero' or 'zero'")
        image = read_image(path)
        if isinstance(image, list):
            raise ConfigError("path", path, f"holds {len(image)} panels, must be one image")
        pixels = np.asarray(image)
        if pixels.ndim != 2:
            raise ConfigError("path", path, f"holds an array of shape {pixels.shape}, must be one image")
        return np.asarray(pixels == 0 if masked == "nonzero" else pixels > 0)


def _middles(shape: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        n_slow, n_fast = (int(n) for n in shape)
    except (TypeError, ValueError):
        raise ConfigError("shape", shape, "must be (n_slow, n_fast)") from None
    return np.arange(n_slow)[:, None] + 0.5, np.arange(n_fast)[None, :] + 0.5


def _pair(name: str, value: Any) -> tuple[float, float]:
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError):
        raise ConfigError(name, value, "must be (fast, slow)") from None
    return x, y
