"""What a data set is, in words, and whether all of it is as it was written."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from nanobragg.datasets.output.layout import spans_of
from nanobragg.datasets.reading.dataset import Dataset
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Verdict:
    """What `verify` has found."""

    shards: int
    """that there should be"""
    missing: tuple[int, ...]
    damaged: dict[int, str]
    """what is wrong, by number"""
    spoiled: tuple[int, ...]
    """frames that are not what the recipe gives"""
    compared: int
    """frames that were made again"""

    @property
    def good(self) -> bool:
        """Whether everything is there and as it was written."""
        return not (self.missing or self.damaged or self.spoiled)

    def __str__(self) -> str:
        lines = [f"{self.shards} shards, {len(self.missing)} missing, {len(self.damaged)} damaged"]
        if self.compared:
            lines.append(f"{self.compared} frames made again, {len(self.spoiled)} differ")
        lines += [f"shard {number}: {text}" for number, text in sorted(self.damaged.items())]
        if self.missing or self.damaged:
            lines.append("go on with --resume: what is missing or damaged is made again")
        return "\n".join(lines)


def verify(path: str | PathLike[str], *, again: int = 0, progress: Callable[[int, int], Any] | None = None) -> Verdict:
    """Check every shard of a data set against its checksums.

    Parameters
    ----------
    path : path
        The folder.
    again : int
        Frames, spread over the data set, that are simulated again and compared.
    progress : callable, optional
        Receives (shards done, shards in all).

    Returns
    -------
    Verdict

    Raises
    ------
    FileFormatError
        When there is no data set.
    """
    from_frame = _remade(path, again)
    data = Dataset(path)
    every = spans_of(data.recipe)
    missing, damaged = [], {}
    for i, span in enumerate(every):
        if data.layout.record(span.number) is None:
            missing.append(span.number)
        elif (trouble := data.layout.trouble(span.number)) is not None:
            damaged[span.number] = trouble
        if progress is not None:
            progress(i + 1, len(every))
    return Verdict(
        len(every), tuple(missing), damaged, tuple(k for k, same in from_frame.items() if not same), len(from_frame)
    )


def _remade(path: str | PathLike[str], n: int) -> dict[int, bool]:
    """Whether frames are what their recipe gives, by number."""
    if n < 1:
        return {}
    data = Dataset(path)
    found = {}
    for i in sorted({int(i) for i in np.linspace(0, len(data) - 1, min(n, len(data)))}):
        stored = data[i]
        made = data.remake(i)
        panels = zip(_panels(stored.counts), _panels(made.counts), strict=True)
        found[stored.frame] = all(np.array_equal(a, b) for a, b in panels) and np.array_equal(stored.spots, made.spots)
    return found


def _panels(image: Any) -> list[Any]:
    return [image] if not isinstance(image, list) and image.ndim == 2 else list(image)


def summary(path: str | PathLike[str]) -> str:
    """What a data set is, in lines: images, detector, what varies, and the range of what was drawn."""
    data = Dataset(path)
    settings, pinned = data.recipe.settings, data.layout.description["pinned"]
    detector = data.recipe.experiment.detector
    panels = detector if isinstance(detector, tuple) else (detector,)
    kind = settings.kind if settings.kind == "stills" else f"rotation series of {settings.length}"
    lines = [
        f"{data.path}: {len(data)} of {settings.n_images} frames, {kind}, seed {settings.seed}",
        f"  {len(panels)} panel{'s' if len(panels) > 1 else ''} of {panels[0].n_fast} x {panels[0].n_slow} pixels",
        f"  {settings.images}, {settings.compression}, shards of {settings.shard_size}",
        f"  made with nanobragg {pinned['nanobragg']}, model {pinned['model']}, {pinned['backend']} {pinned['kernel']}",
        f"  beside the counts: {', '.join(data.images) or 'nothing'}",
    ]
    for name, values in sorted(data.truth.items()):
        text = _range(name, values)
        if text:
            lines.append(f"  {name:<40} {text}")
    return "\n".join(lines)


def _range(name: str, values: Any) -> str:
    if values.dtype.kind in "SU":
        names, counts = np.unique(values, return_counts=True)
        return ", ".join(f"{n} {label}" for label, n in zip(names, counts, strict=True))
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if name in ("frame", "index") or name.startswith("spectrum") or finite.size == 0:
        return ""
    return f"{finite.min():.5g} ... {finite.max():.5g}, mean {finite.mean():.5g}"
