"""The forward sum over blocks of (pixels x points x sources x orientations), in the order of nanobragg/derivation/scene.py.

`render` serves the fast path without autograd and, with ``Eager(smooth=True)``, as the expression that ordinary autograd
differentiates (as often as asked, at the price of a tape of the whole sum).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from nanobragg.torch_backend.kernels import detector
from nanobragg.torch_backend.kernels.algebra import dot, transform
from nanobragg.torch_backend.kernels.detector import Points
from nanobragg.torch_backend.kernels.evaluations import Eager, Evaluations
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan, seen_by
from nanobragg.torch_backend.kernels.lookup import Interpolate, Lookup
from torch import Tensor

from nanobragg.derivation.scene import FactorMode

MOST_ORIENTATIONS = 512
"""looked at together; more only when a block has few passes"""


@dataclass(frozen=True)
class Passes:
    """The passes of a block, (V, s, P): points x sources x pixels."""

    points: Points
    sources: slice
    vectors: Tensor
    """(3, V, s, P) scattering vectors [1/m]"""
    polarization: Tensor | None
    """(V, s, P); None: 1"""
    kept: Tensor | None
    """(V, s, P) bool: not skipped by d_min; None: all"""

    @property
    def shape(self) -> torch.Size:
        """(V, s, P)"""
        return self.vectors.shape[1:]


class Watcher(Protocol):
    """Sees what the kernel computes on the way to one pixel (`nanobragg.torch_backend.trace`)."""

    def passes(self, first: int, passes: Passes) -> None:
        """Passes of the points from `first` on."""

    def orientations(self, first_pass: int, some: slice, cells: Tensor) -> None:
        """What `evaluations` will be about: the passes from `first_pass` on, and some orientations."""

    def evaluations(self, offset: Tensor, nearest: Tensor, form: Tensor, lookup: Lookup) -> None:
        """Everything about a block of evaluations; the tensors are overwritten afterwards."""

    def total(self, photons: Tensor) -> None:
        """The sum before the cached factors are applied [photons]."""


def make_passes(plan: Plan, inputs: Inputs, points: Points, sources: slice) -> Passes:
    """Scattering vectors and polarization of some sources at the points of a block."""
    direction = points.direction.unsqueeze(2)
    vectors = (direction - inputs.incident[:, None, sources, None]) * inputs.wavenumber[sources, None]
    polarization = None
    if plan.polarized:
        turned = transform(inputs.polar[sources] / 2, points.direction.unsqueeze(0))
        polarization = (dot(turned, points.direction.unsqueeze(0), 1) + 0.5).transpose(0, 1)
    kept = None
    if plan.d_min > 0:
        stol = 0.5 * dot(vectors, vectors).detach().sqrt()
        kept = ~((stol > 0) & (plan.d_min > 0.5 / stol))
    return Passes(points, sources, vectors, polarization, kept)


def pixel_blocks(plan: Plan) -> Iterator[tuple[int, int]]:
    """(begin, end) positions in `Plan.pixels`; the pixels that a quirk singles out stand alone."""
    n = plan.n_pixels
    size = max(1, plan.block // min(plan.n_orientations, MOST_ORIENTATIONS) // _passes_together(plan))
    edges = {0, n}
    for special in (plan.first_pass, plan.interpolation_off if plan.tricubic else None):
        if special is not None:
            edges.update(min(max(e, 0), n) for e in (special[0], special[0] + 1))
    cuts = sorted(edges)
    for begin, end in pairwise(cuts):
        for start in range(begin, end, size):
            yield start, min(start + size, end)


def _passes_together(plan: Plan) -> int:
    """Passes of one pixel that a block may hold."""
    room = max(1, plan.block // min(plan.n_orientations, MOST_ORIENTATIONS))
    return min(plan.n_points * plan.n_sources, room)


def pass_blocks(plan: Plan, n_pixels: int) -> Iterator[tuple[int, int, list[slice]]]:
    """(first point, last point, slices of sources) that fit into a block with `n_pixels` pixels, in loop order."""
    room = max(1, plan.block // min(plan.n_orientations, MOST_ORIENTATIONS) // n_pixels)
    together = max(1, room // plan.n_sources)
    per_source = min(plan.n_sources, room)
    sources = [slice(s, min(s + per_source, plan.n_sources)) for s in range(0, plan.n_sources, per_source)]
    if plan.source_table:
        sources = [part for some in sources for part in _by_table(plan, some)]
        together = 1 if len(sources) > 1 else together
    for first in range(0, plan.n_points, together):
        yield first, min(first + together, plan.n_points), sources


def _by_table(plan: Plan, some: slice) -> Iterator[slice]:
    """Slices of sources that see the same table each."""
    begin = some.start
    for end in range(some.start + 1, some.stop + 1):
        if end == some.stop or plan.source_table[end] != plan.source_table[begin]:
            yield slice(begin, end)
            begin = end


def orientation_blocks(plan: Plan, n_passes: int) -> Iterator[slice]:
    """Slices of the orientations that fit into a block with `n_passes` passes."""
    together = max(1, plan.block // n_passes)
    for o in range(0, plan.n_orientations, together):
        yield slice(o, min(o + together, plan.n_orientations))


def render(
    plan: Plan, inputs: Inputs, kernel: Evaluations, progress: Callable[[int, int], object] | None = None
) -> Tensor:
    """Photons of the rendered pixels.

    Parameters
    ----------
    plan, inputs
        From `nanobragg.torch_backend.kernels.inputs.prepare`.
    kernel : Evaluations
        `Eager` where the plan is cumulative.
    progress : callable, optional
        Receives (pixels done, pixels in all).

    Returns
    -------
    Tensor, shape (n_pixels,), of the plan's dtype
    """
    parts = []
    for begin, end in pixel_blocks(plan):
        parts.append(_block(plan, inputs, begin, end, kernel).to(plan.dtype))
        if progress is not None:
            progress(end, plan.n_pixels)
    return torch.cat(parts) if parts else inputs.scale.new_zeros(0, dtype=plan.dtype)


def _single(plan: Plan, begin: int) -> bool:
    """Whether the pixel must be rendered pass by pass, because a quirk distinguishes its passes."""
    singled = (plan.first_pass, plan.interpolation_off if plan.tricubic else None)
    return any(special is not None and special[0] == begin for special in singled)


def _interpolate(plan: Plan, begin: int, single_pass: int, orientations: slice, like: Tensor) -> Interpolate:
    """Where interpolation is still on (INTERP_SWITCHED_OFF)."""
    position, evaluation = plan.interpolation_off
    if begin != position:
        return begin < position
    left = evaluation - single_pass * plan.n_orientations - orientations.start
    count = orientations.stop - orientations.start
    return (torch.arange(count, device=like.device) < left)[:, None]


def _cells(plan: Plan, inputs: Inputs, begin: int, single_pass: int) -> Tensor:
    if plan.first_pass is not None and plan.first_pass == (begin, single_pass):
        return inputs.cells_first
    return inputs.cells


def per_term_factor(plan: Plan, inputs: Inputs, passes: Passes) -> Tensor:
    """Weight of the source times the factors that multiply their own term, (V, s, P)."""
    factor = inputs.weight[passes.sources, None].expand(passes.shape)
    points = passes.points
    if plan.capture_mode is FactorMode.PER_TERM and points.capture is not None:
        factor = factor * points.capture.unsqueeze(1)
    if plan.polar_mode is FactorMode.PER_TERM and passes.polarization is not None:
        factor = factor * passes.polarization
    if plan.omega_mode is FactorMode.PER_TERM:
        factor = factor * points.solid_angle.unsqueeze(1)
    return factor


def _chunks(plan: Plan, n_pixels: int, single: bool) -> list[tuple[int, int, slice]]:
    """(first point, last point, sources) in loop order; one pass each if `single`."""
    if single:
        return [(v, v + 1, slice(s, s + 1)) for v in range(plan.n_points) for s in range(plan.n_sources)]
    return [(first, last, s) for first, last, sources in pass_blocks(plan, n_pixels) for s in sources]


class _Cached:
    """The factors that are evaluated once per pixel (scene.py, last paragraph of the docstring)."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.solid_angle: Tensor | None = None
        self.capture: Tensor | None = None
        self.polarization: Tensor | None = None
        self.fallback: Tensor | None = None
        self.found: Tensor | None = None

    def see(self, first: int, passes: Passes) -> None:
        """Take what a chunk holds of them; chunks come in loop order."""
        plan, points = self.plan, passes.points
        last_layer = (plan.n_layers - 1) * plan.n_sub**2
        if first == 0 and passes.sources.start == 0:
            self.solid_angle = points.solid_angle[0]
            self.fallback = None if passes.polarization is None else passes.polarization[0, 0]
        if first <= last_layer < first + passes.shape[0] and points.capture is not None:
            self.capture = points.capture[last_layer - first]
        if passes.kept is None:
            self.polarization = self.fallback if self.polarization is None else self.polarization
            return
        kept = passes.kept.flatten(0, 1)
        any_kept = kept.any(0)
        if passes.polarization is not None:
            earliest = kept.to(torch.uint8).argmax(0, keepdim=True)
            value = passes.polarization.flatten(0, 1).gather(0, earliest)[0]
            if self.polarization is None or self.found is None:
                self.polarization = value
            else:
                self.polarization = torch.where(self.found, self.polarization, value)
        self.found = any_kept if self.found is None else self.found | any_kept

    def apply(self, value: Tensor) -> Tensor:
        """The value times the cached factors; 0 where DMIN_ZEROES_WATER has it so."""
        plan = self.plan
        if plan.capture_mode is FactorMode.CACHED and self.capture is not None:
            value = value * self.capture
        if plan.polarized and plan.polar_mode is FactorMode.CACHED:
            polarization = self.polarization
            assert polarization is not None and self.fallback is not None
            if self.found is not None:
                polarization = torch.where(self.found, polarization, self.fallback)
            value = value * polarization
        if plan.omega_mode is FactorMode.CACHED:
            assert self.solid_angle is not None
            value = value * self.solid_angle
        zeroes = plan.dmin_zeroes_water and plan.polarized and plan.polar_mode is not FactorMode.CUMULATIVE
        if zeroes and self.found is not None:
            value = torch.where(self.found, value, torch.zeros_like(value))
        return value


