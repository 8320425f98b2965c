"""The torch engine: the same Scene and the same pixels as the C engine, on CPU or GPU, with gradients.

`derived` makes the derivation one operation, in numbers that carry their derivatives (`dual`); `ops` is the array namespace
for the derivation where that does not serve; `inputs` turns a Scene into what the kernel reads, `kernel` is the forward sum,
`sweep` its derivatives, `triton` both for CUDA devices, `function` joins them into one differentiable operation, `memory` says
what fits,
`module` wraps an experiment for optimizers; `detector`, `polarization`, `phase`, `lattice`
and `structure_factors` hold one concept each.
"""

from nanobragg.errors import BackendUnavailableError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise BackendUnavailableError(
        "backend='torch' needs PyTorch; install it with: pip install 'nanobragg[torch]'"
    ) from error

from nanobragg.torch_backend.module import ExperimentModule, with_reflections
from nanobragg.torch_backend.simulate import simulate

__all__ = ["ExperimentModule", "simulate", "with_reflections"]
