"""Point spread: kernels integrated over pixels, their extent, and the spreading itself.

The fiber kernel is the solid angle of a pixel seen from a source of light a distance g above it, a Moffat function
g/(2 pi) (g^2 + r^2)^(-3/2) (Holton, Nielsen & Frankel, J. Synchrotron Rad. 19 (2012) 1006); its far tail falls with r^-3.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached, is_tensor
from nanobragg.config.image_chain.readout import Psf
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.imaging.namespace import Namespace, namespace_of

FIBER_HEIGHT = 0.5 / math.sqrt(2.0 ** (2.0 / 3.0) - 1.0)
"""g in units of the full width at half maximum."""
LARGEST_RADIUS = 256
_DIRECT_RADIUS = 2
"""Up to this radius a sum over the kernel is quicker than a Fourier transform."""


def spread(photons: Any, psf: Psf, pixel_um: tuple[float, float], *, squared: bool = False, n_threads: int = 1) -> Any:
    """The image after the point spread; photons beyond the edges and beyond the kernel are lost.

    Parameters
    ----------
    photons : (n_slow, n_fast) array or tensor
    psf : Psf
    pixel_um : (float, float)
        Size of a pixel along (slow, fast) [um].
    squared : bool
        Spread with the squares of the kernel: what happens to a variance.

    Returns
    -------
    (n_slow, n_fast) array or tensor
    """
    if psf.kind == "none":
        return photons
    xp = namespace_of(photons, psf.fwhm_um, psf.kernel)
    image = xp.asarray(photons)
    if psf.kind == "gauss" and not is_tensor(image) and not is_tensor(psf.fwhm_um):
        return _separable(image, psf, pixel_um, squared)
    kernel = kernel_of(psf, pixel_um, tuple(image.shape))
    kernel = xp.asarray(kernel**2 if squared else kernel)
    if max(kernel.shape) <= 2 * _DIRECT_RADIUS + 1 and not is_tensor(image) and not is_tensor(kernel):
        return direct(image, kernel)
    return xp.convolved(image, kernel, n_threads)


def direct(image: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The convolution as the sum that it is."""
    from scipy.ndimage import convolve

    return np.asarray(convolve(image, kernel, mode="constant"))


def _separable(
    image: NDArray[np.float64], psf: Psf, pixel_um: tuple[float, float], squared: bool
) -> NDArray[np.float64]:
    from scipy.ndimage import correlate1d

    radii = radius_of(psf, pixel_um, image.shape)
    for axis in (0, 1):
        width = psf.fwhm_um / pixel_um[axis]
        weights = _gauss_fractions(width, radii[axis], namespace_of())
        if psf.normalize:
            weights = weights / _gauss_fractions(width, radius_of(psf, pixel_um)[axis], namespace_of()).sum()
        image = correlate1d(image, weights**2 if squared else weights, axis, mode="constant")
    return image


def kernel_of(psf: Psf, pixel_um: tuple[float, float], shape: tuple[int, ...] | None = None) -> Any:
    """The kernel, integrated over pixels, with its middle on a pixel.

    Parameters
    ----------
    psf : Psf
    pixel_um : (float, float)
        (slow, fast) [um].
    shape : (int, int), optional
        Of the image, to which the kernel is cut.

    Returns
    -------
    (2 R_slow + 1, 2 R_fast + 1) array or tensor
        What is missing to 1 lies outside, unless `Psf.normalize` gives it back. A measured kernel sums up to 1.

    Raises
    ------
    ConfigError
        When the width exceeds the image.
    """
    if psf.kind == "array" or psf.normalize:
        given = psf.kind == "array"
        kernel = (
            namespace_of(psf.kernel).asarray(psf.kernel)
            if given
            else kernel_of(replace(psf, normalize=False), pixel_um)
        )
        kernel = kernel / kernel.sum()
        if shape is not None:
            (slow, fast), (n, m) = (k // 2 for k in kernel.shape), shape
            kernel = kernel[max(slow - n + 1, 0) : slow + n, max(fast - m + 1, 0) : fast + m]
        return kernel
    slow, fast = radius_of(psf, pixel_um, shape)
    xp = namespace_of(psf.fwhm_um)
    if psf.kind == "gauss":
        along = [_gauss_fractions(psf.fwhm_um / p, r, xp) for p, r in zip(pixel_um, (slow, fast), strict=True)]
        return along[0][:, None] * along[1][None, :]
    g = FIBER_HEIGHT * psf.fwhm_um
    y = xp.asarray((np.arange(2 * slow + 2) - slow - 0.5) * pixel_um[0])[:, None]
    x = xp.asarray((np.arange(2 * fast + 2) - fast - 0.5) * pixel_um[1])[None, :]
    corner = xp.arctan(x * y / (g * xp.sqrt(g * g + x * x + y * y))) / (2.0 * math.pi)
    return corner[1:, 1:] - corner[1:, :-1] - corner[:-1, 1:] + corner[:-1, :-1]


def _gauss_fractions(width: Any, radius: int, xp: Namespace) -> Any:
    """Fractions of a Gaussian that fall on the pixels of a row; width in pixels."""
    a = 2.0 * math.sqrt(math.log(2.0)) / width
    distance = np.abs(np.arange(-radius, radius + 1.0))
    inner = xp.asarray(distance - 0.5)
    sides = 0.5 * (xp.erfc(a * inner) - xp.erfc(a * (inner + 1.0)))  # without loss of digits in the tail
    return xp.where(xp.asarray(distance) == 0, 1.0 - xp.erfc(a * xp.asarray(0.5 + 0.0 * distance)), sides)


def enclosed(psf: Psf, pixel_um: tuple[float, float], radius: int) -> float:
    """Sum of the kernel of this radius."""
    slow, fast = ((radius + 0.5) * p for p in pixel_um)
    width = detached(psf.fwhm_um)
    if psf.kind == "gauss":
        a = 2.0 * math.sqrt(math.log(2.0)) / width
        return math.erf(a * slow) * math.erf(a * fast)
    g = FIBER_HEIGHT * width
    return 2.0 / math.pi * math.atan(slow * fast / (g * math.sqrt(g * g + slow * slow + fast * fast)))


def radius_of(psf: Psf, pixel_um: tuple[float, float], shape: tuple[int, ...] | None = None) -> tuple[int, int]:
    """Radius of the kernel along (slow, fast) [pixels]: as given, or the smallest that leaves less than `psf.tail` outside.

    Warns where the largest radius leaves more outside.
    """
    width = detached(psf.fwhm_um)
    if shape is not None and any(width > n * p for n, p in zip(shape, pixel_um, strict=True)):
        raise ConfigError("readout.psf.fwhm_um", width, f"must not exceed the image of {shape} pixels (slow, fast)")
    radius = psf.radius_px
    if radius is None:
        low, high = 0, LARGEST_RADIUS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if 1.0 - enclosed(psf, pixel_um, middle) < psf.tail else (middle, high)
        radius = high
        outside = 1.0 - enclosed(psf, pixel_um, radius)
        if outside >= psf.tail:
            warnings.warn(f"readout.psf: {100 * outside:.2g} % of the photons lie outside the largest kernel and are lost",
                          NanoBraggWarning, stacklevel=2)  # fmt: skip
    if shape is None:
        return radius, radius
    return min(radius, shape[0] - 1), min(radius, shape[1] - 1)
