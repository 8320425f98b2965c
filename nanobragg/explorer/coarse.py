"""Scenes of less work that show nearly the same image: some of the domains, steps and sources, then some of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.scene import Scene
from nanobragg.inspection.coarse import subset
from nanobragg.lazy import dataclass

_MOST_STEP = 8
"""Every so many-th pixel along each axis at most, whatever the work."""


_LOOPS = {
    "sub-pixels": lambda scene: scene.oversample**2, "sources": lambda scene: scene.n_sources,
    "phi steps": lambda scene: scene.n_phi, "domains": lambda scene: scene.n_domains,
}  # fmt: skip
"""Loops of a pixel that can be made shorter, and how long they are; of equal ones the first is."""


@dataclass(frozen=True)
class Coarse:
    """Scenes of one detector that are rendered in place of others."""

    scenes: tuple[tuple[Scene, ...], ...]
    """of every lattice, as `nanobragg.derivation.crystals.lattices` has them"""
    step: int
    """every so many-th pixel is rendered along each axis"""
    said: str
    """what was left out, in words; empty: nothing"""


def evaluations(scenes: Sequence[Sequence[Scene]]) -> int:
    """Terms of the sums of all scenes."""
    return sum(scene.evaluations for own in scenes for scene in own)


def coarser(scenes: Sequence[Sequence[Scene]], most: float, worth: float = 0.0) -> Coarse:
    """The scenes with at most so many evaluations, as far as that can be reached.

    Sub-pixels, sources, phi steps and domains are halved, the longest of these loops first; then pixels are left out, where they
    have more than `worth` evaluations each: it takes time by itself.
    """
    found = tuple(tuple(own) for own in scenes)
    while evaluations(found) > most:
        shorter = tuple(tuple(_shorter(scene) or scene for scene in own) for own in found)
        if evaluations(shorter) == evaluations(found):
            break
        found = shorter
    each = evaluations(found) / max(1, found[0][0].n_pixels)
    step = 1 if each <= worth else min(_MOST_STEP, max(1, int(np.ceil(np.sqrt(evaluations(found) / max(most, 1.0))))))
    said = _left_out([s for own in scenes for s in own], [s for own in found for s in own])
    if step > 1:
        found = tuple(tuple(_thinned(scene, step) for scene in own) for own in found)
        said.append(f"1 pixel of {step} x {step}")
    return Coarse(found, step, ", ".join(said))


def spread(image: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """An image of which every `step`-th pixel was rendered, each standing for those beside it; written in place."""
    if step > 1:
        few = image[::step, ::step].copy()
        for i in range(1, step):
            part = image[::step, i::step]
            part[:] = few[:, : part.shape[1]]
        for i in range(1, step):
            rows = image[i::step]
            rows[:] = image[::step][: len(rows)]
    return image


def _left_out(whole: Sequence[Scene], part: Sequence[Scene]) -> list[str]:
    """What of each loop is left, of the scene that lost most of it."""
    found = []
    for name, count in _LOOPS.items():
        few, many = min(
            ((count(b), count(a)) for a, b in zip(whole, part, strict=True)), key=lambda two: two[0] / two[1]
        )
        if few < many:
            found.append(f"{few} of {many} {name}")
    return found


def _shorter(scene: Scene) -> Scene | None:
    """The scene with its longest loop halved, on the same scale; None: no loop is left."""
    longest = max(_LOOPS, key=lambda name: _LOOPS[name](scene))
    if _LOOPS[longest](scene) == 1:
        return None
    before = scene.steps_alone
    if longest == "sub-pixels":
        part = replace(scene, oversample=scene.oversample // 2)
    elif longest == "sources":
        part = scene.with_sources(_half_of_sources(scene.weight))
    elif longest == "phi steps":
        part = replace(scene, orientations=np.ascontiguousarray(scene.orientations[1::2]))
    else:
        chosen = _half(scene.n_domains)
        weight = None if scene.domain_weight is None else scene.domain_weight[chosen]
        if weight is not None and weight.sum() > 0:
            weight = weight / weight.mean()
        part = replace(scene, orientations=np.ascontiguousarray(scene.orientations[:, chosen]), domain_weight=weight)
    scale = part.steps_alone / before
    return replace(
        part, steps=scene.steps * scale, background=scene.background * scale, first_pass=(0, 0),
        orientations_first_pass=None, interpolation_off=(scene.n_pixels, 0),
    )  # fmt: skip


def _half(n: int) -> NDArray[np.int64]:
    """One of every two that stand beside each other, n/2 of n >= 2: the later and the earlier by the sequence of Thue and Morse,
    which prefers none of the places of a loop within the loop, as directions times wavelengths are.
    """
    pairs = np.arange(n // 2)
    parity = np.zeros(len(pairs), np.int64)
    for bit in range(max(1, int(n).bit_length())):
        parity ^= (pairs >> bit) & 1
    return 2 * pairs + 1 - parity


def _half_of_sources(weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Half of the sources that shine, or the one that does."""
    shining = np.flatnonzero(weight)
    return shining[_half(len(shining))] if len(shining) > 1 else (shining if len(shining) else np.array([0]))


def _thinned(scene: Scene, step: int) -> Scene:
    """The scene with the pixels of every `step`-th row and column."""
    rows, columns = np.arange(0, scene.n_slow, step), np.arange(0, scene.n_fast, step)
    wanted = (rows[:, None] * scene.n_fast + columns).ravel()
    if scene.n_pixels == scene.n_slow * scene.n_fast:
        return subset(scene, wanted)
    at = np.minimum(np.searchsorted(scene.pixels, wanted), scene.n_pixels - 1)
    return subset(scene, at[scene.pixels[at] == wanted])
