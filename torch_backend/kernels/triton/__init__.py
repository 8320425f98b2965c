"""The sum over evaluations on CUDA devices, as kernels in Triton; `coverage` says what they serve, without importing it.

`arithmetic` and `geometry` hold what the kernels in `programs` are put together from, `sums` launches them.
"""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
