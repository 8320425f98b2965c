"""What is the same in every frame of a detector: drawn once from the seed of the maps, or as measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.config.image_chain.readout import Maps
from nanobragg.errors import ConfigError
from nanobragg.imaging.namespace import Namespace
from nanobragg.streams import Purpose, Stream

GOOD, GAP, DEAD, HOT, OVERLOAD = range(5)
"""What a pixel of `Exposure.flags` is."""


def drawn(maps: Maps, name: str, purpose: Purpose, shape: tuple[int, int], panel: int, xp: Namespace) -> Any:
    """A map as an array about 0: what is given, the rms times deviates, or 0 where there is none.

    Raises
    ------
    ConfigError
        For an array that has not the shape of the image.
    """
    value = getattr(maps, name)
    if not is_tensor(value) and not isinstance(value, np.ndarray) and value == 0:
        return 0.0
    if getattr(value, "ndim", 0) == 0:
        return xp.asarray(Stream(maps.seed, purpose, panel).normal(shape)) * value
    if tuple(value.shape) != shape:
        raise ConfigError(f"readout.maps.{name}", f"shape {tuple(value.shape)}", f"must have the image's shape {shape}")
    return xp.asarray(value)


def efficiency(maps: Maps, shape: tuple[int, int], panel: int, xp: Namespace) -> Any:
    """Fraction of the photons that every pixel sees, at least 0; 1.0 where all see all."""
    value = drawn(maps, "efficiency", Purpose.EFFICIENCY, shape, panel, xp)
    if isinstance(value, float):
        return 1.0
    if getattr(maps.efficiency, "ndim", 0) == 2:
        return value
    value = 1.0 + value
    return xp.where(value > 0, value, 0.0 * value)


def areas(maps: Maps, shape: tuple[int, int], xp: Namespace) -> Any:
    """Areas of the pixels in units of the usual one.

    Raises
    ------
    ConfigError
        For an array that has not the shape of the image.
    """
    if tuple(maps.area.shape) != shape:
        raise ConfigError(
            "readout.maps.area", f"shape {tuple(maps.area.shape)}", f"must have the image's shape {shape}"
        )
    return xp.asarray(maps.area)


def bad_pixels(maps: Maps, shape: tuple[int, int], panel: int) -> NDArray[np.uint8]:
    """DEAD and HOT pixels, the others GOOD."""
    flags = np.zeros(shape, np.uint8)
    if maps.dead_fraction or maps.hot_fraction:
        lot = Stream(maps.seed, Purpose.BAD_PIXELS, panel).uniform(shape)
        flags[lot < maps.dead_fraction + maps.hot_fraction] = HOT
        flags[lot < maps.dead_fraction] = DEAD
    return flags
