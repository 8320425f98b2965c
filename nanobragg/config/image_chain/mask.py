"""Masks: which pixels are rendered and counted. True is rendered; masks are combined with ``&``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.images.image_file import image_format, read_image
from nanobragg.io.mask_files import good_of_bits, read_dials_mask, read_hdf5_mask, read_numpy_mask

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
    def from_file(
        path: str | PathLike[str], *, masked: str = "nonzero", dataset: str | None = None, bad: int | None = None,
        good: int = 0,
    ) -> Any:  # fmt: skip
        """A mask from a file: of DIALS (.mask, .pickle), pyFAI (.edf, .tif, .npy), CrystFEL and NXmx (HDF5), or any image.

        Parameters
        ----------
        path : path
            A pickle of DIALS, a .npy file, an HDF5 file with a mask, or anything that `nanobragg.io.read_image` reads. No
            code in a pickle is run: one that would is refused.
        masked : {"nonzero", "zero"}
            Pixels that are not rendered: those that are not 0, as pyFAI, NXmx and CrystFEL's bad pixels are written, or those
            that are 0, as for the command's -mask. Of a count image negative pixels are masked in any case. A mask of DIALS
            says by itself which pixels are good.
        dataset : str, optional
            Place of the mask in an HDF5 file, as ``/entry_1/data_1/mask``; None: a usual one, else the images of the file.
        bad, good : int, optional
            CrystFEL's mask_bad and mask_good: a pixel is rendered when it has every bit of `good` and none of `bad`; in place
            of `masked`.

        Returns
        -------
        (n_slow, n_fast) array of bool, True = rendered
            A list of them where the file holds several panels.

        Raises
        ------
        ConfigError, FileFormatError
            For a file that cannot be read as a mask, with what can be done.
        """
        if masked not in ("nonzero", "zero"):
            raise ConfigError("masked", masked, "must be 'nonzero' or 'zero'")
        suffix = os.path.splitext(os.fspath(path))[1].lower()
        if suffix in (".mask", ".pickle", ".pkl"):
            panels = read_dials_mask(path)
            return panels[0] if len(panels) == 1 else panels
        image = _image(path, suffix, dataset, look=masked == "nonzero")
        if isinstance(image, list):
            return [_good(panel, masked, bad, good, path) for panel in image]
        pixels = np.asarray(image)
        if pixels.ndim == 3:
            panels = [_good(panel, masked, bad, good, path) for panel in pixels]
            return panels[0] if len(panels) == 1 else panels
        return _good(pixels, masked, bad, good, path)


def _image(path: str | PathLike[str], suffix: str, dataset: str | None, look: bool) -> Any:
    """Pixels of a mask; look: whether an HDF5 file may have one beside its images."""
    if suffix == ".npy":
        return read_numpy_mask(path)
    if dataset is not None or (look and image_format(path) == "nxmx"):
        try:
            return read_hdf5_mask(path, dataset)
        except FileFormatError:
            if dataset is not None:
                raise
    return read_image(path)


def _good(pixels: Any, masked: str, bad: int | None, good: int, path: Any) -> NDArray[np.bool_]:
    pixels = np.asarray(pixels)
    if pixels.ndim != 2:
        raise ConfigError("path", path, f"holds an array of shape {pixels.shape}, must be one image")
    if bad is not None or good:
        return good_of_bits(pixels, 0 if bad is None else bad, good, path)
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
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
