"""The names of the engines and of their kernels, for those who offer the choice and for `nanobragg.engines`, which makes it."""

from __future__ import annotations

from nanobragg import _core

KERNELS = {
    "c": ("auto", "simd", *_core.kernel_names),
    "torch": ("auto", "core", "eager", "compiled", "triton"),
}
"""Names that `kernel` may have, by engine; the class of an engine is CEngine, TorchEngine and so on."""

DEFAULT_BACKEND = next(iter(KERNELS))
"""Of every call and command."""

BACKENDS = tuple(KERNELS)
"""Names that `backend` may have."""
