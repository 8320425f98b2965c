"""The core's gradients against autograd of the eager torch engine, an independent implementation, field by field."""

from __future__ import annotations

from dataclasses import replace

import grid
import numpy as np
import pytest
from scenes import NAMES, VARIANTS, corrected_row, cotangent_of, gradients, image, scene_of

torch = pytest.importorskip("torch")
from nanobragg.torch_backend.engine import TorchEngine  # noqa: E402

from nanobragg import _core  # noqa: E402
from nanobragg.engines.engine import RenderOptions  # noqa: E402

ROWS = grid.rows()
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


def by_autograd(scene, cotangent):
    """Gradients of cotangent . image by every continuous field."""
    values = {
        name: torch.as_tensor(np.array(getattr(scene, name)), dtype=torch.float64)
        for name in (*NAMES, "a_star", "d_min")
    }
    engine = TorchEngine(RenderOptions(kernel="eager"))
    found = engine.pull_back(replace(scene, **values), torch.from_numpy(cotangent), NAMES)
    return {name: grad.numpy() for name, grad in found.items()}


def across(rays, grads):
    """The part of the gradients perpendicular to their rays: torch takes an incident ray as a unit vector, the core its
    direction only, so that they differ along the ray, where no ray can go."""
    return grads - rays * (rays * grads).sum(1, keepdims=True)


def check(scene):
    cotangent = cotangent_of(scene)
    theirs = by_autograd(scene, cotangent)
    photons = np.abs(cotangent * image(scene)).sum()
    for kernel in _core.available_kernels:
        ours = gradients(scene, cotangent, NAMES, kernel)
        for name in NAMES:
            a, b = ours[name], theirs[name]
            if name == "incident":
                a, b = across(scene.incident, a), across(scene.incident, b)
            # what cancels out altogether leaves rounding, on the scale of the image over the field's value
            size = max(np.linalg.norm(b), 1e-6 * photons / max(np.linalg.norm(getattr(scene, name)), 1e-300))
            assert np.linalg.norm(a - b) <= 1e-9 * size, f"{kernel}, {name}: {np.linalg.norm(a - b) / size:.2g}"


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_pairwise(row):
    """Measured worst: 2e-11 of the norm."""
    check(scene_of(corrected_row(row)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant):
    check(scene_of(VARIANTS[variant]))
