"""Numbers, arrays and tensors as users give them, without importing torch; and the limits of what is made of them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from nanobragg.errors import ConfigError, FileFormatError

MAX_TABLE_BYTES = 4 * 2**30
"""Largest table that is made without being asked for [bytes]."""


def is_tensor(value: object) -> bool:
    """True for a torch tensor, without importing torch."""
    return type(value) is not float and hasattr(value, "requires_grad") and hasattr(value, "detach")


def is_transformed(value: Any) -> bool:
    """True for a tensor inside a transform of `torch.func` (vmap, grad, jvp): its numbers cannot be looked at."""
    if not is_tensor(value):
        return False
    kind, wrapped = _transforms()
    return isinstance(value, kind) and bool(wrapped(value))


@cache
def _transforms() -> tuple[type, Callable[[Any], bool]]:
    from torch import Tensor
    from torch._C._functorch import is_functorch_wrapped_tensor

    return Tensor, is_functorch_wrapped_tensor


def detached(value: Any) -> float:
    """The float behind a number or a 0-d tensor; the gradient stays behind."""
    if type(value) is float:
        return value
    return float(value.detach()) if is_tensor(value) else float(value)


def elements(value: Any) -> list[Any]:
    """The scalars of a vector: of a tuple of numbers and 0-d tensors, or of a tensor of shape (n,)."""
    return list(value.unbind()) if is_tensor(value) else list(value)


def is_complex(value: Any) -> bool:
    """Whether a number, an array or a tensor is complex."""
    if is_tensor(value):
        return bool(value.is_complex())
    return isinstance(value, complex) or (isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "c")


def number(value: Any, path: str) -> float:
    """A plain number; words, truth values, arrays and tensors (whose gradient would be lost) are none."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or is_tensor(value) or bool(getattr(value, "ndim", 0)):
        raise ConfigError(path, value, "must be a number")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(path, value, "must be a number") from None


def float_array(value: Any, path: str) -> Any:
    """Numbers as a new numpy array; the gradient of a tensor stays behind."""
    return real_array(value.detach().cpu() if is_tensor(value) else value, path)


def read_only(value: Any, dtype: Any) -> np.ndarray:
    """A read-only copy; an array that is read-only already and owns its numbers is shared.

    What the caller does with the array later does not change the object that holds the copy.
    """
    if isinstance(value, np.ndarray) and value.dtype == dtype and value.flags.owndata and not value.flags.writeable:
        return value
    array = np.array(value, dtype=dtype)
    array.setflags(write=False)
    return array


def real_array(value: Any, path: str) -> Any:
    """Real numbers as a new numpy array in float64."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        raise ConfigError(path, value, "must be an array of real numbers")
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(path, value, "must be an array of numbers") from None
    except RuntimeError:  # a tensor inside a list: its gradient would be lost
        raise ConfigError(path, value, "must be one array or one tensor", "torch.stack([...]) joins tensors") from None


def available_cores() -> int:
    """Cores that this process may use: one for a worker of a pool or of a DataLoader, which has the others beside it."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.current_process().daemon:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def drawn_seed() -> int:
    """A seed from the entropy of the system, legal for every generator here."""
    return int.from_bytes(os.urandom(8), "little") % (2**31 - 2) + 1


_STRAY = "look for a stray index, or raise the limit with"


class TableTooLarge(ConfigError):
    """The box of Miller indices needs more memory than allowed."""

    needed: int
    """[bytes]"""


@contextmanager
def too_large_in(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn TableTooLarge into a FileFormatError about the file that asks for the table."""
    try:
        yield
    except TableTooLarge as error:
        raise FileFormatError(path, error.requirement, remedy=_STRAY, option="max_bytes", value=error.needed) from None


def checked_table_bytes(shape: tuple[int, ...], max_bytes: int) -> None:
    """Raise TableTooLarge when a float64 table of this shape needs more than `max_bytes`."""
    needed = 8 * math.prod(shape)
    if needed > max_bytes:
        size = " x ".join(str(n) for n in shape)
        error = TableTooLarge(
            "crystal.structure_factors.amplitude",
            f"{size} table",
            f"a table of {size} indices needs {needed / 2**30:.3g} GiB, "
            f"more than the limit of {max_bytes / 2**30:.3g} GiB",
            f"{_STRAY} max_bytes={needed}",
        )
        error.needed = needed
        raise error
