"""Kahn's polarization factor, as a quadratic form in the direction of the scattered ray.

With k the incident direction and E, B the unit vectors along electric and magnetic field, psi = -atan2(D.B, D.E) and
sin^2(2 theta) = (D.E)^2 + (D.B)^2, so that cos(2 psi) sin^2(2 theta) = (D.E)^2 - (D.B)^2 and the factor
(1 + cos^2(2 theta) - K cos(2 psi) sin^2(2 theta))/2 of docs/model.md, Polarization, is (1 + D . M . D)/2 with

    M = k k^T - K (E E^T - B B^T).

This has a gradient everywhere, in the forward direction too.
"""

from __future__ import annotations

import torch
from torch import Tensor


def polarization_matrices(kahn_factor: Tensor, axis: Tensor, incident: Tensor) -> Tensor:
    """M of every source.

    Parameters
    ----------
    kahn_factor : Tensor, shape ()
        Degree of polarization K.
    axis : Tensor, shape (3,)
        Along the electric field; its component along the beam is dropped.
    incident : Tensor, shape (n_sources, 3)
        Unit vectors along the rays.

    Returns
    -------
    Tensor, shape (n_sources, 3, 3)
    """
    magnetic = torch.linalg.cross(axis.expand_as(incident), incident)
    length_sqr = (magnetic * magnetic).sum(-1, keepdim=True)
    parallel = (
        length_sqr == 0
    )  # the axis lies along the beam: psi = 0, and the factor is the unpolarized one with K s^2
    magnetic = magnetic / torch.where(parallel, torch.ones_like(length_sqr), length_sqr).sqrt()
    electric = torch.linalg.cross(incident, magnetic)
    along = _outer(incident)
    split = torch.where(
        parallel[..., None],
        torch.eye(3, dtype=incident.dtype, device=incident.device) - along,
        _outer(electric) - _outer(magnetic),
    )
    return along - kahn_factor * split


def _outer(v: Tensor) -> Tensor:
    return v[..., :, None] * v[..., None, :]
