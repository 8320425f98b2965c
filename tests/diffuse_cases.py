"""The diffuse intensity of a crystal at indices of one's choice, from an image of one pixel."""

from __future__ import annotations

import numpy as np
from laboratory import R_E_SQR
from scipy.spatial.transform import Rotation

import nanobragg as nb

CELL = (80.0, 80.0, 40.0, 90.0, 90.0, 90.0)
N_CELLS = (20, 20, 20)
FLUENCE = 1e30


def stars(cell):
    """Rows a*, b*, c* [1/Angstrom] of a cell, a* along x."""
    a, b, c = cell[:3]
    alpha, beta, gamma = np.radians(cell[3:])
    cx, cy = c * np.cos(beta), c * (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    real = np.array(
        [[a, 0, 0], [b * np.cos(gamma), b * np.sin(gamma), 0], [cx, cy, np.sqrt(c * c - cx * cx - cy * cy)]]
    )
    return np.linalg.inv(real).T


def at_indices(hkl, diffuse, cell=CELL, factors=100.0, **crystal):
    """An experiment of one pixel, unpolarized, whose ray has these indices: its detector stands there, its crystal is turned."""
    star = stars(cell)
    q = np.asarray(hkl, float) @ star
    twotheta = 2 * np.arcsin(np.linalg.norm(q) / 2)
    ray, slow = np.array([np.cos(twotheta), np.sin(twotheta), 0]), np.array([-np.sin(twotheta), np.cos(twotheta), 0])
    turn, _ = Rotation.align_vectors((ray - [1, 0, 0])[None], q[None])
    table = factors if isinstance(factors, nb.StructureFactors) else nb.StructureFactors.constant(factors)
    return nb.Experiment(
        crystal=nb.Crystal(
            a_star_matrix=star @ turn.as_matrix().T, shape="gauss", structure_factors=table, diffuse=diffuse,
            **({"n_cells": N_CELLS} | crystal),
        ),
        beam=nb.Beam(
            wavelength_angstrom=1.0, polarized=False, direction=(1, 0, 0), polarization_axis=(0, 0, 1), fluence_per_m2=FLUENCE
        ),
        detector=nb.Detector(
            n_fast=1, n_slow=1, pixel_size_mm=1e-4, convention="custom", fast_axis=(0, 0, 1), slow_axis=tuple(slow),
            pix0_mm=tuple(100 * ray - 0.5e-4 * slow - [0, 0, 0.5e-4]),
        ),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )  # fmt: skip


def intensity(hkl, diffuse, *, backend="c", kernel="auto", **crystal):
    """I_D [electrons^2] at these indices, of the crystal in `at_indices`."""
    parts = nb.simulate(at_indices(hkl, diffuse, **crystal), backend=backend, kernel=kernel, parts=True)
    return float(parts["diffuse"][0, 0]) / (R_E_SQR * FLUENCE * (1e-7 / 0.1) ** 2)
