"""The vector kernels against the scalar one, and against each other, on the pairwise grid of options."""

from __future__ import annotations

import grid
import numpy as np
import pytest
from worst_pixel import assert_agree

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines import c as backend_c

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")

ROWS = grid.rows()
VECTOR_KERNELS = [name for name in _core.available_kernels if name.startswith("simd-")]
# max|difference| / max|image|; measured on the grid: 7e-12, where no Bragg peak is near the few pixels, else 4e-13
TOLERANCE = 5e-11


def scene_of(row):
    return derive(resolve(grid.experiment_of(row)))


def covered(scene):
    return not backend_c.chosen_kernel(scene, VECTOR_KERNELS[0]).startswith("scalar")


@pytest.fixture(scope="module")
def images():
    """Scene and images by kernel for every row that the vector kernels cover."""
    found = []
    for row in ROWS:
        scene = scene_of(row)
        if covered(scene):
            found.append((row, scene, {name: backend_c.render(scene, kernel=name) for name in _core.available_kernels}))
    return found


def test_most_of_the_grid_is_covered(images):
    assert len(images) > 0.3 * len(ROWS)


@pytest.mark.parametrize("kernel", VECTOR_KERNELS)
def test_against_the_scalar_kernel(images, kernel):
    for row, _, by_kernel in images:
        names = (kernel, "scalar")
        assert_agree(grid.experiment_of(row), by_kernel[kernel], by_kernel["scalar"], TOLERANCE, f"for {row}", names)


@pytest.mark.skipif("simd-avx512" not in VECTOR_KERNELS, reason="needs AVX-512")
def test_avx2_and_avx512_give_the_same_bits(images):
    for row, _, by_kernel in images:
        assert np.array_equal(by_kernel["simd-avx2"], by_kernel["simd-avx512"]), row


@pytest.mark.parametrize("kernel", VECTOR_KERNELS)
def test_blocks_and_threads_do_not_matter(images, kernel):
    for row, scene, by_kernel in images[::7]:
        for block, threads in ((1, 2), (7, 1), (100, 3)):
            again = backend_c.render(scene, kernel=kernel, block=block, n_threads=threads)
            assert np.array_equal(again, by_kernel[kernel]), (row, block)


@pytest.mark.parametrize("n_cells", [2, 4, 6, 8])
def test_no_pixel_is_negative(n_cells):
    """Even counts have the factor cos^2(pi f), which is exactly 0 halfway between two spots: never below it."""
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(80, 80, 80, 90, 90, 90),
            n_cells=(n_cells,) * 3,
            structure_factors=nb.StructureFactors.constant(10.0),
        ),
        detector=nb.Detector(n_fast=1024, n_slow=1024, pixel_size_mm=0.12, distance_mm=88.0),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )
    assert nb.simulate(experiment, kernel="simd").min() >= 0.0
