"""The array functions that the image chain is written in: numpy's, or torch's where a tensor takes part."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from nanobragg.arrays import is_tensor


class Namespace(Protocol):
    """What the chain needs of an array library."""

    def asarray(self, value: Any) -> Any:
        """A float64 array (a floating tensor keeps its type)."""

    def exp(self, x: Any) -> Any: ...
    def sqrt(self, x: Any) -> Any: ...
    def sin(self, x: Any) -> Any: ...
    def cos(self, x: Any) -> Any: ...
    def erfc(self, x: Any) -> Any: ...
    def arctan(self, x: Any) -> Any: ...
    def where(self, condition: Any, a: Any, b: Any) -> Any: ...
    def convolved(self, image: Any, kernel: Any, n_threads: int) -> Any:
        """The image (n_slow, n_fast) convolved with a kernel of odd sides, zero outside."""


class NumpyNamespace:
    """numpy and scipy."""

    exp, sqrt, arctan, where = (staticmethod(f) for f in (np.exp, np.sqrt, np.arctan, np.where))
    sin, cos = staticmethod(np.sin), staticmethod(np.cos)

    @staticmethod
    def asarray(value: Any) -> Any:
        """See `Namespace.asarray`."""
        return np.asarray(value, np.float64)

    @staticmethod
    def erfc(x: Any) -> Any:
        """Complementary error function."""
        from scipy.special import erfc

        return erfc(x)

    @staticmethod
    def convolved(image: Any, kernel: Any, n_threads: int) -> Any:
        """See `Namespace.convolved`."""
        from scipy import fft

        n_slow, n_fast = image.shape
        slow, fast = (fft.next_fast_len(n + k // 2, real=True) for n, k in zip(image.shape, kernel.shape, strict=True))
        # axis by axis, so that rows of zeros cost nothing
        spectrum = fft.fft(fft.rfft(image, fast, workers=n_threads), slow, 0, overwrite_x=True, workers=n_threads)
        rows, middle = kernel.shape[0], kernel.shape[0] // 2
        kernel_rows = np.zeros((slow, fast // 2 + 1), np.complex128)
        kernel_rows[np.arange(rows) - middle] = fft.rfft(_wrapped(np.zeros((rows, fast)), kernel, 1), workers=n_threads)
        spectrum *= fft.fft(kernel_rows, axis=0, overwrite_x=True, workers=n_threads)
        spread = fft.ifft(spectrum, axis=0, overwrite_x=True, workers=n_threads)[:n_slow]
        return fft.irfft(spread, fast, workers=n_threads)[:, :n_fast]


class TorchNamespace:
    """torch, differentiable."""

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self.exp, self.sqrt, self.arctan, self.erfc = torch.exp, torch.sqrt, torch.atan, torch.special.erfc
        self.sin, self.cos = torch.sin, torch.cos

    def asarray(self, value: Any) -> Any:
        """See `Namespace.asarray`."""
        return value if is_tensor(value) else self._torch.as_tensor(np.asarray(value, np.float64))

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """See `numpy.where`."""
        return self._torch.where(self.asarray(condition) != 0, self.asarray(a), self.asarray(b))

    def convolved(self, image: Any, kernel: Any, n_threads: int) -> Any:
        """See `Namespace.convolved`."""
        from scipy.fft import next_fast_len

        fft = self._torch.fft
        shape = [next_fast_len(n + k // 2, real=True) for n, k in zip(image.shape, kernel.shape, strict=True)]
        room = {"dtype": kernel.dtype, "device": image.device}
        wide = _wrapped(self._torch.zeros((kernel.shape[0], shape[1]), **room), kernel.to(image.device), 1)
        whole = _wrapped(self._torch.zeros(shape, **room), wide, 0)
        spectrum = fft.rfft2(image, shape) * fft.rfft2(whole)
        return fft.irfft2(spectrum, shape)[: image.shape[0], : image.shape[1]]


def _wrapped(room: Any, kernel: Any, axis: int) -> Any:
    """The kernel in a longer array, its middle at the beginning and what lies before it at the end of one axis."""
    n = kernel.shape[axis] // 2
    if axis == 1:
        room[:, : n + 1] = kernel[:, n:]
        room[:, room.shape[1] - n :] = kernel[:, :n]
    else:
        room[: n + 1] = kernel[n:]
        room[room.shape[0] - n :] = kernel[:n]
    return room


_NUMPY = NumpyNamespace()


def namespace_of(*values: Any) -> Namespace:
    """The namespace in which these values can be combined."""
    return TorchNamespace() if any(is_tensor(value) for value in values) else _NUMPY
