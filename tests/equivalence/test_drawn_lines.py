"""Every kernel against the scalar one, on command lines drawn at random.

Without the lattice factors that the vector kernels leave to the scalar one (csrc/nanobragg.h), 7 of these lines differ by
more than a tenth of the maximum, all of them with round crystals, and some ten with square crystals of 10,000 more lines.
"""

from __future__ import annotations

from pathlib import Path

import drawn_lines
import numpy as np
import pytest
from worst_pixel import assert_agree

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines import c as backend_c

LINES = 240
FILES = Path(__file__).parents[1] / "data"
TOLERANCE = 1e-10
"""max|difference| / max|image|. Measured on these lines: 1.3e-11."""
MIXED_TOLERANCE = 1e-6
"""Of kernel "fast", where the image holds a Bragg peak. Measured: 5.2e-7."""
LEAST_PEAK = 0.03
"""|F_latt| / (Na Nb Nc) of the brightest pixel from which an image holds a Bragg peak."""
INVISIBLE = 1e-45
"""Images below it are 0 in single precision."""
VECTOR_KERNELS = [name for name in _core.available_kernels if name != "scalar"]

pytestmark = [
    pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning"),
    pytest.mark.skipif(not VECTOR_KERNELS, reason="this build has no vector kernel"),
]


@pytest.fixture(scope="module")
def drawn():
    """(experiment, scene, image of the scalar kernel) of every line."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FILES)
        for seed in range(LINES):
            experiment = nb.Experiment.from_nanobragg_args(drawn_lines.line(seed))
            scene = derive(resolve(experiment))
            found.append((experiment, scene, backend_c.render(scene, kernel="scalar")))
    return found


def holds_a_peak(experiment, image):
    slow, fast = np.unravel_index(int(image.argmax()), image.shape)
    steps = nb.trace(experiment, (int(slow), int(fast))).steps
    return max(abs(step.value) for step in steps if step.name == "F_latt") > LEAST_PEAK * np.prod(
        experiment.crystal.n_cells
    )


def test_lines_are_of_every_kind(drawn):
    shapes = [experiment.crystal.shape for experiment, _, _ in drawn]
    assert min(shapes.count(shape) for shape in ("square", "round", "gauss", "tophat")) > 20
    assert all(np.isfinite(image).all() for _, _, image in drawn)


@pytest.mark.parametrize("kernel", VECTOR_KERNELS)
def test_against_the_scalar_kernel(drawn, kernel):
    peaks = 0
    for seed, (experiment, scene, expected) in enumerate(drawn):
        if expected.max() < INVISIBLE:
            continue
        peak = kernel != "fast" or holds_a_peak(experiment, expected)
        peaks += peak
        if peak:
            tolerance = MIXED_TOLERANCE if kernel == "fast" else TOLERANCE
            got = backend_c.render(scene, kernel=kernel)
            assert_agree(experiment, got, expected, tolerance, f"in line {seed}", (kernel, "scalar"))
    assert peaks > LINES // 2


def test_blocks_and_threads_do_not_matter(drawn):
    for _, scene, _ in drawn[::5]:
        image = backend_c.render(scene)
        for block, threads in ((7, 1), (100, 2)):
            assert np.array_equal(backend_c.render(scene, block=block, n_threads=threads), image)


ROUND = (
    "-default_F 100 -cell 200 20 100 -Na 10 -Nb 9 -Nc 20 -round_xtal -lambda 1 -distance 50 -pixel 0.1 -oversample 1"
)
WHOLE = "-default_F 100 -cell 20 -N 100 -misset 0 0 90 -lambda 1 -distance 50 -pixel 0.05 -oversample 1"


@pytest.mark.parametrize(
    ("line", "pixel", "ratio"),
    [
        # the direct beam within rounding of the center of a pixel: 0 in place of the largest value of the image
        (f"{ROUND} -detpixels_f 23 -detpixels_s 23 -denzo -Xbeam 2.25 -Ybeam 0.15", (22, 1), 0.0),
        # the index -10 from a scattering angle of 60 degrees: a factor of 262 in place of 100
        (f"{WHOLE} -detpixels_f 23 -detpixels_s 40 -xds -ORGX 14 -ORGY 4 -twotheta 60", (3, 13), 2.6246**2),
    ],
)
def test_rounding_noise_is_reproduced(line, pixel, ratio):
    experiment = nb.Experiment.from_nanobragg_args(line.split())
    image, corrected = nb.simulate(experiment), nb.simulate(experiment.replace(quirks="corrected"))
    assert image[pixel] == pytest.approx(nb.trace(experiment, pixel).value, rel=1e-12)
    assert image[pixel] / corrected[pixel] == pytest.approx(ratio, rel=1e-3)
