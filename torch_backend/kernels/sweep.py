"""Derivatives of the corrected sum, block by block: reverse mode (`pull_back`) and forward mode (`push_forward`).

One sweep each, without a tape. With g = weight x polarization x solid angle x capture of a pass, T its sum of F_cell^2 form
over the orientations, and V = F_cell^2 d form/dh + form dF_cell^2/dh for every evaluation, the image is

    J = SUM over passes of  g (scale T + background)

and for a cotangent c of J, with w = c g scale,

    d/dT = w,   d/dg = c (scale T + background),   d/d(cell axis) = SUM w V S,   dS = SUM w V (cell axis).

Scene.py has the sum, `detector` the derivatives of directions, solid angles and capture fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nanobragg.torch_backend.kernels import detector
from nanobragg.torch_backend.kernels.algebra import dot, transform
from nanobragg.torch_backend.kernels.evaluations import Evaluations
from nanobragg.torch_backend.kernels.inputs import GEOMETRY, NAMES, Inputs, Plan, seen_by
from nanobragg.torch_backend.kernels.kernel import Passes, make_passes, orientation_blocks, pass_blocks, pixel_blocks
from nanobragg.torch_backend.kernels.lattice import Slopes
from nanobragg.torch_backend.kernels.lookup import Lookup
from torch import Tensor

_SPOT = frozenset({"spot", "fudge"})


@dataclass(frozen=True)
class _Derivatives:
    """A block of evaluations: sums and slopes."""

    form: Slopes
    lookup: Lookup
    axes: Tensor
    """V, (n_axes, o, m)"""

    @property
    def value(self) -> Tensor:
        """F_cell^2 form (o, m)"""
        return self.form.form * self.lookup.squared


def _derivatives(
    plan: Plan, inputs: Inputs, kernel: Evaluations, some: slice, vectors: Tensor
) -> tuple[_Derivatives, Tensor]:
    """Derivatives, and the offsets (n_axes, o, m); the form and its slopes bear the weights of the domains."""
    form, lookup, offset = kernel.derivatives(plan, inputs, inputs.cells[:, some], vectors)
    if len(inputs.domains):
        form = form.times(inputs.domains[some].to(form.form.dtype))
    axes = form.offset * lookup.squared
    if lookup.slope is not None:
        axes = axes + lookup.slope * form.form
    return _Derivatives(form, lookup, axes), offset


class _Totals:
    """Gradients under construction, float64 but for the table."""

    def __init__(self, inputs: Inputs, wanted: frozenset[str]) -> None:
        self.wanted = wanted
        self.grads = {name: torch.zeros_like(getattr(inputs, name)) for name in NAMES if name in wanted}

    def add(self, name: str, value: Tensor) -> None:
        """Add a contribution, if the gradient is wanted at all."""
        if name in self.wanted:
            self.grads[name] += value


def pull_back(
    plan: Plan, inputs: Inputs, kernel: Evaluations, cotangent: Tensor, wanted: frozenset[str]
) -> dict[str, Tensor]:
    """Gradients of the named inputs.

    Parameters
    ----------
    plan, inputs, kernel
        As for `kernel.render`; ``plan.per_term`` must hold.
    cotangent : Tensor, shape (n_pixels,)
        Gradient of the loss with respect to the pixels.
    wanted : frozenset of str
        Names of `Inputs` fields.
    """
    totals = _Totals(inputs, wanted)
    for begin, end in pixel_blocks(plan):
        weights = cotangent[begin:end].to(torch.float64)
        for first, last, slices in pass_blocks(plan, end - begin):
            points = detector.locate(plan, inputs, plan.pixels[begin:end], first, last)
            toward = torch.zeros_like(points.direction)
            factor = torch.zeros_like(points.solid_angle)
            for sources in slices:
                passes = make_passes(plan, inputs, points, sources)
                one = _pull_passes(plan, inputs, kernel, passes, weights, totals)
                if wanted & GEOMETRY:
                    toward, factor = toward + one[0], factor + one[1]
            if wanted & GEOMETRY:
                for name, value in detector.pull_back(plan, inputs, points, toward, factor).items():
                    totals.add(name, value)
    return totals.grads


def _pull_passes(
    plan: Plan, inputs: Inputs, kernel: Evaluations, passes: Passes, cotangent: Tensor, totals: _Totals
) -> tuple[Tensor, Tensor]:
    """Gradients of directions (3, V, P) and of solid angle x capture (V, P) that come through some sources."""
    points, some = passes.points, passes.sources
    weight = inputs.weight[some, None]
    polarized = weight if passes.polarization is None else weight * passes.polarization
    g = (polarized * points.factor.unsqueeze(1)).expand(passes.shape)
    upon = g * cotangent
    if passes.kept is not None:
        kept = torch.where(passes.kept, upon, torch.zeros_like(upon))
    else:
        kept = upon
    sums, vectors = _pull_evaluations(plan, inputs, kernel, passes, kept * inputs.scale, totals)
    totals.add("scale", (kept * sums).sum())
    totals.add("background", upon.sum())
    if not totals.wanted & GEOMETRY:
        return vectors, vectors
    photons = sums * inputs.scale
    if passes.kept is not None:
        photons = torch.where(passes.kept, photons, torch.zeros_like(photons))
    d_g = cotangent * (photons + inputs.background)

    direction = points.direction.unsqueeze(2)
    wavenumber = inputs.wavenumber[some, None]
    toward = vectors * wavenumber
    if totals.wanted & {"incident", "wavenumber"}:
        away = direction - inputs.incident[:, None, some, None]
        totals.add("incident", _placed(-toward.sum((1, 3)), inputs.incident, some, 1))
        totals.add("wavenumber", _placed(dot(vectors, away).sum((0, 2)), inputs.wavenumber, some, 0))
    through = d_g * points.factor.unsqueeze(1)
    if passes.polarization is None:
        totals.add("weight", _placed(through.sum((0, 2)), inputs.weight, some, 0))
    else:
        totals.add("weight", _placed((through * passes.polarization).sum((0, 2)), inputs.weight, some, 0))
        tilt = through * weight
        turned = transform(inputs.polar[some], points.direction.unsqueeze(0)).permute(1, 2, 0, 3)
        toward = toward + turned * tilt
        if "polar" in totals.wanted:
            d = points.direction.flatten(1)
            parts = tilt.transpose(0, 1).flatten(1).unsqueeze(1) * d
            totals.add("polar", _placed(0.5 * parts @ d.T, inputs.polar, some, 0))
    return toward.sum(2), (d_g * polarized).sum(1)


def _placed(value: Tensor, like: Tensor, some: slice, axis: int) -> Tensor:
    """`value` at the sources `some` of an array of all sources."""
    if value.shape == like.shape:
        return value
    full = torch.zeros_like(like)
    full.narrow(axis, some.start, value.shape[axis]).copy_(value)
    return full


def _pull_evaluations(
    plan: Plan, inputs: Inputs, kernel: Evaluations, passes: Passes, weight: Tensor, totals: _Totals
) -> tuple[Tensor, Tensor]:
    """Sums over the orientations (V, s, P) and gradient of the scattering vectors (3, V, s, P); `weight` is w."""
    vectors = passes.vectors.flatten(1)
    w = weight.flatten().to(plan.dtype)
    geometry = bool(totals.wanted & GEOMETRY)
    seen, entries = seen_by(plan, inputs, passes.sources), plan.entries(passes.sources)
    flat = vectors.to(plan.dtype)
    sums = torch.zeros_like(w, dtype=torch.float64)
    back = torch.zeros_like(vectors)
    for some in orientation_blocks(plan, vectors.shape[1]):
        cells = inputs.cells[:, some]
        found, offset = _derivatives(plan, seen, kernel, some, vectors)
        sums += found.value.sum(0)
        axes = found.axes
        weighted = axes * w if len(axes) else axes
        if "cells" in totals.wanted and len(axes):
            totals.grads["cells"][:, some] += (weighted.flatten(0, 1) @ flat.T).view(cells.shape)
        if geometry and len(axes):
            back += _back(cells.to(plan.dtype), weighted)
        if "table" in totals.wanted:
            found.lookup.scatter(totals.grads["table"][entries], found.form.form * w)
        if totals.wanted & _SPOT and found.form.rate is not None:
            assert found.form.spot is not None and found.form.radius is not None
            rate = found.form.rate * found.lookup.squared * w
            totals.add("fudge", (rate * found.form.radius).sum(dtype=torch.float64))
            if "spot" in totals.wanted:
                metric = (found.form.spot * rate).flatten(1) @ offset.flatten(1).T
                totals.add("spot", 2 * inputs.fudge * metric)
    return sums.view(passes.shape), back.view(passes.vectors.shape)


def _back(cells: Tensor, weighted: Tensor) -> Tensor:
    """Sum over axes and orientations of the cell axes times `weighted` (n_axes, o, m): (3, m)."""
    if cells.shape[1] <= 4:
        total = None
        for axis in range(cells.shape[0]):
            for o in range(cells.shape[1]):
                row = cells[axis, o, :, None]
                total = row * weighted[axis, o] if total is None else total.addcmul_(row, weighted[axis, o])
        assert total is not None
        return total
    return cells.reshape(-1, 3).T @ weighted.flatten(0, 1)


def push_forward(plan: Plan, inputs: Inputs, kernel: Evaluations, tangents: dict[str, Tensor]) -> Tensor:
    """Tangents (K, n_pixels) of the image for K tangents of the inputs.

    Parameters
    ----------
    plan, inputs, kernel
        As for `kernel.render`; ``plan.per_term`` must hold.
    tangents : dict
        For the fields of `Inputs` that move, a tensor with a leading axis of K.
    """
    count = len(next(iter(tangents.values())))
    moving = bool(tangents.keys() & GEOMETRY)
    if moving:  # the geometry moves as a whole
        still = {name: getattr(inputs, name) for name in GEOMETRY - tangents.keys()}
        tangents = tangents | {name: t.new_zeros(()).expand(count, *t.shape) for name, t in still.items()}
    parts = []
    for begin, end in pixel_blocks(plan):
        total = inputs.scale.new_zeros(count, end - begin)
        for first, last, slices in pass_blocks(plan, end - begin):
            points = detector.locate(plan, inputs, plan.pixels[begin:end], first, last)
            moved = detector.push_forward(plan, inputs, points, tangents) if moving else None
            for sources in slices:
                passes = make_passes(plan, inputs, points, sources)
                total += _push_passes(plan, inputs, kernel, passes, moved, tangents, count)
        parts.append(total.to(plan.dtype))
    return torch.cat(parts, 1)


def _push_passes(
    plan: Plan,
    inputs: Inputs,
    kernel: Evaluations,
    passes: Passes,
    moved: tuple[Tensor, Tensor] | None,
    tangents: dict[str, Tensor],
    count: int,
) -> Tensor:
    """(K, P)"""
    points, some = passes.points, passes.sources
    weight = inputs.weight[some, None]
    polarized = weight if passes.polarization is None else weight * passes.polarization
    g = polarized * points.factor.unsqueeze(1)
    d_vectors = d_g = None
    if moved is not None:
        d_vectors = _moved_vectors(inputs, points.direction, some, moved[0], tangents)
        d_polarized = _moved_weights(inputs, passes, moved[0], tangents)
        d_g = d_polarized * points.factor.unsqueeze(1) + polarized * moved[1].unsqueeze(2)
    sums, d_sums = _push_evaluations(plan, inputs, kernel, passes, d_vectors, tangents, count)
    photons, d_photons = sums * inputs.scale, d_sums * inputs.scale
    if "scale" in tangents:
        d_photons = d_photons + sums * tangents["scale"][:, None, None, None]
    if passes.kept is not None:
        photons = torch.where(passes.kept, photons, torch.zeros_like(photons))
        d_photons = torch.where(passes.kept, d_photons, torch.zeros_like(d_photons))
    if "background" in tangents:
        d_photons = d_photons + tangents["background"][:, None, None, None]
    d_image = g * d_photons
    if d_g is not None:
        d_image = d_image + d_g * (photons + inputs.background)
    return d_image.sum((1, 2))


def _moved_vectors(
    inputs: Inputs, direction: Tensor, some: slice, d_direction: Tensor, tangents: dict[str, Tensor]
) -> Tensor:
    """Tangents (K, 3, V, s, P) of the scattering vectors."""
    away = direction.unsqueeze(2) - inputs.incident[:, None, some, None]
    turning = d_direction.unsqueeze(3) - tangents["incident"][:, :, None, some, None]
    return turning * inputs.wavenumber[some, None] + away * tangents["wavenumber"][:, None, None, some, None]


def _moved_weights(inputs: Inputs, passes: Passes, d_direction: Tensor, tangents: dict[str, Tensor]) -> Tensor:
    """Tangents (K, V, s, P) of weight x polarization."""
    some, direction = passes.sources, passes.points.direction
    d_weight = tangents["weight"][:, None, some, None]
    if passes.polarization is None:
        return d_weight
    turned = transform(inputs.polar[some], direction.unsqueeze(0)).permute(1, 2, 0, 3)
    tilt = (turned * d_direction.unsqueeze(3)).sum(1)
    for k in range(len(d_direction)):
        shifted = transform(tangents["polar"][k, some], direction.unsqueeze(0))
        tilt[k] += 0.5 * dot(shifted, direction.unsqueeze(0), 1).transpose(0, 1)
    return d_weight * passes.polarization + inputs.weight[some, None] * tilt


def _push_evaluations(
    plan: Plan,
    inputs: Inputs,
    kernel: Evaluations,
    passes: Passes,
    d_vectors: Tensor | None,
    tangents: dict[str, Tensor],
    count: int,
) -> tuple[Tensor, Tensor]:
    """Sums over the orientations (V, s, P) and their tangents (K, V, s, P)."""
    vectors = passes.vectors.flatten(1)
    flat = vectors.to(plan.dtype)
    seen, entries = seen_by(plan, inputs, passes.sources), plan.entries(passes.sources)
    d_flat = None if d_vectors is None else d_vectors.flatten(2).to(plan.dtype)
    sums = torch.zeros_like(vectors[0])
    d_sums = vectors.new_zeros(count, vectors.shape[1])
    for some in orientation_blocks(plan, vectors.shape[1]):
        cells = inputs.cells[:, some]
        found, offset = _derivatives(plan, seen, kernel, some, vectors)
        sums += found.value.sum(0)
        if "cells" in tangents and len(found.axes):
            d_sums += _along_cells(found.axes, tangents["cells"][:, :, some].to(plan.dtype), flat)
        if d_flat is not None and len(found.axes):
            back = _back(cells.to(plan.dtype), found.axes)
            d_sums += dot(d_flat, back.unsqueeze(0), 1)
        for k in range(count):
            if "table" in tangents:
                d_sums[k] += (found.form.form * found.lookup.tangent(tangents["table"][k][entries])).sum(0)
            if found.form.rate is not None and tangents.keys() & _SPOT:
                d_sums[k] += _along_spot(inputs, found, offset, tangents, k)
    return sums.view(passes.shape), d_sums.view(-1, *passes.shape)


def _along_cells(axes: Tensor, d_cells: Tensor, vectors: Tensor) -> Tensor:
    """(K, m): sum over axes and orientations of V d_cell . S."""
    if axes.shape[1] > 8:
        return dot(torch.einsum("aom,kaoc->kcm", axes, d_cells), vectors.unsqueeze(0), 1)
    toward = torch.stack([_back(d_cell, axes) for d_cell in d_cells])
    return dot(toward, vectors.unsqueeze(0), 1)


def _along_spot(inputs: Inputs, found: _Derivatives, offset: Tensor, tangents: dict[str, Tensor], k: int) -> Tensor:
    """(m,): change of the form through the metric of the spot and the fudge factor."""
    assert found.form.rate is not None and found.form.spot is not None and found.form.radius is not None
    change = torch.zeros_like(found.form.radius)
    if "spot" in tangents:
        metric = (tangents["spot"][k].to(offset.dtype) @ offset.flatten(1)).view_as(offset)
        change = change + 2 * dot(found.form.spot, metric) * inputs.fudge.to(offset.dtype)
    if "fudge" in tangents:
        change = change + found.form.radius * tangents["fudge"][k].to(offset.dtype)
    return (found.form.rate * found.lookup.squared * change).sum(0)
