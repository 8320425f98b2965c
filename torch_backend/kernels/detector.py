"""Detector geometry of a block: positions, directions, solid angles, capture fractions (docs/model.md).

Every array has the shape (..., n_points, n_pixels); vectors stand on the first axis. `locate` is the forward model,
`pull_back` its reverse-mode and `push_forward` its forward-mode derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nanobragg.torch_backend.kernels.algebra import cross, dot, transform
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan
from torch import Tensor


@dataclass(frozen=True)
class Points:
    """The points of a block, and what their derivatives need again."""

    pixel: Tensor
    """(2, P) sub-pixel steps along fast and slow to the corner of the pixel"""
    inside: Tensor
    """(4, V) sub-pixel steps along fast and slow from that corner, layer, 1"""
    flat: Tensor
    """(3, V, P) position on the flat detector [m]"""
    direction: Tensor
    """(3, V, P) unit vectors"""
    inverse: Tensor
    """(V, P) 1/distance [1/m]"""
    solid_angle: Tensor
    """(V, P) [sr]"""
    capture: Tensor | None
    """(V, P); None: 1"""
    cosine: Tensor | None
    """(V, P) direction . normal"""
    decay: tuple[Tensor, Tensor] | None
    """(V, P) exp(-depth mu/cosine) in front of and behind the layer"""

    @property
    def factor(self) -> Tensor:
        """(V, P) solid angle x capture fraction."""
        return self.solid_angle if self.capture is None else self.solid_angle * self.capture


def locate(plan: Plan, inputs: Inputs, pixels: Tensor, first: int, last: int) -> Points:
    """The points first ... last-1 (index (layer * n_sub + sub_slow) * n_sub + sub_fast) of the given pixels."""
    pixel, inside = _steps(plan, pixels, first, last)
    flat = _span(inputs.frame, pixel, inside)
    position = _bend(inputs, flat)[-1] if plan.curved else flat
    inverse = dot(position, position).rsqrt()
    direction = position * inverse
    solid_angle = inverse * inverse * inputs.omega_scale
    if plan.omega_power == 3:
        solid_angle = solid_angle * inverse
    if not plan.has_sensor:
        return Points(pixel, inside, flat, direction, inverse, solid_angle, None, None, None)
    cosine = transform(inputs.normal[None], direction)[0]
    depth, layer = inputs.absorption / cosine, inside[2, :, None]
    front, back = torch.exp(-layer * depth), torch.exp(-(layer + 1) * depth)
    return Points(pixel, inside, flat, direction, inverse, solid_angle, front - back, cosine, (front, back))


def _steps(plan: Plan, pixels: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
    """`Points.pixel` and `Points.inside`."""
    index = pixels.to(torch.float64)
    slow = torch.floor((index + 0.5) / plan.n_fast)
    fast = index - slow * plan.n_fast
    n = plan.n_sub
    points = torch.arange(first, last, device=pixels.device)
    sub_fast, sub_slow, layer = points % n, points // n % n, points // (n * n)
    pixel = torch.stack([fast, slow]) * n
    inside = torch.stack([sub_fast + 0.5, sub_slow + 0.5, layer, torch.ones_like(layer)]).to(torch.float64)
    return pixel, inside


def _span(frame: Tensor, pixel: Tensor, inside: Tensor) -> Tensor:
    """(..., 3, V, P): positions from the frame (..., 4, 3)."""
    turned = frame.transpose(-1, -2)
    corner = transform(turned[..., :2], pixel.expand(*frame.shape[:-2], *pixel.shape))
    return corner.unsqueeze(-2) + (turned @ inside).unsqueeze(-1)


def pull_back(plan: Plan, inputs: Inputs, points: Points, direction: Tensor, factor: Tensor) -> dict[str, Tensor]:
    """Gradients of the inputs from those of the directions (3, V, P) and of solid angle x capture fraction (V, P)."""
    grads: dict[str, Tensor] = {}
    solid_angle = factor
    if points.capture is not None:
        assert points.cosine is not None and points.decay is not None
        solid_angle = factor * points.capture
        along = factor * points.solid_angle * _capture_slope(points) / points.cosine
        cosine = -along * inputs.absorption / points.cosine
        grads["absorption"] = along.sum()
        grads["normal"] = points.direction.flatten(1) @ cosine.flatten()
        direction = direction + cosine * inputs.normal[:, None, None]
    weighted = solid_angle * points.solid_angle
    grads["omega_scale"] = weighted.sum() / inputs.omega_scale
    # direction = position inverse, solid angle ~ inverse^power, and d inverse = -inverse^2 direction . d position
    radial = dot(points.direction, direction) + plan.omega_power * weighted
    position = (direction - points.direction * radial) * points.inverse
    if plan.curved:
        position = _unbend(inputs, points.flat, position, grads)
    frame = points.inside @ position.sum(2).T
    frame[:2] += points.pixel @ position.sum(1).T
    grads["frame"] = frame
    return grads


def push_forward(plan: Plan, inputs: Inputs, points: Points, tangents: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Tangents (K, 3, V, P) of the directions and (K, V, P) of solid angle x capture fraction.

    Every tangent has a leading axis of K directions.
    """
    position = _span(tangents["frame"], points.pixel, points.inside)
    if plan.curved:
        position = _bend_tangent(inputs, points.flat, position, tangents["arcs"], tangents["bend"])
    radial = dot(points.direction[None], position, 1) * points.inverse
    direction = position * points.inverse - points.direction * radial[:, None]
    solid_angle = points.solid_angle * (
        tangents["omega_scale"][:, None, None] / inputs.omega_scale - plan.omega_power * radial
    )
    if points.capture is None:
        return direction, solid_angle
    assert points.cosine is not None
    cosine = transform(tangents["normal"][:, None], points.direction[None])[:, 0]
    cosine = cosine + dot(direction, inputs.normal[None, :, None, None], 1)
    depth = (tangents["absorption"][:, None, None] - cosine * (inputs.absorption / points.cosine)) / points.cosine
    return direction, solid_angle * points.capture + points.solid_angle * _capture_slope(points) * depth


