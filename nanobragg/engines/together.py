"""The image of several Scenes of one detector: lattices, or blocks of unlike size, whose photons add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nanobragg.arrays import is_tensor
from nanobragg.derivation.scene import Scene
from nanobragg.engines.engine import Engine, Progress


def image_of(
    engine: Engine,
    scenes: Sequence[Scene],
    *,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
    out: Any = None,
) -> Any:
    """The sum of the images of the scenes; arguments and result as of `Engine.image`."""
    if len(scenes) == 1:
        return engine.image(scenes[0], progress=progress, cancel=cancel, out=out)
    total = None
    for i, scene in enumerate(scenes):
        total = _plus(total, engine.image(scene, progress=_share(progress, i, len(scenes)), cancel=cancel))
    return total if out is None else _written(total, out)


def image_and_mean_wavelength_of(
    engine: Engine, scenes: Sequence[Scene], *, progress: Progress | None = None, out: Any = None
) -> tuple[Any, Any]:
    """The same with the mean wavelength, see `Engine.image_and_mean_wavelength`."""
    if len(scenes) == 1:
        return engine.image_and_mean_wavelength(scenes[0], progress=progress, out=out)
    total = sums = None
    for i, scene in enumerate(scenes):
        rows = engine.wavelength_rows(scene)
        image, channels = engine.image(scene, weights=rows, progress=_share(progress, i, len(scenes)))
        total, sums = _plus(total, image), _plus(sums, channels)
    assert sums is not None
    return total if out is None else _written(total, out), engine.ratio(sums[1], sums[0])


def _plus(total: Any, more: Any) -> Any:
    if total is None:
        return more
    if is_tensor(more):
        return total + more
    total += more
    return total


def _written(image: Any, out: Any) -> Any:
    if is_tensor(image):
        return out.copy_(image)
    out[...] = image
    return out


def _share(progress: Progress | None, i: int, n: int) -> Progress | None:
    """Progress of one of n scenes as that of all of them."""
    return None if progress is None else lambda done, total: progress((i * total + done) // n, total)