def watch_pixel(plan: Plan, inputs: Inputs, position: int, watcher: Watcher) -> Tensor:
    """Photons () of the pixel at a position in `Plan.pixels`, rendered alone and watched."""
    return _block(plan, inputs, position, position + 1, Eager(show=watcher.evaluations), watcher).to(plan.dtype)[0]


def _block(
    plan: Plan, inputs: Inputs, begin: int, end: int, kernel: Evaluations, watcher: Watcher | None = None
) -> Tensor:
    """Photons (P,), float64, of the pixels at positions begin ... end-1."""
    if plan.cumulative:
        assert isinstance(kernel, Eager)  # the others have the sum of the terms alone
        return _cumulative_block(plan, inputs, begin, end, kernel, watcher)
    pixels = plan.pixels[begin:end]
    single = _single(plan, begin)
    total = torch.zeros(end - begin, dtype=torch.float64, device=pixels.device)
    cached = _Cached(plan)
    points, located = None, -1
    for first, last, sources in _chunks(plan, end - begin, single):
        if points is None or located != first:
            points, located = detector.locate(plan, inputs, pixels, first, last), first
        passes = make_passes(plan, inputs, points, sources)
        cached.see(first, passes)
        if watcher is not None:
            watcher.passes(first, passes)
        single_pass = first * plan.n_sources + sources.start
        vectors = passes.vectors.flatten(1)
        seen = seen_by(plan, inputs, sources)
        bragg: Tensor | None = None
        for some in orientation_blocks(plan, vectors.shape[1]):
            cells = _cells(plan, inputs, begin, single_pass)[:, some]
            interpolate = _interpolate(plan, begin, single_pass, some, vectors)
            if watcher is not None:
                watcher.orientations(single_pass, some, cells)
            part = kernel.total(plan, seen, some, cells, vectors, interpolate)
            bragg = part if bragg is None else bragg + part
        assert bragg is not None
        photons = bragg.view(passes.shape) * inputs.scale
        if passes.kept is not None:
            photons = torch.where(passes.kept, photons, torch.zeros_like(photons))
        if not plan.background_in_sum:
            photons = photons + inputs.background
        total = total + (photons * per_term_factor(plan, inputs, passes)).sum((0, 1))
    if plan.background_in_sum:
        total = total + inputs.background
    if watcher is not None:
        watcher.total(total)
    return cached.apply(total)


