"""The default kernel (the machine's vector kernel) on every golden case, in-process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_cases import golden_cases

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines import c as backend_c

ROOT = Path(__file__).resolve().parents[2]
CASES = [case for case in golden_cases(ROOT / "golden") if case.expected and not case.pre_args]
VECTOR_KERNELS = [name for name in _core.available_kernels if name.startswith("simd-")]

pytestmark = [
    pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning"),
    pytest.mark.skipif(not VECTOR_KERNELS, reason="this build has no vector kernel"),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_image(case, tmp_path, monkeypatch):
    """Measured, in single precision: equal but for three images; 3e-12 of the largest value, 1.2e-7 of a pixel's own.

    The bars are 1e-10 and, for pixels above 1e-6 of the largest value, two units in the last place. All kernels with fused
    multiply-adds agree to the bit.
    """
    case.copy_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    experiment = nb.Experiment.from_nanobragg_args(case.args)
    scene = derive(resolve(experiment))
    image = backend_c.render(scene)
    got, expected = case.crop(image.astype(np.float32)), case.expected["float"]
    largest = np.abs(expected).max()
    strong = expected > 1e-6 * largest
    agree = np.abs(got.astype(float) - expected).max() <= 1e-10 * largest
    agree &= np.abs(got[strong] / expected[strong] - 1).max(initial=0) <= 2.4e-7
    assert agree, case.worst_pixel(image, experiment)
    for kernel in set(VECTOR_KERNELS) - {"simd-baseline"}:
        assert np.array_equal(backend_c.render(scene, kernel=kernel, block=777), image)
