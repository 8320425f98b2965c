"""The vector versions of pull_back and push_forward: against the scalar one, and bit for bit among themselves."""

from __future__ import annotations

from dataclasses import replace

import grid
import numpy as np
import pytest
from scenes import (
    NAMES,
    VARIANTS,
    corrected_row,
    cotangent_of,
    gradients,
    image,
    push,
    random_tangents,
    scene_of,
    varied,
)

from nanobragg import _core

ROWS = grid.rows()
VECTOR = [name for name in _core.available_kernels if name.startswith("simd-")]
WITH_FMA = [name for name in VECTOR if name != "simd-baseline"]
pytestmark = [
    pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning"),
    pytest.mark.skipif(not VECTOR, reason="this build has no vector kernels"),
]


def nearest(experiment):
    """The scene without interpolation."""
    return scene_of(experiment.replace("sampling.interpolate", "nearest"))


def wide(experiment):
    """The scene on rows of 700 pixels, which take more than one block."""
    return scene_of(experiment.replace("detector.n_fast", 700).replace("detector.pixel_size_mm", 0.1))


def compare(scene, kernel, names=NAMES):
    cotangent = cotangent_of(scene)
    photons = np.abs(cotangent * image(scene)).sum()
    ours, theirs = gradients(scene, cotangent, names, kernel), gradients(scene, cotangent, names)
    for name in names:
        # what cancels out altogether leaves rounding, on the scale of the image over the field's value
        value = max(np.linalg.norm(getattr(scene, name)), 1e-300)
        size = max(np.linalg.norm(theirs[name]), 1e-6 * photons / value)
        assert np.linalg.norm(ours[name] - theirs[name]) <= 1e-9 * size, name
    tangents = random_tangents(scene, 3, names)
    ours, theirs = push(scene, tangents, kernel), push(scene, tangents)
    assert np.linalg.norm(ours - theirs) <= 1e-9 * np.linalg.norm(theirs)


@pytest.mark.parametrize("kernel", VECTOR)
@pytest.mark.parametrize("row", ROWS[::2], ids=range(0, len(ROWS), 2))
def test_pairwise(row, kernel):
    """Measured worst: 3e-11 of the norm of a gradient, 6e-12 of that of the tangents."""
    compare(scene_of(corrected_row(row)), kernel)


@pytest.mark.parametrize("kernel", VECTOR)
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant, kernel):
    """Measured worst: 1.7e-10 of the norm of a gradient (pixel size, large square), 4e-11 of that of the tangents."""
    compare(nearest(VARIANTS[variant]), kernel)
    compare(scene_of(VARIANTS[variant]), kernel)
    compare(wide(VARIANTS[variant]), kernel)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_not_the_scalar_version(variant):
    """Which rounds otherwise."""
    scene = scene_of(VARIANTS[variant])
    found = [
        gradients(scene, cotangent_of(scene), ["fluence", "orientations"], name) for name in ("scalar", VECTOR[-1])
    ]
    assert any(not np.array_equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize("kernel", VECTOR)
def test_structure_factors_all_alike(kernel):
    scene = replace(nearest(VARIANTS["square"]), f_table=np.zeros((0, 0, 0)))
    compare(scene, kernel, [name for name in NAMES if name != "f_table"])


@pytest.mark.parametrize("kernel", VECTOR)
def test_structure_factors_of_zero_get_no_gradient(kernel):
    """A term goes with the square."""
    scene = nearest(VARIANTS["square"])
    table = scene.f_table.copy()
    table[::2] = 0.0
    scene = replace(scene, f_table=table, default_F=0.0)
    found = gradients(scene, cotangent_of(scene), ["f_table", "default_F"], kernel)
    assert found["f_table"].any() and not found["f_table"][::2].any() and found["default_F"] == 0.0
    compare(scene, kernel)


@pytest.mark.parametrize("shape", ["gauss", "tophat"])
@pytest.mark.parametrize("kernel", VECTOR)
def test_skipped_pixels_change_nothing(kernel, shape):
    """Crystals of so many cells that most pixels of a row lie outside every spot."""
    settings = {"crystal__shape": shape, "crystal__n_cells": (40, 50, 60), "crystal__fudge": 1.0}
    scene = wide(varied(**settings))
    matrix = np.diag(scene.n_cells) + 5.0
    for given in (scene, replace(scene, has_block_matrix=True, block_matrix=matrix)):
        assert (image(given) > 0).any()
        compare(given, kernel)


SCENES = [scene_of(corrected_row(row)) for row in ROWS[1::4]] + [wide(variant) for variant in VARIANTS.values()]


@pytest.mark.skipif(len(WITH_FMA) < 2, reason="this machine has one kernel with fused multiply-add")
@pytest.mark.parametrize("scene", SCENES, ids=range(len(SCENES)))
def test_instruction_sets_agree_to_the_bit(scene):
    cotangent = cotangent_of(scene)
    one, other = (gradients(scene, cotangent, NAMES, kernel) for kernel in WITH_FMA[:2])
    for name in NAMES:
        assert np.array_equal(one[name], other[name]), name
    tangents = random_tangents(scene, 18, NAMES)
    assert np.array_equal(*(push(scene, tangents, kernel) for kernel in WITH_FMA[:2]))


@pytest.mark.parametrize("kernel", VECTOR)
@pytest.mark.parametrize("name", NAMES)
def test_every_field_moves_on_its_own(name, kernel):
    scene = nearest(VARIANTS["gauss"])
    tangents = random_tangents(scene, 2, [name])
    ours, theirs = push(scene, tangents, kernel), push(scene, tangents)
    assert np.linalg.norm(ours - theirs) <= 1e-9 * np.linalg.norm(theirs)


@pytest.mark.parametrize("kernel", VECTOR)
def test_an_index_exactly_on_a_lattice_point(kernel):
    scene = nearest(varied(crystal__n_cells=(20, 9, 1)))
    scene = replace(
        scene, pixels=np.array([0]), pix0=np.array([0.1, 0.0, 0.0]), fast=np.zeros(3), slow=np.zeros(3),
        incident=np.array([[1.0, 0.0, 0.0]] * 2), layer_thickness=0.0, interpolation_off=(1, 0),
    )  # fmt: skip
    found = gradients(scene, np.ones(1), NAMES, kernel)
    assert not found["orientations"].any()
    assert all(np.isfinite(values).all() for values in found.values())
