"""Domains of unlike weight and blocks whose shape is a matrix: images and derivatives of the core, by every kernel, against the
eager torch engine, an independent implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenes import NAMES, VARIANTS, cotangent_of, gradients, image, push, random_tangents, scene_of

from nanobragg import _core
from nanobragg.engines.c import render

torch = pytest.importorskip("torch")
from nanobragg.torch_backend.engine import TorchEngine  # noqa: E402

from nanobragg.engines.engine import RenderOptions  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
MATRIX = np.array([[5.0, 1.2, 0.4], [1.2, 4.0, -0.3], [0.4, -0.3, 6.0]])
WITH_FMA = [name for name in ("simd-avx2", "simd-avx512") if name in _core.available_kernels]


def scenes():
    for variant in ("round", "gauss", "tophat", "square", "small square", "sub-pixels", "curved", "curved gauss"):
        for interpolate in ("nearest", "tricubic"):
            scene = scene_of(VARIANTS[variant].replace("sampling.interpolate", interpolate))
            weight = np.linspace(0.2, 1.8, scene.n_domains)
            yield pytest.param(replace(scene, domain_weight=weight), id=f"{variant} {interpolate} weights")
            if variant in ("round", "gauss", "tophat", "curved gauss"):
                blocks = replace(scene, has_block_matrix=True, block_matrix=MATRIX)
                yield pytest.param(blocks, id=f"{variant} {interpolate} matrix")
                yield pytest.param(replace(blocks, domain_weight=weight), id=f"{variant} {interpolate} both")


SCENES = list(scenes())


def in_torch(scene):
    names = (*NAMES, "a_star", "d_min")
    values = {name: torch.as_tensor(np.array(getattr(scene, name)), dtype=torch.float64) for name in names}
    return TorchEngine(RenderOptions(kernel="eager")), replace(scene, **values)


def across(rays, grads):
    return grads - rays * (rays * grads).sum(1, keepdims=True)


@pytest.mark.parametrize("scene", SCENES)
def test_against_torch(scene):
    """Measured worst: 1.7e-14 of the largest pixel, 1e-11 of the norm of a gradient (the vector version of round)."""
    cotangent = cotangent_of(scene)
    engine, theirs = in_torch(scene)
    expected = engine.photons(theirs).numpy()
    wanted = {k: v.numpy() for k, v in engine.pull_back(theirs, torch.from_numpy(cotangent), NAMES).items()}
    photons = np.abs(cotangent * expected).sum()
    for kernel in _core.available_kernels:
        core = _core.CoreScene(scene)
        pixels = np.zeros(core.n_pixels)
        assert core.render(0, core.n_pixels, pixels, _core.CancelFlag(), kernel) and not core.simd_obstacle
        assert np.abs(pixels - expected).max() <= 1e-12 * expected.max(), kernel
        found = gradients(scene, cotangent, NAMES, kernel)
        for name in NAMES:
            a, b = found[name], wanted[name]
            if name == "incident":
                a, b = across(scene.incident, a), across(scene.incident, b)
            size = max(np.linalg.norm(b), 1e-6 * photons / max(np.linalg.norm(getattr(scene, name)), 1e-300))
            assert np.linalg.norm(a - b) <= 1e-9 * size, f"{kernel}, {name}"
        directions = random_tangents(scene, 2)
        moved = sum((directions[name] * found[name].ravel()).sum(1) for name in NAMES)
        assert push(scene, directions, kernel) @ cotangent == pytest.approx(moved, rel=1e-10)


@pytest.mark.skipif(len(WITH_FMA) < 2, reason="this machine has one kernel with fused multiply-add")
@pytest.mark.parametrize("scene", SCENES)
def test_instruction_sets_agree_to_the_bit(scene):
    assert np.array_equal(*(render(scene, kernel=kernel) for kernel in WITH_FMA))
    cotangent = cotangent_of(scene)
    one, other = (gradients(scene, cotangent, NAMES, kernel) for kernel in WITH_FMA)
    assert all(np.array_equal(one[name], other[name]) for name in NAMES)


@pytest.mark.parametrize("kernel", _core.available_kernels)
@pytest.mark.parametrize("variant", ["round", "gauss", "tophat", "square"])
def test_neutral_values_change_nothing(variant, kernel):
    """Weights of 1, and the matrix diag(Na, Nb, Nc), but for roundings; the derivation makes neither."""
    scene = scene_of(VARIANTS[variant])
    plain = render(scene, kernel=kernel)
    alike = render(replace(scene, domain_weight=np.ones(scene.n_domains)), kernel=kernel)
    assert np.abs(alike - plain).max() <= (0.0 if kernel == "scalar" else 1e-15 * plain.max())
    if variant != "square":
        same = replace(scene, has_block_matrix=True, block_matrix=np.diag(scene.n_cells))
        assert np.abs(render(same, kernel=kernel) - plain).max() <= 1e-14 * plain.max()


def test_a_repeated_domain_is_one_of_twice_the_weight():
    scene = scene_of(VARIANTS["gauss"])
    order = [0, 0, *range(1, scene.n_domains)]
    twice = replace(scene, orientations=scene.orientations[:, order])
    weight = np.ones(scene.n_domains)
    weight[0] = 2.0
    assert image(replace(scene, domain_weight=weight)) == pytest.approx(image(twice), rel=1e-14)
