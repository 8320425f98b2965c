"""The choice of a kernel, and what the vector kernels must not change: crops, masks, threads; skipping; mixed precision."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from handmade_scene import busy, corrected, worked_example

from nanobragg import _core
from nanobragg.derivation.scene import FactorMode, Shape
from nanobragg.engines import c as backend_c
from nanobragg.errors import CoreError

VECTOR_KERNELS = [name for name in _core.available_kernels if name != "scalar"]
pytestmark = pytest.mark.skipif(not VECTOR_KERNELS, reason="this build has no vector kernel")
EVERY = pytest.mark.parametrize("kernel", VECTOR_KERNELS)


def wide(**changes):
    """A detector of 1300 x 3 pixels whose rows take several blocks of the kernel; indices leave the table at both ends."""
    base = {
        "n_fast": 1300,
        "n_slow": 3,
        "pixels": np.arange(3900),
        "pixel_size": np.array([5e-5, 5e-5]),
        "pixel_area": 2.5e-9,
    }
    base |= {
        "interpolation_off": (3900, 0),
        "pix0": np.array([0.05, 0.006, -0.03]),
        "n_cells": np.array([20.0, 15, 12]),
    }
    return corrected(**{**base, **changes})


def distance(image, expected):
    """Largest difference over the largest value."""
    return np.abs(image - expected).max() / np.abs(expected).max()


# --- choice ----------------------------------------------------------------------------------------------------------


def test_the_default_is_the_widest_vector_kernel():
    assert backend_c.chosen_kernel(wide()) == [name for name in VECTOR_KERNELS if name.startswith("simd-")][-1]
    assert backend_c.select_kernel("simd") == backend_c.select_kernel("auto") != "fast"
    assert backend_c.chosen_kernel(wide(), "scalar") == "scalar"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"omega_mode": FactorMode.CUMULATIVE}, "order of the terms"),
        ({"n_cells": np.array([2.5, 3, 3])}, "whole number"),
        ({"shape": Shape.ROUND, "fudge": 0.0}, "fudge"),
    ],
)
def test_the_scalar_kernel_steps_in_and_says_why(changes, reason):
    scene = worked_example(**changes)
    chosen = backend_c.chosen_kernel(scene)
    assert chosen.startswith("scalar (") and reason in chosen
    for kernel in VECTOR_KERNELS:
        assert np.array_equal(backend_c.render(scene, kernel=kernel), backend_c.render(scene, kernel="scalar"))
    with pytest.raises(CoreError, match="NB_ERR_KERNEL"):
        core = _core.CoreScene(scene)
        core.render(0, 1, np.zeros(1), _core.CancelFlag(), VECTOR_KERNELS[0])


# --- invariances -----------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("tricubic", [False, True])
@pytest.mark.parametrize("shape", list(Shape))
def test_a_pixel_depends_on_nothing_but_itself(kernel, shape, tricubic):
    """Crops and masks of every alignment give the same bits, and so do blocks and threads."""
    scene = wide(shape=shape, d_min=2e-10, tricubic=tricubic)
    image = backend_c.render(scene, kernel=kernel).reshape(-1)
    rng = np.random.default_rng(1)
    lists = [scene.pixels[begin:end] for begin, end in ((0, 1), (3, 700), (517, 518), (1299, 1302), (1000, 3900))]
    for pixels in [*lists, np.flatnonzero(rng.random(3900) < 0.3)]:
        part = replace(scene, pixels=pixels, interpolation_off=(len(pixels), 0))
        assert np.array_equal(backend_c.render(part, kernel=kernel).reshape(-1)[pixels], image[pixels])
    for block, n_threads in ((1300, 2), (511, 3), (16, 2)):
        again = backend_c.render(scene, kernel=kernel, block=block, n_threads=n_threads)
        assert np.array_equal(again.reshape(-1), image)


@EVERY
def test_every_loop(kernel):
    """Measured 3e-13; crystals of 3 cells are evaluated in double precision by "fast", too."""
    for base in (worked_example, corrected):
        scene = busy(base)
        expected = backend_c.render(scene, kernel="scalar")
        assert distance(backend_c.render(scene, kernel=kernel), expected) < 1e-11


def test_the_pass_with_its_own_orientations():
    scene = busy(orientations_first_pass=busy().orientations * 1.01, first_pass=(5, 7))
    other = replace(scene, orientations_first_pass=None)
    changed = backend_c.render(scene) != backend_c.render(other)
    assert list(np.flatnonzero(changed)) == [scene.pixels[5]]


# --- skipping ---------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    ("shape", "cells", "share"),
    [(Shape.GAUSS, 3, 1), (Shape.GAUSS, 80, 0.3), (Shape.TOPHAT, 3, 1), (Shape.TOPHAT, 15, 0.3)],
)
def test_skipping_leaves_the_image_as_it_is(kernel, shape, cells, share):
    """Most pixels of the large crystal are skipped; what is left out is below 1e-108 of the peak."""
    tilt = 1 + 1e-3 * np.random.default_rng(2).standard_normal((2, 8, 1, 1))
    scene = wide(
        shape=shape,
        n_cells=np.full(3, float(cells)),
        steps=16.0,
        default_F=20.0,
        orientations=corrected().orientations * tilt,
    )
    expected = backend_c.render(scene, kernel="scalar")
    image = backend_c.render(scene, kernel=kernel)
    assert distance(image, expected) < 1e-11
    assert np.array_equal(image.astype(np.float32), expected.astype(np.float32)) or shape == Shape.GAUSS
    assert 0 < np.count_nonzero(image) <= share * image.size


# --- mixed precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [(9, 9, 9), (20, 15, 12), (200, 30, 10), (500, 20, 20)])
def test_mixed_precision(cells):
    """Within 1e-6 of the largest value; measured 3e-7. Beyond 200 cells "fast" is the double kernel."""
    scene = wide(n_cells=np.array(cells, float))
    expected = backend_c.render(scene, kernel="scalar")
    image = backend_c.render(scene, kernel="fast")
    assert distance(image, expected) < 1e-6
    assert np.array_equal(image, backend_c.render(scene)) == (max(cells) > 200)
