"""Scenes to differentiate, and their derivatives through the core."""

from __future__ import annotations

from dataclasses import replace

import grid
import numpy as np
from experiments import BLOCK, base, with_values

from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS

NAMES = _core.continuous_fields


def scene_of(experiment):
    """Its Scene, shifted by a few nanometers: the grid's round numbers put indices exactly on the nodes of the table, where
    the interpolated structure factor has a kink and rounding decides between its two slopes."""
    scene = derive(resolve(experiment), FLOAT_OPS)
    return replace(scene, pix0=scene.pix0 + np.array([3e-9, 5e-9, -4e-9]))


def corrected_row(row):
    """The experiment of a row of the option grid, in corrected fidelity."""
    return grid.experiment_of(row | {"fidelity": 0})


def varied(**settings):
    """The experiment of the torch tests, in which every field matters, with some of it changed."""
    return with_values(base(), {path.replace("__", "."): value for path, value in settings.items()})


MATRIX = {"crystal__n_cells": (1, 1, 1), "crystal__block_matrix": BLOCK}
VARIANTS = {
    "square": varied(crystal__shape="square"),
    "small square": varied(crystal__n_cells=(1, 3, 2)),
    "large square": varied(crystal__n_cells=(13, 9, 20)),
    "round": varied(crystal__shape="round"),
    "gauss": varied(crystal__shape="gauss"),
    "tophat": varied(crystal__shape="tophat"),
    "nearest": varied(sampling__interpolate="nearest"),
    "curved": varied(detector__curved=True),
    "point pixels": varied(detector__point_pixel=True),
    "curved point pixels, round": varied(
        detector__curved=True, detector__point_pixel=True, crystal__shape="round", sampling__interpolate="nearest"
    ),
    "sub-pixels": varied(sampling__oversample=2),
    "d_min": varied(sampling__d_min_angstrom=6.0),
    "unpolarized": varied(beam__polarized=False),
    "oblong pixels": varied(detector__pixel_size_mm=(2.0, 1.7), sampling__oversample=2),
    "curved oblong pixels": varied(detector__pixel_size_mm=(1.8, 2.3), detector__curved=True),
    "axis along the beam": varied(beam__polarization_axis=(1.0, 0.0, 0.0)),
    "curved gauss": varied(detector__curved=True, crystal__shape="gauss"),
    "curved tophat": varied(detector__curved=True, crystal__shape="tophat", beam__polarized=False),
    "curved sub-pixels, d_min": varied(detector__curved=True, sampling__oversample=2, sampling__d_min_angstrom=6.0),
    "curved, axis along the beam": varied(detector__curved=True, beam__polarization_axis=(1.0, 0.0, 0.0)),
    "gauss, matrix": varied(crystal__shape="gauss", **MATRIX),
    "tophat, matrix": varied(crystal__shape="tophat", **MATRIX),
    "curved round, matrix": varied(detector__curved=True, crystal__shape="round", **MATRIX),
}
"""Between them, every branch of the sum."""


def image(scene):
    """Photons of the rendered pixels, by the scalar kernel."""
    core = _core.CoreScene(scene)
    out = np.zeros(core.n_pixels)
    core.render(0, core.n_pixels, out, _core.CancelFlag())
    return out


def cotangent_of(scene):
    """Fixed random weights of the rendered pixels."""
    return np.random.default_rng(5).standard_normal(scene.n_pixels)


def gradients(scene, cotangent, names=NAMES, kernel="scalar"):
    """Gradients of cotangent . image by field, in the shapes of the fields."""
    core = _core.CoreScene(scene)
    assert not _core.adjoint_obstacle(core)
    found = _core.Gradients(core, names)
    assert found.pull_back(0, core.n_pixels, cotangent, _core.CancelFlag(), kernel)
    return {name: found.values[name].reshape(np.shape(getattr(scene, name))) for name in names}


def random_tangents(scene, count, names=NAMES):
    """(K, size) by field: random directions, about as long as the value of the field."""
    rng = np.random.default_rng(6)
    found = {}
    for name in names:
        value = np.asarray(getattr(scene, name), dtype=np.float64)
        found[name] = rng.standard_normal((count, value.size)) * np.abs(value).max(initial=0.0)
    return found


def push(scene, tangents, kernel="scalar"):
    """Tangents (K, n_pixels) of the image."""
    moving = _core.Tangents(_core.CoreScene(scene), tangents)
    out = np.full((moving.count, scene.n_pixels), np.nan)
    assert moving.push_forward(0, scene.n_pixels, out, _core.CancelFlag(), kernel)
    return out
