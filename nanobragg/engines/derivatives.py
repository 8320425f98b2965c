"""Gradients and tangents of an image by the C core, on threads, with bits that depend on the scene alone.

The pixels are cut into chunks by the size of the work. The gradients of each chunk are summed on their own and added in the
order of the chunks, whichever thread had them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core
from nanobragg.derivation.scene import Scene
from nanobragg.engines.cores import core_of
from nanobragg.engines.engine import Progress
from nanobragg.engines.threads import in_order
from nanobragg.errors import BackendUnavailableError, ConfigError, CoreError
from nanobragg.lazy import dataclass

_LEAST_EVALUATIONS = 1 << 18
# in a chunk: some 2 ms
_MOST_CHUNKS = 64
_MOST_BYTES = 64 << 20
# that the gradients of all chunks may take together
_FEW = 1 / 16
# of a table: to look for more entries than this at every evaluation takes longer than to collect the gradients of all

_UNHEARD_EVALUATIONS = 1 << 18
# in all, for work that is done in the calling thread, which hears no signal meanwhile: 0.1 s by the scalar kernel

Part = TypeVar("Part")


@dataclass(frozen=True)
class How:
    """By which kernel, on how many threads, who hears how far it is, and who may end it."""

    kernel: str
    n_threads: int
    progress: Progress | None = None
    cancel: Callable[[], bool] | None = None


def obstacle(scene: Scene) -> str | None:
    """Why the scene has no derivatives here; None: it has."""
    return _core.adjoint_obstacle(core_of(scene)) or None


def pull_back(
    scene: Scene, cotangent: NDArray[Any], wanted: Collection[str], how: How, entries: NDArray[Any] | None = None
) -> dict[str, NDArray[np.float64]]:
    """See `nanobragg.engines.engine.Engine.pull_back`."""
    if entries is not None and "f_table" in wanted and len(entries) > _FEW * np.size(scene.f_table):
        found = pull_back(scene, cotangent, wanted, how)
        return {**found, "f_table": found["f_table"].ravel()[entries]}
    core, weights = _differentiable(scene), np.asarray(cotangent, dtype=np.float64)
    flag = _core.CancelFlag()
    few = None if entries is None else np.ascontiguousarray(entries, dtype=np.int64)

    def part(begin: int, end: int) -> _core.Gradients:
        own = _core.Gradients(core, wanted, few)
        # a weight that all pixels share has no array of its own: it is spread over one chunk at a time
        own.pull_back(begin, end, np.ascontiguousarray(weights[begin:end]), flag, how.kernel)
        return own

    total = {name: np.zeros(np.shape(getattr(scene, name))) for name in wanted if name != "f_table" or few is None}
    if few is not None and "f_table" in wanted:
        total["f_table"] = np.zeros(len(few))
    size = sum(value.nbytes for value in total.values())
    try:
        for one in _swept(scene, part, size, how, flag):
            for name, value in total.items():
                value += one.values[name].reshape(value.shape)
    except CoreError:
        _require_finite(scene, weights)
        raise
    return total


def push_forward(scene: Scene, tangents: Mapping[str, NDArray[Any]], how: How) -> NDArray[np.float64]:
    """See `nanobragg.engines.engine.Engine.push_forward`."""
    core, flag = _differentiable(scene), _core.CancelFlag()
    directions = {name: np.reshape(value, (len(value), -1)) for name, value in tangents.items()}
    moving = _core.Tangents(core, directions)
    out = np.empty((moving.count, core.n_pixels))

    def part(begin: int, end: int) -> bool:
        return moving.push_forward(begin, end, out, flag, how.kernel)

    for _ in _swept(scene, part, 0, how, flag):
        pass
    return out


def _differentiable(scene: Scene) -> _core.CoreScene:
    core = core_of(scene)
    reason = _core.adjoint_obstacle(core)
    if reason:
        raise BackendUnavailableError(
            f"the C core has no derivatives of this scene: {reason}; use backend='torch' with kernel='eager'"
        )
    return core


def _require_finite(scene: Scene, cotangent: NDArray[np.float64]) -> None:
    """Name the first pixel whose cotangent is not finite, if there is one."""
    finite = np.isfinite(cotangent)
    if not finite.all():
        place = int(np.argmin(finite))
        slow, fast = divmod(int(scene.pixels[place]), scene.n_fast)
        raise ConfigError(
            "cotangent",
            float(cotangent[place]),
            f"must be finite everywhere; it is not at the pixel (slow {slow}, fast {fast})",
            "look for the logarithm of 0, or a division by 0, in what is computed from the image",
        ) from None


def _chunks(scene: Scene, size: int) -> list[tuple[int, int]]:
    """Where chunks of pixels begin and end: a function of the scene and of the bytes that the results of each one take."""
    most = min(_MOST_CHUNKS, scene.evaluations // _LEAST_EVALUATIONS, _MOST_BYTES // max(size, 1))
    length = -(-scene.n_pixels // max(most, 1))
    if length > scene.n_fast:
        length += -length % scene.n_fast  # whole rows
    return [(begin, min(begin + length, scene.n_pixels)) for begin in range(0, scene.n_pixels, max(length, 1))]


def _swept(
    scene: Scene, part: Callable[[int, int], Part], size: int, how: How, flag: _core.CancelFlag
) -> Iterator[Part]:
    """The results for the chunks, in their order; `size`: see `_chunks`."""
    chunks = _chunks(scene, size)
    if len(chunks) == 1 and scene.evaluations <= _UNHEARD_EVALUATIONS:
        results = iter([part(*chunks[0])])
    else:
        results = in_order(lambda chunk: part(*chunk), chunks, how.n_threads, flag, how.cancel)
    for (_, end), result in zip(chunks, results, strict=True):
        yield result
        if how.progress is not None:
            how.progress(end, scene.n_pixels)
