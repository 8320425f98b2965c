"""What `nanobragg.derivation.derive` is given by this engine: float64 tensors on the CPU that keep their gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from nanobragg.torch_backend.kept import Kept
from torch import Tensor

_LARGE = 2**12
"""bytes of an array that is copied once only: a table of structure factors, which nobody can change"""
_LIFTED = Kept(2)


def _lifting(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    """The function, with plain numbers (random orientations, for example) lifted first."""

    def apply(x: Any) -> Tensor:
        return function(x if isinstance(x, Tensor) else TorchOps.lift(x))

    return apply


class TorchOps:
    """Twin of `nanobragg.derivation.vectors.FloatOps`; see `nanobragg.derivation.vectors.Ops` for what each member means."""

    is_float = takes_floats = False
    sin = staticmethod(_lifting(torch.sin))
    cos = staticmethod(_lifting(torch.cos))
    sqrt = staticmethod(_lifting(torch.sqrt))
    exp = staticmethod(_lifting(torch.exp))

    @staticmethod
    def lift(value: Any) -> Tensor:
        """See `Ops.lift`. A tensor of three axes is the table of structure factors: it stays where and what it is."""
        if isinstance(value, Tensor):
            return value if value.ndim == 3 else value.to(device="cpu", dtype=torch.float64)
        if isinstance(value, np.ndarray) and not value.flags.writeable and value.nbytes > _LARGE:
            return _LIFTED.of(value, (), lambda: torch.from_numpy(np.array(value, dtype=np.float64)))
        return torch.from_numpy(np.array(value, dtype=np.float64))

    @classmethod
    def stack(cls, items: Sequence[Any], axis: int = 0) -> Tensor:
        """See `Ops.stack`."""
        return torch.stack([item if isinstance(item, Tensor) else cls.lift(item) for item in items], dim=axis)

    @staticmethod
    def nonzero(x: Any) -> Any:
        """See `Ops.nonzero`."""
        return torch.where(x == 0, torch.ones_like(x), x)

    @staticmethod
    def round_f32(x: Any) -> Any:
        """See `Ops.round_f32`."""
        return x + (x.detach().to(torch.float32).to(torch.float64) - x.detach())

    @staticmethod
    def sign(x: Any) -> Any:
        """See `Ops.sign`."""
        return torch.where(x.detach() < 0, -1.0, 1.0).to(torch.float64)


TORCH_OPS = TorchOps()
