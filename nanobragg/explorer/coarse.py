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


def coarser(scenes: Sequence[Sequence[Scene]], most: float) -> Coarse:
    """The scenes with at most so many evaluations, as far as that can be reached.

    Sub-pixels, sources, phi steps and domains are halved, the longest of these loops first; then pixels are left out.
    """
    whole = scenes[0][0]
    found = tuple(tuple(own) for own in scenes)
    while evaluations(found) > most:
        shorter = tuple(tuple(_shorter(scene) or scene for scene in own) for own in found)
        if evaluations(shorter) == evaluations(found):
            break
        found = shorter
    step = min(_MOST_STEP, max(1, int(np.ceil(np.sqrt(evaluations(found) / max(most, 1.0))))))
    said = list(_left_out(whole, found[0][0]))
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


def _left_out(whole: Scene, part: Scene) -> list[str]:
    counts = (
        ("sub-pixels", whole.oversample**2, part.oversample**2), ("sources", whole.n_sources, part.n_sources),
        ("phi steps", whole.n_phi, part.n_phi), ("domains", whole.n_domains, part.n_domains),
    )  # fmt: skip
    return [f"{few} of {many} {name}" for name, many, few in counts if few < many]


def _shorter(scene: Scene) -> Scene | None:
    """The scene with its longest loop halved, on the same scale; None: no loop is left."""
    loops = {
        "oversample": scene.oversample**2,
        "sources": scene.n_sources,
        "phi": scene.n_phi,
        "domains": scene.n_domains,
    }
    longest = max(loops, key=lambda name: loops[name])
    if loops[longest] == 1:
        return None
    before = scene.steps_alone
    if longest == "oversample":
        part = replace(scene, oversample=scene.oversample // 2)
    elif longest == "sources":
        part = scene.with_sources(slice(1, None, 2))
    elif longest == "phi":
        part = replace(scene, orientations=_half(scene.orientations))
    else:
        weight = None if scene.domain_weight is None else _half(scene.domain_weight)
        orientations = np.ascontiguousarray(scene.orientations[:, 1::2])
        part = replace(scene, orientations=orientations, domain_weight=weight)
    scale = part.steps_alone / before
    return replace(
        part, steps=scene.steps * scale, background=scene.background * scale, first_pass=(0, 0),
        orientations_first_pass=None, interpolation_off=(scene.n_pixels, 0),
    )  # fmt: skip


def _half(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every second one, from the second on: of two the later, of many spread over all of them."""
    return np.ascontiguousarray(values[1::2])


def _thinned(scene: Scene, step: int) -> Scene:
    """The scene with the pixels of every `step`-th row and column."""
    rows, columns = np.arange(0, scene.n_slow, step), np.arange(0, scene.n_fast, step)
    wanted = (rows[:, None] * scene.n_fast + columns).ravel()
    if scene.n_pixels == scene.n_slow * scene.n_fast:
        return subset(scene, wanted)
    at = np.minimum(np.searchsorted(scene.pixels, wanted), scene.n_pixels - 1)
    return subset(scene, at[scene.pixels[at] == wanted])
