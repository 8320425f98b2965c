"""A sum over evaluations, as autograd sees it, and what is said when the memory of a GPU does not suffice for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

from nanobragg.engines.engine import Progress
from nanobragg.errors import ConfigError


class Sum(Protocol):
    """The sum over all evaluations as a function of tensors."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the tensors are."""

    def photons(self, tensors: tuple[Tensor, ...], progress: Progress | None) -> Tensor:
        """The pixels (n_pixels,)."""

    def pull_back(self, tensors: tuple[Tensor, ...], cotangent: Tensor, wanted: frozenset[str]) -> Mapping[str, Tensor]:
        """Gradients of the named tensors."""

    def push_forward(self, tensors: tuple[Tensor, ...], tangents: dict[str, Tensor]) -> Tensor:
        """Tangents (K, n_pixels) for tangents of the named tensors with a leading axis of K."""


@contextlib.contextmanager
def fitting(device: torch.device, budget: int) -> Iterator[None]:
    """Turns torch's complaint about memory into one that names the remedy.

    Raises
    ------
    ConfigError
        With a `memory_budget` for which there is room.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        free, whole = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        fits = 2 ** max((free // 2).bit_length() - 1, 0)
        room = f"{free / 2**20:.0f} of {whole / 2**20:.0f} MiB are free on {device}"
        remedy = f"memory_budget={fits} fits" if fits < budget else "render fewer pixels at once, with roi"
        raise ConfigError("memory_budget", budget, f"is more than there is room for: {room}", remedy) from error


class Fitting:
    """A `Sum` whose derivatives, too, say what would fit."""

    def __init__(self, of: Sum, device: torch.device, budget: int) -> None:
        self.names, self._of, self._place = of.names, of, (device, budget)

    def photons(self, tensors: tuple[Tensor, ...], progress: Progress | None) -> Tensor:
        """See `Sum`."""
        with fitting(*self._place):
            return self._of.photons(tensors, progress)

    def pull_back(self, tensors: tuple[Tensor, ...], cotangent: Tensor, wanted: frozenset[str]) -> Mapping[str, Tensor]:
        """See `Sum`."""
        with fitting(*self._place):
            return self._of.pull_back(tensors, cotangent, wanted)

    def push_forward(self, tensors: tuple[Tensor, ...], tangents: dict[str, Tensor]) -> Tensor:
        """See `Sum`."""
        with fitting(*self._place):
            return self._of.push_forward(tensors, tangents)
