"""Which reflections may give photons to a panel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.prediction.spots import blocks, reach
from nanobragg.derivation.scene import Scene
from nanobragg.errors import ConfigError

_MOST = 50_000_000
"""Reflections that are looked at."""


class Mean:
    """The scene's crystal and beam in the mean, and how far they are spread."""

    def __init__(self, scene: Scene) -> None:
        self.crystals = np.asarray(scene.orientations, dtype=np.float64).reshape(-1, 3, 3) * 1e10
        """(n, 3, 3) rows a, b, c of every phi step and domain [Angstrom]"""
        share = np.ones(scene.n_domains) if scene.domain_weight is None else np.asarray(scene.domain_weight)
        share = np.tile(share, len(self.crystals) // len(share))
        self.real = _nearest(self.crystals, share)
        self.reciprocal = np.linalg.inv(self.real)
        """columns a*, b*, c* [1/Angstrom]"""
        weight = np.asarray(scene.weight, dtype=np.float64)
        incident = np.asarray(scene.incident, dtype=np.float64)
        wavelength = np.asarray(scene.wavelength, dtype=np.float64) * 1e10
        self.wavelength = float(weight @ wavelength / weight.sum())
        beam = weight @ incident
        self.beam = beam / np.linalg.norm(beam)
        turned = np.einsum("ij,njk->nik", self.reciprocal, self.crystals) - np.eye(3)
        angles = np.linalg.norm(turned[share > 0], axis=(1, 2)) / math.sqrt(2)
        rays = np.linalg.norm(incident - self.beam, axis=1)
        bands = np.abs(wavelength / self.wavelength - 1)
        self.turn = float(angles.max() + rays.max() + bands.max())
        """largest change of direction and relative change of length of S against the mean [rad]"""
        self.size = self.size_of(scene)
        """radius of the spot in reciprocal space [1/Angstrom]"""

    def size_of(self, scene: Scene) -> float:
        """The radius of the spot [1/Angstrom] for the blocks of a scene of this crystal."""
        size = blocks(scene)[0] @ self.real
        return reach(scene) / float(np.linalg.svd(size, compute_uv=False)[-1])


def _nearest(crystals: NDArray[Any], share: NDArray[Any]) -> NDArray[np.float64]:
    """The crystal in the middle: the mean, each counted by its share, with the shape of the cell restored."""
    mean = np.average(crystals, axis=0, weights=share)
    if len(crystals) == 1:
        return np.asarray(mean)
    u, _, v = np.linalg.svd(np.linalg.inv(crystals[0]) @ mean)
    return np.asarray(crystals[0] @ (u @ v))


def candidates(scene: Scene, mean: Mean, d_min: float) -> NDArray[np.int32]:
    """Indices of the reflections that come within reach of the Ewald sphere, shape (n, 3).

    Raises
    ------
    ConfigError
        When there are too many for the cell and `d_min`.
    """
    most = np.floor(np.linalg.norm(mean.real, axis=1) / d_min).astype(int)
    count = float(np.prod(2.0 * most + 1))
    if count > _MOST:
        raise ConfigError(
            "d_min",
            d_min,
            f"{count:.3g} reflections would have to be looked at",
            f"at most {_MOST}: write a larger d_min",
        )
    rest = (np.arange(-n, n + 1) for n in most[1:])
    plane = np.stack([a.ravel() for a in np.meshgrid(*rest, indexing="ij")], -1)
    beam = mean.beam / mean.wavelength
    found = []
    for h in range(-most[0], most[0] + 1):
        vector = mean.reciprocal[:, 0] * h + plane @ mean.reciprocal[:, 1:].T
        length = np.linalg.norm(vector, axis=1)
        error = np.linalg.norm(vector + beam, axis=1) - 1 / mean.wavelength
        near = (np.abs(error) < mean.size + mean.turn * length) & (length <= 1 / d_min) & (length > 0)
        rows = plane[near]
        found.append(np.column_stack([np.full(len(rows), h), rows]))
    return np.concatenate(found).astype(np.int32)


def amplitudes(scene: Scene, hkl: NDArray[Any]) -> NDArray[np.float64]:
    """Structure factors [electrons] of indices (n, 3); of several tables the root mean square over the sources."""
    values = np.full(len(hkl), float(scene.default_F))
    if math.prod(scene.table_shape):
        tables = np.asarray(scene.f_table).reshape(scene.n_tables, *scene.table_shape)
        place = hkl - np.asarray(scene.hkl_min)
        inside = ((place >= 0) & (place < scene.table_shape)).all(-1)
        found = tables[:, *place[inside].T]
        if scene.source_table is None:
            values[inside] = found[0]
        else:
            share = np.bincount(scene.source_table, np.asarray(scene.weight), scene.n_tables)
            values[inside] = np.sqrt(share @ found**2 / share.sum())
    return values