def _capture_slope(points: Points) -> Tensor:
    """d capture/d(absorption/cosine)."""
    assert points.decay is not None
    layer = points.inside[2, :, None]
    return (layer + 1) * points.decay[1] - layer * points.decay[0]


# --- the curved detector ------------------------------------------------------------------------------------------------


def _rotated(v: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Rodrigues' formula (docs/model.md, Order of operations) for vectors (3, ...) about one axis (3,)."""
    e = axis.reshape(3, *(1,) * angle.ndim)
    c, s = torch.cos(angle), torch.sin(angle)
    return e * (dot(e, v) * (1 - c)) + v * c + cross(e, v) * s


def _rotation_slope(v: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """d(rotated v)/d(angle)."""
    e = axis.reshape(3, *(1,) * angle.ndim)
    c, s = torch.cos(angle), torch.sin(angle)
    return e * (dot(e, v) * s) - v * s + cross(e, v) * c


def _bend(inputs: Inputs, flat: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Angles about slow and fast, the point after the first rotation, and the bent position."""
    about = transform(inputs.arcs[:, :3], flat) + inputs.arcs[:, 3, None, None]
    v = inputs.bend[0].reshape(3, 1, 1).expand_as(flat)
    once = _rotated(v, inputs.bend[1], about[0])
    return about[0], about[1], once, _rotated(once, inputs.bend[2], about[1])


def _unrotate(v: Tensor, axis: Tensor, angle: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of v, of the axis and of the angle from that of the rotated v."""
    e = axis.reshape(3, 1, 1)
    turn = 1 - torch.cos(angle)
    along, reach = dot(e, grad), dot(e, v)
    about = grad * (reach * turn) + v * (along * turn) + cross(v, grad) * torch.sin(angle)
    return _rotated(grad, axis, -angle), about.flatten(1).sum(1), dot(_rotation_slope(v, axis, angle), grad)


def _unbend(inputs: Inputs, flat: Tensor, grad: Tensor, grads: dict[str, Tensor]) -> Tensor:
    """Gradient of the flat position from that of the bent one; adds those of `arcs` and `bend`."""
    about_slow, about_fast, once, _ = _bend(inputs, flat)
    v = inputs.bend[0].reshape(3, 1, 1).expand_as(flat)
    grad, fast, d_fast = _unrotate(once, inputs.bend[2], about_fast, grad)
    grad, slow, d_slow = _unrotate(v, inputs.bend[1], about_slow, grad)
    grads["bend"] = torch.stack([grad.flatten(1).sum(1), slow, fast])
    about = torch.stack([d_slow, d_fast])
    grads["arcs"] = torch.cat([about.flatten(1) @ flat.flatten(1).T, about.flatten(1).sum(1, keepdim=True)], 1)
    return transform(inputs.arcs[:, :3].T, about)


def _rotate_tangent(v: Tensor, axis: Tensor, angle: Tensor, dv: Tensor, d_axis: Tensor, d_angle: Tensor) -> Tensor:
    """Tangent (K, 3, V, P) of the rotated v."""
    e, de = axis.reshape(3, 1, 1), d_axis.reshape(-1, 3, 1, 1)
    turn = 1 - torch.cos(angle)
    parts = []
    for k in range(de.shape[0]):
        part = _rotated(dv[k], axis, angle) + _rotation_slope(v, axis, angle) * d_angle[k]
        part = part + de[k] * (dot(e, v) * turn) + e * (dot(de[k], v) * turn) + cross(de[k], v) * torch.sin(angle)
        parts.append(part)
    return torch.stack(parts)


def _bend_tangent(inputs: Inputs, flat: Tensor, d_flat: Tensor, d_arcs: Tensor, d_bend: Tensor) -> Tensor:
    about_slow, about_fast, once, _ = _bend(inputs, flat)
    v = inputs.bend[0].reshape(3, 1, 1).expand_as(flat)
    about = transform(d_arcs[:, :, :3], flat[None]) + d_arcs[:, :, 3, None, None]
    about = about + torch.stack([transform(inputs.arcs[:, :3], part) for part in d_flat])
    dv = d_bend[:, 0].reshape(-1, 3, 1, 1).expand_as(d_flat)
    once_tangent = _rotate_tangent(v, inputs.bend[1], about_slow, dv, d_bend[:, 1], about[:, 0])
    return _rotate_tangent(once, inputs.bend[2], about_fast, once_tangent, d_bend[:, 2], about[:, 1])