def _cumulative_block(
    plan: Plan, inputs: Inputs, begin: int, end: int, eager: Eager, watcher: Watcher | None
) -> Tensor:
    """As `_block` under OVERSAMPLE_CUMULATIVE: a term is multiplied by the factors of all evaluations after it.

    The passes are taken backwards, carrying the product of the factors so far.
    """
    pixels = plan.pixels[begin:end]
    single = _single(plan, begin)
    total = torch.zeros(end - begin, dtype=torch.float64, device=pixels.device)
    tail = torch.ones_like(total)
    cached = _Cached(plan)
    chunks = _chunks(plan, end - begin, True)
    for first, last, sources in chunks:
        points = detector.locate(plan, inputs, pixels, first, last)
        passes = make_passes(plan, inputs, points, sources)
        cached.see(first, passes)
        if watcher is not None:
            watcher.passes(first, passes)
    for first, last, sources in reversed(chunks):
        points = detector.locate(plan, inputs, pixels, first, last)
        passes = make_passes(plan, inputs, points, sources)
        single_pass = first * plan.n_sources + sources.start
        factor = torch.ones_like(total)
        if plan.capture_mode is FactorMode.CUMULATIVE and points.capture is not None:
            factor = factor * points.capture[0]
        if plan.polar_mode is FactorMode.CUMULATIVE and passes.polarization is not None:
            factor = factor * passes.polarization[0, 0]
        if plan.omega_mode is FactorMode.CUMULATIVE:
            factor = factor * points.solid_angle[0]
        weight = per_term_factor(plan, inputs, passes)[0, 0]
        kept = None if passes.kept is None else passes.kept[0, 0]
        vectors = passes.vectors.flatten(1)
        for some in reversed(list(orientation_blocks(plan, vectors.shape[1]))):
            cells = _cells(plan, inputs, begin, single_pass if single else -1)[:, some]
            interpolate = _interpolate(plan, begin, single_pass, some, vectors)
            if watcher is not None:
                watcher.orientations(single_pass, some, cells)
            terms = eager.terms(plan, seen_by(plan, inputs, sources), some, cells, vectors, interpolate).to(
                torch.float64
            )
            counted = terms.new_ones(terms.shape)
            if plan.skip_lattice_zeros:
                counted = (eager.form(plan, inputs, cells, vectors) != 0).to(torch.float64)
            if kept is not None:
                counted = torch.where(kept, counted, torch.zeros_like(counted))
                terms = torch.where(kept, terms, torch.zeros_like(terms))
            after = counted.flip(0).cumsum(0).flip(0)
            total = total + tail * weight * (terms * factor**after).sum(0)
            tail = tail * factor ** after[0]
    total = total * inputs.scale
    if plan.background_in_sum:
        total = total + inputs.background * tail
    else:
        for first, last, sources in chunks:
            points = detector.locate(plan, inputs, pixels, first, last)
            total = total + inputs.background * per_term_factor(
                plan, inputs, make_passes(plan, inputs, points, sources)
            ).sum((0, 1))
    if watcher is not None:
        watcher.total(total)
    return cached.apply(total)
